/* SPDX-License-Identifier: Apache-2.0 */
#include "lwslog.h"

#include <stdatomic.h>
#include <string.h>

#include <libwebsockets.h>

/* What the library has when nobody asks for anything else. */
#define LWS_OWN_LEVEL (LLL_ERR | LLL_WARN | LLL_NOTICE)

/* The library's log function is given no pointer of ours. */
static _Atomic(const struct aqb_host *) log_host;

/* What it calls an error is mostly something that a peer did. */
static void
emit(int level, const char *line)
{
	const struct aqb_host *host = atomic_load(&log_host);

	if (host != NULL) {
		host->log(host, level == LLL_ERR ? AQB_WARNING : AQB_DEBUG,
		    "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
	}
}

void
lwslog_start(const struct aqb_host *host)
{
	atomic_store(&log_host, host);
	lws_set_log_level(LLL_ERR | LLL_WARN, emit);
}

void
lwslog_stop(void)
{
	lws_set_log_level(LWS_OWN_LEVEL, lwsl_emit_stderr);
	atomic_store(&log_host, NULL);
}

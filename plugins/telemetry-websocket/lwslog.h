/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_LWSLOG_H
#define TELEMETRY_LWSLOG_H

/* The library's log, of which a process has one, goes to the broker's. */

#include <arqonbus/host.h>

/* From here on its warnings and errors go to this host. */
void lwslog_start(const struct aqb_host *host);

/* Put the library's own log back. */
void lwslog_stop(void);

#endif

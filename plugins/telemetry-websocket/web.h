/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_WEB_H
#define TELEMETRY_WEB_H

/* Plain HTTP on the telemetry port: /health, /version and /metrics.  It asks
 * the broker only what may be asked from any thread, so that it answers while
 * the core is stuck. */

#include <libwebsockets.h>

#include "plane.h"

/* A response on its way, head and body in one. */
struct web {
	unsigned char *text; /* or NULL */
	size_t len;
	size_t sent;
	bool closes; /* the connection ends after it */
};

/* Answer a request for this path.  -1 asks to close the connection. */
int web_request(struct web *web, const struct plane *plane, struct lws *wsi,
    const char *path);

/* The socket takes more.  -1 asks to close the connection. */
int web_write(struct web *web, struct lws *wsi);

/* Throw away what is left. */
void web_drop(struct web *web);

/* Somebody wants to watch, while `n` do already.  0 lets it; -1: it has been
 * told why not, close the connection. */
int web_upgrade(const struct plane *plane, struct lws *wsi, uint32_t n,
    const char *protocol);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

/*
 * The head of one HTTP/1.1 request (RFC 9112), as strict as an attacker
 * deserves, and the rules of the upgrade to WebSocket (RFC 6455, 4.2.1).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/abi.h>

#include "proto/ws.h"

#define HTTP_HEAD_MAX 8192
#define HTTP_LINE_MAX 4096
#define HTTP_HEADERS_MAX 64

/* Slices of the head; an absent header is empty with no data. */
struct http_request {
	struct aqb_slice method;
	struct aqb_slice path;
	struct aqb_slice query; /* without the question mark */
	int minor;              /* HTTP/1.minor */
	struct aqb_slice host, origin, connection, upgrade;
	struct aqb_slice key, ws_version, protocol, authorization;
	bool has_body; /* Content-Length (not 0) or Transfer-Encoding */
	bool has_length;
	bool wants_upgrade; /* any Upgrade or Sec-WebSocket header */
};

/*
 * Read a head off the bytes.  Positive: its length.  0: it is not whole yet.
 * Negative: minus the status to answer, *reasonp says why.
 */
int http_read(const char *data, size_t len, struct http_request *reqp,
    const char **reasonp);

/* May this request become a WebSocket?  101, with Sec-WebSocket-Accept; or
 * the status to answer. */
int http_upgrade(const struct http_request *req, char accept[WS_ACCEPT_SIZE],
    const char **reasonp);

/* Is this token in a comma-separated list?  Case does not matter. */
bool http_has_token(struct aqb_slice list, const char *token);

/* Does the connection stay open after this request? */
bool http_keeps_alive(const struct http_request *req);

/* One parameter of a query, percent-decoded, without a NUL.  False when it is
 * absent, malformed, longer than size, or holds a NUL. */
bool http_param(struct aqb_slice query, const char *name, char *out,
    size_t size, size_t *lenp);

#endif

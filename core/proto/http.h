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

/* The subprotocol that we speak. */
#define HTTP_SUBPROTOCOL "arqonbus.v1"

/*
 * Slices of the head; an absent header is empty with no data.  A list may
 * come in several lines (RFC 9110, 5.3), which one slice cannot hold, so of
 * Connection and Upgrade only what matters is kept, and of the subprotocols
 * the line that offers ours, else the first.  The offers of extensions are
 * answered line by line: the first that can be accepted is.
 */
struct http_request {
	struct aqb_slice method;
	struct aqb_slice path;
	struct aqb_slice query; /* without the question mark */
	int minor;              /* HTTP/1.minor */
	struct aqb_slice host, origin;
	struct aqb_slice key, ws_version, protocol, authorization;
	const char *deflate; /* permessage-deflate, as accepted: what to answer
			      * in Sec-WebSocket-Extensions; or NULL */
	bool to_upgrade;     /* Connection says: upgrade */
	bool to_close;
	bool to_keep_alive;
	bool to_websocket;  /* Upgrade says: websocket */
	bool has_body;      /* Content-Length (not 0) or Transfer-Encoding */
	bool has_length;    /* one of the two is there, were it 0 */
	bool wants_upgrade; /* any Upgrade or Sec-WebSocket header */
};

/*
 * Read a head off the bytes.  Positive: its length.  0: it is not whole yet.
 * Negative: minus the status to answer, *reasonp says why; this is said as
 * soon as it is certain, and more bytes never change an answer.
 */
int http_read(const char *data, size_t len, struct http_request *reqp,
    const char **reasonp);

/* May this request become a WebSocket?  101, with Sec-WebSocket-Accept; or
 * the status to answer, and why. */
int http_upgrade(const struct http_request *req, char accept[WS_ACCEPT_SIZE],
    const char **reasonp);

/* One of the characters of a token (RFC 9110, 5.6.2)? */
bool http_is_token_char(char c);

/* Is this token in a comma-separated list?  Case does not matter. */
bool http_has_token(struct aqb_slice list, const char *token);

/* Is ours among the subprotocols offered?  Letter by letter: what differs in
 * case is another, and our answer would name one that was not offered. */
bool http_has_subprotocol(struct aqb_slice list);

/* Does the connection stay open after this request? */
bool http_keeps_alive(const struct http_request *req);

/* One parameter of a query, percent-decoded, without a NUL.  False when it is
 * absent, malformed, longer than size, or holds a NUL. */
bool http_param(struct aqb_slice query, const char *name, char *out,
    size_t size, size_t *lenp);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/upgrade.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "loop/loop.h"
#include "net/inbox.h"
#include "net/read.h"
#include "net/worker.h"
#include "proto/http.h"

static const char *
phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 426:
		return "Upgrade Required";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Error";
	}
}

/* Headers that belong to one status. */
static void
put_special(struct buf *b, int status)
{
	uint8_t byte;

	switch (status) {
	case 405:
		buf_puts(b, "Allow: GET, HEAD\r\n");
		break;
	case 426:
		buf_puts(b,
		    "Upgrade: websocket\r\n"
		    "Sec-WebSocket-Version: 13\r\n");
		break;
	case 429:
	case 503:
		/* Not all at once again. */
		rand_bytes(&byte, 1);
		buf_printf(b, "Retry-After: %d\r\n", 1 + byte % 5);
		break;
	default:
		break;
	}
}

/* Queue an answer.  `keep`: the connection stays open for another request. */
static void
answer(struct conn *conn, int status, const char *type, const struct buf *body,
    bool head_only, bool keep)
{
	struct worker *w = conn->worker;
	struct piece piece = { NULL, 0, 0 };
	struct buf b = { 0 };

	buf_printf(&b, "HTTP/1.1 %d %s\r\n", status, phrase(status));
	put_special(&b, status);
	buf_printf(&b,
	    "Content-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nConnection: %s\r\n\r\n",
	    type, body->len,
	    keep                ? "keep-alive"
		: status == 426 ? "upgrade, close"
				: "close");
	if (!head_only) {
		buf_add(&b, body->data, body->len);
	}
	if (!b.failed) {
		piece = run_add(&w->solo, &w->pool, b.data, b.len);
	}
	buf_fini(&b);
	conn->close_after = !keep;
	if (piece.chunk == NULL) {
		conn_gone(conn, 1011, "out of memory");
		return;
	}
	conn_push(conn, piece, UINT64_MAX);
	if (keep) {
		conn_read_off(conn); /* until it has read this answer */
	}
}

static void
refuse(struct conn *conn, int status, const char *reason, bool head_only)
{
	struct buf body = { 0 };

	buf_printf(&body, "{\"error\":{\"status\":%d,\"message\":", status);
	buf_json_str(&body, reason);
	buf_puts(&body, "}}\n");
	answer(conn, status, "application/json", &body, head_only, false);
	buf_fini(&body);
	inbox_free(&conn->in);
}

void
upgrade_refuse(struct conn *conn, int status, const char *reason)
{
	refuse(conn, status, reason, false);
}

void
conn_refuse(struct conn *conn, int status, const char *reason)
{
	count_add(&conn->worker->count.refused, 1);
	upgrade_refuse(conn, status, reason);
	if (conn->state != CONN_GONE) {
		/* Nothing it says matters any more. */
		conn->state = CONN_ENDING;
		conn_arm(conn);
	}
}

static bool
is(struct aqb_slice text, const char *want)
{
	return text.len == strlen(want) &&
	    memcmp(text.data, want, text.len) == 0;
}

/* A request that is no upgrade. */
static void
serve(struct conn *conn, const struct http_request *req)
{
	const struct net_conf *c = &conn->worker->conf;
	char address[PORT_ADDRESS_SIZE];
	const char *type = "application/json";
	bool head_only = is(req->method, "HEAD");
	struct buf body = { 0 };
	bool loopback;
	int status;

	count_add(&conn->worker->count.http_requests, 1);
	if (!head_only && !is(req->method, "GET")) {
		upgrade_refuse(conn, 405, "only GET and HEAD");
		return;
	}
	if (req->has_body) {
		refuse(conn, 413, "a request has no body here", head_only);
		return;
	}
	conn_address(conn, address, &loopback);
	status = c->page == NULL
	    ? 404
	    : c->page(c->page_arg, req->path, loopback, address, &body, &type);
	if (status == 404) {
		/* What is no page is where WebSockets are. */
		buf_fini(&body);
		refuse(conn, 426, "only WebSocket is served here", head_only);
		return;
	}
	if (status == 403) {
		buf_fini(&body);
		refuse(conn, 403, "not from this address", head_only);
		return;
	}
	answer(conn, status, type, &body, head_only, http_keeps_alive(req));
	buf_fini(&body);
	conn->since = loop_now(conn->worker->loop);
	conn_arm(conn);
}

/* "Bearer xyz", or NULL. */
static char *
bearer(struct aqb_slice authorization)
{
	const size_t n = strlen("Bearer ");

	if (authorization.len <= n ||
	    strncasecmp(authorization.data, "Bearer ", n) != 0) {
		return NULL;
	}
	return try_strndup(authorization.data + n, authorization.len - n);
}

static struct port_hello *
make_hello(const struct conn *conn, const struct http_request *req)
{
	struct port_hello *hello = try_new(sizeof *hello);
	bool loopback;

	if (hello == NULL) {
		return NULL;
	}
	conn_address(conn, hello->address, &loopback);
	hello->query = try_strndup(req->query.len > 0 ? req->query.data : "",
	    req->query.len);
	hello->token = bearer(req->authorization);
	if (hello->query == NULL) {
		port_hello_free(&hello);
	}
	return hello;
}

/* 101 goes straight to the socket, so that an outbox holds only frames: it
 * is new, and has room. */
static bool
send_switch(struct conn *conn, const struct http_request *req,
    const char *accept)
{
	bool ours = http_has_subprotocol(req->protocol);
	bool deflate = conn->worker->conf.deflate && req->deflate != NULL;
	struct buf b = { 0 };
	bool sent;

	buf_printf(&b,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s",
	    accept,
	    ours ? "Sec-WebSocket-Protocol: " HTTP_SUBPROTOCOL "\r\n" : "");
	if (deflate) {
		buf_printf(&b, "Sec-WebSocket-Extensions: %s\r\n",
		    req->deflate);
		conn->form |= FORM_DEFLATED;
		conn->reader.deflate = true;
	}
	buf_puts(&b, "\r\n");
	sent = !b.failed && conn->out.n == 0 &&
	    send(conn->fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
		(ssize_t)b.len;
	count_add(&conn->worker->count.bytes_out, b.len);
	buf_fini(&b);
	return sent;
}

static void
open_conn(struct conn *conn, const struct http_request *req, const char *accept)
{
	struct port_hello *hello = make_hello(conn, req);

	if (hello == NULL || !send_switch(conn, req, accept)) {
		port_hello_free(&hello);
		conn_gone(conn, 1006, "the handshake could not be answered");
		return;
	}
	conn->out.raw = false;
	conn->state = CONN_OPEN;
	conn->opened = true;
	conn_leave_handshake(conn);
	worker_up(conn, PORT_OPENED)->hello = hello;
	conn_arm(conn);
}

static void
upgrade(struct conn *conn, const struct http_request *req)
{
	char accept[WS_ACCEPT_SIZE];
	const char *reason;
	const char *refusal = atomic_load(&conn->worker->refusal);
	int status = http_upgrade(req, accept, &reason);

	if (status == 101 && conn->worker->is_closed) {
		status = 503;
		reason = "the broker stops";
	} else if (status == 101 && refusal != NULL) {
		count_add(&conn->worker->count.refused, 1);
		status = 503;
		reason = refusal;
	}
	if (status != 101) {
		upgrade_refuse(conn, status, reason);
		return;
	}
	open_conn(conn, req, accept);
}

/* Use the bytes of a head, as far as it is whole; returns how many. */
static size_t
use_head(struct conn *conn, const uint8_t *data, size_t len)
{
	struct http_request req;
	const char *reason;
	int n = http_read((const char *)data, len, &req, &reason);

	if (n < 0) {
		upgrade_refuse(conn, -n, reason);
		return len;
	}
	if (n > 0) {
		if (req.wants_upgrade) {
			upgrade(conn, &req);
		} else {
			serve(conn, &req);
		}
	}
	return (size_t)n;
}

void
upgrade_read(struct conn *conn, uint8_t *data, size_t len)
{
	struct inbox *in = conn->in;
	uint8_t *from = data;
	size_t used = 1;

	if (conn->close_after) {
		return; /* it was answered and is to go */
	}
	if (in != NULL) {
		if (!inbox_add(in, data, len)) {
			conn_gone(conn, 1011, "out of memory");
			return;
		}
		conn->in = NULL; /* it may be freed or made anew meanwhile */
		from = in->data;
		len = in->len;
	}
	while (used > 0 && len > 0 && conn->state == CONN_HTTP &&
	    !conn->close_after && conn->out.n == 0) {
		used = use_head(conn, from, len);
		from += used;
		len -= used;
	}
	if (conn->state == CONN_OPEN) {
		read_opened(conn, from, len);
	} else if (conn->state == CONN_HTTP && !conn->close_after && len > 0) {
		struct inbox *rest =
		    inbox_get(&conn->in, loop_now(conn->worker->loop));

		if (rest == NULL || !inbox_add(rest, from, len)) {
			conn_gone(conn, 1011, "out of memory");
		}
	}
	inbox_free(&in);
}

void
upgrade_go_on(struct conn *conn)
{
	if (conn->in != NULL) {
		upgrade_read(conn, conn->worker->buffer, 0);
	}
	if (conn->state == CONN_HTTP && !conn->close_after &&
	    conn->out.n == 0) {
		conn_read_on(conn);
	}
}

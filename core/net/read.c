/* SPDX-License-Identifier: Apache-2.0 */
#include "net/read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"
#include "net/inbox.h"
#include "net/upgrade.h"
#include "net/worker.h"
#include "proto/deflate.h"
#include "proto/envelope.h"
#include "proto/msg.h"

/*
 * Bytes go from the socket into the worker's one buffer and are used there.
 * What is left over goes to the connection's inbox: the beginning of a frame
 * (then the rest of exactly that frame is read next), or whole frames that
 * were too many for one turn (then the connection is on the ready list and
 * its socket is left alone until they are used up).
 */

/* Where bytes wait; from the first on, the message they are of has a
 * deadline. */
static struct inbox *
open_inbox(struct conn *conn)
{
	bool had = conn->in != NULL;
	struct inbox *in = inbox_get(&conn->in, loop_now(conn->worker->loop));

	if (!had && in != NULL) {
		conn_arm(conn);
	}
	return in;
}

/* A bad envelope: the bus is told, with the id if that could be read. */
static void
reject_up(struct conn *conn, struct envelope *env, enum aqb_code code,
    const struct aqb_why *why, size_t bytes)
{
	struct envelope only_id = { .type = ENVELOPE_PING, .id = env->id };
	struct port_up *up = worker_up(conn, PORT_REJECT);

	up->code = code;
	port_weigh(&conn->worker->port, up, bytes);
	up->why = try_new(sizeof *up->why);
	if (up->why != NULL) {
		*up->why = *why;
	}
	if (env->id.len > 0) {
		up->msg = envelope_keep(&only_id);
	}
	if (up->msg != NULL) {
		up->env.id = only_id.id;
	}
}

/* One whole message. */
static void
take_message(struct conn *conn, uint8_t opcode, const uint8_t *data, size_t len,
    uint64_t received_us)
{
	struct envelope env;
	struct aqb_why why = { 0 };
	struct aqb_msg *msg;
	struct port_up *up;
	enum aqb_code code;

	count_add(&conn->worker->count.messages_in, 1);
	if (conn->budget > 0) {
		conn->budget--;
	}
	code = opcode == WS_BINARY
	    ? envelope_decode_binary(data, len, &env, &why)
	    : envelope_decode((const char *)data, len, &env, &why);
	if (code != AQB_CODE_OK) {
		reject_up(conn, &env, code, &why, len);
		return;
	}
	msg = envelope_keep(&env);
	if (msg == NULL) {
		conn_close(conn, 1011, "out of memory");
		return;
	}
	up = worker_up(conn, PORT_REQUEST);
	port_weigh(&conn->worker->port, up, len);
	up->received_us = received_us;
	up->msg = msg;
	up->env = env;
}

/* What a compressed message is, good until the next; or the connection is
 * failed. */
static bool
inflate(struct conn *conn, const struct ws_item *item, const uint8_t *data,
    size_t len)
{
	struct worker *w = conn->worker;
	char reason[124];

	switch (inflater_run(w->inflater, data, len, w->conf.max_message,
	    &w->inflated)) {
	case INFLATE_OK:
		break;
	case INFLATE_TOO_BIG:
		snprintf(reason, sizeof reason,
		    "message is too big: %zu bytes inflate to more than the "
		    "limit of %u",
		    len, w->conf.max_message);
		conn_fail(conn, 1009, reason);
		return false;
	case INFLATE_BROKEN:
		conn_fail(conn, 1002, "compressed message is broken");
		return false;
	case INFLATE_NO_MEMORY:
		conn_close(conn, 1011, "out of memory");
		return false;
	}
	if (item->opcode == WS_TEXT &&
	    !utf8_valid(buf_text(&w->inflated), w->inflated.len)) {
		conn_fail(conn, 1007, "text is not UTF-8");
		return false;
	}
	count_add(&w->count.inflate_in, len);
	count_add(&w->count.inflate_out, w->inflated.len);
	return true;
}

/* All the bytes of a message. */
static void
take_whole(struct conn *conn, const struct ws_item *item, const uint8_t *data,
    size_t len, uint64_t received_us)
{
	const struct buf *b = &conn->worker->inflated;

	if (!item->compressed) {
		take_message(conn, item->opcode, data, len, received_us);
	} else if (inflate(conn, item, data, len)) {
		take_message(conn, item->opcode, (const uint8_t *)buf_text(b),
		    b->len, received_us);
	}
}

/* A piece of a message, or all of it. */
static void
take_data(struct conn *conn, const struct ws_item *item, uint64_t received_us)
{
	struct inbox *in;

	if (item->opcode == WS_BINARY && !conn->worker->conf.binary) {
		conn_fail(conn, 1003, "binary messages are not allowed here");
		return;
	}
	if (item->first && item->last) {
		take_whole(conn, item, item->data, item->len, received_us);
		return;
	}
	in = open_inbox(conn);
	if (in == NULL || !inbox_add_part(in, item->data, item->len)) {
		conn_close(conn, 1011, "out of memory");
		return;
	}
	if (item->last) {
		take_whole(conn, item, in->part, in->part_len, received_us);
		if (conn->in != NULL) {
			conn->in->part_len = 0;
			conn->in->since = loop_now(conn->worker->loop);
		}
	}
}

static void
take_close(struct conn *conn, const struct ws_item *item)
{
	conn->peer_closed = true;
	if (conn->state == CONN_OPEN) {
		conn->close_reason = "closed by the client";
		conn_close(conn, item->code == 1005 ? 1000 : item->code, "");
		conn->close_code = item->code;
		return;
	}
	if (conn->out.n == 0) {
		conn_gone(conn, conn->close_code, conn->close_reason);
	}
}

/* Of a turn's pings only the latest is answered (RFC 6455, 5.5.3). */
static void
take_ping(struct conn *conn, const struct ws_item *item)
{
	struct pong *pong = worker_pong(conn);

	if (pong != NULL) {
		pong->len = (uint8_t)item->len;
		memcpy(pong->data, item->data, item->len);
	}
}

static void
take_control(struct conn *conn, const struct ws_item *item)
{
	if (item->opcode == WS_CLOSE) {
		take_close(conn, item);
		return;
	}
	if (bucket_take(&conn->controls, CONTROLS_PER_SECOND, CONTROLS_BURST, 1,
		loop_now(conn->worker->loop)) > 0) {
		conn->close_reason = "control frame flood";
		conn_close(conn, 4009, "more than 20 control frames a second");
		return;
	}
	if (item->opcode == WS_PING && conn->state == CONN_OPEN) {
		take_ping(conn, item);
	}
}

static void
fail_frame(struct conn *conn, const struct ws_item *item)
{
	char reason[124];

	if (item->code == 1009 && item->need > 0) {
		snprintf(reason, sizeof reason,
		    "%s: %zu bytes, the limit is %u", item->reason,
		    conn->reader.size + item->need, conn->reader.max_message);
		conn_fail(conn, item->code, reason);
		return;
	}
	conn_fail(conn, item->code, item->reason);
}

/* May this connection go on in this turn? */
static bool
may_go_on(const struct conn *conn)
{
	return (conn->state == CONN_OPEN || conn->state == CONN_CLOSING) &&
	    !conn->paused && conn->budget > 0 &&
	    port_has_room(&conn->worker->port);
}

/* Use frames from the bytes; returns how many bytes were used.  *needp is
 * what a frame that is not whole needs, 0 when that is not the end. */
static size_t
use_frames(struct conn *conn, uint8_t *data, size_t len, size_t *needp)
{
	uint64_t received_us = clock_mono_us();
	size_t used = 0;

	*needp = 0;
	while (used < len && may_go_on(conn)) {
		struct ws_item item;
		size_t n;

		n = ws_read(&conn->reader, data + used, len - used, &item);
		if (item.event == WS_MORE) {
			*needp = item.need;
			break;
		}
		if (item.event == WS_FAIL) {
			fail_frame(conn, &item);
			return len;
		}
		used += n;
		if (item.event == WS_CONTROL) {
			take_control(conn, &item);
		} else if (conn->state == CONN_OPEN) {
			take_data(conn, &item, received_us);
		}
	}
	return used;
}

/* Nothing is left over: let the inbox go, unless a message is being put
 * together in it. */
static void
tidy(struct conn *conn)
{
	struct inbox *in = conn->in;

	if (in == NULL) {
		return;
	}
	in->off = in->len = in->need = 0;
	if (in->part_len == 0 && conn->reader.opcode == 0) {
		inbox_free(&conn->in);
		return;
	}
	free(in->data);
	in->data = NULL;
	in->cap = 0;
}

/* More frames than a turn's worth, or than the bus can take: the rest in
 * another turn. */
static void
wait_for_turn(struct conn *conn)
{
	conn_read_off(conn);
	if (!conn->ready && !conn->paused && conn->state != CONN_GONE) {
		conn->ready = true;
		worker_add(&conn->worker->ready, conn);
	}
}

/* Keep what was not used, as a frame's beginning or as a backlog. */
static void
keep(struct conn *conn, const uint8_t *data, size_t len, size_t need)
{
	struct inbox *in;

	if (conn->state == CONN_GONE || conn->state == CONN_ENDING) {
		return;
	}
	in = open_inbox(conn);
	if (in == NULL || !inbox_add(in, data, len) ||
	    (need > 0 && !inbox_reserve(in, need))) {
		conn_gone(conn, 1011, "out of memory");
		return;
	}
	if (need == 0) {
		wait_for_turn(conn);
	}
}

/* Fresh bytes of an open connection, in the worker's buffer. */
static void
use_fresh(struct conn *conn, uint8_t *data, size_t len)
{
	size_t need;
	size_t used = use_frames(conn, data, len, &need);

	if (used < len) {
		keep(conn, data + used, len - used, need);
	} else if (conn->state != CONN_GONE) {
		tidy(conn);
	}
}

void
read_opened(struct conn *conn, uint8_t *data, size_t len)
{
	conn->budget = TURN_MESSAGES;
	if (len > 0) {
		use_fresh(conn, data, len);
	}
}

/* Frames that wait in the inbox. */
static void
use_backlog(struct conn *conn)
{
	struct inbox *in = conn->in;
	size_t need, used;

	used = use_frames(conn, in->data + in->off, in->len - in->off, &need);
	if (conn->in == NULL || conn->state == CONN_GONE) {
		return;
	}
	in->off += used;
	if (in->off == in->len) {
		tidy(conn);
		return;
	}
	if (need == 0) {
		wait_for_turn(conn);
		return;
	}
	if (used > 0) {
		in->since = loop_now(conn->worker->loop);
	}
	if (!inbox_reserve(in, need)) {
		conn_gone(conn, 1011, "out of memory");
	}
}

void
read_pending(struct conn *conn)
{
	OBJ_CHECK(conn, CONN_MAGIC);
	if (conn->paused) {
		return;
	}
	conn->budget = TURN_MESSAGES;
	if (conn->in != NULL && conn->in->off < conn->in->len &&
	    conn->in->need == 0) {
		use_backlog(conn);
	}
	if (conn->state != CONN_GONE && !conn->ready) {
		conn_read_on(conn);
		conn_arm(conn);
	}
}

/* The peer has closed its side, or the connection broke. */
static void
on_end(struct conn *conn, ssize_t n)
{
	if (conn->state == CONN_CLOSING || conn->state == CONN_ENDING) {
		conn_gone(conn, conn->close_code, conn->close_reason);
		return;
	}
	conn_gone(conn, 1006,
	    n == 0 ? "connection closed without a close frame"
		   : "connection lost");
}

static bool
is_passing(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR ||
	    err == ENOBUFS || err == ENOMEM;
}

/* Read into a place; false when there was nothing, or no connection. */
static bool
fill(struct conn *conn, uint8_t *data, size_t size, size_t *np)
{
	ssize_t n = recv(conn->fd, data, size, MSG_DONTWAIT);

	if (n < 0 && is_passing(errno)) {
		return false;
	}
	if (n <= 0) {
		on_end(conn, n);
		return false;
	}
	count_add(&conn->worker->count.bytes_in, n);
	conn->heard = loop_now(conn->worker->loop);
	*np = (size_t)n;
	return true;
}

/* The rest of a frame that has begun, and not a byte more. */
static bool
read_rest(struct conn *conn)
{
	struct inbox *in = conn->in;
	size_t n;

	if (!fill(conn, in->data + in->len, in->need - in->len, &n)) {
		return false;
	}
	in->len += n;
	if (in->len < in->need) {
		return false;
	}
	in->need = 0;
	use_backlog(conn);
	return conn->state == CONN_OPEN && conn->in == NULL && !conn->ready;
}

void
read_socket(struct conn *conn)
{
	struct worker *w = conn->worker;
	size_t n;

	if (!port_has_room(&w->port)) {
		wait_for_turn(conn); /* the bus is behind */
		return;
	}
	conn->budget = TURN_MESSAGES;
	if (conn->state != CONN_HTTP && conn->in != NULL &&
	    conn->in->need > conn->in->len && !read_rest(conn)) {
		return;
	}
	if (!fill(conn, w->buffer, sizeof w->buffer, &n)) {
		return;
	}
	switch (conn->state) {
	case CONN_HTTP:
		upgrade_read(conn, w->buffer, n);
		break;
	case CONN_OPEN:
	case CONN_CLOSING:
		use_fresh(conn, w->buffer, n);
		break;
	default:
		break; /* nobody listens any more */
	}
}

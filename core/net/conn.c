/* SPDX-License-Identifier: Apache-2.0 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"
#include "loop/sockets.h"
#include "net/endpoint.h"
#include "net/inbox.h"
#include "net/peers.h"
#include "net/read.h"
#include "net/shed.h"
#include "net/upgrade.h"
#include "net/worker.h"

#define REASON_MAX 123 /* what a close frame has room for */

static void on_timer(void *arg);

/* Wait for what is wanted of the socket now. */
static void
watch(struct conn *conn)
{
	unsigned want =
	    (conn->reading ? EPOLLIN : 0u) | (conn->blocked ? EPOLLOUT : 0u);

	if (!sockets_watch(conn->worker->sockets, conn->fd, conn->watched, want,
		conn)) {
		conn_gone(conn, 1011, "out of memory");
		return;
	}
	conn->watched = (uint16_t)want;
}

void
conn_ready(void *arg, unsigned what)
{
	struct conn *conn;

	OBJ_CAST(conn, arg, CONN_MAGIC);
	if (conn->blocked && (what & ~(unsigned)EPOLLIN) != 0) {
		conn->blocked = false;
		conn_flush(conn);
		if (conn->state != CONN_GONE && !conn->blocked) {
			watch(conn);
		}
	}
	if (conn->reading && (what & ~(unsigned)EPOLLOUT) != 0) {
		read_socket(conn);
	}
}

struct conn *
conn_new(struct worker *w, int fd, struct peer *peer)
{
	struct conn *conn = try_new(sizeof *conn);

	if (conn == NULL) {
		return NULL;
	}
	conn->magic = CONN_MAGIC;
	conn->port.port = &w->port;
	conn->worker = w;
	conn->fd = fd;
	conn->state = CONN_HTTP;
	conn->peer = peer;
	conn->reader.max_message = w->conf.max_message;
	conn->since = loop_now(w->loop);
	conn->heard = conn->since;
	conn->out.raw = true;
	bucket_init(&conn->controls, CONTROLS_BURST, conn->since);
	timer_init(&conn->timer, on_timer, conn);
	TAILQ_INSERT_TAIL(&w->handshakes, conn, link);
	count_add(&w->half_open, 1);
	conn_read_on(conn);
	conn_arm(conn);
	return conn;
}

void
conn_free(struct conn **connp)
{
	struct conn *conn;

	OBJ_TAKE(conn, connp, CONN_MAGIC);
	assert(conn->state == CONN_GONE);
	TAILQ_REMOVE(&conn->worker->conns, conn, link);
	conn->magic = 0;
	free(conn);
}

void
conn_read_on(struct conn *conn)
{
	if (!conn->reading && !conn->paused && conn->state != CONN_GONE) {
		conn->reading = true;
		watch(conn);
	}
}

void
conn_read_off(struct conn *conn)
{
	if (conn->reading) {
		conn->reading = false;
		watch(conn);
	}
}

/* A frame of our own, behind whatever waits, whatever the budget. */
static bool
queue(struct conn *conn, const void *frame, size_t len)
{
	struct worker *w = conn->worker;
	struct piece piece = run_add(&w->solo, &w->pool, frame, len);

	if (conn->out.n == 0 && !conn->blocked) {
		conn->progress = 0; /* it begins to wait now */
	}
	return piece.chunk != NULL && outq_push(&conn->out, piece);
}

/* All that was queued is out. */
static void
after_flush(struct conn *conn)
{
	switch (conn->state) {
	case CONN_HTTP:
		if (conn->close_after) {
			conn->state = CONN_ENDING;
			conn->since = loop_now(conn->worker->loop);
			shutdown(conn->fd, SHUT_WR);
			conn_arm(conn);
		} else {
			upgrade_go_on(conn);
		}
		break;
	case CONN_CLOSING:
		if (conn->peer_closed) {
			conn_gone(conn, conn->close_code, conn->close_reason);
		}
		break;
	case CONN_ENDING:
		shutdown(conn->fd, SHUT_WR);
		break;
	default:
		break;
	}
}

void
conn_flush(struct conn *conn)
{
	struct worker *w = conn->worker;
	uint64_t wrote = 0;
	enum outq_result result;

	result = outq_flush(&conn->out, conn->fd, &wrote);
	count_add(&w->count.bytes_out, wrote);
	if (result == OUTQ_BROKEN) {
		conn_gone(conn, 1006, "connection lost");
		return;
	}
	if ((conn->tell || conn->owes) &&
	    conn->out.bytes < w->conf.outbox_limit / 2) {
		shed_report(conn);
		if (conn->tell) {
			worker_up(conn, PORT_READY);
		}
		conn->tell = false;
	}
	if (result == OUTQ_EMPTY) {
		after_flush(conn);
		return;
	}
	if (wrote > 0 || conn->progress == 0) {
		conn->progress = loop_now(w->loop);
	}
	outq_compact(&conn->out, &w->pool);
	conn->blocked = true;
	conn_arm(conn);
	watch(conn);
}

void
conn_make_dirty(struct conn *conn)
{
	if (!conn->dirty) {
		conn->dirty = true;
		worker_add(&conn->worker->dirty, conn);
	}
}

/* What only one gets has the double budget, and is judged by that. */
static void
mark_slow(struct conn *conn, uint64_t limit)
{
	bool alone = limit > conn->worker->conf.outbox_limit;

	conn->slow_alone = alone && (!conn->slow || conn->slow_alone);
	if (!conn->slow) {
		conn->slow = true;
		worker_add(&conn->worker->slow, conn);
	}
}

void
conn_starve(struct conn *conn)
{
	mark_slow(conn, 0);
	conn->lost = conn->starved = true;
}

/* Over the limit a piece is lost if the socket is blocked and nothing can be
 * dropped to make room; else the turn's flush decides, for a burst is no
 * slowness. */
void
conn_push(struct conn *conn, struct piece piece, uint64_t limit)
{
	bool over = conn->out.bytes + piece.len > limit;

	if (conn->lost) {
		return;
	}
	if (over) {
		mark_slow(conn, limit);
	}
	if (over && conn->blocked && !conn->sheds) {
		conn->lost = true;
		return;
	}
	if (!outq_push(&conn->out, piece)) {
		conn_starve(conn);
		return;
	}
	if (!conn->dirty) {
		if (conn->out.bytes == piece.len && !conn->blocked) {
			conn->progress = 0; /* it begins to wait now */
		}
		conn_make_dirty(conn);
	}
}

/* Queue our close frame, and be in no lane any more. */
static void
begin_close(struct conn *conn, uint16_t code, const char *reason)
{
	uint8_t frame[2 + 2 + REASON_MAX];
	size_t len = strnlen(reason, REASON_MAX);
	size_t head;

	lane_leave_all(conn->worker, conn);
	conn->paused = false; /* the peer's close frame is wanted */
	head = ws_head(frame, WS_CLOSE, 2 + len);
	frame[head] = (uint8_t)(code >> 8);
	frame[head + 1] = (uint8_t)code;
	memcpy(frame + head + 2, reason, len);
	queue(conn, frame, head + 2 + len);
	conn->state = CONN_CLOSING;
	conn->since = loop_now(conn->worker->loop);
	conn->close_code = code;
	conn_make_dirty(conn);
	conn_arm(conn);
	conn_read_on(conn);
}

void
conn_close(struct conn *conn, uint16_t code, const char *reason)
{
	if (conn->state != CONN_OPEN) {
		return;
	}
	if (conn->close_reason == NULL) {
		conn->close_reason = "closed by the bus";
	}
	begin_close(conn, code, reason);
}

void
conn_fail(struct conn *conn, uint16_t code, const char *reason)
{
	if (conn->state != CONN_OPEN) {
		return;
	}
	count_add(&conn->worker->count.protocol_errors, 1);
	conn->close_reason = "protocol error";
	begin_close(conn, code, reason);
	if (conn->state == CONN_GONE) {
		return;
	}
	/* Where its next frame would begin cannot be known any more. */
	conn->state = CONN_ENDING;
	inbox_free(&conn->in);
}

void
conn_drop_slow(struct conn *conn, uint64_t stuck, const char *fmt, ...)
{
	char reason[REASON_MAX + 1];
	uint64_t bytes = conn->out.bytes;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	count_add(&conn->worker->count.slow_consumers, 1);
	conn->lost = true;
	conn->close_reason = "slow consumer";
	shed_report_end(conn, outq_drop_unsent(&conn->out), bytes, stuck);
	outq_compact(&conn->out, &conn->worker->pool);
	conn_close(conn, 4008, reason);
}

void
conn_gone(struct conn *conn, uint16_t code, const char *reason)
{
	struct worker *w = conn->worker;

	if (conn->state == CONN_GONE) {
		return;
	}
	conn->state = CONN_GONE;
	conn->reading = conn->blocked = false;
	timer_stop(&conn->timer);
	close(conn->fd); /* which also ends the waiting for it */
	conn->fd = -1;
	lane_leave_all(w, conn);
	shed_forget(conn);
	outq_fini(&conn->out);
	inbox_free(&conn->in);
	peers_leave(&conn->peer);
	if (conn->ready) {
		worker_strike(&w->ready, conn);
	}
	atomic_fetch_sub(&w->connections, 1);
	if (conn->opened) {
		struct port_up *up = worker_up(conn, PORT_CLOSED);

		up->close_code = code;
		up->reason = reason == NULL ? "" : reason;
		return;
	}
	conn_leave_handshake(conn);
	count_add(&w->count.handshakes_failed, 1);
	worker_add(&w->dead, conn);
}

void
conn_leave_handshake(struct conn *conn)
{
	struct worker *w = conn->worker;

	TAILQ_REMOVE(&w->handshakes, conn, link);
	TAILQ_INSERT_TAIL(&w->conns, conn, link);
	count_add(&w->half_open, (uint64_t)-1);
}

static void
send_ping(struct conn *conn)
{
	static const uint8_t frame[2] = { 0x80 | WS_PING, 0 };

	conn->pinged = loop_now(conn->worker->loop);
	count_add(&conn->worker->count.pings_sent, 1);
	if (queue(conn, frame, sizeof frame)) {
		conn_make_dirty(conn);
	}
}

/* When the nearest thing has to be looked at; UINT64_MAX: never. */
static uint64_t
nearest(const struct conn *conn)
{
	const struct net_conf *c = &conn->worker->conf;
	uint64_t at = UINT64_MAX;

#define SOONER(when)                    \
	do {                            \
		uint64_t t_ = (when);   \
		at = t_ < at ? t_ : at; \
	} while (0)

	if (conn->state == CONN_HTTP) {
		SOONER(conn->since + c->handshake_timeout);
	}
	if (conn->state == CONN_CLOSING || conn->state == CONN_ENDING) {
		SOONER(conn->since + c->close_timeout);
	}
	if (conn->state != CONN_OPEN) {
		return at;
	}
	if (conn->blocked && c->write_timeout > 0) {
		SOONER(conn->progress + c->write_timeout);
	}
	if (conn->in != NULL && !conn->paused && !conn->ready) {
		SOONER(conn->in->since + c->message_timeout);
	}
	if (conn->pinged != 0 && !conn->paused) {
		SOONER(conn->pinged + c->ping_timeout);
	} else if (c->ping_interval > 0 && !conn->paused) {
		SOONER(conn->heard + c->ping_interval);
	}
#undef SOONER
	return at;
}

void
conn_arm(struct conn *conn)
{
	uint64_t now = loop_now(conn->worker->loop);
	uint64_t at = nearest(conn);

	if (at == UINT64_MAX) {
		timer_stop(&conn->timer);
		return;
	}
	timer_set(conn->worker->loop, &conn->timer, at > now ? at - now : 0);
}

static void
time_out(struct conn *conn, uint64_t now)
{
	const struct net_conf *c = &conn->worker->conf;
	char reason[REASON_MAX + 1];

	if (conn->blocked && c->write_timeout > 0 &&
	    now - conn->progress >= c->write_timeout) {
		conn_drop_slow(conn, c->write_timeout,
		    "slow consumer: no byte taken for %llu ms, %llu queued",
		    (unsigned long long)c->write_timeout,
		    (unsigned long long)conn->out.bytes);
		return;
	}
	if (conn->in != NULL && !conn->paused && !conn->ready &&
	    now - conn->in->since >= c->message_timeout) {
		count_add(&conn->worker->count.timeouts, 1);
		snprintf(reason, sizeof reason,
		    "message not complete after %llu ms",
		    (unsigned long long)c->message_timeout);
		conn_fail(conn, 1008, reason);
		return;
	}
	if (conn->paused) {
		return;
	}
	if (conn->pinged != 0 && conn->heard >= conn->pinged) {
		conn->pinged = 0;
	}
	if (conn->pinged != 0 && now - conn->pinged >= c->ping_timeout) {
		count_add(&conn->worker->count.timeouts, 1);
		snprintf(reason, sizeof reason, "nothing heard for %llu ms",
		    (unsigned long long)(now - conn->heard));
		conn->close_reason = "idle";
		conn_close(conn, 1001, reason);
		return;
	}
	if (conn->pinged == 0 && c->ping_interval > 0 &&
	    now - conn->heard >= c->ping_interval) {
		send_ping(conn);
	}
}

static void
on_timer(void *arg)
{
	struct conn *conn;
	uint64_t now;
	const struct net_conf *c;

	OBJ_CAST(conn, arg, CONN_MAGIC);
	c = &conn->worker->conf;
	now = loop_now(conn->worker->loop);
	switch (conn->state) {
	case CONN_HTTP:
		if (now - conn->since >= c->handshake_timeout) {
			count_add(&conn->worker->count.timeouts, 1);
			conn_gone(conn, 1006, "handshake timeout");
			return;
		}
		break;
	case CONN_CLOSING:
	case CONN_ENDING:
		if (now - conn->since >= c->close_timeout) {
			conn_gone(conn, conn->close_code, conn->close_reason);
			return;
		}
		break;
	case CONN_OPEN:
		time_out(conn, now);
		break;
	case CONN_GONE:
		return;
	}
	conn_arm(conn);
}

void
conn_address(const struct conn *conn, char text[PORT_ADDRESS_SIZE],
    bool *loopbackp)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof ss;

	(void)getpeername(conn->fd, (struct sockaddr *)&ss, &len);
	endpoint_text((struct sockaddr *)&ss, text, loopbackp);
}

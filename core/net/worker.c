/* SPDX-License-Identifier: Apache-2.0 */
#include "net/worker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/sockets.h"
#include "net/peers.h"
#include "net/read.h"
#include "proto/msg.h"

#define REFUSED_MAX 256 /* refused connections that may linger */

struct worker *
worker_new(struct loop *loop, const struct net_conf *conf)
{
	struct worker *w = xnew(sizeof *w);

	w->magic = WORKER_MAGIC;
	w->loop = loop;
	w->sockets = sockets_new(loop, conn_ready);
	w->conf = *conf;
	port_init(&w->port);
	w->newcomers = mailbox_new(sizeof(struct newcomer));
	w->pool.bytes = &w->port.outbox_bytes;
	TAILQ_INIT(&w->conns);
	TAILQ_INIT(&w->handshakes);
	return w;
}

void
worker_share(struct worker *w, struct loop *bus)
{
	OBJ_CHECK(w, WORKER_MAGIC);
	port_share(&w->port, bus, w->loop);
	mailbox_share(w->newcomers);
	loop_at_turn_end(w->loop, worker_turn_end, w);
	loop_before_wait(w->loop, worker_has_work, w);
}

void
worker_offer(struct worker *w, const struct newcomer *newcomer)
{
	struct newcomer *place;

	OBJ_CHECK(w, WORKER_MAGIC);
	place = mailbox_add(w->newcomers);
	*place = *newcomer;
	atomic_fetch_add(&w->connections, 1);
	if (mailbox_post(w->newcomers)) {
		loop_wake(w->loop);
	}
}

/* Oldest first: whoever has been silent longest makes room. */
static void
evict_half_open(struct worker *w)
{
	struct conn *conn = TAILQ_FIRST(&w->handshakes);

	if (w->conf.max_half_open > 0 &&
	    count_get(&w->half_open) >= w->conf.max_half_open && conn != NULL) {
		conn_gone(conn, 1006, "too many handshakes");
	}
}

/* Whoever is not welcome is told so, if there are not too many of those. */
static void
adopt(struct worker *w, struct newcomer *n)
{
	bool many = n->status != 0 &&
	    count_get(&w->half_open) >= w->conf.max_half_open + REFUSED_MAX;
	struct conn *conn = NULL;

	if (n->status == 0) {
		evict_half_open(w);
	}
	if (!many) {
		conn = conn_new(w, n->fd, n->peer);
	}
	if (conn == NULL) {
		count_add(&w->count.refused, 1);
		close(n->fd);
		peers_leave(&n->peer);
		atomic_fetch_sub(&w->connections, 1);
	} else if (n->status != 0) {
		conn_refuse(conn, n->status, n->reason);
	}
}

static void
adopt_newcomers(struct worker *w)
{
	struct newcomer *n;

	while ((n = mailbox_take(w->newcomers)) != NULL) {
		adopt(w, n);
	}
}

static void
bury(struct worker *w)
{
	for (size_t i = 0; i < w->dead.n; i++) {
		conn_free(&w->dead.conn[i]);
	}
	w->dead.n = 0;
}

void
worker_free(struct worker **workerp)
{
	struct worker *w;
	struct conn *conn;

	if (*workerp == NULL) {
		return;
	}
	OBJ_TAKE(w, workerp, WORKER_MAGIC);
	mailbox_post(w->newcomers);
	adopt_newcomers(w);
	worker_drop_strangers(w);
	bury(w);
	while ((conn = TAILQ_FIRST(&w->conns)) != NULL) {
		conn_gone(conn, 1006, "the worker stops");
		conn_free(&conn);
	}
	sockets_free(&w->sockets);
	port_fini(&w->port);
	mailbox_free(&w->newcomers);
	run_fini(&w->shared);
	run_fini(&w->solo);
	pool_fini(&w->pool);
	for (size_t i = 0; i < w->lane_cap; i++) {
		free(w->lane[i].conn);
	}
	free(w->lane);
	free(w->dirty.conn);
	free(w->ready.conn);
	free(w->slow.conn);
	free(w->dead.conn);
	free(w->received);
	free(w->pong);
	w->magic = 0;
	free(w);
}

void
worker_drop_strangers(struct worker *w)
{
	struct conn *conn, *next;

	OBJ_CHECK(w, WORKER_MAGIC);
	for (conn = TAILQ_FIRST(&w->handshakes); conn != NULL; conn = next) {
		next = TAILQ_NEXT(conn, link);
		if (conn->state != CONN_GONE) {
			conn_gone(conn, 1001, "the server stops");
		}
	}
}

/* These lists are as long as there are connections: our own choice. */
void
worker_add(struct conn_vector *v, struct conn *conn)
{
	if (!try_grow(&v->conn, &v->cap, v->n + 1, sizeof(struct conn *))) {
		abort();
	}
	v->conn[v->n++] = conn;
}

void
worker_strike(struct conn_vector *v, const struct conn *conn)
{
	for (size_t i = 0; i < v->n; i++) {
		if (v->conn[i] == conn) {
			v->conn[i] = NULL;
		}
	}
}

struct port_up *
worker_up(struct conn *conn, enum port_up_kind kind)
{
	struct port_up *up = mailbox_add(conn->worker->port.up);

	up->kind = kind;
	up->conn = &conn->port;
	return up;
}

static void
note_received(struct worker *w, uint64_t us)
{
	if (us != 0 &&
	    try_grow(&w->received, &w->received_cap, w->received_n + 1,
		sizeof *w->received)) {
		w->received[w->received_n++] = us;
	}
}

/* The frame where outboxes can refer to it: small ones are gathered, large
 * ones stay where they are. */
static struct piece
place(struct worker *w, struct run *run, struct aqb_msg *msg)
{
	struct aqb_slice frame = msg_frame(msg);
	struct chunk *c;

	if (frame.len <= RUN_PIECE_MAX) {
		return run_add(run, &w->pool, frame.data, frame.len);
	}
	c = chunk_of_msg(&w->pool, msg);
	if (c == NULL) {
		return (struct piece){ NULL, 0, 0 };
	}
	return (struct piece){ c, 0, c->len };
}

/* A chunk made for one message is held by the outboxes alone. */
static void
unplace(struct piece piece)
{
	if (piece.chunk != NULL && piece.chunk->msg != NULL) {
		chunk_unref(&piece.chunk);
	}
}

/*
 * The hot path: everything else costs a message, this costs a delivery.  Per
 * member it is a few comparisons and an addition to the piece that the
 * message before began; nothing is allocated and no byte is copied.
 */
static void
deliver(struct worker *w, const struct port_down *d)
{
	struct piece piece = { NULL, 0, 0 };
	struct lane *l;
	uint64_t n = 0;

	if (d->lane >= w->lane_cap || w->lane[d->lane].n == 0) {
		return;
	}
	l = &w->lane[d->lane];
	piece = place(w, &w->shared, d->msg);
	if (piece.chunk == NULL) {
		LOG(AQB_ERROR, "out of memory: a delivery was dropped");
		return;
	}
	for (uint32_t i = 0; i < l->n; i++) {
		struct conn *conn = l->conn[i];

		if (&conn->port == d->conn) {
			continue;
		}
		if (d->mark != 0) {
			if (conn->mark == d->mark) {
				continue;
			}
			conn->mark = d->mark;
		}
		conn_push(conn, piece, w->conf.outbox_limit);
		n++;
	}
	unplace(piece);
	count_add(&w->port.delivered, n);
	note_received(w, d->received_us);
}

/* What only one gets may go over the budget, once over. */
static void
send_one(struct worker *w, struct conn *conn, struct aqb_msg *msg)
{
	struct piece piece;

	if (conn->state != CONN_OPEN) {
		return;
	}
	piece = place(w, &w->solo, msg);
	if (piece.chunk == NULL) {
		conn_close(conn, 1011, "out of memory");
		return;
	}
	conn_push(conn, piece, 2 * w->conf.outbox_limit);
	unplace(piece);
}

static void
tell_when_ready(struct conn *conn)
{
	if (conn->state != CONN_OPEN) {
		return;
	}
	if (conn->out.bytes < conn->worker->conf.outbox_limit / 2) {
		worker_up(conn, PORT_READY);
		return;
	}
	conn->tell = true;
}

static void
pause_reading(struct conn *conn, bool pause)
{
	if (conn->state == CONN_GONE) {
		return;
	}
	conn->paused = pause;
	if (pause) {
		conn_read_off(conn);
		return;
	}
	conn->heard = loop_now(conn->worker->loop); /* it could not speak */
	conn->pinged = 0;
	if (conn->in != NULL && !conn->ready) {
		conn->ready = true;
		worker_add(&conn->worker->ready, conn);
	} else {
		conn_read_on(conn);
	}
	conn_arm(conn);
}

static void
obey(struct worker *w, struct port_down *d)
{
	struct conn *conn = (struct conn *)d->conn;

	switch (d->kind) {
	case PORT_JOIN:
		lane_join(w, conn, d->lane);
		break;
	case PORT_LEAVE:
		lane_leave(w, conn, d->lane);
		break;
	case PORT_DELIVER:
		deliver(w, d);
		break;
	case PORT_SEND:
		send_one(w, conn, d->msg);
		break;
	case PORT_CLOSE:
		conn_close(conn, d->code, d->reason == NULL ? "" : d->reason);
		break;
	case PORT_FORGET:
		worker_add(&w->dead, conn);
		break;
	case PORT_PAUSE:
		pause_reading(conn, true);
		break;
	case PORT_RESUME:
		pause_reading(conn, false);
		break;
	case PORT_TELL:
		tell_when_ready(conn);
		break;
	}
	port_unload(&w->port, d);
}

static void
drop_slow(struct worker *w)
{
	for (size_t i = 0; i < w->slow.n; i++) {
		struct conn *conn = w->slow.conn[i];

		if (conn->state == CONN_OPEN) {
			conn_drop_slow(conn,
			    "slow consumer: %llu bytes queued, limit %llu",
			    (unsigned long long)conn->out.bytes,
			    (unsigned long long)w->conf.outbox_limit);
		}
	}
	w->slow.n = 0;
}

/* The connection's place on the list of pings, a new one if it has none. */
struct pong *
worker_pong(struct conn *conn)
{
	struct worker *w = conn->worker;
	size_t i = w->pong_count;

	while (conn->ponging && i > 0) {
		if (w->pong[--i].conn == conn) {
			return &w->pong[i];
		}
	}
	if (!try_grow(&w->pong, &w->pong_cap, w->pong_count + 1,
		sizeof *w->pong)) {
		return NULL;
	}
	conn->ponging = true;
	w->pong[w->pong_count].conn = conn;
	return &w->pong[w->pong_count++];
}

static void
answer_pings(struct worker *w)
{
	for (size_t i = 0; i < w->pong_count; i++) {
		struct pong *pong = &w->pong[i];
		uint8_t frame[2 + sizeof pong->data];
		size_t head = ws_head(frame, WS_PONG, pong->len);
		struct piece piece;

		pong->conn->ponging = false;
		memcpy(frame + head, pong->data, pong->len);
		piece = run_add(&w->solo, &w->pool, frame, head + pong->len);
		if (piece.chunk != NULL && pong->conn->state == CONN_OPEN) {
			conn_push(pong->conn, piece, 2 * w->conf.outbox_limit);
		}
	}
	w->pong_count = 0;
}

static void
flush_dirty(struct worker *w)
{
	/* A flush may end a connection, but adds none to the list. */
	for (size_t i = 0; i < w->dirty.n; i++) {
		struct conn *conn = w->dirty.conn[i];

		conn->dirty = false;
		if (conn->state != CONN_GONE && !conn->blocked) {
			conn_flush(conn);
		}
	}
	w->dirty.n = 0;
	run_rewind(&w->shared);
	run_rewind(&w->solo);
}

static void
record_latency(struct worker *w)
{
	uint64_t now;

	if (w->received_n == 0) {
		return;
	}
	now = clock_mono_us();
	for (size_t i = 0; i < w->received_n; i++) {
		hist_add(&w->routing, now - w->received[i]);
	}
	w->received_n = 0;
}

/* Go on with what could not be handled last turn. */
static void
run_ready(struct worker *w)
{
	size_t n = w->ready.n;

	for (size_t i = 0; i < n; i++) {
		struct conn *conn = w->ready.conn[i];

		if (conn != NULL) {
			conn->ready = false;
			read_pending(conn);
		}
	}
	memmove(w->ready.conn, w->ready.conn + n,
	    (w->ready.n - n) * sizeof(struct conn *));
	w->ready.n -= n;
}

bool
worker_turn_end(void *arg)
{
	struct worker *w;
	struct port_down *d;

	OBJ_CAST(w, arg, WORKER_MAGIC);
	port_end_worker_turn(&w->port); /* the bus can begin meanwhile */
	adopt_newcomers(w);
	while ((d = mailbox_take(w->port.down)) != NULL) {
		obey(w, d);
	}
	answer_pings(w);
	drop_slow(w);
	flush_dirty(w);
	record_latency(w);
	bury(w);
	if (w->ready.n > 0 && port_has_room(&w->port)) {
		run_ready(w);
	}
	port_end_worker_turn(&w->port);
	return w->pong_count > 0 || (w->ready.n > 0 && port_has_room(&w->port));
}

bool
worker_has_work(void *arg)
{
	const struct worker *w;

	OBJ_CAST(w, arg, WORKER_MAGIC);
	return !mailbox_is_empty(w->port.down) ||
	    !mailbox_is_empty(w->newcomers);
}

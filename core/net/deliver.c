/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From what the bus posts to what the sockets get: messages into outboxes, and
 * at the end of the turn outboxes onto the wire.
 *
 * What it costs, counted with perf (one publisher, 100 receivers, 200 bytes,
 * 32 messages a turn): some 1,100 cycles a delivery, of which 1,000 are the
 * kernel's, in one send for each receiver and turn.  The 100 that are ours are
 * nearly all of the message, which 100 share: reading, checking and keeping
 * its JSON, its place in the history, malloc.  So what counts here is that
 * there is one system call a receiver and turn (a list of iovecs of shared
 * frames was more than twice as slow as one contiguous send), that a receiver
 * costs the same for one message and for many, and that nothing is touched of
 * who gets nothing.
 */

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/series.h"
#include "net/shed.h"
#include "net/worker.h"
#include "proto/msg.h"

static void
note_received(struct worker *w, uint64_t us)
{
	if (us != 0 &&
	    try_grow(&w->received, &w->received_cap, w->received_n + 1,
		sizeof *w->received)) {
		w->received[w->received_n++] = us;
	}
}

/* A frame that is too large for a run: the message's own, or a copy of what
 * was made of it. */
static struct chunk *
place_apart(struct worker *w, struct aqb_msg *msg, struct aqb_slice frame)
{
	struct chunk *c;

	if (frame.data == msg_frame(msg).data) {
		return chunk_of_msg(&w->pool, msg);
	}
	c = chunk_new(&w->pool, frame.len);
	if (c != NULL) {
		memcpy(c->own, frame.data, frame.len);
		c->len = (uint32_t)frame.len;
	}
	return c;
}

/* The frame where outboxes can refer to it: small ones are gathered, large
 * ones stay where they are.  The reference is the caller's. */
static struct piece
place(struct worker *w, struct run *run, struct aqb_msg *msg, unsigned form)
{
	struct aqb_slice frame = form_frame(&w->former, msg, form);
	struct piece piece = { NULL, 0, (uint32_t)frame.len };

	if (frame.len == 0) {
		return piece;
	}
	if (frame.len <= RUN_PIECE_MAX) {
		piece = run_add(run, &w->pool, frame.data, frame.len);
		if (piece.chunk != NULL) {
			piece.chunk->refs++;
		}
		return piece;
	}
	piece.chunk = place_apart(w, msg, frame);
	return piece;
}

/* Let it be dropped from outboxes.  Without memory it cannot be. */
static void
mark(const struct batch *b, const struct piece *piece, size_t i)
{
	struct aqb_msg_view v;

	msg_view(b->msg[i], &v);
	if (!chunk_mark(piece->chunk, b->series[i], v.seq, piece->off,
		piece->len)) {
		b->series[i]->is_holed = true;
	}
}

/* All that is pending, in one form: as few pieces as it makes. */
static void
place_batch(struct worker *w, unsigned form)
{
	struct batch *b = &w->batch;
	struct pieces *p = &b->form[form];

	p->is_placed = true;
	for (size_t i = 0; i < b->n; i++) {
		struct piece piece =
		    place(w, &w->shared[form], b->msg[i], form);
		struct piece *last = &p->piece[p->n == 0 ? 0 : p->n - 1];

		if (piece.chunk != NULL && b->series[i] != NULL) {
			mark(b, &piece, i);
		}
		if (piece.chunk == NULL) {
			p->is_short = true;
		} else if (p->n > 0 && piece_continues(last, &piece)) {
			last->len += piece.len;
			chunk_unref(&piece.chunk);
		} else {
			p->piece[p->n++] = piece;
		}
	}
	if (p->is_short) {
		LOG(AQB_ERROR, "out of memory: receivers are closed");
	}
}

static void
push_batch(struct worker *w, struct conn *conn)
{
	struct pieces *p = &w->batch.form[conn->form];

	if (!p->is_placed) {
		place_batch(w, conn->form);
	}
	for (size_t i = 0; i < p->n; i++) {
		conn_push(conn, p->piece[i], w->conf.outbox_limit);
	}
	if (p->is_short) {
		conn_starve(conn);
	}
}

/* Forget the batch; it is in outboxes now. */
static void
clear_batch(struct batch *b)
{
	for (unsigned form = 0; form < FORMS; form++) {
		struct pieces *p = &b->form[form];

		while (p->n > 0) {
			chunk_unref(&p->piece[--p->n].chunk);
		}
		p->is_placed = p->is_short = false;
	}
	while (b->n > 0) {
		msg_unref(&b->msg[--b->n]);
		series_unref(&b->series[b->n]);
	}
	b->sheds = false;
}

/* From now on it is worth looking into their outboxes when they are full. */
static void
let_shed(const struct lane *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		l->conn[i]->sheds = true;
	}
}

/*
 * The hot path: everything else costs a message, this costs a receiver.  What
 * one publisher said in a turn goes to each member as one piece, mostly
 * (place_batch), so that a member costs a few comparisons and an addition to
 * its outbox for many messages together; nothing is allocated and no byte is
 * copied.
 */
void
deliver_batch(struct worker *w)
{
	struct batch *b = &w->batch;
	const struct lane *l;
	uint64_t receivers = 0;

	if (b->n == 0) {
		return;
	}
	l = &w->lane[b->lane];
	if (b->sheds) {
		let_shed(l);
	}
	for (uint32_t i = 0; i < l->n; i++) {
		struct conn *conn = l->conn[i];

		if (&conn->port == b->except ||
		    (b->mark != 0 && conn->mark == b->mark)) {
			continue;
		}
		if (b->mark != 0) {
			conn->mark = b->mark;
		}
		push_batch(w, conn);
		receivers++;
	}
	count_add(&w->port.delivered, receivers * b->n);
	clear_batch(b);
}

/* The series of a message that may be dropped; NULL: it may not. */
static struct series *
find_series(struct worker *w, const struct port_down *d)
{
	struct aqb_msg_view v;
	struct series *s;

	if (d->policy == SLOW_DISCONNECT) {
		return NULL;
	}
	msg_view(d->msg, &v);
	if (v.seq == 0) {
		return NULL; /* no gap could tell of it */
	}
	s = series_go_on(&w->series, d->lane, d->policy, &v);
	w->batch.sheds |= s != NULL;
	return s;
}

/* Messages to the same are gathered; whatever else happens comes after
 * deliver_batch(), so that order is kept. */
void
deliver(struct worker *w, struct port_down *d)
{
	struct batch *b = &w->batch;

	if (b->lane != d->lane || b->except != d->conn || b->mark != d->mark ||
	    b->n == BATCH_MAX) {
		deliver_batch(w);
		b->lane = d->lane;
		b->except = d->conn;
		b->mark = d->mark;
	}
	if (d->lane < w->lane_cap && w->lane[d->lane].n > 0) {
		b->series[b->n] = find_series(w, d);
		b->msg[b->n++] = msg_ref(d->msg);
		note_received(w, d->received_us);
	}
}

/* What only one gets may go over the budget, once over. */
void
deliver_one(struct worker *w, struct conn *conn, struct aqb_msg *msg)
{
	struct piece piece;

	if (conn->state != CONN_OPEN) {
		return;
	}
	piece = place(w, &w->solo, msg, conn->form);
	if (piece.chunk == NULL) {
		conn_close(conn, 1011, "out of memory");
		return;
	}
	conn_push(conn, piece, 2 * w->conf.outbox_limit);
	chunk_unref(&piece.chunk);
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

static bool
is_over(const struct conn *conn)
{
	uint64_t limit = conn->worker->conf.outbox_limit;

	return conn->lost ||
	    conn->out.bytes > (conn->slow_alone ? 2 : 1) * limit;
}

/* Who is over its budget although it was offered all it would take, and what
 * may be dropped is; and who lacks something. */
static void
drop_slow(struct worker *w)
{
	for (size_t i = 0; i < w->slow.n; i++) {
		struct conn *conn = w->slow.conn[i];

		if (conn->state != CONN_OPEN) {
			continue;
		}
		if (conn->starved) {
			conn->close_reason = "out of memory";
			conn_close(conn, 1011, "out of memory");
			continue;
		}
		if (is_over(conn) && conn->sheds && !conn->lost) {
			conn->lost = !shed(conn, w->conf.outbox_limit / 2);
		}
		if (!is_over(conn)) {
			conn->slow = false;
			shed_report(conn);
			continue;
		}
		conn_drop_slow(conn, 0,
		    "slow consumer: %llu bytes queued, limit %llu",
		    (unsigned long long)conn->out.bytes,
		    (unsigned long long)w->conf.outbox_limit);
	}
	w->slow.n = 0;
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
}

static void
end_runs(struct worker *w)
{
	for (unsigned form = 0; form < FORMS; form++) {
		run_rewind(&w->shared[form]);
	}
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

void
deliver_end_turn(struct worker *w)
{
	deliver_batch(w);
	answer_pings(w);
	flush_dirty(w);
	drop_slow(w);
	flush_dirty(w); /* their goodbyes */
	end_runs(w);
	record_latency(w);
}

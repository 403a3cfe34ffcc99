/* SPDX-License-Identifier: Apache-2.0 */

/* From what the bus posts to what the sockets get: messages into outboxes,
 * and at the end of the turn outboxes onto the wire. */

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
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
place_apart(struct worker *w, struct aqb_msg *msg, unsigned form,
    struct aqb_slice frame)
{
	struct chunk *c;

	if (form_is_plain(msg, form)) {
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
	piece.chunk = place_apart(w, msg, form, frame);
	return piece;
}

/*
 * The hot path: everything else costs a message, this costs a delivery.  Per
 * member it is a few comparisons and an addition to the piece that the
 * message before began; nothing is allocated and no byte is copied.
 */
void
deliver(struct worker *w, const struct port_down *d)
{
	struct piece placed[FORMS] = { 0 };
	struct lane *l;
	uint64_t n = 0;

	if (d->lane >= w->lane_cap || w->lane[d->lane].n == 0) {
		return;
	}
	l = &w->lane[d->lane];
	for (uint32_t i = 0; i < l->n; i++) {
		struct conn *conn = l->conn[i];
		struct piece *piece = &placed[conn->form];

		if (&conn->port == d->conn) {
			continue;
		}
		if (d->mark != 0) {
			if (conn->mark == d->mark) {
				continue;
			}
			conn->mark = d->mark;
		}
		if (piece->chunk == NULL) {
			*piece = place(w, &w->shared[conn->form], d->msg,
			    conn->form);
			if (piece->chunk == NULL) {
				LOG(AQB_ERROR,
				    "out of memory: a delivery was dropped");
				break;
			}
		}
		conn_push(conn, *piece, w->conf.outbox_limit);
		n++;
	}
	for (unsigned form = 0; form < FORMS; form++) {
		chunk_unref(&placed[form].chunk);
	}
	count_add(&w->port.delivered, n);
	note_received(w, d->received_us);
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
	answer_pings(w);
	drop_slow(w);
	flush_dirty(w);
	record_latency(w);
}

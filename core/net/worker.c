/* SPDX-License-Identifier: Apache-2.0 */
#include "net/worker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/sockets.h"
#include "net/inbox.h"
#include "net/peers.h"
#include "net/read.h"
#include "net/series.h"
#include "net/shed.h"
#include "proto/deflate.h"

#define REFUSED_MAX 256 /* refused connections that may linger */
#define TURN_MAX 4096   /* entries of the bus in a turn */

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
	former_init(&w->former, conf, &w->count);
	if (conf->deflate) {
		w->inflater = inflater_new();
	}
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

/* Whoever came first makes room. */
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
	} else if (n->status != 0 && conn->state != CONN_GONE) {
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
	for (unsigned form = 0; form < FORMS; form++) {
		run_fini(&w->shared[form]);
	}
	series_drop_all(&w->series);
	former_fini(&w->former);
	inflater_free(&w->inflater);
	buf_fini(&w->inflated);
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
	if (conn->state != CONN_OPEN) {
		return;
	}
	conn->paused = pause;
	if (pause) {
		conn_read_off(conn);
		return;
	}
	conn->heard = loop_now(conn->worker->loop); /* it could not speak */
	conn->pinged = 0;
	if (conn->in != NULL) {
		conn->in->since = conn->heard;
	}
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

	if (d->kind != PORT_DELIVER) {
		deliver_batch(w);
	}
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
		deliver_one(w, conn, d->msg);
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
	case PORT_BINARY:
		conn->form |= FORM_BINARY;
		break;
	case PORT_TEXT:
		conn->form &= (uint8_t)~FORM_BINARY;
		break;
	case PORT_CUT:
		shed_cut(w, d->bytes);
		break;
	case PORT_TELL:
		tell_when_ready(conn);
		break;
	}
	port_unload(&w->port, d);
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

/* Not without end: the bus may bring more as fast as it is taken, and nothing
 * is written before the end of the turn. */
static void
obey_some(struct worker *w)
{
	struct port_down *d;

	for (unsigned i = 0; i < TURN_MAX; i++) {
		d = mailbox_take(w->port.down);
		if (d == NULL) {
			return;
		}
		obey(w, d);
	}
}

bool
worker_turn_end(void *arg)
{
	struct worker *w;

	OBJ_CAST(w, arg, WORKER_MAGIC);
	port_end_worker_turn(&w->port); /* the bus can begin meanwhile */
	adopt_newcomers(w);
	obey_some(w);
	deliver_end_turn(w);
	bury(w);
	if (w->ready.n > 0 && port_has_room(&w->port)) {
		run_ready(w);
	}
	port_end_worker_turn(&w->port);
	return w->dirty.n > 0 || w->pong_count > 0 ||
	    !mailbox_is_empty(w->port.down) ||
	    (w->ready.n > 0 && port_has_room(&w->port));
}

bool
worker_has_work(void *arg)
{
	struct worker *w;

	OBJ_CAST(w, arg, WORKER_MAGIC);
	return !mailbox_is_empty(w->port.down) ||
	    !mailbox_is_empty(w->newcomers) ||
	    (w->ready.n > 0 && port_has_room(&w->port));
}

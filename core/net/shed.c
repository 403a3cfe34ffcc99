/* SPDX-License-Identifier: Apache-2.0 */
#include "net/shed.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "net/series.h"
#include "net/worker.h"

#define RANGES_MAX 4096 /* of one connection, not told yet */
#define NEWS_EVERY 1000 /* ms, at least */
#define WORTH 16        /* part of an outbox for which nobody is cut */

/* Messages of one series, all lost. */
struct range {
	struct series *series;
	uint64_t from;
	uint64_t to;
};

/* What one connection has lost. */
struct loss {
	struct conn *conn;
	uint64_t round; /* of the last shed() */
	struct range *range;
	size_t n;
	size_t cap;
	bool is_broken; /* not all of it could be kept */
	/* Since it was news. */
	uint64_t dropped[SLOW_POLICIES];
	uint64_t bytes[SLOW_POLICIES];
	uint64_t news; /* when, monotonic ms */
	UT_hash_handle hh;
};

static struct loss *
find(const struct conn *conn)
{
	struct loss *l;

	HASH_FIND_PTR(conn->worker->losses, &conn, l);
	return l;
}

static struct loss *
get(struct conn *conn)
{
	struct loss *l = find(conn);

	if (l != NULL) {
		return l;
	}
	l = try_new(sizeof *l);
	if (l == NULL) {
		return NULL;
	}
	l->conn = conn;
	HASH_ADD_PTR(conn->worker->losses, conn, l);
	if (!HASH_WAS_ADDED(l)) {
		free(l);
		return NULL;
	}
	return l;
}

static bool
is_same_place(const struct series *a, const struct series *b)
{
	return a == b ||
	    (a->lane == b->lane && strcmp(a->epoch, b->epoch) == 0 &&
		strcmp(a->channel, b->channel) == 0 &&
		strcmp(a->room, b->room) == 0);
}

/* What was lost before and ends right before this one; NULL: nothing. */
static struct range *
find_before(struct loss *l, const struct mark *m)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->range[i].to + 1 == m->seq &&
		    is_same_place(l->range[i].series, m->series)) {
			return &l->range[i];
		}
	}
	return NULL;
}

/* In one round each series loses what stands side by side in the outbox: one
 * range, for nothing between could have been sent.  What was lost in rounds
 * before is continued only without a hole. */
static void
note(struct loss *l, const struct mark *m)
{
	struct series *s = m->series;
	struct range *r = NULL;

	if (s->lost_round == l->round && !s->is_holed) {
		l->range[s->place].to = m->seq;
		return;
	}
	r = find_before(l, m);
	if (r == NULL && l->n < RANGES_MAX &&
	    try_grow(&l->range, &l->cap, l->n + 1, sizeof *r)) {
		r = &l->range[l->n++];
		r->series = series_ref(s);
		r->from = m->seq;
	}
	if (r == NULL) {
		l->is_broken = true;
		return;
	}
	r->to = m->seq;
	s->lost_round = l->round;
	s->place = (size_t)(r - l->range);
}

static void
on_lost(void *arg, const struct mark *m)
{
	struct loss *l = arg;
	enum slow_policy policy = m->series->policy;

	l->dropped[policy]++;
	l->bytes[policy] += m->len;
	count_add(&l->conn->worker->count.dropped[policy], 1);
	note(l, m);
}

bool
shed(struct conn *conn, uint64_t goal)
{
	struct worker *w = conn->worker;
	struct loss *l = get(conn);

	if (l == NULL) {
		return false;
	}
	l->round = ++w->shed_round;
	if (!outq_shed(&conn->out, goal, l->round, on_lost, l) ||
	    l->is_broken) {
		return false;
	}
	outq_compact(&conn->out, &w->pool);
	conn->owes = l->n > 0;
	return true;
}

static void
drop_ranges(struct loss *l)
{
	while (l->n > 0) {
		series_unref(&l->range[--l->n].series);
	}
	free(l->range);
	l->range = NULL;
	l->cap = 0;
}

static struct port_slow *
make_report(const struct loss *l)
{
	struct port_slow *slow =
	    try_new(sizeof *slow + l->n * sizeof slow->loss[0]);

	if (slow == NULL) {
		return NULL;
	}
	slow->limit = l->conn->worker->conf.outbox_limit;
	slow->n = l->n;
	for (size_t i = 0; i < l->n; i++) {
		const struct range *r = &l->range[i];
		struct port_loss *to = &slow->loss[i];

		to->from = r->from;
		to->to = r->to;
		memcpy(to->epoch, r->series->epoch, sizeof to->epoch);
		memcpy(to->room, r->series->room, sizeof to->room);
		memcpy(to->channel, r->series->channel, sizeof to->channel);
	}
	return slow;
}

/* Numbers for whoever watches. */
static void
take_news(struct port_slow *slow, struct loss *l)
{
	slow->is_news = true;
	memcpy(slow->dropped, l->dropped, sizeof slow->dropped);
	memcpy(slow->bytes, l->bytes, sizeof slow->bytes);
	memset(l->dropped, 0, sizeof l->dropped);
	memset(l->bytes, 0, sizeof l->bytes);
}

void
shed_report(struct conn *conn)
{
	uint64_t now = loop_now(conn->worker->loop);
	struct port_slow *slow;
	struct loss *l;

	if (!conn->owes || conn->state != CONN_OPEN ||
	    conn->out.bytes >= conn->worker->conf.outbox_limit / 2) {
		return;
	}
	l = find(conn);
	slow = make_report(l);
	if (slow == NULL) {
		/* Who cannot be told of a loss must not go on as if nothing
		 * were missing. */
		conn_close(conn, 1011, "out of memory");
		return;
	}
	if (l->news == 0 || now - l->news >= NEWS_EVERY) {
		l->news = now;
		take_news(slow, l);
	}
	drop_ranges(l);
	conn->owes = false;
	worker_up(conn, PORT_SLOW)->slow = slow;
}

void
shed_report_end(struct conn *conn, uint64_t dropped, uint64_t bytes,
    uint64_t stuck)
{
	struct loss *l = find(conn);
	struct port_slow *slow;

	count_add(&conn->worker->count.dropped[SLOW_DISCONNECT], dropped);
	slow = try_new(sizeof *slow);
	if (slow == NULL) {
		return;
	}
	if (l != NULL) {
		take_news(slow, l); /* there is no other time for them */
	}
	slow->is_news = true;
	slow->dropped[SLOW_DISCONNECT] = dropped;
	slow->bytes[SLOW_DISCONNECT] = bytes;
	slow->limit = conn->worker->conf.outbox_limit;
	slow->stuck = stuck;
	slow->is_end = true;
	worker_up(conn, PORT_SLOW)->slow = slow;
}

void
shed_leave(struct conn *conn, uint32_t lane)
{
	if (conn->sheds && conn->out.n > 0) {
		series_end(&conn->worker->series, lane);
	}
}

void
shed_forget(struct conn *conn)
{
	struct loss *l;

	if (!conn->sheds) {
		return;
	}
	conn->owes = false;
	l = find(conn);
	if (l != NULL) {
		HASH_DEL(conn->worker->losses, l);
		drop_ranges(l);
		free(l);
	}
}

static int
fullest_first(const void *a, const void *b)
{
	uint64_t x = (*(struct conn *const *)a)->out.bytes;
	uint64_t y = (*(struct conn *const *)b)->out.bytes;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Those that it is worth while to look at, fullest first. */
static void
find_fullest(struct worker *w, struct conn_vector *v)
{
	struct conn *conn;

	TAILQ_FOREACH (conn, &w->conns, link) {
		if (conn->state == CONN_OPEN && conn->blocked &&
		    conn->out.bytes >= w->conf.outbox_limit / WORTH) {
			worker_add(v, conn);
		}
	}
	if (v->n > 1) {
		qsort(v->conn, v->n, sizeof(struct conn *), fullest_first);
	}
}

/* One of them, until no more than `goal` bytes are held in all. */
static void
cut(struct conn *conn, uint64_t goal)
{
	uint64_t least = conn->worker->conf.outbox_limit / WORTH;
	bool is_whole = !conn->sheds || shed(conn, least);
	uint64_t held = count_get(conn->worker->pool.bytes);

	shed_report(conn);
	if (conn->state != CONN_OPEN ||
	    (is_whole && (held <= goal || conn->out.bytes < least))) {
		return;
	}
	conn_drop_slow(conn, 0,
	    "slow consumer: %llu bytes queued, memory is short of %llu",
	    (unsigned long long)conn->out.bytes,
	    (unsigned long long)(held > goal ? held - goal : 0));
}

void
shed_cut(struct worker *w, uint64_t bytes)
{
	uint64_t held = count_get(w->pool.bytes);
	uint64_t goal = held > bytes ? held - bytes : 0;
	struct conn_vector v = { 0 };

	find_fullest(w, &v);
	for (size_t i = 0; i < v.n; i++) {
		if (count_get(w->pool.bytes) <= goal) {
			break;
		}
		cut(v.conn[i], goal);
	}
	free(v.conn);
}

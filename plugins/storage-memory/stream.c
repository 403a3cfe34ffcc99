/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Names are the peers' choice: hash them as the broker does. */
static const struct aqb_host *hash_host;
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->hh.tbl = NULL)
#define HASH_FUNCTION(keyptr, keylen, hashv) \
	((hashv) = (unsigned)hash_host->hash(keyptr, keylen))
#include <uthash.h>

#define FIRST_CAP 8

/* One message that is kept.  Its place in the ring follows from its seq. */
struct entry {
	struct stream *stream;
	struct aqb_msg *msg;
	uint64_t seq;
	uint64_t since; /* ms of the clock that append was told */
	uint32_t bytes;
	TAILQ_ENTRY(entry) age;
};

/* seq and epoch outlive the messages: an empty stream goes on counting. */
struct stream {
	UT_hash_handle hh;
	char epoch[AQB_EPOCH_SIZE];
	struct entry **ring; /* of cap, at seq % cap */
	size_t cap;
	size_t n;
	uint64_t last; /* seq of the newest ever */
	uint64_t ttl;  /* ms, of all its messages; 0: for ever */
	bool is_ageing;
	TAILQ_ENTRY(stream) empty;
	TAILQ_ENTRY(stream) ageing;
	char name[];
};

void
streams_init(struct streams *all, const struct aqb_host *host,
    uint64_t memory_limit)
{
	*all = (struct streams){ .host = host, .memory_limit = memory_limit };
	TAILQ_INIT(&all->by_age);
	TAILQ_INIT(&all->empty);
	TAILQ_INIT(&all->ageing);
	hash_host = host;
}

void
streams_fini(struct streams *all)
{
	struct stream *s, *next;

	HASH_ITER(hh, all->by_name, s, next)
	{
		stream_drop(all, s);
	}
}

/* What a stream costs beside its messages. */
static uint64_t
overhead(const struct stream *s)
{
	return sizeof *s + strlen(s->name) + 1 + s->cap * sizeof *s->ring;
}

static uint64_t
first_seq(const struct stream *s)
{
	return s->last + 1 - s->n;
}

static struct entry *
at(const struct stream *s, uint64_t seq)
{
	return s->ring[seq % s->cap];
}

/* Has the oldest message of a stream had its time? */
static bool
is_over(const struct stream *s, uint64_t now)
{
	return s->ttl > 0 && now - at(s, first_seq(s))->since >= s->ttl;
}

/* Is there something that the sweep must come back for? */
static void
note_ageing(struct streams *all, struct stream *s)
{
	bool is_ageing = s->n > 0 && s->ttl > 0;

	if (is_ageing == s->is_ageing) {
		return;
	}
	s->is_ageing = is_ageing;
	if (is_ageing) {
		TAILQ_INSERT_TAIL(&all->ageing, s, ageing);
		all->ageing_count++;
	} else {
		TAILQ_REMOVE(&all->ageing, s, ageing);
		all->ageing_count--;
	}
}

/* Let the oldest message of a stream go. */
static void
drop_first(struct streams *all, struct stream *s)
{
	struct entry *e = at(s, first_seq(s));

	s->ring[e->seq % s->cap] = NULL;
	s->n--;
	TAILQ_REMOVE(&all->by_age, e, age);
	all->messages--;
	all->bytes -= e->bytes + sizeof *e;
	all->host->msg_unref(&e->msg);
	free(e);
	if (s->n == 0) {
		TAILQ_INSERT_TAIL(&all->empty, s, empty);
		note_ageing(all, s);
	}
}

/* Let those go that had their time, but no more than `most`; how many. */
static size_t
drop_expired(struct streams *all, struct stream *s, uint64_t now, size_t most)
{
	size_t n = 0;

	for (; n < most && s->n > 0 && is_over(s, now); n++) {
		drop_first(all, s);
	}
	all->expired += n;
	return n;
}

/* A stream that has become quiet keeps no large ring.  Not for one that is
 * about to be filled again: that may fail. */
static void
free_empty_ring(struct streams *all, struct stream *s)
{
	if (s->n > 0) {
		return;
	}
	all->bytes -= s->cap * sizeof *s->ring;
	free(s->ring);
	s->ring = NULL;
	s->cap = 0;
}

void
stream_drop(struct streams *all, struct stream *s)
{
	while (s->n > 0) {
		drop_first(all, s);
	}
	TAILQ_REMOVE(&all->empty, s, empty);
	HASH_DEL(all->by_name, s);
	all->count--;
	all->bytes -= overhead(s);
	free(s->ring);
	free(s);
}

/* The oldest of all messages, but never the newest of `keep`. */
static bool
evict_message(struct streams *all, const struct stream *keep)
{
	struct entry *oldest = TAILQ_FIRST(&all->by_age);
	struct stream *s;

	if (oldest == NULL ||
	    (oldest->stream == keep && oldest->seq == keep->last)) {
		return false;
	}
	s = oldest->stream;
	drop_first(all, s);
	free_empty_ring(all, s);
	all->evicted++;
	return true;
}

/* The stream that has been empty for longest, but never `keep`. */
static bool
evict_stream(struct streams *all, const struct stream *keep)
{
	struct stream *s = TAILQ_FIRST(&all->empty);

	if (s != NULL && s == keep) {
		s = TAILQ_NEXT(s, empty);
	}
	if (s == NULL) {
		return false;
	}
	stream_drop(all, s);
	return true;
}

/* Messages go before positions: without its position a stream cannot tell a
 * client that comes back what it missed. */
static void
keep_within_limit(struct streams *all, const struct stream *keep)
{
	while (all->bytes > all->memory_limit &&
	    (evict_message(all, keep) || evict_stream(all, keep))) {
	}
}

struct stream *
stream_find(struct streams *all, const char *name)
{
	struct stream *s;

	HASH_FIND(hh, all->by_name, name, strlen(name), s);
	return s;
}

static void
make_epoch(char epoch[AQB_EPOCH_SIZE])
{
	uint64_t random = 0;

	/* Small reads of an initialised pool cannot fail. */
	(void)!getrandom(&random, sizeof random, 0);
	snprintf(epoch, AQB_EPOCH_SIZE, "%016llx", (unsigned long long)random);
}

struct stream *
stream_get(struct streams *all, const char *name)
{
	struct stream *s = stream_find(all, name);
	size_t len = strlen(name);

	if (s != NULL) {
		return s;
	}
	s = calloc(1, sizeof *s + len + 1);
	if (s == NULL) {
		return NULL;
	}
	memcpy(s->name, name, len + 1);
	make_epoch(s->epoch);
	HASH_ADD_KEYPTR(hh, all->by_name, s->name, len, s);
	if (s->hh.tbl == NULL) {
		free(s);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&all->empty, s, empty);
	all->count++;
	all->bytes += overhead(s);
	keep_within_limit(all, s);
	return s;
}

/* Another ring of this size, with what is kept in its new places. */
static int
resize(struct streams *all, struct stream *s, size_t cap)
{
	struct entry **ring = calloc(cap, sizeof *ring);

	if (ring == NULL) {
		return AQB_ENOMEM;
	}
	for (uint64_t seq = first_seq(s); seq <= s->last; seq++) {
		ring[seq % cap] = at(s, seq);
	}
	all->bytes += cap * sizeof *ring;
	all->bytes -= s->cap * sizeof *ring;
	free(s->ring);
	s->ring = ring;
	s->cap = cap;
	return AQB_OK;
}

/* Room for one more of at most `most`; the ring doubles until it holds
 * that. */
static int
make_room(struct streams *all, struct stream *s, size_t most)
{
	size_t cap;

	while (s->n >= most) {
		drop_first(all, s);
	}
	if (s->n < s->cap) {
		/* One that has become far too large does as well, when there
		 * is no memory for a smaller one. */
		if (s->cap / 2 > most + FIRST_CAP) {
			(void)resize(all, s, most);
		}
		return AQB_OK;
	}
	cap = s->cap == 0 ? FIRST_CAP : s->cap * 2;
	return resize(all, s, cap < most ? cap : most);
}

/* A position for what is not kept: nor may anything before it be, for the
 * seqs in a ring have no holes. */
static void
keep_none(struct streams *all, struct stream *s)
{
	while (s->n > 0) {
		drop_first(all, s);
	}
	free_empty_ring(all, s);
	s->last++;
	/* It is in use: others have been empty for longer. */
	TAILQ_REMOVE(&all->empty, s, empty);
	TAILQ_INSERT_TAIL(&all->empty, s, empty);
}

static void
push(struct streams *all, struct stream *s, struct entry *e,
    struct aqb_msg *msg, uint64_t now)
{
	struct aqb_msg_view view = { .size = sizeof view };

	all->host->msg_view(msg, &view);
	*e = (struct entry){
		.stream = s,
		.msg = all->host->msg_ref(msg),
		.seq = ++s->last,
		.since = now,
		.bytes = view.bytes,
	};
	if (s->n == 0) {
		TAILQ_REMOVE(&all->empty, s, empty);
	}
	s->ring[e->seq % s->cap] = e;
	s->n++;
	TAILQ_INSERT_TAIL(&all->by_age, e, age);
	all->messages++;
	all->bytes += e->bytes + sizeof *e;
}

int
stream_append(struct streams *all, struct stream *s,
    const struct aqb_limits *limits, struct aqb_msg *msg, uint64_t now,
    struct aqb_position *posp)
{
	struct entry *e = NULL;

	s->ttl = limits->history_ttl;
	note_ageing(all, s);
	drop_expired(all, s, now, SIZE_MAX);
	if (limits->history_size == 0) {
		keep_none(all, s);
	} else {
		e = malloc(sizeof *e);
		if (e == NULL ||
		    make_room(all, s, limits->history_size) != AQB_OK) {
			free(e);
			return AQB_ENOMEM;
		}
		push(all, s, e, msg, now);
		note_ageing(all, s);
		keep_within_limit(all, s);
	}
	posp->seq = s->last;
	memcpy(posp->epoch, s->epoch, sizeof posp->epoch);
	return AQB_OK;
}

void
stream_expire(struct streams *all, struct stream *s, uint64_t now)
{
	drop_expired(all, s, now, SIZE_MAX);
	free_empty_ring(all, s);
}

void
streams_sweep(struct streams *all, uint64_t now, size_t most)
{
	for (uint64_t i = all->ageing_count; i > 0 && most > 0; i--) {
		struct stream *s = TAILQ_FIRST(&all->ageing);

		most--;
		most -= drop_expired(all, s, now, most);
		free_empty_ring(all, s);
		if (s->is_ageing && !is_over(s, now)) {
			TAILQ_REMOVE(&all->ageing, s, ageing);
			TAILQ_INSERT_TAIL(&all->ageing, s, ageing);
		}
	}
}

void
stream_ends(const struct stream *s, struct aqb_answer *answerp)
{
	answerp->pos.seq = s->last;
	memcpy(answerp->pos.epoch, s->epoch, sizeof answerp->pos.epoch);
	answerp->first = first_seq(s);
}

static bool
is_from(const struct aqb_msg_view *view, const char *from)
{
	return from == NULL ||
	    (strlen(from) == view->from.len &&
		memcmp(from, view->from.data, view->from.len) == 0);
}

/* Does the range want this message, by what its position does not tell? */
static bool
is_wanted(const struct streams *all, const struct aqb_range *range,
    const struct entry *e, uint32_t *bytesp)
{
	struct aqb_msg_view view = { .size = sizeof view };

	*bytesp = (uint32_t)all->host->msg_json(e->msg).len + 1;
	all->host->msg_view(e->msg, &view);
	return (range->since == 0 || view.timestamp >= range->since) &&
	    (range->until == 0 || view.timestamp <= range->until) &&
	    is_from(&view, range->from);
}

/* The seqs that the range may hold: [*lop, *hip). */
static void
bounds(const struct stream *s, const struct aqb_range *range, uint64_t *lop,
    uint64_t *hip)
{
	*lop = first_seq(s);
	*hip = s->last + 1;
	if (range->after >= *lop) {
		*lop = range->after < *hip ? range->after + 1 : *hip;
	}
	if (range->before != 0 && range->before < *hip) {
		*hip = range->before > *lop ? range->before : *lop;
	}
}

static void
reverse(struct aqb_msg **msgs, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct aqb_msg *m = msgs[i];

		msgs[i] = msgs[n - 1 - i];
		msgs[n - 1 - i] = m;
	}
}

int
stream_read(const struct streams *all, const struct stream *s,
    const struct aqb_range *range, struct aqb_answer *answerp)
{
	bool last = (range->flags & AQB_RANGE_LAST) != 0;
	struct aqb_msg **msgs;
	uint64_t lo, hi;
	size_t n = 0, room;
	uint64_t bytes = 0;

	stream_ends(s, answerp);
	bounds(s, range, &lo, &hi);
	if (range->limit == 0 || lo == hi) {
		return AQB_OK;
	}
	room = hi - lo < range->limit ? (size_t)(hi - lo) : range->limit;
	msgs = malloc(room * sizeof(struct aqb_msg *));
	if (msgs == NULL) {
		return AQB_ENOMEM;
	}
	while (lo < hi) {
		struct entry *e = at(s, last ? hi - 1 : lo);
		uint32_t len;

		if (is_wanted(all, range, e, &len)) {
			bytes += len;
			if (n == room ||
			    (range->bytes != 0 && bytes > range->bytes)) {
				answerp->more = true;
				break;
			}
			msgs[n++] = e->msg;
		}
		if (last) {
			hi--;
		} else {
			lo++;
		}
	}
	if (last) {
		reverse(msgs, n);
	}
	answerp->msgs = msgs;
	answerp->n = n;
	return AQB_OK;
}

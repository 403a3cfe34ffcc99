/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "redis.h"

struct resolving {
	struct redis *r;
	struct stream *stream;
	aqb_ticket ticket;
	uint64_t era, seq;
	uint64_t since; /* ms; it does not wait for ever */
	bool is_asking; /* Redis */
	LIST_ENTRY(resolving) link;
};

static redisCallbackFn on_last;

static void
conclude(struct resolving *q, enum aqb_err err)
{
	struct aqb_answer answer = { .size = sizeof answer };

	LIST_REMOVE(q, link);
	q->stream->readers--;
	stream_position(q->stream, q->stream->era, q->seq, &answer.pos);
	q->r->host->answer(q->r->host, q->ticket, err,
	    err == AQB_OK ? &answer : NULL);
	free(q);
}

/* The connection is not there: soon it may be, and to say now that the place
 * is not known would cost the client all that it has. */
static void
wait_for_redis(struct resolving *q)
{
	struct redis *r = q->r;

	q->is_asking = false;
	if (r->is_away || clock_ms() - q->since >= r->conf->times.answer) {
		conclude(q, AQB_EUNAVAIL);
	}
}

static void
ask(struct resolving *q)
{
	char last[24];
	const char *words[] = { "XREVRANGE", q->stream->key, last, "-", "COUNT",
		"1" };

	snprintf(last, sizeof last, "%" PRIu64, q->era);
	q->is_asking = true;
	if (!link_is_ready(q->r->read) ||
	    !link_say(q->r->read, on_last, q, 6, words)) {
		wait_for_redis(q);
	}
}

/* The first entry after that era, when nothing is kept of it or before. */
static void
on_after(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct resolving *q = arg;
	uint64_t era, seq;

	if (reply == NULL) {
		wait_for_redis(q);
	} else if (reply->type != REDIS_REPLY_ARRAY) {
		conclude(q, AQB_EUNAVAIL);
	} else if (reply->elements > 0 &&
	    entry_place(reply->element[0], &era, &seq) && seq > q->seq) {
		conclude(q, AQB_OK); /* what is missing is a gap */
	} else {
		conclude(q, AQB_ENOENT);
	}
}

/* The last entry of that era, or of one before. */
static void
on_last(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct resolving *q = arg;
	char from[48];
	const char *words[] = { "XRANGE", q->stream->key, from, "+", "COUNT",
		"1" };
	uint64_t era, seq;

	if (reply == NULL) {
		wait_for_redis(q);
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY) {
		conclude(q, AQB_EUNAVAIL);
		return;
	}
	if (reply->elements > 0) {
		bool is_known = entry_place(reply->element[0], &era, &seq) &&
		    (era == q->era ? q->seq <= seq : q->seq == seq);

		conclude(q, is_known ? AQB_OK : AQB_ENOENT);
		return;
	}
	snprintf(from, sizeof from, "%" PRIu64, q->era + 1);
	if (!link_say(q->r->read, on_after, q, 6, words)) {
		wait_for_redis(q);
	}
}

static bool
parse_epoch(const struct stream *s, const char *epoch, uint64_t *erap)
{
	size_t len = strlen(s->epoch);
	char *end;

	if (strncmp(epoch, s->epoch, len) != 0 || epoch[len] != '.') {
		return false;
	}
	*erap = strtoull(epoch + len + 1, &end, 10);
	return *end == '\0' && end != epoch + len + 1;
}

/* Is it in the spool, or held?  Then Redis has it, or will. */
static bool
is_spooled(const struct stream *s, uint64_t era, uint64_t seq)
{
	const struct entry *e;

	TAILQ_FOREACH_REVERSE(e, &s->entries, entry_list, stream_link)
	{
		if (e->seq > 0 && e->seq <= seq) {
			return e->seq == seq && e->era == era &&
			    e->msg != NULL && e->life == s->life;
		}
	}
	return false;
}

void
resolve(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_position *since)
{
	struct stream *s = stream_get(r, name);
	struct resolving *q;
	uint64_t era;

	if (s == NULL || s->state != STREAM_OPEN ||
	    !parse_epoch(s, since->epoch, &era) || era > s->era ||
	    since->seq > s->answered) {
		redis_fail(r, ticket, AQB_ENOENT);
		return;
	}
	q = calloc(1, sizeof *q);
	if (q == NULL) {
		redis_fail(r, ticket, AQB_ENOMEM);
		return;
	}
	*q = (struct resolving){ .r = r,
		.stream = s,
		.ticket = ticket,
		.era = era,
		.seq = since->seq,
		.since = clock_ms() };
	s->readers++;
	LIST_INSERT_HEAD(&r->resolving, q, link);
	if (era == s->era || is_spooled(s, era, since->seq)) {
		conclude(q, AQB_OK);
	} else {
		ask(q);
	}
}

void
resolve_go_on(struct redis *r)
{
	struct resolving *q, *next;

	for (q = LIST_FIRST(&r->resolving); q != NULL; q = next) {
		next = LIST_NEXT(q, link);
		if (!q->is_asking) {
			ask(q);
		}
	}
}

void
resolve_fini(struct redis *r)
{
	struct resolving *q;

	while ((q = LIST_FIRST(&r->resolving)) != NULL) {
		LIST_REMOVE(q, link);
		free(q);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "entry.h"
#include "redis.h"

#define AT_ONCE 64   /* pages asked of Redis at the same time */
#define PAGE 500     /* entries of one answer of Redis */
#define FORGIVEN 100 /* trimming leaves up to so many more than asked */

struct read {
	struct redis *r;
	struct stream *stream;
	struct aqb_range range;
	char from[AQB_CLIENT_ID_MAX + 1];
	aqb_ticket *ticket; /* who asked the same */
	size_t tickets;
	bool is_asking; /* Redis */
	uint64_t asked; /* ms; it does not wait for ever */
	bool is_sure;   /* nothing is missed before the first page */
	uint64_t era;   /* the first page begins in */
	char cursor[64];
	uint64_t top;    /* nothing above was told yet */
	uint64_t bottom; /* nothing up to this counts any more */
	int64_t oldest;  /* nor what is older, ms */
	uint64_t last;   /* the seq of the last message looked at */
	struct aqb_msg **msg;
	size_t n;
	uint64_t bytes;
	bool more;
	TAILQ_ENTRY(read) link;
};

struct reads {
	TAILQ_HEAD(read_list, read) open; /* waiting, and asking */
	size_t asking;
};

int
history_init(struct redis *r)
{
	r->reads = calloc(1, sizeof *r->reads);
	if (r->reads == NULL) {
		return AQB_ENOMEM;
	}
	TAILQ_INIT(&r->reads->open);
	return AQB_OK;
}

static void
read_free(struct read *rd)
{
	TAILQ_REMOVE(&rd->r->reads->open, rd, link);
	rd->stream->readers--;
	for (size_t i = 0; i < rd->n; i++) {
		rd->r->host->msg_unref(&rd->msg[i]);
	}
	free(rd->msg);
	free(rd->ticket);
	free(rd);
}

void
history_fini(struct redis *r)
{
	struct read *rd;

	while (r->reads != NULL &&
	    (rd = TAILQ_FIRST(&r->reads->open)) != NULL) {
		read_free(rd);
	}
	free(r->reads);
	r->reads = NULL;
}

static bool
is_backwards(const struct read *rd)
{
	return (rd->range.flags & AQB_RANGE_LAST) != 0;
}

/* The end: tell everybody who asked. */
static void
conclude(struct read *rd, enum aqb_err err)
{
	struct redis *r = rd->r;
	struct aqb_answer answer = { .size = sizeof answer };

	stream_ends(rd->stream, &answer);
	if (err == AQB_OK) {
		/* What was told meanwhile was not looked for. */
		stream_position(rd->stream, rd->stream->era, rd->top,
		    &answer.pos);
		answer.first =
		    answer.first > rd->top + 1 ? rd->top + 1 : answer.first;
	}
	if (is_backwards(rd)) {
		for (size_t i = 0; i < rd->n / 2; i++) {
			struct aqb_msg *msg = rd->msg[i];

			rd->msg[i] = rd->msg[rd->n - 1 - i];
			rd->msg[rd->n - 1 - i] = msg;
		}
	}
	answer.msgs = rd->msg;
	answer.n = rd->n;
	answer.more = rd->more;
	for (size_t i = 0; i < rd->tickets; i++) {
		r->host->answer(r->host, rd->ticket[i], err,
		    err == AQB_OK ? &answer : NULL);
	}
	read_free(rd);
}

/* Is it asked for?  Its place is. */
static bool
is_wanted(const struct read *rd, const struct aqb_msg_view *v)
{
	const struct aqb_range *range = &rd->range;

	return v->timestamp >= rd->oldest &&
	    (range->since == 0 || v->timestamp >= range->since) &&
	    (range->until == 0 || v->timestamp <= range->until) &&
	    (rd->from[0] == '\0' ||
		(v->from.len == strlen(rd->from) &&
		    memcmp(v->from.data, rd->from, v->from.len) == 0));
}

static bool
is_in_place(const struct read *rd, uint64_t seq)
{
	return seq > rd->range.after && seq > rd->bottom && seq <= rd->top &&
	    (rd->range.before == 0 || seq < rd->range.before);
}

enum taken {
	TAKEN,
	TAKEN_ENOUGH, /* there is one more than may be taken */
	TAKEN_NOT,    /* no memory */
};

/* Take a message, if it is asked for.  Takes the reference. */
static enum taken
take(struct read *rd, struct aqb_msg *msg)
{
	struct aqb_msg_view v;
	struct aqb_msg **grown;

	rd->r->host->msg_view(msg, &v);
	if (!is_wanted(rd, &v)) {
		rd->r->host->msg_unref(&msg);
		return TAKEN;
	}
	if (rd->n == rd->range.limit ||
	    (rd->n > 0 && rd->range.bytes > 0 &&
		rd->bytes + v.bytes > rd->range.bytes)) {
		rd->r->host->msg_unref(&msg);
		rd->more = true;
		return TAKEN_ENOUGH;
	}
	if ((rd->n & (rd->n + 1)) == 0) {
		grown = realloc(rd->msg,
		    (2 * rd->n + 2) * sizeof(struct aqb_msg *));
		if (grown == NULL) {
			rd->r->host->msg_unref(&msg);
			return TAKEN_NOT;
		}
		rd->msg = grown;
	}
	rd->msg[rd->n++] = msg;
	rd->bytes += v.bytes;
	return TAKEN;
}

/*
 * The message of an entry of the spool, as it is in its place: the one that
 * was delivered, unless that bears another place, or none because nobody was
 * there to deliver it to.
 */
static struct aqb_msg *
spooled(const struct read *rd, const struct entry *e)
{
	const struct aqb_host *host = rd->r->host;
	struct aqb_position pos;
	struct aqb_msg_view v;

	host->msg_view(e->msg, &v);
	if (v.seq == e->seq) {
		return host->msg_ref(e->msg);
	}
	stream_position(e->stream, e->era, e->seq, &pos);
	return host->msg_make(&v, &pos);
}

static enum taken
take_entry(struct read *rd, const struct entry *e)
{
	struct aqb_msg *msg;

	if (e->msg == NULL || !is_in_place(rd, e->seq)) {
		return TAKEN;
	}
	msg = spooled(rd, e);
	return msg == NULL ? TAKEN_NOT : take(rd, msg);
}

/* Take from the spool what is above `last`, forwards. */
static enum taken
take_spooled(struct read *rd)
{
	const struct entry *e;
	enum taken taken = TAKEN;

	TAILQ_FOREACH (e, &rd->stream->entries, stream_link) {
		if (e->seq > rd->last && taken == TAKEN) {
			taken = take_entry(rd, e);
		}
	}
	return taken;
}

/* Take what is told and not stored, backwards. */
static enum taken
take_unstored(struct read *rd)
{
	const struct entry *e;
	enum taken taken = TAKEN;

	TAILQ_FOREACH_REVERSE(e, &rd->stream->entries, entry_list, stream_link)
	{
		if (e->state == ENTRY_STORED || taken != TAKEN) {
			break;
		}
		if (e->seq > 0) {
			taken = take_entry(rd, e);
			rd->last = e->seq;
		}
	}
	return taken;
}

/* The first place that the spool has. */
static uint64_t
spool_begins(const struct stream *s)
{
	const struct entry *e;

	TAILQ_FOREACH (e, &s->entries, stream_link) {
		if (e->seq > 0) {
			return e->seq;
		}
	}
	return UINT64_MAX;
}

/* Does the spool hold all that is asked for? */
static bool
spool_covers(const struct read *rd)
{
	const struct stream *s = rd->stream;
	uint64_t begins = spool_begins(s);
	struct aqb_answer ends = { .size = sizeof ends };

	stream_ends(s, &ends);
	if (ends.first > s->answered || begins <= ends.first) {
		return true; /* all there is, or nothing is */
	}
	return !is_backwards(rd) && rd->range.after + 1 >= begins;
}

static void
set_bounds(struct read *rd)
{
	const struct stream *s = rd->stream;
	struct timespec now;

	rd->top = s->answered;
	rd->bottom = s->history_size > 0 && s->answered > s->history_size
	    ? s->answered - s->history_size
	    : 0;
	rd->oldest = INT64_MIN;
	if (s->history_ttl > 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		rd->oldest = (int64_t)now.tv_sec * 1000 +
		    now.tv_nsec / 1000000 - (int64_t)s->history_ttl;
	}
}

static enum aqb_err
error_of(enum taken taken)
{
	return taken == TAKEN_NOT ? AQB_ENOMEM : AQB_OK;
}

static void
answer_from_spool(struct read *rd)
{
	enum taken taken;
	const struct entry *e;

	if (!is_backwards(rd)) {
		conclude(rd, error_of(take_spooled(rd)));
		return;
	}
	taken = TAKEN;
	TAILQ_FOREACH_REVERSE(e, &rd->stream->entries, entry_list, stream_link)
	{
		if (taken == TAKEN) {
			taken = take_entry(rd, e);
		}
	}
	conclude(rd, error_of(taken));
}

static redisCallbackFn on_page;
static redisCallbackFn on_before;

static void
failed(struct read *rd)
{
	rd->is_asking = false;
	rd->r->reads->asking--;
	conclude(rd, AQB_EUNAVAIL);
}

/* The connection was lost: begin again when it is back, if it is soon. */
static void
begin_again(struct read *rd)
{
	for (size_t i = 0; i < rd->n; i++) {
		rd->r->host->msg_unref(&rd->msg[i]);
	}
	rd->n = 0;
	rd->bytes = 0;
	rd->last = 0;
	rd->more = rd->is_sure = false;
	rd->is_asking = false;
	rd->r->reads->asking--;
}

/* Ask for the page that begins at the cursor. */
static void
ask_for_page(struct read *rd)
{
	char count[16];
	const char *forwards[] = { "XRANGE", rd->stream->key, rd->cursor, "+",
		"COUNT", count };
	const char *backwards[] = { "XREVRANGE", rd->stream->key, rd->cursor,
		"-", "COUNT", count };
	uint64_t left = rd->range.limit - rd->n + 1;

	snprintf(count, sizeof count, "%llu",
	    (unsigned long long)(left < PAGE ? left + FORGIVEN : PAGE));
	redis_add(rd->r, rd->r->metrics.reads, 1);
	if (!link_say(rd->r->read, on_page, rd, 6,
		is_backwards(rd) ? backwards : forwards)) {
		begin_again(rd);
	}
}

/* Is there anything between what was asked for and the first page? */
static void
ask_what_is_before(struct read *rd)
{
	char from[64];
	const char *words[] = { "XREVRANGE", rd->stream->key, from, "-",
		"COUNT", "1" };

	snprintf(from, sizeof from, "(%.62s", rd->cursor);
	if (!link_say(rd->r->read, on_before, rd, 6, words)) {
		begin_again(rd);
	}
}

static void
begin_at(struct read *rd, uint64_t era)
{
	rd->era = era;
	if (is_backwards(rd) && rd->range.before > 0) {
		rd->is_sure = true;
		snprintf(rd->cursor, sizeof rd->cursor, "(%llu-%llu",
		    (unsigned long long)era,
		    (unsigned long long)rd->range.before);
	} else if (is_backwards(rd)) {
		rd->is_sure = true;
		strcpy(rd->cursor, "+");
	} else if (rd->range.after == 0) {
		rd->is_sure = true;
		strcpy(rd->cursor, "-");
	} else {
		snprintf(rd->cursor, sizeof rd->cursor, "%llu-%llu",
		    (unsigned long long)era,
		    (unsigned long long)rd->range.after + 1);
	}
	ask_for_page(rd);
}

/* The seqs of a stream grow through all eras, its ids do not tell where one
 * begins: look back until there is nothing before. */
static void
on_before(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct read *rd = arg;
	uint64_t era, seq;

	if (reply == NULL) {
		begin_again(rd);
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY) {
		failed(rd);
		return;
	}
	if (reply->elements > 0 && entry_place(reply->element[0], &era, &seq) &&
	    seq > rd->range.after && era < rd->era) {
		begin_at(rd, era);
		return;
	}
	rd->is_sure = true;
	ask_for_page(rd);
}

static void
finish(struct read *rd, enum taken taken)
{
	rd->is_asking = false;
	rd->r->reads->asking--;
	if (taken == TAKEN && !is_backwards(rd)) {
		taken = take_spooled(rd);
	}
	conclude(rd, error_of(taken));
}

/* One entry of a page.  Garbage is passed over, and leaves a gap. */
static enum taken
take_reply(struct read *rd, const redisReply *reply, bool *is_overp)
{
	struct redis *r = rd->r;
	struct aqb_msg *msg;
	uint64_t era, seq;

	if (!entry_id(reply, &era, &seq)) {
		return TAKEN;
	}
	snprintf(rd->cursor, sizeof rd->cursor, "(%llu-%llu",
	    (unsigned long long)era, (unsigned long long)seq);
	if (seq == 0 || era > r->era) {
		return TAKEN; /* somebody else's */
	}
	if (!is_in_place(rd, seq)) {
		*is_overp = is_backwards(rd)
		    ? seq <= rd->range.after || seq <= rd->bottom
		    : seq > rd->top ||
			(rd->range.before > 0 && seq >= rd->range.before);
		return TAKEN;
	}
	rd->last = seq;
	msg = entry_message(r, rd->stream, reply);
	if (msg == NULL) {
		redis_add(r, r->metrics.foreign, 1);
		return TAKEN;
	}
	return take(rd, msg);
}

static void
on_page(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct read *rd = arg;
	struct redis *r = rd->r;
	enum taken taken = TAKEN;
	uint64_t era, seq = 0;
	bool is_over = false;
	char before[sizeof rd->cursor];

	if (reply == NULL) {
		begin_again(rd);
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY) {
		failed(rd);
		return;
	}
	if (!rd->is_sure) {
		if (reply->elements == 0 ||
		    !entry_place(reply->element[0], &era, &seq) ||
		    seq != rd->range.after + 1) {
			ask_what_is_before(rd);
			return;
		}
		rd->is_sure = true;
	}
	memcpy(before, rd->cursor, sizeof before);
	for (size_t i = 0; i < reply->elements && taken == TAKEN && !is_over;
	     i++) {
		taken = take_reply(rd, reply->element[i], &is_over);
	}
	/* A page that does not get any further would be asked for for ever. */
	if (taken != TAKEN || is_over || strcmp(before, rd->cursor) == 0) {
		finish(rd, taken);
		history_go_on(r); /* there is room for another */
	} else {
		ask_for_page(rd);
	}
}

/* Take it as far as it gets now. */
static void
go_on(struct read *rd)
{
	struct redis *r = rd->r;
	struct stream *s = rd->stream;
	enum taken taken;

	stream_open(r, s);
	if (s->state != STREAM_OPEN && !s->is_provisional) {
		if (s->state == STREAM_CONFLICT || r->is_away) {
			conclude(rd, AQB_EUNAVAIL);
		}
		return; /* until it is open */
	}
	set_bounds(rd);
	if (rd->range.limit == 0) {
		conclude(rd, AQB_OK);
		return;
	}
	if (spool_covers(rd)) {
		answer_from_spool(rd);
		return;
	}
	if (!link_is_ready(r->read) || s->is_provisional) {
		if (r->is_away ||
		    (s->is_provisional && link_is_ready(r->write)) ||
		    clock_ms() - rd->asked >= r->conf->times.answer) {
			conclude(rd, AQB_EUNAVAIL);
		}
		return;
	}
	if (r->reads->asking >= AT_ONCE) {
		return;
	}
	r->reads->asking++;
	rd->is_asking = true;
	taken = is_backwards(rd) ? take_unstored(rd) : TAKEN;
	if (taken != TAKEN) {
		finish(rd, taken);
	} else {
		begin_at(rd, r->era);
	}
}

void
history_go_on(struct redis *r)
{
	struct read *rd, *next;

	for (rd = TAILQ_FIRST(&r->reads->open); rd != NULL; rd = next) {
		next = TAILQ_NEXT(rd, link);
		if (!rd->is_asking) {
			go_on(rd);
		}
	}
}

static bool
add_ticket(struct read *rd, aqb_ticket ticket)
{
	aqb_ticket *grown =
	    realloc(rd->ticket, (rd->tickets + 1) * sizeof *grown);

	if (grown == NULL) {
		return false;
	}
	rd->ticket = grown;
	rd->ticket[rd->tickets++] = ticket;
	return true;
}

/* Does somebody ask the same, of what is told now? */
static struct read *
find_same(struct redis *r, const struct stream *s,
    const struct aqb_range *range)
{
	const char *from = range->from == NULL ? "" : range->from;
	struct read *rd;

	TAILQ_FOREACH (rd, &r->reads->open, link) {
		const struct aqb_range *o = &rd->range;

		if (rd->stream == s && o->after == range->after &&
		    o->before == range->before && o->flags == range->flags &&
		    o->limit == range->limit && o->bytes == range->bytes &&
		    o->since == range->since && o->until == range->until &&
		    (!rd->is_asking || rd->top == s->answered) &&
		    strcmp(rd->from, from) == 0) {
			return rd;
		}
	}
	return NULL;
}

void
history_read(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_range *range)
{
	struct stream *s = stream_get(r, name);
	struct read *rd = s == NULL ? NULL : find_same(r, s, range);

	if (rd != NULL && add_ticket(rd, ticket)) {
		return;
	}
	rd = s == NULL ? NULL : calloc(1, sizeof *rd);
	if (rd == NULL || !add_ticket(rd, ticket)) {
		free(rd);
		redis_fail(r, ticket, AQB_ENOMEM);
		return;
	}
	rd->r = r;
	rd->stream = s;
	s->readers++;
	rd->asked = clock_ms();
	rd->range = *range;
	rd->range.from = NULL;
	snprintf(rd->from, sizeof rd->from, "%s",
	    range->from == NULL ? "" : range->from);
	TAILQ_INSERT_TAIL(&r->reads->open, rd, link);
	go_on(rd);
}

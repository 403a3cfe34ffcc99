/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "entry.h"
#include "mend.h"
#include "shard.h"

/* Entries of each log in one answer: few, for all of them are handed on in one
 * turn; more where many wait that are small. */
#define COUNT_FIRST 16u
#define COUNT_MAX 256u
#define BYTES_MANY (512u * 1024u)
#define BYTES_FEW (128u * 1024u)
#define BLOCK_MAX_MS 1000

static redisCallbackFn on_news;

static void
position(const char *epoch, struct place at, struct aqb_position *pos)
{
	pos->seq = at.seq;
	snprintf(pos->epoch, sizeof pos->epoch, "%s.%" PRIu64, epoch, at.era);
}

static void
hand_on(struct redis *r, struct stream *s, const char *epoch, struct place at,
    struct aqb_msg *msg, uint32_t flags)
{
	const struct aqb_follower *f = r->cluster->follower;
	struct aqb_position pos;

	if (s->state == STREAM_OPEN && strcmp(s->epoch, epoch) == 0 &&
	    at.seq > s->answered + 1) {
		flags |= AQB_FOLLOW_LOST;
	}
	if (strcmp(s->epoch, epoch) != 0) {
		snprintf(s->epoch, sizeof s->epoch, "%s", epoch);
		s->first = at.seq;
	}
	s->era = at.era;
	s->seq = s->answered = at.seq;
	position(epoch, at, &pos);
	if ((flags & AQB_FOLLOW_REPEATED) != 0) {
		redis_add(r, r->metrics.repaired, 1);
	} else if (at.seq <= s->top) {
		redis_add(r, r->cluster->redelivered, 1);
	}
	s->top = at.seq > s->top ? at.seq : s->top;
	f->message(f->arg, s->name, msg, &pos,
	    flags & (AQB_FOLLOW_REPEATED | AQB_FOLLOW_LOST));
}

/* The stream is another one: what it has before this may have been written
 * where we did not look any more. */
static void
begin_anew(struct stream *s, const char *epoch)
{
	snprintf(s->epoch, sizeof s->epoch, "%s", epoch);
	s->era = s->seq = s->answered = 0;
	s->first = 1;
}

void
tail_deliver(struct redis *r, struct stream *s, const char *epoch,
    struct place at, struct aqb_msg *msg, uint32_t flags)
{
	const struct place given = { s->era, s->answered };
	const bool is_mended = (flags & TAIL_MENDED) != 0;

	if (s->state == STREAM_UNKNOWN && at.seq == 1) {
		s->state = STREAM_OPEN; /* it begins before our eyes */
		s->exists = true;
	} else if (s->state != STREAM_OPEN) {
		; /* nobody here knows a place of it */
	} else if (s->mending != NULL && !is_mended) {
		mend_hold(r, s, epoch, at, msg, flags);
		return;
	} else {
		if (strcmp(s->epoch, epoch) != 0) {
			begin_anew(s, epoch);
		} else if (!place_before(given, at)) {
			return;
		}
		if (at.seq > s->answered + 1 && !is_mended) {
			mend_begin(r, s);
			if (s->mending != NULL) {
				mend_hold(r, s, epoch, at, msg, flags);
				return;
			}
		}
	}
	hand_on(r, s, epoch, at, msg, flags);
}

static bool
number_of(const redisReply *fields, const char *name, uint64_t *np)
{
	struct aqb_slice text = entry_field(fields, name);

	*np = strtoull(text.data, NULL, 10);
	return text.len > 0 && text.len < 19 &&
	    strspn(text.data, "0123456789") == text.len;
}

static void
copy_text(char *to, size_t size, struct aqb_slice from)
{
	size_t len = from.len < size ? from.len : size - 1;

	memcpy(to, from.data, len);
	to[len] = '\0';
}

/* Ours, if the entry is: its post. */
static struct post *
own_post(struct redis *r, struct shard *sh, const redisReply *fields)
{
	struct aqb_slice node = entry_field(fields, "n");
	uint64_t number;

	if (node.len != strlen(r->boot) ||
	    memcmp(node.data, r->boot, node.len) != 0 ||
	    !number_of(fields, "q", &number)) {
		return NULL;
	}
	return shard_came(r, sh, number);
}

/* A stream was dropped. */
static void
take_forgotten(struct redis *r, struct shard *sh, struct aqb_slice name,
    const redisReply *fields)
{
	const struct aqb_follower *f = r->cluster->follower;
	struct post *post = own_post(r, sh, fields);
	struct stream *s;
	char text[2 * AQB_NAME_MAX + 2];

	copy_text(text, sizeof text, name);
	s = stream_get(r, text);
	if (s == NULL) {
		return;
	}
	mend_forget(r, s);
	s->state = s->state == STREAM_OPEN ? STREAM_UNKNOWN : s->state;
	s->life++;
	s->top = 0;
	if (post == NULL) {
		f->forgotten(f->arg, text);
	}
}

static void
take_message(struct redis *r, struct shard *sh, struct place at,
    const redisReply *fields)
{
	struct post *post = own_post(r, sh, fields);
	uint32_t flags = 0;
	char epoch[STREAM_EPOCH_SIZE], name[2 * AQB_NAME_MAX + 2];
	struct aqb_position pos;
	struct aqb_msg_view v;
	struct aqb_msg *msg = NULL;
	struct stream *s;
	uint64_t size;

	copy_text(name, sizeof name, entry_field(fields, "c"));
	copy_text(epoch, sizeof epoch, entry_field(fields, "e"));
	s = stream_get(r, name);
	if (s == NULL || !number_of(fields, "s", &at.seq) || at.seq == 0 ||
	    !number_of(fields, "h", &size) ||
	    !number_of(fields, "l", &s->history_ttl)) {
		redis_add(r, r->metrics.foreign, 1);
		return;
	}
	s->history_size = (uint32_t)size;
	position(epoch, at, &pos);
	if (post != NULL && post->msg != NULL) {
		flags = post->has_come ? AQB_FOLLOW_REPEATED : 0;
		post->has_come = true;
		shard_answer(r, post, &pos);
		msg = r->host->msg_ref(post->msg);
	} else {
		msg = entry_make(r, s, fields, &pos);
	}
	if (msg == NULL) {
		redis_add(r, r->metrics.foreign, 1);
		return;
	}
	r->host->msg_view(msg, &v);
	r->cluster->brought += v.bytes;
	tail_deliver(r, s, epoch, at, msg, flags);
	r->host->msg_unref(&msg);
}

/* Is this the next of its log?  After the loss of an end, an era counts on
 * from what is left. */
static bool
is_next(struct place before, struct place at)
{
	return at.era == before.era ? at.seq == before.seq + 1
				    : at.seq <= before.seq + 1;
}

static void
take_shard_entry(struct redis *r, struct shard *sh, const redisReply *reply)
{
	const redisReply *fields;
	struct aqb_slice gone;
	struct place at;

	if (!entry_place(reply, &at.era, &at.seq)) {
		return;
	}
	if (!is_next(sh->cursor, at)) {
		r->host->log(r->host, AQB_WARNING,
		    "%s was cut off before it was read; its streams are read",
		    sh->log);
		mend_shard(r, sh);
	}
	sh->cursor = at;
	fields = reply->element[1];
	gone = entry_field(fields, "x");
	if (gone.len > 0) {
		take_forgotten(r, sh, gone, fields);
	} else {
		take_message(r, sh, at, fields);
	}
}

static struct shard *
shard_by_log(struct cluster *c, const redisReply *key)
{
	size_t len;
	const char *text = reply_string(key, &len);

	for (size_t i = 0; text != NULL && i < SHARDS; i++) {
		if (strcmp(c->shard[i].log, text) == 0) {
			return &c->shard[i];
		}
	}
	return NULL;
}

/* [log, [entry ..]]; returns how many entries. */
static size_t
take_log(struct redis *r, const redisReply *reply)
{
	struct cluster *c = r->cluster;
	const redisReply *entries;
	struct shard *sh;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY) {
		return 0;
	}
	entries = reply->element[1];
	sh = shard_by_log(c, reply->element[0]);
	for (size_t i = 0; i < entries->elements; i++) {
		if (sh != NULL) {
			take_shard_entry(r, sh, entries->element[i]);
		} else {
			board_take(r, entries->element[i]);
		}
	}
	if (sh != NULL && sh->settle.era != 0 &&
	    !place_before(sh->cursor, sh->settle)) {
		shard_settle(r, sh);
	}
	return entries->elements;
}

/* More or fewer entries the next time, by what these were. */
static void
ask_for(struct cluster *c, size_t bytes, size_t most)
{
	if (bytes >= BYTES_MANY) {
		c->count = c->count > 1 ? c->count / 2 : 1;
	} else if (most < c->count) {
		c->count = COUNT_FIRST; /* no more wait */
	} else if (bytes < BYTES_FEW && c->count < COUNT_MAX) {
		c->count *= 2;
	}
}

/*
 * Was this read before the others may have taken us for gone?  Then it is read
 * once more: who has taken over what from us is news of the log of all, which
 * comes before the messages that were ours to give out.
 */
static bool
is_too_late(struct redis *r)
{
	struct cluster *c = r->cluster;
	bool was_overdue = c->is_overdue;

	c->is_overdue = board_is_overdue(r);
	return c->is_overdue && !was_overdue;
}

static void
on_news(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct cluster *c = r->cluster;
	size_t most = 0;

	(void)arg;
	c->is_tailing = false;
	if (reply == NULL) {
		ask_for(c, BYTES_MANY, 0); /* it may have been too much */
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		link_drop(r->cluster->tail, 0, "XREAD: %.150s",
		    reply_text(reply));
		return;
	}
	if (is_too_late(r)) {
		tail_start(r);
		return;
	}
	for (size_t i = 0;
	     reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		size_t n = take_log(r, reply->element[i]);

		most = n > most ? n : most;
	}
	ask_for(c, c->brought, most);
	c->brought = 0;
	tail_start(r);
}

static void
add_cursor(char text[48], struct place at)
{
	snprintf(text, 48, "%" PRIu64 "-%" PRIu64, at.era, at.seq);
}

void
tail_start(struct redis *r)
{
	struct cluster *c = r->cluster;
	char count[16], block[16], cursor[SHARDS + 1][48];
	const char *words[6 + 2 * (SHARDS + 1)] = { "XREAD", "COUNT", count,
		"BLOCK", block, "STREAMS" };
	size_t lens[6 + 2 * (SHARDS + 1)];
	uint64_t wait = r->conf->times.answer / 2;
	int n = 6;

	if (c->is_tailing || !link_is_ready(c->tail) || !board_is_ready(r)) {
		return;
	}
	snprintf(count, sizeof count, "%u", c->count);
	snprintf(block, sizeof block, "%" PRIu64,
	    wait < BLOCK_MAX_MS ? wait : BLOCK_MAX_MS);
	for (int i = 0; i <= SHARDS; i++) {
		/* In this order it is told. */
		words[n] = i == 0 ? c->ctl_log : c->shard[i - 1].log;
		words[n + SHARDS + 1] = cursor[i];
		add_cursor(cursor[i],
		    i == 0 ? c->ctl_cursor : c->shard[i - 1].cursor);
		n++;
	}
	n += SHARDS + 1;
	for (int i = 0; i < n; i++) {
		lens[i] = strlen(words[i]);
	}
	c->is_tailing = link_send(c->tail, on_news, NULL, n, words, lens);
}

static void
on_tail_ready(void *arg)
{
	struct redis *r = arg;

	redis_add(r, r->metrics.connections, 1);
	tail_start(r);
}

int
tail_init(struct redis *r)
{
	struct cluster *c = r->cluster;
	const struct link_events events = { on_tail_ready, NULL, NULL, r };

	c->count = COUNT_FIRST;
	snprintf(c->tail_name, sizeof c->tail_name, "arqonbus-%s-tail",
	    r->boot);
	c->tail = link_new(r->host, r->base, &r->url, &r->conf->times,
	    c->tail_name, &events);
	if (c->tail == NULL) {
		return AQB_ENOMEM;
	}
	link_start(c->tail);
	return AQB_OK;
}

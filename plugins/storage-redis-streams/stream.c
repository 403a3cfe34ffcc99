/* SPDX-License-Identifier: Apache-2.0 */
/* Names are the peers' choice: hash them as the broker does. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->hh.tbl = NULL)
#define HASH_FUNCTION(keyptr, keylen, hashv) \
	((hashv) = (unsigned)r->host->hash(keyptr, keylen))

#include "stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "digits.h"
#include "redis.h"
#include "shared.h"
#include "write.h"

#define FORGET_AT_ONCE 1000
#define TTL_MAX_MS (UINT64_C(1) << 50)
#define META_TTL_MS "2592000000" /* 30 days */

void
streams_init(struct streams *all)
{
	all->by_name = NULL;
	TAILQ_INIT(&all->working);
	TAILQ_INIT(&all->used);
}

static void
stream_free(struct stream *s)
{
	struct question *q;

	while ((q = TAILQ_FIRST(&s->questions)) != NULL) {
		TAILQ_REMOVE(&s->questions, q, link);
		free(q);
	}
	free(s->name);
	free(s->key);
	free(s->meta_key);
	free(s);
}

void
streams_fini(struct streams *all)
{
	struct stream *s, *next;

	HASH_ITER(hh, all->by_name, s, next)
	{
		HASH_DEL(all->by_name, s);
		assert(TAILQ_EMPTY(&s->entries));
		stream_free(s);
	}
}

/* CRC-16/XMODEM, as Redis Cluster uses it. */
static unsigned
crc16(const char *text, size_t len)
{
	unsigned crc = 0;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned)(unsigned char)text[i] << 8;
		for (int bit = 0; bit < 8; bit++) {
			crc = (crc & 0x8000u) != 0 ? crc << 1 ^ 0x1021u
						   : crc << 1;
		}
		crc &= 0xffffu;
	}
	return crc;
}

unsigned
stream_shard(const char *name)
{
	return crc16(name, strcspn(name, ":")) % SHARDS;
}

static char *
make_key(const struct redis *r, const char *kind, const char *name)
{
	char *key;

	if (asprintf(&key, "%s:{%u}:%s:%s", r->conf->prefix, stream_shard(name),
		kind, name) < 0) {
		return NULL;
	}
	return key;
}

static struct stream *
stream_new(struct redis *r, const char *name)
{
	struct stream *s = calloc(1, sizeof *s);

	if (s == NULL) {
		return NULL;
	}
	TAILQ_INIT(&s->entries);
	TAILQ_INIT(&s->questions);
	s->name = strdup(name);
	s->key = make_key(r, "c", name);
	s->meta_key = make_key(r, "m", name);
	s->first = 1;
	if (s->name == NULL || s->key == NULL || s->meta_key == NULL) {
		stream_free(s);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, r->streams.by_name, s->name, strlen(s->name), s);
	if (s->hh.tbl == NULL) {
		stream_free(s);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&r->streams.used, s, used);
	return s;
}

/* Nobody holds it, and Redis has all that there is to know about it. */
static bool
is_unused(const struct stream *s)
{
	return TAILQ_EMPTY(&s->entries) && TAILQ_EMPTY(&s->questions) &&
	    s->sent == 0 && s->readers == 0 && !s->has_work && !s->looking &&
	    s->state != STREAM_OPENING && !s->is_provisional &&
	    !(s->is_ahead && s->exists) && s->mending == NULL;
}

void
streams_forget_some(struct redis *r)
{
	struct streams *all = &r->streams;
	struct stream *s;

	for (int i = 0;
	     i < FORGET_AT_ONCE && HASH_COUNT(all->by_name) > r->conf->streams;
	     i++) {
		s = TAILQ_FIRST(&all->used);
		TAILQ_REMOVE(&all->used, s, used);
		if (is_unused(s)) {
			HASH_DEL(all->by_name, s);
			stream_free(s);
		} else {
			TAILQ_INSERT_TAIL(&all->used, s, used);
		}
	}
}

struct stream *
stream_get(struct redis *r, const char *name)
{
	struct stream *s;

	HASH_FIND(hh, r->streams.by_name, name, strlen(name), s);
	if (s == NULL) {
		return stream_new(r, name);
	}
	if (TAILQ_NEXT(s, used) != NULL) {
		TAILQ_REMOVE(&r->streams.used, s, used);
		TAILQ_INSERT_TAIL(&r->streams.used, s, used);
	}
	return s;
}

void
stream_position(const struct stream *s, uint64_t era, uint64_t seq,
    struct aqb_position *pos)
{
	size_t len = strlen(s->epoch);
	char *p = pos->epoch + len;

	pos->seq = seq;
	memcpy(pos->epoch, s->epoch, len);
	*p++ = '.';
	*put_digits(p, era) = '\0';
}

void
stream_make_epoch(char epoch[STREAM_EPOCH_SIZE])
{
	uint64_t n = 0;

	while (getrandom(&n, sizeof n, 0) != sizeof n) {
	}
	snprintf(epoch, STREAM_EPOCH_SIZE, "%016llx", (unsigned long long)n);
}

static void
on_written_down(redisAsyncContext *ac, void *r, void *arg)
{
	(void)arg;
	link_reply(ac, r);
}

/* The hash keeps its epoch, for longer than the stream its messages. */
void
stream_write_epoch(struct redis *r, struct stream *s)
{
	char n[16], t[24];
	const char *set[] = { "HSET", s->meta_key, "e", s->epoch, "n", n, "t",
		t };
	const char *expire[] = { "PEXPIRE", s->meta_key, META_TTL_MS };

	s->noted_size = s->history_size;
	s->noted_ttl = s->history_ttl;
	snprintf(n, sizeof n, "%u", s->noted_size);
	snprintf(t, sizeof t, "%llu", (unsigned long long)s->noted_ttl);
	link_say(r->write, on_written_down, NULL, 8, set);
	link_say(r->write, on_written_down, NULL, 3, expire);
}

void
stream_new_epoch(struct redis *r, struct stream *s)
{
	stream_make_epoch(s->epoch);
	stream_write_epoch(r, s);
}

void
stream_refresh(struct redis *r, struct stream *s)
{
	uint64_t ttl =
	    s->history_ttl > 0 ? 2 * s->history_ttl : r->conf->stream_ttl;
	uint64_t now = clock_ms();
	char ms[24];
	const char *stream[] = { "PEXPIRE", s->key, ms };
	const char *meta[] = { "PEXPIRE", s->meta_key, META_TTL_MS };

	if (s->noted_size != s->history_size ||
	    s->noted_ttl != s->history_ttl) {
		stream_write_epoch(r, s);
	}
	if (s->exists && now - s->refreshed < ttl / 4) {
		return;
	}
	s->exists = true;
	s->refreshed = now;
	snprintf(ms, sizeof ms, "%llu", (unsigned long long)ttl);
	link_say(r->write, on_written_down, NULL, 3, stream);
	link_say(r->write, on_written_down, NULL, 3, meta);
}

void
stream_ends(const struct stream *s, struct aqb_answer *answer)
{
	uint64_t first = s->first;

	if (s->history_size > 0 && s->answered >= s->history_size &&
	    first < s->answered - s->history_size + 1) {
		first = s->answered - s->history_size + 1;
	}
	answer->first = first > s->answered + 1 ? s->answered + 1 : first;
	stream_position(s, s->era, s->answered, &answer->pos);
}

void
stream_tell(struct redis *r, struct stream *s, enum aqb_err err)
{
	struct aqb_answer answer = { .size = sizeof answer };
	struct question *q;

	stream_ends(s, &answer);
	while ((q = TAILQ_FIRST(&s->questions)) != NULL) {
		TAILQ_REMOVE(&s->questions, q, link);
		r->host->answer(r->host, q->ticket, err,
		    err == AQB_OK ? &answer : NULL);
		free(q);
	}
}

void
stream_improvise(struct redis *r, struct stream *s)
{
	(void)r;
	if (s->state == STREAM_OPEN || s->is_provisional) {
		return;
	}
	stream_make_epoch(s->epoch);
	s->is_provisional = true;
	s->era = s->seq = s->answered = 0;
	s->first = 1;
}

/* What was told a made-up place gets one of its own now. */
static void
place_the_early(struct redis *r, struct stream *s)
{
	struct entry *e;

	TAILQ_FOREACH (e, &s->entries, stream_link) {
		if (e->is_provisional) {
			e->is_provisional = false;
			e->era = r->era;
			e->seq = ++s->seq;
		}
	}
	s->answered = s->seq;
}

static void
opened(struct redis *r, struct stream *s)
{
	s->state = STREAM_OPEN;
	s->is_provisional = false;
	s->era = r->era;
	if (s->found[0] != '\0' && s->exists) {
		memcpy(s->epoch, s->found, sizeof s->epoch);
	} else {
		stream_new_epoch(r, s);
	}
	place_the_early(r, s);
	stream_tell(r, s, AQB_OK);
	write_work(r, s);
}

void
stream_conflict(struct redis *r, struct stream *s)
{
	s->state = STREAM_CONFLICT;
	r->host->log(r->host, AQB_ERROR,
	    "%s is not a stream of ours; nothing is stored in %s", s->key,
	    s->name);
	redis_add(r, r->metrics.foreign, 1);
	stream_tell(r, s, AQB_EUNAVAIL);
	write_refuse_all(r, s);
}

/* Nothing was learned.  Whoever needs it will ask again. */
static void
not_opened(struct redis *r, struct stream *s, enum reply_class class)
{
	s->state = STREAM_UNKNOWN;
	if (class == REPLY_CONFLICT) {
		stream_conflict(r, s);
	}
}

/* What is kept of it, until the next message says so: else what is too old
 * would be there again after a restart. */
static void
take_limits(struct stream *s, const redisReply *reply)
{
	size_t len;
	const char *n = reply_string(reply->element[1], &len);
	const char *t = reply_string(reply->element[2], &len);
	uint64_t size = n == NULL ? 0 : strtoull(n, NULL, 10);
	uint64_t ttl = t == NULL ? 0 : strtoull(t, NULL, 10);

	if (s->history_size == 0 && size > 0 && size <= UINT32_MAX &&
	    ttl <= TTL_MAX_MS) {
		s->noted_size = s->history_size = (uint32_t)size;
		s->noted_ttl = s->history_ttl = ttl;
	}
}

static void
on_epoch(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct stream *s = arg;
	size_t len = 0;
	const char *text = NULL;

	s->found[0] = '\0';
	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
	    reply->elements == 3) {
		text = reply_string(reply->element[0], &len);
		take_limits(s, reply);
	}
	if (text != NULL && len == 16 &&
	    strspn(text, "0123456789abcdef") == 16) {
		memcpy(s->found, text, 17);
	}
}

/* The seq of the oldest entry, from XINFO's first-entry. */
static uint64_t
first_seq(const redisReply *entry)
{
	uint64_t era, seq;
	size_t len;
	const char *id;

	if (entry == NULL || entry->type != REDIS_REPLY_ARRAY ||
	    entry->elements < 1) {
		return 0;
	}
	id = reply_string(entry->element[0], &len);
	return id != NULL && reply_id(id, len, &era, &seq) ? seq : 0;
}

static void
on_info(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct link *link = ac->data;
	struct redis *r = link_owner(link);
	struct stream *s = arg;
	enum reply_class class = reply_class(reply);
	uint64_t era = 0, seq = 0;
	size_t len = 0;
	const char *last;

	if (class == REPLY_UNKNOWN && reply != NULL &&
	    strncmp(reply->str, "ERR no such key", 15) == 0) {
		s->exists = s->is_confirmed = false;
		s->seq = s->answered = 0;
		s->first = 1;
		opened(r, s);
		return;
	}
	if (class != REPLY_FINE) {
		not_opened(r, s, class);
		return;
	}
	last = reply_string(reply_get(reply, "last-generated-id"), &len);
	if (last == NULL || !reply_id(last, len, &era, &seq) || era > r->era) {
		stream_conflict(r, s);
		return;
	}
	s->exists = s->is_confirmed = true;
	s->seq = s->answered = seq;
	s->first = first_seq(reply_get(reply, "first-entry"));
	s->first = s->first == 0 ? seq + 1 : s->first;
	opened(r, s);
}

void
stream_open(struct redis *r, struct stream *s)
{
	const char *epoch[] = { "HMGET", s->meta_key, "e", "n", "t" };
	const char *info[] = { "XINFO", "STREAM", s->key };

	if ((s->state != STREAM_UNKNOWN && s->state != STREAM_CONFLICT) ||
	    !redis_is_present(r)) {
		return;
	}
	if (r->cluster != NULL) {
		shared_open(r, s);
		return;
	}
	if (link_say(r->write, on_epoch, s, 5, epoch) &&
	    link_say(r->write, on_info, s, 3, info)) {
		s->state = STREAM_OPENING;
	}
}

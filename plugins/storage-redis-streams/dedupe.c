/* SPDX-License-Identifier: Apache-2.0 */
/* Ids are the peers' choice: hash them as the broker does.  Without memory one
 * cannot be noted: then all are in doubt. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->hh.tbl = NULL)
#define HASH_FUNCTION(keyptr, keylen, hashv) \
	((hashv) = (unsigned)r->host->hash(keyptr, keylen))

#include "dedupe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <uthash.h>

#include "away.h"
#include "redis.h"
#include "write.h"

#define HASH_BYTES 16
#define AT_ONCE 64 /* entries that Redis is asked about */
#define DOUBTS_MAX 100000
#define CANCEL_LOOK 4096 /* entries that one cancel is worth */

/* A question to Redis. */
struct look {
	struct stream *stream;
	size_t n;
	uint64_t number[AT_ONCE]; /* of the entries, which may be gone */
	const struct entry *entry[AT_ONCE]; /* while it is asked */
};

/* A message of which somebody was told that nobody knows. */
struct doubt {
	unsigned char hash[HASH_BYTES];
	uint64_t until; /* ms */
	UT_hash_handle hh;
};

/* Of a message of this stream: who sent it, and its id. */
static void
hash_id(const char *stream, const struct aqb_msg_view *v,
    unsigned char hash[HASH_BYTES])
{
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	/* No part can hold the byte between them. */
	if (ctx != NULL) {
		EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
		EVP_DigestUpdate(ctx, v->from.data, v->from.len);
		EVP_DigestUpdate(ctx, "\n", 1);
		EVP_DigestUpdate(ctx, stream, strlen(stream));
		EVP_DigestUpdate(ctx, "\n", 1);
		EVP_DigestUpdate(ctx, v->id.data, v->id.len);
		EVP_DigestFinal_ex(ctx, md, NULL);
		EVP_MD_CTX_free(ctx);
	}
	memcpy(hash, md, HASH_BYTES);
}

const char *
dedupe_key(const struct redis *r, const char *stream,
    const struct aqb_msg_view *v, char key[DEDUPE_KEY_SIZE])
{
	unsigned char hash[HASH_BYTES];
	char hex[2 * HASH_BYTES + 1];

	hash_id(stream, v, hash);
	for (int i = 0; i < HASH_BYTES; i++) {
		hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
	}
	hex[2 * HASH_BYTES] = '\0';
	snprintf(key, DEDUPE_KEY_SIZE, "%s:{%u}:d:%s", r->conf->prefix,
	    stream_shard(stream), hex);
	return key;
}

/* Drop those that were noted long ago, or first. */
static void
make_room(struct redis *r)
{
	struct doubts *d = &r->doubts;
	struct doubt *oldest;

	while ((oldest = d->by_key) != NULL &&
	    (oldest->until <= clock_ms() ||
		HASH_COUNT(d->by_key) >= DOUBTS_MAX)) {
		if (oldest->until > clock_ms()) {
			d->all = clock_ms(); /* it may be anybody now */
		}
		HASH_DEL(d->by_key, oldest);
		free(oldest);
	}
}

static void
note(struct redis *r, const char *stream, const struct aqb_msg *msg,
    uint64_t window)
{
	struct doubts *d = &r->doubts;
	unsigned char hash[HASH_BYTES];
	struct aqb_msg_view v;
	struct doubt *doubt;

	r->host->msg_view(msg, &v);
	if ((v.flags & AQB_MSG_GIVEN_ID) == 0 || window == 0) {
		return; /* nobody can say it again so that it is known */
	}
	hash_id(stream, &v, hash);
	HASH_FIND(hh, d->by_key, hash, HASH_BYTES, doubt);
	if (doubt != NULL) {
		HASH_DEL(d->by_key, doubt); /* to the end */
	} else {
		make_room(r);
		doubt = calloc(1, sizeof *doubt);
	}
	if (doubt != NULL) {
		memcpy(doubt->hash, hash, HASH_BYTES);
		doubt->until = clock_ms() + window;
		HASH_ADD(hh, d->by_key, hash, HASH_BYTES, doubt);
	}
	if (doubt == NULL || doubt->hh.tbl == NULL) {
		free(doubt);
		d->all = clock_ms();
	}
}

void
dedupe_doubt(struct redis *r, const struct entry *e)
{
	if (e->msg != NULL) {
		note(r, e->stream->name, e->msg, e->dedupe_window);
	}
}

/* The entry of this ticket among those of a list; *leftp are looked at. */
static const struct entry *
find_ticket(const struct entry_list *list, aqb_ticket ticket, int *leftp)
{
	const struct entry *e;

	TAILQ_FOREACH (e, list, link) {
		if (e->ticket == ticket || *leftp == 0) {
			return *leftp == 0 ? NULL : e;
		}
		(*leftp)--;
	}
	return NULL;
}

void
dedupe_cancel(struct redis *r, aqb_ticket ticket)
{
	int left = CANCEL_LOOK;
	const struct entry *e = find_ticket(&r->spool.written, ticket, &left);

	if (e == NULL) {
		e = find_ticket(&r->spool.waiting, ticket, &left);
	}
	if (e != NULL) {
		dedupe_doubt(r, e);
	} else if (left == 0) {
		r->doubts.all = clock_ms();
	} /* else: it was a question of another kind */
}

void
dedupe_fini(struct redis *r)
{
	struct doubt *doubt, *next;

	HASH_ITER(hh, r->doubts.by_key, doubt, next)
	{
		HASH_DEL(r->doubts.by_key, doubt);
		free(doubt);
	}
}

/* Was somebody told of this message that nobody knows? */
static bool
is_in_doubt(struct redis *r, const char *stream, const struct aqb_msg_view *v,
    uint64_t window)
{
	const struct doubts *d = &r->doubts;
	unsigned char hash[HASH_BYTES];
	const struct doubt *doubt;

	if (d->all != 0 && clock_ms() - d->all < window) {
		return true; /* perhaps */
	}
	make_room(r);
	if (d->by_key == NULL) {
		return false;
	}
	hash_id(stream, v, hash);
	HASH_FIND(hh, d->by_key, hash, HASH_BYTES, doubt);
	return doubt != NULL && doubt->until > clock_ms();
}

bool
dedupe_must_look(struct redis *r, const char *stream, const struct aqb_msg *msg,
    uint64_t window)
{
	bool is_young = !r->is_first_life && clock_ms() - r->booted < window;
	struct aqb_msg_view v;

	if (!is_young && r->doubts.all == 0 && r->doubts.by_key == NULL) {
		return false; /* as nearly always */
	}
	r->host->msg_view(msg, &v);
	return (v.flags & AQB_MSG_GIVEN_ID) != 0 &&
	    (is_young || is_in_doubt(r, stream, &v, window));
}

enum aqb_err
dedupe_refusal(struct redis *r, const char *stream, const struct aqb_msg *msg,
    uint64_t window)
{
	if (!dedupe_must_look(r, stream, msg, window)) {
		return AQB_EUNAVAIL;
	}
	note(r, stream, msg, window);
	return AQB_EUNCERTAIN;
}

void
dedupe_tell(struct redis *r, struct entry **ep, enum aqb_stored stored)
{
	struct entry *e = *ep;
	struct aqb_answer a = {
		.size = sizeof a,
		.stored = stored,
		.flags = AQB_ANSWER_REPEATED,
	};

	stream_position(e->stream, e->found_era, e->found_seq, &a.pos);
	if (e->ticket != 0) {
		r->host->answer(r->host, e->ticket, AQB_OK, &a);
	}
	redis_add(r, r->metrics.repeated, 1);
	spool_drop(&r->spool, r->host, ep);
}

/* It is there already.  Whether replicas have it, too, is to be seen when its
 * turn comes. */
static void
is_repeated(struct redis *r, struct entry *e, uint64_t era, uint64_t seq)
{
	e->found_era = era;
	e->found_seq = seq;
	if (e->needs_replicas) {
		e->is_repeat = e->was_looked_up = true;
	} else {
		dedupe_tell(r, &e, r->stored_class);
	}
}

/* What Redis says of one entry.  What may not be asked is stored. */
static void
apply(struct redis *r, struct entry *e, const redisReply *reply)
{
	uint64_t era, seq;
	size_t len;
	const char *id = reply_string(reply, &len);

	if (id != NULL && reply_id(id, len, &era, &seq) && seq > 0) {
		is_repeated(r, e, era, seq);
	} else {
		e->was_looked_up = true;
	}
}

/*
 * Those that were given up meanwhile are not there any more.  Nothing is known
 * when Redis does not say now, or when something before them has to be stored
 * again since: it may be the same message.
 */
static void
apply_all(struct redis *r, const struct look *look, const redisReply *reply)
{
	bool is_answer =
	    reply->type == REDIS_REPLY_ARRAY && reply->elements == look->n;
	struct entry *e = look->stream->next, *next;

	switch (reply_class(reply)) {
	case REPLY_BUSY:
		away_while_busy(r, reply);
		return;
	case REPLY_ELSEWHERE:
		link_drop(r->write, 0, "%.150s", reply_text(reply));
		return;
	default:
		break;
	}
	if (look->stream->is_look_late) {
		return;
	}
	for (size_t i = 0; e != NULL && i < look->n; e = next) {
		next = TAILQ_NEXT(e, stream_link);
		while (i < look->n && look->number[i] < e->number) {
			i++;
		}
		if (i < look->n && look->number[i] == e->number) {
			apply(r, e, is_answer ? reply->element[i] : NULL);
		}
	}
}

static void
on_looked(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct look *look = arg;
	struct stream *s = look->stream;

	s->looking = false;
	if (reply != NULL) { /* else it is asked again when Redis is back */
		apply_all(r, look, reply);
		write_work(r, s);
	}
	free(look);
	if (reply != NULL) {
		write_pump(r);
	}
}

/* This one, and those after it that have to be looked for. */
static void
choose(struct look *look, const struct entry *e)
{
	for (; e != NULL && e->msg != NULL && look->n < AT_ONCE;
	     e = TAILQ_NEXT(e, stream_link)) {
		if (!e->was_looked_up && !e->is_volatile) {
			look->entry[look->n] = e;
			look->number[look->n++] = e->number;
		}
	}
}

bool
dedupe_look(struct redis *r, struct entry *e)
{
	struct look *look = calloc(1, sizeof *look);
	const char *words[1 + AT_ONCE] = { "MGET" };
	size_t lens[1 + AT_ONCE] = { 4 };
	char key[AT_ONCE][DEDUPE_KEY_SIZE];
	struct aqb_msg_view v;

	if (look == NULL) {
		return false;
	}
	look->stream = e->stream;
	look->stream->is_look_late = false;
	choose(look, e);
	for (size_t i = 0; i < look->n; i++) {
		r->host->msg_view(look->entry[i]->msg, &v);
		words[1 + i] = dedupe_key(r, e->stream->name, &v, key[i]);
		lens[1 + i] = strlen(key[i]);
	}
	if (!link_send(r->write, on_looked, look, 1 + (int)look->n, words,
		lens)) {
		free(look);
		return false;
	}
	return true;
}

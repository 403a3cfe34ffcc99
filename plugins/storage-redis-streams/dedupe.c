/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "redis.h"
#include "write.h"

#define HASH_BYTES 16
#define AT_ONCE 64 /* entries that Redis is asked about */

/* A question to Redis. */
struct look {
	struct stream *stream;
	size_t n;
	uint64_t number[AT_ONCE]; /* of the entries, which may be gone */
	const struct entry *entry[AT_ONCE]; /* while it is asked */
};

const char *
dedupe_key(const struct redis *r, const char *stream,
    const struct aqb_msg_view *v, char key[DEDUPE_KEY_SIZE])
{
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
	char hex[2 * HASH_BYTES + 1];
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
	for (int i = 0; i < HASH_BYTES; i++) {
		hex[2 * i] = "0123456789abcdef"[md[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
	}
	hex[2 * HASH_BYTES] = '\0';
	snprintf(key, DEDUPE_KEY_SIZE, "%s:{%u}:d:%s", r->conf->prefix,
	    stream_shard(stream), hex);
	return key;
}

static bool
has_given_id(const struct redis *r, const struct aqb_msg *msg)
{
	struct aqb_msg_view v;

	r->host->msg_view(msg, &v);
	return (v.flags & AQB_MSG_GIVEN_ID) != 0;
}

/* May this be what somebody was told of that nobody knows? */
static bool
is_in_doubt(const struct redis *r, uint64_t window)
{
	return r->doubted != 0 && clock_ms() - r->doubted < window;
}

bool
dedupe_must_look(const struct redis *r, const struct aqb_msg *msg,
    uint64_t window)
{
	return (clock_ms() - r->booted < window || is_in_doubt(r, window)) &&
	    has_given_id(r, msg);
}

void
dedupe_doubt(struct redis *r)
{
	r->doubted = clock_ms();
}

enum aqb_err
dedupe_refusal(struct redis *r, const struct aqb_msg *msg, uint64_t window)
{
	if (!is_in_doubt(r, window) || !has_given_id(r, msg)) {
		return AQB_EUNAVAIL;
	}
	dedupe_doubt(r);
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

/* What Redis says of one entry.  What cannot be asked is stored. */
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

/* Those that were given up meanwhile are not there any more. */
static void
apply_all(struct redis *r, const struct look *look, const redisReply *reply)
{
	bool is_answer =
	    reply->type == REDIS_REPLY_ARRAY && reply->elements == look->n;
	struct entry *e = look->stream->next, *next;

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

/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "redis.h"
#include "write.h"

#define HASH_BYTES 16

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
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	}
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

/* It is there already: its sender is told where. */
static void
is_repeated(struct redis *r, struct entry *e, uint64_t era, uint64_t seq)
{
	struct aqb_answer a = {
		.size = sizeof a,
		.stored = r->stored_class,
		.flags = AQB_ANSWER_REPEATED,
	};

	stream_position(e->stream, era, seq, &a.pos);
	r->host->answer(r->host, e->ticket, AQB_OK, &a);
	redis_add(r, r->metrics.repeated, 1);
	spool_drop(&r->spool, r->host, &e);
}

static void
on_looked(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct stream *s = arg;
	struct entry *e = s->next;
	uint64_t looking = s->looking;
	uint64_t era, seq;
	size_t len;
	const char *id;

	s->looking = 0;
	if (reply == NULL) {
		return; /* asked again when Redis is back */
	}
	id = reply_string(reply, &len);
	if (e == NULL || e->number != looking) {
		; /* it was given up meanwhile */
	} else if (id != NULL && reply_id(id, len, &era, &seq) && seq > 0) {
		is_repeated(r, e, era, seq);
	} else {
		/* Also after an error: what cannot be asked is stored. */
		e->was_looked_up = true;
	}
	write_work(r, s);
	write_pump(r);
}

bool
dedupe_look(struct redis *r, struct entry *e)
{
	char key[DEDUPE_KEY_SIZE];
	struct aqb_msg_view v;
	const char *words[] = { "GET", key };

	r->host->msg_view(e->msg, &v);
	dedupe_key(r, e->stream->name, &v, key);
	return link_say(r->write, on_looked, e->stream, 2, words);
}

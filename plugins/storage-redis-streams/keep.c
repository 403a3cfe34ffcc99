/* SPDX-License-Identifier: Apache-2.0 */
#include "keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis.h"

#define KEY_SIZE 80

static void
name_hash(const struct redis *r, char hash[KEY_SIZE])
{
	snprintf(hash, KEY_SIZE, "%s:{ctl}:keep", r->conf->prefix);
}

void
keep_read(struct redis *r, redisContext *c)
{
	char hash[KEY_SIZE];
	const char *words[] = { "HGETALL", hash };

	name_hash(r, hash);
	r->kept = redisCommandArgv(c, 2, words, NULL);
}

void
keep_free(struct redis *r)
{
	freeReplyObject(r->kept);
	r->kept = NULL;
}

static void
answer(const struct redis *r, aqb_ticket ticket, const redisReply *reply)
{
	struct aqb_answer a = { .size = sizeof a };

	a.value.data = reply_string(reply, &a.value.len);
	if (a.value.data == NULL) {
		redis_fail(r, ticket, AQB_EUNAVAIL);
	} else {
		r->host->answer(r->host, ticket, AQB_OK, &a);
	}
}

struct keeping {
	struct redis *r;
	aqb_ticket ticket;
};

static void
on_kept(redisAsyncContext *ac, void *rep, void *arg)
{
	struct keeping *k = arg;

	answer(k->r, k->ticket, link_reply(ac, rep));
	free(k);
}

/* What the second command says is all there is to know. */
static void
on_put(redisAsyncContext *ac, void *rep, void *arg)
{
	(void)arg;
	link_reply(ac, rep);
}

void
keep_value(struct redis *r, aqb_ticket ticket, const char *key,
    struct aqb_slice value)
{
	char hash[KEY_SIZE];
	const char *put[] = { "HSETNX", hash, key, value.data };
	const char *get[] = { "HGET", hash, key };
	const redisReply *known = reply_get(r->kept, key);
	struct keeping *k;

	if (known != NULL) {
		answer(r, ticket, known);
		return;
	}
	name_hash(r, hash);
	k = calloc(1, sizeof *k);
	if (k == NULL) {
		redis_fail(r, ticket, AQB_ENOMEM);
		return;
	}
	*k = (struct keeping){ r, ticket };
	if (!redis_is_present(r) ||
	    !link_send(r->write, on_put, NULL, 4, put,
		(size_t[]){ 6, strlen(hash), strlen(key), value.len }) ||
	    !link_say(r->write, on_kept, k, 3, get)) {
		redis_fail(r, ticket, AQB_EUNAVAIL);
		free(k);
	}
}

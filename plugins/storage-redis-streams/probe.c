/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "away.h"
#include "redis.h"

struct probing {
	struct redis *r;
	aqb_ticket ticket;
	char key[80];
	char value[64];
};

static void
conclude(struct probing *p, enum aqb_err err)
{
	redis_fail(p->r, p->ticket, err);
	free(p);
}

static void
on_read_back(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct probing *p = arg;
	size_t len;
	const char *value = reply_string(reply, &len);

	conclude(p,
	    value != NULL && strcmp(value, p->value) == 0 ? AQB_OK
							  : AQB_EUNAVAIL);
}

/* Nothing waits: then only this will tell when Redis takes messages again. */
static bool
is_idle(const struct redis *r)
{
	return redis_is_present(r) &&
	    r->spool.messages == r->spool.written_messages;
}

static void
on_written(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct probing *p = arg;
	struct redis *r = p->r;
	const char *words[] = { "GET", p->key };

	if (reply_class(reply) == REPLY_FINE && r->is_away && is_idle(r)) {
		r->busy_wait = r->busy_until = 0;
		away_is_over(r);
	}
	if (reply_class(reply) != REPLY_FINE ||
	    !link_say(r->read, on_read_back, p, 2, words)) {
		conclude(p, AQB_EUNAVAIL);
	}
}

void
probe_begin(struct redis *r, aqb_ticket ticket)
{
	static uint64_t count;
	struct probing *p;
	const char *words[] = { "SET", NULL, NULL, "PX", "60000" };

	p = redis_is_present(r) && (!r->is_away || is_idle(r))
	    ? calloc(1, sizeof *p)
	    : NULL;
	if (p == NULL) {
		redis_fail(r, ticket, AQB_EUNAVAIL);
		return;
	}
	p->r = r;
	p->ticket = ticket;
	snprintf(p->key, sizeof p->key, "%s:{ctl}:probe", r->conf->prefix);
	snprintf(p->value, sizeof p->value, "%s-%" PRIu64, r->boot, ++count);
	words[1] = p->key;
	words[2] = p->value;
	if (!link_say(r->write, on_written, p, 5, words)) {
		conclude(p, AQB_EUNAVAIL);
	}
}

/* The question: what was stored before it was asked is on disk if the answer
 * says so. */
struct asking {
	struct redis *r;
	uint64_t at;
};

static void
on_disk(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct asking *a = arg;
	struct redis *r = a->r;
	uint64_t enabled = 0, pending = 0, delayed = 0;

	if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
		reply_info(reply->str, "aof_enabled", &enabled);
		reply_info(reply->str, "aof_pending_bio_fsync", &pending);
		reply_info(reply->str, "aof_delayed_fsync", &delayed);
		r->has_aof = enabled == 1;
		if (pending == 0 && delayed == r->delayed) {
			r->flushed = a->at;
		}
		r->delayed = delayed;
	}
	free(a);
}

void
probe_disk(struct redis *r)
{
	const char *words[] = { "INFO", "persistence" };
	struct asking *a = calloc(1, sizeof *a);

	if (a == NULL) {
		return;
	}
	*a = (struct asking){ r, clock_ms() };
	if (!link_say(r->read, on_disk, a, 2, words)) {
		free(a);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis.h"
#include "write.h"

#define WAIT_MAX_MS 1000 /* of one round */
#define FORBIDDEN_MS 5000

static void ask(struct redis *r);

/* Whoever waits for replicas is told that nobody knows. */
static void
give_up(struct redis *r, struct entry *e)
{
	if (!r->replicas.is_short) {
		r->replicas.is_short = true;
		r->host->log(r->host, AQB_WARNING,
		    "fewer than %u replicas have the messages that are to be "
		    "replicated",
		    r->conf->replicas);
	}
	write_finish(r, e, r->stored_class);
}

/* The replicas have all that was in this round. */
static void
release(struct redis *r, uint64_t round)
{
	struct entry *e;

	r->replicas.is_suspect = false;
	if (r->replicas.is_short) {
		r->replicas.is_short = false;
		r->host->log(r->host, AQB_INFO,
		    "there are %u replicas or more again", r->conf->replicas);
	}
	while ((e = TAILQ_FIRST(&r->spool.written)) != NULL &&
	    e->round <= round) {
		write_finish(r, e, AQB_STORED_REPLICATED);
	}
}

/* An error that another try over this connection will not mend? */
static void
drop_if_wrong(struct redis *r, const redisReply *reply)
{
	enum reply_class class = reply_class(reply);

	if (class != REPLY_FINE && class != REPLY_BUSY) {
		link_drop(r->replicas.link,
		    class == REPLY_FORBIDDEN ? FORBIDDEN_MS : 0, "%.150s",
		    reply_text(reply));
	}
}

static void
on_written(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);

	(void)arg;
	r->replicas.is_written = reply_class(reply) == REPLY_FINE;
	if (reply != NULL) {
		drop_if_wrong(r, reply);
	}
}

static void
on_counted(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);

	(void)arg;
	r->replicas.count = 0;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER &&
	    reply->integer > 0) {
		r->replicas.count = (uint64_t)reply->integer;
	} else if (reply != NULL) {
		drop_if_wrong(r, reply);
	}
}

/* What INFO says of a master; of anything else it is nothing. */
static void
read_history(const redisReply *reply, struct history *h)
{
	char role[16], second[sizeof h->id];

	*h = (struct history){ .is_first = false };
	if (reply == NULL || reply->type != REDIS_REPLY_STRING ||
	    !reply_info_word(reply->str, "role", role, sizeof role) ||
	    strcmp(role, "master") != 0 ||
	    !reply_info_word(reply->str, "master_replid", h->id,
		sizeof h->id)) {
		h->id[0] = '\0';
		return;
	}
	h->is_first = reply_info_word(reply->str, "master_replid2", second,
			  sizeof second) &&
	    second[strspn(second, "0")] == '\0';
}

/* Of one Redis process: has it been the master between them? */
static bool
goes_on(const struct history *before, const struct history *now)
{
	return now->id[0] != '\0' && before->id[0] != '\0' &&
	    (now->is_first || strcmp(before->id, now->id) == 0);
}

/* The two connections are not to the same master: connect again, and if that
 * does not help, it is the other one that is wrong. */
static void
disagree(struct redis *r)
{
	link_drop(r->replicas.link, 0,
	    "it is not the master that messages are written to");
	if (r->replicas.is_suspect) {
		link_drop(r->write, 0, "it may be no master any more");
	}
	r->replicas.is_suspect = true;
}

/* Replicas that have said that they are so far. */
static uint64_t
count_at(const char *info, uint64_t offset)
{
	uint64_t n = 0;

	for (unsigned i = 0;; i++) {
		char key[24], word[512];
		const char *at;

		snprintf(key, sizeof key, "slave%u", i);
		if (!reply_info_word(info, key, word, sizeof word)) {
			return n;
		}
		at = strstr(word, ",offset=");
		if (at != NULL && strstr(word, ",state=online,") != NULL &&
		    strtoull(at + strlen(",offset="), NULL, 10) >= offset) {
			n++;
		}
	}
}

/* WAIT tells of the newest; of what was asked about before, INFO does. */
static bool
is_replicated(const struct redis *r, const char *info)
{
	const struct replicas *reps = &r->replicas;

	return reps->is_written &&
	    (reps->count >= r->conf->replicas ||
		(reps->offset > 0 &&
		    count_at(info, reps->offset) >= r->conf->replicas));
}

/* The end of a round: was it about what was written? */
static void
on_history(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct replicas *reps = &r->replicas;
	uint64_t round = reps->round - 1;
	struct history now;

	(void)arg;
	reps->is_asking = false;
	if (reply == NULL || reps->is_obsolete || !r->is_fenced) {
		return;
	}
	read_history(reply, &now);
	if (strcmp(reps->run, r->run) != 0 || !goes_on(&reps->known, &now)) {
		disagree(r);
		return;
	}
	reps->known = now;
	if (is_replicated(r, reply->str)) {
		reps->offset = 0;
		release(r, round);
		ask(r);
		return;
	}
	/* Again with the next tick: for the same, if it is written.  Replicas
	 * that are always a little behind would never have the newest. */
	if (reps->is_written && reps->offset == 0 &&
	    !reply_info(reply->str, "master_repl_offset", &reps->offset)) {
		reps->offset = 0;
	}
}

/* Write what the replicas must have when they have all of this round. */
static bool
begin_round(struct redis *r)
{
	struct replicas *reps = &r->replicas;
	char key[80], value[24];
	const char *set[] = { "SET", key, value, "PX", "60000" };

	snprintf(key, sizeof key, "%s:{ctl}:wait", r->conf->prefix);
	snprintf(value, sizeof value, "%llu", (unsigned long long)reps->round);
	reps->round++;
	reps->is_written = false;
	reps->offset = 0;
	return link_say(reps->link, on_written, NULL, 5, set);
}

static void
ask(struct redis *r)
{
	struct replicas *reps = &r->replicas;
	uint64_t ms = r->conf->times.answer / 2;
	char n[24], wait[24];
	const char *count[] = { "WAIT", n, wait };
	const char *info[] = { "INFO", "replication" };

	if (reps->is_asking || TAILQ_EMPTY(&r->spool.written) ||
	    !r->is_fenced || !link_is_ready(reps->link)) {
		return;
	}
	snprintf(n, sizeof n, "%u", r->conf->replicas);
	snprintf(wait, sizeof wait, "%llu",
	    (unsigned long long)(ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms));
	reps->is_obsolete = false;
	reps->count = 0;
	reps->is_asking = (reps->offset > 0 || begin_round(r)) &&
	    link_say(reps->link, on_counted, NULL, 3, count) &&
	    link_say(reps->link, on_history, NULL, 2, info);
}

static void
on_server(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct replicas *reps = &r->replicas;

	(void)arg;
	if (reply == NULL || reply->type != REDIS_REPLY_STRING ||
	    !reply_info_word(reply->str, "run_id", reps->run,
		sizeof reps->run)) {
		reps->run[0] = '\0';
	}
}

static void
on_ready(void *arg)
{
	const char *info[] = { "INFO", "server" };
	struct redis *r = arg;

	redis_add(r, r->metrics.connections, 1);
	link_say(r->replicas.link, on_server, NULL, 2, info);
	ask(r);
}

int
replica_start(struct redis *r)
{
	const struct link_events events = { on_ready, NULL, NULL, r };
	struct replicas *reps = &r->replicas;

	if (r->conf->replicas == 0 || r->conf->cluster) {
		return AQB_OK;
	}
	snprintf(reps->name, sizeof reps->name, "arqonbus-%s-wait", r->boot);
	reps->link = link_new(r->host, r->base, &r->url, &r->conf->times,
	    reps->name, &events);
	if (reps->link == NULL) {
		return AQB_ENOMEM;
	}
	link_start(reps->link);
	return AQB_OK;
}

void
replica_fini(struct redis *r)
{
	link_free(&r->replicas.link);
}

static void
on_seen(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);

	(void)arg;
	read_history(reply, &r->replicas.seen);
}

void
replica_fence(struct redis *r)
{
	const char *info[] = { "INFO", "replication" };

	r->replicas.seen.id[0] = '\0';
	if (r->cluster == NULL) {
		link_say(r->write, on_seen, NULL, 2, info);
	}
}

bool
replica_goes_on(const struct redis *r)
{
	return goes_on(&r->replicas.known, &r->replicas.seen);
}

void
replica_fenced(struct redis *r, bool rolled_back)
{
	struct replicas *reps = &r->replicas;

	reps->known = reps->seen;
	reps->is_suspect = false;
	if (rolled_back) {
		reps->is_obsolete = reps->is_asking;
		reps->offset = 0;
	}
}

void
replica_await(struct redis *r, struct entry *e)
{
	e->round = r->replicas.round;
	spool_await(&r->spool, e);
	ask(r);
}

void
replica_tick(struct redis *r)
{
	uint64_t now = clock_ms();
	struct entry *e;

	if (r->replicas.link == NULL) {
		return;
	}
	while ((e = TAILQ_FIRST(&r->spool.written)) != NULL &&
	    e->since + r->conf->replica_wait <= now) {
		give_up(r, e);
	}
	ask(r);
}

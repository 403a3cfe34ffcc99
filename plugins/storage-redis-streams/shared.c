/* SPDX-License-Identifier: Apache-2.0 */
#include "shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "away.h"
#include "board.h"
#include "check.h"
#include "history.h"
#include "mend.h"
#include "script.h"
#include "shard.h"
#include "tail.h"

#define RETRY_MS 1000

static void
name_keys(struct redis *r, const char *node)
{
	struct cluster *c = r->cluster;
	const char *prefix = r->conf->prefix;

	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *sh = &c->shard[i];

		snprintf(sh->meta, KEY_SIZE, "%s:{%u}:meta", prefix, i);
		snprintf(sh->count, KEY_SIZE, "%s:{%u}:q:%s", prefix, i,
		    r->boot);
		snprintf(sh->log, KEY_SIZE, "%s:{%u}:log", prefix, i);
	}
	snprintf(c->ctl_meta, KEY_SIZE, "%s:{ctl}:meta", prefix);
	snprintf(c->ctl_log, KEY_SIZE, "%s:{ctl}:log", prefix);
	snprintf(c->nodes_key, KEY_SIZE, "%s:{ctl}:nodes", prefix);
	snprintf(c->all_key, KEY_SIZE, "%s:{ctl}:all", prefix);
	snprintf(c->node_prefix, KEY_SIZE, "%s:{ctl}:node:", prefix);
	snprintf(c->node_key, KEY_SIZE, "%s:{ctl}:node:%s", prefix, node);
}

static void
add_metrics(struct redis *r)
{
	const struct aqb_metrics *m = r->host->metrics;
	struct cluster *c = r->cluster;

	c->nodes = m->gauge(r->host, "arqonbus_storage_redis_nodes",
	    "Brokers on these streams.");
	c->holes = m->counter(r->host, "arqonbus_storage_redis_holes_total",
	    "Times that messages missed of a log were read from a stream.");
	c->missed = m->counter(r->host, "arqonbus_storage_redis_mended_total",
	    "Messages that were found so.");
	c->redelivered =
	    m->counter(r->host, "arqonbus_storage_redis_redelivered_total",
		"Messages of other brokers at places that had been taken "
		"before Redis lost them.");
	c->notices_dropped =
	    m->counter(r->host, "arqonbus_storage_redis_notices_dropped_total",
		"Notices that may not have reached the other brokers.");
}

int
shared_follow(struct redis *r, const struct aqb_follower *follower,
    struct aqb_why *why)
{
	struct cluster *c;
	int err;

	if (!r->conf->cluster) {
		snprintf(why->text, sizeof why->text,
		    "cluster: no in [plugin storage-redis-streams], yes in "
		    "[storage]");
		return AQB_EINVAL;
	}
	err = check_node(r, follower->node, why);
	if (err != AQB_OK) {
		return err;
	}
	c = r->cluster = calloc(1, sizeof *c);
	if (c == NULL) {
		return AQB_ENOMEM;
	}
	c->r = r;
	c->follower = follower;
	name_keys(r, follower->node);
	add_metrics(r);
	for (size_t i = 0; i < SHARDS; i++) {
		TAILQ_INIT(&c->shard[i].posts);
		c->shard[i].next_number = 1;
	}
	TAILQ_INIT(&c->mendings);
	err = board_init(r);
	return err == AQB_OK ? tail_init(r) : err;
}

void
shared_free(struct redis *r)
{
	struct stream *s;

	if (r->cluster == NULL) {
		return;
	}
	link_free(&r->cluster->tail);
	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		mend_forget(r, s);
	}
	shard_fini(r);
	board_free(r);
	free(r->cluster);
	r->cluster = NULL;
}

/* {done, id of the last in the log} */
static void
on_shard(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct shard *sh = arg;
	struct place end;
	const char *id;
	size_t len;

	if (reply == NULL) {
		return;
	}
	id = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
		reply->element[0]->type == REDIS_REPLY_INTEGER &&
		reply->element[0]->integer >= 0
	    ? reply_string(reply->element[1], &len)
	    : NULL;
	if (id == NULL || !reply_id(id, len, &end.era, &end.seq)) {
		link_drop(r->write, RETRY_MS, "fence: %.150s",
		    reply_text(reply));
		return;
	}
	if (!sh->has_cursor) {
		sh->cursor = end;
		sh->has_cursor = true;
	}
	shard_fenced(r, sh, (uint64_t)reply->element[0]->integer, end);
	if (--r->cluster->unfenced == 0) {
		shared_resume(r);
	}
}

static void
fence_shards(struct redis *r)
{
	struct cluster *c = r->cluster;
	char era[24];

	snprintf(era, sizeof era, "%" PRIu64, r->era);
	c->unfenced = SHARDS;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *sh = &c->shard[i];
		const char *words[] = { "EVAL", script_fence, "3", sh->meta,
			sh->count, sh->log, era };

		sh->is_fenced = false;
		link_say(r->write, on_shard, sh, 7, words);
	}
}

static void
on_era(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);

	(void)arg;
	if (reply == NULL) {
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_INTEGER ||
	    reply->element[0]->integer < 1) {
		link_drop(r->write, RETRY_MS, "fence: %.150s",
		    reply_text(reply));
		return;
	}
	if (r->era != (uint64_t)reply->element[0]->integer) {
		r->era = (uint64_t)reply->element[0]->integer;
		board_era_began(r);
	}
	snprintf(r->cluster->era_run, sizeof r->cluster->era_run, "%s", r->run);
	fence_shards(r);
}

static void
on_script(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	size_t len;
	const char *sha = reply_string(reply, &len);

	(void)arg;
	r->cluster->is_loading = false;
	if (sha != NULL && len == 40) {
		memcpy(r->cluster->append_sha, sha, 41);
	} else if (reply != NULL) {
		link_drop(r->write, RETRY_MS, "SCRIPT LOAD: %.150s",
		    reply_text(reply));
	}
}

void
shared_load_script(struct redis *r)
{
	const char *load[] = { "SCRIPT", "LOAD", script_append };

	if (!r->cluster->is_loading) {
		r->cluster->is_loading =
		    link_say(r->write, on_script, NULL, 3, load);
	}
}

void
shared_fence(struct redis *r)
{
	char era[24];
	const char *words[] = { "EVAL", script_era, "1", r->cluster->ctl_meta,
		r->run, era, r->cluster->era_run };

	snprintf(era, sizeof era, "%" PRIu64, r->era);
	shared_load_script(r);
	link_say(r->write, on_era, NULL, 7, words);
}

void
shared_resume(struct redis *r)
{
	struct stream *s;

	r->is_fenced = true;
	redis_set(r, r->metrics.connected, 1);
	away_is_over(r);
	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		if (s->state == STREAM_OPENING) {
			s->state = STREAM_UNKNOWN; /* its answer was lost */
		}
		if (!TAILQ_EMPTY(&s->questions)) {
			stream_open(r, s);
		}
	}
	board_resume(r);
	shard_pump(r);
	mend_go_on(r);
	history_go_on(r);
}

static void
on_open(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct stream *s = arg;
	const char *text[3]; /* epoch, first, last */
	size_t len[3];
	uint64_t first, unused;
	bool is_known;

	if (s->state != STREAM_OPENING) {
		return;
	}
	s->state = STREAM_UNKNOWN;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		return; /* whoever needs it will ask again */
	}
	if (reply->elements != 4 ||
	    (text[0] = reply_string(reply->element[0], &len[0])) == NULL ||
	    len[0] != STREAM_EPOCH_SIZE - 1 ||
	    reply->element[1]->type != REDIS_REPLY_INTEGER ||
	    reply->element[1]->integer < 0 ||
	    (text[1] = reply_string(reply->element[2], &len[1])) == NULL ||
	    (text[2] = reply_string(reply->element[3], &len[2])) == NULL) {
		stream_conflict(r, s);
		return;
	}
	/* Where it was handed on already, it goes on from there. */
	is_known = s->answered > 0 && strcmp(s->epoch, text[0]) == 0;
	first = (uint64_t)reply->element[1]->integer + 1;
	if (!is_known) {
		memcpy(s->epoch, text[0], sizeof s->epoch);
		s->seq = s->answered = first - 1;
		s->era = r->era;
		reply_id(text[2], len[2], &s->era, &unused);
	}
	reply_id(text[1], len[1], &unused, &first);
	s->first = first;
	s->exists = true;
	s->state = STREAM_OPEN;
	stream_tell(r, s, AQB_OK);
	history_go_on(r);
}

void
shared_open(struct redis *r, struct stream *s)
{
	char epoch[STREAM_EPOCH_SIZE];
	const char *words[] = { "EVAL", script_open, "2", s->meta_key, s->key,
		epoch };

	stream_make_epoch(epoch);
	if (link_say(r->write, on_open, s, 6, words)) {
		s->state = STREAM_OPENING;
	}
}

void
shared_tick(struct redis *r)
{
	shard_tick(r);
	board_tick(r);
	mend_go_on(r);
}

void
shared_leave(struct redis *r, void (*done)(struct redis *r))
{
	board_leave(r, done);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fence.h"

#include <stdio.h>
#include <string.h>

#include "away.h"
#include "redis.h"
#include "replica.h"
#include "shared.h"
#include "write.h"

#define RETRY_MS 1000 /* when Redis is there, but not as it must be */

/*
 * KEYS: meta.  ARGV: run, boot, our era, whether we may take the streams over,
 * our connection.  Answers {era, 1 if it is the same Redis process}, or {-1}
 * when another broker has them.
 */
static const char script[] =
    "local m = redis.call('HMGET', KEYS[1], 'schema', 'era', 'run', 'boot') "
    "if m[1] and m[1] ~= '" FENCE_SCHEMA "' then "
    "return redis.error_reply('ERR the streams have schema ' .. m[1] .. "
    "', this broker knows " FENCE_SCHEMA "') end "
    "if m[4] and m[4] ~= ARGV[2] and ARGV[4] ~= '1' then return {-1, 0} end "
    "local same = m[3] == ARGV[1] "
    "local era = math.max(tonumber(m[2] or '0'), tonumber(ARGV[3])) "
    "if not same or m[4] ~= ARGV[2] then era = era + 1 end "
    "redis.call('HSET', KEYS[1], 'schema', '" FENCE_SCHEMA "', "
    "'era', string.format('%d', era), 'run', ARGV[1], 'boot', ARGV[2], "
    "'owner', ARGV[5]) "
    "return {era, same and 1 or 0}";

/* Ours for good, or somebody else's. */
static void
oust(struct redis *r)
{
	r->is_ousted = true;
	r->host->log(r->host, AQB_ERROR,
	    "another broker has taken over the streams %s:*; nothing is "
	    "stored any more",
	    r->conf->prefix);
	write_refuse_everything(r);
}

static void
on_fenced(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	bool is_first = r->era == 0;
	bool is_same, is_rolled_back;

	(void)arg;
	if (reply == NULL) {
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_INTEGER ||
	    reply->element[1]->type != REDIS_REPLY_INTEGER) {
		link_drop(r->write, RETRY_MS, "fence: %.150s",
		    reply_text(reply));
		return;
	}
	if (reply->element[0]->integer < 1) {
		oust(r);
		return;
	}
	r->era = (uint64_t)reply->element[0]->integer;
	/* Redis says whether it knows itself; but what it was told last we may
	 * not know, if that answer was lost. */
	is_same = reply->element[1]->integer == 1 &&
	    strcmp(r->fenced_run, r->run) == 0 && replica_goes_on(r);
	is_rolled_back = !is_first && !is_same;
	r->is_first_life = is_first ? r->era == 1 : r->is_first_life;
	memcpy(r->fenced_run, r->run, sizeof r->fenced_run);
	r->is_fenced = true;
	redis_set(r, r->metrics.connected, 1);
	away_is_over(r);
	replica_fenced(r, is_rolled_back);
	write_resume(r, is_rolled_back);
}

static void
ask_for_fence(struct redis *r)
{
	char key[80], era[24];
	const char *words[] = { "EVAL", script, "1", key, r->run, r->boot, era,
		r->era == 0 ? "1" : "0", r->owner };

	snprintf(key, sizeof key, "%s:{ctl}:meta", r->conf->prefix);
	snprintf(era, sizeof era, "%llu", (unsigned long long)r->era);
	link_say(r->write, on_fenced, NULL, 9, words);
}

static void
on_server(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);

	(void)arg;
	if (reply == NULL) {
		return;
	}
	if (reply->type != REDIS_REPLY_STRING ||
	    !reply_info_word(reply->str, "run_id", r->run, sizeof r->run)) {
		link_drop(r->write, RETRY_MS, "INFO: %.150s",
		    reply_text(reply));
	}
}

static void
on_id(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);

	(void)arg;
	snprintf(r->owner, sizeof r->owner, "%lld",
	    reply != NULL && reply->type == REDIS_REPLY_INTEGER
		? (long long)reply->integer
		: 0);
}

static void
on_role(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	size_t len;
	const char *role;

	(void)arg;
	if (reply == NULL) {
		return;
	}
	role = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
	    ? reply_string(reply->element[0], &len)
	    : NULL;
	if (role == NULL || strcmp(role, "master") != 0) {
		link_drop(r->write, RETRY_MS, "it is a %.40s, not a master",
		    role == NULL ? "stranger" : role);
		return;
	}
	if (r->cluster != NULL) {
		shared_fence(r);
	} else {
		ask_for_fence(r);
	}
}

void
fence_begin(struct redis *r)
{
	const char *server[] = { "INFO", "server" };
	const char *id[] = { "CLIENT", "ID" };
	const char *role[] = { "ROLE" };

	if (r->is_ousted) {
		return;
	}
	link_say(r->write, on_server, NULL, 2, server);
	link_say(r->write, on_id, NULL, 2, id);
	replica_fence(r);
	link_say(r->write, on_role, NULL, 1, role);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "away.h"
#include "dedupe.h"
#include "hold.h"
#include "script.h"
#include "words.h"

#define DUE_MAX 4096           /* replies */
#define BACKLOG_MAX (4u << 20) /* bytes not written yet */
#define AT_ONCE 64             /* of one shard, then another's turn */

static redisCallbackFn on_done;

static struct shard *
shard_of(struct redis *r, const char *name)
{
	return &r->cluster->shard[stream_shard(name)];
}

/* Count it among those that wait, or those that are held. */
static void
count(struct redis *r, const struct post *post, bool in)
{
	struct spool *s = &r->spool;
	size_t *messages = post->is_done ? &s->held_messages : &s->messages;
	size_t *bytes = post->is_done ? &s->held_bytes : &s->bytes;

	if (in) {
		*messages += 1;
		*bytes += post->bytes;
	} else {
		*messages -= 1;
		*bytes -= post->bytes;
	}
	if (post->is_excused && !post->is_done) {
		s->excused_messages += in ? 1 : (size_t)-1;
		s->excused_bytes += in ? post->bytes : -(size_t)post->bytes;
	}
}

static void
excuse(struct redis *r, struct post *post)
{
	count(r, post, false);
	post->is_excused = true;
	count(r, post, true);
}

static void
drop(struct redis *r, struct post **postp)
{
	struct post *post = *postp;
	struct shard *sh = post->shard;

	*postp = NULL;
	if (sh->next == post) {
		sh->next = TAILQ_NEXT(post, link);
	}
	if (sh->expected == post) {
		sh->expected = TAILQ_NEXT(post, link);
	}
	TAILQ_REMOVE(&sh->posts, post, link);
	count(r, post, false);
	r->host->msg_unref(&post->msg);
	free(post);
}

static void
refuse(struct redis *r, struct post **postp, enum aqb_err err)
{
	redis_fail(r, (*postp)->ticket, err);
	redis_add(r, r->metrics.refused, 1);
	drop(r, postp);
}

static struct post *
post_new(struct redis *r, const char *name, struct aqb_msg *msg)
{
	struct stream *s = stream_get(r, name);
	struct post *post = s == NULL ? NULL : calloc(1, sizeof *post);
	struct aqb_msg_view v = { .bytes = 0 };

	if (post == NULL) {
		return NULL;
	}
	post->shard = shard_of(r, name);
	post->stream = s;
	post->since = clock_ms();
	if (msg != NULL) {
		post->msg = r->host->msg_ref(msg);
		r->host->msg_view(msg, &v);
	}
	post->bytes = v.bytes + (uint32_t)sizeof *post;
	TAILQ_INSERT_TAIL(&post->shard->posts, post, link);
	if (post->shard->next == NULL) {
		post->shard->next = post;
	}
	if (post->shard->expected == NULL) {
		post->shard->expected = post;
	}
	count(r, post, true);
	return post;
}

int
shard_append(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_limits *limits, struct aqb_msg *msg)
{
	struct aqb_msg_view v;
	struct post *post;

	if (r->is_ousted || redis_backlog(r) >= 100) {
		redis_add(r, r->metrics.refused, 1);
		return AQB_EUNAVAIL;
	}
	post = post_new(r, name, msg);
	if (post == NULL) {
		return AQB_ENOMEM;
	}
	r->host->msg_view(msg, &v);
	post->ticket = ticket;
	post->history_ttl = limits->history_ttl;
	post->history_size = limits->durability == AQB_DURABLE_EPHEMERAL
	    ? 0
	    : limits->history_size;
	post->dedupe_window =
	    (v.flags & AQB_MSG_GIVEN_ID) != 0 ? limits->dedupe_window : 0;
	shard_pump(r);
	return AQB_PENDING;
}

int
shard_forget(struct redis *r, aqb_ticket ticket, const char *name)
{
	struct post *post = post_new(r, name, NULL);

	if (post == NULL) {
		return AQB_ENOMEM;
	}
	/* It will be done; nobody need wait for it. */
	redis_fail(r, ticket, AQB_OK);
	shard_pump(r);
	return AQB_OK;
}

static void
add_append(struct redis *r, const struct post *post, struct words *w,
    char epoch[STREAM_EPOCH_SIZE], char key[DEDUPE_KEY_SIZE])
{
	const struct stream *s = post->stream;
	struct aqb_msg_view v;

	r->host->msg_view(post->msg, &v);
	stream_make_epoch(epoch);
	words_add(w, "EVALSHA");
	words_add(w, r->cluster->append_sha);
	words_add(w, "6");
	words_add(w, post->shard->meta);
	words_add(w, post->shard->count);
	words_add(w, post->shard->log);
	words_add(w, s->meta_key);
	words_add(w, s->key);
	words_add(w, dedupe_key(r, s->name, &v, key));
	words_add_number(w, r->era);
	words_add_number(w, post->number);
	words_add_number(w, post->history_size);
	words_add_number(w,
	    post->history_ttl > 0 ? 2 * post->history_ttl
				  : r->conf->stream_ttl);
	words_add_number(w, post->dedupe_window);
	words_add(w, s->name);
	words_add(w, epoch);
	words_add(w, r->boot);
	words_add_number(w, post->history_ttl);
	words_add_message(w, &v);
}

static void
add_forget(struct redis *r, const struct post *post, struct words *w)
{
	words_add(w, "EVAL");
	words_add(w, script_forget);
	words_add(w, "5");
	words_add(w, post->shard->meta);
	words_add(w, post->shard->count);
	words_add(w, post->shard->log);
	words_add(w, post->stream->meta_key);
	words_add(w, post->stream->key);
	words_add_number(w, r->era);
	words_add_number(w, post->number);
	words_add(w, post->stream->name);
	words_add(w, r->boot);
}

static bool
send_next(struct redis *r, struct shard *sh)
{
	struct post *post = sh->next;
	struct words w;
	char epoch[STREAM_EPOCH_SIZE], key[DEDUPE_KEY_SIZE];

	words_init(&w);
	post->number = sh->next_number;
	if (post->msg != NULL) {
		add_append(r, post, &w, epoch, key);
	} else {
		add_forget(r, post, &w);
	}
	if (!link_send(r->write, on_done, post, w.n, w.text, w.len)) {
		post->number = 0;
		return false;
	}
	post->is_sent = true;
	sh->next_number++;
	sh->sent++;
	sh->next = TAILQ_NEXT(post, link);
	return true;
}

static bool
may_send(const struct redis *r, const struct shard *sh)
{
	return sh->next != NULL && sh->is_fenced && !sh->must_rewind &&
	    link_due(r->write) < DUE_MAX &&
	    link_backlog(r->write) < BACKLOG_MAX;
}

void
shard_pump(struct redis *r)
{
	bool more = redis_is_present(r) && r->busy_until <= clock_ms();

	while (more) {
		more = false;
		for (size_t i = 0; i < SHARDS; i++) {
			struct shard *sh = &r->cluster->shard[i];
			int n = 0;

			while (n < AT_ONCE && may_send(r, sh) &&
			    send_next(r, sh)) {
				n++;
			}
			more = more || n == AT_ONCE;
		}
	}
}

/* It was not done: it waits again. */
static void
take_back(struct redis *r, struct post *post)
{
	if (post->is_done) {
		count(r, post, false);
		post->is_done = false;
		post->is_excused = true; /* the hold is its limit */
		count(r, post, true);
		redis_add(r, r->metrics.replayed, 1);
	}
	post->number = 0;
}

/* All behind the last that is done is to be sent, in order. */
static void
rewind_shard(struct redis *r, struct shard *sh)
{
	struct post *post;

	sh->must_rewind = false;
	sh->next = NULL;
	sh->expected = TAILQ_FIRST(&sh->posts);
	sh->next_number = sh->done + 1;
	TAILQ_FOREACH (post, &sh->posts, link) {
		if (post->number > sh->done || post->number == 0) {
			take_back(r, post);
			sh->next = sh->next == NULL ? post : sh->next;
		}
	}
}

void
shard_answer(struct redis *r, struct post *post, const struct aqb_position *pos)
{
	struct aqb_answer a = {
		.size = sizeof a,
		.stored =
		    post->history_size == 0 ? AQB_STORED_NONE : r->stored_class,
		.pos = *pos,
	};

	if (post->ticket != 0) {
		r->host->answer(r->host, post->ticket, AQB_OK, &a);
		post->ticket = 0;
	}
}

/* Redis has done it: hold it. */
static void
done(struct redis *r, struct post *post)
{
	if (post->is_done) {
		return;
	}
	count(r, post, false);
	post->is_done = true;
	post->since = clock_ms();
	count(r, post, true);
	redis_add(r, r->metrics.appended, 1);
}

void
shard_fenced(struct redis *r, struct shard *sh, uint64_t last,
    struct place log_end)
{
	struct post *post;

	sh->done = last;
	sh->settle = log_end;
	TAILQ_FOREACH (post, &sh->posts, link) {
		if (post->number > 0 && post->number <= last) {
			done(r, post);
		}
	}
	rewind_shard(r, sh);
	sh->is_fenced = true;
	if (!place_before(sh->cursor, sh->settle)) {
		shard_settle(r, sh);
	}
}

/* The position in "epoch era seq". */
static bool
read_position(const redisReply *reply, struct aqb_position *pos)
{
	size_t len;
	const char *text = reply_string(reply, &len);
	uint64_t era;
	char epoch[STREAM_EPOCH_SIZE];

	if (text == NULL ||
	    sscanf(text, "%16[0-9a-f] %" SCNu64 " %" SCNu64, epoch, &era,
		&pos->seq) != 3) {
		return false;
	}
	snprintf(pos->epoch, sizeof pos->epoch, "%s.%" PRIu64, epoch, era);
	return true;
}

static void
is_repeated(struct redis *r, struct post **postp, const redisReply *where)
{
	struct aqb_answer a = {
		.size = sizeof a,
		.stored = r->stored_class,
		.flags = AQB_ANSWER_REPEATED,
	};

	redis_add(r, r->metrics.repeated, 1);
	if (!read_position(where, &a.pos)) {
		refuse(r, postp, AQB_EUNCERTAIN);
		return;
	}
	if ((*postp)->ticket != 0) {
		r->host->answer(r->host, (*postp)->ticket, AQB_OK, &a);
	}
	drop(r, postp);
}

/* Where it is, from {0, epoch, seq}. */
static void
was_stored(struct redis *r, struct post *post, const redisReply *reply)
{
	struct aqb_position pos;
	size_t len;
	const char *epoch =
	    reply->elements == 3 ? reply_string(reply->element[1], &len) : NULL;

	if (epoch != NULL && len == 16 &&
	    reply->element[2]->type == REDIS_REPLY_INTEGER) {
		snprintf(pos.epoch, sizeof pos.epoch, "%s.%" PRIu64, epoch,
		    r->era);
		pos.seq = (uint64_t)reply->element[2]->integer;
		shard_answer(r, post, &pos);
	}
}

/* What the script says: it was the next number, and that is done now. */
static void
take_reply(struct redis *r, struct post *post, const redisReply *reply)
{
	long long what = reply->element[0]->integer;

	post->shard->done = post->number;
	r->busy_wait = 0;
	if (what == 1 && reply->elements == 2) {
		is_repeated(r, &post, reply->element[1]);
	} else if (what == 3) {
		r->host->log(r->host, AQB_ERROR,
		    "%s is not a stream of ours; nothing is stored in %s",
		    post->stream->key, post->stream->name);
		redis_add(r, r->metrics.foreign, 1);
		refuse(r, &post, AQB_EUNAVAIL);
	} else {
		was_stored(r, post, reply);
		done(r, post);
	}
}

static bool
begins(const redisReply *reply, const char *with)
{
	return reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, with, strlen(with)) == 0;
}

/* It was not done.  What was sent behind it comes back, too. */
static void
take_error(struct redis *r, struct post *post, const redisReply *reply)
{
	struct shard *sh = post->shard;

	sh->must_rewind = true;
	if (begins(reply, "SEQGAP") && post->number != sh->done + 1) {
		return; /* something before it failed */
	}
	if (begins(reply, "NOSCRIPT")) {
		shared_load_script(r);
	} else if (begins(reply, "FENCED") || begins(reply, "SEQGAP") ||
	    reply_class(reply) == REPLY_ELSEWHERE) {
		link_drop(r->write, 0, "%.150s", reply_text(reply));
	} else if (reply_class(reply) == REPLY_FORBIDDEN) {
		link_drop(r->write, BUSY_MAX_MS, "%.150s", reply_text(reply));
	} else if (reply_class(reply) == REPLY_CONFLICT) {
		redis_add(r, r->metrics.foreign, 1);
		r->host->log(r->host, AQB_ERROR, "%s: %.200s",
		    post->stream->key, reply_text(reply));
		refuse(r, &post, AQB_EUNAVAIL);
	} else {
		away_while_busy(r, reply);
	}
}

static void
on_done(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct post *post = arg;
	struct shard *sh = post->shard;

	sh->sent--;
	post->is_sent = false;
	if (reply == NULL) {
		return; /* the next fence tells whether it was done */
	}
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
	    reply->element[0]->type == REDIS_REPLY_INTEGER) {
		take_reply(r, post, reply);
		away_is_over(r);
	} else {
		take_error(r, post, reply);
	}
	if (sh->must_rewind && sh->sent == 0) {
		rewind_shard(r, sh);
	}
	shard_pump(r);
}

/* They come in order, but for those that were repetitions. */
struct post *
shard_came(struct redis *r, struct shard *sh, uint64_t number)
{
	struct post *post = sh->expected;

	while (post != NULL && post->number != 0 && post->number < number) {
		post = TAILQ_NEXT(post, link);
	}
	sh->expected = post;
	if (post == NULL || post->number != number) {
		return NULL;
	}
	done(r, post);
	return post;
}

void
shard_settle(struct redis *r, struct shard *sh)
{
	struct post *post;

	TAILQ_FOREACH (post, &sh->posts, link) {
		if (post->is_done && post->ticket != 0) {
			redis_fail(r, post->ticket, AQB_EUNCERTAIN);
			post->ticket = 0;
		}
	}
	sh->settle = (struct place){ 0, 0 };
}

/* Let go what has surely reached the disk, and what there is no room for. */
static void
release_held(struct redis *r, struct shard *sh)
{
	struct post *post;

	while ((post = TAILQ_FIRST(&sh->posts)) != NULL && post->is_done) {
		bool is_safe = hold_is_safe(r, post->since);

		if (post->is_sent ||
		    (!is_safe && r->spool.held_bytes <= r->conf->hold_size)) {
			break;
		}
		if (!is_safe) {
			redis_add(r, r->metrics.hold_short, 1);
		}
		if (post->ticket != 0) {
			redis_fail(r, post->ticket, AQB_EUNCERTAIN);
		}
		drop(r, &post);
	}
}

/* Whoever waits for Redis waits so long and no longer. */
static void
give_up_the_old(struct redis *r, struct shard *sh)
{
	uint64_t now = clock_ms();
	uint64_t patience = away_patience(r);
	struct post *post, *next;

	/* What is done, and held, comes first. */
	for (post = TAILQ_LAST(&sh->posts, post_list);
	     post != NULL && !post->is_done; post = next) {
		next = TAILQ_PREV(post, post_list, link);
		if (post->ticket == 0 || post->since + patience > now) {
			continue;
		}
		if (post->number == 0) {
			refuse(r, &post, AQB_EUNAVAIL);
		} else if (!redis_is_present(r)) {
			redis_fail(r, post->ticket, AQB_EUNCERTAIN);
			post->ticket = 0;
			excuse(r, post);
		}
	}
}

void
shard_tick(struct redis *r)
{
	for (size_t i = 0; i < SHARDS; i++) {
		release_held(r, &r->cluster->shard[i]);
		give_up_the_old(r, &r->cluster->shard[i]);
	}
	shard_pump(r);
}

void
shard_fini(struct redis *r)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct post_list *posts = &r->cluster->shard[i].posts;
		struct post *post;

		while ((post = TAILQ_FIRST(posts)) != NULL) {
			drop(r, &post);
		}
	}
}

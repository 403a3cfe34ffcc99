/* SPDX-License-Identifier: Apache-2.0 */
#include "mend.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "tail.h"

#define PAGE "500"
#define HELD_MAX 1000 /* of one stream; more is read from it, too */

struct held {
	char epoch[STREAM_EPOCH_SIZE];
	struct place at;
	struct aqb_msg *msg;
	uint32_t flags;
	TAILQ_ENTRY(held) link;
};

/* Outlives the stream's need for it while a page is due. */
struct mending {
	struct redis *r;
	struct stream *stream; /* NULL: not wanted any more */
	bool is_asking;
	bool has_let_go; /* of what came after the page that is due */
	size_t n;
	TAILQ_HEAD(held_list, held) held;
	TAILQ_ENTRY(mending) link;
};

static redisCallbackFn on_page;

static void
held_free(struct mending *m, struct held *h)
{
	TAILQ_REMOVE(&m->held, h, link);
	m->n--;
	m->r->host->msg_unref(&h->msg);
	free(h);
}

static void
let_go(struct mending *m)
{
	while (!TAILQ_EMPTY(&m->held)) {
		held_free(m, TAILQ_FIRST(&m->held));
	}
}

static void
ask(struct mending *m)
{
	struct stream *s = m->stream;
	char from[48];
	const char *words[] = { "XRANGE", s->key, from, "+", "COUNT", PAGE };

	m->has_let_go = false;
	snprintf(from, sizeof from, "(%" PRIu64 "-%" PRIu64, s->era,
	    s->answered);
	m->is_asking = link_say(m->r->read, on_page, m, 6, words);
}

/* There is no more to be had: what waited goes on, and a hole that is left is
 * a loss. */
static void
finish(struct mending *m)
{
	struct redis *r = m->r;
	struct stream *s = m->stream;
	struct held *h;

	s->mending = NULL;
	TAILQ_REMOVE(&r->cluster->mendings, m, link);
	while ((h = TAILQ_FIRST(&m->held)) != NULL) {
		uint32_t flags = h->flags;
		struct place at = h->at;
		struct aqb_msg *msg = r->host->msg_ref(h->msg);
		char epoch[STREAM_EPOCH_SIZE];

		memcpy(epoch, h->epoch, sizeof epoch);
		held_free(m, h);
		tail_deliver(r, s, epoch, at, msg, flags | TAIL_MENDED);
		r->host->msg_unref(&msg);
	}
	free(m);
}

static void
on_page(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct mending *m = arg;
	struct stream *s = m->stream;
	struct redis *r = m->r;

	m->is_asking = false;
	if (s == NULL) {
		let_go(m);
		free(m);
		return;
	}
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		return; /* again, soon: mend_go_on() */
	}
	for (size_t i = 0; i < reply->elements; i++) {
		struct aqb_msg *msg;
		struct place at;

		if (!entry_place(reply->element[i], &at.era, &at.seq)) {
			continue;
		}
		msg = entry_message(r, s, reply->element[i]);
		if (msg == NULL) {
			redis_add(r, r->metrics.foreign, 1);
			continue;
		}
		redis_add(r, r->cluster->missed, 1);
		tail_deliver(r, s, s->epoch, at, msg, TAIL_MENDED);
		r->host->msg_unref(&msg);
	}
	if (reply->elements == (size_t)atoi(PAGE) || m->has_let_go) {
		ask(m);
	} else {
		finish(m);
	}
}

void
mend_begin(struct redis *r, struct stream *s)
{
	if (s->mending == NULL) {
		s->mending = calloc(1, sizeof *s->mending);
		if (s->mending == NULL) {
			return; /* the hole remains, and is told as a gap */
		}
		s->mending->r = r;
		s->mending->stream = s;
		TAILQ_INIT(&s->mending->held);
		TAILQ_INSERT_TAIL(&r->cluster->mendings, s->mending, link);
		redis_add(r, r->cluster->holes, 1);
	}
	if (!s->mending->is_asking) {
		ask(s->mending);
	}
}

void
mend_hold(struct redis *r, struct stream *s, const char *epoch, struct place at,
    struct aqb_msg *msg, uint32_t flags)
{
	struct mending *m = s->mending;
	struct held *h = m->n >= HELD_MAX ? NULL : calloc(1, sizeof *h);

	if (h == NULL) {
		/* It is in the stream, too. */
		let_go(m);
		m->has_let_go = true;
		return;
	}
	snprintf(h->epoch, sizeof h->epoch, "%s", epoch);
	h->at = at;
	h->msg = r->host->msg_ref(msg);
	h->flags = flags;
	TAILQ_INSERT_TAIL(&m->held, h, link);
	m->n++;
}

void
mend_go_on(struct redis *r)
{
	struct mending *m;

	TAILQ_FOREACH (m, &r->cluster->mendings, link) {
		if (!m->is_asking) {
			ask(m);
		}
	}
}

void
mend_shard(struct redis *r, const struct shard *sh)
{
	struct stream *s;

	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		if (s->state == STREAM_OPEN &&
		    &r->cluster->shard[stream_shard(s->name)] == sh) {
			mend_begin(r, s);
		}
	}
}

void
mend_forget(struct redis *r, struct stream *s)
{
	struct mending *m = s->mending;

	if (m == NULL) {
		return;
	}
	TAILQ_REMOVE(&r->cluster->mendings, m, link);
	s->mending = NULL;
	m->stream = NULL;
	if (!m->is_asking) {
		let_go(m);
		free(m);
	}
}

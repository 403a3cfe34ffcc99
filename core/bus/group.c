/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "bus/group_priv.h"
#include "host/metric.h"
#include "loop/loop.h"
#include "proto/envelope.h"
#include "proto/msg.h"

#define GROUPS_MAX 100 /* of one channel: each gets every message */

static struct group *
group_find(const struct channel *ch, const char *name)
{
	struct group *g;

	TAILQ_FOREACH (g, &ch->groups, link) {
		if (strcmp(g->name, name) == 0) {
			return g;
		}
	}
	return NULL;
}

/* Takes what is no member's any more with it. */
static void
group_free(struct group **gp, const char *reason)
{
	struct channel *ch;
	struct group *g;
	uint64_t waiting;

	OBJ_TAKE(g, gp, GROUP_MAGIC);
	assert(TAILQ_EMPTY(&g->takers) && TAILQ_EMPTY(&g->out));
	ch = g->channel;
	waiting = queue_waiting(g);
	queue_drop_all(g);
	if (reason != NULL) {
		queue_lost(g, waiting, 0, 0, reason);
	}
	timer_stop(&g->due);
	timer_stop(&g->linger);
	timer_stop(&g->retry);
	TAILQ_REMOVE(&ch->groups, g, link);
	ch->group_count--;
	g->magic = 0;
	free(g);
}

/* Nobody came back. */
static void
on_linger(void *arg)
{
	struct group *g;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	LOG(AQB_DEBUG, "a group without members ends",
	    F("channel", g->channel->stream), F("group", g->name));
	group_free(&g, "linger");
}

/* Whoever had these should have acked them by now. */
static void
on_due(void *arg)
{
	struct group *g;
	struct loop *loop;
	struct item *item;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	loop = g->channel->bus->loop;
	while ((item = TAILQ_FIRST(&g->out)) != NULL &&
	    item->due <= loop_now(loop)) {
		metric_add(METRIC_GROUP_EXPIRED_TOTAL, 1);
		give_back(&item);
	}
	give_run(g);
	item = TAILQ_FIRST(&g->out);
	if (item != NULL) {
		timer_set(loop, &g->due, item->due - loop_now(loop));
	}
}

static void
on_retry(void *arg)
{
	struct group *g;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	give_run(g);
}

static struct group *
group_new(struct channel *ch, const char *name)
{
	struct group *g = xnew(sizeof *g);

	g->magic = GROUP_MAGIC;
	g->channel = ch;
	snprintf(g->name, sizeof g->name, "%s", name);
	g->history.from = 1;
	TAILQ_INIT(&g->takers);
	TAILQ_INIT(&g->ready);
	TAILQ_INIT(&g->again.items);
	TAILQ_INIT(&g->parked.items);
	TAILQ_INIT(&g->page.items);
	TAILQ_INIT(&g->fresh.items);
	TAILQ_INIT(&g->out);
	timer_init(&g->due, on_due, g);
	timer_init(&g->linger, on_linger, g);
	timer_init(&g->retry, on_retry, g);
	TAILQ_INSERT_TAIL(&ch->groups, g, link);
	ch->group_count++;
	return g;
}

enum aqb_code
group_may_join(const struct channel *ch, const char *name, struct aqb_why *why)
{
	if (group_find(ch, name) == NULL && ch->group_count >= GROUPS_MAX) {
		return reject(why, AQB_CODE_LIMIT_REACHED, "group",
		    "group: %s has %u groups, which is the limit", ch->stream,
		    ch->group_count);
	}
	return AQB_CODE_OK;
}

void
group_join(struct member *member, const char *name, bool manual)
{
	struct channel *ch = member->channel;
	struct taker *t = member->taker;
	struct group *g;

	if (t != NULL && strcmp(t->group->name, name) == 0) {
		t->manual = manual;
		return;
	}
	group_leave(member);
	g = group_find(ch, name);
	if (g == NULL) {
		g = group_new(ch, name);
	}
	timer_stop(&g->linger);
	t = xnew(sizeof *t);
	t->magic = TAKER_MAGIC;
	t->manual = manual;
	t->group = g;
	t->member = member;
	TAILQ_INSERT_TAIL(&g->takers, t, link);
	g->taker_count++;
	member->taker = t;
}

void
group_begin(struct member *member)
{
	struct taker *t = member->taker;

	OBJ_CHECK(t, TAKER_MAGIC);
	t->begun = true;
	give_refresh(t);
	give_run(t->group);
}

/* Not a member of its group any more; what it had is in no hands. */
static void
taker_free(struct member *member)
{
	struct taker *t = member->taker;
	struct group *g = t->group;

	OBJ_CHECK(t, TAKER_MAGIC);
	assert(t->items == NULL);
	give_retire(t);
	TAILQ_REMOVE(&g->takers, t, link);
	g->taker_count--;
	member->taker = NULL;
	t->magic = 0;
	free(t);
}

void
group_leave(struct member *member)
{
	struct taker *t = member->taker;
	struct group *g;
	struct item *item;

	if (t == NULL) {
		return;
	}
	g = t->group;
	t->begun = false; /* it gets nothing back of what it gives back */
	while ((item = t->items) != NULL) {
		give_back(&item);
	}
	taker_free(member);
	give_run(g);
	if (g->taker_count == 0) {
		timer_set(g->channel->bus->loop, &g->linger,
		    g->channel->bus->conf.group_linger);
	}
}

void
group_end_all(struct channel *ch, const char *reason)
{
	struct group *g;
	struct taker *t;

	while ((g = TAILQ_FIRST(&ch->groups)) != NULL) {
		while ((t = TAILQ_FIRST(&g->takers)) != NULL) {
			t->begun = false;
			give_forget(t);
			taker_free(t->member);
		}
		group_free(&g, reason);
	}
}

/* The news of a channel's end, which has no position. */
static void
tell_all(struct group *g, struct aqb_msg *msg)
{
	struct taker *t;

	TAILQ_FOREACH (t, &g->takers, link) {
		bus_send(t->member->client, msg);
	}
}

void
group_deliver(struct channel *ch, struct aqb_msg *msg)
{
	struct group *g;
	struct aqb_msg_view v;

	msg_view(msg, &v);
	TAILQ_FOREACH (g, &ch->groups, link) {
		if (v.seq == 0) {
			tell_all(g, msg);
		} else if (!give_now(g, msg)) {
			queue_push(g, msg);
			give_run(g);
		}
	}
}

/* The item that an ack is about; NULL: it is not with this member. */
static struct item *
item_of(const struct client *client, const struct channel *ch,
    const struct aqb_position *pos)
{
	struct member *m = ch == NULL ? NULL : member_find(client, ch);
	struct item want, *item;

	if (m == NULL || m->taker == NULL) {
		return NULL;
	}
	item_key(&want, pos->seq, slice_of(pos->epoch));
	HASH_FIND(hh, m->taker->items, &want.key, sizeof want.key, item);
	return item;
}

enum aqb_code
group_ack(struct client *client, const struct envelope *env,
    struct aqb_why *why)
{
	struct address address = env->address;
	struct channel *ch;
	struct item *item;
	struct group *g;

	channel_resolve(client, &address);
	ch = channel_find(client->bus, address.room, address.channel);
	item = item_of(client, ch, &env->position);
	if (item == NULL) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, "seq",
		    "seq: no message %llu of %s:%s, epoch %s, is with this "
		    "client to be acked; it was acked before, or was given to "
		    "another member of its group",
		    (unsigned long long)env->position.seq, address.room,
		    address.channel, env->position.epoch);
	}
	g = item->taker->group;
	if (env->ok) {
		give_done(&item);
	} else {
		metric_add(METRIC_GROUP_REFUSED_TOTAL, 1);
		give_back(&item);
	}
	give_run(g);
	return AQB_CODE_OK;
}

/* First all of its groups see that it has room, then each gives. */
void
group_ready(struct client *client)
{
	struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->taker != NULL) {
			give_refresh(m->taker);
		}
	}
	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->taker != NULL) {
			give_run(m->taker->group);
		}
	}
}

bool
group_is_at_work(const struct client *client)
{
	const struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->taker != NULL && m->taker->items != NULL) {
			return true;
		}
	}
	return false;
}

void
group_show(const struct channel *ch, aqb_group_visit_f *visit, void *arg)
{
	const struct group *g;

	TAILQ_FOREACH (g, &ch->groups, link) {
		const struct aqb_group_info info = {
			.size = sizeof info,
			.name = g->name,
			.members = g->taker_count,
			.waiting = queue_waiting(g),
			.unacked = g->out_count,
		};

		if (!visit(arg, &info)) {
			return;
		}
	}
}

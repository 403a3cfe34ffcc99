/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "bus/group_priv.h"
#include "bus/remote.h"
#include "host/metric.h"
#include "loop/loop.h"
#include "proto/envelope.h"
#include "proto/msg.h"

#define GROUPS_MAX 100 /* of one channel: each gets every message */

struct group *
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
	lead_end(g, reason != NULL);
	queue_drop_all(g);
	if (reason != NULL) {
		queue_lost(g, waiting, 0, 0, reason);
	}
	timer_stop(&g->due);
	timer_stop(&g->linger);
	timer_stop(&g->retry);
	timer_stop(&g->look);
	timer_stop(&g->confirm);
	TAILQ_REMOVE(&ch->groups, g, link);
	ch->group_count--;
	ch->bus->group_count--;
	ch->bus->group_bytes -= sizeof *g;
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

/* It is not acked, or its node has not said that it came; true: then nobody
 * knows whether it did. */
static bool
expire(struct item *item)
{
	struct taker *t = item->taker;

	if (!group_is_ours(t->group)) {
		give_drop(&item); /* who gave it has seen to it */
		return false;
	}
	t->took = t->given; /* what was on its way is lost by now */
	if (!t->manual) {
		give_drop(&item);
		return true;
	}
	metric_add(METRIC_GROUP_EXPIRED_TOTAL, 1);
	give_back(&item);
	return false;
}

/* Whoever had these should have acked them by now. */
static void
on_due(void *arg)
{
	struct group *g;
	struct loop *loop;
	struct item *item;
	uint64_t lost = 0;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	loop = g->channel->bus->loop;
	while ((item = TAILQ_FIRST(&g->out)) != NULL &&
	    item->due <= loop_now(loop)) {
		lost += expire(item) ? 1 : 0;
	}
	queue_lost(g, lost, 0, 0, "unconfirmed");
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
	struct taker *t;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	g->read_failed = false;
	TAILQ_FOREACH (t, &g->takers, link) {
		t->absent = false;
		give_refresh(t);
	}
	give_run(g);
}

static void
on_look(void *arg)
{
	struct group *g;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	lead_look(g);
}

static void
on_confirm(void *arg)
{
	struct group *g;
	struct taker *t;

	OBJ_CAST(g, arg, GROUP_MAGIC);
	TAILQ_FOREACH (t, &g->takers, link) {
		if (t->member != NULL) {
			far_confirm(t);
		}
	}
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
	timer_init(&g->look, on_look, g);
	timer_init(&g->confirm, on_confirm, g);
	if (ch->bus->cluster != NULL) {
		g->lead = LEAD_OPEN;
		g->holds = true;
	}
	TAILQ_INSERT_TAIL(&ch->groups, g, link);
	ch->group_count++;
	ch->bus->group_count++;
	ch->bus->group_bytes += sizeof *g;
	return g;
}

enum aqb_code
group_may_join(const struct channel *ch, const char *name, struct aqb_why *why)
{
	const struct bus *bus = ch->bus;

	if (group_find(ch, name) != NULL) {
		return AQB_CODE_OK;
	}
	if (bus->group_count >= bus->conf.max_channels) {
		/* Whoever goes from one to the next leaves them behind. */
		return reject(why, AQB_CODE_LIMIT_REACHED, "group",
		    "group: there are %zu on this broker, the limit is "
		    "max_channels, %u",
		    bus->group_count, bus->conf.max_channels);
	}
	if (ch->group_count >= GROUPS_MAX) {
		return reject(why, AQB_CODE_LIMIT_REACHED, "group",
		    "group: %s has %u groups, which is the limit", ch->stream,
		    ch->group_count);
	}
	return AQB_CODE_OK;
}

/* One more in the group of that name, made if there is none. */
static struct taker *
taker_new(struct channel *ch, const char *name, bool manual)
{
	struct group *g = group_find(ch, name);
	struct taker *t = xnew(sizeof *t);

	if (g == NULL) {
		g = group_new(ch, name);
	}
	timer_stop(&g->linger);
	t->magic = TAKER_MAGIC;
	t->manual = manual;
	t->group = g;
	TAILQ_INSERT_TAIL(&g->takers, t, link);
	g->taker_count++;
	return t;
}

/* Who acks no more, or begins to, is a new member: what it has was given to
 * it by other rules. */
static bool
is_same(const struct taker *t, const char *name, bool manual)
{
	return strcmp(t->group->name, name) == 0 && t->manual == manual;
}

void
group_join(struct member *member, const char *name, bool manual)
{
	struct taker *t = member->taker;

	if (t != NULL && is_same(t, name, manual)) {
		t->echo = member->echo;
		return;
	}
	group_leave(member);
	t = taker_new(member->channel, name, manual);
	t->echo = member->echo;
	t->mark = ++member->client->bus->serial;
	t->member = member;
	member->taker = t;
	lead_look(t->group);
}

void
group_far_join(struct remote_member *m, const char *name, bool manual,
    bool echo, uint64_t mark)
{
	struct taker *t = m->taker;

	if (t == NULL || !is_same(t, name, manual) || t->mark != mark) {
		group_far_leave(m);
		t = taker_new(m->channel, name, manual);
		t->mark = mark;
		t->begun = true;
		t->far = m;
		t->group->far_count++;
		m->taker = t;
		lead_look(t->group);
	}
	t->absent = false;
	t->echo = echo;
	give_refresh(t);
	give_run(t->group);
}

void
group_begin(struct member *member)
{
	struct taker *t = member->taker;

	OBJ_CHECK(t, TAKER_MAGIC);
	t->begun = true;
	cluster_touch(member->client);
	give_refresh(t);
	give_run(t->group);
}

/* Not a member of its group any more; what it had is in no hands. */
static void
taker_free(struct taker *t)
{
	struct group *g = t->group;

	OBJ_CHECK(t, TAKER_MAGIC);
	assert(t->items == NULL);
	give_retire(t);
	TAILQ_REMOVE(&g->takers, t, link);
	g->taker_count--;
	if (t->member != NULL) {
		t->member->taker = NULL;
	} else {
		t->far->taker = NULL;
		g->far_count--;
	}
	t->magic = 0;
	free(t);
}

/* It goes, and the group begins to wait if it was the last one. */
static void
part(struct taker *t)
{
	struct group *g = t->group;

	taker_free(t);
	give_run(g);
	if (g->taker_count > 0) {
		return;
	}
	if (group_is_ours(g)) {
		timer_set(g->channel->bus->loop, &g->linger,
		    g->channel->bus->conf.group_linger);
	} else {
		group_free(&g, NULL); /* it is another node's */
	}
}

void
group_leave(struct member *member)
{
	struct taker *t = member->taker;
	struct item *item;

	if (t == NULL) {
		return;
	}
	t->begun = false; /* it gets nothing back of what it gives back */
	cluster_touch(member->client);
	if (!group_is_ours(t->group)) {
		far_part(t);
	}
	while ((item = t->items) != NULL) {
		give_back(&item);
	}
	part(t);
}

void
group_far_leave(struct remote_member *m)
{
	struct taker *t = m->taker;
	struct item *item;
	uint64_t lost = 0;

	if (t == NULL) {
		return;
	}
	t->begun = false;
	while ((item = t->items) != NULL) {
		if (!t->manual && m->remote->node->is_gone) {
			lost++; /* or it is done, but nobody knows */
			give_drop(&item);
			continue;
		}
		if (!t->manual ||
		    (m->remote->by_itself && item->nth > t->took.n)) {
			item->deliveries--; /* or its node had said so before */
		}
		give_back(&item);
	}
	queue_lost(t->group, lost, 0, 0, "node_gone");
	part(t);
}

bool
group_put(const struct member *member, struct buf *b)
{
	const struct taker *t = member->taker;

	if (t == NULL || !t->begun) {
		return false;
	}
	buf_printf(b, "[%" PRId64 ",\"%s\",%s,%s,%" PRIu64 "]",
	    member->joined_at, t->group->name, t->manual ? "true" : "false",
	    t->echo ? "true" : "false", t->mark);
	return true;
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
			taker_free(t);
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
		if (t->member != NULL) {
			bus_send(t->member->client, msg);
		}
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
			continue;
		}
		if ((g->holds && !lead_keeps(g)) || queue_is_past(g, &v)) {
			continue;
		}
		if (!give_now(g, msg)) {
			queue_push(g, msg);
			give_run(g);
		}
		lead_touch(g);
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

/* Another node waits for it. */
static enum aqb_code
ack_elsewhere(struct item *item, bool ok, struct aqb_why *why)
{
	if (far_tell(item->taker, item, ok) != AQB_OK) {
		return reject(why, AQB_CODE_STORAGE_UNAVAILABLE, NULL,
		    "storage: the broker that waits for it cannot be told now; "
		    "say it again");
	}
	if (ok) {
		give_done(&item);
	} else {
		metric_add(METRIC_GROUP_REFUSED_TOTAL, 1);
		give_drop(&item);
	}
	return AQB_CODE_OK;
}

/* This node is to give out, but does not know yet what is open.  Until it does
 * it tells of acks as all others do, and hears of them as they do. */
static bool
is_resuming(const struct group *g)
{
	return g->lead == LEAD_HERE && g->holds && !g->has_all;
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
	if (!group_is_ours(g) || is_resuming(g)) {
		return ack_elsewhere(item, env->ok, why);
	}
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
			far_confirm(m->taker);
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
			.waiting = g->lead == LEAD_ELSEWHERE ? lead_waiting(g)
							     : queue_waiting(g),
			.unacked = g->out_count,
		};

		if (!visit(arg, &info)) {
			return;
		}
	}
}

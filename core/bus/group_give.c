/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who gets what.  Members take turns; who has no room is passed over, and
 * costs nothing until it has room again.  Room is room in the outbox, which
 * the worker tells (client_has_room), and for who acks, less than
 * `group_max_pending` that it has not acked.
 *
 * Nobody gets its own message, unless it joined with echo.  What only its own
 * sender would have room for is parked: all that is parked is of one sender,
 * for whoever else gets room takes what is parked first.
 */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/obj.h"
#include "bus/group_priv.h"
#include "bus/publish.h"
#include "bus/remote.h"
#include "host/metric.h"
#include "host/telemetry.h"
#include "loop/loop.h"
#include "proto/msg.h"

#define FAR_RETRY_MS 1000 /* after another node could not be told */

static bool
has_room(const struct taker *t)
{
	const struct client *client;

	if (t->far != NULL) {
		return t->begun && far_has_room(t);
	}
	client = t->member->client;
	return t->begun && client_has_room(client) && !client->is_leaving &&
	    (!t->manual ||
		HASH_COUNT(t->items) < client->bus->conf.group_max_pending);
}

void
give_retire(struct taker *t)
{
	OBJ_CHECK(t, TAKER_MAGIC);
	if (t->ready) {
		TAILQ_REMOVE(&t->group->ready, t, ready_link);
		t->ready = false;
	}
}

void
give_refresh(struct taker *t)
{
	OBJ_CHECK(t, TAKER_MAGIC);
	if (!t->ready && has_room(t)) {
		TAILQ_INSERT_TAIL(&t->group->ready, t, ready_link);
		t->ready = true;
	}
}

static uint64_t
serial_of(const struct taker *t)
{
	return t->far != NULL ? t->far->serial : t->member->serial;
}

/* A sender is known by what its messages say, so that this holds for what was
 * read from the history, too. */
static bool
may_take(const struct taker *t, const struct aqb_msg *msg)
{
	const char *id =
	    t->far != NULL ? t->far->remote->id : t->member->client->id;
	struct aqb_msg_view v;

	if (t->echo) {
		return true;
	}
	msg_view(msg, &v);
	return v.from.len != strlen(id) ||
	    memcmp(v.from.data, id, v.from.len) != 0;
}

/* Whose turn it is to have this message.  Who had it last gets it only where
 * nobody else has room.  At most two are passed over: the sender, and who had
 * it last. */
static struct taker *
pick(struct group *g, const struct aqb_msg *msg, uint64_t last)
{
	struct taker *t = TAILQ_FIRST(&g->ready);
	struct taker *again = NULL;

	while (t != NULL) {
		struct taker *next = TAILQ_NEXT(t, ready_link);

		if (!has_room(t)) {
			give_retire(t);
		} else if (!may_take(t, msg)) {
			/* Not this one. */
		} else if (serial_of(t) == last) {
			again = t;
		} else {
			return t;
		}
		t = next;
	}
	return again;
}

/* Send it, and let it be the others' turn. */
static void
post(struct taker *t, struct aqb_msg *msg)
{
	struct client *client = t->member->client;

	bus_send(client, msg);
	client_posted(client, msg_frame(msg).len);
	client->bus->group_given++;
	metric_add(METRIC_GROUP_DELIVERED_TOTAL, 1);
	give_retire(t);
	give_refresh(t);
}

/* From the second time on a message says how often it was given out. */
static void
post_again(struct taker *t, const struct item *item)
{
	struct aqb_msg *msg = msg_again(item->msg, item->deliveries);

	metric_add(METRIC_GROUP_REDELIVERED_TOTAL, 1);
	post(t, msg != NULL ? msg : item->msg);
	msg_unref(&msg);
}

/* Note who has it; false without memory. */
static bool
lend(struct taker *t, struct item *item)
{
	struct group *g = t->group;
	struct loop *loop = g->channel->bus->loop;
	uint64_t wait = g->channel->bus->conf.group_ack_wait;

	HASH_ADD(hh, t->items, key, sizeof item->key, item);
	if (!HASH_WAS_ADDED(item)) {
		return false;
	}
	item->taker = t;
	item->due = loop_now(loop) + wait;
	if (g->out_count++ == 0) {
		timer_set(loop, &g->due, wait);
	}
	TAILQ_INSERT_TAIL(&g->out, item, link);
	g->is_stirred = true;
	if (t->member != NULL) {
		bus_resume(t->member->client); /* else it could not ack */
	}
	return true;
}

bool
give_anew(struct taker *t, struct item *item)
{
	return lend(t, item);
}

/* Out of the hands of the member that has it. */
static struct taker *
take_from(struct item *item)
{
	struct taker *t = item->taker;
	struct group *g = t->group;

	HASH_DEL(t->items, item);
	TAILQ_REMOVE(&g->out, item, link);
	g->out_count--;
	g->is_stirred = true;
	item->taker = NULL;
	item->last = serial_of(t);
	return t;
}

/* To another node.  It keeps what it has until that one has taken it. */
static bool
give_far(struct taker *t, struct item *item)
{
	struct group *g = t->group;

	if (far_post(t, item)) {
		item->nth = t->given.n;
		give_retire(t);
		give_refresh(t);
		return true;
	}
	take_from(item);
	item->deliveries--;
	if (!timer_is_set(&g->retry)) {
		timer_set(g->channel->bus->loop, &g->retry, FAR_RETRY_MS);
	}
	return false;
}

bool
give(struct taker *t, struct item *item)
{
	struct group *g = t->group;

	if ((t->manual || t->far != NULL) && !lend(t, item)) {
		return false;
	}
	item->deliveries++;
	if (t->far != NULL) {
		return give_far(t, item);
	}
	if (item->deliveries > 1) {
		post_again(t, item);
	} else {
		post(t, item->msg);
	}
	if (!t->manual) {
		item_free(g, &item);
	}
	return true;
}

bool
give_now(struct group *g, struct aqb_msg *msg)
{
	struct taker *t;

	if (g->holds || queue_waiting(g) > g->parked.n) {
		return false;
	}
	t = pick(g, msg, 0);
	if (t == NULL || t->manual || t->far != NULL) {
		return false;
	}
	post(t, msg);
	return true;
}

/* Give out the first of a queue; false when nobody may have it now. */
static bool
give_first(struct group *g, struct queue *q)
{
	struct item *item = TAILQ_FIRST(&q->items);
	struct taker *t;

	if (item == NULL) {
		return false;
	}
	t = pick(g, item->msg, item->last);
	if (t == NULL) {
		return false;
	}
	queue_remove(q, item);
	if (!give(t, item)) {
		TAILQ_INSERT_HEAD(&q->items, item, link);
		q->n++;
		give_retire(t); /* until something else of it changes */
	}
	return true;
}

/* Only its own sender has room: let it wait apart, for it must not keep from
 * it what others sent. */
static void
park_first(struct group *g, struct queue *q)
{
	struct item *item = TAILQ_FIRST(&q->items);

	queue_remove(q, item);
	queue_add(&g->parked, item);
}

/* The queue that comes first; NULL: nothing is to be had now. */
static struct queue *
first_queue(struct group *g)
{
	if (g->again.n > 0) {
		return &g->again;
	}
	if (g->page.n > 0) {
		return &g->page;
	}
	return queue_read(g) || g->fresh.n == 0 ? NULL : &g->fresh;
}

void
give_run(struct group *g)
{
	struct queue *q;

	OBJ_CHECK(g, GROUP_MAGIC);
	while (!g->holds && !TAILQ_EMPTY(&g->ready)) {
		if (give_first(g, &g->parked)) {
			continue;
		}
		if (TAILQ_EMPTY(&g->ready) || (q = first_queue(g)) == NULL) {
			break;
		}
		if (!give_first(g, q) && !TAILQ_EMPTY(&g->ready)) {
			park_first(g, q);
		}
	}
	queue_bound(g);
	lead_touch(g);
}

void
give_done(struct item **itemp)
{
	struct taker *t = take_from(*itemp);
	struct group *g = t->group;

	if (t->member != NULL) {
		metric_add(METRIC_GROUP_ACKED_TOTAL, 1);
	}
	if ((*itemp)->key.epoch == g->past_epoch) {
		/* The history where it stands may not be read yet. */
		open_done(&g->opens, (*itemp)->key.seq);
	}
	item_free(g, itemp);
	give_refresh(t);
}

void
give_drop(struct item **itemp)
{
	struct taker *t = take_from(*itemp);

	item_free(t->group, itemp);
	give_refresh(t);
}

struct item *
give_find(const struct group *g, uint64_t seq, uint64_t epoch)
{
	const struct item want = { .key = { seq, epoch } };
	const struct taker *t;
	struct item *item;

	TAILQ_FOREACH (t, &g->takers, link) {
		HASH_FIND(hh, t->items, &want.key, sizeof want.key, item);
		if (item != NULL) {
			return item;
		}
	}
	return NULL;
}

void
give_forget(struct taker *t)
{
	struct item *item;

	while ((item = t->items) != NULL) {
		take_from(item);
		item_free(t->group, &item);
	}
}

static void
tell_death(const struct group *g, const struct item *item)
{
	char id[AQB_MSG_ID_MAX * 6 + 1];
	char about[AQB_NAME_MAX + 64];
	struct aqb_msg_view v;

	metric_add(METRIC_GROUP_DEAD_TOTAL, 1);
	LOG(AQB_WARNING, "a message of a group was given up",
	    F("channel", g->channel->stream), F("group", g->name),
	    FN("seq", item->key.seq), FN("deliveries", item->deliveries));
	msg_view(item->msg, &v);
	snprintf(id, sizeof id, "%.*s", (int)v.id.len, v.id.data);
	snprintf(about, sizeof about, "{\"group\":\"%s\",\"deliveries\":%u}",
	    g->name, item->deliveries);
	telemetry_emit("group_message_dead", AQB_WARNING,
	    &(struct telemetry_fields){
		.room = g->channel->room->name,
		.channel = g->channel->name,
		.message_id = id,
		.metadata = about,
	    });
}

/* The channel of the dead, made if need be; NULL when it cannot be. */
static struct channel *
channel_of_the_dead(const struct group *g)
{
	struct bus *bus = g->channel->bus;
	const char *room = g->channel->room->name;
	char name[AQB_NAME_MAX + sizeof ".dead"];
	struct channel *ch;

	snprintf(name, sizeof name, "%s.dead", g->channel->name);
	if (strlen(name) > AQB_NAME_MAX) {
		return NULL;
	}
	ch = channel_find(bus, room, name);
	if (ch == NULL && bus->channel_count < bus->conf.max_channels) {
		ch = channel_new(bus, room, name);
	}
	return ch;
}

/* Nobody could do it: others may look at it in a channel of its own. */
static void
bury(struct group *g, struct item **itemp)
{
	struct channel *dead = channel_of_the_dead(g);
	uint64_t seq = (*itemp)->key.seq;

	tell_death(g, *itemp);
	if (dead == NULL || !publish_copy(dead, (*itemp)->msg)) {
		queue_lost(g, 1, seq, seq, "dead_letter");
	}
	item_free(g, itemp);
}

void
give_again(struct group *g, struct item *item)
{
	if (item->deliveries >= g->channel->bus->conf.group_max_deliveries) {
		bury(g, &item);
	} else {
		queue_add(&g->again, item);
	}
}

void
give_back(struct item **itemp)
{
	struct item *item = *itemp;
	struct taker *t = take_from(item);

	*itemp = NULL;
	give_again(t->group, item);
	give_refresh(t);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Members on other nodes.
 *
 * The node that gives out sends a message to the node of the member, which
 * sends it on and says what became of it, all by notices.  What is on the way
 * is bounded: FAR_MOST messages and FAR_BYTES of a member that its node has
 * not confirmed.  That confirms when the member's outbox has room; each give
 * says how much was given so far, and each confirmation how much of it came,
 * so that a notice that is lost is made up for by the next.
 *
 * A member that leaves and comes again, or acks from now on, has another mark:
 * what is on the way by the old one is not for it, and counts nowhere.
 *
 * What is given to such a member stays with it, auto or not: until it is
 * acked, or confirmed.  The other node keeps what has to be acked as well, and
 * knows by that which acks are right.
 */

#include <stdio.h>
#include <string.h>

#include "base/obj.h"
#include "bus/group_priv.h"
#include "bus/notice.h"
#include "bus/remote.h"
#include "host/metric.h"
#include "loop/loop.h"
#include "proto/msg.h"

#define FAR_MOST 64
#define FAR_BYTES (256u * 1024u)
#define CONFIRM_AT 8 /* at once */
#define CONFIRM_MS 5 /* or so much later */
#define AGAIN_MS 1000
#define ABSENT_MS 1000

bool
far_has_room(const struct taker *t)
{
	uint64_t n = t->given.n - t->took.n;
	uint64_t bytes = t->given.bytes - t->took.bytes;
	uint32_t most = t->group->channel->bus->conf.group_max_pending;

	return !t->absent && n < FAR_MOST && (n == 0 || bytes < FAR_BYTES) &&
	    (!t->manual || HASH_COUNT(t->items) < most);
}

static void
fill(struct work *w, const struct taker *t, enum work_kind kind)
{
	const struct group *g = t->group;

	*w = (struct work){ .kind = kind, .mark = t->mark };
	snprintf(w->client, sizeof w->client, "%s",
	    t->far != NULL ? t->far->remote->id : t->member->client->id);
	snprintf(w->room, sizeof w->room, "%s", g->channel->room->name);
	snprintf(w->channel, sizeof w->channel, "%s", g->channel->name);
	snprintf(w->group, sizeof w->group, "%s", g->name);
}

static void
fill_position(struct work *w, const struct aqb_msg *msg)
{
	struct aqb_msg_view v;

	msg_view(msg, &v);
	w->pos.seq = v.seq;
	snprintf(w->pos.epoch, sizeof w->pos.epoch, "%.*s", (int)v.epoch.len,
	    v.epoch.data);
}

bool
far_post(struct taker *t, const struct item *item)
{
	struct tally given = { t->given.n + 1,
		t->given.bytes + msg_frame(item->msg).len };
	struct work w;

	fill(&w, t, WORK_GIVE);
	fill_position(&w, item->msg);
	snprintf(w.node, sizeof w.node, "%s", t->far->remote->node->name);
	w.n = given.n;
	w.bytes = given.bytes;
	w.deliveries = item->deliveries;
	if (notice_work(t->group->channel->bus, &w, item->msg) != AQB_OK) {
		return false;
	}
	t->given = given;
	return true;
}

/* What was told is done, or back, at once for this node; and once more when it
 * comes to its place: what the one that gives out said before that, without
 * knowing of it, may have been heard meanwhile. */
int
far_tell(const struct taker *t, const struct item *item, bool ok)
{
	struct work w;
	int err;

	fill(&w, t, ok ? WORK_DONE : WORK_BACK);
	fill_position(&w, item->msg);
	err = notice_work(t->group->channel->bus, &w, NULL);
	if (err == AQB_OK) {
		lead_heard(t->group->channel->bus, &w);
	}
	return err;
}

static void
confirm(struct taker *t)
{
	struct group *g = t->group;
	struct loop *loop = g->channel->bus->loop;
	struct work w;

	if (t->took.n == t->given.n) {
		return;
	}
	fill(&w, t, WORK_TOOK);
	w.n = t->given.n;
	w.bytes = t->given.bytes;
	if (notice_work(g->channel->bus, &w, NULL) == AQB_OK) {
		t->took = t->given;
	} else {
		timer_set(loop, &g->confirm, AGAIN_MS);
	}
}

void
far_confirm(struct taker *t)
{
	if (t->took.n != t->given.n && client_has_room(t->member->client)) {
		confirm(t);
	}
}

/* Who gave it gives it to another at once: to this one, too, if it comes again,
 * but as another member.  If that is not told, it is when this member is seen
 * to be gone. */
void
far_part(struct taker *t)
{
	struct item *item;

	confirm(t);
	while ((item = t->items) != NULL) {
		far_tell(t, item, false);
		give_drop(&item);
	}
}

/* A member of this node's, or NULL. */
static struct taker *
near_taker(struct bus *bus, const struct work *w)
{
	struct client *client = client_find(bus, w->client, strlen(w->client));
	struct channel *ch = channel_find(bus, w->room, w->channel);
	struct member *m = NULL;

	if (client != NULL && !client->dropped && !client->is_leaving &&
	    ch != NULL) {
		m = member_find(client, ch);
	}
	if (m == NULL || m->taker == NULL || !m->taker->begun ||
	    m->taker->mark != w->mark ||
	    strcmp(m->taker->group->name, w->group) != 0) {
		return NULL;
	}
	return m->taker;
}

/* Send it on; false: it cannot be. */
static bool
send_on(struct taker *t, const struct work *w, struct aqb_msg *msg)
{
	struct group *g = t->group;
	struct item *item = item_new(g, msg);
	struct item *old;

	if (item == NULL) {
		return false;
	}
	/* Who gives it once more has taken it from whoever had it. */
	old = give_find(g, item->key.seq, item->key.epoch);
	if (old != NULL) {
		give_drop(&old);
	}
	item->deliveries = w->deliveries - 1;
	if (!give(t, item)) {
		item_free(g, &item);
		return false;
	}
	t->given = (struct tally){ w->n, w->bytes };
	return true;
}

static void
on_give(struct bus *bus, const char *node, const struct work *w,
    struct aqb_msg *msg)
{
	struct taker *t = near_taker(bus, w);
	struct work missed = *w;
	struct group *g;

	/* One that was stopped for a while may think that it gives out. */
	if (t == NULL || !lead_is(t->group, node) || !send_on(t, w, msg)) {
		missed.kind = WORK_MISSED;
		snprintf(missed.node, sizeof missed.node, "%s", node);
		notice_work(bus, &missed, NULL);
		return;
	}
	g = t->group;
	if (t->given.n - t->took.n >= CONFIRM_AT) {
		far_confirm(t);
	} else if (!timer_is_set(&g->confirm)) {
		timer_set(bus->loop, &g->confirm, CONFIRM_MS);
	}
}

/* The member that a node speaks of; NULL: it is not for us to hear. */
static struct taker *
far_taker(struct bus *bus, const struct work *w)
{
	struct remote *r = remote_find(bus, w->client, strlen(w->client));
	struct channel *ch = channel_find(bus, w->room, w->channel);
	struct remote_member *m = NULL;

	if (r != NULL && ch != NULL) {
		m = remote_member_find(r, ch);
	}
	if (m == NULL || m->taker == NULL || m->taker->mark != w->mark ||
	    m->taker->group->lead == LEAD_ELSEWHERE ||
	    strcmp(m->taker->group->name, w->group) != 0) {
		return NULL;
	}
	return m->taker;
}

static void
note_took(struct taker *t, const struct work *w)
{
	if (w->n > t->took.n && w->n <= t->given.n) {
		t->took = (struct tally){ w->n, w->bytes };
	}
}

/* Without acks that is all there is to be known of them. */
static void
on_took(struct taker *t, const struct work *w)
{
	struct item *item;

	if (w->n > t->given.n) {
		return; /* of another time */
	}
	note_took(t, w);
	while (!t->manual && (item = t->items) != NULL && item->nth <= w->n) {
		give_done(&item);
	}
}

/* Its node does not find it, and would not a moment later. */
static void
be_absent(struct taker *t, const struct work *w)
{
	struct group *g = t->group;

	note_took(t, w); /* it is not on the way any more */
	t->absent = true;
	give_retire(t);
	if (!timer_is_set(&g->retry)) {
		timer_set(g->channel->bus->loop, &g->retry, ABSENT_MS);
	}
}

static void
settle(struct taker *t, const struct work *w)
{
	struct item want, *item;

	item_key(&want, w->pos.seq, slice_of(w->pos.epoch));
	HASH_FIND(hh, t->items, &want.key, sizeof want.key, item);
	if (item == NULL) {
		/* It has gone to another meanwhile; or is not read yet. */
		if (want.key.epoch == t->group->past_epoch) {
			open_settle(&t->group->opens, w);
		}
		return;
	}
	if (w->kind == WORK_DONE) {
		give_done(&item);
		return;
	}
	if (w->kind == WORK_MISSED) {
		item->deliveries--;
	}
	give_back(&item);
}

void
group_came(struct bus *bus, const struct work *w)
{
	lead_heard(bus, w);
}

void
group_heard(struct bus *bus, const char *node, const struct work *w,
    struct aqb_msg *msg)
{
	struct taker *t;
	struct group *g;

	if (w->kind == WORK_GIVE) {
		on_give(bus, node, w, msg);
		return;
	}
	if (w->kind == WORK_DONE || w->kind == WORK_BACK) {
		lead_heard(bus, w);
	}
	t = far_taker(bus, w);
	if (t == NULL) {
		return;
	}
	g = t->group;
	if (w->kind == WORK_MISSED) {
		be_absent(t, w);
	}
	if (w->kind == WORK_TOOK) {
		on_took(t, w);
	} else {
		settle(t, w);
	}
	give_refresh(t);
	give_run(g);
}

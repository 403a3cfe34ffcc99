/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What waits in a group until a member has room.
 *
 * The newest messages wait in memory, `group_backlog` of them at most.  Beyond
 * that the oldest of them are let go of and only their positions are known:
 * one stretch of the history, directly before what is in memory.  It is read
 * in pages when somebody has room.  What has been given out before and came
 * back stays in memory: no history knows how often that was.
 */

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/group_question.h"
#include "host/metric.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "loop/loop.h"
#include "proto/msg.h"

#define READ_LIMIT 256 /* messages in one read */
#define RETRY_MS 1000  /* after a read that failed */

static uint64_t
epoch_hash(struct aqb_slice epoch)
{
	return hash_bytes(epoch.data, epoch.len);
}

void
item_key(struct item *item, uint64_t seq, struct aqb_slice epoch)
{
	item->key.seq = seq;
	item->key.epoch = epoch_hash(epoch);
}

struct item *
item_new(struct group *g, struct aqb_msg *msg)
{
	struct bus *bus = g->channel->bus;
	struct item *item = try_new(sizeof *item);
	struct aqb_msg_view v;

	if (item == NULL) {
		return NULL;
	}
	msg_view(msg, &v);
	item->magic = ITEM_MAGIC;
	item_key(item, v.seq, v.epoch);
	item->msg = msg_ref(msg);
	item->bytes = v.bytes + sizeof *item;
	bus->group_bytes += item->bytes;
	bus->group_messages++;
	return item;
}

void
item_free(struct group *g, struct item **itemp)
{
	struct bus *bus = g->channel->bus;
	struct item *item;

	OBJ_TAKE(item, itemp, ITEM_MAGIC);
	assert(item->taker == NULL);
	bus->group_bytes -= item->bytes;
	bus->group_messages--;
	msg_unref(&item->msg);
	item->magic = 0;
	free(item);
}

void
queue_add(struct queue *q, struct item *item)
{
	TAILQ_INSERT_TAIL(&q->items, item, link);
	q->n++;
}

void
queue_remove(struct queue *q, struct item *item)
{
	TAILQ_REMOVE(&q->items, item, link);
	q->n--;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
length_of(const struct stretch *s)
{
	return s->from > s->to ? 0 : s->to - s->from + 1;
}

uint64_t
queue_waiting(const struct group *g)
{
	return g->again.n + g->parked.n + g->page.n + g->fresh.n +
	    length_of(&g->history);
}

void
queue_lost(struct group *g, uint64_t n, uint64_t from, uint64_t to,
    const char *reason)
{
	const struct channel *ch = g->channel;
	struct buf b = { 0 };

	if (n == 0) {
		return;
	}
	metric_add(METRIC_GROUP_LOST_TOTAL, n);
	LOG(AQB_WARNING, "messages of a group are lost",
	    F("channel", ch->stream), F("group", g->name), FN("messages", n),
	    FN("from_seq", from), FN("to_seq", to), F("reason", reason));
	buf_printf(&b, "{\"group\":\"%s\",\"messages\":", g->name);
	buf_u64(&b, n);
	if (from > 0) {
		buf_puts(&b, ",\"from_seq\":");
		buf_u64(&b, from);
		buf_puts(&b, ",\"to_seq\":");
		buf_u64(&b, to);
	}
	buf_printf(&b, ",\"reason\":\"%s\"}", reason);
	telemetry_emit("group_messages_lost", AQB_WARNING,
	    &(struct telemetry_fields){
		.room = ch->room->name,
		.channel = ch->name,
		.metadata = b.failed ? NULL : buf_text(&b),
	    });
	buf_fini(&b);
}

/* The whole stretch cannot be had any more. */
static void
lose_history(struct group *g, const char *reason)
{
	struct stretch *s = &g->history;

	queue_lost(g, length_of(s), s->from, s->to, reason);
	*s = (struct stretch){ .from = 1 };
}

void
queue_push(struct group *g, struct aqb_msg *msg)
{
	struct item *item = item_new(g, msg);
	struct aqb_msg_view v;

	if (item == NULL) {
		msg_view(msg, &v);
		queue_lost(g, 1, v.seq, v.seq, "memory");
		return;
	}
	queue_add(&g->fresh, item);
}

/* Let go of the oldest of the newest; its position is enough. */
static void
spill(struct group *g)
{
	struct item *item = TAILQ_FIRST(&g->fresh.items);
	struct stretch *s = &g->history;

	if (length_of(s) > 0 &&
	    (s->epoch != item->key.epoch || item->key.seq <= s->to)) {
		/* Of another past: that of before is nowhere any more. */
		lose_history(g, "epoch");
	}
	if (length_of(s) == 0) {
		s->epoch = item->key.epoch;
		s->from = item->key.seq;
	}
	s->to = item->key.seq;
	queue_remove(&g->fresh, item);
	item_free(g, &item);
}

/* A tenth at once, so that it is not told for each message. */
static void
lose_parked(struct group *g, uint64_t limit)
{
	uint64_t keep = limit - limit / 10;
	uint64_t n = 0;

	while (g->parked.n > keep) {
		struct item *item = TAILQ_FIRST(&g->parked.items);

		queue_remove(&g->parked, item);
		item_free(g, &item);
		n++;
	}
	queue_lost(g, n, 0, 0, "no_other_member");
}

void
queue_bound(struct group *g)
{
	uint64_t limit = g->channel->bus->conf.group_backlog;

	while (g->fresh.n > limit) {
		spill(g);
	}
	if (g->parked.n > limit) {
		lose_parked(g, limit);
	}
}

/* Is it with a member of ours, or back from one? */
static bool
is_known(const struct group *g, uint64_t seq, uint64_t epoch)
{
	const struct item *item;

	if (give_find(g, seq, epoch) != NULL) {
		return true;
	}
	TAILQ_FOREACH (item, &g->again.items, link) {
		if (item->key.seq == seq && item->key.epoch == epoch) {
			return true;
		}
	}
	return false;
}

/* Put one page where it is given out from, and count what is missing. */
static void
take_page(struct group *g, const struct aqb_answer *answer, uint64_t to)
{
	struct stretch *s = &g->history;

	for (size_t i = 0; i < answer->n; i++) {
		struct aqb_msg_view v;
		struct item *item;

		msg_view(answer->msgs[i], &v);
		if (v.seq < s->from || v.seq > to) {
			continue;
		}
		queue_lost(g, v.seq - s->from, s->from, v.seq - 1, "history");
		s->from = v.seq + 1;
		if (v.seq <= g->past_to &&
		    (open_is_done(&g->opens, v.seq) ||
			is_known(g, v.seq, s->epoch))) {
			continue;
		}
		item = item_new(g, answer->msgs[i]);
		if (item == NULL) {
			queue_lost(g, 1, v.seq, v.seq, "memory");
		} else if (v.seq > g->past_to || !open_resume(g, item)) {
			queue_add(&g->page, item);
		}
	}
	if ((!answer->more || answer->n == 0) && s->from <= to) {
		queue_lost(g, to - s->from + 1, s->from, to, "history");
		s->from = to + 1;
	}
	if (s->from > g->past_to) {
		open_fini(&g->opens);
	}
}

static void
on_read(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct question was;
	struct group *g = question_end(arg, &was);

	if (g == NULL) {
		return;
	}
	if (err != AQB_OK) {
		g->read_failed = true;
		timer_set(g->channel->bus->loop, &g->retry, RETRY_MS);
		return;
	}
	if (was.wanted.epoch != g->history.epoch) {
		give_run(g); /* it is of another past by now */
		return;
	}
	if (epoch_hash(slice_of(answer->pos.epoch)) != was.wanted.epoch) {
		lose_history(g, "epoch");
	} else {
		take_page(g, answer, was.wanted.to);
	}
	give_run(g);
}

bool
queue_read(struct group *g)
{
	struct channel *ch = g->channel;
	struct aqb_range range = {
		.size = sizeof range,
		.limit = READ_LIMIT,
		.after = g->history.from - 1,
		.before = g->history.to + 1,
	};
	struct question *q;

	if (length_of(&g->history) == 0) {
		return false;
	}
	if (g->reading != NULL || g->read_failed) {
		return true;
	}
	q = question_new(g, &g->reading);
	q->wanted = g->history;
	store_history(ch->bus->store, ch->stream, &range, on_read, q);
	return true;
}

static void
empty(struct group *g, struct queue *q)
{
	struct item *item;

	while ((item = TAILQ_FIRST(&q->items)) != NULL) {
		queue_remove(q, item);
		item_free(g, &item);
	}
}

void
queue_drop_all(struct group *g)
{
	empty(g, &g->again);
	empty(g, &g->parked);
	empty(g, &g->page);
	empty(g, &g->fresh);
	g->history = (struct stretch){ .from = 1 };
	question_forget(&g->reading);
	open_fini(&g->opens);
}

/* The lowest seq of this epoch in a list, at most `low`; the first of the
 * epoch is it where they are in order. */
static uint64_t
lowest(const struct item_list *items, bool in_order, uint64_t epoch,
    uint64_t low)
{
	const struct item *item;

	TAILQ_FOREACH (item, items, link) {
		if (item->key.epoch != epoch) {
			continue;
		}
		low = item->key.seq < low ? item->key.seq : low;
		if (in_order) {
			break;
		}
	}
	return low;
}

/* The newest of this epoch that is known of: it may be still to come. */
static uint64_t
last_of(const struct group *g, uint64_t epoch)
{
	return larger(g->channel->last.seq,
	    g->past_epoch == epoch ? g->past_to : 0);
}

uint64_t
queue_first(const struct group *g, uint64_t epoch)
{
	const struct stretch *s = &g->history;
	uint64_t low = last_of(g, epoch) + 1;

	low = lowest(&g->page.items, true, epoch, low);
	low = lowest(&g->fresh.items, true, epoch, low);
	return length_of(s) > 0 && s->epoch == epoch && s->from < low ? s->from
								      : low;
}

bool
queue_done(const struct group *g, struct aqb_position *posp)
{
	const struct aqb_position *last = &g->channel->last;
	uint64_t epoch = epoch_hash(slice_of(last->epoch));
	uint64_t low = queue_first(g, epoch);

	if (last->epoch[0] == '\0') {
		return false;
	}
	low = lowest(&g->again.items, false, epoch, low);
	low = lowest(&g->parked.items, false, epoch, low);
	low = lowest(&g->out, false, epoch, low);
	*posp = *last;
	posp->seq = low - 1;
	return true;
}

bool
queue_is_past(const struct group *g, const struct aqb_msg_view *v)
{
	return v->seq <= g->past_to && epoch_hash(v->epoch) == g->past_epoch;
}

/* What came meanwhile up to here is done, or is read with what is known of it.
 * More of it may come: this node may be behind the one that gave it out. */
static void
drop_past(struct group *g, uint64_t to)
{
	struct item *item;

	while ((item = TAILQ_FIRST(&g->fresh.items)) != NULL &&
	    item->key.epoch == g->past_epoch && item->key.seq <= to) {
		queue_remove(&g->fresh, item);
		item_free(g, &item);
	}
}

/* Let what came meanwhile, but was given out before, be as it was said to be. */
static void
sort_past(struct group *g)
{
	struct queue keep = { .n = 0 };
	struct item *item;

	TAILQ_INIT(&keep.items);
	while ((item = TAILQ_FIRST(&g->fresh.items)) != NULL &&
	    item->key.epoch == g->past_epoch && item->key.seq < g->opens.from) {
		queue_remove(&g->fresh, item);
		if (open_is_done(&g->opens, item->key.seq) ||
		    is_known(g, item->key.seq, item->key.epoch)) {
			item_free(g, &item);
		} else if (!open_resume(g, item)) {
			queue_add(&keep, item);
		}
	}
	TAILQ_CONCAT(&keep.items, &g->fresh.items, link);
	TAILQ_CONCAT(&g->fresh.items, &keep.items, link);
	g->fresh.n += keep.n;
}

void
queue_resume(struct group *g, const struct aqb_position *after, uint64_t first)
{
	const struct aqb_position *last = &g->channel->last;
	uint64_t epoch = epoch_hash(slice_of(last->epoch));
	uint64_t from = after->seq + 1;
	struct stretch *s = &g->history;
	const struct item *fresh;
	uint64_t known;

	if (strcmp(after->epoch, last->epoch) != 0) {
		/* The old epoch is nowhere any more; all of the new one came
		 * when the group was there. */
		LOG(AQB_WARNING, "a group goes on in another epoch",
		    F("channel", g->channel->stream), F("group", g->name));
		from = first > 0 ? first : 1;
	}
	/* Up to here the one before knew what is done; some of it may still be
	 * on the way to this node. */
	known = larger(from - 1, g->opens.from > 0 ? g->opens.from - 1 : 0);
	g->past_epoch = epoch;
	g->past_to = larger(last->seq, known);
	if (length_of(s) > 0 && s->epoch != epoch) {
		drop_past(g, from - 1);
		return;
	}
	/* What is on the way would not be in order behind what came. */
	drop_past(g, known > last->seq ? known : from - 1);
	fresh = TAILQ_FIRST(&g->fresh.items);
	if (length_of(s) > 0) {
		/* So much came that it is there, too. */
		s->from = from;
		s->to = known > last->seq ? known : s->to;
	} else {
		*s = (struct stretch){ epoch, from, g->past_to };
		if (fresh != NULL && fresh->key.epoch == epoch) {
			s->to = fresh->key.seq - 1;
		}
	}
	sort_past(g);
}

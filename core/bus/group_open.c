/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/group_open.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bus/group_priv.h"
#include "bus/notice.h"
#include "bus/remote.h"
#include "proto/json.h"

static void
put_list(const struct item_list *items, uint64_t epoch, const char **commap,
    struct buf *b)
{
	const struct item *item;

	TAILQ_FOREACH (item, items, link) {
		const struct taker *t = item->taker;
		bool is_at_work = t != NULL && t->manual;

		if (item->key.epoch != epoch) {
			continue;
		}
		buf_printf(b, "%s[", *commap);
		buf_u64(b, item->key.seq);
		/* Of who does not ack nobody knows whether it came. */
		buf_printf(b, ",%u,\"%s\"]",
		    item->deliveries - (t != NULL && !t->manual ? 1 : 0),
		    !is_at_work          ? ""
			: t->far != NULL ? t->far->remote->id
					 : t->member->client->id);
		*commap = ",";
	}
}

void
open_put(const struct group *g, const struct aqb_position *pos, size_t most,
    struct buf *b)
{
	const char *comma = "";
	struct item like;
	uint64_t epoch;

	item_key(&like, pos->seq, slice_of(pos->epoch));
	epoch = like.key.epoch;
	if (g->out_count + g->again.n + g->parked.n > most) {
		return;
	}
	buf_puts(b, ",\"from\":");
	buf_u64(b, queue_first(g, epoch));
	buf_puts(b, ",\"open\":[");
	put_list(&g->out, epoch, &comma, b);
	put_list(&g->again.items, epoch, &comma, b);
	put_list(&g->parked.items, epoch, &comma, b);
	buf_putc(b, ']');
}

/* One of three values of one that is open. */
struct element {
	struct opened it;
	unsigned n;
};

static bool
read_element(void *arg, const struct json_value *value)
{
	struct element *e = arg;
	uint64_t deliveries;
	size_t len;

	switch (e->n++) {
	case 0:
		return json_u64(value, &e->it.seq);
	case 1:
		if (!json_u64(value, &deliveries) || deliveries > UINT32_MAX) {
			return false;
		}
		e->it.deliveries = (uint32_t)deliveries;
		return true;
	case 2:
		return json_decode(value, e->it.client, sizeof e->it.client - 1,
		    &len);
	default:
		return true; /* later versions may say more */
	}
}

static bool
count_one(void *arg, const struct json_value *value)
{
	(void)value;
	++*(size_t *)arg;
	return true;
}

static bool
read_one(void *arg, const struct json_value *value)
{
	struct opens *o = arg;
	struct element e = { .n = 0 };
	size_t at;

	if (value->type != JSON_ARRAY ||
	    json_elements(value->text, value->len, read_element, &e, &at) !=
		JSON_OK ||
	    e.n < 3) {
		return false;
	}
	o->list[o->n++] = e.it;
	return true;
}

bool
open_read(const struct json_value *from, const struct json_value *list,
    struct opens *o)
{
	size_t n = 0, at;

	*o = (struct opens){ .from = 0 };
	if (from->len == 0 && list->len == 0) {
		return true;
	}
	if (!json_u64(from, &o->from) || list->type != JSON_ARRAY ||
	    json_elements(list->text, list->len, count_one, &n, &at) !=
		JSON_OK) {
		return false;
	}
	o->list = try_new((n + 1) * sizeof *o->list);
	if (o->list == NULL ||
	    json_elements(list->text, list->len, read_one, o, &at) != JSON_OK) {
		open_fini(o);
		return false;
	}
	return true;
}

void
open_fini(struct opens *o)
{
	free(o->list);
	*o = (struct opens){ .from = 0 };
}

static struct opened *
find(const struct opens *o, uint64_t seq)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->list[i].seq == seq) {
			return &o->list[i];
		}
	}
	return NULL;
}

void
open_settle(struct opens *o, const struct work *w)
{
	struct opened *it = find(o, w->pos.seq);

	if (it == NULL || strcmp(it->client, w->client) != 0) {
		return; /* it was with another one then */
	}
	if (w->kind == WORK_DONE) {
		*it = o->list[--o->n];
	} else {
		it->client[0] = '\0';
	}
}

void
open_done(struct opens *o, uint64_t seq)
{
	struct opened *it = find(o, seq);

	if (it != NULL) {
		*it = o->list[--o->n];
	}
}

bool
open_is_done(const struct opens *o, uint64_t seq)
{
	return seq < o->from && find(o, seq) == NULL;
}

/* A member that is still at work on it.  One of this node's has it, or has it
 * no more. */
static struct taker *
worker(struct group *g, const char *client)
{
	struct taker *t;

	TAILQ_FOREACH (t, &g->takers, link) {
		if (t->far != NULL && t->manual &&
		    strcmp(t->far->remote->id, client) == 0) {
			return t;
		}
	}
	return NULL;
}

bool
open_resume(struct group *g, struct item *item)
{
	const struct opened *it = find(&g->opens, item->key.seq);
	struct taker *t;

	if (it == NULL || it->deliveries == 0) {
		return false;
	}
	item->deliveries = it->deliveries;
	t = worker(g, it->client);
	if (t == NULL || !give_anew(t, item)) {
		give_again(g, item);
	}
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/presence.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/text.h"
#include "loop/loop.h"
#include "proto/msg.h"

#define PRESENCE_MAGIC 0x1b94de07u
#define CHANGES_MAX 128 /* told in one message; the rest come with the next */

/* One client that came or went. */
struct change {
	bool joined;
	char id[CLIENT_ID_SIZE];
	char *record; /* of one that came: JSON */
	TAILQ_ENTRY(change) link;
};

TAILQ_HEAD(change_list, change);

struct presence {
	uint32_t magic;
	struct channel *channel;
	struct change_list changes; /* not told yet */
	struct timer timer;         /* running: the last message is too new */
};

/* A member whose connection was lost, until its grace is over.  Found by
 * channel and client. */
struct absent {
	struct {
		char id[CLIENT_ID_SIZE];
		uint64_t channel_serial;
	} key;
	struct channel *channel;
	struct timer timer;
	UT_hash_handle hh;
};

static void
change_free(struct change *change)
{
	free(change->record);
	free(change);
}

static void
absent_free(struct bus *bus, struct absent *a)
{
	timer_stop(&a->timer);
	a->channel->absent_count--;
	HASH_DEL(bus->absents, a);
	free(a);
}

static struct absent *
absent_find(const struct channel *ch, const char *id)
{
	struct absent *a, want;

	if (ch->absent_count == 0) {
		return NULL;
	}
	memset(&want, 0, sizeof want); /* the padding is part of the key */
	strcpy(want.key.id, id);
	want.key.channel_serial = ch->serial;
	HASH_FIND(hh, ch->bus->absents, &want.key, sizeof want.key, a);
	return a;
}

/* `"joined":[..],"left":[..]` of a batch, but for one client. */
static void
put_changes(struct buf *b, const struct change_list *batch, const char *but)
{
	const struct change *change;
	size_t n = 0;

	buf_puts(b, "\"joined\":[");
	TAILQ_FOREACH (change, batch, link) {
		if (change->joined && strcmp(change->id, but) != 0) {
			buf_puts(b, n++ > 0 ? "," : "");
			buf_puts(b, change->record);
		}
	}
	buf_puts(b, "],\"left\":[");
	n = 0;
	TAILQ_FOREACH (change, batch, link) {
		if (!change->joined && strcmp(change->id, but) != 0) {
			buf_puts(b, n++ > 0 ? "," : "");
			buf_json_str(b, change->id);
		}
	}
	buf_putc(b, ']');
}

static struct aqb_msg *
message_for(struct channel *ch, const struct change_list *batch,
    const char *but)
{
	struct aqb_msg *msg = NULL;
	struct buf b = { 0 };

	text_begin(&b, ch->bus, "system");
	text_address(&b, ch);
	buf_puts(&b, ",\"payload\":{\"event\":\"presence\",");
	put_changes(&b, batch, but);
	buf_printf(&b, ",\"member_count\":%u}}", ch->member_count);
	if (!b.failed) {
		msg = msg_text(b.data, b.len);
	}
	buf_fini(&b);
	return msg;
}

/* How many changes of the batch are not this client's own. */
static size_t
of_others(const struct change_list *batch, const char *id, size_t *allp)
{
	const struct change *change;
	size_t n = 0;

	*allp = 0;
	TAILQ_FOREACH (change, batch, link) {
		n += strcmp(change->id, id) != 0 ? 1 : 0;
		++*allp;
	}
	return n;
}

static void
tell(struct channel *ch, const struct change_list *batch)
{
	struct aqb_msg *common = message_for(ch, batch, "");
	struct member *m;

	TAILQ_FOREACH (m, &ch->members, channel_link) {
		struct aqb_msg *own = NULL;
		size_t all;
		size_t n;

		if (!m->presence) {
			continue;
		}
		n = of_others(batch, m->client->id, &all);
		if (n == 0) {
			continue;
		}
		if (n < all) {
			own = message_for(ch, batch, m->client->id);
		}
		if (n == all ? common != NULL : own != NULL) {
			bus_send(m->client, n == all ? common : own);
		}
		msg_unref(&own);
	}
	msg_unref(&common);
}

/* Tell the oldest changes now, and begin to wait. */
static void
flush(struct presence *p)
{
	struct change_list batch = TAILQ_HEAD_INITIALIZER(batch);
	struct change *change;
	size_t n = 0;

	while ((change = TAILQ_FIRST(&p->changes)) != NULL &&
	    n++ < CHANGES_MAX) {
		TAILQ_REMOVE(&p->changes, change, link);
		TAILQ_INSERT_TAIL(&batch, change, link);
	}
	if (TAILQ_EMPTY(&batch)) {
		return;
	}
	tell(p->channel, &batch);
	while ((change = TAILQ_FIRST(&batch)) != NULL) {
		TAILQ_REMOVE(&batch, change, link);
		change_free(change);
	}
	timer_set(p->channel->bus->loop, &p->timer,
	    p->channel->bus->conf.presence_interval);
}

static void
on_interval(void *arg)
{
	struct presence *p;

	OBJ_CAST(p, arg, PRESENCE_MAGIC);
	flush(p);
}

static struct presence *
presence_get(struct channel *ch)
{
	struct presence *p = ch->presence;

	if (p == NULL) {
		p = xnew(sizeof *p);
		p->magic = PRESENCE_MAGIC;
		p->channel = ch;
		TAILQ_INIT(&p->changes);
		timer_init(&p->timer, on_interval, p);
		ch->presence = p;
	}
	return p;
}

/* Coming and going between two messages cancel out. */
static bool
cancels_out(struct presence *p, const char *id, bool joined)
{
	struct change *change;

	TAILQ_FOREACH (change, &p->changes, link) {
		if (change->joined != joined && strcmp(change->id, id) == 0) {
			TAILQ_REMOVE(&p->changes, change, link);
			change_free(change);
			return true;
		}
	}
	return false;
}

/* Note a change; it is told when the interval is over, and the first one
 * when the interval has begun, so that what comes together is told so. */
static void
note(struct channel *ch, const char *id, char *record)
{
	struct presence *p;
	struct change *change;

	if (ch->presence_count == 0 && ch->presence == NULL) {
		free(record);
		return;
	}
	p = presence_get(ch);
	if (cancels_out(p, id, record != NULL)) {
		free(record);
		return;
	}
	change = xnew(sizeof *change);
	change->joined = record != NULL;
	change->record = record;
	strcpy(change->id, id);
	TAILQ_INSERT_TAIL(&p->changes, change, link);
	if (!timer_is_set(&p->timer)) {
		timer_set(ch->bus->loop, &p->timer,
		    ch->bus->conf.presence_interval);
	}
}

void
presence_joined(struct member *m)
{
	struct absent *a = absent_find(m->channel, m->client->id);
	struct buf b = { 0 };
	char *record;
	size_t len;

	if (a != NULL) {
		absent_free(m->client->bus, a); /* it never was away */
		return;
	}
	if (m->channel->presence_count == 0) {
		return;
	}
	client_record(m->client, m->joined_at, &b);
	record = buf_take(&b, &len);
	if (record != NULL) {
		note(m->channel, m->client->id, record);
	}
}

static void
on_grace_over(void *arg)
{
	struct absent *a = arg;
	struct channel *ch = a->channel;
	char id[CLIENT_ID_SIZE];

	memcpy(id, a->key.id, sizeof id);
	absent_free(ch->bus, a);
	note(ch, id, NULL);
}

void
presence_left(struct member *m, bool lost)
{
	struct channel *ch = m->channel;
	struct bus *bus = ch->bus;
	struct absent *a;

	if (ch->presence_count == (m->presence ? 1u : 0u) &&
	    ch->presence == NULL) {
		return; /* nobody would be told */
	}
	if (!lost || bus->conf.presence_grace == 0) {
		note(ch, m->client->id, NULL);
		return;
	}
	a = xnew(sizeof *a);
	strcpy(a->key.id, m->client->id);
	a->key.channel_serial = ch->serial;
	a->channel = ch;
	timer_init(&a->timer, on_grace_over, a);
	HASH_ADD(hh, bus->absents, key, sizeof a->key, a);
	if (!HASH_WAS_ADDED(a)) {
		free(a);
		note(ch, m->client->id, NULL);
		return;
	}
	ch->absent_count++;
	timer_set(bus->loop, &a->timer, bus->conf.presence_grace);
}

static void
forget_absents(struct bus *bus, const struct channel *ch)
{
	struct absent *a, *next;

	if (ch->absent_count == 0) {
		return;
	}
	HASH_ITER(hh, bus->absents, a, next)
	{
		if (a->channel == ch) {
			absent_free(bus, a);
		}
	}
}

void
presence_stop(struct channel *ch)
{
	struct presence *p = ch->presence;
	struct change *change;

	forget_absents(ch->bus, ch);
	ch->presence = NULL;
	if (p == NULL) {
		return;
	}
	timer_stop(&p->timer);
	while ((change = TAILQ_FIRST(&p->changes)) != NULL) {
		TAILQ_REMOVE(&p->changes, change, link);
		change_free(change);
	}
	p->magic = 0;
	free(p);
}

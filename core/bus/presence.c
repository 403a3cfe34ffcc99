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

/* Told in one message; the rest come with the next. */
#define CHANGES_MAX 128
#define RECORDS_MAX (64u * 1024u) /* bytes, but for one record more */

/* Told to all who watch in one interval, likewise: a crowd that watches itself
 * come is told in smaller portions, so that nobody else has to wait for it. */
#define TOLD_MAX (8u * 1024u * 1024u)

/* One client that came or went. */
struct change {
	char id[CLIENT_ID_SIZE];
	char *record; /* of one that came: JSON; NULL: it left */
	UT_hash_handle hh;
};

/* What one message tells. */
struct batch {
	struct change *change[CHANGES_MAX];
	size_t n;
};

struct presence {
	uint32_t magic;
	struct channel *channel;
	struct change *changes; /* not told yet, by id, oldest first */
	struct timer timer;     /* running: the last message is too new */
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
put_changes(struct buf *b, const struct batch *batch, const char *but)
{
	const char *comma = "";

	buf_puts(b, "\"joined\":[");
	for (size_t i = 0; i < batch->n; i++) {
		const struct change *change = batch->change[i];

		if (change->record != NULL && strcmp(change->id, but) != 0) {
			buf_puts(b, comma);
			buf_puts(b, change->record);
			comma = ",";
		}
	}
	buf_puts(b, "],\"left\":[");
	comma = "";
	for (size_t i = 0; i < batch->n; i++) {
		const struct change *change = batch->change[i];

		if (change->record == NULL && strcmp(change->id, but) != 0) {
			buf_puts(b, comma);
			buf_json_str(b, change->id);
			comma = ",";
		}
	}
	buf_putc(b, ']');
}

static struct aqb_msg *
message_for(struct channel *ch, const struct batch *batch, const char *but)
{
	struct aqb_msg *msg = NULL;
	struct buf b = { 0 };

	text_begin(&b, ch->bus, "system");
	text_address(&b, ch);
	buf_puts(&b, ",\"payload\":{\"event\":\"presence\",");
	put_changes(&b, batch, but);
	buf_printf(&b, ",\"member_count\":%u}}", channel_members(ch));
	if (!b.failed) {
		msg = msg_text(b.data, b.len);
	}
	buf_fini(&b);
	return msg;
}

/* Who is itself in the batch hears all of it but that; the mark says who. */
static uint64_t
mark_batch(struct bus *bus, const struct batch *batch)
{
	uint64_t mark = ++bus->mark;

	for (size_t i = 0; i < batch->n; i++) {
		const char *id = batch->change[i]->id;
		struct client *client = client_find(bus, id, strlen(id));

		if (client != NULL) {
			client->private_mark = mark;
		}
	}
	return mark;
}

static void
tell(struct channel *ch, const struct batch *batch)
{
	struct aqb_msg *common = message_for(ch, batch, "");
	uint64_t mark = mark_batch(ch->bus, batch);
	struct member *m;

	TAILQ_FOREACH (m, &ch->members, channel_link) {
		struct aqb_msg *own = NULL;

		if (!m->presence) {
			continue;
		}
		if (m->client->private_mark != mark) {
			own = common == NULL ? NULL : msg_ref(common);
		} else if (batch->n > 1) {
			own = message_for(ch, batch, m->client->id);
		}
		if (own != NULL) {
			bus_send(m->client, own);
		}
		msg_unref(&own);
	}
	msg_unref(&common);
}

static size_t
portion(const struct channel *ch)
{
	size_t fair = TOLD_MAX / (ch->presence_count + 1);

	return fair < RECORDS_MAX ? fair : RECORDS_MAX;
}

/* Tell the oldest changes now, and begin to wait. */
static void
flush(struct presence *p)
{
	struct batch batch = { .n = 0 };
	struct change *change;
	size_t most = portion(p->channel) + 1; /* never nothing */
	size_t bytes = 0;

	while ((change = p->changes) != NULL && batch.n < CHANGES_MAX &&
	    bytes < most) {
		HASH_DEL(p->changes, change);
		batch.change[batch.n++] = change;
		bytes += change->record == NULL ? sizeof change->id
						: strlen(change->record);
	}
	if (batch.n == 0) {
		return;
	}
	tell(p->channel, &batch);
	while (batch.n > 0) {
		change_free(batch.change[--batch.n]);
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
		timer_init(&p->timer, on_interval, p);
		ch->presence = p;
	}
	return p;
}

/* Would nobody be told, but for so many?  What is noted and not told yet must
 * stay true for who watches next. */
static bool
is_unwatched(const struct channel *ch, uint32_t but)
{
	return ch->presence_count == but && ch->presence == NULL;
}

/* Note a change; it is told when the interval is over, and the first one
 * when the interval has begun, so that what comes together is told so. */
static void
note(struct channel *ch, const char *id, char *record)
{
	struct presence *p;
	struct change *change;

	if (is_unwatched(ch, 0)) {
		free(record);
		return;
	}
	p = presence_get(ch);
	HASH_FIND(hh, p->changes, id, strlen(id), change);
	if (change != NULL) {
		/* It came and went, or the reverse, between two messages. */
		HASH_DEL(p->changes, change);
		change_free(change);
		free(record);
		return;
	}
	change = xnew(sizeof *change);
	change->record = record;
	strcpy(change->id, id);
	HASH_ADD(hh, p->changes, id, strlen(id), change);
	if (!HASH_WAS_ADDED(change)) {
		change_free(change);
		return;
	}
	if (!timer_is_set(&p->timer)) {
		timer_set(ch->bus->loop, &p->timer,
		    ch->bus->conf.presence_interval);
	}
}

void
presence_joined(struct channel *ch, const struct aqb_client_info *who)
{
	struct absent *a = absent_find(ch, who->client_id);
	struct buf b = { 0 };
	char *record;
	size_t len;

	if (a != NULL) {
		absent_free(ch->bus, a); /* it never was away */
		return;
	}
	if (is_unwatched(ch, 0)) {
		return;
	}
	client_record(who, &b);
	record = buf_take(&b, &len);
	if (record != NULL) {
		note(ch, who->client_id, record);
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
presence_left(struct channel *ch, const char *id, bool watches, bool lost)
{
	struct bus *bus = ch->bus;
	struct absent *a;

	if (is_unwatched(ch, watches ? 1 : 0)) {
		return;
	}
	if (!lost || bus->conf.presence_grace == 0) {
		note(ch, id, NULL);
		return;
	}
	a = xnew(sizeof *a);
	strcpy(a->key.id, id);
	a->key.channel_serial = ch->serial;
	a->channel = ch;
	timer_init(&a->timer, on_grace_over, a);
	HASH_ADD(hh, bus->absents, key, sizeof a->key, a);
	if (!HASH_WAS_ADDED(a)) {
		free(a);
		note(ch, id, NULL);
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
	while ((change = p->changes) != NULL) {
		HASH_DEL(p->changes, change);
		change_free(change);
	}
	p->magic = 0;
	free(p);
}

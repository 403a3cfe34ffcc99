/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "bus/group.h"
#include "bus/presence.h"
#include "bus/shelf.h"
#include "bus/text.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "proto/msg.h"
#include "proto/name.h"
#include "proto/slice.h"

#define CATCHUP_MAGIC 0xf3086a5du
#define READ_LIMIT 1000           /* messages in one read */
#define PAGE_BYTES (256u * 1024u) /* sent before the outbox is asked */
#define BEHIND_MS 2000            /* that a node may be */
#define LEFT_MAX 4 /* an epoch more is one start of the storage more */
#define HELD_BYTES (8u * 1024u * 1024u) /* of live messages */

/*
 * What a member waits for.  It lives until the member has caught up or is
 * gone; while a question to the storage is open it outlives the member, and
 * the answer finds `member` NULL.
 */
struct catchup {
	uint32_t magic;
	bool asking;   /* a question to the storage is open */
	bool replied;  /* the reply is on its way, so the rest may follow */
	bool waiting;  /* for room in the outbox */
	bool overflow; /* live messages were let go: read them again */
	bool recovered;
	bool ahead;  /* of what this node was told so far: it waits for that */
	bool waited; /* long enough */
	struct timer late;
	struct aqb_join want;
	struct member *member;
	struct bus *bus;
	aqb_ticket call;
	aqb_joined_f *done; /* NULL once called */
	void *arg;
	struct aqb_position tail;            /* as the reply says it */
	char epoch[AQB_EPOCH_SIZE];          /* of `after` */
	char left[LEFT_MAX][AQB_EPOCH_SIZE]; /* epochs that the past has left */
	uint32_t left_count;                 /* so far; the latest are kept */
	bool is_read;   /* `epoch` is that of a message from the storage */
	uint64_t first; /* seq of the oldest kept then */
	uint64_t after; /* all up to this seq is sent, shelved, or in a gap */
	struct shelf past; /* from the storage, gaps included */
	struct shelf live; /* what came meanwhile */
};

static void read_on(struct catchup *c);
static void read_after(struct catchup *c, uint64_t seq);
static void ask_for_tail(struct catchup *c);

static void
catchup_free(struct catchup **cp)
{
	struct catchup *c;

	OBJ_TAKE(c, cp, CATCHUP_MAGIC);
	timer_stop(&c->late);
	shelf_fini(&c->past);
	shelf_fini(&c->live);
	c->magic = 0;
	free(c);
}

/* Tell the asker, once. */
static void
conclude(struct catchup *c, enum aqb_code code, const struct aqb_why *why)
{
	struct aqb_joined joined = { .size = sizeof joined };
	aqb_joined_f *done = c->done;

	c->done = NULL;
	if (done == NULL) {
		return;
	}
	if (code != AQB_CODE_OK) {
		done(c->arg, c->call, code, NULL, why);
		return;
	}
	joined.room = c->member->channel->room->name;
	joined.channel = c->member->channel->name;
	joined.member_count = channel_members(c->member->channel);
	joined.pos = c->tail;
	joined.was_recovering = c->want.has_since;
	joined.recovered = c->recovered;
	done(c->arg, c->call, AQB_CODE_OK, &joined, NULL);
}

void
join_forget(struct member *member)
{
	struct catchup *c = member->catchup;
	struct aqb_why why;

	if (c == NULL) {
		return;
	}
	member->catchup = NULL;
	member->channel->held_count--;
	c->member = NULL;
	reject(&why, AQB_CODE_CHANNEL_NOT_FOUND, "channel",
	    "channel: it was left, or deleted, before the join was done");
	conclude(c, AQB_CODE_CHANNEL_NOT_FOUND, &why);
	if (!c->asking) {
		catchup_free(&c);
	}
}

/* This node was told of no more than before: is it there now? */
static void
see_whether_reached(struct catchup *c, const struct aqb_msg *msg)
{
	const struct aqb_position *since = &c->want.since;
	struct aqb_msg_view v;

	msg_view(msg, &v);
	if (v.seq < since->seq || v.epoch.len != strlen(since->epoch) ||
	    memcmp(v.epoch.data, since->epoch, v.epoch.len) != 0) {
		return;
	}
	c->ahead = false;
	timer_stop(&c->late);
	c->tail.seq = v.seq;
	read_after(c, since->seq);
}

void
join_hold(struct member *member, struct aqb_msg *msg)
{
	struct catchup *c = member->catchup;

	if (c->overflow || c->live.bytes >= HELD_BYTES ||
	    !shelf_add(&c->live, msg)) {
		/* It is in the storage, too: read from there when the past is
		 * sent. */
		shelf_fini(&c->live);
		c->overflow = true;
	}
	if (c->ahead) {
		see_whether_reached(c, msg);
	}
}

/* Shelve the news that [from, to] will not come; from 0 is "unknown". */
static void
shelve_gap(struct catchup *c, uint64_t from, uint64_t to, const char *reason)
{
	struct aqb_msg *msg;

	c->recovered = false;
	msg = text_gap_of(c->member->channel, c->epoch, from, to, reason);
	if (msg == NULL || !shelf_add(&c->past, msg)) {
		/* Who cannot be told of a loss must not go on as if nothing
		 * were missing. */
		bus_close(c->member->client, 1011, "out of memory");
	}
	msg_unref(&msg);
}

/* Is it of the epoch that `after` counts in?  If not, it is from now on. */
static bool
is_of_epoch(struct catchup *c, const struct aqb_msg_view *v)
{
	char *epoch = c->epoch;

	if (slice_is(v->epoch, epoch)) {
		return true;
	}
	memcpy(epoch, v->epoch.data, v->epoch.len);
	epoch[v->epoch.len] = '\0';
	return false;
}

/* The storage has gone on to another epoch: nothing comes of this one that it
 * did not give. */
static void
leave_epoch(struct catchup *c, const struct aqb_msg_view *v)
{
	if (c->is_read && !slice_is(v->epoch, c->epoch)) {
		memcpy(c->left[c->left_count++ % LEFT_MAX], c->epoch,
		    sizeof c->epoch);
	}
	c->is_read = true;
}

static bool
is_left(const struct catchup *c, const struct aqb_msg_view *v)
{
	for (uint32_t i = 0; i < LEFT_MAX && i < c->left_count; i++) {
		if (slice_is(v->epoch, c->left[i])) {
			return true;
		}
	}
	return false;
}

/*
 * Shelve one message, and a gap before it if there is a hole; what is on the
 * shelf already is passed over.  What a storage has kept counts on from epoch
 * to epoch, what comes live need not.  False without memory.
 */
static bool
shelve(struct catchup *c, struct aqb_msg *msg, bool is_live)
{
	const char *reason = is_live ? "storage" : "trimmed";
	struct aqb_msg_view v;

	msg_view(msg, &v);
	if (is_live && is_left(c, &v)) {
		return true;
	}
	if (!is_live) {
		leave_epoch(c, &v);
	}
	if (is_of_epoch(c, &v) || !is_live) {
		if (v.seq <= c->after) {
			return true;
		}
		if (v.seq > c->after + 1) {
			shelve_gap(c, c->after + 1, v.seq - 1, reason);
		}
	}
	c->after = v.seq;
	return shelf_add(&c->past, msg);
}

/* Let the live messages follow. */
static void
shelve_live(struct catchup *c)
{
	struct aqb_msg *msg;

	while ((msg = shelf_take(&c->live)) != NULL) {
		if (!shelve(c, msg, true)) {
			bus_close(c->member->client, 1011, "out of memory");
		}
		msg_unref(&msg);
	}
	shelf_fini(&c->live);
}

/* The storage may have what it could not say in time that it has: who has read
 * that misses nothing when the others are told of a gap. */
static void
note_what_it_knows(struct member *m, const struct catchup *c)
{
	struct channel *ch = m->channel;

	if (c->after > ch->last.seq && strcmp(c->epoch, ch->last.epoch) == 0) {
		m->ahead = c->after;
		ch->ahead_count++;
	}
}

/* Everything that was held is on its way. */
static void
go_live(struct catchup *c)
{
	struct member *m = c->member;

	note_what_it_knows(m, c);
	m->catchup = NULL;
	m->channel->held_count--;
	if (m->again != NULL && strcmp(m->again->epoch, c->epoch) == 0) {
		m->again->to = c->after;
	}
	if (m->taker != NULL) {
		group_begin(m);
	} else {
		member_listen(m);
	}
	catchup_free(&c);
}

static void
wait_for_room(struct catchup *c)
{
	client_ask(c->member->client);
	c->waiting = true;
}

/* Send what can be sent now. */
static void
advance(struct catchup *c)
{
	if (!c->replied || c->asking || c->waiting || c->ahead) {
		return;
	}
	if (!shelf_send(&c->past, c->member->client, PAGE_BYTES)) {
		wait_for_room(c);
		return;
	}
	shelf_fini(&c->past);
	if (c->overflow) {
		c->overflow = false;
		read_on(c);
		return;
	}
	if (c->live.bytes > PAGE_BYTES) {
		/* So much that it has to go out in pages, too. */
		shelve_live(c);
		wait_for_room(c);
		return;
	}
	shelve_live(c);
	shelf_send(&c->past, c->member->client, SIZE_MAX);
	go_live(c);
}

void
join_replied(struct client *client, aqb_ticket call)
{
	struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->catchup != NULL && m->catchup->call == call) {
			m->catchup->replied = true;
			advance(m->catchup);
			return;
		}
	}
}

void
join_ready(struct client *client)
{
	struct catchup *first = NULL, *next = NULL;
	struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->catchup != NULL && m->catchup->waiting) {
			next = m->catchup;
			if (first != NULL) {
				break;
			}
			first = next;
		}
	}
	if (first != NULL) {
		first->waiting = false;
		advance(first);
	}
	if (next != first) {
		client_ask(client); /* the answer is one for all of them */
	}
}

/* The past is on the shelf, as far as it is to be had. */
static void
read_done(struct catchup *c)
{
	if (c->done != NULL) {
		conclude(c, AQB_CODE_OK, NULL);
		return;
	}
	advance(c);
}

/* Shelve one page of history; false without memory. */
static bool
shelve_page(struct catchup *c, const struct aqb_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++) {
		if (!shelve(c, answer->msgs[i], false)) {
			return false;
		}
	}
	return true;
}

static void
on_read(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct catchup *c;

	OBJ_CAST(c, arg, CATCHUP_MAGIC);
	c->asking = false;
	if (c->member == NULL) {
		catchup_free(&c);
		return;
	}
	if (err != AQB_OK || !shelve_page(c, answer)) {
		if (c->tail.seq > c->after) {
			shelve_gap(c, c->after + 1, c->tail.seq, "storage");
			c->after = c->tail.seq;
		}
		read_done(c);
		return;
	}
	if (answer->more) {
		read_on(c);
		return;
	}
	if (answer->pos.seq > c->after) {
		shelve_gap(c, c->after + 1, answer->pos.seq, "trimmed");
		c->after = answer->pos.seq;
	}
	read_done(c);
}

static void
read_on(struct catchup *c)
{
	struct aqb_range range = {
		.size = sizeof range,
		.limit = READ_LIMIT,
		.after = c->after,
	};

	c->asking = true;
	store_history(c->bus->store, c->member->channel->stream, &range,
	    on_read, c);
}

/* What it says it has is nowhere. */
static void
on_late(void *arg)
{
	struct catchup *c;

	OBJ_CAST(c, arg, CATCHUP_MAGIC);
	c->ahead = false;
	c->waited = true;
	ask_for_tail(c);
}

/* It heard more on another node than this one has been told: wait, so that it
 * hears nothing twice. */
static void
wait_for_the_rest(struct catchup *c)
{
	c->ahead = true;
	timer_set(c->bus->loop, &c->late, BEHIND_MS);
}

/* Note what it is sent again.  Without memory it may be told of losses that are
 * none. */
static void
note_again(struct catchup *c)
{
	struct member *m = c->member;

	if (m->again == NULL) {
		m->again = try_new(sizeof *m->again);
	}
	if (m->again != NULL) {
		m->again->after = c->after;
		m->again->to = UINT64_MAX;
		memcpy(m->again->epoch, c->epoch, sizeof c->epoch);
	}
}

/* It has all up to this seq of today's epoch, and wants the rest. */
static void
read_after(struct catchup *c, uint64_t seq)
{
	c->after = seq;
	if (seq > c->tail.seq) {
		/* Of another past: it gets all there is. */
		shelve_gap(c, 0, c->first - 1, "epoch");
		c->after = c->first - 1;
	}
	note_again(c);
	if (c->after == c->tail.seq) {
		read_done(c);
		return;
	}
	read_on(c);
}

/* The storage does not tell what it takes to join. */
static void
give_up(struct catchup *c, enum aqb_err err)
{
	struct member *m = c->member;
	struct aqb_why why;

	reject(&why, AQB_CODE_STORAGE_UNAVAILABLE, NULL, "storage: %s",
	    aqb_strerror(err));
	conclude(c, AQB_CODE_STORAGE_UNAVAILABLE, &why);
	member_leave(&m, false); /* and the catchup with it */
}

static void
on_resolved(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct catchup *c;

	OBJ_CAST(c, arg, CATCHUP_MAGIC);
	c->asking = false;
	if (c->member == NULL) {
		catchup_free(&c);
		return;
	}
	if (err != AQB_OK && err != AQB_ENOENT) {
		give_up(c, err); /* it may be known, once it can be asked */
		return;
	}
	read_after(c, err == AQB_OK ? answer->pos.seq : UINT64_MAX);
}

/* The channel's ends are known: decide what is to be read. */
static void
begin(struct catchup *c, const struct aqb_answer *tail)
{
	const struct aqb_position *since = &c->want.since;
	struct channel *ch = c->member->channel;

	c->tail = tail->pos;
	if (c->bus->cluster != NULL && ch->last.epoch[0] == '\0') {
		ch->last = tail->pos; /* others were here before */
	}
	memcpy(c->epoch, tail->pos.epoch, sizeof c->epoch);
	if (!c->want.has_since) {
		c->after = tail->pos.seq;
		read_done(c);
		return;
	}
	c->recovered = true;
	c->first = tail->first;
	if (strcmp(since->epoch, tail->pos.epoch) == 0) {
		if (c->bus->cluster != NULL && !c->waited &&
		    since->seq > tail->pos.seq) {
			wait_for_the_rest(c);
		} else {
			read_after(c, since->seq);
		}
		return;
	}
	c->asking = true;
	store_resolve(c->bus->store, c->member->channel->stream, since,
	    on_resolved, c);
}

static void
on_tail(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct catchup *c;

	OBJ_CAST(c, arg, CATCHUP_MAGIC);
	c->asking = false;
	if (c->member == NULL) {
		catchup_free(&c);
		return;
	}
	if (err == AQB_OK) {
		begin(c, answer);
	} else {
		give_up(c, err);
	}
}

static void
ask_for_tail(struct catchup *c)
{
	struct aqb_answer tail = { .size = sizeof tail };
	int when;

	c->asking = true;
	when = store_tail(c->bus->store, c->member->channel->stream, &tail,
	    on_tail, c);
	if (when == AQB_PENDING) {
		return;
	}
	on_tail(c, when < 0 ? (enum aqb_err)when : AQB_OK, &tail);
}

/* A member that is in the lane leaves it until it has caught up again. */
static enum aqb_code
make_member(struct client *client, struct channel *ch,
    const struct aqb_join *want, struct member **memberp, struct aqb_why *why)
{
	struct member *m = member_find(client, ch);
	enum aqb_code code;

	if (want->group != NULL &&
	    (code = group_may_join(ch, want->group, why)) != AQB_CODE_OK) {
		return code;
	}
	if (m != NULL && m->catchup != NULL) {
		return reject(why, AQB_CODE_BUSY, "channel",
		    "channel: a join of it is under way");
	}
	if (m != NULL) {
		member_unlisten(m);
	} else if ((m = member_new(client, ch)) != NULL) {
		struct aqb_client_info who;

		member_info(m, &who);
		presence_joined(ch, &who);
		telemetry_emit("client_joined_channel", AQB_INFO,
		    &(struct telemetry_fields){ .client_id = client->id,
			.room = ch->room->name,
			.channel = ch->name });
	} else {
		return reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
	}
	m->echo = want->echo;
	ch->presence_count += (want->presence ? 1u : 0u);
	ch->presence_count -= (m->presence ? 1u : 0u);
	m->presence = want->presence;
	if (want->group != NULL) {
		group_join(m, want->group, want->group_manual);
	} else {
		group_leave(m);
	}
	*memberp = m;
	return AQB_CODE_OK;
}

/* The channel to join.  Who may not join another makes none, either. */
static enum aqb_code
get_channel(struct client *client, const struct aqb_join *join,
    struct channel **chp, struct aqb_why *why)
{
	uint32_t most = client->bus->conf.max_channels_per_client;

	*chp = channel_find(client->bus, join->room, join->channel);
	if (client->channel_count >= most &&
	    (*chp == NULL || member_find(client, *chp) == NULL)) {
		return reject(why, AQB_CODE_LIMIT_REACHED, "channel",
		    "channel: %u joined, the limit is %u",
		    client->channel_count, most);
	}
	return channel_get_or_create(client, join->room, join->channel, chp,
	    why);
}

/* A group has one past for all its members, and keeps it itself. */
static enum aqb_code
check_group(const struct aqb_join *join, struct aqb_why *why)
{
	if (join->group == NULL) {
		return AQB_CODE_OK;
	}
	if (join->has_since) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, "since",
		    "since: not with group: what a member missed went to "
		    "another one, or waits in the group");
	}
	return name_check(join->group, strlen(join->group), "group", why);
}

void
join_begin(struct client *client, aqb_ticket call, const struct aqb_join *join,
    aqb_joined_f *done, void *arg)
{
	struct aqb_why why = { 0 };
	struct channel *ch = NULL;
	struct member *m = NULL;
	struct catchup *c;
	enum aqb_code code;

	code = check_group(join, &why);
	if (code == AQB_CODE_OK) {
		code = get_channel(client, join, &ch, &why);
	}
	if (code == AQB_CODE_OK) {
		code = make_member(client, ch, join, &m, &why);
	}
	if (code != AQB_CODE_OK) {
		done(arg, call, code, NULL, &why);
		return;
	}
	c = xnew(sizeof *c);
	c->magic = CATCHUP_MAGIC;
	c->want = *join;
	c->member = m;
	c->bus = client->bus;
	c->call = call;
	c->done = done;
	c->arg = arg;
	timer_init(&c->late, on_late, c);
	m->catchup = c;
	ch->held_count++;
	ask_for_tail(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/channel.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "bus/group.h"
#include "bus/presence.h"
#include "bus/remote.h"
#include "bus/router.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "loop/loop.h"

struct room *
room_find(struct bus *bus, const char *name)
{
	struct room *room;

	HASH_FIND(hh, bus->rooms, name, strlen(name), room);
	return room;
}

struct channel *
channel_find(struct bus *bus, const char *room_name, const char *name)
{
	struct room *room = room_find(bus, room_name);
	struct channel *ch;

	if (room == NULL) {
		return NULL;
	}
	HASH_FIND(hh, room->channels_by_name, name, strlen(name), ch);
	return ch;
}

static struct room *
room_new(struct bus *bus, const char *name)
{
	struct room *room = try_new(sizeof *room);

	if (room == NULL) {
		return NULL;
	}
	room->magic = ROOM_MAGIC;
	memcpy(room->name, name, strlen(name) + 1);
	TAILQ_INIT(&room->channels);
	TAILQ_INIT(&room->heard);
	HASH_ADD(hh, bus->rooms, name, strlen(name), room);
	if (!HASH_WAS_ADDED(room)) {
		free(room);
		return NULL;
	}
	bus->room_count++;
	return room;
}

/* A room is there for as long as it has channels. */
static void
room_collect(struct bus *bus, struct room *room)
{
	OBJ_CHECK(room, ROOM_MAGIC);
	if (!TAILQ_EMPTY(&room->channels)) {
		return;
	}
	HASH_DEL(bus->rooms, room);
	bus->room_count--;
	room->magic = 0;
	free(room);
}

/* A number for the workers' lists: one that was given back, or a new one. */
static bool
lane_take(struct bus *bus, struct channel *ch)
{
	if (bus->lane_free_count > 0) {
		ch->lane = bus->lane_free[--bus->lane_free_count];
	} else {
		uint32_t next = bus->lane_top + 1; /* 0 is everybody's */

		/* Room to give every number back is made beforehand. */
		if (!try_grow(&bus->lane, &bus->lane_cap, next + 1,
			sizeof *bus->lane) ||
		    !try_grow(&bus->lane_free, &bus->lane_free_cap, next + 1,
			sizeof *bus->lane_free)) {
			return false;
		}
		ch->lane = bus->lane_top = next;
	}
	bus->lane[ch->lane] = ch;
	return true;
}

static void
lane_give_back(struct channel *ch)
{
	struct bus *bus = ch->bus;

	if (ch->lane != 0) {
		bus->lane[ch->lane] = NULL;
		bus->lane_free[bus->lane_free_count++] = ch->lane;
	}
}

/* Has the storage anything that outlives the channel?  If not, its stream is
 * not worth keeping either. */
static bool
is_worth_keeping(struct channel *ch)
{
	struct aqb_answer tail = { .size = sizeof tail };

	return store_tail(ch->bus->store, ch->stream, &tail, NULL, NULL) !=
	    AQB_DONE ||
	    tail.first <= tail.pos.seq;
}

static bool
is_held(const struct channel *ch)
{
	return channel_members(ch) > 0 || ch->is_protected || ch->has_settings;
}

bool
channel_is_unused(const struct channel *ch)
{
	return !is_held(ch) && TAILQ_EMPTY(&ch->pending) &&
	    TAILQ_EMPTY(&ch->groups);
}

void
channel_rest(struct channel *ch)
{
	if (!is_held(ch)) {
		timer_set(ch->bus->loop, &ch->idle, ch->bus->conf.channel_idle);
	}
}

/* Nobody has used it for a while. */
static void
on_idle(void *arg)
{
	struct channel *ch;
	uint64_t idle, unused;

	OBJ_CAST(ch, arg, CHANNEL_MAGIC);
	if (is_held(ch)) {
		return;
	}
	idle = ch->bus->conf.channel_idle;
	unused = loop_now(ch->bus->loop) - ch->used;
	if (!TAILQ_EMPTY(&ch->pending) || !TAILQ_EMPTY(&ch->groups) ||
	    unused < idle) {
		timer_set(ch->bus->loop, &ch->idle,
		    unused < idle ? idle - unused : idle);
		return;
	}
	LOG(AQB_DEBUG, "unused channel collected", F("channel", ch->stream));
	/* In a cluster others may use it, and so its stream. */
	channel_free(&ch, ch->bus->cluster == NULL && !is_worth_keeping(ch));
}

static void
link_channel(struct channel *ch)
{
	TAILQ_INSERT_TAIL(&ch->room->channels, ch, room_link);
	TAILQ_INSERT_TAIL(&ch->bus->channels, ch, link);
	ch->bus->channel_count++;
}

static void
set_defaults(struct channel *ch, struct bus *bus)
{
	ch->magic = CHANNEL_MAGIC;
	ch->bus = bus;
	ch->serial = ++bus->serial;
	ch->created_at = bus->wall;
	ch->last_activity = bus->wall;
	ch->used = loop_now(bus->loop);
	ch->limits = (struct aqb_limits){
		.size = sizeof ch->limits,
		.history_size = bus->conf.history_size,
		.history_ttl = bus->conf.history_ttl,
		.dedupe_window = bus->conf.dedupe_window,
	};
	ch->slow_policy = bus->conf.slow_policy;
	TAILQ_INIT(&ch->members);
	TAILQ_INIT(&ch->remote_members);
	TAILQ_INIT(&ch->pending);
	TAILQ_INIT(&ch->groups);
	timer_init(&ch->idle, on_idle, ch);
}

struct channel *
channel_new(struct bus *bus, const char *room_name, const char *name)
{
	size_t room_len = strlen(room_name);
	size_t name_len = strlen(name);
	struct room *room = room_find(bus, room_name);
	struct channel *ch = NULL;
	size_t listeners;

	if (room == NULL && (room = room_new(bus, room_name)) == NULL) {
		return NULL;
	}
	listeners = bus->ports * sizeof ch->listeners[0];
	ch = try_new(sizeof *ch + listeners + room_len + name_len + 2);
	if (ch == NULL) {
		goto fail;
	}
	set_defaults(ch, bus);
	ch->room = room;
	ch->stream = (char *)(ch + 1) + listeners;
	memcpy(ch->stream, room_name, room_len);
	ch->stream[room_len] = ':';
	memcpy(ch->stream + room_len + 1, name, name_len);
	ch->name = ch->stream + room_len + 1;
	if (!lane_take(bus, ch)) {
		goto fail;
	}
	HASH_ADD_KEYPTR(hh, room->channels_by_name, ch->name, name_len, ch);
	if (!HASH_WAS_ADDED(ch)) {
		lane_give_back(ch);
		goto fail;
	}
	link_channel(ch);
	timer_set(bus->loop, &ch->idle, bus->conf.channel_idle);
	telemetry_emit("channel_created", AQB_INFO,
	    &(struct telemetry_fields){
		.room = room->name, .channel = ch->name });
	return ch;

fail:
	free(ch);
	room_collect(bus, room);
	return NULL;
}

void
channel_free(struct channel **chp, bool forget)
{
	struct channel *ch;
	struct room *room;
	struct bus *bus;
	struct member *m;

	OBJ_TAKE(ch, chp, CHANNEL_MAGIC);
	bus = ch->bus;
	room = ch->room;
	telemetry_emit("channel_deleted", AQB_INFO,
	    &(struct telemetry_fields){
		.room = room->name, .channel = ch->name });
	presence_stop(ch);
	group_end_all(ch, "deleted");
	while ((m = TAILQ_FIRST(&ch->members)) != NULL) {
		member_leave(&m, false);
	}
	remote_channel_gone(ch);
	presence_stop(ch);
	timer_stop(&ch->idle);
	router_channel_gone(ch);
	if (forget) {
		store_forget(bus->store, ch->stream, NULL, NULL);
	}
	lane_give_back(ch);
	HASH_DEL(room->channels_by_name, ch);
	TAILQ_REMOVE(&room->channels, ch, room_link);
	TAILQ_REMOVE(&bus->channels, ch, link);
	bus->channel_count--;
	free(ch->description);
	free(ch->metadata);
	ch->magic = 0;
	free(ch);
	room_collect(bus, room);
}

enum aqb_code
channel_may_create(struct client *client, struct aqb_why *why)
{
	const struct bus_conf *c = &client->bus->conf;
	uint64_t wait;

	if (client->bus->channel_count >= c->max_channels) {
		return reject(why, AQB_CODE_LIMIT_REACHED, NULL,
		    "channels: there are %zu, the limit is %u",
		    client->bus->channel_count, c->max_channels);
	}
	if (client->allowance == NULL) {
		return AQB_CODE_OK;
	}
	wait = bucket_take(&client->allowance->channels, c->channels.rate,
	    c->channels.burst, 1, loop_now(client->bus->loop));
	if (wait > 0) {
		return reject_until(why, AQB_CODE_RATE_LIMITED, wait,
		    "channels: more than %llu made in a second; try again in "
		    "%llu ms",
		    (unsigned long long)c->channels.rate,
		    (unsigned long long)wait);
	}
	return AQB_CODE_OK;
}

enum aqb_code
channel_get_or_create(struct client *client, const char *room, const char *name,
    struct channel **chp, struct aqb_why *why)
{
	enum aqb_code code;

	*chp = channel_find(client->bus, room, name);
	if (*chp != NULL) {
		return AQB_CODE_OK;
	}
	if (!client->bus->conf.auto_create) {
		return reject(why, AQB_CODE_CHANNEL_NOT_FOUND, "channel",
		    "channel: there is no %s:%s", room, name);
	}
	code = channel_may_create(client, why);
	if (code != AQB_CODE_OK) {
		return code;
	}
	*chp = channel_new(client->bus, room, name);
	if (*chp == NULL) {
		return reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
	}
	return AQB_CODE_OK;
}

void
channel_info(const struct channel *ch, struct aqb_channel_info *infop)
{
	*infop = (struct aqb_channel_info){
		.size = sizeof *infop,
		.room = ch->room->name,
		.channel = ch->name,
		.description = ch->description,
		.metadata = { ch->metadata,
		    ch->metadata == NULL ? 0 : strlen(ch->metadata) },
		.member_count = channel_members(ch),
		.message_count = ch->message_count,
		.created_at = ch->created_at,
		.last_activity = ch->last_activity,
		.is_protected = ch->is_protected,
		.history_size = ch->limits.history_size,
		.history_ttl = ch->limits.history_ttl,
		.durability = ch->limits.durability,
		.slow_policy = AQB_SLOW_DISCONNECT + ch->slow_policy,
	};
}

void
channel_resolve(const struct client *client, struct address *address)
{
	const struct member *m;

	if (address->room[0] != '\0' || address->channel[0] == '\0') {
		return;
	}
	TAILQ_FOREACH (m, &client->members, client_link) {
		if (strcmp(m->channel->name, address->channel) == 0) {
			strcpy(address->room, m->channel->room->name);
			return;
		}
	}
	strcpy(address->room, client->bus->conf.default_room);
}

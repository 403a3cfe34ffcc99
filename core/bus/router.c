/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/router.h"

#include <string.h>

#include "base/buf.h"
#include "base/why.h"
#include "bus/activity.h"
#include "bus/group.h"
#include "bus/join.h"
#include "bus/notice.h"
#include "bus/overload.h"
#include "bus/private.h"
#include "bus/publish.h"
#include "bus/remote.h"
#include "bus/report.h"
#include "bus/text.h"
#include "host/metric.h"
#include "host/telemetry.h"
#include "loop/loop.h"
#include "proto/msg.h"
#include "proto/name.h"

void
router_deliver(struct channel *ch, struct aqb_msg *msg,
    const struct client *except, uint64_t received_us)
{
	struct member *m;

	if (!TAILQ_EMPTY(&ch->groups)) {
		group_deliver(ch, msg);
	}
	if (ch->member_count == 0) {
		return;
	}
	bus_deliver(ch->bus, ch->lane, msg, except, 0, received_us);
	if (ch->held_count == 0) {
		return;
	}
	TAILQ_FOREACH (m, &ch->members, channel_link) {
		if (m->catchup != NULL && m->taker == NULL &&
		    m->client != except) {
			join_hold(m, msg);
		}
	}
}

/* Does it hear any channel of the room already? */
static bool
is_in_a_lane(const struct client *client, const struct room *room)
{
	const struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->channel->room == room && m->listens) {
			return true;
		}
	}
	return false;
}

/* Who is still catching up in all its channels of the room, or is in groups of
 * them only, is in no lane of it; what belongs to no channel need not wait,
 * and is nobody's work. */
static void
send_to_unlistening(struct channel *ch, struct aqb_msg *msg,
    const struct client *except, uint64_t mark)
{
	struct member *m;

	TAILQ_FOREACH (m, &ch->members, channel_link) {
		struct client *client = m->client;

		if (!m->listens && client != except &&
		    client->private_mark != mark &&
		    !is_in_a_lane(client, ch->room)) {
			client->private_mark = mark;
			bus_send(client, msg);
		}
	}
}

/* Who is in several channels hears it once: the mark sees to it. */
void
router_deliver_room(struct room *room, struct aqb_msg *msg,
    const struct client *except, uint64_t received_us)
{
	struct channel *ch;
	struct bus *bus = TAILQ_FIRST(&room->channels)->bus;
	uint64_t mark = ++bus->mark;

	TAILQ_FOREACH (ch, &room->heard, heard_link) {
		bus_deliver(bus, ch->lane, msg, except, mark, received_us);
		received_us = 0; /* counts once */
		if (ch->held_count > 0 || ch->group_count > 0) {
			send_to_unlistening(ch, msg, except, mark);
		}
	}
}

static uint64_t
room_member_count(struct room *room)
{
	struct bus *bus = TAILQ_FIRST(&room->channels)->bus;
	uint64_t mark = ++bus->mark;
	uint64_t n = 0;
	struct channel *ch;
	struct member *m;

	TAILQ_FOREACH (ch, &room->heard, heard_link) {
		TAILQ_FOREACH (m, &ch->members, channel_link) {
			n += m->client->private_mark != mark ? 1 : 0;
			m->client->private_mark = mark;
		}
	}
	return n + remote_count_room(room, mark);
}

/* The other nodes cannot be told: then nobody is. */
static void
refuse_unplaced(struct client *client, struct aqb_slice request_id,
    struct sighting *seen)
{
	dedupe_drop(client->bus->dedupe, &seen);
	client_storage_error(client, request_id, "false",
	    "storage: the other nodes cannot be told now; nobody was");
}

/* Seal and stamp what belongs to no channel. */
static void
seal_unplaced(struct bus *bus, struct aqb_msg *msg, struct aqb_slice id,
    const char *type, const char *room, const char *from)
{
	bus_seal(bus, msg,
	    &(struct msg_fields){
		.id = id,
		.type = slice_of(type),
		.room = slice_of(room),
		.from = slice_of(from),
	    });
	msg_stamp(msg, NULL);
}

static void
ack_unplaced(struct client *client, const struct envelope *env,
    const struct aqb_msg *msg, struct sighting *seen)
{
	struct sighting none = { .stored = AQB_STORED_NONE };
	struct aqb_msg_view v;

	if (seen != NULL) {
		*seen = none;
	}
	if (env->ack) {
		msg_view(msg, &v);
		publish_ack(client, env->id, v.id, &none);
	}
}

static enum aqb_code
send_to_room(struct client *client, struct port_up *up, struct aqb_why *why)
{
	const struct envelope *env = &up->env;
	struct room *room = room_find(client->bus, env->address.room);
	struct sighting *seen;

	if (room == NULL) {
		return reject(why, AQB_CODE_ROOM_NOT_FOUND, "room",
		    "room: there is no %s", env->address.room);
	}
	if (publish_is_repeated(client, "", env, &seen)) {
		return AQB_CODE_OK;
	}
	seal_unplaced(client->bus, up->msg, env->id,
	    envelope_type_name(env->type), room->name, client->id);
	if (notice_unplaced(client->bus, up->msg) != AQB_OK) {
		refuse_unplaced(client, env->id, seen);
		return AQB_CODE_OK;
	}
	router_deliver_room(room, up->msg, client, up->received_us);
	ack_unplaced(client, env, up->msg, seen);
	return AQB_CODE_OK;
}

static enum aqb_code
send_to_everybody(struct client *client, struct port_up *up)
{
	struct sighting *seen;

	if (publish_is_repeated(client, "", &up->env, &seen)) {
		return AQB_CODE_OK;
	}
	seal_unplaced(client->bus, up->msg, up->env.id, "system", "*",
	    client->id);
	if (notice_unplaced(client->bus, up->msg) != AQB_OK) {
		refuse_unplaced(client, up->env.id, seen);
		return AQB_CODE_OK;
	}
	bus_deliver(client->bus, PORT_LANE_ALL, up->msg, client, 0,
	    up->received_us);
	ack_unplaced(client, &up->env, up->msg, seen);
	return AQB_CODE_OK;
}

static enum aqb_code
send_to_channel(struct client *client, struct port_up *up, struct aqb_why *why)
{
	struct address address = up->env.address;
	struct channel *ch;
	enum aqb_code code;

	if (address.room[0] == '\0' && address.channel[0] == '\0') {
		return reject(why, AQB_CODE_TARGET_REQUIRED, "channel",
		    "channel: a message needs a room, a channel, or both");
	}
	if (address.channel[0] == '\0') {
		return send_to_room(client, up, why);
	}
	channel_resolve(client, &address);
	ch = channel_find(client->bus, address.room, address.channel);
	if (client->bus->conf.require_membership &&
	    (ch == NULL || member_find(client, ch) == NULL)) {
		return reject(why, AQB_CODE_NOT_A_MEMBER, "channel",
		    "channel: join %s:%s before sending to it", address.room,
		    address.channel);
	}
	if (ch == NULL) {
		code = channel_get_or_create(client, address.room,
		    address.channel, &ch, why);
		if (code != AQB_CODE_OK) {
			return code;
		}
	}
	publish(client, ch, &up->env, &up->msg, up->received_us);
	return AQB_CODE_OK;
}

static void
pong(struct client *client, const struct envelope *env)
{
	struct buf b = { 0 };

	text_begin(&b, client->bus, "pong");
	text_request_id(&b, env->id);
	buf_puts(&b, ",\"payload\":{}}");
	bus_send_text(client, &b);
	buf_fini(&b);
}

static enum aqb_code
route(struct client *client, struct port_up *up, struct aqb_why *why)
{
	switch (up->env.type) {
	case ENVELOPE_PRIVATE:
		private_send(client, &up->env, &up->msg);
		return AQB_CODE_OK;
	case ENVELOPE_TELEMETRY:
		return report(client, &up->env, why);
	case ENVELOPE_SYSTEM:
		if (!client->admin) {
			return reject(why, AQB_CODE_FORBIDDEN, "type",
			    "type: system messages need the admin "
			    "capability");
		}
		if (up->env.everybody) {
			return send_to_everybody(client, up);
		}
		return send_to_channel(client, up, why);
	default:
		return send_to_channel(client, up, why);
	}
}

/* How long this client has to wait before it may send that much, ms. */
static uint64_t
wait_for_allowance(struct client *client, const struct port_up *up,
    const char **whatp)
{
	const struct bus_conf *c = &client->bus->conf;
	struct allowance *a = client->allowance;
	uint64_t now = loop_now(client->bus->loop);
	bool is_command = up->env.type == ENVELOPE_COMMAND;
	bool is_ping =
	    up->kind == PORT_REQUEST && up->env.type == ENVELOPE_PING;
	uint64_t wait;

	if (a == NULL) {
		return 0;
	}
	*whatp = is_command ? "commands_per_second" : "messages_per_second";
	wait = is_ping   ? 0
	    : is_command ? bucket_take(&a->commands, c->commands.rate,
			       c->commands.burst, 1, now)
			 : bucket_take(&a->messages, c->messages.rate,
			       c->messages.burst, 1, now);
	if (wait > 0) {
		return wait;
	}
	*whatp = "bytes_per_second";
	return bucket_take(&a->bytes, c->bytes.rate, c->bytes.burst, up->bytes,
	    now);
}

static uint64_t
rate_of(const struct bus_conf *c, const char *what)
{
	if (*what == 'c') {
		return c->commands.rate;
	}
	return *what == 'm' ? c->messages.rate : c->bytes.rate;
}

static bool
is_over_rate(struct client *client, const struct port_up *up)
{
	const char *what = "";
	uint64_t wait = wait_for_allowance(client, up, &what);
	struct aqb_why why;

	if (wait == 0) {
		return false;
	}
	reject_until(&why, AQB_CODE_RATE_LIMITED, wait,
	    "%s: over the limit of %llu; try again in %llu ms", what,
	    (unsigned long long)rate_of(&client->bus->conf, what),
	    (unsigned long long)wait);
	telemetry_emit("rate_limited", AQB_WARNING,
	    &(struct telemetry_fields){ .client_id = client->id });
	client_error(client, up->env.id, AQB_CODE_RATE_LIMITED, &why);
	client_violation(client);
	return true;
}

void
router_reject(struct client *client, const struct port_up *up)
{
	client->last_activity = client->bus->wall;
	if (is_over_rate(client, up)) {
		return;
	}
	client_error(client, up->env.id, up->code, up->why);
	switch (up->code) {
	case AQB_CODE_INVALID_JSON:
	case AQB_CODE_INVALID_ENVELOPE:
	case AQB_CODE_UNSUPPORTED_VERSION:
	case AQB_CODE_UNKNOWN_TYPE:
		client_violation(client);
		break;
	default:
		break;
	}
}

/* Never refused for memory: acks are how groups let go of theirs. */
static void
ack_of_member(struct client *client, const struct envelope *env)
{
	struct aqb_why why = { 0 };
	enum aqb_code code = group_ack(client, env, &why);

	if (code != AQB_CODE_OK) {
		client_error(client, env->id, code, &why);
	}
}

void
router_request(struct client *client, struct port_up *up)
{
	struct aqb_why why = { 0 };
	enum aqb_code code;

	client->last_activity = client->bus->wall;
	if (is_over_rate(client, up)) {
		msg_unref(&up->msg);
		return;
	}
	if (up->env.type == ENVELOPE_PING) {
		pong(client, &up->env);
		msg_unref(&up->msg);
		return;
	}
	if (up->env.type == ENVELOPE_ACK) {
		ack_of_member(client, &up->env);
		msg_unref(&up->msg);
		return;
	}
	if (client->is_leaving) {
		reject(&why, AQB_CODE_DRAINING, NULL,
		    "the broker stops; send it to the next one");
		client_error(client, up->env.id, AQB_CODE_DRAINING, &why);
		msg_unref(&up->msg);
		return;
	}
	activity_note(client);
	if (up->env.type == ENVELOPE_COMMAND) {
		client->bus->hooks.command(client->bus->hooks.arg, client,
		    &up->env, up->msg);
		up->msg = NULL;
		return;
	}
	client->received++;
	client->bus->received++;
	if (overload_admits(client, up->env.id)) {
		code = route(client, up, &why);
		if (code != AQB_CODE_OK) {
			client_error(client, up->env.id, code, &why);
		}
		if (code == AQB_CODE_FORBIDDEN) {
			client_violation(client);
		}
	}
	msg_unref(&up->msg);
}

enum aqb_code
router_broadcast(struct bus *bus, const char *room_name, const char *name,
    struct aqb_slice payload, uint64_t *deliveredp, struct aqb_why *why)
{
	struct msg_draft draft = { .payload = payload, .reserve = 256 };
	struct room *room = NULL;
	struct channel *ch = NULL;
	struct aqb_msg *msg;

	if (room_name != NULL && (room = room_find(bus, room_name)) == NULL) {
		return reject(why, AQB_CODE_ROOM_NOT_FOUND, "room",
		    "room: there is no %s", room_name);
	}
	if (name != NULL && (ch = channel_find(bus, room_name, name)) == NULL) {
		return reject(why, AQB_CODE_CHANNEL_NOT_FOUND, "channel",
		    "channel: there is no %s:%s", room_name, name);
	}
	msg = msg_new(&draft);
	if (msg == NULL) {
		return reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
	}
	if (ch != NULL) {
		*deliveredp = channel_members(ch);
		publish_own(ch, &msg);
		return AQB_CODE_OK;
	}
	seal_unplaced(bus, msg, (struct aqb_slice){ NULL, 0 }, "system",
	    room == NULL ? "*" : room->name, "arqonbus");
	if (notice_unplaced(bus, msg) != AQB_OK) {
		msg_unref(&msg);
		return reject(why, AQB_CODE_STORAGE_UNAVAILABLE, NULL,
		    "storage: the other nodes cannot be told now; nobody was");
	}
	if (room != NULL) {
		*deliveredp = room_member_count(room);
		router_deliver_room(room, msg, NULL, 0);
	} else {
		*deliveredp = bus->client_count + cluster_remotes(bus);
		bus_deliver(bus, PORT_LANE_ALL, msg, NULL, 0, 0);
	}
	msg_unref(&msg);
	return AQB_CODE_OK;
}

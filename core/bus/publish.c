/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/spare.h"
#include "base/why.h"
#include "bus/overload.h"
#include "bus/private.h"
#include "bus/publish_priv.h"
#include "bus/router.h"
#include "bus/text.h"
#include "host/metric.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "loop/loop.h"
#include "proto/msg.h"

#define PUBLISH_MAGIC 0x27ce81b4u

const char *
stored_name(enum aqb_stored stored)
{
	static const char *const names[] = { "none", "memory", "redis", "fsync",
		"replicated" };

	return names[stored];
}

void
publish_ack(struct client *client, struct aqb_slice request_id,
    struct aqb_slice id, const struct sighting *seen)
{
	struct buf b = { 0 };

	text_begin(&b, client->bus, "ack");
	text_request_id(&b, request_id);
	buf_puts(&b, ",\"payload\":{\"id\":\"");
	buf_add(&b, id.data, id.len);
	if (seen->pos.seq > 0) {
		buf_puts(&b, "\",\"seq\":");
		buf_u64(&b, seen->pos.seq);
		buf_puts(&b, ",\"epoch\":\"");
		buf_puts(&b, seen->pos.epoch);
		buf_putc(&b, '"');
	} else {
		buf_puts(&b, "\",\"seq\":null,\"epoch\":null");
	}
	buf_puts(&b, ",\"stored\":\"");
	buf_puts(&b, stored_name(seen->stored));
	buf_puts(&b, "\"}}");
	bus_send_text(client, &b);
	buf_fini(&b);
}

static void
tell_refusal(struct client *client, struct aqb_slice request_id,
    enum aqb_err err)
{
	struct aqb_why why;

	switch (err) {
	case AQB_ENOMEM:
		reject(&why, AQB_CODE_INTERNAL, NULL, "out of memory");
		client_error(client, request_id, AQB_CODE_INTERNAL, &why);
		return;
	case AQB_EUNCERTAIN:
	case AQB_ETIMEDOUT:
		client_storage_error(client, request_id, "\"unknown\"",
		    "storage: no answer; the message may have been stored, "
		    "repeating it with the same id is safe");
		return;
	default:
		client_storage_error(client, request_id, "false",
		    "storage: the message was not stored; repeating it with "
		    "the same id is safe");
	}
}

/* Note what happened to a message of a channel that is out.  Who sent it may be
 * gone. */
static void
count(struct channel *ch, struct aqb_msg *msg)
{
	struct bus *bus = ch->bus;
	struct aqb_msg_view v;
	char id[AQB_MSG_ID_MAX + 1];
	char from[AQB_CLIENT_ID_MAX + 1];

	ch->message_count++;
	ch->last_activity = bus->wall;
	ch->used = loop_now(bus->loop);
	if (!telemetry_wanted() || bus->sampled++ % bus->conf.sample != 0) {
		return;
	}
	msg_view(msg, &v);
	snprintf(id, sizeof id, "%.*s", (int)v.id.len, v.id.data);
	snprintf(from, sizeof from, "%.*s", (int)v.from.len, v.from.data);
	telemetry_emit("message_published", AQB_DEBUG,
	    &(struct telemetry_fields){
		.client_id = strcmp(from, "arqonbus") == 0 ? NULL : from,
		.room = ch->room->name,
		.channel = ch->name,
		.message_id = id,
	    });
}

/* The sender does not hear itself, unless it joined with echo. */
static const struct client *
not_to(const struct client *client, const struct channel *ch)
{
	const struct member *m;

	if (client == NULL) {
		return NULL;
	}
	m = member_find(client, ch);
	return m != NULL && m->echo ? NULL : client;
}

/* Has the storage gone on without something?  In another epoch that is not to
 * be seen from positions; but what nobody knew of may be what is there. */
static bool
is_hole(struct channel *ch, const struct aqb_position *pos)
{
	bool is_same = strcmp(ch->last.epoch, pos->epoch) == 0;
	bool is_jump = ch->last.epoch[0] != '\0' && pos->seq > ch->last.seq + 1;
	bool is = is_jump && (is_same || ch->in_doubt);

	if (is || !is_same) {
		ch->in_doubt = false;
	}
	return is;
}

/* Of this gap one member; what it has read is none to it. */
static void
tell_gap_to(struct member *m, const struct aqb_position *pos)
{
	struct channel *ch = m->channel;
	uint64_t from = (m->ahead > 0 ? m->ahead : ch->last.seq) + 1;
	struct aqb_msg *msg;

	if (!m->listens || from >= pos->seq) {
		return;
	}
	msg = text_gap_of(ch, pos->epoch, from, pos->seq - 1, "storage");
	if (msg == NULL) {
		bus_close(m->client, 1011, "out of memory");
		return;
	}
	bus_send(m->client, msg);
	msg_unref(&msg);
}

/* The storage went on without what it refused, or lost, or has and nobody was
 * told of: say so. */
static void
tell_gap(struct channel *ch, const struct aqb_position *pos)
{
	struct aqb_msg *msg = NULL;
	struct member *m;

	if (!is_hole(ch, pos)) {
		return;
	}
	if (ch->ahead_count == 0) {
		msg = text_gap_of(ch, pos->epoch, ch->last.seq + 1,
		    pos->seq - 1, "storage");
	}
	if (msg != NULL) {
		bus_deliver(ch->bus, ch->lane, msg, NULL, 0, 0);
		msg_unref(&msg);
		return;
	}
	TAILQ_FOREACH (m, &ch->members, channel_link) {
		tell_gap_to(m, pos);
	}
}

/* Nobody is ahead of what comes now. */
static void
move_to(struct channel *ch, const struct aqb_position *pos)
{
	struct member *m;

	tell_gap(ch, pos);
	ch->last = *pos;
	if (ch->ahead_count > 0) {
		TAILQ_FOREACH (m, &ch->members, channel_link) {
			m->ahead = 0;
		}
		ch->ahead_count = 0;
	}
}

/* Stamp and deliver a message whose position is known. */
static void
deliver(struct channel *ch, struct aqb_msg *msg, const struct client *client,
    const struct aqb_position *pos, uint64_t received_us)
{
	move_to(ch, pos);
	msg_stamp(msg, pos);
	count(ch, msg);
	router_deliver(ch, msg, not_to(client, ch), received_us);
}

/* The position of one of ours is known.  In a cluster that is for the ack
 * only: it is delivered when its turn comes among those of all brokers. */
static void
deliver_own(const struct publish *pub)
{
	if (pub->bus->cluster == NULL) {
		deliver(pub->channel, pub->msg, pub->client, &pub->pos,
		    pub->received_us);
	}
}

void
publish_told(struct channel *ch, struct aqb_msg *msg,
    const struct aqb_position *pos)
{
	char from[AQB_CLIENT_ID_MAX + 1];
	struct aqb_msg_view v;
	struct client *client;

	msg_view(msg, &v);
	snprintf(from, sizeof from, "%.*s", (int)v.from.len, v.from.data);
	client = client_find(ch->bus, from, strlen(from));
	move_to(ch, pos);
	if (!msg_is_stamped(msg)) {
		msg_stamp(msg, pos);
	}
	count(ch, msg);
	router_deliver(ch, msg, not_to(client, ch),
	    msg_received(msg, clock_mono_us()));
}

void
publish_passed_over(struct channel *ch, const struct aqb_position *pos)
{
	move_to(ch, pos);
}

static void
publish_free(struct publish **pubp)
{
	struct publish *pub;

	if (*pubp == NULL) {
		return;
	}
	OBJ_TAKE(pub, pubp, PUBLISH_MAGIC);
	LIST_REMOVE(pub, bus_link);
	if (pub->client != NULL) {
		LIST_REMOVE(pub, client_link);
	}
	if (pub->channel != NULL) {
		if (pub->channel->held_back == pub) {
			pub->channel->held_back = TAILQ_NEXT(pub, link);
		}
		TAILQ_REMOVE(&pub->channel->pending, pub, link);
	}
	msg_unref(&pub->msg);
	pub->magic = 0;
	spare_free(pub, sizeof *pub);
}

/* Tell the sender, once for each time that it said it. */
static void
tell(const struct publish *pub, enum aqb_err err,
    const struct sighting *outcome)
{
	struct aqb_slice request_id = pub->id;

	if (pub->client == NULL) {
		return;
	}
	if (pub->id_is_ours) {
		request_id.len = 0;
	}
	for (uint32_t i = 0; err != AQB_OK && i < pub->said; i++) {
		tell_refusal(pub->client, request_id, err);
	}
	for (uint32_t i = 0; err == AQB_OK && i < pub->acks; i++) {
		publish_ack(pub->client, request_id, pub->id, outcome);
	}
}

/* One publish is decided and its turn has come. */
static void
finish(struct publish *pub)
{
	struct sighting outcome = { .pos = pub->pos, .stored = pub->stored };

	if (pub->err == AQB_OK && pub->channel != NULL && !pub->is_early &&
	    !pub->is_repeat) {
		deliver_own(pub);
	}
	if (pub->channel != NULL && !pub->is_early &&
	    (pub->err == AQB_EUNCERTAIN || pub->err == AQB_ETIMEDOUT)) {
		pub->channel->in_doubt = true;
	}
	if (pub->seen != NULL) {
		if (pub->err == AQB_OK) {
			*pub->seen = outcome;
		} else {
			dedupe_drop(pub->bus->dedupe, &pub->seen);
		}
	}
	if (pub->err != AQB_OK && pub->is_copy) {
		metric_add(METRIC_GROUP_LOST_TOTAL, 1);
		LOG(AQB_WARNING, "a message that a group gave up is lost",
		    F("reason", aqb_strerror(pub->err)));
	}
	tell(pub, pub->err, &outcome);
	publish_free(&pub);
}

/* Let go what may go, in the order in which it was given to the storage. */
static void
move_on(struct channel *ch)
{
	struct publish *pub;

	while ((pub = ch->held_back) != NULL) {
		if (pub->decided) {
			finish(pub);
		} else if (pub->may_go) {
			ch->held_back = TAILQ_NEXT(pub, link);
			pub->is_early = true;
			deliver_own(pub);
		} else {
			break;
		}
	}
}

/* The storage has answered. */
static void
on_stored(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct publish *pub;

	OBJ_CAST(pub, arg, PUBLISH_MAGIC);
	if (err == AQB_OK) {
		pub->pos = answer->pos;
		pub->stored = (enum aqb_stored)answer->stored;
		pub->is_repeat = (answer->flags & AQB_ANSWER_REPEATED) != 0;
	}
	if (err == AQB_OK && (answer->flags & AQB_ANSWER_EARLY) != 0) {
		pub->may_go = true;
	} else {
		pub->decided = true;
		pub->err = err;
	}
	if (pub->channel != NULL && !pub->is_early) {
		move_on(pub->channel);
	} else if (pub->decided) {
		finish(pub);
	}
}

static struct publish *
publish_new(struct client *client, struct channel *ch)
{
	struct publish *pub = spare_new(sizeof *pub);

	if (pub == NULL) {
		return NULL;
	}
	memset(pub, 0, sizeof *pub);
	pub->magic = PUBLISH_MAGIC;
	pub->bus = ch->bus;
	pub->client = client;
	pub->channel = ch;
	pub->said = 1;
	LIST_INSERT_HEAD(&ch->bus->publishes, pub, bus_link);
	if (client != NULL) {
		LIST_INSERT_HEAD(&client->publishes, pub, client_link);
	}
	TAILQ_INSERT_TAIL(&ch->pending, pub, link);
	if (ch->held_back == NULL) {
		ch->held_back = pub;
	}
	return pub;
}

/* The same again while the first is not decided.  Whoever lost its connection
 * meanwhile and came back with its session is the sender again. */
static void
repeat(struct publish *pub, struct client *client, bool ack)
{
	if (pub->client == NULL) {
		pub->client = client;
		LIST_INSERT_HEAD(&client->publishes, pub, client_link);
	}
	pub->said++;
	pub->acks += ack ? 1 : 0;
}

bool
publish_is_repeated(struct client *client, const char *stream,
    const struct envelope *env, struct sighting **newp)
{
	struct sighting *seen;

	*newp = NULL;
	if (env->id.len == 0) {
		return false;
	}
	seen =
	    dedupe_look(client->bus->dedupe, client->id, stream, env->id, newp);
	if (seen == NULL) {
		return false;
	}
	metric_add(METRIC_DUPLICATES_TOTAL, 1);
	if (seen->pending != NULL) {
		repeat(seen->pending, client, env->ack);
	} else if (env->ack && env->type == ENVELOPE_PRIVATE) {
		private_ack(client, env->id, env->id, seen->delivered, NULL);
	} else if (env->ack) {
		publish_ack(client, env->id, env->id, seen);
	}
	return true;
}

/* Write its envelope and give it to the storage.  Takes the message. */
static void
append(struct publish *pub, struct aqb_msg *msg, struct aqb_slice id,
    const char *type, const char *from)
{
	struct channel *ch = pub->channel;
	struct aqb_msg_view v;
	int when;

	bus_seal(ch->bus, msg,
	    &(struct msg_fields){
		.id = id,
		.type = slice_of(type),
		.room = slice_of(ch->room->name),
		.channel = slice_of(ch->name),
		.from = slice_of(from),
	    });
	msg_view(msg, &v);
	pub->msg = msg;
	pub->id = v.id;
	if (pub->seen != NULL) {
		pub->seen->pending = pub;
	}
	if (ch->bus->cluster != NULL) {
		msg_set_received(msg,
		    pub->received_us); /* the ack may come first */
	}
	when = store_append(ch->bus->store, ch->stream, &ch->limits, pub->msg,
	    &pub->pos, on_stored, pub);
	if (when == AQB_PENDING) {
		return;
	}
	if (when == AQB_EARLY) {
		pub->may_go = true;
	} else {
		pub->decided = true;
		pub->err = when < 0 ? (enum aqb_err)when : AQB_OK;
		pub->stored = store_class(ch->bus->store, &ch->limits);
	}
	move_on(ch);
}

/* In a cluster all goes through the storage. */
static bool
is_stored(const struct channel *ch)
{
	return ch->bus->cluster != NULL ||
	    (ch->limits.history_size > 0 &&
		ch->limits.durability != AQB_DURABLE_EPHEMERAL);
}

void
publish(struct client *client, struct channel *ch, const struct envelope *env,
    struct aqb_msg **msgp, uint64_t received_us)
{
	struct sighting *seen;
	struct publish *pub;

	if (publish_is_repeated(client, ch->stream, env, &seen)) {
		msg_unref(msgp);
		return;
	}
	pub = publish_new(client, ch);
	if (pub == NULL) {
		dedupe_drop(ch->bus->dedupe, &seen);
		tell_refusal(client, env->id, AQB_ENOMEM);
		msg_unref(msgp);
		return;
	}
	pub->seen = seen;
	pub->acks = env->ack ? 1 : 0;
	pub->received_us = received_us;
	pub->id_is_ours = env->id.len == 0;
	if (is_stored(ch)) {
		overload_fills_storage(client);
	}
	append(pub, *msgp, env->id, envelope_type_name(env->type), client->id);
	*msgp = NULL;
}

void
publish_own(struct channel *ch, struct aqb_msg **msgp)
{
	struct publish *pub = publish_new(NULL, ch);

	if (pub == NULL) {
		msg_unref(msgp);
		return;
	}
	pub->id_is_ours = true;
	append(pub, *msgp, (struct aqb_slice){ NULL, 0 }, "system", "arqonbus");
	*msgp = NULL;
}

bool
publish_copy(struct channel *ch, const struct aqb_msg *original)
{
	struct publish *pub = publish_new(NULL, ch);
	struct aqb_msg *msg = NULL;
	struct aqb_msg_view v;
	char type[32], from[AQB_CLIENT_ID_MAX + 1];

	msg_view(original, &v);
	if (pub != NULL) {
		msg = msg_copy(original,
		    v.id.len + v.from.len + strlen(ch->stream));
	}
	if (msg == NULL) {
		publish_free(&pub);
		return false;
	}
	pub->is_copy = true;
	snprintf(type, sizeof type, "%.*s", (int)v.type.len, v.type.data);
	snprintf(from, sizeof from, "%.*s", (int)v.from.len, v.from.data);
	append(pub, msg, v.id, type, from);
	return true;
}

void
publish_forget_all(struct bus *bus)
{
	struct publish *pub;

	while ((pub = LIST_FIRST(&bus->publishes)) != NULL) {
		publish_free(&pub);
	}
}

/* Whatever comes of it, nobody wants to know. */
static void
orphan(struct publish *pub)
{
	LIST_REMOVE(pub, client_link);
	pub->client = NULL;
	pub->said = 0;
	pub->acks = 0;
}

void
publish_abandon(struct client *client)
{
	const struct sighting nowhere = { 0 };
	struct publish *pub;

	while ((pub = LIST_FIRST(&client->publishes)) != NULL) {
		tell(pub, AQB_EUNCERTAIN, &nowhere);
		orphan(pub);
	}
}

void
router_client_gone(struct client *client)
{
	struct publish *pub;

	while ((pub = LIST_FIRST(&client->publishes)) != NULL) {
		orphan(pub);
	}
}

void
router_channel_gone(struct channel *ch)
{
	struct publish *pub;

	ch->held_back = NULL;
	while ((pub = TAILQ_FIRST(&ch->pending)) != NULL) {
		TAILQ_REMOVE(&ch->pending, pub, link);
		pub->channel = NULL;
		if (pub->decided) {
			finish(pub);
		}
	}
}

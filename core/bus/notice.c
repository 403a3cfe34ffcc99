/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "bus/client.h"
#include "bus/group.h"
#include "bus/router.h"
#include "bus/settings.h"
#include "host/metric.h"
#include "host/store.h"
#include "proto/json.h"
#include "proto/msg.h"
#include "proto/name.h"

#define REASON_MAX 120 /* a close frame has no room for more */

static int
send(struct bus *bus, struct buf *b)
{
	int err = AQB_ENOMEM;

	if (!b->failed) {
		err = store_notify(bus->store,
		    (struct aqb_slice){ b->data, b->len });
	}
	if (err == AQB_OK) {
		metric_add(METRIC_NOTICES_SENT_TOTAL, 1);
	}
	buf_fini(b);
	return err;
}

static void
put_slice(struct buf *b, const char *key, struct aqb_slice text)
{
	buf_printf(b, ",\"%s\":\"", key);
	buf_add(b, text.data, text.len);
	buf_putc(b, '"');
}

/* The rest of the head, and the texts behind it. */
static void
put_message(struct buf *b, const struct aqb_msg *msg, struct aqb_slice to)
{
	struct aqb_msg_view v;

	msg_view(msg, &v);
	put_slice(b, "id", v.id);
	put_slice(b, "type", v.type);
	put_slice(b, "room", v.room);
	put_slice(b, "from", v.from);
	buf_printf(b,
	    ",\"timestamp\":%" PRId64 ",\"flags\":%u,\"to\":%zu,"
	    "\"payload\":%zu,\"metadata\":%zu}\n",
	    v.timestamp, v.flags, to.len, v.payload.len, v.metadata.len);
	buf_add(b, to.data, to.len);
	buf_add(b, v.payload.data, v.payload.len);
	buf_add(b, v.metadata.data, v.metadata.len);
}

int
notice_private(struct bus *bus, const struct aqb_msg *msg,
    const struct buf *ids, const struct json_value *to)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"kind\":\"private\",\"ids\":[%s]", buf_text(ids));
	put_message(&b, msg, (struct aqb_slice){ to->text, to->len });
	return send(bus, &b);
}

int
notice_unplaced(struct bus *bus, const struct aqb_msg *msg)
{
	struct buf b = { 0 };

	if (bus->cluster == NULL) {
		return AQB_OK;
	}
	buf_puts(&b, "{\"kind\":\"unplaced\"");
	put_message(&b, msg, (struct aqb_slice){ NULL, 0 });
	return send(bus, &b);
}

int
notice_kick(struct bus *bus, const char *id, const char *reason)
{
	struct buf b = { 0 };

	buf_puts(&b, "{\"kind\":\"kick\",\"id\":");
	buf_json_str(&b, id);
	buf_puts(&b, ",\"reason\":");
	buf_json(&b, reason, strnlen(reason, REASON_MAX));
	buf_puts(&b, "}\n");
	return send(bus, &b);
}

int
notice_delete(const struct channel *ch, const char *client_id)
{
	struct buf b = { 0 };

	if (ch->bus->cluster == NULL) {
		return AQB_OK;
	}
	buf_puts(&b, "{\"kind\":\"delete\",\"room\":");
	buf_json_str(&b, ch->room->name);
	buf_puts(&b, ",\"channel\":");
	buf_json_str(&b, ch->name);
	buf_puts(&b, ",\"by\":");
	buf_json_str(&b, client_id);
	buf_puts(&b, "}\n");
	return send(ch->bus, &b);
}

static const char *const work_names[] = {
	[WORK_GIVE] = "give",
	[WORK_TOOK] = "took",
	[WORK_DONE] = "done",
	[WORK_BACK] = "back",
	[WORK_MISSED] = "missed",
};

static void
put_number(struct buf *b, const char *key, uint64_t n)
{
	buf_printf(b, ",\"%s\":", key);
	buf_u64(b, n);
}

int
notice_work(struct bus *bus, const struct work *w, const struct aqb_msg *msg)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"kind\":\"%s\",\"client\":\"%s\",",
	    work_names[w->kind], w->client);
	buf_printf(&b, "\"channel\":\"%s\",\"group\":\"%s\"", w->channel,
	    w->group);
	buf_printf(&b, ",\"node\":\"%s\",\"epoch\":\"%s\"", w->node,
	    w->pos.epoch);
	put_number(&b, "seq", w->pos.seq);
	put_number(&b, "n", w->n);
	put_number(&b, "bytes", w->bytes);
	put_number(&b, "deliveries", w->deliveries);
	put_number(&b, "mark", w->mark);
	if (msg != NULL) {
		put_message(&b, msg, (struct aqb_slice){ NULL, 0 });
	} else {
		put_slice(&b, "room", slice_of(w->room));
		buf_puts(&b, "}\n");
	}
	return send(bus, &b);
}

/* A notice taken apart. */
struct notice {
	struct bus *bus;
	const char *sender; /* the node */
	struct json_value kind, ids, id, type, room, channel, from, timestamp,
	    flags, to, payload, metadata, reason, by, client, group, node,
	    epoch, seq, n, bytes, deliveries, mark;
	struct aqb_slice rest; /* behind the head, not taken yet */
};

/* Take the head apart. */
static bool
read_head(struct notice *n, const char *text, size_t len)
{
	const struct json_place places[] = {
		{ "kind", &n->kind },
		{ "ids", &n->ids },
		{ "id", &n->id },
		{ "type", &n->type },
		{ "room", &n->room },
		{ "channel", &n->channel },
		{ "from", &n->from },
		{ "timestamp", &n->timestamp },
		{ "flags", &n->flags },
		{ "to", &n->to },
		{ "payload", &n->payload },
		{ "metadata", &n->metadata },
		{ "reason", &n->reason },
		{ "by", &n->by },
		{ "client", &n->client },
		{ "group", &n->group },
		{ "node", &n->node },
		{ "epoch", &n->epoch },
		{ "seq", &n->seq },
		{ "n", &n->n },
		{ "bytes", &n->bytes },
		{ "deliveries", &n->deliveries },
		{ "mark", &n->mark },
	};
	size_t at;

	return json_take(text, len, places, sizeof places / sizeof places[0],
		   &at) == JSON_OK;
}

/* A string as it stands between its quotes; empty when there is none. */
static struct aqb_slice
inside(const struct json_value *value)
{
	if (value->type != JSON_STRING || value->len < 2) {
		return (struct aqb_slice){ NULL, 0 };
	}
	return (struct aqb_slice){ value->text + 1, value->len - 2 };
}

/* A string that the caller has room for; false when it is longer. */
static bool
read_string(const struct json_value *value, char *text, size_t size)
{
	size_t len;

	if (!json_decode(value, text, size - 1, &len)) {
		return false;
	}
	text[len] = '\0';
	return true;
}

static bool
read_name(const struct json_value *value, char text[AQB_NAME_MAX + 1])
{
	return read_string(value, text, AQB_NAME_MAX + 1) &&
	    name_valid(text, strlen(text));
}

/* The next text behind the head, which says how long it is. */
static bool
take_text(struct notice *n, const struct json_value *length,
    struct aqb_slice *textp)
{
	uint64_t len;

	if (!json_u64(length, &len) || len > n->rest.len) {
		return false;
	}
	*textp = (struct aqb_slice){ n->rest.data, (size_t)len };
	n->rest.data += len;
	n->rest.len -= (size_t)len;
	return true;
}

/* The message behind the head, whose texts are the notice's. */
static bool
read_message(struct notice *n, struct aqb_msg_view *vp, struct aqb_slice *top)
{
	struct aqb_msg_view v = { .size = sizeof v };
	uint64_t timestamp, flags;

	if (!json_u64(&n->timestamp, &timestamp) || timestamp > INT64_MAX ||
	    !json_u64(&n->flags, &flags) || flags > UINT32_MAX ||
	    !take_text(n, &n->to, top) ||
	    !take_text(n, &n->payload, &v.payload) ||
	    !take_text(n, &n->metadata, &v.metadata) || n->rest.len > 0) {
		return false;
	}
	v.timestamp = (int64_t)timestamp;
	v.flags = (uint32_t)flags;
	v.id = inside(&n->id);
	v.type = inside(&n->type);
	v.room = inside(&n->room);
	v.from = inside(&n->from);
	*vp = v;
	return true;
}

static struct aqb_msg *
make_message(struct notice *n)
{
	struct aqb_msg_view v;
	struct aqb_slice to;

	return read_message(n, &v, &to) ? msg_make_unplaced(&v, to) : NULL;
}

/* One of the ids, if it is a client of this broker. */
struct targets {
	struct bus *bus;
	struct aqb_msg *msg;
	uint32_t delivered;
};

static bool
send_to_one(void *arg, const struct json_value *value)
{
	struct targets *t = arg;
	char id[CLIENT_ID_SIZE];
	struct client *client = NULL;

	if (read_string(value, id, sizeof id)) {
		client = client_find(t->bus, id, strlen(id));
	}
	if (client != NULL && !client->dropped) {
		bus_send(client, t->msg);
		t->delivered++;
	}
	return true;
}

static bool
on_private(struct notice *n)
{
	struct targets t = { .bus = n->bus, .msg = make_message(n) };
	size_t at;

	if (t.msg == NULL || n->ids.type != JSON_ARRAY) {
		msg_unref(&t.msg);
		return false;
	}
	json_elements(n->ids.text, n->ids.len, send_to_one, &t, &at);
	metric_add(METRIC_PRIVATE_TOTAL, t.delivered);
	msg_unref(&t.msg);
	return true;
}

static bool
on_unplaced(struct notice *n)
{
	char name[AQB_NAME_MAX + 1], from[AQB_CLIENT_ID_MAX + 1];
	struct aqb_msg *msg;
	struct client *sender;
	struct room *room;

	if (!read_string(&n->room, name, sizeof name) ||
	    !read_string(&n->from, from, sizeof from)) {
		return false;
	}
	msg = make_message(n);
	if (msg == NULL) {
		return false;
	}
	sender = client_find(n->bus, from, strlen(from));
	room = room_find(n->bus, name);
	if (strcmp(name, "*") == 0) {
		bus_deliver(n->bus, PORT_LANE_ALL, msg, sender, 0, 0);
	} else if (room != NULL) {
		router_deliver_room(room, msg, sender, 0);
	}
	msg_unref(&msg);
	return true;
}

static bool
on_kick(struct notice *n)
{
	char id[CLIENT_ID_SIZE], reason[REASON_MAX + 8];
	struct client *client;

	if (!read_string(&n->id, id, sizeof id) ||
	    !read_string(&n->reason, reason, sizeof reason)) {
		return false;
	}
	client = client_find(n->bus, id, strlen(id));
	if (client != NULL) {
		bus_close(client, 1008, "%s", reason);
	}
	return true;
}

static bool
on_delete(struct notice *n)
{
	char room[AQB_NAME_MAX + 1], name[AQB_NAME_MAX + 1];
	char by[AQB_CLIENT_ID_MAX + 1];
	struct channel *ch;

	if (!read_name(&n->room, room) || !read_name(&n->channel, name) ||
	    !read_string(&n->by, by, sizeof by)) {
		return false;
	}
	ch = channel_find(n->bus, room, name);
	if (ch != NULL && !ch->is_protected) {
		settings_delete(&ch, by, false);
	}
	return true;
}

static bool
read_work(const struct notice *n, struct work *w)
{
	uint64_t deliveries;

	if (!read_string(&n->client, w->client, sizeof w->client) ||
	    !read_name(&n->room, w->room) ||
	    !read_name(&n->channel, w->channel) ||
	    !read_name(&n->group, w->group) ||
	    !read_string(&n->node, w->node, sizeof w->node) ||
	    !read_string(&n->epoch, w->pos.epoch, sizeof w->pos.epoch) ||
	    !json_u64(&n->seq, &w->pos.seq) || !json_u64(&n->n, &w->n) ||
	    !json_u64(&n->bytes, &w->bytes) || !json_u64(&n->mark, &w->mark) ||
	    !json_u64(&n->deliveries, &deliveries) || deliveries > UINT32_MAX) {
		return false;
	}
	w->deliveries = (uint32_t)deliveries;
	return true;
}

/* A message of a channel, at its place. */
static struct aqb_msg *
make_placed(struct notice *n, const struct aqb_position *pos)
{
	struct aqb_msg_view v;
	struct aqb_slice to;

	if (!read_message(n, &v, &to) || pos->seq == 0 ||
	    pos->epoch[0] == '\0') {
		return NULL;
	}
	v.channel = inside(&n->channel);
	return msg_make(&v, pos);
}

static bool
hear_work(struct notice *n, enum work_kind kind)
{
	struct work w = { .kind = kind };
	struct aqb_msg *msg = NULL;

	if (!read_work(n, &w)) {
		return false;
	}
	if ((kind == WORK_GIVE || kind == WORK_MISSED) &&
	    strcmp(w.node, n->bus->conf.node) != 0) {
		return true; /* to another node */
	}
	if (kind == WORK_GIVE) {
		msg = make_placed(n, &w.pos);
		if (msg == NULL || w.deliveries == 0) {
			msg_unref(&msg);
			return false;
		}
	}
	group_heard(n->bus, n->sender, &w, msg);
	msg_unref(&msg);
	return true;
}

bool
notice_read(struct bus *bus, const char *node, struct aqb_slice text)
{
	static const struct {
		const char *kind;
		bool (*on)(struct notice *n);
	} kinds[] = {
		{ "private", on_private },
		{ "unplaced", on_unplaced },
		{ "kick", on_kick },
		{ "delete", on_delete },
	};
	struct notice n = { .bus = bus, .sender = node };
	const char *line = memchr(text.data, '\n', text.len);
	char kind[32];

	metric_add(METRIC_NOTICES_RECEIVED_TOTAL, 1);
	if (line == NULL ||
	    !read_head(&n, text.data, (size_t)(line - text.data)) ||
	    !read_string(&n.kind, kind, sizeof kind)) {
		return false;
	}
	n.rest = (struct aqb_slice){ line + 1,
		text.len - (size_t)(line + 1 - text.data) };
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(kind, kinds[i].kind) == 0) {
			return kinds[i].on(&n);
		}
	}
	for (size_t i = 0; i < sizeof work_names / sizeof work_names[0]; i++) {
		if (strcmp(kind, work_names[i]) == 0) {
			return hear_work(&n, (enum work_kind)i);
		}
	}
	LOG(AQB_DEBUG, "a notice of a kind that this version does not know",
	    F("kind", kind));
	return true;
}

/* As notice_work() begins it. */
static bool
is_kind(struct aqb_slice text, enum work_kind kind)
{
	char head[32];
	int len =
	    snprintf(head, sizeof head, "{\"kind\":\"%s\",", work_names[kind]);

	return text.len > (size_t)len &&
	    memcmp(text.data, head, (size_t)len) == 0;
}

void
notice_came(struct bus *bus, struct aqb_slice text)
{
	const char *line = memchr(text.data, '\n', text.len);
	struct notice n = { .bus = bus, .sender = bus->conf.node };
	struct work w = { .kind = WORK_DONE };

	if (is_kind(text, WORK_BACK)) {
		w.kind = WORK_BACK;
	} else if (!is_kind(text, WORK_DONE)) {
		return;
	}
	if (line != NULL &&
	    read_head(&n, text.data, (size_t)(line - text.data)) &&
	    read_work(&n, &w)) {
		group_came(bus, &w);
	}
}

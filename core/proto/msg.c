/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/msg.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/spare.h"
#include "proto/ws.h"

#define MSG_MAGIC 0xc41e5a93u

/* Everything in an envelope but the peer's own bytes: braces, keys, version,
 * type, seq, epoch, timestamp: 240 at most, and room to be wrong. */
#define FIXED_MAX 256
#define METADATA_KEY ",\"metadata\":"
#define PAYLOAD_KEY ",\"payload\":"
#define ENCODING ",\"encoding\":\"base64\""
#define VERSION "{\"version\":\"1.0\""

/* A piece of the text, as an offset: the message has no pointers. */
struct piece {
	uint32_t at;
	uint32_t len;
};

/*
 * The text: [kept][head room][payload][encoding][,"metadata":metadata][}]
 * Once sealed, `text` begins in the head room with `,"id":..`; once stamped
 * it begins with `{"version":..` and `frame` with the frame's head before it.
 */
struct aqb_msg {
	uint32_t magic;
	atomic_uint refs;
	uint32_t size; /* of the allocation */
	uint32_t end;
	uint32_t text;
	uint32_t frame; /* 0 until stamped */
	bool is_binary;
	bool id_is_given;
	uint32_t received; /* microseconds, the lower half; 0: not known */
	int64_t timestamp;
	uint64_t seq;
	struct piece id, type, room, channel, from, payload, metadata, epoch;
	char data[];
};

static atomic_uint_fast64_t alive;

uint64_t
msg_alive(void)
{
	return atomic_load(&alive);
}

static struct aqb_msg *
alloc(size_t len)
{
	size_t size = sizeof(struct aqb_msg) + len;
	struct aqb_msg *msg;

	if (size > UINT32_MAX) {
		return NULL;
	}
	msg = spare_new(size);
	if (msg == NULL) {
		return NULL;
	}
	memset(msg, 0, sizeof *msg);
	msg->magic = MSG_MAGIC;
	msg->size = (uint32_t)size;
	atomic_init(&msg->refs, 1);
	atomic_fetch_add_explicit(&alive, 1, memory_order_relaxed);
	return msg;
}

static char *
put(char *p, const void *data, size_t len)
{
	memcpy(p, data, len);
	return p + len;
}

static char *
puts_at(char *p, const char *text)
{
	return put(p, text, strlen(text));
}

/* Copy a slice and remember where it went. */
static char *
put_piece(struct aqb_msg *msg, struct piece *piece, char *p,
    struct aqb_slice from)
{
	piece->at = (uint32_t)(p - msg->data);
	piece->len = (uint32_t)from.len;
	return put(p, from.data, from.len);
}

/* The payload in the text, and what goes with it. */
static size_t
payload_len(const struct msg_draft *draft)
{
	if (!draft->is_binary) {
		return draft->payload.len == 0 ? 2 : draft->payload.len;
	}
	return BASE64_LEN(draft->payload.len) + 2 + strlen(ENCODING);
}

static char *
put_payload(struct aqb_msg *msg, char *p, const struct msg_draft *draft)
{
	const struct aqb_slice nothing = { "{}", 2 };
	char *from = p;

	if (!draft->is_binary) {
		return put_piece(msg, &msg->payload, p,
		    draft->payload.len == 0 ? nothing : draft->payload);
	}
	msg->is_binary = true;
	*p++ = '"';
	p = base64_encode(draft->payload.data, draft->payload.len, p);
	*p++ = '"';
	msg->payload.at = (uint32_t)(from - msg->data);
	msg->payload.len = (uint32_t)(p - from);
	return puts_at(p, ENCODING);
}

struct aqb_msg *
msg_new(const struct msg_draft *draft)
{
	size_t head = draft->keep + WS_HEAD_MAX + FIXED_MAX + draft->reserve;
	struct aqb_msg *msg;
	char *p;

	msg = alloc(head + payload_len(draft) + sizeof METADATA_KEY +
	    draft->metadata.len + 1);
	if (msg == NULL) {
		return NULL;
	}
	p = put_payload(msg, msg->data + head, draft);
	if (draft->metadata.len > 0) {
		p = puts_at(p, METADATA_KEY);
		p = put_piece(msg, &msg->metadata, p, draft->metadata);
	}
	*p++ = '}';
	msg->end = (uint32_t)(p - msg->data);
	return msg;
}

char *
msg_kept(struct aqb_msg *msg)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	return msg->data;
}

/* A field of the head: `,"key":"text"`, or nothing for an empty text. */
#define HEAD_FIELD(key) ",\"" key "\":\"", sizeof ",\"" key "\":\"" - 1

static char *
put_field(struct aqb_msg *msg, struct piece *piece, char *p, const char *key,
    size_t key_len, struct aqb_slice text)
{
	if (text.len == 0) {
		return p;
	}
	p = put(p, key, key_len);
	p = put_piece(msg, piece, p, text);
	*p++ = '"';
	return p;
}

/* How long the fields of the head are together. */
static size_t
head_len(const struct msg_fields *f)
{
	const struct {
		size_t key, text;
	} field[] = {
		{ sizeof ",\"id\":\"", f->id.len },
		{ sizeof ",\"type\":\"", f->type.len },
		{ sizeof ",\"room\":\"", f->room.len },
		{ sizeof ",\"channel\":\"", f->channel.len },
		{ sizeof ",\"from\":\"", f->from.len },
		{ sizeof ",\"timestamp\":\"", CLOCK_TEXT_SIZE - 1 },
	};
	size_t len = strlen(PAYLOAD_KEY);

	for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
		/* The NUL that sizeof counts stands for the closing quote. */
		len += field[i].text == 0 ? 0 : field[i].key + field[i].text;
	}
	return f->to.len == 0 ? len : len + strlen(",\"to\":") + f->to.len;
}

void
msg_seal(struct aqb_msg *msg, const struct msg_fields *f)
{
	char when[CLOCK_TEXT_SIZE];
	struct aqb_slice at = { when, CLOCK_TEXT_SIZE - 1 };
	struct piece none;
	size_t len;
	char *p;

	OBJ_CHECK(msg, MSG_MAGIC);
	assert(msg->text == 0);
	clock_format(f->timestamp, when);
	len = head_len(f);
	assert(len + WS_HEAD_MAX + 96 <= msg->payload.at);

	msg->timestamp = f->timestamp;
	msg->id_is_given = f->id_is_given;
	msg->text = (uint32_t)(msg->payload.at - len);
	p = msg->data + msg->text;
	p = put_field(msg, &msg->id, p, HEAD_FIELD("id"), f->id);
	p = put_field(msg, &msg->type, p, HEAD_FIELD("type"), f->type);
	p = put_field(msg, &msg->room, p, HEAD_FIELD("room"), f->room);
	p = put_field(msg, &msg->channel, p, HEAD_FIELD("channel"), f->channel);
	p = put_field(msg, &msg->from, p, HEAD_FIELD("from"), f->from);
	p = put_field(msg, &none, p, HEAD_FIELD("timestamp"), at);
	if (f->to.len > 0) {
		p = puts_at(p, ",\"to\":");
		p = put(p, f->to.data, f->to.len);
	}
	p = puts_at(p, PAYLOAD_KEY);
	assert(p == msg->data + msg->payload.at);
}

/* Put bytes in front of what is there. */
static void
prepend(struct aqb_msg *msg, const char *data, size_t len)
{
	assert(len <= msg->text);
	msg->text -= (uint32_t)len;
	memcpy(msg->data + msg->text, data, len);
}

static void
prepend_position(struct aqb_msg *msg, const struct aqb_position *pos)
{
	char text[96]; /* 7 + 20 + 10 + an epoch + 1 */
	char *p = text + sizeof text;
	size_t epoch = strnlen(pos->epoch, sizeof pos->epoch - 1);
	uint64_t n = pos->seq;

	*--p = '"';
	p -= epoch;
	memcpy(p, pos->epoch, epoch);
	p -= 10;
	memcpy(p, ",\"epoch\":\"", 10);
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	p -= 7;
	memcpy(p, ",\"seq\":", 7);
	prepend(msg, p, (size_t)(text + sizeof text - p));
	msg->epoch.at =
	    msg->text + (uint32_t)(text + sizeof text - 1 - epoch - p);
	msg->epoch.len = (uint32_t)epoch;
	msg->seq = pos->seq;
}

static void
frame(struct aqb_msg *msg)
{
	uint8_t head[WS_HEAD_MAX];
	size_t len = ws_head(head, WS_TEXT, msg->end - msg->text);

	assert(len <= msg->text);
	msg->frame = msg->text - (uint32_t)len;
	memcpy(msg->data + msg->frame, head, len);
}

void
msg_stamp(struct aqb_msg *msg, const struct aqb_position *pos)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	assert(msg->text != 0 && !msg_is_stamped(msg));
	if (pos != NULL) {
		prepend_position(msg, pos);
	}
	prepend(msg, VERSION, strlen(VERSION));
	frame(msg);
}

bool
msg_is_stamped(const struct aqb_msg *msg)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	return msg->end != 0 && msg->frame != 0;
}

struct aqb_msg *
msg_text(const char *text, size_t len)
{
	struct aqb_msg *msg = alloc(1 + WS_HEAD_MAX + len);

	if (msg == NULL) {
		return NULL;
	}
	/* One byte is spare: a frame never begins at 0, which means none. */
	msg->text = 1 + WS_HEAD_MAX;
	msg->end = msg->text + (uint32_t)len;
	memcpy(msg->data + msg->text, text, len);
	frame(msg);
	return msg;
}

/* Where a piece is in a copy that has it further on, or further to the
 * front. */
static struct piece
shifted(struct piece piece, int64_t by)
{
	if (piece.len > 0) {
		piece.at = (uint32_t)(piece.at + by);
	}
	return piece;
}

static void
shift_all(struct aqb_msg *msg, const struct aqb_msg *old, int64_t by)
{
	msg->id = shifted(old->id, by);
	msg->type = shifted(old->type, by);
	msg->room = shifted(old->room, by);
	msg->channel = shifted(old->channel, by);
	msg->from = shifted(old->from, by);
	msg->payload = shifted(old->payload, by);
	msg->metadata = shifted(old->metadata, by);
	msg->epoch = shifted(old->epoch, by);
}

struct aqb_msg *
msg_again(const struct aqb_msg *old, uint32_t count)
{
	size_t len = old->end - old->text;
	size_t version = strlen(VERSION);
	char said[32];
	size_t more = (size_t)snprintf(said, sizeof said,
	    ",\"delivery_count\":%u", count);
	struct aqb_msg *msg;
	char *p;

	assert(msg_is_stamped(old) && old->seq > 0);
	msg = alloc(1 + WS_HEAD_MAX + len + more);
	if (msg == NULL) {
		return NULL;
	}
	msg->text = 1 + WS_HEAD_MAX;
	p = put(msg->data + msg->text, old->data + old->text, version);
	p = put(p, said, more);
	p = put(p, old->data + old->text + version, len - version);
	msg->end = (uint32_t)(p - msg->data);
	msg->is_binary = old->is_binary;
	msg->timestamp = old->timestamp;
	msg->seq = old->seq;
	shift_all(msg, old, (int64_t)msg->end - old->end);
	frame(msg);
	return msg;
}

struct aqb_msg *
msg_copy(const struct aqb_msg *old, size_t reserve)
{
	size_t head = WS_HEAD_MAX + FIXED_MAX + reserve;
	size_t len = old->end - old->payload.at;
	struct aqb_msg *msg = alloc(head + len);
	int64_t by = (int64_t)head - old->payload.at;

	if (msg == NULL) {
		return NULL;
	}
	OBJ_CHECK(old, MSG_MAGIC);
	memcpy(msg->data + head, old->data + old->payload.at, len);
	msg->end = (uint32_t)(head + len);
	msg->is_binary = old->is_binary;
	msg->payload = shifted(old->payload, by);
	msg->metadata = shifted(old->metadata, by);
	return msg;
}

void
msg_set_received(struct aqb_msg *msg, uint64_t received_us)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	msg->received = (uint32_t)received_us;
}

uint64_t
msg_received(const struct aqb_msg *msg, uint64_t now_us)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	if (msg->received == 0) {
		return 0;
	}
	return now_us - (uint32_t)((uint32_t)now_us - msg->received);
}

struct aqb_msg *
msg_ref(struct aqb_msg *msg)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	atomic_fetch_add_explicit(&msg->refs, 1, memory_order_relaxed);
	return msg;
}

void
msg_unref(struct aqb_msg **msgp)
{
	struct aqb_msg *msg;

	if (*msgp == NULL) {
		return;
	}
	OBJ_TAKE(msg, msgp, MSG_MAGIC);
	if (atomic_fetch_sub_explicit(&msg->refs, 1, memory_order_acq_rel) >
	    1) {
		return;
	}
	atomic_fetch_sub_explicit(&alive, 1, memory_order_relaxed);
	msg->magic = 0;
	spare_free(msg, msg->size);
}

struct aqb_slice
msg_frame(const struct aqb_msg *msg)
{
	assert(msg_is_stamped(msg));
	return (struct aqb_slice){ msg->data + msg->frame,
		msg->end - msg->frame };
}

struct aqb_slice
msg_json(const struct aqb_msg *msg)
{
	assert(msg_is_stamped(msg));
	return (struct aqb_slice){ msg->data + msg->text,
		msg->end - msg->text };
}

bool
msg_is_binary(const struct aqb_msg *msg)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	return msg->is_binary;
}

void
msg_put_binary(const struct aqb_msg *msg, struct buf *out)
{
	uint32_t payload = msg->payload.at;
	size_t before = payload - strlen(PAYLOAD_KEY) - msg->text;
	uint32_t rest = payload + msg->payload.len + (uint32_t)strlen(ENCODING);
	size_t header = before + (msg->end - rest);
	size_t bytes = 0;
	char *room;

	assert(msg_is_stamped(msg) && msg->is_binary && header <= UINT16_MAX);
	buf_putc(out, (char)(header >> 8));
	buf_putc(out, (char)header);
	buf_add(out, msg->data + msg->text, before);
	buf_add(out, msg->data + rest, msg->end - rest);
	room = buf_reserve(out, msg->payload.len);
	if (room != NULL) {
		bool ok = base64_decode(msg->data + payload + 1,
		    msg->payload.len - 2, room, &bytes);

		assert(ok);
		buf_advance(out, bytes);
	}
}

static struct aqb_slice
slice(const struct aqb_msg *msg, struct piece piece)
{
	return (struct aqb_slice){ msg->data + piece.at, piece.len };
}

void
msg_view(const struct aqb_msg *msg, struct aqb_msg_view *view)
{
	OBJ_CHECK(msg, MSG_MAGIC);
	*view = (struct aqb_msg_view){
		.size = sizeof *view,
		.bytes = msg->size,
		.timestamp = msg->timestamp,
		.seq = msg->seq,
		.flags = (msg->is_binary ? AQB_MSG_BINARY : 0) |
		    (msg->id_is_given ? AQB_MSG_GIVEN_ID : 0),
		.id = slice(msg, msg->id),
		.type = slice(msg, msg->type),
		.room = slice(msg, msg->room),
		.channel = slice(msg, msg->channel),
		.from = slice(msg, msg->from),
		.payload = slice(msg, msg->payload),
		.metadata = slice(msg, msg->metadata),
		.epoch = slice(msg, msg->epoch),
	};
}

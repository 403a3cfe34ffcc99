/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

#include "redis.h"

bool
entry_id(const redisReply *reply, uint64_t *erap, uint64_t *seqp)
{
	const char *id;
	size_t len;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 2) {
		return false;
	}
	id = reply_string(reply->element[0], &len);
	return id != NULL && reply_id(id, len, erap, seqp);
}

bool
entry_place(const redisReply *reply, uint64_t *erap, uint64_t *seqp)
{
	return entry_id(reply, erap, seqp) && *seqp > 0;
}

struct aqb_slice
entry_field(const redisReply *fields, const char *name)
{
	struct aqb_slice slice = { "", 0 };
	const char *text = reply_string(reply_get(fields, name), &slice.len);

	slice.data = text == NULL ? "" : text;
	return slice;
}

/* The two halves of "room:channel". */
static void
take_name(const struct stream *s, struct aqb_msg_view *v)
{
	const char *colon = strchr(s->name, ':');

	if (colon != NULL) {
		v->room.data = s->name;
		v->room.len = (size_t)(colon - s->name);
		v->channel.data = colon + 1;
		v->channel.len = strlen(colon + 1);
	}
}

struct aqb_msg *
entry_make(const struct redis *r, const struct stream *s,
    const redisReply *fields, const struct aqb_position *pos)
{
	struct aqb_msg_view v = { .size = sizeof v };
	struct aqb_slice time;
	char *end;

	take_name(s, &v);
	v.id = entry_field(fields, "id");
	v.type = entry_field(fields, "type");
	v.from = entry_field(fields, "from");
	v.payload = entry_field(fields, "payload");
	v.metadata = entry_field(fields, "metadata");
	if (entry_field(fields, "encoding").len > 0) {
		v.flags |= AQB_MSG_BINARY;
	}
	if (entry_field(fields, "given").len > 0) {
		v.flags |= AQB_MSG_GIVEN_ID;
	}
	time = entry_field(fields, "time");
	if (time.len == 0) {
		return NULL;
	}
	v.timestamp = strtoll(time.data, &end, 10);
	if (end != time.data + time.len) {
		return NULL;
	}
	return r->host->msg_make(&v, pos);
}

struct aqb_msg *
entry_message(const struct redis *r, const struct stream *s,
    const redisReply *reply)
{
	struct aqb_position pos;
	uint64_t era, seq;

	if (!entry_place(reply, &era, &seq)) {
		return NULL;
	}
	stream_position(s, era, seq, &pos);
	return entry_make(r, s, reply->element[1], &pos);
}

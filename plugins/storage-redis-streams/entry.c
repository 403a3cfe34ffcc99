/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

#include "redis.h"

bool
entry_place(const redisReply *reply, uint64_t *erap, uint64_t *seqp)
{
	const char *id;
	size_t len;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 2) {
		return false;
	}
	id = reply_string(reply->element[0], &len);
	return id != NULL && reply_id(id, len, erap, seqp) && *seqp > 0;
}

static struct aqb_slice
field(const redisReply *fields, const char *name)
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
entry_message(const struct redis *r, const struct stream *s,
    const redisReply *reply)
{
	struct aqb_msg_view v = { .size = sizeof v };
	struct aqb_position pos;
	const redisReply *fields;
	struct aqb_slice time;
	uint64_t era, seq;
	char *end;

	if (!entry_place(reply, &era, &seq)) {
		return NULL;
	}
	fields = reply->element[1];
	take_name(s, &v);
	v.id = field(fields, "id");
	v.type = field(fields, "type");
	v.from = field(fields, "from");
	v.payload = field(fields, "payload");
	v.metadata = field(fields, "metadata");
	v.flags = (field(fields, "encoding").len > 0 ? AQB_MSG_BINARY : 0) |
	    (field(fields, "given").len > 0 ? AQB_MSG_GIVEN_ID : 0);
	time = field(fields, "time");
	if (time.len == 0) {
		return NULL;
	}
	v.timestamp = strtoll(time.data, &end, 10);
	if (end != time.data + time.len) {
		return NULL;
	}
	stream_position(s, era, seq, &pos);
	return r->host->msg_make(&v, &pos);
}

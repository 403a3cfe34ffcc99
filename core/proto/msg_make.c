/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "proto/envelope.h"
#include "proto/json.h"
#include "proto/msg.h"
#include "proto/name.h"

/* Messages out of what a storage kept.  It is as little to be trusted as a
 * peer: others may write there, too. */

#define ID_TEXT_MAX (6 * AQB_MSG_ID_MAX) /* every byte may be escaped */

static bool
id_is_right(struct aqb_slice id)
{
	char text[ID_TEXT_MAX + 2];
	char plain[AQB_MSG_ID_MAX];
	struct json_value value;
	size_t len, at;

	if (id.len == 0 || id.len > ID_TEXT_MAX) {
		return false;
	}
	text[0] = '"';
	memcpy(text + 1, id.data, id.len);
	text[id.len + 1] = '"';
	return json_check(text, id.len + 2, &value, &at) == JSON_OK &&
	    value.type == JSON_STRING &&
	    json_decode(&value, plain, sizeof plain, &len);
}

static bool
json_is_right(struct aqb_slice json, bool only_object)
{
	struct json_value value;
	size_t at;

	return json_check(json.data, json.len, &value, &at) == JSON_OK &&
	    (!only_object || value.type == JSON_OBJECT);
}

static bool
is_name(struct aqb_slice text)
{
	return name_valid(text.data, text.len);
}

/* Bytes go out behind a header, whose length is told in 16 bits. */
static bool
fits_header(const struct aqb_msg_view *v)
{
	return (v->flags & AQB_MSG_BINARY) == 0 ||
	    v->metadata.len <= ENVELOPE_HEADER_MAX;
}

static bool
position_is_right(const struct aqb_position *pos)
{
	return pos->seq > 0 &&
	    memchr(pos->epoch, '\0', sizeof pos->epoch) != NULL &&
	    is_name((struct aqb_slice){ pos->epoch, strlen(pos->epoch) });
}

/* All that does not depend on where it belongs. */
static bool
is_right(const struct aqb_msg_view *v)
{
	return id_is_right(v->id) && is_name(v->type) && is_name(v->from) &&
	    v->timestamp >= 0 && v->timestamp <= CLOCK_WALL_MAX &&
	    json_is_right(v->payload, false) &&
	    (v->metadata.len == 0 || json_is_right(v->metadata, true)) &&
	    fits_header(v);
}

static bool
is_everybody(struct aqb_slice room)
{
	return room.len == 1 && room.data[0] == '*';
}

static bool
to_is_right(struct aqb_slice to)
{
	struct json_value value;
	size_t at;

	return json_check(to.data, to.len, &value, &at) == JSON_OK &&
	    (value.type == JSON_STRING || value.type == JSON_ARRAY);
}

/* The bytes behind a binary message's payload; free() them. */
static bool
take_bytes(struct aqb_slice text, struct aqb_slice *bytesp)
{
	char *bytes;

	if (text.len < 2 || text.data[0] != '"') {
		return false;
	}
	bytes = malloc(text.len);
	if (bytes == NULL) {
		return false;
	}
	bytesp->data = bytes;
	return base64_decode(text.data + 1, text.len - 2, bytes, &bytesp->len);
}

/* All three steps, of what was found to be right. */
static struct aqb_msg *
make(const struct aqb_msg_view *v, struct aqb_slice to,
    const struct aqb_position *pos)
{
	struct aqb_slice bytes = { NULL, 0 };
	struct msg_draft draft = {
		.payload = v->payload,
		.is_binary = (v->flags & AQB_MSG_BINARY) != 0,
		.metadata = v->metadata,
		.reserve = v->id.len + v->type.len + v->room.len +
		    v->channel.len + v->from.len + to.len,
	};
	struct aqb_msg *msg = NULL;

	if (!draft.is_binary || take_bytes(v->payload, &bytes)) {
		if (draft.is_binary) {
			draft.payload = bytes;
		}
		msg = msg_new(&draft);
	}
	free((void *)bytes.data);
	if (msg == NULL) {
		return NULL;
	}
	msg_seal(msg,
	    &(struct msg_fields){
		.id = v->id,
		.type = v->type,
		.room = v->room,
		.channel = v->channel,
		.from = v->from,
		.to = to,
		.timestamp = v->timestamp,
		.id_is_given = (v->flags & AQB_MSG_GIVEN_ID) != 0,
	    });
	msg_stamp(msg, pos);
	return msg;
}

struct aqb_msg *
msg_make(const struct aqb_msg_view *v, const struct aqb_position *pos)
{
	if (!position_is_right(pos) || !is_right(v) || !is_name(v->room) ||
	    !is_name(v->channel)) {
		return NULL;
	}
	return make(v, (struct aqb_slice){ NULL, 0 }, pos);
}

struct aqb_msg *
msg_make_unplaced(const struct aqb_msg_view *v, struct aqb_slice to)
{
	if (!is_right(v) || v->channel.len > 0 ||
	    (v->room.len > 0 && !is_name(v->room) && !is_everybody(v->room)) ||
	    (to.len > 0 && !to_is_right(to))) {
		return NULL;
	}
	return make(v, to, NULL);
}

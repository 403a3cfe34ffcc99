/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "base/why.h"
#include "proto/json.h"
#include "proto/msg.h"

#define FIELDS_MAX 256 /* members of an envelope */
#define KEY_MAX 256    /* bytes of a member's name */
#define TO_MAX 64      /* receivers of a private message */
#define ADDRESS_TEXT_MAX (2 * AQB_NAME_MAX + 2)

/* What is going on while the members of an envelope are told one by one. */
struct decoding {
	struct envelope *env;
	struct aqb_why *why;
	enum aqb_code code;
	size_t fields;
	size_t unknown;
	uint64_t seen[FIELDS_MAX]; /* keyed hashes of the unknown keys so far */

	/* What other fields decide about, kept until all were seen. */
	struct json_value type, id, room, channel, version, to, command;
	struct json_value payload, metadata, args, ack, timestamp;
	struct json_value retain, ttl, expect_reply_ms, correlation_id;
	struct json_value seq, epoch, ok;
};

static const struct {
	const char *name;
	enum envelope_type type;
} types[] = {
	{ "event", ENVELOPE_EVENT },
	{ "message", ENVELOPE_MESSAGE },
	{ "private", ENVELOPE_PRIVATE },
	{ "command", ENVELOPE_COMMAND },
	{ "system", ENVELOPE_SYSTEM },
	{ "telemetry", ENVELOPE_TELEMETRY },
	{ "ping", ENVELOPE_PING },
	{ "ack", ENVELOPE_ACK },
};

const char *
envelope_type_name(enum envelope_type type)
{
	return types[type].name;
}

static enum aqb_code
wrong(struct decoding *d, const char *field, const char *want)
{
	return reject(d->why, AQB_CODE_INVALID_ENVELOPE, field, "%s: %s", field,
	    want);
}

/* The fields that are known, and where their values are kept until all have
 * been seen. */
#define FIELD(name)                                                      \
	{                                                                \
#name, sizeof #name - 1, offsetof(struct decoding, name) \
	}
static const struct field {
	const char *name;
	size_t len;
	size_t place;
} fields[] = {
	FIELD(type),
	FIELD(room),
	FIELD(channel),
	FIELD(payload),
	FIELD(id),
	FIELD(metadata),
	FIELD(version),
	FIELD(timestamp),
	FIELD(to),
	FIELD(ack),
	FIELD(command),
	FIELD(args),
	FIELD(retain),
	FIELD(ttl),
	FIELD(expect_reply_ms),
	FIELD(correlation_id),
	FIELD(seq),
	FIELD(epoch),
	FIELD(ok),
};

/* NULL for a field that is not known, and ignored. */
static struct json_value *
place_of(struct decoding *d, struct aqb_slice key)
{
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		const struct field *f = &fields[i];

		if (f->len == key.len && *f->name == *key.data &&
		    memcmp(f->name, key.data, key.len) == 0) {
			return (struct json_value *)((char *)d + f->place);
		}
	}
	return NULL;
}

/* The id is read at once, so that whatever is wrong later can be answered
 * with it. */
static enum aqb_code
take_id(struct decoding *d, const struct json_value *value)
{
	char text[AQB_MSG_ID_MAX];
	size_t len;

	if (value->type != JSON_STRING) {
		return wrong(d, "id", "must be a string");
	}
	if (!json_decode(value, text, sizeof text, &len) || len == 0) {
		return reject(d->why, AQB_CODE_INVALID_ENVELOPE, "id",
		    "id: must be 1 to %d bytes of text, not %zu",
		    AQB_MSG_ID_MAX, value->len - 2);
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			return wrong(d, "id",
			    "must not hold control characters");
		}
	}
	d->env->id = (struct aqb_slice){ value->text + 1, value->len - 2 };
	return AQB_CODE_OK;
}

/* Was an unknown field of that name there before? */
static bool
is_repeated(struct decoding *d, struct aqb_slice key)
{
	uint64_t hash = hash_bytes(key.data, key.len);

	for (size_t i = 0; i < d->unknown; i++) {
		if (d->seen[i] == hash) {
			return true;
		}
	}
	d->seen[d->unknown++] = hash;
	return false;
}

/* The key as it is meant: "\u0061" is "a". */
static struct aqb_slice
plain_key(const char *key, size_t len, bool escaped, char plain[KEY_MAX])
{
	struct json_value quoted = { JSON_STRING, true, key - 1, len + 2 };

	if (escaped && json_decode(&quoted, plain, KEY_MAX, &len)) {
		key = plain;
	}
	return (struct aqb_slice){ key, len };
}

static bool
take_member(void *arg, const char *text, size_t len, bool escaped,
    const struct json_value *value)
{
	struct decoding *d = arg;
	struct json_value *place = NULL;
	char plain[KEY_MAX];
	struct aqb_slice key;

	if (d->fields++ == FIELDS_MAX || len > KEY_MAX) {
		d->code = reject(d->why, AQB_CODE_INVALID_ENVELOPE, NULL,
		    "envelope: more than %d fields, or a field name of more "
		    "than %d bytes",
		    FIELDS_MAX, KEY_MAX);
		return false;
	}
	key = plain_key(text, len, escaped, plain);
	if (key.len > 0) {
		place = place_of(d, key);
	}
	if (place != NULL ? place->len > 0 : is_repeated(d, key)) {
		d->code = reject(d->why, AQB_CODE_INVALID_ENVELOPE, NULL,
		    "envelope: the field \"%.*s\" is given twice",
		    (int)(len < 64 ? len : 64), text);
		return false;
	}
	if (place == NULL) {
		return true;
	}
	*place = *value;
	if (place == &d->id) {
		d->code = take_id(d, value);
	}
	return d->code == AQB_CODE_OK;
}

static enum aqb_code
check_version(struct decoding *d)
{
	char text[16];
	size_t len;
	bool good;

	if (d->version.len == 0) {
		return AQB_CODE_OK;
	}
	if (d->version.type != JSON_STRING) {
		return wrong(d, "version", "must be a string");
	}
	good = json_decode(&d->version, text, sizeof text, &len) && len >= 3 &&
	    text[0] == '1' && text[1] == '.';
	for (size_t i = 2; good && i < len; i++) {
		good = text[i] >= '0' && text[i] <= '9';
	}
	if (!good) {
		return reject(d->why, AQB_CODE_UNSUPPORTED_VERSION, "version",
		    "version: this broker speaks \"1.0\"");
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check_type(struct decoding *d)
{
	char text[32];
	size_t len;

	if (d->type.len == 0) {
		return wrong(d, "type", "is missing");
	}
	if (d->type.type != JSON_STRING) {
		return wrong(d, "type", "must be a string");
	}
	if (!json_decode(&d->type, text, sizeof text, &len)) {
		len = 0;
	}
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (strlen(types[i].name) == len &&
		    memcmp(types[i].name, text, len) == 0) {
			d->env->type = types[i].type;
			return AQB_CODE_OK;
		}
	}
	return reject(d->why, AQB_CODE_UNKNOWN_TYPE, "type",
	    "type: none of event, message, private, command, system, "
	    "telemetry, ping, ack");
}

static enum aqb_code
bool_field(struct decoding *d, const struct json_value *value,
    const char *field, bool *flagp)
{
	if (value->len == 0) {
		return AQB_CODE_OK;
	}
	if (value->type != JSON_TRUE && value->type != JSON_FALSE) {
		return wrong(d, field, "must be true or false");
	}
	*flagp = value->type == JSON_TRUE;
	return AQB_CODE_OK;
}

/* Fields whose meaning this version does not have: refused, so that nobody
 * believes they were heeded. */
static enum aqb_code
check_absent(struct decoding *d)
{
	const struct {
		const char *name;
		const struct json_value *value;
	} later[] = {
		{ "retain", &d->retain },
		{ "ttl", &d->ttl },
		{ "expect_reply_ms", &d->expect_reply_ms },
		{ "correlation_id", &d->correlation_id },
	};

	for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
		if (later[i].value->len > 0 &&
		    later[i].value->type != JSON_FALSE &&
		    later[i].value->type != JSON_NULL) {
			return reject(d->why, AQB_CODE_INVALID_ARGUMENT,
			    later[i].name, "%s: not in this version",
			    later[i].name);
		}
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check_timestamp(struct decoding *d)
{
	char text[64];
	size_t len;
	int64_t when;

	if (d->timestamp.len == 0) {
		return AQB_CODE_OK;
	}
	if (d->timestamp.type != JSON_STRING ||
	    !json_decode(&d->timestamp, text, sizeof text, &len) ||
	    !clock_parse(text, len, &when)) {
		return wrong(d, "timestamp",
		    "must be RFC 3339 text like 2026-01-31T12:00:00Z");
	}
	return AQB_CODE_OK;
}

/* The text of room or channel; no data when it was not given. */
static enum aqb_code
name_text(struct decoding *d, const struct json_value *value, const char *field,
    char *text, size_t size, struct aqb_slice *slicep)
{
	*slicep = (struct aqb_slice){ NULL, 0 };
	if (value->len == 0 || value->type == JSON_NULL) {
		return AQB_CODE_OK;
	}
	if (value->type != JSON_STRING) {
		return wrong(d, field, "must be a string");
	}
	slicep->data = text;
	if (!json_decode(value, text, size, &slicep->len)) {
		return reject(d->why, AQB_CODE_INVALID_NAME, field,
		    "%s: longer than %d bytes, or not valid text", field,
		    AQB_NAME_MAX);
	}
	return AQB_CODE_OK;
}

static enum aqb_code
take_address(struct decoding *d)
{
	char room_text[ADDRESS_TEXT_MAX], channel_text[ADDRESS_TEXT_MAX];
	struct aqb_slice room, channel;
	enum aqb_code code;

	code =
	    name_text(d, &d->room, "room", room_text, sizeof room_text, &room);
	if (code != AQB_CODE_OK) {
		return code;
	}
	code = name_text(d, &d->channel, "channel", channel_text,
	    sizeof channel_text, &channel);
	if (code != AQB_CODE_OK) {
		return code;
	}
	if (d->env->type == ENVELOPE_SYSTEM && room.len == 1 &&
	    *room.data == '*' && channel.data == NULL) {
		d->env->everybody = true;
		return AQB_CODE_OK;
	}
	return address_read(room, channel, AQB_CODE_INVALID_ENVELOPE,
	    &d->env->address, d->why);
}

static bool
one_receiver(void *arg, const struct json_value *value)
{
	size_t *np = arg;
	char text[AQB_CLIENT_ID_MAX];
	size_t len;

	return value->type == JSON_STRING && ++*np <= TO_MAX &&
	    json_decode(value, text, sizeof text, &len) && len > 0;
}

static bool
is_target(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	if (json_key_is(key, len, escaped, "target")) {
		*(struct json_value *)arg = *value;
	}
	return true;
}

static enum aqb_code
take_to(struct decoding *d)
{
	struct json_value to = d->to;
	size_t n = 0;
	size_t at;
	bool good;

	if (to.len == 0 && d->payload.len > 0 &&
	    d->payload.type == JSON_OBJECT) {
		json_members(d->payload.text, d->payload.len, is_target, &to,
		    &at);
	}
	if (to.len == 0 || to.type == JSON_NULL) {
		return reject(d->why, AQB_CODE_TARGET_REQUIRED, "to",
		    "to: a private message needs a client id or alias");
	}
	if (to.type == JSON_ARRAY) {
		good = json_elements(to.text, to.len, one_receiver, &n, &at) ==
			JSON_OK &&
		    n > 0;
	} else {
		good = one_receiver(&n, &to);
	}
	if (!good) {
		return wrong(d, "to",
		    "must be a client id or alias, or an array of 1 to 64 of "
		    "them");
	}
	d->env->to = to;
	return AQB_CODE_OK;
}

static bool
is_command_of_payload(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	struct decoding *d = arg;

	if (json_key_is(key, len, escaped, "command")) {
		d->command = *value;
	} else if (json_key_is(key, len, escaped, "parameters") &&
	    d->args.len == 0) {
		d->args = *value;
	}
	return true;
}

static enum aqb_code
take_command(struct decoding *d, const char *text, size_t len)
{
	struct envelope *env = d->env;
	size_t at;

	if (d->command.len == 0 && d->payload.len > 0 &&
	    d->payload.type == JSON_OBJECT) {
		json_members(d->payload.text, d->payload.len,
		    is_command_of_payload, d, &at);
	}
	if (d->command.len == 0) {
		return wrong(d, "command", "is missing");
	}
	if (d->command.type != JSON_STRING) {
		return wrong(d, "command", "must be a string");
	}
	if (d->args.len > 0 && d->args.type != JSON_OBJECT &&
	    d->args.type != JSON_NULL) {
		return wrong(d, "args", "must be an object");
	}
	env->text = (struct aqb_slice){ text, len };
	if (!json_decode(&d->command, env->command, AQB_NAME_MAX, &at)) {
		return reject(d->why, AQB_CODE_UNKNOWN_COMMAND, "command",
		    "command: longer than %d bytes", AQB_NAME_MAX);
	}
	env->command[at] = '\0';
	if (d->args.len > 0 && d->args.type == JSON_OBJECT) {
		env->args = (struct aqb_slice){ d->args.text, d->args.len };
	}
	return AQB_CODE_OK;
}

/* A whole number of 1 to 2^53, which is what a double can hold. */
static bool
read_seq(const struct json_value *value, uint64_t *seqp)
{
	return json_u64(value, seqp) && *seqp > 0 && *seqp <= (uint64_t)1 << 53;
}

/* Which message an ack is about, and whether its work is done. */
static enum aqb_code
take_ack(struct decoding *d)
{
	struct envelope *env = d->env;
	size_t len = 0;

	if (env->address.channel[0] == '\0') {
		return reject(d->why, AQB_CODE_TARGET_REQUIRED, "channel",
		    "channel: an ack names the channel of its message");
	}
	if (!read_seq(&d->seq, &env->position.seq)) {
		return wrong(d, "seq", "must be a whole number of 1 to 2^53");
	}
	if (d->epoch.type != JSON_STRING ||
	    !json_decode(&d->epoch, env->position.epoch, AQB_EPOCH_SIZE - 1,
		&len)) {
		return wrong(d, "epoch", "must be the message's, as it came");
	}
	env->position.epoch[len] = '\0';
	env->ok = true;
	return bool_field(d, &d->ok, "ok", &env->ok);
}

/* What a publish of any kind carries. */
static enum aqb_code
take_content(struct decoding *d)
{
	struct envelope *env = d->env;

	if (d->metadata.len > 0 && d->metadata.type != JSON_OBJECT) {
		return wrong(d, "metadata", "must be an object");
	}
	env->payload = (struct aqb_slice){ d->payload.text, d->payload.len };
	env->metadata = (struct aqb_slice){ d->metadata.text, d->metadata.len };
	return AQB_CODE_OK;
}

static enum aqb_code
check(struct decoding *d, const char *text, size_t len)
{
	struct envelope *env = d->env;
	enum aqb_code code;

	if ((code = check_version(d)) != AQB_CODE_OK ||
	    (code = check_type(d)) != AQB_CODE_OK ||
	    (code = check_timestamp(d)) != AQB_CODE_OK ||
	    (code = bool_field(d, &d->ack, "ack", &env->ack)) != AQB_CODE_OK) {
		return code;
	}
	if (env->type == ENVELOPE_COMMAND) {
		return take_command(d, text, len);
	}
	if (env->type == ENVELOPE_PING) {
		return AQB_CODE_OK;
	}
	if ((code = check_absent(d)) != AQB_CODE_OK ||
	    (code = take_address(d)) != AQB_CODE_OK) {
		return code;
	}
	if (env->type == ENVELOPE_ACK) {
		return take_ack(d);
	}
	if (env->type == ENVELOPE_PRIVATE &&
	    (code = take_to(d)) != AQB_CODE_OK) {
		return code;
	}
	return take_content(d);
}

enum aqb_code
envelope_decode(const char *text, size_t len, struct envelope *envp,
    struct aqb_why *why)
{
	struct decoding d;
	enum json_result result;
	size_t at = 0;

	memset(envp, 0, sizeof *envp);
	/* The tables of keys need no clearing: `fields` says how much counts. */
	d.env = envp;
	d.why = why;
	d.code = AQB_CODE_OK;
	d.fields = 0;
	d.unknown = 0;
	memset(&d.type, 0, sizeof d - offsetof(struct decoding, type));

	result = json_members(text, len, take_member, &d, &at);
	if (result == JSON_STOPPED) {
		return d.code;
	}
	if (result == JSON_WRONG_KIND) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE, NULL,
		    "envelope: must be a JSON object");
	}
	if (result != JSON_OK) {
		return reject(why, AQB_CODE_INVALID_JSON, NULL,
		    "%s, at byte %zu", json_strerror(result), at);
	}
	return check(&d, text, len);
}

/* What a binary message's bytes can be the payload of. */
static bool
takes_bytes(enum envelope_type type)
{
	return type == ENVELOPE_EVENT || type == ENVELOPE_MESSAGE ||
	    type == ENVELOPE_PRIVATE || type == ENVELOPE_SYSTEM;
}

enum aqb_code
envelope_decode_binary(const uint8_t *data, size_t len, struct envelope *envp,
    struct aqb_why *why)
{
	const char *text = (const char *)data + 2;
	size_t header = len < 2 ? 0 : (size_t)data[0] << 8 | data[1];
	enum aqb_code code;

	memset(envp, 0, sizeof *envp);
	if (len < 2 || header > len - 2) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE, NULL,
		    "binary: the header's length is %zu, but %zu bytes follow",
		    header, len < 2 ? 0 : len - 2);
	}
	if (header > ENVELOPE_HEADER_MAX) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE, NULL,
		    "binary: the header's length is %zu, the limit is %u",
		    header, ENVELOPE_HEADER_MAX);
	}
	if (!utf8_valid(text, header)) {
		return reject(why, AQB_CODE_INVALID_JSON, NULL,
		    "binary: the header is not UTF-8");
	}
	code = envelope_decode(text, header, envp, why);
	if (code != AQB_CODE_OK) {
		return code;
	}
	if (!takes_bytes(envp->type)) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE, "type",
		    "type: a binary message is an event, message, private or "
		    "system, not a %s",
		    envelope_type_name(envp->type));
	}
	if (envp->payload.len > 0) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE, "payload",
		    "payload: in a binary message the bytes behind the header "
		    "are the payload");
	}
	envp->is_binary = true;
	envp->payload = (struct aqb_slice){ text + header, len - 2 - header };
	return AQB_CODE_OK;
}

/* Copy a slice to p and let it point there. */
static char *
move(char *p, struct aqb_slice *slice)
{
	if (slice->len > 0) {
		memcpy(p, slice->data, slice->len);
	}
	slice->data = p;
	return p + slice->len;
}

/* A command keeps its whole text, for any field may be an argument. */
static struct aqb_msg *
keep_command(struct envelope *env)
{
	struct msg_draft draft = { .keep = env->text.len };
	struct aqb_msg *msg = msg_new(&draft);
	struct aqb_slice *inside[] = { &env->id, &env->args };
	const char *old = env->text.data;

	if (msg == NULL) {
		return NULL;
	}
	move(msg_kept(msg), &env->text);
	for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
		if (inside[i]->len > 0) {
			inside[i]->data =
			    env->text.data + (inside[i]->data - old);
		}
	}
	return msg;
}

/* How long the names, ids and `to` can become that the bus writes before the
 * payload.  A name that was not given is the default room's, at most. */
static size_t
names_len(const struct envelope *env)
{
	size_t room = strlen(env->address.room);
	size_t id = env->id.len;

	return (room > 0 ? room : AQB_NAME_MAX) + strlen(env->address.channel) +
	    (id > 0 ? id : AQB_CLIENT_ID_MAX) + env->to.len + AQB_CLIENT_ID_MAX;
}

struct aqb_msg *
envelope_keep(struct envelope *env)
{
	struct aqb_slice to = { env->to.text, env->to.len };
	struct msg_draft draft = {
		.payload = env->payload,
		.metadata = env->metadata,
		.is_binary = env->is_binary,
		.keep = env->id.len + to.len,
		.reserve = names_len(env),
	};
	struct aqb_msg_view view;
	struct aqb_msg *msg;
	char *p;

	if (env->type == ENVELOPE_COMMAND) {
		return keep_command(env);
	}
	msg = msg_new(&draft);
	if (msg == NULL) {
		return NULL;
	}
	p = move(msg_kept(msg), &env->id);
	move(p, &to);
	env->to.text = to.data;
	msg_view(msg, &view);
	env->payload = view.payload;
	env->metadata = view.metadata;
	return msg;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/why.h"
#include "bus/channel.h"
#include "host/params.h"
#include "proto/envelope.h"
#include "proto/name.h"

/* What a double can hold exactly: no client means more, and none can be sure
 * that more survived its own parser. */
#define INTEGER_MAX ((uint64_t)1 << 53)

#define STRINGS_MAX 64 /* in an argument that may be an array */

/* The names of parameters live in the plugin's text; `field` of a refusal
 * must outlive the call. */
static const char *
field_of(const char *name)
{
	static char field[PARAM_NAME_SIZE];

	snprintf(field, sizeof field, "%s", name);
	return field;
}

static enum aqb_code
wrong(struct aqb_why *why, const struct param *p, const char *want)
{
	return reject(why, AQB_CODE_INVALID_ARGUMENT, field_of(p->name),
	    "%s: %s", p->name, want);
}

static enum aqb_code
check_string(struct json_object *v, const struct param *p, struct aqb_why *why)
{
	size_t len;

	if (!json_object_is_type(v, json_type_string)) {
		return wrong(why, p, "must be a string");
	}
	len = (size_t)json_object_get_string_len(v);
	if (strlen(json_object_get_string(v)) != len) {
		return wrong(why, p, "must not hold a NUL");
	}
	if (p->type == 'n') {
		return name_check(json_object_get_string(v), len,
		    field_of(p->name), why);
	}
	if (p->ranged && (len < p->min || len > p->max)) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, field_of(p->name),
		    "%s: %zu bytes; the limits are %llu to %llu", p->name, len,
		    (unsigned long long)p->min, (unsigned long long)p->max);
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check_integer(struct json_object *v, const struct param *p, struct aqb_why *why)
{
	uint64_t max = p->ranged ? p->max : INTEGER_MAX;
	uint64_t n;

	if (!json_object_is_type(v, json_type_int)) {
		return wrong(why, p, "must be a whole number");
	}
	n = json_object_get_uint64(v);
	if (json_object_get_int64(v) < 0 || n < p->min || n > max) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, field_of(p->name),
		    "%s: %s is out of range; the limits are %llu to %llu",
		    p->name, json_object_get_string(v),
		    (unsigned long long)p->min, (unsigned long long)max);
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check_strings(struct json_object *v, const struct param *p, struct aqb_why *why)
{
	size_t n;

	if (json_object_is_type(v, json_type_string)) {
		return check_string(v, p, why);
	}
	if (!json_object_is_type(v, json_type_array)) {
		return wrong(why, p, "must be a string or an array of them");
	}
	n = json_object_array_length(v);
	if (n == 0 || n > STRINGS_MAX) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, field_of(p->name),
		    "%s: %zu elements; the limits are 1 "
		    "to %d",
		    p->name, n, STRINGS_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		enum aqb_code code =
		    check_string(json_object_array_get_idx(v, i), p, why);

		if (code != AQB_CODE_OK) {
			return code;
		}
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check_value(struct json_object *v, const struct param *p, struct aqb_why *why)
{
	switch (p->type) {
	case 'n':
	case 's':
		return check_string(v, p, why);
	case 'u':
		return check_integer(v, p, why);
	case 'b':
		return json_object_is_type(v, json_type_boolean)
		    ? AQB_CODE_OK
		    : wrong(why, p, "must be true or false");
	case 'o':
		return json_object_is_type(v, json_type_object)
		    ? AQB_CODE_OK
		    : wrong(why, p, "must be an object");
	case 'a':
		return check_strings(v, p, why);
	default:
		return AQB_CODE_OK;
	}
}

static struct json_object *
parse(const char *text, size_t len)
{
	struct json_tokener *tok;
	struct json_object *json;

	if (len == 0) {
		return NULL;
	}
	/* The text is valid and not deep: proto/json has seen it. */
	tok = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
	if (tok == NULL) {
		return NULL;
	}
	json = json_tokener_parse_ex(tok, text, (int)len);
	json_tokener_free(tok);
	return json;
}

/* What the envelope itself means by these is no argument. */
static bool
is_of_envelope(const char *name)
{
	static const char *const own[] = { "type", "id", "version", "command",
		"args", "payload", "timestamp", "ack", "from" };

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (strcmp(name, own[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Where an argument is: in `args` (or payload.parameters), else beside them.
 * null is the same as not given. */
static struct json_object *
find(struct json_object *inner, struct json_object *outer, const char *name)
{
	struct json_object *v = NULL;

	if (inner != NULL && json_object_object_get_ex(inner, name, &v) &&
	    v != NULL) {
		return v;
	}
	if (outer != NULL && !is_of_envelope(name)) {
		json_object_object_get_ex(outer, name, &v);
	}
	return v;
}

static struct json_object *
default_of(const struct param *p)
{
	switch (p->type) {
	case 'u':
		return json_object_new_uint64(strtoull(p->dflt, NULL, 10));
	case 'b':
		return json_object_new_boolean(*p->dflt == 't');
	default:
		return json_object_new_string_len(p->dflt, (int)p->dflt_len);
	}
}

/* A room or channel as it was spelled; no data when it was not given. */
static enum aqb_code
spelling(struct json_object *v, const char *field, struct aqb_slice *textp,
    struct aqb_why *why)
{
	*textp = (struct aqb_slice){ NULL, 0 };
	if (v == NULL) {
		return AQB_CODE_OK;
	}
	if (!json_object_is_type(v, json_type_string)) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, field,
		    "%s: must be a string", field);
	}
	textp->data = json_object_get_string(v);
	textp->len = (size_t)json_object_get_string_len(v);
	return AQB_CODE_OK;
}

static enum aqb_code
read_address(struct args *args, const struct client *client,
    struct json_object *inner, struct json_object *outer,
    const struct param *room_param, const struct param *channel_param,
    struct aqb_why *why)
{
	struct aqb_slice room, channel;
	enum aqb_code code;

	code = spelling(find(inner, outer, "room"), "room", &room, why);
	if (code == AQB_CODE_OK) {
		code = spelling(find(inner, outer, "channel"), "channel",
		    &channel, why);
	}
	if (code == AQB_CODE_OK) {
		code = address_read(room, channel, AQB_CODE_INVALID_ARGUMENT,
		    &args->address, why);
	}
	if (code != AQB_CODE_OK) {
		return code;
	}
	if (!channel_param->optional && args->address.channel[0] == '\0') {
		return reject(why, AQB_CODE_TARGET_REQUIRED, "channel",
		    "channel: is missing");
	}
	channel_resolve(client, &args->address);
	if (!room_param->optional && args->address.room[0] == '\0') {
		return reject(why, AQB_CODE_TARGET_REQUIRED, "room",
		    "room: is missing");
	}
	return AQB_CODE_OK;
}

/* Plugins get timestamps as milliseconds: nobody should parse them twice. */
static enum aqb_code
read_timestamp(struct args *args, const struct param *p, struct json_object *v,
    struct aqb_why *why)
{
	int64_t ms;

	if (!json_object_is_type(v, json_type_string) ||
	    !clock_parse(json_object_get_string(v),
		(size_t)json_object_get_string_len(v), &ms)) {
		return wrong(why, p,
		    "must be RFC 3339 text like 2026-01-31T12:00:00Z");
	}
	json_object_object_add(args->json, p->name, json_object_new_int64(ms));
	return AQB_CODE_OK;
}

static enum aqb_code
read_one(struct args *args, const struct param *p, struct json_object *inner,
    struct json_object *outer, struct aqb_why *why)
{
	struct json_object *v = find(inner, outer, p->name);
	enum aqb_code code;

	if (v == NULL) {
		if (p->dflt != NULL) {
			json_object_object_add(args->json, p->name,
			    default_of(p));
		}
		return p->optional ? AQB_CODE_OK : wrong(why, p, "is missing");
	}
	if (p->type == 't') {
		return read_timestamp(args, p, v, why);
	}
	code = check_value(v, p, why);
	if (code == AQB_CODE_OK) {
		json_object_object_add(args->json, p->name, json_object_get(v));
	}
	return code;
}

static enum aqb_code
read_all(struct args *args, const struct client *client, const char *params,
    struct json_object *inner, struct json_object *outer, struct aqb_why *why)
{
	struct param room, channel, p;
	bool has_address = params_have(params, "room", &room) &&
	    params_have(params, "channel", &channel);
	enum aqb_code code = AQB_CODE_OK;

	if (has_address) {
		code = read_address(args, client, inner, outer, &room, &channel,
		    why);
	}
	while (code == AQB_CODE_OK && param_next(&params, &p)) {
		if (has_address &&
		    (strcmp(p.name, "room") == 0 ||
			strcmp(p.name, "channel") == 0)) {
			continue;
		}
		code = read_one(args, &p, inner, outer, why);
	}
	return code;
}

/* A room alone is a plain argument, but plugins find it where rooms are. */
static void
lift_room(struct args *args)
{
	struct json_object *v = NULL;

	if (args->address.room[0] == '\0' &&
	    json_object_object_get_ex(args->json, "room", &v)) {
		snprintf(args->address.room, sizeof args->address.room, "%s",
		    json_object_get_string(v));
		json_object_object_del(args->json, "room");
	}
}

enum aqb_code
args_read(struct args *argsp, const struct client *client,
    const struct envelope *env, const struct aqb_command *command,
    struct aqb_why *why)
{
	struct json_object *outer = parse(env->text.data, env->text.len);
	struct json_object *inner = parse(env->args.data, env->args.len);
	enum aqb_code code;

	memset(argsp, 0, sizeof *argsp);
	argsp->json = json_object_new_object();
	if (outer == NULL || argsp->json == NULL) {
		code = reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
	} else {
		code =
		    read_all(argsp, client, command->params, inner, outer, why);
	}
	if (code == AQB_CODE_OK) {
		lift_room(argsp);
	}
	json_object_put(outer);
	json_object_put(inner);
	return code;
}

void
args_fini(struct args *args)
{
	json_object_put(args->json);
	args->json = NULL;
}

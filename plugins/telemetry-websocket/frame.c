/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

/* A frame is flat: an object, an array in it, strings in that. */
#define DEPTH_MAX 8

enum aqb_code
frame_reject(struct aqb_why *why, enum aqb_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	return code;
}

/*
 * What json-c lets pass even when it is strict: single quotes, NaN and
 * Infinity outside of strings, and raw control characters within them.
 */
static bool
is_plain_json(const char *text, size_t len)
{
	bool in_string = false;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (in_string) {
			if (c < 0x20) {
				return false;
			}
			if (c == '\\') {
				i++;
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
		} else if (c == '\0' || strchr("'NI/", c) != NULL) {
			return false;
		}
	}
	return true;
}

static enum aqb_code
parse(char *text, size_t len, struct json_object **objectp, struct aqb_why *why)
{
	struct json_tokener *tok;
	struct json_object *object;
	bool whole;

	*objectp = NULL;
	text[len] = '\0'; /* it would wait for more of a number */
	if (!is_plain_json(text, len)) {
		return frame_reject(why, AQB_CODE_INVALID_JSON,
		    "frame: not JSON; send one JSON object");
	}
	tok = json_tokener_new_ex(DEPTH_MAX);
	if (tok == NULL) {
		return frame_reject(why, AQB_CODE_INTERNAL, "no memory");
	}
	json_tokener_set_flags(tok,
	    JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tok, text, (int)len + 1);
	whole = json_tokener_get_error(tok) == json_tokener_success &&
	    json_tokener_get_parse_end(tok) == len;
	json_tokener_free(tok);
	if (!whole) {
		json_object_put(object);
		return frame_reject(why, AQB_CODE_INVALID_JSON,
		    "frame: not JSON; send one JSON object");
	}
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return frame_reject(why, AQB_CODE_INVALID_ENVELOPE,
		    "frame: not an object; send one JSON object");
	}
	*objectp = object;
	return AQB_CODE_OK;
}

static bool
is_text(struct json_object *value, const char *text)
{
	size_t len = (size_t)json_object_get_string_len(value);

	return len == strlen(text) &&
	    memcmp(json_object_get_string(value), text, len) == 0;
}

static enum aqb_code
read_type(struct json_object *object, struct frame *f, struct aqb_why *why)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, "type", &value)) {
		return frame_reject(why, AQB_CODE_INVALID_ENVELOPE,
		    "type: missing; send subscribe, unsubscribe or ping");
	}
	if (!json_object_is_type(value, json_type_string)) {
		return frame_reject(why, AQB_CODE_INVALID_ENVELOPE,
		    "type: not a string; send subscribe, unsubscribe or ping");
	}
	if (is_text(value, "ping")) {
		f->type = FRAME_PING;
	} else if (is_text(value, "subscribe")) {
		f->type = FRAME_SUBSCRIBE;
	} else if (is_text(value, "unsubscribe")) {
		f->type = FRAME_UNSUBSCRIBE;
	} else {
		return frame_reject(why, AQB_CODE_UNKNOWN_TYPE,
		    "type: unknown; send subscribe, unsubscribe or ping");
	}
	return AQB_CODE_OK;
}

static enum aqb_code
read_name(struct json_object *value, size_t i, struct filter_name *name,
    struct aqb_why *why)
{
	const char *text;
	size_t len, k;

	if (!json_object_is_type(value, json_type_string)) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "events[%zu]: not a string", i);
	}
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	if (len < 1 || len > FILTER_NAME_MAX) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "events[%zu]: %zu bytes; a name has 1 to %d", i, len,
		    FILTER_NAME_MAX);
	}
	for (k = 0; k < len; k++) {
		if ((unsigned char)text[k] < 0x20 || text[k] == 0x7f) {
			return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
			    "events[%zu]: control character at byte %zu", i, k);
		}
	}
	memcpy(name->text, text, len);
	name->text[len] = '\0';
	return AQB_CODE_OK;
}

static enum aqb_code
read_events(struct json_object *object, struct frame *f, struct aqb_why *why)
{
	struct json_object *value;
	size_t i;

	if (!json_object_object_get_ex(object, "events", &value)) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "events: missing; name the types of events, or [\"*\"]");
	}
	if (!json_object_is_type(value, json_type_array)) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "events: not an array; name the types of events");
	}
	f->n = json_object_array_length(value);
	if (f->n > FRAME_EVENTS_MAX) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "events: %zu names; at most %d", f->n, FRAME_EVENTS_MAX);
	}
	for (i = 0; i < f->n; i++) {
		enum aqb_code code =
		    read_name(json_object_array_get_idx(value, i), i,
			&f->events[i], why);

		if (code != AQB_CODE_OK) {
			return code;
		}
	}
	return AQB_CODE_OK;
}

static enum aqb_code
read_since(struct json_object *object, struct frame *f, struct aqb_why *why)
{
	struct json_object *value;

	f->has_since = json_object_object_get_ex(object, "since", &value);
	if (!f->has_since) {
		return AQB_CODE_OK;
	}
	if (f->type != FRAME_SUBSCRIBE) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "since: belongs to subscribe only");
	}
	if (!json_object_is_type(value, json_type_int)) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "since: not an integer; give the seq of an event");
	}
	if (json_object_get_int64(value) < 0) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "since: below 0; give the seq of an event");
	}
	f->since = json_object_get_uint64(value);
	return AQB_CODE_OK;
}

enum aqb_code
frame_read(char *text, size_t len, struct frame *f, struct aqb_why *why)
{
	struct json_object *object;
	enum aqb_code code;

	code = parse(text, len, &object, why);
	if (code != AQB_CODE_OK) {
		return code;
	}
	*f = (struct frame){ .type = FRAME_PING };
	code = read_type(object, f, why);
	if (code == AQB_CODE_OK && f->type != FRAME_PING) {
		code = read_events(object, f, why);
		if (code == AQB_CODE_OK) {
			code = read_since(object, f, why);
		}
	}
	json_object_put(object);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

struct json_object *
render_text(const char *text)
{
	return text == NULL ? NULL : json_object_new_string(text);
}

struct json_object *
render_time(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char day[24];
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof text, "%s.%03dZ", day, (int)(ms % 1000));
	return json_object_new_string(text);
}

static struct json_object *
parse(struct aqb_slice text)
{
	struct json_tokener *tok;
	struct json_object *json;

	if (text.len == 0) {
		return json_object_new_object();
	}
	tok = json_tokener_new();
	if (tok == NULL) {
		return NULL;
	}
	json = json_tokener_parse_ex(tok, text.data, (int)text.len);
	json_tokener_free(tok);
	return json;
}

struct json_object *
render_channel(const struct aqb_channel_info *info)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "room", render_text(info->room));
	json_object_object_add(o, "channel", render_text(info->channel));
	json_object_object_add(o, "description",
	    render_text(info->description));
	json_object_object_add(o, "metadata", parse(info->metadata));
	json_object_object_add(o, "member_count",
	    json_object_new_uint64(info->member_count));
	json_object_object_add(o, "message_count",
	    json_object_new_uint64(info->message_count));
	json_object_object_add(o, "created_at", render_time(info->created_at));
	json_object_object_add(o, "last_activity",
	    render_time(info->last_activity));
	json_object_object_add(o, "protected",
	    json_object_new_boolean(info->is_protected));
	return o;
}

struct json_object *
render_client(const struct aqb_client_info *info)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "client_id", render_text(info->client_id));
	json_object_object_add(o, "alias", render_text(info->alias));
	json_object_object_add(o, "client_type",
	    render_text(info->client_type));
	json_object_object_add(o, "screen_name",
	    render_text(info->screen_name));
	json_object_object_add(o, "avatar", render_text(info->avatar));
	json_object_object_add(o, "personality",
	    render_text(info->personality));
	json_object_object_add(o, "joined_at",
	    info->joined_at == 0 ? NULL : render_time(info->joined_at));
	json_object_object_add(o, "last_activity",
	    render_time(info->last_activity));
	return o;
}

struct aqb_slice
render_json(struct json_object *o)
{
	struct aqb_slice text = { .len = 0 };

	text.data = json_object_to_json_string_length(o,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &text.len);
	return text;
}

bool
page_add(struct page *page, struct json_object *item)
{
	struct aqb_slice text = render_json(item);

	if (text.data == NULL || page->bytes + text.len + 1 > PAGE_ROOM) {
		json_object_put(item);
		return false;
	}
	page->bytes += text.len + 1;
	json_object_array_add(page->array, item);
	return true;
}

void
render_next(struct json_object *result, const char *next)
{
	if (*next != '\0') {
		json_object_object_add(result, "next", render_text(next));
	}
}

void
render_reply(const struct aqb_host *host, aqb_ticket call,
    struct json_object *result)
{
	struct aqb_slice text = render_json(result);

	if (text.data == NULL) {
		host->fail(host, call, AQB_CODE_INTERNAL, NULL);
	} else {
		host->reply(host, call, text.data, text.len);
	}
	json_object_put(result);
}

struct json_object *
arg_json(const struct aqb_call *call, const char *name)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(call->args, name, &v);
	return v;
}

const char *
arg_string(const struct aqb_call *call, const char *name)
{
	struct json_object *v = arg_json(call, name);

	return v == NULL ? NULL : json_object_get_string(v);
}

uint64_t
arg_u64(const struct aqb_call *call, const char *name)
{
	return json_object_get_uint64(arg_json(call, name));
}

bool
arg_bool(const struct aqb_call *call, const char *name)
{
	return json_object_get_boolean(arg_json(call, name));
}

bool
arg_given(const struct aqb_call *call, const char *name)
{
	return arg_json(call, name) != NULL;
}

void
refuse_call(const struct aqb_host *host, aqb_ticket call, enum aqb_code code,
    const char *field, const char *fmt, ...)
{
	struct aqb_why why = { .field = field };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.text, sizeof why.text, fmt, ap);
	va_end(ap);
	host->fail(host, call, code, &why);
}

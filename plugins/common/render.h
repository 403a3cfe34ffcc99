/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RENDER_H
#define COMMANDS_RENDER_H

/* Replies as JSON: what both sets of commands show alike. */

#include <json-c/json.h>

#include <arqonbus/host.h>

/* A reply is at most 512 KiB; pages end before that. */
#define REPLY_ROOM (480u * 1024u)

/* A string, or null. */
struct json_object *render_text(const char *text);
/* RFC 3339, UTC, milliseconds. */
struct json_object *render_time(int64_t ms);

struct json_object *render_channel(const struct aqb_channel_info *info);

/* Who somebody is, as members see it. */
struct json_object *render_client(const struct aqb_client_info *info);

/* A page under way: an array, and how much it takes. */
struct page {
	struct json_object *array;
	size_t bytes;
};

/* Add to it; false when it would be too much, and nothing is added.  Takes
 * the item. */
bool page_add(struct page *page, struct json_object *item);

/* `next`, if there is one. */
void render_next(struct json_object *result, const char *next);

/* Answer with an object; takes it. */
void render_reply(const struct aqb_host *host, aqb_ticket call,
    struct json_object *result);

/* Arguments that the broker has checked; absent ones are NULL, 0, false. */
const char *arg_string(const struct aqb_call *call, const char *name);
uint64_t arg_u64(const struct aqb_call *call, const char *name);
bool arg_bool(const struct aqb_call *call, const char *name);
bool arg_given(const struct aqb_call *call, const char *name);
struct json_object *arg_json(const struct aqb_call *call, const char *name);

/* Refuse with a sentence; `field` lives for ever. */
void refuse_call(const struct aqb_host *host, aqb_ticket call,
    enum aqb_code code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif

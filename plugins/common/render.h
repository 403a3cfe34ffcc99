/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RENDER_H
#define COMMANDS_RENDER_H

/* Replies as JSON: what both sets of commands show alike. */

#include <json-c/json.h>

#include <arqonbus/host.h>

/* A reply is at most this long, envelope included. */
#define REPLY_MAX (512u * 1024u)

/* A page ends here: the rest is for what stands beside its array. */
#define PAGE_ROOM (480u * 1024u)

/* A string, or null. */
struct json_object *render_text(const char *text);

/* Milliseconds since 1970 as RFC 3339 text in UTC, with milliseconds. */
struct json_object *render_time(int64_t ms);

/* A channel as list_channels shows it. */
struct json_object *render_channel(const struct aqb_channel_info *info);

/* Who somebody is, as members see it.  What was never said is null, and so is
 * joined_at outside of a channel: the fields are always the same. */
struct json_object *render_client(const struct aqb_client_info *info);

/* The compact text, borrowed from the object until it changes or goes.  No
 * data when there is no memory. */
struct aqb_slice render_json(struct json_object *o);

/* A page under way: an array, and how much it takes. */
struct page {
	struct json_object *array;
	size_t bytes;
};

/* Add to it; false when it would be over PAGE_ROOM, and nothing is added, so
 * that a visitor ends the page by returning what this returns.  Takes the
 * item. */
bool page_add(struct page *page, struct json_object *item);

/* Add `next`, the cursor of the next page, if there is one. */
void render_next(struct json_object *result, const char *next);

/* Answer with an object; takes it. */
void render_reply(const struct aqb_host *host, aqb_ticket call,
    struct json_object *result);

/* Arguments that the broker has checked; absent ones are NULL, 0, false.
 * Borrowed from the call. */
const char *arg_string(const struct aqb_call *call, const char *name);
uint64_t arg_u64(const struct aqb_call *call, const char *name);
bool arg_bool(const struct aqb_call *call, const char *name);
bool arg_given(const struct aqb_call *call, const char *name);
struct json_object *arg_json(const struct aqb_call *call, const char *name);

/* Answer with an error and a sentence; `field` lives for ever, or is NULL. */
void refuse_call(const struct aqb_host *host, aqb_ticket call,
    enum aqb_code code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif

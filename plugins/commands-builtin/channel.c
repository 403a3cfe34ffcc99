/* SPDX-License-Identifier: Apache-2.0 */

/* Commands that make, remove and show channels. */

#include <stdlib.h>
#include <string.h>

#include "../common/render.h"
#include "builtin.h"

#define METADATA_MAX 4096 /* bytes of JSON */

static aqb_command_f create_channel;
static aqb_command_f delete_channel;
static aqb_command_f list_channels;
static aqb_command_f channel_info;

const struct aqb_command cmd_create_channel = {
	.size = sizeof cmd_create_channel,
	.name = "create_channel",
	.params = "room:n channel:n description?:s(0..1024) metadata?:o "
		  "history?:o slow_policy?:s(1..32) durability?:s(1..32)",
	.summary = "make a channel that stays until it is deleted",
	.exec = create_channel,
};

const struct aqb_command cmd_delete_channel = {
	.size = sizeof cmd_delete_channel,
	.name = "delete_channel",
	.params = "room:n channel:n force?:b",
	.summary = "remove a channel and tell its members",
	.exec = delete_channel,
};

const struct aqb_command cmd_list_channels = {
	.size = sizeof cmd_list_channels,
	.name = "list_channels",
	.params = "room?:n client_type?:s(1..16) limit:u(1..1000)=100 "
		  "cursor?:s(1..47)",
	.summary = "the channels of a room, or of all rooms",
	.exec = list_channels,
};

const struct aqb_command cmd_channel_info = {
	.size = sizeof cmd_channel_info,
	.name = "channel_info",
	.params = "room:n channel:n limit:u(1..1000)=100 cursor?:s(1..47)",
	.summary = "a channel, its members and its history",
	.exec = channel_info,
};

/* history {size, ttl}: false, and answered, when it is not right. */
static bool
read_history(const struct aqb_host *host, aqb_ticket ticket,
    struct json_object *history, struct aqb_channel_spec *spec)
{
	static const struct {
		const char *key;
		const char *field;
		int64_t max;
	} part[] = {
		{ "size", "history.size", 1000000 },
		{ "ttl", "history.ttl", INT64_C(31536000000) },
	};
	int64_t *const place[] = { &spec->history_size, &spec->history_ttl };

	for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
		struct json_object *v = NULL;

		if (!json_object_object_get_ex(history, part[i].key, &v) ||
		    v == NULL) {
			continue;
		}
		if (!json_object_is_type(v, json_type_int) ||
		    json_object_get_int64(v) < 0 ||
		    json_object_get_int64(v) > part[i].max) {
			refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
			    part[i].field,
			    "%s: %.32s is not a whole number of 0 to %lld",
			    part[i].field, json_object_get_string(v),
			    (long long)part[i].max);
			return false;
		}
		*place[i] = json_object_get_int64(v);
	}
	return true;
}

static const char *const durabilities[] = {
	[AQB_DURABLE_DEFAULT] = "default",
	[AQB_DURABLE_EPHEMERAL] = "ephemeral",
	[AQB_DURABLE_STORED] = "stored",
	[AQB_DURABLE_FSYNC] = "fsync",
	[AQB_DURABLE_REPLICATED] = "replicated",
};
#define DURABILITIES (sizeof durabilities / sizeof durabilities[0])

static const char *const slow_policies[] = {
	[AQB_SLOW_DISCONNECT] = "disconnect",
	[AQB_SLOW_DROP_OLDEST] = "drop_oldest",
	[AQB_SLOW_CONFLATE] = "conflate",
};
#define SLOW_POLICIES (sizeof slow_policies / sizeof slow_policies[0])

/* The number of a word, given or not; false, and answered, when there is none
 * of that name.  `all`: the words as the refusal lists them. */
static bool
read_word(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, const char *field, const char *const *words,
    uint32_t n, const char *all, uint32_t *numberp)
{
	const char *name = arg_string(call, field);

	if (name == NULL) {
		return true;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (words[i] != NULL && strcmp(name, words[i]) == 0) {
			*numberp = i;
			return true;
		}
	}
	refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, field,
	    "%s: %s is none of %s", field, name, all);
	return false;
}

/* false, and answered, when something is not right. */
static bool
read_words(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, struct aqb_channel_spec *spec)
{
	return read_word(host, ticket, call, "durability", durabilities,
		   DURABILITIES,
		   "default, ephemeral, stored, fsync and replicated",
		   &spec->durability) &&
	    read_word(host, ticket, call, "slow_policy", slow_policies,
		SLOW_POLICIES, "disconnect, drop_oldest and conflate",
		&spec->slow_policy);
}

/* Say what a channel is.  Where the history's ends cannot be read they are
 * null if `made`, for the channel is there all the same. */
static void show_info(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, const struct aqb_page *which, bool made);

static void
create_channel(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct json_object *metadata = arg_json(call, "metadata");
	struct aqb_channel_spec spec = {
		.size = sizeof spec,
		.room = call->room,
		.channel = call->channel,
		.description = arg_string(call, "description"),
		.history_size = -1,
		.history_ttl = -1,
	};
	const struct aqb_page first = { .size = sizeof first, .limit = 1 };
	struct aqb_why why = { 0 };
	enum aqb_code code;

	if (!read_history(host, ticket, arg_json(call, "history"), &spec) ||
	    !read_words(host, ticket, call, &spec)) {
		return;
	}
	if (metadata != NULL) {
		spec.metadata = render_json(metadata);
	}
	if (spec.metadata.len > METADATA_MAX) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, "metadata",
		    "metadata: %zu bytes of JSON are over the limit of %d",
		    spec.metadata.len, METADATA_MAX);
		return;
	}
	code = host->bus->channel_create(host, call->client_id, &spec, &why);
	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, &why);
		return;
	}
	show_info(host, ticket, call, &first, true);
}

static void
delete_channel(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct json_object *o;
	struct aqb_why why = { 0 };
	enum aqb_code code;

	code = host->bus->channel_delete(host, call->client_id, call->room,
	    call->channel, arg_bool(call, "force"), &why);
	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, &why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "room", render_text(call->room));
	json_object_object_add(o, "channel", render_text(call->channel));
	json_object_object_add(o, "deleted", json_object_new_boolean(true));
	render_reply(host, ticket, o);
}

static bool
show_channel(void *arg, const struct aqb_channel_info *info)
{
	return page_add(arg, render_channel(info));
}

static void
list_channels(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	const struct aqb_page which = {
		.size = sizeof which,
		.limit = (uint32_t)arg_u64(call, "limit"),
		.cursor = arg_string(call, "cursor"),
	};
	struct page page = { .array = json_object_new_array() };
	struct json_object *o;
	char next[AQB_CURSOR_SIZE];
	struct aqb_why why = { 0 };
	enum aqb_code code;

	code = host->bus->channels(host, call->room,
	    arg_string(call, "client_type"), &which, show_channel, &page, next,
	    &why);
	if (code != AQB_CODE_OK) {
		json_object_put(page.array);
		host->fail(host, ticket, code, &why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "channels", page.array);
	render_next(o, next);
	render_reply(host, ticket, o);
}

/* A channel is shown when the ends of its history are known. */
struct info {
	const struct aqb_host *host;
	struct json_object *result;
	struct json_object *history; /* part of it */
	bool made;
};

static void
on_ends(void *arg, aqb_ticket ticket, enum aqb_code code,
    const struct aqb_answer *answer, const struct aqb_why *why)
{
	struct info info = *(struct info *)arg;
	bool known = code == AQB_CODE_OK;

	free(arg);
	if (!known && !info.made) {
		json_object_put(info.result);
		info.host->fail(info.host, ticket, code, why);
		return;
	}
	json_object_object_add(info.history, "first_seq",
	    known ? json_object_new_uint64(answer->first) : NULL);
	json_object_object_add(info.history, "last_seq",
	    known ? json_object_new_uint64(answer->pos.seq) : NULL);
	json_object_object_add(info.history, "epoch",
	    known ? render_text(answer->pos.epoch) : NULL);
	render_reply(info.host, ticket, info.result);
}

static bool
show_member(void *arg, const struct aqb_client_info *info)
{
	return page_add(arg, render_client(info));
}

static bool
show_group(void *arg, const struct aqb_group_info *info)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", render_text(info->name));
	json_object_object_add(o, "members",
	    json_object_new_uint64(info->members));
	json_object_object_add(o, "waiting",
	    json_object_new_uint64(info->waiting));
	json_object_object_add(o, "unacked",
	    json_object_new_uint64(info->unacked));
	json_object_array_add(arg, o);
	return true;
}

/* The channel and a page of its members; NULL, and answered, on refusal. */
static struct json_object *
describe(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, const struct aqb_page *which,
    struct aqb_channel_info *infop)
{
	struct page page = { .array = json_object_new_array() };
	struct json_object *groups = json_object_new_array();
	struct json_object *o;
	char next[AQB_CURSOR_SIZE];
	struct aqb_why why = { 0 };
	enum aqb_code code;

	code = host->bus->members(host, call->room, call->channel, which,
	    show_member, &page, next, &why);
	if (code == AQB_CODE_OK) {
		code = host->bus->channel_get(host, call->room, call->channel,
		    infop, &why);
	}
	if (code == AQB_CODE_OK) {
		code = host->bus->groups(host, call->room, call->channel,
		    show_group, groups, &why);
	}
	if (code != AQB_CODE_OK) {
		json_object_put(page.array);
		json_object_put(groups);
		host->fail(host, ticket, code, &why);
		return NULL;
	}
	o = render_channel(infop);
	json_object_object_add(o, "members", page.array);
	json_object_object_add(o, "groups", groups);
	render_next(o, next);
	return o;
}

static void
show_info(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, const struct aqb_page *which, bool made)
{
	const struct aqb_range ends = { .size = sizeof ends };
	struct aqb_channel_info channel = { .size = sizeof channel };
	struct json_object *o = describe(host, ticket, call, which, &channel);
	struct info *info;

	if (o == NULL) {
		return;
	}
	info = calloc(1, sizeof *info);
	if (info == NULL) {
		json_object_put(o);
		host->fail(host, ticket, AQB_CODE_INTERNAL, NULL);
		return;
	}
	info->host = host;
	info->made = made;
	info->result = o;
	info->history = json_object_new_object();
	json_object_object_add(info->history, "size",
	    json_object_new_uint64(channel.history_size));
	json_object_object_add(info->history, "ttl",
	    json_object_new_uint64(channel.history_ttl));
	json_object_object_add(o, "durability",
	    render_text(channel.durability < DURABILITIES
		    ? durabilities[channel.durability]
		    : NULL));
	json_object_object_add(o, "slow_policy",
	    render_text(channel.slow_policy < SLOW_POLICIES
		    ? slow_policies[channel.slow_policy]
		    : NULL));
	json_object_object_add(o, "history", info->history);
	host->bus->read(host, ticket, call->room, call->channel, &ends, on_ends,
	    info);
}

static void
channel_info(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_page which = {
		.size = sizeof which,
		.limit = (uint32_t)arg_u64(call, "limit"),
		.cursor = arg_string(call, "cursor"),
	};

	show_info(((struct builtin *)self)->host, ticket, call, &which, false);
}

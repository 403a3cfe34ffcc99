/* SPDX-License-Identifier: Apache-2.0 */

/* Commands about the caller: joining, leaving, and who it is. */

#include <string.h>

#include "../common/render.h"
#include "builtin.h"

static aqb_command_f join_channel;
static aqb_command_f leave_channel;
static aqb_command_f identify;

const struct aqb_command cmd_join_channel = {
	.size = sizeof cmd_join_channel,
	.name = "join_channel",
	.params = "room:n channel:n echo?:b presence?:b since?:o "
		  "group?:s(1..64) group_ack?:s(1..16)",
	.summary = "hear a channel, from now or from where one left off",
	.exec = join_channel,
};

const struct aqb_command cmd_leave_channel = {
	.size = sizeof cmd_leave_channel,
	.name = "leave_channel",
	.params = "room:n channel:n",
	.summary = "hear a channel no more",
	.exec = leave_channel,
};

const struct aqb_command cmd_identify = {
	.size = sizeof cmd_identify,
	.name = "identify",
	.params = "client_type?:s(0..16) screen_name?:s(0..128) "
		  "avatar?:s(0..1024) personality?:s(0..256) alias?:s(0..256) "
		  "token?:s(1..4096) session?:s(1..256) binary?:b",
	.summary = "say who one is",
	.exec = identify,
};

/* since {seq, epoch}; false, and answered, when it is not right. */
static bool
read_since(const struct aqb_host *host, aqb_ticket ticket,
    struct json_object *since, struct aqb_join *join)
{
	struct json_object *seq = NULL, *epoch = NULL;
	size_t len;

	if (since == NULL) {
		return true;
	}
	json_object_object_get_ex(since, "seq", &seq);
	json_object_object_get_ex(since, "epoch", &epoch);
	if (!json_object_is_type(seq, json_type_int) ||
	    json_object_get_int64(seq) < 0 ||
	    json_object_get_int64(seq) > INT64_C(1) << 53) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    "since.seq",
		    "since.seq: must be a whole number of 0 to 2^53");
		return false;
	}
	if (!json_object_is_type(epoch, json_type_string)) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    "since.epoch", "since.epoch: must be a string");
		return false;
	}
	len = (size_t)json_object_get_string_len(epoch);
	if (len >= sizeof join->since.epoch ||
	    strlen(json_object_get_string(epoch)) != len) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    "since.epoch",
		    "since.epoch: %zu bytes, not one that this bus gave", len);
		return false;
	}
	join->has_since = true;
	join->since.seq = json_object_get_uint64(seq);
	memcpy(join->since.epoch, json_object_get_string(epoch), len);
	return true;
}

/* group and group_ack; false, and answered, when they are not right. */
static bool
read_group(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, struct aqb_join *join)
{
	const char *ack = arg_string(call, "group_ack");

	join->group = arg_string(call, "group");
	if (ack == NULL) {
		return true;
	}
	join->group_manual = strcmp(ack, "manual") == 0;
	if (!join->group_manual && strcmp(ack, "auto") != 0) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    "group_ack", "group_ack: %s is neither auto nor manual",
		    ack);
		return false;
	}
	if (join->group == NULL) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    "group_ack", "group_ack: only goes with group");
		return false;
	}
	return true;
}

static void
on_joined(void *arg, aqb_ticket ticket, enum aqb_code code,
    const struct aqb_joined *joined, const struct aqb_why *why)
{
	const struct aqb_host *host = arg;
	struct json_object *o;

	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "room", render_text(joined->room));
	json_object_object_add(o, "channel", render_text(joined->channel));
	json_object_object_add(o, "member_count",
	    json_object_new_uint64(joined->member_count));
	json_object_object_add(o, "seq",
	    json_object_new_uint64(joined->pos.seq));
	json_object_object_add(o, "epoch", render_text(joined->pos.epoch));
	if (joined->was_recovering) {
		json_object_object_add(o, "was_recovering",
		    json_object_new_boolean(true));
		json_object_object_add(o, "recovered",
		    json_object_new_boolean(joined->recovered));
	}
	render_reply(host, ticket, o);
}

static void
join_channel(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct aqb_join join = {
		.size = sizeof join,
		.room = call->room,
		.channel = call->channel,
		.echo = arg_bool(call, "echo"),
		.presence = arg_bool(call, "presence"),
	};

	if (read_group(host, ticket, call, &join) &&
	    read_since(host, ticket, arg_json(call, "since"), &join)) {
		host->bus->join(host, ticket, &join, on_joined, (void *)host);
	}
}

static void
leave_channel(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct json_object *o;
	struct aqb_why why = { 0 };
	enum aqb_code code;

	/* To leave what one is not in is no mistake. */
	code = host->bus->leave(host, call->client_id, call->room,
	    call->channel, &why);
	if (code != AQB_CODE_OK && code != AQB_CODE_NOT_A_MEMBER) {
		host->fail(host, ticket, code, &why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "room", render_text(call->room));
	json_object_object_add(o, "channel", render_text(call->channel));
	json_object_object_add(o, "left",
	    json_object_new_boolean(code == AQB_CODE_OK));
	render_reply(host, ticket, o);
}

static void
identify(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	const struct aqb_identity identity = {
		.size = sizeof identity,
		.client_type = arg_string(call, "client_type"),
		.screen_name = arg_string(call, "screen_name"),
		.avatar = arg_string(call, "avatar"),
		.personality = arg_string(call, "personality"),
		.alias = arg_string(call, "alias"),
		.token = arg_string(call, "token"),
		.session = arg_string(call, "session"),
		.binary =
		    arg_given(call, "binary") ? arg_bool(call, "binary") : -1,
	};
	struct aqb_client_info info = { .size = sizeof info };
	struct json_object *o;
	struct aqb_why why = { 0 };
	enum aqb_code code;

	code = host->bus->identify(host, ticket, &identity, &info, &why);
	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, &why);
		return;
	}
	o = render_client(&info);
	json_object_object_add(o, "session", render_text(info.session));
	json_object_object_add(o, "resumed",
	    json_object_new_boolean(info.resumed));
	json_object_object_add(o, "admin", json_object_new_boolean(info.admin));
	json_object_object_add(o, "binary",
	    json_object_new_boolean(info.binary));
	json_object_object_add(o, "connected_at",
	    render_time(info.connected_at));
	json_object_object_add(o, "channels",
	    json_object_new_uint64(info.channels));
	render_reply(host, ticket, o);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The commands of an admin: arqonbus-commands-admin(7). */

#include <stdlib.h>
#include <string.h>

#include <arqonbus/plugin.h>

#include "../common/render.h"

static aqb_plugin_init_f admin_init;
static aqb_plugin_fini_f admin_fini;
static aqb_command_f list_clients;
static aqb_command_f client_info;
static aqb_command_f kick;
static aqb_command_f broadcast;
static aqb_command_f plugins;
static aqb_command_f config;
static aqb_command_f set_log_level;

static const struct aqb_command cmd_list_clients = {
	.size = sizeof cmd_list_clients,
	.flags = AQB_CMD_ADMIN,
	.name = "list_clients",
	.params = "client_type?:s(1..16) limit:u(1..1000)=100 "
		  "cursor?:s(1..47)",
	.summary = "who is connected",
	.exec = list_clients,
};

static const struct aqb_command cmd_client_info = {
	.size = sizeof cmd_client_info,
	.flags = AQB_CMD_ADMIN,
	.name = "client_info",
	.params = "client_id:s(1..64)",
	.summary = "all about one client",
	.exec = client_info,
};

static const struct aqb_command cmd_kick = {
	.size = sizeof cmd_kick,
	.flags = AQB_CMD_ADMIN,
	.name = "kick",
	.params = "client_id:s(1..64) reason?:s(0..120)",
	.summary = "close a client's connection",
	.exec = kick,
};

static const struct aqb_command cmd_broadcast = {
	.size = sizeof cmd_broadcast,
	.flags = AQB_CMD_ADMIN,
	.name = "broadcast",
	.params = "room?:n channel?:n message:j",
	.summary = "a system message to a channel, a room, or everybody",
	.exec = broadcast,
};

static const struct aqb_command cmd_plugins = {
	.size = sizeof cmd_plugins,
	.flags = AQB_CMD_ADMIN,
	.name = "plugins",
	.params = "action:s(1..16)=list",
	.summary = "the plugins and how they are",
	.exec = plugins,
};

static const struct aqb_command cmd_config = {
	.size = sizeof cmd_config,
	.flags = AQB_CMD_ADMIN,
	.name = "config",
	.params = "",
	.summary = "the settings in force, secrets masked",
	.exec = config,
};

static const struct aqb_command cmd_log_level = {
	.size = sizeof cmd_log_level,
	.flags = AQB_CMD_ADMIN,
	.name = "log_level",
	.params = "level?:s(1..16)",
	.summary = "show or set the log level",
	.exec = set_log_level,
};

static const struct aqb_command *const admin_commands[] = {
	&cmd_list_clients,
	&cmd_client_info,
	&cmd_kick,
	&cmd_broadcast,
	&cmd_plugins,
	&cmd_config,
	&cmd_log_level,
	NULL,
};

AQB_PLUGIN(.name = "commands-admin", .version = "0.1",
    .summary = "the commands of an admin", .init = admin_init,
    .fini = admin_fini, .commands = admin_commands, );

/* `self` is the host: there is nothing else to know. */
static int
admin_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	(void)conf;
	(void)why;
	*selfp = (void *)host;
	return AQB_OK;
}

static void
admin_fini(void **selfp)
{
	*selfp = NULL;
}

static struct json_object *
render_all(const struct aqb_client_info *info)
{
	struct json_object *o = render_client(info);

	json_object_object_add(o, "address", render_text(info->address));
	json_object_object_add(o, "connected_at",
	    render_time(info->connected_at));
	json_object_object_add(o, "channels",
	    json_object_new_uint64(info->channels));
	json_object_object_add(o, "messages_received",
	    json_object_new_uint64(info->received));
	json_object_object_add(o, "admin",
	    json_object_new_boolean(info->admin));
	json_object_object_add(o, "resumed",
	    json_object_new_boolean(info->resumed));
	if (AQB_HAS(info, node)) {
		json_object_object_add(o, "node", render_text(info->node));
	}
	return o;
}

static bool
show_client(void *arg, const struct aqb_client_info *info)
{
	return page_add(arg, render_all(info));
}

static void
list_clients(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
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

	code = host->bus->clients(host, arg_string(call, "client_type"), &which,
	    show_client, &page, next, &why);
	if (code != AQB_CODE_OK) {
		json_object_put(page.array);
		host->fail(host, ticket, code, &why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "clients", page.array);
	render_next(o, next);
	render_reply(host, ticket, o);
}

static void
client_info(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
	struct aqb_client_info info = { .size = sizeof info };
	struct aqb_why why = { 0 };
	enum aqb_code code;

	code = host->bus->client_get(host, arg_string(call, "client_id"), &info,
	    &why);
	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, &why);
		return;
	}
	render_reply(host, ticket, render_all(&info));
}

static void
kick(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
	const char *who = arg_string(call, "client_id");
	struct aqb_client_info info = { .size = sizeof info };
	struct json_object *o;
	struct aqb_why why = { 0 };
	enum aqb_code code;

	code = host->bus->client_get(host, who, &info, &why);
	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, &why);
		return;
	}
	/* Who goes by an alias is named by the id, too.  The reply comes first,
	 * for who kicks itself hears nothing after. */
	o = json_object_new_object();
	json_object_object_add(o, "client_id", render_text(info.client_id));
	json_object_object_add(o, "kicked", json_object_new_boolean(true));
	host->log(host, AQB_WARNING, "%s kicks %s", call->client_id,
	    info.client_id);
	render_reply(host, ticket, o);
	host->bus->kick(host, who, arg_string(call, "reason"), &why);
}

/* {"message": ..}, or the object itself. */
static struct json_object *
payload_of(struct json_object *message)
{
	struct json_object *o;

	if (json_object_is_type(message, json_type_object)) {
		return json_object_get(message);
	}
	o = json_object_new_object();
	json_object_object_add(o, "message", json_object_get(message));
	return o;
}

static void
broadcast(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
	struct json_object *payload = payload_of(arg_json(call, "message"));
	struct aqb_slice text = render_json(payload);
	struct json_object *o;
	uint64_t delivered = 0;
	struct aqb_why why = { 0 };
	enum aqb_code code = AQB_CODE_INTERNAL;

	if (text.data != NULL) {
		code = host->bus->broadcast(host, call->room, call->channel,
		    text, &delivered, &why);
	}
	json_object_put(payload);
	if (code != AQB_CODE_OK) {
		host->fail(host, ticket, code, &why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "delivered",
	    json_object_new_uint64(delivered));
	render_reply(host, ticket, o);
}

static bool
show_plugin(void *arg, const struct aqb_plugin_info *info)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", render_text(info->name));
	json_object_object_add(o, "version", render_text(info->version));
	json_object_object_add(o, "summary", render_text(info->summary));
	json_object_object_add(o, "file", render_text(info->file));
	json_object_object_add(o, "state", render_text(info->state));
	json_object_object_add(o, "kinds", render_text(info->kinds));
	json_object_object_add(o, "required",
	    json_object_new_boolean(info->required));
	json_object_array_add(arg, o);
	return true;
}

static void
plugins(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
	struct json_object *o, *array;

	if (strcmp(arg_string(call, "action"), "list") != 0) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, "action",
		    "action: this version has only \"list\"");
		return;
	}
	array = json_object_new_array();
	host->plugins(host, show_plugin, array);
	o = json_object_new_object();
	json_object_object_add(o, "plugins", array);
	render_reply(host, ticket, o);
}

static void
config(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
	size_t len = 0;
	char *text = host->config(host, &len);

	(void)call;
	if (text == NULL) {
		host->fail(host, ticket, AQB_CODE_INTERNAL, NULL);
		return;
	}
	host->reply(host, ticket, text, len);
	free(text);
}

static void
set_log_level(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = self;
	struct json_object *o;
	struct aqb_why why = { 0 };
	const char *level =
	    host->log_level(host, arg_string(call, "level"), &why);

	if (level == NULL) {
		host->fail(host, ticket, AQB_CODE_INVALID_ARGUMENT, &why);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "level", render_text(level));
	render_reply(host, ticket, o);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../common/render.h"
#include "builtin.h"

static aqb_command_f help;

const struct aqb_command cmd_help = {
	.size = sizeof cmd_help,
	.name = "help",
	.params = "command?:s(1..64)",
	.summary = "the commands there are",
	.exec = help,
};

struct listing {
	struct json_object *array;
	const char *only; /* or NULL */
};

static const char *
type_name(char type)
{
	switch (type) {
	case 'n':
		return "name";
	case 's':
		return "string";
	case 'u':
		return "integer";
	case 'b':
		return "boolean";
	case 'o':
		return "object";
	case 'a':
		return "string or array";
	case 't':
		return "timestamp";
	default:
		return "any";
	}
}

static struct json_object *
default_of(char type, const char *text, size_t len)
{
	switch (type) {
	case 'u':
		return json_object_new_uint64(strtoull(text, NULL, 10));
	case 'b':
		return json_object_new_boolean(*text == 't');
	default:
		return json_object_new_string_len(text, (int)len);
	}
}

/* One "name[?]:type[(range)][=default]" of a command's params. */
static struct json_object *
argument(const char *text, size_t len)
{
	struct json_object *o = json_object_new_object();
	size_t name = strcspn(text, "?:");
	const char *colon = memchr(text, ':', len); /* the broker saw to it */
	const char *dflt = memchr(text, '=', len);
	bool optional = text[name] == '?' || dflt != NULL;

	json_object_object_add(o, "name",
	    json_object_new_string_len(text, (int)name));
	json_object_object_add(o, "type", render_text(type_name(colon[1])));
	json_object_object_add(o, "required",
	    json_object_new_boolean(!optional));
	if (dflt != NULL) {
		json_object_object_add(o, "default",
		    default_of(colon[1], dflt + 1,
			(size_t)(text + len - dflt - 1)));
	}
	return o;
}

static bool
show(void *arg, const struct aqb_command *cmd)
{
	struct listing *l = arg;
	struct json_object *o, *args;
	const char *p = cmd->params;

	if (l->only != NULL && strcmp(l->only, cmd->name) != 0) {
		return true;
	}
	args = json_object_new_array();
	while (*p != '\0') {
		size_t len;

		p += strspn(p, " ");
		len = strcspn(p, " ");
		if (len > 0) {
			json_object_array_add(args, argument(p, len));
		}
		p += len;
	}
	o = json_object_new_object();
	json_object_object_add(o, "name", render_text(cmd->name));
	json_object_object_add(o, "arguments", args);
	json_object_object_add(o, "description", render_text(cmd->summary));
	json_object_object_add(o, "admin",
	    json_object_new_boolean((cmd->flags & AQB_CMD_ADMIN) != 0));
	json_object_array_add(l->array, o);
	return true;
}

static void
help(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct listing l = { .array = json_object_new_array(),
		.only = arg_string(call, "command") };
	struct json_object *o;

	host->commands(host, show, &l);
	if (l.only != NULL && json_object_array_length(l.array) == 0) {
		refuse_call(host, ticket, AQB_CODE_UNKNOWN_COMMAND, "command",
		    "command: there is no %.64s", l.only);
		json_object_put(l.array);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "commands", l.array);
	render_reply(host, ticket, o);
}

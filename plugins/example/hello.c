/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole plugin in one file: the command `hello`, which greets whoever is
 * named.  Build it with make, against the installed headers; then see
 * arqonbus-plugin(7), which explains it line by line.
 */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <arqonbus/plugin.h>

struct hello_conf {
	const char *greeting;
};

struct hello {
	const struct aqb_host *host;
	const struct hello_conf *conf;
	uint32_t greeted; /* a metric */
};

static aqb_plugin_init_f hello_init;
static aqb_plugin_fini_f hello_fini;
static aqb_command_f hello_exec;

static const struct aqb_option hello_options[] = {
	AQB_STRING("greeting", struct hello_conf, greeting, 64, "Hello",
	    "what to say before the name"),
	AQB_OPTIONS_END,
};

static const struct aqb_command cmd_hello = {
	.size = sizeof cmd_hello,
	.name = "hello",
	.params = "name?:s(1..64)=world",
	.summary = "greet somebody",
	.exec = hello_exec,
};

static const struct aqb_command *const hello_commands[] = { &cmd_hello, NULL };

AQB_PLUGIN(.conf_size = sizeof(struct hello_conf), .name = "hello",
    .version = "1.0", .summary = "a friendly example", .options = hello_options,
    .init = hello_init, .fini = hello_fini, .commands = hello_commands, );

static int
hello_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	struct hello *hello = calloc(1, sizeof *hello);

	if (hello == NULL) {
		strcpy(why->text, "no memory");
		return AQB_ENOMEM;
	}
	hello->host = host;
	hello->conf = conf;
	hello->greeted = host->metrics->counter(host,
	    "arqonbus_hello_greeted_total", "Greetings said.");
	*selfp = hello;
	return AQB_OK;
}

static void
hello_fini(void **selfp)
{
	free(*selfp);
	*selfp = NULL;
}

/* The broker has checked the arguments: `name` is there, and is a string. */
static void
hello_exec(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	struct hello *hello = self;
	const struct aqb_host *host = hello->host;
	struct json_object *result = json_object_new_object();
	struct json_object *name = NULL;
	const char *text;
	size_t len;

	json_object_object_get_ex(call->args, "name", &name);
	json_object_object_add(result, "greeting",
	    json_object_new_string(hello->conf->greeting));
	json_object_object_add(result, "name", json_object_get(name));
	text = json_object_to_json_string_length(result, JSON_C_TO_STRING_PLAIN,
	    &len);
	host->reply(host, ticket, text, len);
	json_object_put(result);
	host->metrics->add(host, hello->greeted, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is wrong with this one: an option, a command, a sink. */
#include <stdio.h>
#include <string.h>

#include "zoo.h"

struct hello_conf {
	uint32_t times;
	const char *greeting;
	const char *secret;
};

static aqb_plugin_init_f hello_init;
static aqb_command_f hello_exec;
static aqb_telemetry_emit_f hello_emit;

static const struct aqb_option hello_options[] = {
	AQB_U32("times", struct hello_conf, times, 1, 10, "2", "how often"),
	AQB_STRING("greeting", struct hello_conf, greeting, 40, "hello",
	    "what to say"),
	AQB_SECRET("secret", struct hello_conf, secret, 40, "what not to say"),
	AQB_OPTIONS_END,
};

static int
hello_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	const struct hello_conf *c = conf;
	char text[64];
	int err = zoo_init(host, conf, selfp, why);

	snprintf(text, sizeof text, "%s*%u", c->greeting, c->times);
	zoo_says(text);
	return err;
}

static void
hello_exec(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	static const char result[] = "{\"hello\":true}";

	(void)self;
	(void)call;
	zoo_host->reply(zoo_host, ticket, result, sizeof result - 1);
}

static void
hello_emit(void *self, const struct aqb_event *event)
{
	(void)self;
	/* One's own start is the first one hears. */
	if (strcmp(event->type, "plugin_loaded") != 0) {
		zoo_says(event->type);
	}
}

static const struct aqb_command cmd_hello = {
	.size = sizeof cmd_hello,
	.name = "hello",
	.params = "",
	.summary = "say hello",
	.exec = hello_exec,
};

static const struct aqb_command *const hello_commands[] = { &cmd_hello, NULL };

static const struct aqb_telemetry_ops hello_telemetry = {
	.size = sizeof hello_telemetry,
	.emit = hello_emit,
};

AQB_PLUGIN(.conf_size = sizeof(struct hello_conf), .name = "hello",
    .version = "1.0", .summary = "says hello", .options = hello_options,
    .init = hello_init, .start = zoo_start, .stop = zoo_stop, .fini = zoo_fini,
    .commands = hello_commands, .telemetry = &hello_telemetry, );

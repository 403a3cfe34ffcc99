/* SPDX-License-Identifier: Apache-2.0 */
#include "builtin.h"

#include <stdio.h>
#include <stdlib.h>

static aqb_plugin_init_f builtin_init;
static aqb_plugin_fini_f builtin_fini;

static const struct aqb_command *const builtin_commands[] = {
	&cmd_channel_info,
	&cmd_create_channel,
	&cmd_delete_channel,
	&cmd_help,
	&cmd_history,
	&cmd_identify,
	&cmd_join_channel,
	&cmd_leave_channel,
	&cmd_list_channels,
	&cmd_ping,
	&cmd_status,
	NULL,
};

AQB_PLUGIN(.name = "commands-builtin", .version = "0.1",
    .summary = "the commands of every client", .init = builtin_init,
    .fini = builtin_fini, .commands = builtin_commands, );

static int
builtin_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	struct builtin *b = calloc(1, sizeof *b);

	(void)conf;
	if (b == NULL) {
		snprintf(why->text, sizeof why->text, "out of memory");
		return AQB_ENOMEM;
	}
	b->host = host;
	*selfp = b;
	return AQB_OK;
}

static void
builtin_fini(void **selfp)
{
	free(*selfp);
	*selfp = NULL;
}

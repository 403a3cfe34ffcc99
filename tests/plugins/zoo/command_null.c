/* SPDX-License-Identifier: Apache-2.0 */
/* A command that nobody carries out. */
#include "zoo.h"

static const struct aqb_command cmd_null = {
	.size = sizeof cmd_null,
	.name = "null",
	.params = "",
	.summary = "exec is missing",
};

static const struct aqb_command *const null_commands[] = { &cmd_null, NULL };

AQB_PLUGIN(.name = "command-null", .version = "1.0",
    .summary = "a command without exec", .init = zoo_init, .fini = zoo_fini,
    .commands = null_commands, );

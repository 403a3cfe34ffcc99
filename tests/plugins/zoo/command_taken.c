/* SPDX-License-Identifier: Apache-2.0 */
/* Its command is that of hello.c. */
#include "zoo.h"

static aqb_command_f taken_exec;

static void
taken_exec(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	(void)self;
	(void)call;
	zoo_host->fail(zoo_host, ticket, AQB_CODE_INTERNAL, NULL);
}

static const struct aqb_command cmd_hello = {
	.size = sizeof cmd_hello,
	.name = "hello",
	.params = "",
	.summary = "say hello, too",
	.exec = taken_exec,
};

static const struct aqb_command *const taken_commands[] = { &cmd_hello, NULL };

AQB_PLUGIN(.name = "command-taken", .version = "1.0",
    .summary = "has another's command", .init = zoo_init, .fini = zoo_fini,
    .commands = taken_commands, );

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMD_CALL_H
#define CMD_CALL_H

/*
 * Calls of commands: from a client's envelope to the plugin that knows the
 * command, and back.  Each call is answered exactly once; the replies of one
 * client go out in the order of its requests, however long each takes.
 */

#include <arqonbus/command.h>

struct bus;
struct bus_hooks;
struct desk;
struct loop;
struct plugins;

struct calls_env {
	struct loop *loop;
	struct bus *bus;
	struct plugins *plugins;
	uint64_t timeout; /* ms a call may take */
};

/* Begin to serve the bus's commands. */
void calls_init(const struct calls_env *env);
void calls_fini(void);

/* A plugin's answers; see aqb_host. */
void calls_reply(aqb_ticket call, const char *result, size_t len);
void calls_fail(aqb_ticket call, enum aqb_code code, const struct aqb_why *why);

#endif

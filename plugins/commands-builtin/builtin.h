/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_BUILTIN_H
#define COMMANDS_BUILTIN_H

/* The built-in commands; arqonbus-commands-builtin(7) describes each. */

#include <arqonbus/plugin.h>

struct builtin {
	const struct aqb_host *host;
};

extern const struct aqb_command cmd_channel_info;
extern const struct aqb_command cmd_create_channel;
extern const struct aqb_command cmd_delete_channel;
extern const struct aqb_command cmd_help;
extern const struct aqb_command cmd_history;
extern const struct aqb_command cmd_identify;
extern const struct aqb_command cmd_join_channel;
extern const struct aqb_command cmd_leave_channel;
extern const struct aqb_command cmd_list_channels;
extern const struct aqb_command cmd_ping;
extern const struct aqb_command cmd_status;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMD_ARGS_H
#define CMD_ARGS_H

/* The arguments of one call: found in the envelope, checked against what the
 * command declares. */

#include <arqonbus/command.h>

#include "proto/address.h"

struct client;
struct envelope;
struct json_object;

struct args {
	struct address address;   /* concrete; "" where not given */
	struct json_object *json; /* every other argument; args_fini frees */
};

/* Collect and check.  The refusal names the field, the limit, the number. */
enum aqb_code args_read(struct args *argsp, const struct client *client,
    const struct envelope *env, const struct aqb_command *command,
    struct aqb_why *why);
void args_fini(struct args *args);

#endif

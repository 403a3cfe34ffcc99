/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_COMMAND_H
#define ARQONBUS_COMMAND_H

/*
 * A command is a name that clients may call, and the function that answers.
 *
 * The broker checks the arguments against `params` before it calls, so exec
 * sees only what it declared.  It answers once, now or later, with
 * host->reply() or host->fail(); replies keep the order of one client's
 * requests whatever order they are given in.
 */

#include <arqonbus/abi.h>
#include <arqonbus/error.h>

struct json_object; /* json-c, soname libjson-c.so.5 */

/* Only for callers with the admin capability. */
#define AQB_CMD_ADMIN 0x01u

/*
 * One call.  Borrowed until exec returns; copy what is needed longer.
 * Room and channel are the concrete names the caller means, NULL when it
 * named none (or when the command has no such parameters).  `args` holds
 * every other declared argument that was given, and the defaults of those
 * that were not.
 */
struct aqb_call {
	uint32_t size;
	const char *command;
	const char *client_id;
	const char *room;
	const char *channel;
	struct json_object *args;
	/* ABI 1.0 ends here.  Add below this line only. */
};

typedef void aqb_command_f(void *self, aqb_ticket ticket,
    const struct aqb_call *call);

/*
 * `params` lists the arguments, separated by blanks:
 *
 *     name[?]:type[(min..max)][=default]
 *
 * `?` makes one optional.  Types: `n` a name (letters, digits, `_.-`), `s` a
 * string (the range is its length in bytes), `u` an unsigned integer (its
 * value), `b` a bool, `o` an object, `a` a string or an array of strings,
 * `t` an RFC 3339 timestamp (handed on in milliseconds since 1970), `j` any
 * value.
 *
 * `room:n channel:n` is an address: all of its spellings are understood, and
 * a missing one is answered TARGET_REQUIRED.  `channel?:n` makes do with a
 * room, `room?:n` with nothing.
 */
struct aqb_command {
	uint32_t size;
	uint32_t flags; /* AQB_CMD_* */
	const char *name;
	const char *params;
	const char *summary;
	aqb_command_f *exec;
	/* ABI 1.0 ends here.  Add below this line only. */
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_ABI_H
#define ARQONBUS_ABI_H

/*
 * The version of the plugin ABI, and the few words every other header uses.
 *
 * A broker loads a plugin whose major equals its own and whose minor is not
 * above its own.  Within one major
 *
 *   - every table that crosses the border begins with its own size,
 *   - new members are added at the end only, below the line that says so,
 *   - nothing is renamed, reordered or given another meaning.
 *
 * Additions:
 *   1.0 (2026-11)  the first ABI
 *   1.1 (2026-11)  aqb_storage_ops.backlog
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AQB_ABI_MAJOR 1
#define AQB_ABI_MINOR 1

/*
 * Does this table have this member?  True when the table is long enough to
 * hold it and it is not NULL.
 */
#define AQB_HAS(table, member)                                     \
	((table)->size >= offsetof(__typeof__(*(table)), member) + \
		    sizeof((table)->member) &&                     \
	    (table)->member != NULL)

/* Bytes that belong to somebody else.  Not NUL-terminated. */
struct aqb_slice {
	const char *data;
	size_t len;
};

/*
 * A question that somebody waits for.  A number, not a pointer: answering it
 * late or twice is counted and harmless.  Never 0.
 */
typedef uint64_t aqb_ticket;

/* The longest name of a room, a channel, or an alias, without the NUL. */
#define AQB_NAME_MAX 64

/* The longest client id, without the NUL. */
#define AQB_CLIENT_ID_MAX 64

/* The longest message id in bytes. */
#define AQB_MSG_ID_MAX 128

#endif

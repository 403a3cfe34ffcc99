/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_SAY_H
#define TELEMETRY_SAY_H

/* What the plugin itself says to a viewer, between the events. */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* A frame that waits for its viewer.  Allocated; to be given back with free().
 */
struct reply {
	STAILQ_ENTRY(reply) link;
	size_t len;
	unsigned char bytes[]; /* headroom for the frame's head, the text */
};

unsigned char *reply_text(struct reply *reply);

/* Each returns NULL when there is no memory. */

/* The first frame.  `node` is a JSON string, or NULL when it has no name. */
struct reply *say_hello(uint64_t last, const char *node);
struct reply *say_pong(void);
struct reply *say_error(const char *code, const char *message);

/* Room for a gap. */
#define SAY_GAP_SIZE 96

/* Write that events `from` to `to` are missing.  Returns the length. */
size_t say_gap(char text[SAY_GAP_SIZE], uint64_t from, uint64_t to);

#endif

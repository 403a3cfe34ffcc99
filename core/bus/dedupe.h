/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_DEDUPE_H
#define BUS_DEDUPE_H

/*
 * Ids that were seen lately, and what became of their messages, so that a
 * repeated publish is answered as the first one was and not delivered again.
 * Bounded in time and number; the oldest is forgotten first.
 */

#include "bus/bus_priv.h"

struct dedupe;
struct publish;

struct sighting {
	struct aqb_position pos; /* seq 0: it has none */
	uint32_t stored;         /* enum aqb_stored */
	uint32_t delivered;      /* private messages */
	struct publish *pending; /* not NULL: the first is not decided yet */
};

struct dedupe *dedupe_new(struct loop *loop, uint32_t size, uint64_t window);
void dedupe_free(struct dedupe **dedupep);

/*
 * Look for (client, stream, id); a stream of "" is for what goes to no
 * channel.  NULL and *newp set: it was not there and is now, *newp undecided;
 * both NULL: not there, and no memory to note it.
 */
struct sighting *dedupe_look(struct dedupe *d, const char *client_id,
    const char *stream, struct aqb_slice id, struct sighting **newp);

/* The message was refused: forget that it was seen. */
void dedupe_drop(struct dedupe *d, struct sighting **seenp);

size_t dedupe_count(const struct dedupe *d);

#endif

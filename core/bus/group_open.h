/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_GROUP_OPEN_H
#define BUS_GROUP_OPEN_H

/*
 * What is open: given to some member and not acked, or back from one.  The
 * node that gives out says so beside up to where all is done, as long as it is
 * not much; the one that goes on after it knows by that what is done although
 * it is behind that position, who is at work on what, and how often a message
 * was given out.
 */

#include "bus/client.h"

struct buf;
struct group;
struct item;
struct json_value;
struct work;

struct opened {
	uint64_t seq;
	uint32_t deliveries;
	char client[CLIENT_ID_SIZE]; /* "": with nobody */
};

struct opens {
	uint64_t from; /* what is before and not named is done; 0: not said */
	size_t n;
	struct opened *list;
};

/* Say what is open of the epoch of this position, as two more members of an
 * object: nothing if that is more than so many. */
void open_put(const struct group *g, const struct aqb_position *pos,
    size_t most, struct buf *b);

/* What open_put() said; false: it makes no sense.  Nothing is fine. */
bool open_read(const struct json_value *from, const struct json_value *list,
    struct opens *o);

void open_fini(struct opens *o);

/* A node says what became of one. */
void open_settle(struct opens *o, const struct work *w);

/* This one is done: whoever was said to have it. */
void open_done(struct opens *o, uint64_t seq);

/* Is this one done, as far as was said? */
bool open_is_done(const struct opens *o, uint64_t seq);

/* Let an item be as it was said to be, given out before; false: it was not. */
bool open_resume(struct group *g, struct item *item);

#endif

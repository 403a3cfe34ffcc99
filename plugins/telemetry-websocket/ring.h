/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_RING_H
#define TELEMETRY_RING_H

/*
 * The newest events, shared by all viewers.
 *
 * The core thread pushes, the telemetry thread reads.  Each viewer is no more
 * than the number of the event it wants next, so a slow one costs nothing and
 * is simply overtaken.  Events are counted: a reader takes references under
 * the lock and writes to its sockets without it.
 */

#include <stdatomic.h>

#include <arqonbus/telemetry.h>

/* Free bytes before the text of an event, where libwebsockets writes the head
 * of a frame. */
#define RING_HEADROOM 16

struct ring_event {
	atomic_uint refs;
	uint64_t seq;
	const char *type;
	size_t len;
	struct ring_event *next; /* the ring's own */
	unsigned char bytes[];   /* the headroom, the text, the type */
};

struct ring;

/*
 * A ring for this many events and bytes; whichever is reached first pushes
 * the oldest out.  NULL without memory, for an option chooses the size.
 */
struct ring *ring_new(uint32_t events, uint64_t bytes);

/* NULL is fine.  References that readers hold stay good. */
void ring_free(struct ring **rp);

/*
 * Keep a copy of an event.  False when it could not be kept, for want of
 * memory or because its number is not above the last: the number then stays
 * a hole that viewers are told as a gap.
 */
bool ring_push(struct ring *ring, const struct aqb_event *event);

/* The number of the last event, 0 before the first. */
uint64_t ring_last(struct ring *ring);

/* The number of the first event that was ever pushed, 0 before: a ring that is
 * made later than the broker does not begin with 1. */
uint64_t ring_begin(struct ring *ring);

/*
 * Take references to at most max events that follow each other, from *fromp
 * on, into events.  *fromp is moved over what is not there any more; with
 * nothing left it is the number of the next event to come.  Returns how many.
 */
size_t ring_read(struct ring *ring, uint64_t *fromp,
    struct ring_event *events[], size_t max);

/* How many bytes the events from here on take. */
uint64_t ring_bytes(struct ring *ring, uint64_t from);

/* The first number, from here on, with at most so many bytes behind it. */
uint64_t ring_seek(struct ring *ring, uint64_t from, uint64_t bytes);

/* Give a reference back and clear the pointer.  NULL is fine. */
void ring_event_unref(struct ring_event **eventp);

static inline unsigned char *
ring_event_text(struct ring_event *event)
{
	return event->bytes + RING_HEADROOM;
}

#endif

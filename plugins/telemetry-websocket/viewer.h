/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_VIEWER_H
#define TELEMETRY_VIEWER_H

/*
 * One WebSocket connection that watches the bus.
 *
 * A viewer is a place in the ring, a filter, and the few replies that it has
 * not been sent yet.  Everything here runs on the telemetry thread.
 */

#include <sys/queue.h>

#include <libwebsockets.h>

#include "filter.h"
#include "plane.h"

struct viewer;
struct reply;

LIST_HEAD(viewer_list, viewer);
STAILQ_HEAD(reply_list, reply);

/* All that watch. */
struct audience {
	const struct plane *plane;
	struct viewer_list viewers;
	uint32_t n;
	bool is_closing; /* send what is there, then 1001 */
};

struct viewer {
	LIST_ENTRY(viewer) link;
	struct audience *audience;
	struct lws *wsi;
	struct filter filter;

	uint64_t next;   /* the event to look at next; 0: the ring's first */
	uint64_t missed; /* not sent from here to `next`; 0: nothing missed */
	uint64_t replay; /* up to here it is catching up as it asked to */
	bool is_stuck;   /* the socket was full after the last write */
	bool is_paused;  /* has replies enough waiting; not read from */

	struct reply_list replies;
	unsigned nreplies;

	/* The frame that is coming in. */
	char *text;
	size_t len;
	bool is_too_long;
	bool is_binary;
};

/* The upgrade is done: greet it.  -1 without memory: close the connection. */
int viewer_open(struct viewer *viewer, struct audience *audience,
    struct lws *wsi);

/* The connection is gone. */
void viewer_close(struct viewer *viewer);

/* A piece of a frame came in.  -1 asks to close the connection. */
int viewer_receive(struct viewer *viewer, const void *data, size_t len);

/* The socket takes more.  -1 asks to close the connection. */
int viewer_write(struct viewer *viewer);

/* There is something new for everybody. */
void audience_wake(struct audience *audience);

#endif

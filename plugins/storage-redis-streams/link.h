/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

/*
 * One connection to Redis that comes back by itself: it finds the address,
 * connects, says who it is, watches that answers keep coming, and after a
 * loss tries again, later each time.  What hiredis 0.14 lacks is here: all
 * the timers, names that are resolved without waiting, and a way to give up a
 * connection from within its own callbacks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "url.h"

struct aqb_host;
struct event_base;
struct link;

/* Milliseconds. */
struct link_times {
	uint64_t connect; /* from nothing to the first PONG */
	uint64_t answer;  /* without any while some are due */
	uint64_t retry_min, retry_max;
};

struct link_events {
	/* It can be used. */
	void (*ready)(void *arg);
	/* It was ready and is not any more: every callback that was due has
	 * been called, with no reply. */
	void (*lost)(void *arg);
	/* It could not be made ready; said once for each try. */
	void (*failed)(void *arg);
	void *arg;
};

/* `name` is what CLIENT LIST shows, and the log; all borrowed but `events`. */
struct link *link_new(const struct aqb_host *host, struct event_base *base,
    const struct url *url, const struct link_times *times, const char *name,
    const struct link_events *events);
void link_free(struct link **linkp);

/* Begin to connect. */
void link_start(struct link *l);

/* The `arg` of its events. */
void *link_owner(const struct link *l);

bool link_is_ready(const struct link *l);

/* Why it is not ready, a sentence; "" before anything went wrong. */
const char *link_why(const struct link *l);

/*
 * A command; its words are copied.  False when it cannot be sent.  The
 * callback gets the link as ac->data, and must begin with link_reply(); a NULL
 * reply says that the connection is gone, and whether the command was done is
 * not known.
 */
bool link_send(struct link *l, redisCallbackFn *fn, void *arg, int argc,
    const char **argv, const size_t *lens);

/* The same for words that are plain text. */
bool link_say(struct link *l, redisCallbackFn *fn, void *arg, int argc,
    const char **argv);

/* Note a reply: the connection lives. */
const redisReply *link_reply(redisAsyncContext *ac, void *reply);

/* Bytes that wait to be written, and answers that are due. */
size_t link_backlog(const struct link *l);
size_t link_due(const struct link *l);

/* Give this connection up, soon, and connect again after `wait` ms at
 * least.  The reason is a format. */
void link_drop(struct link *l, uint64_t wait, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif

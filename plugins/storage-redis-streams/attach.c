/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include <stdlib.h>

#include <event2/event.h>
#include <hiredis/async.h>

enum writing {
	WRITING_NOTHING,
	WRITING_SOON, /* in this turn */
	WRITING_NOW,
	WRITING_WAITS, /* for room, or to be connected */
};

struct attached {
	redisAsyncContext *ac;
	enum writing writing;
	struct event *read;
	struct event *room;
	struct event *soon;
};

/* hiredis calls back, and may free all of it meanwhile. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct attached *a = arg;

	(void)fd;
	(void)what;
	redisAsyncHandleRead(a->ac);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct attached *a = arg;

	(void)fd;
	(void)what;
	if ((a->ac->c.flags & REDIS_CONNECTED) == 0) {
		event_add(a->room, NULL); /* it may not be connected yet */
	}
	a->writing = WRITING_NOW;
	redisAsyncHandleWrite(a->ac); /* says add_write, del_write, or frees */
}

static void
add_read(void *arg)
{
	struct attached *a = arg;

	event_add(a->read, NULL); /* nothing, when it is watched already */
}

static void
del_read(void *arg)
{
	struct attached *a = arg;

	event_del(a->read);
}

static void
await_room(struct attached *a)
{
	a->writing = WRITING_WAITS;
	event_add(a->room, NULL);
}

/* There is something to be written, or it could not all be. */
static void
add_write(void *arg)
{
	struct attached *a = arg;

	if (a->writing == WRITING_NOW) {
		await_room(a);
	} else if (a->writing == WRITING_NOTHING) {
		a->writing = WRITING_SOON;
		event_active(a->soon, EV_WRITE, 0);
	}
}

static void
del_write(void *arg)
{
	struct attached *a = arg;

	event_del(a->room);
	a->writing = WRITING_NOTHING;
}

static void
let_go(void *arg)
{
	struct attached *a = arg;
	struct event *all[] = { a->read, a->room, a->soon };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (all[i] != NULL) {
			event_free(all[i]);
		}
	}
	free(a);
}

bool
attach(redisAsyncContext *ac, struct event_base *base)
{
	struct attached *a = calloc(1, sizeof *a);

	if (a == NULL) {
		return false;
	}
	a->ac = ac;
	a->read =
	    event_new(base, ac->c.fd, EV_READ | EV_PERSIST, on_readable, a);
	a->room = event_new(base, ac->c.fd, EV_WRITE, on_writable, a);
	a->soon = event_new(base, -1, 0, on_writable, a);
	if (a->read == NULL || a->room == NULL || a->soon == NULL) {
		let_go(a);
		return false;
	}
	ac->ev.data = a;
	ac->ev.addRead = add_read;
	ac->ev.delRead = del_read;
	ac->ev.addWrite = add_write;
	ac->ev.delWrite = del_write;
	ac->ev.cleanup = let_go;
	add_read(a);
	await_room(a);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/sockets.h"

#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"

#define SOCKETS_MAGIC 0x82d4c7f1u
#define READY_MAX 256 /* in one turn; the others are ready in the next */

struct sockets {
	uint32_t magic;
	int epoll_fd;
	sockets_ready_f *fn;
	struct event *event;
	struct epoll_event ready[READY_MAX];
};

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct sockets *set;
	int n;

	(void)what;
	OBJ_CAST(set, arg, SOCKETS_MAGIC);
	n = epoll_wait((int)fd, set->ready, READY_MAX, 0);
	for (int i = 0; i < n; i++) {
		set->fn(set->ready[i].data.ptr, set->ready[i].events);
	}
}

struct sockets *
sockets_new(struct loop *loop, sockets_ready_f *fn)
{
	struct sockets *set = xnew(sizeof *set);

	set->magic = SOCKETS_MAGIC;
	set->fn = fn;
	set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert(set->epoll_fd >= 0);
	set->event = event_new(loop_base(loop), set->epoll_fd,
	    EV_READ | EV_PERSIST, on_ready, set);
	assert(set->event != NULL && event_add(set->event, NULL) == 0);
	return set;
}

void
sockets_free(struct sockets **setp)
{
	struct sockets *set;

	if (*setp == NULL) {
		return;
	}
	OBJ_TAKE(set, setp, SOCKETS_MAGIC);
	event_free(set->event);
	close(set->epoll_fd);
	set->magic = 0;
	free(set);
}

bool
sockets_watch(struct sockets *set, int fd, unsigned before, unsigned want,
    void *arg)
{
	struct epoll_event ev = { .events = want, .data.ptr = arg };
	int op = EPOLL_CTL_MOD;

	OBJ_CHECK(set, SOCKETS_MAGIC);
	if (before == want) {
		return true;
	}
	if (want == 0) {
		op = EPOLL_CTL_DEL;
	} else if (before == 0) {
		op = EPOLL_CTL_ADD;
	}
	return epoll_ctl(set->epoll_fd, op, fd, &ev) == 0 || want == 0;
}

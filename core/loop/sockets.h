/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOP_SOCKETS_H
#define LOOP_SOCKETS_H

/*
 * Very many sockets of one kind, waited for together: an epoll set that is
 * itself one event of the loop.  A socket costs no memory of this process
 * here, where a libevent event and its tables cost 176 bytes, and one ready
 * socket costs one call.  Level-triggered, one thread's.
 */

#include <stdbool.h>

#include <sys/epoll.h>

struct loop;
struct sockets;

/* One socket is ready: `what` is EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR.  It
 * may have been let go of earlier in the same turn, so what `arg` points at
 * must live to the end of the turn. */
typedef void sockets_ready_f(void *arg, unsigned what);

struct sockets *sockets_new(struct loop *loop, sockets_ready_f *fn);
void sockets_free(struct sockets **setp);

/*
 * Wait for EPOLLIN, EPOLLOUT, both, or nothing (0), where it was `before`.
 * False without memory or watches left; to let go of a socket never fails.
 */
bool sockets_watch(struct sockets *set, int fd, unsigned before, unsigned want,
    void *arg);

#endif

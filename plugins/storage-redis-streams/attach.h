/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_ATTACH_H
#define REDIS_ATTACH_H

#include <stdbool.h>

struct event_base;
struct redisAsyncContext;

/*
 * hiredis on our event loop.  Its own adapter for libevent asks epoll anew for
 * each read, and has epoll say that there is room before each write: four
 * system calls a turn that carry nothing.  Here a connection is watched for
 * reading once and for all, and written to at once; only where there was no
 * room is room waited for.
 *
 * Attach a connection that was just begun; it is let go of when hiredis frees
 * it.  False without memory.
 */
bool attach(struct redisAsyncContext *ac, struct event_base *base);

#endif

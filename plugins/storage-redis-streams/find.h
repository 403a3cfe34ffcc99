/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_FIND_H
#define REDIS_FIND_H

/*
 * From a URL to an address that can be connected to now: names are looked up
 * without waiting, and Sentinels are asked for the master, one after another.
 */

#include "url.h"

struct event_base;
struct find;

/* `url` is borrowed. */
struct find *find_new(struct event_base *base, const struct url *url);
void find_free(struct find **findp);

/* *node has a numeric host and is borrowed; or it is NULL, and `why` a
 * sentence. */
typedef void find_done_f(void *arg, const struct url_node *node,
    const char *why);

/* done is called once, now or later, unless find_stop() comes before.  One
 * question at a time. */
void find_start(struct find *f, find_done_f *done, void *arg);
void find_stop(struct find *f);

#endif

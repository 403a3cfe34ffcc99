/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_CHECK_H
#define REDIS_CHECK_H

#include <arqonbus/error.h>

struct redis;

/*
 * Once, before the broker starts: can Redis be reached, is it new enough, is
 * it set up as it must be, and has no other broker these streams?  This waits,
 * a second at most in `degraded` mode, in which a Redis that is not there is
 * only a warning; five in `strict`.
 */
int check_redis(struct redis *r, struct aqb_why *why);

/* Of several brokers: has no other one this name?  One that was killed just
 * now has not. */
int check_node(struct redis *r, const char *node, struct aqb_why *why);

#endif

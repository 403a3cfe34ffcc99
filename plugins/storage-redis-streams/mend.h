/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_MEND_H
#define REDIS_MEND_H

/*
 * A hole between what a stream has given and what comes out of its log is
 * filled from the stream itself; what comes meanwhile waits.
 */

#include "shared.h"

/* Fill what is missing after what was given. */
void mend_begin(struct redis *r, struct stream *s);

/* Have this wait until the hole is filled. */
void mend_hold(struct redis *r, struct stream *s, const char *epoch,
    struct place at, struct aqb_msg *msg, uint32_t flags);

/* Ask again what was not answered. */
void mend_go_on(struct redis *r);

/* The log of a shard was cut off before it was read: mend all its streams. */
void mend_shard(struct redis *r, const struct shard *sh);

/* The stream is gone, or the end has come. */
void mend_forget(struct redis *r, struct stream *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_RESOLVE_H
#define REDIS_RESOLVE_H

#include <arqonbus/storage.h>

struct redis;

/*
 * aqb_storage_ops.resolve: a position of an older era.  The seqs of a stream
 * go on from era to era, so it is the same in today's, unless the old era was
 * cut short: then the client has seen what Redis has lost.
 */
void resolve(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_position *since);

/* Ask again what could not be asked. */
void resolve_go_on(struct redis *r);

/* Forget who still waits. */
void resolve_fini(struct redis *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_ENTRY_H
#define REDIS_ENTRY_H

/* One entry of a stream, as XRANGE gives it. */

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include <arqonbus/message.h>

struct redis;
struct stream;

/* Its id; false when this is no entry. */
bool entry_id(const redisReply *reply, uint64_t *erap, uint64_t *seqp);

/* Its place; false when it cannot be one of ours. */
bool entry_place(const redisReply *reply, uint64_t *erap, uint64_t *seqp);

/* The message in it, with a reference; NULL when it is none of ours. */
struct aqb_msg *entry_message(const struct redis *r, const struct stream *s,
    const redisReply *reply);

/* The message in these fields, at this position. */
struct aqb_msg *entry_make(const struct redis *r, const struct stream *s,
    const redisReply *fields, const struct aqb_position *pos);

/* One of the fields; empty when it is not there. */
struct aqb_slice entry_field(const redisReply *fields, const char *name);

#endif

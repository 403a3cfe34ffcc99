/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_WRITE_H
#define REDIS_WRITE_H

/*
 * Appends.  Each stream's are sent in order, all streams' in one pipeline;
 * a reply is the proof that a message is stored.
 */

#include <arqonbus/storage.h>

struct entry;
struct redis;
struct stream;

/* aqb_storage_ops.append. */
int write_append(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp);

/* Delete the stream, after all that was appended before. */
int write_forget(struct redis *r, aqb_ticket ticket, const char *name);

/* This stream may have something to send. */
void write_work(struct redis *r, struct stream *s);

/* Send what can be sent. */
void write_pump(struct redis *r);

/* The fence stands: send again what was not answered, and (rolled_back) what
 * Redis may have lost. */
void write_resume(struct redis *r, bool rolled_back);

/* Redis is away: let everything go early, if that is the mode. */
void write_go_early(struct redis *r);

/* It is stored so well, and no better: answer it, and hold it. */
void write_finish(struct redis *r, struct entry *e, enum aqb_stored stored);

/* Refuse what waits in this stream. */
void write_refuse_all(struct redis *r, struct stream *s);

/* The same of all streams. */
void write_refuse_everything(struct redis *r);

/* Time passes: give up what waited too long, let go what was held. */
void write_tick(struct redis *r);

/* Drop everything: the end. */
void write_fini(struct redis *r);

#endif

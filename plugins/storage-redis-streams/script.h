/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_SCRIPT_H
#define REDIS_SCRIPT_H

/*
 * What several brokers must do in one step runs in Redis, as Lua.  What a
 * script begins to write it finishes: all that can be refused is looked at
 * before, and the number that says "this far" is written last.
 */

/*
 * Append a message to its stream and to the log of its shard.
 * KEYS: meta, count, log, m, c, d.  ARGV: era, number, history_size, ttl,
 * dedupe window, name, an epoch should there be none, node, history_ttl, and
 * the fields.
 * Answers {0, epoch, seq}; {1, "epoch era seq"}: this sender's id is there;
 * {2}: this number is there; {3}: the key is somebody else's.
 */
extern const char script_append[];

/* Drop a stream, and write that into the log.  KEYS: meta, count, log, m, c.
 * ARGV: era, number, name, node.  Answers {0} or {2}. */
extern const char script_forget[];

/* KEYS: m, c.  ARGV: an epoch should there be none.  Answers {epoch, seq,
 * id of the oldest or "", id of the last or ""}, or {} when the key is
 * somebody else's. */
extern const char script_open[];

/*
 * Which era is it?  Another one, higher than any, where Redis is another
 * process, or has lost the one that we know.  KEYS: the bus's meta.  ARGV: run,
 * our era, and the run in which it was ours.  Answers {era, 1 if it is the same
 * process as before}.
 */
extern const char script_era[];

/* Bring a shard to this era.  KEYS: meta, count, log.  ARGV: era.  Answers
 * {the last number of ours that was done, id of the last in the log}. */
extern const char script_fence[];

/*
 * Take our place among the brokers, or keep it.  KEYS: the bus's meta, its
 * log, nodes, our records.  ARGV: era, node, boot, owner, ttl, how the keys of
 * records begin, 1 to take the name from one that is gone, 1 to drop our
 * records.  Answers {1 if our
 * records are not there any more, id of the last in the log, how many brokers
 * there are}, or {-1} when another broker has our name.
 */
extern const char script_join[];

/* Leave it.  KEYS, ARGV: the same, up to boot. */
extern const char script_leave[];

/*
 * Say something to all brokers.  KEYS: the bus's meta, its log, the records'
 * hash.  ARGV: era, node, boot, kind, key, value.  Answers 1; 0: there is such
 * a record already, or none to remove; -1: our records are not there any
 * more.
 */
extern const char script_tell[];

#define LOG_MAX "100000" /* entries, roughly */

#endif

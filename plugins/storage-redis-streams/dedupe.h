/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_DEDUPE_H
#define REDIS_DEDUPE_H

/*
 * Ids that senders chose, and where their messages are, for the
 * dedupe_window of the channel:
 *
 *     PREFIX:{S}:d:HASH    of sender, channel and id; the value is ERA-SEQ
 *
 * The broker knows the ids of its own life but for those of which it had to
 * say that nobody knows.  These are noted here, and Redis is asked about them
 * when they come again; and about all, for as long as one can be of an earlier
 * life.
 */

#include <stdbool.h>
#include <stdint.h>

#include <arqonbus/message.h>
#include <arqonbus/storage.h>

struct entry;
struct redis;

#define DEDUPE_KEY_SIZE 160

/* The key of a message of this stream, in `key`. */
const char *dedupe_key(const struct redis *r, const char *stream,
    const struct aqb_msg_view *v, char key[DEDUPE_KEY_SIZE]);

struct doubt;

/* Of whom nobody knows. */
struct doubts {
	struct doubt *by_key; /* those noted first come first */
	uint64_t all; /* when anybody at all became one of them, ms; 0: never */
};

/* May this message have come in an earlier life, or is it in doubt? */
bool dedupe_must_look(struct redis *r, const char *stream,
    const struct aqb_msg *msg, uint64_t window);

/* Somebody is told that nobody knows whether a message is stored, or it is
 * stored after that: who sent it may repeat it from now on. */
void dedupe_doubt(struct redis *r, const struct entry *e);

/* The same of whoever waits for this ticket. */
void dedupe_cancel(struct redis *r, aqb_ticket ticket);

/* Forget them all. */
void dedupe_fini(struct redis *r);

/* The error for a message that was not looked for and is not stored now: no
 * more than "nobody knows" when it may be stored as an earlier one. */
enum aqb_err dedupe_refusal(struct redis *r, const char *stream,
    const struct aqb_msg *msg, uint64_t window);

/* The entry is one that is there already: tell its sender where, and what it
 * survives there, and drop it. */
void dedupe_tell(struct redis *r, struct entry **ep, enum aqb_stored stored);

/* Ask Redis about the next entry of a stream and some that follow; what comes
 * of it is done when the answer is there.  False when it cannot be asked. */
bool dedupe_look(struct redis *r, struct entry *e);

#endif

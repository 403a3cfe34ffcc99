/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOP_MAILBOX_H
#define LOOP_MAILBOX_H

/*
 * A queue of values between the connections and the core: entries of one
 * size, first in, first out, as many as memory holds.  One thread puts in and
 * one takes out; neither ever waits for the other, for there is no lock.
 *
 * Between two threads, what was put in is seen only after mailbox_post(), so
 * that a turn's entries travel as one batch.  A box with both ends on one
 * thread needs no posting: what is put in while it is being emptied is taken
 * in the same round.
 */

#include <stdbool.h>
#include <stddef.h>

struct mailbox;

struct mailbox *mailbox_new(size_t entry_size);
void mailbox_free(struct mailbox **boxp);

/* From now on the ends are on different threads.  Before anything is in. */
void mailbox_share(struct mailbox *box);

/* Put one in at the end: returns where to write it, good until the entry is
 * taken; zeroed.  Putter only, as the two below. */
void *mailbox_add(struct mailbox *box);

/* Let the other thread see what was added.  Answers whether there was
 * anything: then that thread wants to be woken. */
bool mailbox_post(struct mailbox *box);

/* How many were added and not taken yet. */
size_t mailbox_count(const struct mailbox *box);

/* Take the oldest: returns where it is, good until the next is taken; NULL
 * when the box is empty.  Taker only, as the one below. */
void *mailbox_take(struct mailbox *box);

bool mailbox_is_empty(const struct mailbox *box);

#endif

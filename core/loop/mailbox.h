/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOP_MAILBOX_H
#define LOOP_MAILBOX_H

/*
 * A queue of values between the connections and the core: entries of one
 * size, first in, first out.  What is put in while the box is being emptied
 * is taken in the same round.  Both ends on one thread.
 */

#include <stdbool.h>
#include <stddef.h>

struct mailbox;

struct mailbox *mailbox_new(size_t entry_size);
void mailbox_free(struct mailbox **boxp);

/* Put one in at the end: returns where to write it, good until the next
 * mailbox_add(); zeroed. */
void *mailbox_add(struct mailbox *box);

/* Take the oldest: returns where it is, good until the next mailbox_add();
 * NULL when the box is empty. */
void *mailbox_take(struct mailbox *box);

size_t mailbox_count(const struct mailbox *box);

#endif

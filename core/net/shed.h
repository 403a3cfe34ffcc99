/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_SHED_H
#define NET_SHED_H

/*
 * What becomes of a connection whose outbox is over its limit, if its channels
 * let messages be dropped; and what it has lost, until the bus is told.
 *
 * Its outbox is brought under half the limit, and not just under the limit:
 * who is slow for long is so looked at once for every half of an outbox, and
 * has room for the gaps that tell it what it lost.
 */

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct worker;

/* Drop what may be dropped, until less than `goal` bytes wait.  False: it does not fit all the same, for want of
 * memory, and the connection must go. */
bool shed(struct conn *conn, uint64_t goal);

/* Tell the bus what the connection has lost, if its outbox is under half the
 * limit. */
void shed_report(struct conn *conn);

/* It is closed for being slow, after so many messages and bytes were dropped;
 * `stuck`: ms in which it took nothing, or 0. */
void shed_report_end(struct conn *conn, uint64_t dropped, uint64_t bytes,
    uint64_t stuck);

/* Free so many bytes: have those with the fullest outboxes, of which the socket
 * takes nothing, drop what they may, and close them if that is not enough. */
void shed_cut(struct worker *w, uint64_t bytes);

/* The connection leaves a lane, or all: what it gets later does not go on where
 * that ends which waits now. */
void shed_leave(struct conn *conn, uint32_t lane);
void shed_forget(struct conn *conn);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_DRAIN_H
#define BUS_DRAIN_H

/*
 * The end of a broker's service, in good order: its clients are sent away one
 * after the other, at a pace at which the broker that they go to can take
 * them in.
 *
 * When its turn comes a client is told `draining`, and how long to stay away.
 * From then on it is answered DRAINING and given no work; what it sent before
 * is finished, what it was given is acked, and then it is closed with 1012.  At
 * the end of its patience the drain closes whoever is left, and says of every
 * message that is still to be stored that nobody knows.
 */

#include <stdint.h>

struct bus;
struct drain;

/* Durations are milliseconds. */
struct drain_plan {
	uint64_t time;          /* all are told within that */
	uint32_t rate;          /* or sooner, at so many clients a second */
	uint64_t wait;          /* for what is in flight, once all are told */
	uint64_t close_timeout; /* for clients to answer the close */
};

/* Begin; once for each bus.  `done` is told in a later turn, when the last
 * client is gone, or has had its time to go. */
typedef void drain_done_f(void *arg);
void drain_begin(struct bus *bus, const struct drain_plan *plan,
    drain_done_f *done, void *arg);

void drain_free(struct drain **drainp);

#endif

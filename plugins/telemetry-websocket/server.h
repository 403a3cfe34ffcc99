/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_SERVER_H
#define TELEMETRY_SERVER_H

/*
 * The telemetry thread: libwebsockets' loop, the listener, the viewers.
 *
 * The functions here belong to the core thread.  None of them waits for the
 * thread but server_free.
 */

#include "plane.h"

struct server;

/* Tells, on the telemetry thread as the last thing it does, that it ended. */
typedef void server_ended_f(void *arg);

/*
 * Listen and start the thread.  *portp is the port taken.  Negative enum
 * aqb_err with the sentence in *why when that cannot be.
 */
int server_start(const struct plane *plane, server_ended_f *ended, void *arg,
    struct server **serverp, uint16_t *portp, struct aqb_why *why);

/* There is something new in the ring.  Cheap when nobody watches or when the
 * thread has been told already and did not look yet. */
void server_wake(struct server *server);

/* Begin to end: viewers get what is there and are closed with 1001, for a
 * second at most. */
void server_stop(struct server *server);

/* Stop if that was not done, wait for the thread, free all.  NULL is fine. */
void server_free(struct server **serverp);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_OVERLOAD_H
#define BUS_OVERLOAD_H

/*
 * What is done when there is more than the broker can hold or do.
 *
 * Memory, outboxes and history together: over 85 % of the limit whoever
 * publishes is paused; over 90 % publishes are refused, and connections; over
 * 100 % the clients with the fullest outboxes are cut.  All of that ends below
 * 80 %, so that it does not swing.
 *
 * Storage: when what waits to be stored fills half of what may wait, whoever
 * publishes to a channel that is stored (in a cluster, to any) is paused, until
 * a quarter is left.
 *
 * Time: when turns of a loop are long for a second, connections are refused;
 * when they stay so, the clients that publish most are paused, until turns are
 * short for half a second.
 */

#include "bus/client.h"

/* May this client publish now?  If not, it is told; it may be paused in any
 * case. */
bool overload_admits(struct client *client, struct aqb_slice request_id);

/* It publishes to a channel that is stored. */
void overload_fills_storage(struct client *client);

/* Look at memory and at the storage; once a turn, at least. */
void overload_watch(struct bus *bus);

#endif

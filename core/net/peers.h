/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_PEERS_H
#define NET_PEERS_H

/* How many connections each address has, where that is limited. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct peer;

/* Count one more for the address, of at most `limit`.  False: it has as many
 * as it may.  *peerp is NULL when the limit is 0, or without memory. */
bool peers_enter(const struct sockaddr *address, uint32_t limit,
    struct peer **peerp);

/* One less.  NULL is fine. */
void peers_leave(struct peer **peerp);

#endif

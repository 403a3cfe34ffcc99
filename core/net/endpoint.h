/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

/* Where a peer is, for people and for rules. */

#include <stdbool.h>
#include <sys/socket.h>

#include "bus/port.h"

/*
 * "127.0.0.1:40000", "[::1]:40000", "local" for what has neither.  IPv4 that
 * came through an IPv6 socket (RFC 4291, 2.5.5.2) is IPv4 again.  *loopbackp:
 * is it this machine?
 */
void endpoint_text(const struct sockaddr *address, char text[PORT_ADDRESS_SIZE],
    bool *loopbackp);

#endif

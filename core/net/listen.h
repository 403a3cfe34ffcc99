/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

/* The listening socket: who may come in, and what happens when the process
 * runs out of descriptors. */

#include <stdbool.h>
#include <stdint.h>

#include <arqonbus/error.h>

struct crew;
struct listener;
struct loop;
struct net_conf;

/* Listen on host and port (0: a free one) and hand the sockets to a crew.
 * NULL, with the reason. */
struct listener *listener_new(struct loop *loop, const char *host,
    uint16_t port, const struct net_conf *conf, struct crew *crew,
    struct aqb_why *why);
void listener_free(struct listener **listenerp);

/* Accept nobody, or again: who comes meanwhile waits in the kernel. */
void listener_hold(struct listener *l, bool hold);

uint16_t listener_port(const struct listener *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_HISTORY_H
#define BUS_HISTORY_H

/* Reading what a channel, or all channels of a room, have kept. */

#include "bus/channel.h"

/* See aqb_bus.read: done is called once, now or later. */
void history_read(struct client *client, aqb_ticket call, const char *room,
    const char *channel, const struct aqb_range *range, aqb_read_f *done,
    void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_SETTINGS_H
#define BUS_SETTINGS_H

/* What create_channel asks of a channel, and in a cluster tells all nodes; and
 * how a channel is deleted everywhere. */

#include "bus/channel.h"

/* Of a channel that was just made; false without memory. */
bool settings_set(struct channel *ch, const struct aqb_channel_spec *spec);

/* Let the other nodes know of them, or that they are no more. */
void settings_share(const struct channel *ch);
void settings_withdraw(const struct channel *ch);

/* All nodes are told this of a channel; nothing: it has none any more.  False:
 * it makes no sense. */
bool settings_record(struct cluster *c, const struct address *where,
    struct aqb_slice value);

/* Those not told in this round are no more; or tell all of them again. */
void settings_sweep(struct cluster *c);
void settings_share_all(struct cluster *c);

/* The channel is deleted, which its members hear as the last thing in it. */
void settings_delete(struct channel **chp, const char *client_id, bool forget);

#endif

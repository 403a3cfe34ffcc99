/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_PRESENCE_H
#define BUS_PRESENCE_H

/*
 * Who came and who went, told to those members of a channel that asked: at
 * most one message in `presence_interval`, never a member's own coming and
 * going.  Who was lost is only said to have left after `presence_grace`, and
 * not at all when it is back by then.
 */

#include "bus/channel.h"

/* Who: with `joined_at`. */
void presence_joined(struct channel *ch, const struct aqb_client_info *who);

/* Before the member is taken out of its channel; `watches`: it is one of
 * those that are told. */
void presence_left(struct channel *ch, const char *id, bool watches, bool lost);

/* The channel goes: nothing more is told. */
void presence_stop(struct channel *ch);

#endif

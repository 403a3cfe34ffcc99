/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_BUS_FAKE_PRIV_H
#define UNIT_BUS_FAKE_PRIV_H

/* Between the fake bus's world and its storage. */

#include "bus_fake.h"

struct desk;
struct loop;

extern struct desk *desk;
extern struct loop *loop;
extern const struct aqb_storage_ops backend_ops;

/* Turn the loop until nothing moves. */
void settle(void);

/* How many questions it keeps waiting. */
size_t backend_waits(void);

/* The nodes' storages are told apart by `self`. */
#define CLUSTER_NODES 3
void *cluster_self(size_t node);

/* Does anybody follow?  Then he hears of all that is stored. */
bool cluster_is_on(void);
void cluster_message(const char *stream, struct aqb_msg *msg,
    const struct aqb_position *pos);
void cluster_forgotten(const char *stream);

/* Tell what there is to tell. */
void cluster_tells(void);
void cluster_ends(void);

extern aqb_store_follow_f cluster_follow;
extern aqb_store_notify_f cluster_notify;
extern aqb_store_share_f cluster_share;

/* What waits is refused. */
void backend_ends(void);

#endif

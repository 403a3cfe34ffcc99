/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_PRIVATE_H
#define BUS_PRIVATE_H

/* Private messages: to clients by id or alias, never stored. */

#include "bus/client.h"

/* Send one.  Takes *msgp. */
void private_send(struct client *client, const struct envelope *env,
    struct aqb_msg **msgp);

/* Tell the sender how many were reached, and which were not (a JSON array's
 * inside, or NULL for none). */
void private_ack(struct client *client, struct aqb_slice request_id,
    struct aqb_slice id, uint32_t delivered, const struct buf *missing);

#endif

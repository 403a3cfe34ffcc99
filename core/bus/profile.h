/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_PROFILE_H
#define BUS_PROFILE_H

/* What clients say about themselves, and the checks of it. */

#include "bus/client.h"

void profile_free(struct profile **profilep);

/* Set what the identity names; on a refusal nothing is changed. */
enum aqb_code profile_set(struct client *client,
    const struct aqb_identity *identity, struct aqb_why *why);

/* Another client was called so before: take its alias away, and say so. */
void profile_lose_alias(struct client *client);

#endif

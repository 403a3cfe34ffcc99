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

/* What waits is refused. */
void backend_ends(void);

#endif

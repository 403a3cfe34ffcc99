/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_SLOW_H
#define BUS_SLOW_H

/* What clients lose that do not read as fast as they are sent. */

#include "bus/client.h"

/* A client lost messages, or is being closed for being slow: tell it, and
 * whoever watches. */
void slow_tell(struct client *client, const struct port_slow *slow);

#endif

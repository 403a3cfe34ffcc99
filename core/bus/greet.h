/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_GREET_H
#define BUS_GREET_H

/* The first words: what a connection said in its query string and headers,
 * and the welcome. */

#include "bus/client.h"

void greet(struct client *client, const struct port_hello *hello);

#endif

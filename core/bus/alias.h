/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_ALIAS_H
#define BUS_ALIAS_H

/* Aliases: names by which clients are reached, each held by one. */

#include "bus/client.h"

struct client *alias_find(const struct bus *bus, const char *name, size_t len);

/* Does a client of another node have it? */
bool alias_is_elsewhere(const struct client *client, const char *name);

/* Let the name mean this client.  ALIAS_TAKEN, or INTERNAL without memory. */
enum aqb_code alias_add(struct client *client, const char *name);
void alias_remove(struct bus *bus, const char *name);

#endif

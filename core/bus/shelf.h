/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_SHELF_H
#define BUS_SHELF_H

/* Messages kept in order for one client until they can be sent. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aqb_msg;
struct client;

/* Zeroed is empty. */
struct shelf {
	struct aqb_msg **msg;
	size_t n;
	size_t cap;
	size_t taken; /* from the front; those are gone */
	size_t bytes; /* of what remains */
};

void shelf_fini(struct shelf *s);

/* Takes a reference of its own; false without memory. */
bool shelf_add(struct shelf *s, struct aqb_msg *msg);

/* The first message, and its reference; NULL when there is none. */
struct aqb_msg *shelf_take(struct shelf *s);

/* Send from the front, about this many bytes; true when nothing is left. */
bool shelf_send(struct shelf *s, struct client *client, size_t bytes);

#endif

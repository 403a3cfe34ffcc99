/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_ACTIVITY_H
#define BUS_ACTIVITY_H

/* The `agent_activity` events: an agent or a person that says something is
 * active, until it has said nothing for `idle_after`. */

#include "bus/client.h"

struct activity;

struct activity *activity_new(struct bus *bus);
void activity_free(struct activity **activityp);

/* The client has just published or called a command. */
void activity_note(struct client *client);

/* The client goes. */
void activity_forget(struct client *client);

#endif

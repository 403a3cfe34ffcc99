/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_HEALTH_H
#define HOST_HEALTH_H

/*
 * How the broker is.  The core writes, any thread reads: /health answers
 * even while the core is stuck, and says so.
 */

#include <stdbool.h>
#include <stddef.h>

enum health_state {
	HEALTH_OK,
	HEALTH_DEGRADED, /* it serves, but not all that was promised */
	HEALTH_FAILED,
};

/* The core turns. */
void health_beat(void);

/* The core's word about its storage. */
void health_set_storage(enum health_state state);

/* Plugins that were to run and do not. */
void health_set_failed_plugins(unsigned n);

/* It is about to stop. */
void health_set_draining(bool draining);

/* The core has not turned for two seconds. */
bool health_is_stalled(void);

const char *health_state_name(enum health_state state);

/* /health, or with `live` /health/live: writes JSON into text and returns
 * the HTTP status. */
int health_text(bool live, char *text, size_t size);

#endif

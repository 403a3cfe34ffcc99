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

/* How many plugins were to run and do not; and each by its name, with a word
 * that lives for ever, or NULL: it runs. */
void health_set_failed_plugins(unsigned n);
void health_set_plugin(const char *name, const char *state);

/* It is about to stop. */
void health_set_draining(bool draining);

/* The core has not turned for two seconds. */
bool health_is_stalled(void);

const char *health_state_name(enum health_state state);

/*
 * /health, or with `live` /health/live: writes JSON into text and returns
 * the HTTP status, 200 or 503.  `size` is 128 at least; the names of plugins
 * that do not run are left out where they do not fit.
 */
int health_text(bool live, char *text, size_t size);

/* Forget everything, between tests. */
void health_reset(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/health.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

#define STALLED_MS 2000

static atomic_uint_fast64_t last_beat; /* monotonic ms; 0: not begun */
static atomic_uint_fast64_t first_beat;
static atomic_int storage;
static atomic_uint failed_plugins;
static atomic_bool is_draining;

void
health_beat(void)
{
	uint64_t now = clock_mono_ms();

	if (atomic_load_explicit(&first_beat, memory_order_relaxed) == 0) {
		atomic_store(&first_beat, now);
	}
	atomic_store_explicit(&last_beat, now, memory_order_relaxed);
}

void
health_set_storage(enum health_state state)
{
	atomic_store(&storage, (int)state);
}

void
health_set_failed_plugins(unsigned n)
{
	atomic_store(&failed_plugins, n);
}

void
health_set_draining(bool draining)
{
	atomic_store(&is_draining, draining);
}

bool
health_is_stalled(void)
{
	uint64_t last = atomic_load(&last_beat);

	return last != 0 && clock_mono_ms() - last > STALLED_MS;
}

const char *
health_state_name(enum health_state state)
{
	static const char *const names[] = { "ok", "degraded", "failed" };

	return names[state];
}

static const char *
overall(int *statusp)
{
	enum health_state store = (enum health_state)atomic_load(&storage);

	*statusp = 503;
	if (health_is_stalled()) {
		return "stalled";
	}
	if (atomic_load(&is_draining)) {
		return "draining";
	}
	if (store == HEALTH_FAILED) {
		return "failed";
	}
	*statusp = 200;
	return store == HEALTH_DEGRADED || atomic_load(&failed_plugins) > 0
	    ? "degraded"
	    : "ok";
}

int
health_text(bool live, char *text, size_t size)
{
	bool stalled = health_is_stalled();
	uint64_t first = atomic_load(&first_beat);
	uint64_t uptime = first == 0 ? 0 : clock_mono_ms() - first;
	const char *word;
	int status;

	if (live) {
		snprintf(text, size, "{\"status\":\"%s\"}\n",
		    stalled ? "stalled" : "ok");
		return stalled ? 503 : 200;
	}
	word = overall(&status);
	snprintf(text, size,
	    "{\"status\":\"%s\",\"uptime_seconds\":%llu,\"core\":\"%s\","
	    "\"storage\":\"%s\",\"failed_plugins\":%u}\n",
	    word, (unsigned long long)(uptime / 1000),
	    stalled                         ? "stalled"
		: atomic_load(&is_draining) ? "draining"
					    : "ok",
	    health_state_name((enum health_state)atomic_load(&storage)),
	    atomic_load(&failed_plugins));
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/health.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arqonbus/abi.h>

#include "base/buf.h"
#include "base/clock.h"

#define STALLED_MS 2000
#define PARTS 64 /* plugins told by name; the rest are only counted */

static atomic_uint_fast64_t last_beat; /* monotonic ms; 0: not begun */
static atomic_uint_fast64_t first_beat;
static atomic_int storage;
static atomic_uint failed_plugins;
static atomic_bool is_draining;

/* Plugins that do not run, and why not.  The lock is held for a line of text
 * at most. */
static struct {
	pthread_mutex_t lock;
	size_t n;
	struct {
		char name[AQB_NAME_MAX + 1];
		const char *state;
	} part[PARTS];
} parts = { .lock = PTHREAD_MUTEX_INITIALIZER };

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
health_set_plugin(const char *name, const char *state)
{
	size_t i = 0;

	pthread_mutex_lock(&parts.lock);
	while (i < parts.n && strcmp(parts.part[i].name, name) != 0) {
		i++;
	}
	if (state == NULL) {
		if (i < parts.n) {
			parts.part[i] = parts.part[--parts.n];
		}
	} else if (i < PARTS) {
		snprintf(parts.part[i].name, sizeof parts.part[i].name, "%s",
		    name);
		parts.part[i].state = state;
		parts.n += i == parts.n;
	}
	pthread_mutex_unlock(&parts.lock);
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

static void
put_plugins(struct buf *b)
{
	pthread_mutex_lock(&parts.lock);
	for (size_t i = 0; i < parts.n; i++) {
		if (i > 0) {
			buf_putc(b, ',');
		}
		buf_json_str(b, parts.part[i].name);
		buf_putc(b, ':');
		buf_json_str(b, parts.part[i].state);
	}
	pthread_mutex_unlock(&parts.lock);
}

static const char *
core_name(void)
{
	if (health_is_stalled()) {
		return "stalled";
	}
	return atomic_load(&is_draining) ? "draining" : "ok";
}

/* The whole page; without the plugins' names where they do not fit. */
static int
put_page(struct buf *b, bool with_names)
{
	uint64_t first = atomic_load(&first_beat);
	uint64_t uptime = first == 0 ? 0 : clock_mono_ms() - first;
	const char *word;
	int status;

	word = overall(&status);
	buf_printf(b,
	    "{\"status\":\"%s\",\"core\":\"%s\",\"storage\":\"%s\","
	    "\"uptime_seconds\":%llu,\"plugins\":{",
	    word, core_name(),
	    health_state_name((enum health_state)atomic_load(&storage)),
	    (unsigned long long)(uptime / 1000));
	if (with_names) {
		put_plugins(b);
	}
	buf_puts(b, "}}\n");
	return status;
}

int
health_text(bool live, char *text, size_t size)
{
	struct buf b = { .max = size - 1 };
	int status;

	if (live) {
		bool stalled = health_is_stalled();

		snprintf(text, size, "{\"status\":\"%s\"}\n",
		    stalled ? "stalled" : "ok");
		return stalled ? 503 : 200;
	}
	status = put_page(&b, true);
	if (b.failed) {
		buf_reset(&b);
		status = put_page(&b, false);
	}
	snprintf(text, size, "%s", buf_text(&b));
	buf_fini(&b);
	return status;
}

void
health_reset(void)
{
	atomic_store(&last_beat, 0);
	atomic_store(&first_beat, 0);
	atomic_store(&storage, HEALTH_OK);
	atomic_store(&failed_plugins, 0);
	atomic_store(&is_draining, false);
	pthread_mutex_lock(&parts.lock);
	parts.n = 0;
	pthread_mutex_unlock(&parts.lock);
}

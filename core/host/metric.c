/* SPDX-License-Identifier: Apache-2.0 */
#include "host/metric.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/hist.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "host/health.h"

#define CODES (AQB_CODE_INTERNAL + 1)
#define PLUGIN_METRICS 128
#define NAME_MAX_LEN 120 /* of a metric */
#define SOURCES 16
#define RECOUNT_MS 10000 /* how old the slow count of descriptors may be */
#define HEAP_REST 1000   /* times as long as it took to look at the heap */

static const struct {
	const char *name;
	const char *help;
} own[METRIC_COUNT] = {
	[METRIC_CLIENTS_TOTAL] = { "arqonbus_clients_total",
	    "Clients that have connected." },
	[METRIC_DUPLICATES_TOTAL] = { "arqonbus_duplicates_total",
	    "Publishes whose id was seen before; not delivered again." },
	[METRIC_PRIVATE_TOTAL] = { "arqonbus_private_delivered_total",
	    "Deliveries of private messages." },
	[METRIC_PAUSED_TOTAL] = { "arqonbus_publishers_paused_total",
	    "Times that a client was not read from for want of memory, of "
	    "time, or of room for what is to be stored." },
	[METRIC_REJECTED_TOTAL] = { "arqonbus_rejected_total",
	    "Messages and requests refused, by error code." },
	[METRIC_STRAY_ANSWERS_TOTAL] = { "arqonbus_stray_answers_total",
	    "Late or double answers of plugins." },
	[METRIC_GARBAGE_TOTAL] = { "arqonbus_garbage_answers_total",
	    "Answers of plugins that made no sense." },
	[METRIC_TELEMETRY_TOTAL] = { "arqonbus_telemetry_emitted_total",
	    "Telemetry events." },
	[METRIC_GROUP_DELIVERED_TOTAL] = { "arqonbus_group_delivered_total",
	    "Messages given to members of groups." },
	[METRIC_GROUP_REDELIVERED_TOTAL] = { "arqonbus_group_redelivered_total",
	    "Of these, those that were given out before." },
	[METRIC_GROUP_ACKED_TOTAL] = { "arqonbus_group_acked_total",
	    "Messages that a member of a group has acked." },
	[METRIC_GROUP_REFUSED_TOTAL] = { "arqonbus_group_refused_total",
	    "Messages that a member of a group gave back." },
	[METRIC_GROUP_EXPIRED_TOTAL] = { "arqonbus_group_expired_total",
	    "Messages not acked within group_ack_wait." },
	[METRIC_GROUP_DEAD_TOTAL] = { "arqonbus_group_dead_total",
	    "Messages given up after group_max_deliveries." },
	[METRIC_GROUP_LOST_TOTAL] = { "arqonbus_group_lost_total",
	    "Messages that nobody in a group will get." },
	[METRIC_NOTICES_SENT_TOTAL] = { "arqonbus_cluster_notices_sent_total",
	    "Notices to the other nodes." },
	[METRIC_NOTICES_RECEIVED_TOTAL] = { "arqonbus_cluster_notices_received_total",
	    "Notices of other nodes." },
	[METRIC_CLUSTER_DROPPED_TOTAL] = { "arqonbus_cluster_dropped_total",
	    "Notices and records of other nodes that made no sense, or found "
	    "no room." },
};

struct plugin_metric {
	char *name;
	char *help;
	bool gauge;
	atomic_uint_fast64_t value;
};

struct command_count {
	char name[72];
	uint64_t ended[2]; /* in error, in success */
	UT_hash_handle hh;
};

struct source {
	metric_source_f *fn;
	void *arg;
};

static atomic_uint_fast64_t counter[METRIC_COUNT];
static atomic_uint_fast64_t rejected[CODES];
static struct plugin_metric plugin_metric[PLUGIN_METRICS];
static uint32_t plugin_metrics;
static struct command_count *commands;
static struct source source[SOURCES];
static size_t sources;

static struct {
	pthread_mutex_t lock;
	char *text;
	size_t len;
} snapshot = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
metric_add(enum metric metric, uint64_t n)
{
	atomic_fetch_add_explicit(&counter[metric], n, memory_order_relaxed);
}

void
metric_add_code(enum metric metric, enum aqb_code code)
{
	metric_add(metric, 1);
	if (metric == METRIC_REJECTED_TOTAL && (size_t)code < CODES) {
		atomic_fetch_add_explicit(&rejected[code], 1,
		    memory_order_relaxed);
	}
}

void
metric_add_command(const char *command, bool success)
{
	struct command_count *c;

	HASH_FIND(hh, commands, command, strlen(command), c);
	if (c == NULL) {
		c = xnew(sizeof *c);
		snprintf(c->name, sizeof c->name, "%s", command);
		HASH_ADD(hh, commands, name, strlen(c->name), c);
		if (!HASH_WAS_ADDED(c)) {
			free(c);
			return;
		}
	}
	c->ended[success]++;
}

/* What render() writes besides the table of its own. */
static const char *const taken[] = {
	"arqonbus_commands_total",
	"arqonbus_core_stalled",
	"arqonbus_heap_used_bytes",
	"arqonbus_log_lost_total",
};

static bool
name_is_taken(const char *name)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		if (strcmp(own[i].name, name) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
		if (strcmp(taken[i], name) == 0) {
			return true;
		}
	}
	for (uint32_t i = 0; i < plugin_metrics; i++) {
		if (strcmp(plugin_metric[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool
name_is_right(const char *name, bool gauge)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	size_t len = strlen(name);

	if (strncmp(name, "arqonbus_", 9) != 0 || len == 9 ||
	    len > NAME_MAX_LEN || strspn(name, letters) != len) {
		return false;
	}
	return gauge || (len > 6 && strcmp(name + len - 6, "_total") == 0);
}

/* One line of the page, without a character that needs an escape. */
static bool
help_is_right(const char *help)
{
	return help != NULL && strpbrk(help, "\n\r\\") == NULL;
}

uint32_t
metric_register(const char *name, const char *help, bool gauge)
{
	struct plugin_metric *m;

	if (name == NULL || !name_is_right(name, gauge) ||
	    !help_is_right(help) || name_is_taken(name) ||
	    plugin_metrics == PLUGIN_METRICS) {
		return 0;
	}
	m = &plugin_metric[plugin_metrics++];
	m->name = xstrdup(name); /* the plugin may be gone before the page */
	m->help = xstrdup(help);
	m->gauge = gauge;
	atomic_store(&m->value, 0);
	return plugin_metrics;
}

void
metric_plugin_add(uint32_t handle, uint64_t n)
{
	if (handle > 0 && handle <= PLUGIN_METRICS) {
		atomic_fetch_add_explicit(&plugin_metric[handle - 1].value, n,
		    memory_order_relaxed);
	}
}

void
metric_plugin_set(uint32_t handle, uint64_t n)
{
	if (handle > 0 && handle <= PLUGIN_METRICS) {
		atomic_store_explicit(&plugin_metric[handle - 1].value, n,
		    memory_order_relaxed);
	}
}

void
metric_add_source(metric_source_f *fn, void *arg)
{
	assert(sources < SOURCES);
	source[sources++] = (struct source){ fn, arg };
}

void
metric_put_head(struct buf *b, const char *name, const char *help,
    const char *type)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
metric_put(struct buf *b, const char *name, const char *help, const char *type,
    uint64_t value)
{
	metric_put_head(b, name, help, type);
	buf_printf(b, "%s %llu\n", name, (unsigned long long)value);
}

void
metric_put_hist(struct buf *b, const char *name, const char *help,
    const struct hist *h)
{
	metric_put_head(b, name, help, "histogram");
	/* Powers of two, from 16 us to 8 s: exact in struct hist. */
	for (uint64_t top = 16; top <= 8388608; top *= 2) {
		buf_printf(b, "%s_bucket{le=\"%g\"} %llu\n", name,
		    (double)top / 1e6,
		    (unsigned long long)hist_under(h, top - 1));
	}
	buf_printf(b, "%s_bucket{le=\"+Inf\"} %llu\n", name,
	    (unsigned long long)count_get(&h->count));
	buf_printf(b, "%s_sum %.6f\n%s_count %llu\n", name,
	    (double)count_get(&h->sum) / 1e6, name,
	    (unsigned long long)count_get(&h->count));
}

static void
put_own(struct buf *b)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		if (i != METRIC_REJECTED_TOTAL) {
			metric_put(b, own[i].name, own[i].help, "counter",
			    atomic_load(&counter[i]));
			continue;
		}
		metric_put_head(b, own[i].name, own[i].help, "counter");
		for (int c = 1; c < CODES; c++) {
			buf_printf(b, "%s{code=\"%s\"} %llu\n", own[i].name,
			    code_name((enum aqb_code)c),
			    (unsigned long long)atomic_load(&rejected[c]));
		}
	}
}

static void
put_commands(struct buf *b)
{
	struct command_count *c, *next;

	metric_put_head(b, "arqonbus_commands_total",
	    "Commands called, by name and how they ended.", "counter");
	HASH_ITER(hh, commands, c, next)
	{
		for (int ok = 0; ok < 2; ok++) {
			buf_printf(b,
			    "arqonbus_commands_total{command=\"%s\","
			    "result=\"%s\"} %llu\n",
			    c->name, ok ? "success" : "error",
			    (unsigned long long)c->ended[ok]);
		}
	}
}

static uint64_t
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (dir == NULL) {
		return 0;
	}
	while (readdir(dir) != NULL) {
		n++;
	}
	closedir(dir);
	return n - 3; /* ".", "..", and the folder's own */
}

/*
 * Linux 6.2 and later tell the number as the folder's size.  Before, they
 * must be counted, which takes milliseconds where there are thousands: not
 * each second.
 */
static uint64_t
open_descriptors(void)
{
	static uint64_t counted, counted_at;
	uint64_t now = clock_mono_ms();
	struct stat st;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) {
		return (uint64_t)st.st_size;
	}
	if (counted_at == 0 || now - counted_at > RECOUNT_MS) {
		counted = count_descriptors();
		counted_at = now;
	}
	return counted;
}

static uint64_t
resident_bytes(void)
{
	unsigned long long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL) {
		return 0;
	}
	if (fscanf(f, "%llu %llu", &size, &resident) != 2) {
		resident = 0;
	}
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* To tell, malloc looks at every piece that is free, of which there may be very
 * many: then that is done less often, for nothing else is done meanwhile. */
static uint64_t
heap_used(void)
{
	static uint64_t used, next;
	uint64_t began = clock_mono_us();
	struct mallinfo2 heap;

	if (began >= next) {
		heap = mallinfo2();
		used = heap.uordblks + heap.hblkhd;
		next = began + (clock_mono_us() - began) * HEAP_REST;
	}
	return used;
}

static void
put_process(struct buf *b)
{
	struct rusage ru = { 0 };
	struct rlimit rl = { 0 };

	getrusage(RUSAGE_SELF, &ru);
	getrlimit(RLIMIT_NOFILE, &rl);
	metric_put_head(b, "process_cpu_seconds_total", "CPU time used.",
	    "counter");
	buf_printf(b, "process_cpu_seconds_total %.6f\n",
	    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		(double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	metric_put(b, "process_resident_memory_bytes", "Memory resident.",
	    "gauge", resident_bytes());
	metric_put(b, "process_open_fds", "Descriptors open.", "gauge",
	    open_descriptors());
	metric_put(b, "process_max_fds", "Descriptors there may be.", "gauge",
	    (uint64_t)rl.rlim_cur);
	metric_put(b, "arqonbus_heap_used_bytes",
	    "Bytes that malloc has given out.", "gauge", heap_used());
	metric_put(b, "arqonbus_log_lost_total",
	    "Log lines that found no room.", "counter", log_lost());
}

static void
render(struct buf *b)
{
	put_own(b);
	put_commands(b);
	for (uint32_t i = 0; i < plugin_metrics; i++) {
		struct plugin_metric *m = &plugin_metric[i];

		metric_put(b, m->name, m->help, m->gauge ? "gauge" : "counter",
		    atomic_load(&m->value));
	}
	for (size_t i = 0; i < sources; i++) {
		source[i].fn(source[i].arg, b);
	}
	put_process(b);
}

void
metric_snapshot_make(void)
{
	struct buf b = { 0 };
	char *text;
	size_t len;

	render(&b);
	text = buf_take(&b, &len);
	if (text == NULL) {
		return; /* the old page is better than none */
	}
	pthread_mutex_lock(&snapshot.lock);
	free(snapshot.text);
	snapshot.text = text;
	snapshot.len = len;
	pthread_mutex_unlock(&snapshot.lock);
}

char *
metric_snapshot(size_t *lenp)
{
	struct buf b = { 0 };

	pthread_mutex_lock(&snapshot.lock);
	buf_add(&b, snapshot.text == NULL ? "" : snapshot.text, snapshot.len);
	pthread_mutex_unlock(&snapshot.lock);
	metric_put(&b, "arqonbus_core_stalled",
	    "1 while the core does not turn; the rest is then old.", "gauge",
	    health_is_stalled());
	return buf_take(&b, lenp);
}

void
metric_reset(void)
{
	struct command_count *c, *next;

	HASH_ITER(hh, commands, c, next)
	{
		HASH_DEL(commands, c);
		free(c);
	}
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		atomic_store(&counter[i], 0);
	}
	for (size_t i = 0; i < CODES; i++) {
		atomic_store(&rejected[i], 0);
	}
	while (plugin_metrics > 0) {
		plugin_metrics--;
		free(plugin_metric[plugin_metrics].name);
		free(plugin_metric[plugin_metrics].help);
	}
	sources = 0;
	pthread_mutex_lock(&snapshot.lock);
	free(snapshot.text);
	snapshot.text = NULL;
	snapshot.len = 0;
	pthread_mutex_unlock(&snapshot.lock);
}

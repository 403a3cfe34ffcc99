/* SPDX-License-Identifier: Apache-2.0 */

/* Message history in memory: arqonbus-storage-memory(7). */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include <arqonbus/plugin.h>

#include "stream.h"

#define SWEEP_S 1
#define SWEEP_MOST 20000 /* streams and messages looked at in one sweep */
#define SAY_AGAIN_MS 60000

static aqb_plugin_init_f mem_init;
static aqb_plugin_start_f mem_start;
static aqb_plugin_stop_f mem_stop;
static aqb_plugin_fini_f mem_fini;
static aqb_store_append_f mem_append;
static aqb_store_tail_f mem_tail;
static aqb_store_history_f mem_history;
static aqb_store_forget_f mem_forget;
static aqb_store_usage_f mem_usage;

struct mem_conf {
	uint64_t memory_limit;
};

struct mem {
	const struct aqb_host *host;
	struct streams streams;
	struct event *sweep;
	uint64_t evicted_told; /* to metrics */
	uint64_t expired_told;
	uint64_t evicted_said; /* to the log */
	uint64_t say_again;    /* not before; ms */
	uint32_t metric_streams;
	uint32_t metric_evicted, metric_expired;
};

static const struct aqb_option mem_options[] = {
	AQB_SIZE("memory_limit", struct mem_conf, memory_limit, 65536,
	    (uint64_t)1 << 40, "256MiB",
	    "memory for the history of all channels; the oldest go first"),
	AQB_OPTIONS_END,
};

static const struct aqb_storage_ops mem_storage = {
	.size = sizeof mem_storage,
	.stored = AQB_STORED_MEMORY,
	.append = mem_append,
	.tail = mem_tail,
	.history = mem_history,
	.forget = mem_forget,
	.usage = mem_usage,
};

AQB_PLUGIN(.conf_size = sizeof(struct mem_conf), .name = "storage-memory",
    .version = "0.1", .summary = "message history in memory",
    .options = mem_options, .init = mem_init, .start = mem_start,
    .stop = mem_stop, .fini = mem_fini, .storage = &mem_storage, );

/* Never the time of day, which an operator may set. */
static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
add_metrics(struct mem *mem)
{
	const struct aqb_host *host = mem->host;
	const struct aqb_metrics *m = host->metrics;

	mem->metric_streams = m->gauge(host, "arqonbus_storage_memory_streams",
	    "Streams, those without messages included.");
	mem->metric_evicted =
	    m->counter(host, "arqonbus_storage_memory_evicted_total",
		"Messages that went because memory_limit was reached.");
	mem->metric_expired =
	    m->counter(host, "arqonbus_storage_memory_expired_total",
		"Messages that went because of their age.");
}

static int
mem_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	const struct mem_conf *c = conf;
	struct mem *mem = calloc(1, sizeof *mem);

	(void)why;
	if (mem == NULL) {
		return AQB_ENOMEM;
	}
	mem->host = host;
	streams_init(&mem->streams, host, c->memory_limit);
	add_metrics(mem);
	*selfp = mem;
	return AQB_OK;
}

/* Say that memory is short: at once, and then once a minute. */
static void
say_evicted(struct mem *mem, uint64_t now)
{
	if (mem->streams.evicted == mem->evicted_said || now < mem->say_again) {
		return;
	}
	mem->host->log(mem->host, AQB_WARNING,
	    "memory_limit of %llu bytes is reached; the %llu oldest messages "
	    "of all channels went",
	    (unsigned long long)mem->streams.memory_limit,
	    (unsigned long long)(mem->streams.evicted - mem->evicted_said));
	mem->evicted_said = mem->streams.evicted;
	mem->say_again = now + SAY_AGAIN_MS;
}

static void
tell_metrics(struct mem *mem)
{
	const struct aqb_metrics *m = mem->host->metrics;
	const struct streams *all = &mem->streams;

	m->set(mem->host, mem->metric_streams, all->count);
	m->add(mem->host, mem->metric_evicted,
	    all->evicted - mem->evicted_told);
	m->add(mem->host, mem->metric_expired,
	    all->expired - mem->expired_told);
	mem->evicted_told = all->evicted;
	mem->expired_told = all->expired;
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct mem *mem = arg;
	uint64_t now = now_ms();

	(void)fd;
	(void)what;
	streams_sweep(&mem->streams, now, SWEEP_MOST);
	tell_metrics(mem);
	say_evicted(mem, now);
}

static int
mem_start(void *self, struct aqb_why *why)
{
	const struct timeval every = { .tv_sec = SWEEP_S };
	struct mem *mem = self;

	(void)why;
	mem->sweep = event_new(mem->host->loop_base(mem->host), -1, EV_PERSIST,
	    on_sweep, mem);
	if (mem->sweep == NULL || event_add(mem->sweep, &every) != 0) {
		return AQB_ENOMEM;
	}
	return AQB_OK;
}

static void
mem_stop(void *self, aqb_ticket ticket)
{
	struct mem *mem = self;

	event_free(mem->sweep);
	mem->sweep = NULL;
	mem->host->answer(mem->host, ticket, AQB_OK, NULL);
}

static void
mem_fini(void **selfp)
{
	struct mem *mem = *selfp;

	*selfp = NULL;
	if (mem->sweep != NULL) {
		event_free(mem->sweep);
	}
	streams_fini(&mem->streams);
	free(mem);
}

static int
mem_append(void *self, aqb_ticket ticket, const char *name,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp)
{
	struct mem *mem = self;
	struct stream *s = stream_get(&mem->streams, name);

	(void)ticket;
	if (s == NULL ||
	    stream_append(&mem->streams, s, limits, msg, now_ms(), posp) !=
		AQB_OK) {
		return AQB_ENOMEM;
	}
	return AQB_DONE;
}

static int
mem_tail(void *self, aqb_ticket ticket, const char *name,
    struct aqb_answer *answerp)
{
	struct mem *mem = self;
	struct stream *s = stream_get(&mem->streams, name);

	(void)ticket;
	if (s == NULL) {
		return AQB_ENOMEM;
	}
	stream_expire(&mem->streams, s, now_ms());
	stream_ends(s, answerp);
	return AQB_DONE;
}

static void
mem_history(void *self, aqb_ticket ticket, const char *name,
    const struct aqb_range *range)
{
	struct mem *mem = self;
	struct stream *s = stream_find(&mem->streams, name);
	struct aqb_answer answer = { .size = sizeof answer, .first = 1 };
	int err = AQB_OK;

	if (s != NULL) {
		stream_expire(&mem->streams, s, now_ms());
		err = stream_read(&mem->streams, s, range, &answer);
	}
	mem->host->answer(mem->host, ticket, (enum aqb_err)err, &answer);
	free((void *)answer.msgs);
}

static void
mem_forget(void *self, aqb_ticket ticket, const char *name)
{
	struct mem *mem = self;
	struct stream *s = stream_find(&mem->streams, name);

	if (s != NULL) {
		stream_drop(&mem->streams, s);
	}
	mem->host->answer(mem->host, ticket, AQB_OK, NULL);
}

static void
mem_usage(void *self, uint64_t *messagesp, uint64_t *bytesp)
{
	const struct mem *mem = self;

	*messagesp = mem->streams.messages;
	*bytesp = mem->streams.bytes;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Message history in Redis Streams: arqonbus-storage-redis(7). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <event2/event.h>

#include "away.h"
#include "board.h"
#include "check.h"
#include "dedupe.h"
#include "fence.h"
#include "history.h"
#include "keep.h"
#include "mend.h"
#include "probe.h"
#include "redis.h"
#include "replica.h"
#include "resolve.h"
#include "shard.h"
#include "write.h"

#define TICK_MS 100
#define DISK_MS 1000
#define DEFAULT_URL "redis://127.0.0.1:6379"
#define MINUTE UINT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define GIB ((uint64_t)1 << 30)

static aqb_plugin_init_f redis_init;
static aqb_plugin_start_f redis_start;
static aqb_plugin_stop_f redis_stop;
static aqb_plugin_fini_f redis_fini;
static aqb_store_append_f do_append;
static aqb_store_tail_f do_tail;
static aqb_store_history_f do_history;
static aqb_store_forget_f do_forget;
static aqb_store_usage_f do_usage;
static aqb_store_backlog_f do_backlog;
static aqb_store_cancel_f do_cancel;
static aqb_store_accept_f do_accept;
static aqb_store_resolve_f do_resolve;
static aqb_store_probe_f do_probe;
static aqb_store_keep_f do_keep;
static aqb_store_follow_f do_follow;
static aqb_store_notify_f do_notify;
static aqb_store_share_f do_share;

static const struct aqb_option redis_options[] = {
	AQB_SECRET("url", struct redis_conf, url, 1024,
	    "where Redis is: redis://user:password@host:port/database, "
	    "unix:///path?db=0, or redis+sentinel://host:port,../name; "
	    "redis://127.0.0.1:6379 when empty"),
	AQB_STRING("prefix", struct redis_conf, prefix, 32, "arq",
	    "how the names of all keys begin; brokers with different ones do "
	    "not meet"),
	AQB_ENUM("mode", struct redis_conf, mode, "degraded|strict", "degraded",
	    "what happens while Redis is away; [storage] mode unless set here"),
	AQB_BOOL("cluster", struct redis_conf, cluster, "no",
	    "whether several brokers on these streams are one bus; [storage] "
	    "cluster unless set here"),
	AQB_DURATION("node_ttl", struct redis_conf, node_ttl, 100, HOUR, "15s",
	    "how long a broker that says nothing still counts as there"),
	AQB_BOOL("check", struct redis_conf, check, "yes",
	    "refuse to start with a Redis that may evict streams"),
	AQB_U32("spool_messages", struct redis_conf, spool_messages, 1,
	    10000000, "65536",
	    "messages that may wait for Redis; over it they are refused"),
	AQB_SIZE("spool_size", struct redis_conf, spool_size, 65536, 64 * GIB,
	    "64MiB", "the same in memory"),
	AQB_DURATION("spool_wait", struct redis_conf, spool_wait, 1, HOUR,
	    "30s", "how long a message waits for Redis in mode strict"),
	AQB_DURATION("hold", struct redis_conf, hold, 0, HOUR, "5s",
	    "how long a stored message is held, to be stored again should "
	    "Redis lose it; 0 holds none"),
	AQB_SIZE("hold_size", struct redis_conf, hold_size, 0, 64 * GIB,
	    "512MiB", "memory for these; over it the oldest go early"),
	AQB_U32("replicas", struct redis_conf, replicas, 0, 16, "0",
	    "replicas that must have an acked message of a channel with "
	    "durability replicated; 0 refuses such channels"),
	AQB_DURATION("replica_wait", struct redis_conf, replica_wait, 1, MINUTE,
	    "10s", "how long they are waited for"),
	AQB_U32("streams", struct redis_conf, streams, 1, 10000000, "100000",
	    "channels of which it is remembered where they end; over it Redis "
	    "is asked again about those that were not used for long"),
	AQB_DURATION("stream_ttl", struct redis_conf, stream_ttl, MINUTE,
	    3650 * DAY, "7d",
	    "how long the stream of a channel without history_ttl is kept "
	    "after its last message"),
	AQB_DURATION("stop_wait", struct redis_conf, stop_wait, 0, 4500, "4s",
	    "how long a stop waits for Redis to take what is left"),
	AQB_DURATION("away_after", struct redis_conf, away_after, 1, MINUTE,
	    "250ms",
	    "how long Redis may be unreachable before it counts as away"),
	AQB_DURATION("connect_timeout", struct redis_conf, times.connect, 10,
	    MINUTE, "1s", "how long a connection may take"),
	AQB_DURATION("timeout", struct redis_conf, times.answer, 40, MINUTE,
	    "2s", "how long Redis may be silent while answers are due"),
	AQB_DURATION("retry_min", struct redis_conf, times.retry_min, 1, MINUTE,
	    "50ms", "the wait before the first try to connect again"),
	AQB_DURATION("retry_max", struct redis_conf, times.retry_max, 1, HOUR,
	    "5s", "the wait, doubled each time, grows to this"),
	AQB_OPTIONS_END,
};

static const struct aqb_storage_ops redis_storage = {
	.size = sizeof redis_storage,
	.caps = AQB_STORE_DURABLE | AQB_STORE_SHARED,
	.stored = AQB_STORED_NONE, /* what is done in the call is not kept */
	.append = do_append,
	.tail = do_tail,
	.history = do_history,
	.forget = do_forget,
	.usage = do_usage,
	.cancel = do_cancel,
	.accept = do_accept,
	.resolve = do_resolve,
	.probe = do_probe,
	.keep = do_keep,
	.follow = do_follow,
	.notify = do_notify,
	.share = do_share,
	.backlog = do_backlog,
};

AQB_PLUGIN(.conf_size = sizeof(struct redis_conf),
    .name = "storage-redis-streams", .version = "0.1",
    .summary = "message history in Redis Streams", .options = redis_options,
    .init = redis_init, .start = redis_start, .stop = redis_stop,
    .fini = redis_fini, .storage = &redis_storage, );

void
redis_add(const struct redis *r, uint32_t metric, uint64_t n)
{
	r->host->metrics->add(r->host, metric, n);
}

void
redis_set(const struct redis *r, uint32_t metric, uint64_t n)
{
	r->host->metrics->set(r->host, metric, n);
}

void
redis_fail(const struct redis *r, aqb_ticket ticket, enum aqb_err err)
{
	if (ticket != 0) {
		r->host->answer(r->host, ticket, err, NULL);
	}
}

uint32_t
redis_backlog(const struct redis *r)
{
	return spool_fill(&r->spool, r->conf->spool_messages,
	    r->conf->spool_size);
}

bool
redis_is_present(const struct redis *r)
{
	return r->is_fenced && link_is_ready(r->write);
}

static void
add_metrics(struct redis *r)
{
	const struct {
		uint32_t *metric;
		bool is_gauge;
		const char *name, *help;
	} all[] = {
		{ &r->metrics.connected, true,
		    "arqonbus_storage_redis_connected",
		    "1 while Redis can be written to." },
		{ &r->metrics.away, true, "arqonbus_storage_redis_away",
		    "1 while Redis counts as away." },
		{ &r->metrics.spool_messages, true,
		    "arqonbus_storage_redis_spool_messages",
		    "Messages that wait to be stored." },
		{ &r->metrics.spool_bytes, true,
		    "arqonbus_storage_redis_spool_bytes",
		    "The memory they take." },
		{ &r->metrics.hold_messages, true,
		    "arqonbus_storage_redis_hold_messages",
		    "Stored messages that are held for a while." },
		{ &r->metrics.hold_bytes, true,
		    "arqonbus_storage_redis_hold_bytes",
		    "The memory they take." },
		{ &r->metrics.hold_short, false,
		    "arqonbus_storage_hold_short_total",
		    "Messages that were held for less than hold." },
		{ &r->metrics.appended, false,
		    "arqonbus_storage_redis_appended_total",
		    "Messages that were stored." },
		{ &r->metrics.replayed, false,
		    "arqonbus_storage_redis_replayed_total",
		    "Stored messages that were sent again because Redis may "
		    "have lost them." },
		{ &r->metrics.repaired, false,
		    "arqonbus_storage_redis_repaired_total",
		    "Those of them that it had lost." },
		{ &r->metrics.refused, false,
		    "arqonbus_storage_redis_refused_total",
		    "Messages that were not stored." },
		{ &r->metrics.repeated, false,
		    "arqonbus_storage_redis_repeated_total",
		    "Messages that were there from an earlier life." },
		{ &r->metrics.replicating, true,
		    "arqonbus_storage_redis_replicating_messages",
		    "Messages that wait for replicas." },
		{ &r->metrics.unreplicated, false,
		    "arqonbus_storage_redis_unreplicated_total",
		    "Messages that waited for replicas in vain." },
		{ &r->metrics.reads, false,
		    "arqonbus_storage_redis_reads_total",
		    "Pages of history read from Redis." },
		{ &r->metrics.connections, false,
		    "arqonbus_storage_redis_connections_total",
		    "Connections made to Redis." },
		{ &r->metrics.foreign, false,
		    "arqonbus_storage_redis_foreign_total",
		    "Keys and entries that are not ours." },
	};
	const struct aqb_metrics *m = r->host->metrics;

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		*all[i].metric = all[i].is_gauge
		    ? m->gauge(r->host, all[i].name, all[i].help)
		    : m->counter(r->host, all[i].name, all[i].help);
	}
}

static bool
is_prefix_right(const char *prefix)
{
	return *prefix != '\0' &&
	    prefix[strspn(prefix,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_.-")] == '\0';
}

static void
make_boot(struct redis *r)
{
	unsigned char raw[(sizeof r->boot - 1) / 2];

	while (getrandom(raw, sizeof raw, 0) != sizeof raw) {
	}
	for (size_t i = 0; i < sizeof raw; i++) {
		snprintf(r->boot + 2 * i, 3, "%02x", raw[i]);
	}
}

static int
redis_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	const struct redis_conf *c = conf;
	struct redis *r;
	struct url url;
	int err;

	err = url_parse(*c->url == '\0' ? DEFAULT_URL : c->url, &url, why);
	if (err != AQB_OK) {
		return err;
	}
	if (!is_prefix_right(c->prefix)) {
		snprintf(why->text, sizeof why->text,
		    "prefix: only A-Z a-z 0-9 _ . - may be in it, and it may "
		    "not be empty");
		return AQB_EINVAL;
	}
	r = calloc(1, sizeof *r);
	if (r == NULL) {
		return AQB_ENOMEM;
	}
	r->host = host;
	r->conf = c;
	r->url = url;
	r->mode = c->cluster ? MODE_STRICT : (enum redis_mode)c->mode;
	r->stored_class = AQB_STORED_REDIS;
	r->booted = clock_ms();
	make_boot(r);
	streams_init(&r->streams);
	spool_init(&r->spool);
	add_metrics(r);
	if (history_init(r) != AQB_OK) {
		free(r);
		return AQB_ENOMEM;
	}
	*selfp = r;
	return AQB_OK;
}

static void
on_write_ready(void *arg)
{
	struct redis *r = arg;

	redis_add(r, r->metrics.connections, 1);
	fence_begin(r);
}

static void
on_write_lost(void *arg)
{
	struct redis *r = arg;

	r->is_fenced = false;
	redis_set(r, r->metrics.connected, 0);
	away_soon(r);
}

static void
on_read_ready(void *arg)
{
	struct redis *r = arg;

	redis_add(r, r->metrics.connections, 1);
	if (r->cluster != NULL) {
		mend_go_on(r);
	}
	history_go_on(r);
	resolve_go_on(r);
}

static void
set_gauges(const struct redis *r)
{
	const struct spool *s = &r->spool;

	redis_set(r, r->metrics.spool_messages, s->messages);
	redis_set(r, r->metrics.spool_bytes, s->bytes);
	redis_set(r, r->metrics.hold_messages, s->held_messages);
	redis_set(r, r->metrics.hold_bytes, s->held_bytes);
	redis_set(r, r->metrics.replicating, s->written_messages);
}

static void
answer_stop(struct redis *r)
{
	aqb_ticket ticket = r->stopping;

	r->stopping = 0;
	redis_fail(r, ticket, AQB_OK);
}

/* All is stored, or never will be. */
static void
finish_stop(struct redis *r)
{
	size_t written = r->spool.written_messages;

	if (r->spool.messages > written) {
		r->host->log(r->host, AQB_ERROR,
		    "%zu messages are lost: Redis was away to the end",
		    r->spool.messages - written);
	}
	if (written > 0) {
		r->host->log(r->host, AQB_WARNING,
		    "%zu messages are in Redis, and not known to be on its "
		    "replicas",
		    written);
	}
	event_del(r->tick);
	if (r->cluster != NULL) {
		shared_leave(r, answer_stop);
	} else {
		answer_stop(r);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct redis *r = arg;
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	write_tick(r);
	replica_tick(r);
	if (r->cluster != NULL) {
		shared_tick(r);
	} else {
		streams_forget_some(r);
	}
	history_go_on(r);
	resolve_go_on(r);
	if (now >= r->disk_at) {
		r->disk_at = now + DISK_MS;
		probe_disk(r);
	}
	set_gauges(r);
	if (r->stopping != 0 && (r->spool.messages == 0 || now >= r->stop_at)) {
		finish_stop(r);
	}
}

static struct link *
make_link(struct redis *r, char *name, size_t size, const char *what,
    const struct link_events *events)
{
	snprintf(name, size, "arqonbus-%s-%s", r->boot, what);
	return link_new(r->host, r->base, &r->url, &r->conf->times, name,
	    events);
}

static int
redis_start(void *self, struct aqb_why *why)
{
	const struct timeval every = { .tv_usec = TICK_MS * 1000 };
	struct redis *r = self;
	const struct link_events write = { on_write_ready, on_write_lost,
		on_write_lost, r };
	const struct link_events read = { on_read_ready, NULL, NULL, r };
	int err = check_redis(r, why);

	if (err != AQB_OK) {
		return err;
	}
	r->base = r->host->loop_base(r->host);
	r->write =
	    make_link(r, r->write_name, sizeof r->write_name, "write", &write);
	r->read =
	    make_link(r, r->read_name, sizeof r->read_name, "read", &read);
	r->tick = event_new(r->base, -1, EV_PERSIST, on_tick, r);
	if (r->write == NULL || r->read == NULL || r->tick == NULL ||
	    away_init(r) != AQB_OK || replica_start(r) != AQB_OK ||
	    event_add(r->tick, &every) != 0) {
		return AQB_ENOMEM;
	}
	link_start(r->write);
	link_start(r->read);
	return AQB_OK;
}

static void
redis_stop(void *self, aqb_ticket ticket)
{
	struct redis *r = self;

	r->stopping = ticket;
	r->stop_at = clock_ms() + r->conf->stop_wait;
	event_active(r->tick, 0, 0);
}

static void
redis_fini(void **selfp)
{
	struct redis *r = *selfp;

	*selfp = NULL;
	if (r->tick != NULL) {
		event_free(r->tick);
	}
	away_fini(r);
	replica_fini(r);
	link_free(&r->read);
	link_free(&r->write);
	shared_free(r);
	history_fini(r);
	resolve_fini(r);
	write_fini(r);
	dedupe_fini(r);
	streams_fini(&r->streams);
	keep_free(r);
	free(r);
}

static int
do_append(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp)
{
	struct redis *r = self;

	return r->cluster != NULL
	    ? shard_append(r, ticket, stream, limits, msg)
	    : write_append(r, ticket, stream, limits, msg, posp);
}

/*
 * Always by the ticket, also when it is known: what was answered before it is
 * told before it, so that who joins now knows exactly what it will get.
 */
static int
do_tail(void *self, aqb_ticket ticket, const char *name,
    struct aqb_answer *answerp)
{
	struct redis *r = self;
	struct stream *s = stream_get(r, name);
	struct question *q = s == NULL ? NULL : calloc(1, sizeof *q);

	(void)answerp;
	if (q == NULL) {
		return AQB_ENOMEM;
	}
	q->ticket = ticket;
	TAILQ_INSERT_TAIL(&s->questions, q, link);
	stream_open(r, s);
	if (away_is_early(r)) {
		stream_improvise(r, s);
	}
	if (s->state == STREAM_OPEN || s->is_provisional) {
		stream_tell(r, s, AQB_OK);
	} else if (s->state == STREAM_CONFLICT || r->is_away) {
		stream_tell(r, s, AQB_EUNAVAIL);
	}
	return AQB_PENDING;
}

static void
do_history(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_range *range)
{
	history_read(self, ticket, stream, range);
}

static void
do_forget(void *self, aqb_ticket ticket, const char *stream)
{
	struct redis *r = self;
	int err = r->cluster != NULL ? shard_forget(r, ticket, stream)
				     : write_forget(r, ticket, stream);

	if (err != AQB_OK) {
		redis_fail(self, ticket, (enum aqb_err)err);
	}
}

static void
do_usage(void *self, uint64_t *messagesp, uint64_t *bytesp)
{
	const struct redis *r = self;

	*messagesp = r->spool.messages + r->spool.held_messages;
	*bytesp = r->spool.bytes + r->spool.held_bytes;
}

static uint32_t
do_backlog(void *self)
{
	const struct redis *r = self;

	return away_is_early(r) || r->is_ousted ? 0 : redis_backlog(r);
}

/* Everything here is bounded by itself, and late answers do no harm; but whose
 * message it was may say it again. */
static void
do_cancel(void *self, aqb_ticket ticket)
{
	struct redis *r = self;

	if (r->cluster == NULL) {
		dedupe_cancel(r, ticket);
	}
}

static int
do_accept(void *self, const struct aqb_limits *limits, struct aqb_why *why)
{
	const struct redis *r = self;

	if (limits->durability == AQB_DURABLE_REPLICATED && r->conf->cluster) {
		snprintf(why->text, sizeof why->text,
		    "durability: replicated is for one broker, not for "
		    "several on one storage");
		return AQB_EINVAL;
	}
	if (limits->durability == AQB_DURABLE_REPLICATED &&
	    r->conf->replicas == 0) {
		snprintf(why->text, sizeof why->text,
		    "durability: replicated needs replicas = 1 or more in "
		    "[plugin storage-redis-streams]");
		return AQB_EINVAL;
	}
	if (limits->durability == AQB_DURABLE_FSYNC &&
	    r->stored_class != AQB_STORED_FSYNC) {
		snprintf(why->text, sizeof why->text,
		    "durability: fsync needs a Redis with appendfsync always");
		return AQB_EINVAL;
	}
	return AQB_OK;
}

static void
do_resolve(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_position *since)
{
	resolve(self, ticket, stream, since);
}

static void
do_probe(void *self, aqb_ticket ticket)
{
	struct redis *r = self;

	if (r->cluster != NULL) {
		board_probe(r, ticket);
	} else {
		probe_begin(r, ticket);
	}
}

static void
do_keep(void *self, aqb_ticket ticket, const char *key, struct aqb_slice value)
{
	keep_value(self, ticket, key, value);
}

static int
do_follow(void *self, const struct aqb_follower *follower, struct aqb_why *why)
{
	return shared_follow(self, follower, why);
}

static int
do_notify(void *self, struct aqb_slice notice)
{
	return board_notify(self, notice);
}

static int
do_share(void *self, const char *key, struct aqb_slice value, uint32_t flags)
{
	return board_share(self, key, value, flags);
}

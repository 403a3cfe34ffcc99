/* SPDX-License-Identifier: Apache-2.0 */
#include "main/broker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/rand.h"
#include "base/why.h"
#include "bus/bus.h"
#include "bus/drain.h"
#include "cmd/call.h"
#include "host/ask.h"
#include "host/health.h"
#include "host/metric.h"
#include "host/plugins.h"
#include "host/service.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "loop/loop.h"
#include "loop/sig.h"
#include "loop/timer.h"
#include "main/pages.h"
#include "main/version.h"
#include "net/crew.h"
#include "net/listen.h"
#include "net/worker.h"
#include "proto/name.h"

#define BROKER_MAGIC 0xd84a1c37u
#define BEAT_MS 500 /* well under what counts as stalled */
#define STORAGE_READ_MS 10000
#define STORAGE_APPEND_MS 60000 /* the backend gives up before */
#define PLUGIN_STOP_MS 5000
#define OPENING_MS 5 /* between looks whether the other brokers are known */
#define OPENING_MAX_MS 5000
#define CLUSTER_CHANNELS_MAX 4000u /* what a record of a client holds */

/*
 * Who calls whom: the loop runs connections' events, then at the end of each
 * turn the bus (what came up), then the worker (what went down, and the
 * writes).  With I/O threads each worker does the same on a loop of its own.
 * Everything else hangs on those.
 */
struct broker {
	uint32_t magic;
	const struct conf *conf;
	struct loop *loop;
	struct desk *desk;
	struct store *store;
	struct plugins *plugins;
	struct service_env env;
	struct bus *bus;
	struct crew *crew;
	struct listener *listener;
	struct pages pages;
	struct sig *sig[4];
	struct timer beat;
	struct timer probe; /* of the storage */
	struct timer opening;
	uint64_t opens_at;   /* the doors, at the latest */
	uint64_t last_stats; /* monotonic ms */
	uint64_t last_beat;
	bool stopping;
	char node[256];
};

static struct broker *the_broker; /* for the config hook, which has no arg */

static bool
on_turn_end(void *arg)
{
	(void)arg;
	health_beat();
	return false;
}

static char *
config_json(size_t *lenp)
{
	struct buf b = { 0 };

	conf_print_json(the_broker->conf, &b);
	return buf_take(&b, lenp);
}

static struct bus_conf
bus_settings(struct broker *b)
{
	const struct conf *c = b->conf;

	return (struct bus_conf){
		.node = b->node,
		.version = ARQONBUS_VERSION,
		.default_room = c->server.default_room,
		.bootstrap = c->server.bootstrap,
		.admin_token = c->auth.admin_token,
		.auto_create = c->server.auto_create,
		.require_membership = c->server.require_membership,
		.max_channels = c->server.max_channels,
		.max_channels_per_client = c->server.max_channels_per_client,
		.dedupe_size = c->server.dedupe_size,
		.max_message_size = (uint32_t)c->server.max_message_size,
		.history_size = c->storage.history_size,
		.history_ttl = c->storage.history_ttl,
		.max_violations = c->limits.max_violations,
		.sample = c->telemetry.sample,
		.dedupe_window = c->server.dedupe_window,
		.presence_grace = c->server.presence_grace,
		.presence_interval = c->server.presence_interval,
		.channel_idle = c->server.channel_idle,
		.ping_interval = c->server.ping_interval,
		.idle_after = c->telemetry.idle_after,
		.memory_limit = c->server.memory_limit,
		.outbox_limit = c->server.outbox_limit,
		.slow_policy = (uint8_t)c->server.slow_policy,
		.group_ack_wait = c->server.group_ack_wait,
		.group_linger = c->server.group_linger,
		.group_max_deliveries = c->server.group_max_deliveries,
		.group_max_pending = c->server.group_max_pending,
		.group_backlog = c->server.group_backlog,
		.messages = { c->limits.messages_per_second,
		    c->limits.messages_burst },
		.bytes = { c->limits.bytes_per_second, c->limits.bytes_burst },
		.commands = { c->limits.commands_per_second,
		    c->limits.commands_burst },
		.channels = { c->limits.channels_per_second,
		    c->limits.channels_burst },
	};
}

static struct net_conf
net_settings(struct broker *b)
{
	const struct conf *c = b->conf;

	return (struct net_conf){
		.binary = c->server.binary,
		.deflate = c->server.deflate,
		.deflate_level = c->server.deflate_level,
		.deflate_min = c->server.deflate_min_size,
		.max_message = (uint32_t)c->server.max_message_size,
		.outbox_limit = c->server.outbox_limit,
		.ping_interval = c->server.ping_interval,
		.ping_timeout = c->server.ping_timeout,
		.handshake_timeout = c->server.handshake_timeout,
		.close_timeout = c->server.close_timeout,
		.message_timeout = c->server.message_timeout,
		.write_timeout = c->server.write_timeout,
		.max_connections = c->server.max_connections,
		.max_half_open = c->server.max_half_open,
		.connections_per_address = c->limits.connections_per_address,
		.accepts_per_second = c->limits.accepts_per_second,
		.accepts_burst = c->limits.accepts_burst,
		.page = pages_get,
		.page_arg = &b->pages,
	};
}

/* One of several on this machine, perhaps, and its name a key for all. */
static void
make_unique(struct broker *b)
{
	char host[33], digits[5];

	snprintf(host, sizeof host, "%.32s", b->node);
	for (char *p = host; *p != '\0'; p++) {
		if (!name_valid(p, 1)) {
			*p = *p == '.' && p > host ? '.' : '-';
		}
	}
	rand_hex(digits, 2);
	snprintf(b->node, sizeof b->node, "%s-%ld-%s", host, (long)getpid(),
	    digits);
}

static void
name_node(struct broker *b)
{
	if (*b->conf->server.node != '\0') {
		strncpy(b->node, b->conf->server.node, sizeof b->node - 1);
	} else if (gethostname(b->node, sizeof b->node - 1) != 0) {
		strcpy(b->node, "arqonbus");
	}
	if (*b->conf->server.node == '\0' && b->conf->storage.cluster) {
		make_unique(b);
	}
	telemetry_set_node(b->node);
}

static void
on_beat(void *arg)
{
	struct broker *b;
	uint64_t now;
	uint64_t every;

	OBJ_CAST(b, arg, BROKER_MAGIC);
	now = loop_now(b->loop);
	every = b->conf->telemetry.stats_interval;
	health_set_failed_plugins(plugins_failed(b->plugins));
	bus_note_load(b->bus, now - b->last_beat, crew_lagged(b->crew));
	b->last_beat = now;
	crew_set_refusal(b->crew, bus_refusal(b->bus));
	if (now - b->last_stats >= every) {
		bus_tick(b->bus, now - b->last_stats);
		b->last_stats = now;
	}
	metric_snapshot_make();
	timer_set(b->loop, &b->beat, every < BEAT_MS ? every : BEAT_MS);
}

static void
on_probe(void *arg)
{
	struct broker *b;

	OBJ_CAST(b, arg, BROKER_MAGIC);
	store_probe(b->store);
	timer_set(b->loop, &b->probe, b->conf->storage.probe_interval);
}

/* Who comes in finds everything that the other brokers know; but nobody waits
 * for that for ever. */
static void
on_opening(void *arg)
{
	struct broker *b;

	OBJ_CAST(b, arg, BROKER_MAGIC);
	if (b->stopping || bus_knows_all(b->bus)) {
		listener_hold(b->listener, false);
	} else if (loop_now(b->loop) >= b->opens_at) {
		LOG(AQB_WARNING, "the other brokers are not known yet");
		listener_hold(b->listener, false);
	} else {
		timer_set(b->loop, &b->opening, OPENING_MS);
	}
}

static void
on_plugins_stopped(void *arg)
{
	struct broker *b;

	OBJ_CAST(b, arg, BROKER_MAGIC);
	loop_stop(b->loop);
}

/* The clients are gone. */
static void
on_drained(void *arg)
{
	struct broker *b;

	OBJ_CAST(b, arg, BROKER_MAGIC);
	timer_stop(&b->beat);
	timer_stop(&b->probe);
	plugins_stop(b->plugins, PLUGIN_STOP_MS, on_plugins_stopped, b);
}

/* The port stays open to the end, for /health. */
static void
stop(struct broker *b, int signo)
{
	const struct conf_server *c = &b->conf->server;

	if (b->stopping) {
		LOG(AQB_WARNING, "stopping at once");
		loop_stop(b->loop);
		return;
	}
	b->stopping = true;
	LOG(AQB_INFO, "stopping", F("signal", strsignal(signo)));
	telemetry_emit("server_stopping", AQB_INFO,
	    &(struct telemetry_fields){ 0 });
	health_set_draining(true);
	crew_close_doors(b->crew);
	drain_begin(b->bus,
	    &(struct drain_plan){
		.time = c->drain_time,
		.rate = c->drain_rate,
		.wait = c->drain_wait,
		.close_timeout = c->close_timeout,
	    },
	    on_drained, b);
}

static void
on_signal(void *arg, int signo)
{
	struct broker *b;

	OBJ_CAST(b, arg, BROKER_MAGIC);
	if (signo == SIGTERM || signo == SIGINT) {
		stop(b, signo);
		return;
	}
	log_reopen(); /* SIGHUP, SIGUSR1: logrotate */
}

static void
put_together(struct broker *b)
{
	struct bus_conf bus = bus_settings(b);
	struct net_conf net = net_settings(b);

	b->desk = desk_new(b->loop);
	b->store = store_new(b->desk,
	    &(struct store_times){
		.read = STORAGE_READ_MS,
		.append = STORAGE_APPEND_MS,
		.probe = b->conf->storage.probe_timeout,
	    });
	b->bus = bus_new(b->loop, b->store, &bus);
	b->env = (struct service_env){
		.loop = b->loop,
		.desk = b->desk,
		.hooks = {
			.bus = bus_api(b->bus),
			.reply = calls_reply,
			.fail = calls_fail,
			.config = config_json,
			.version = pages_version,
		},
	};
	b->plugins = plugins_new(&b->env, b->conf, b->store);
	b->env.plugins = b->plugins;
	calls_init(&(struct calls_env){
	    .loop = b->loop,
	    .bus = b->bus,
	    .plugins = b->plugins,
	    .timeout = b->conf->server.command_timeout,
	});
	loop_at_turn_end(b->loop, on_turn_end, b);
	loop_at_turn_end(b->loop, bus_turn_end, b->bus);
	loop_before_wait(b->loop, bus_has_work, b->bus);
	b->crew = crew_new(b->loop, &net, b->conf->server.io_threads);
	crew_set_lag_limit(b->crew, b->conf->server.lag_limit);
	for (uint32_t i = 0; i < b->crew->size; i++) {
		struct worker *w = b->crew->worker[i];

		bus_add_port(b->bus, &w->port, &w->routing);
	}
	b->pages = (struct pages){
		.conf = b->conf,
		.bus = b->bus,
		.store = b->store,
		.crew = b->crew,
		.plugins = b->plugins,
		.started = clock_wall_ms(),
	};
	pages_add_metrics(&b->pages);
}

struct broker *
broker_new(const struct conf *conf)
{
	struct broker *b = xnew(sizeof *b);

	b->magic = BROKER_MAGIC;
	b->conf = conf;
	the_broker = b;
	b->loop = loop_new();
	name_node(b);
	put_together(b);
	timer_init(&b->beat, on_beat, b);
	timer_init(&b->probe, on_probe, b);
	timer_init(&b->opening, on_opening, b);
	return b;
}

void
broker_free(struct broker **brokerp)
{
	struct broker *b;

	if (*brokerp == NULL) {
		return;
	}
	OBJ_TAKE(b, brokerp, BROKER_MAGIC);
	for (size_t i = 0; i < sizeof b->sig / sizeof b->sig[0]; i++) {
		sig_free(&b->sig[i]);
	}
	timer_stop(&b->beat);
	timer_stop(&b->probe);
	timer_stop(&b->opening);
	listener_free(&b->listener);
	/* The workers close hard what is still there. */
	crew_stop(b->crew);
	bus_drop_all(b->bus);
	crew_free(&b->crew);
	bus_forget_ports(b->bus);
	plugins_free(&b->plugins);
	bus_free(&b->bus);
	calls_fini();
	store_free(&b->store);
	desk_free(&b->desk);
	loop_free(&b->loop);
	metric_reset();
	the_broker = NULL;
	b->magic = 0;
	free(b);
}

int
broker_check(struct broker *b, struct aqb_why *why)
{
	OBJ_CHECK(b, BROKER_MAGIC);
	return plugins_load(b->plugins, true, why);
}

static void
watch_signals(struct broker *b)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		/* The loop puts back at the end what it finds here: a second
		 * SIGTERM must not kill while the last things are freed. */
		signal(signals[i], SIG_IGN);
		b->sig[i] = sig_new(b->loop, signals[i], on_signal, b);
	}
}

/* Be one bus with the others, before there is anything on it. */
static int
join_cluster(struct broker *b, struct aqb_why *why)
{
	const struct conf_server *c = &b->conf->server;

	if (!b->conf->storage.cluster) {
		return AQB_OK;
	}
	if (!name_valid(b->node, strlen(b->node))) {
		return refuse(why, AQB_EINVAL,
		    "server.node: \"%s\" is no name; in a cluster it must be "
		    "1 to %d of A-Z a-z 0-9 _ . - and not begin with .",
		    b->node, AQB_NAME_MAX);
	}
	if (c->max_channels_per_client > CLUSTER_CHANNELS_MAX) {
		return refuse(why, AQB_EINVAL,
		    "server.max_channels_per_client: %u; in a cluster it is at "
		    "most %u",
		    c->max_channels_per_client, CLUSTER_CHANNELS_MAX);
	}
	return bus_follow(b->bus, why);
}

int
broker_start(struct broker *b, struct aqb_why *why)
{
	const struct conf_server *c = &b->conf->server;
	struct net_conf net = net_settings(b);
	int err;

	OBJ_CHECK(b, BROKER_MAGIC);
	err = plugins_load(b->plugins, false, why);
	if (err == AQB_OK) {
		err = plugins_start(b->plugins, why);
	}
	if (err == AQB_OK) {
		err = join_cluster(b, why);
	}
	if (err != AQB_OK) {
		return err;
	}
	if (!bus_bootstrap(b->bus, why)) {
		return AQB_EINVAL;
	}
	b->listener = listener_new(b->loop, c->host, (uint16_t)c->port, &net,
	    b->crew, why);
	if (b->listener == NULL) {
		return AQB_ESYS;
	}
	if (!bus_knows_all(b->bus)) {
		listener_hold(b->listener, true);
		b->opens_at = loop_now(b->loop) + OPENING_MAX_MS;
		timer_set(b->loop, &b->opening, OPENING_MS);
	}
	watch_signals(b);
	crew_start(b->crew);
	health_beat();
	b->last_stats = b->last_beat = loop_now(b->loop);
	on_beat(b);
	timer_set(b->loop, &b->probe, b->conf->storage.probe_interval);
	LOG(AQB_INFO, "listening", F("host", c->host),
	    FN("port", listener_port(b->listener)),
	    F("version", ARQONBUS_VERSION), F("node", b->node));
	telemetry_emit("server_started", AQB_INFO,
	    &(struct telemetry_fields){ 0 });
	return AQB_OK;
}

void
broker_run(struct broker *b)
{
	OBJ_CHECK(b, BROKER_MAGIC);
	loop_run(b->loop);
	LOG(AQB_INFO, "stopped");
}

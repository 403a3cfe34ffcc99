/* SPDX-License-Identifier: Apache-2.0 */
#include "bus_fake_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plugins/fake_clock.h"
#include "base/hash.h"
#include "base/hist.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/why.h"
#include "bus/join.h"
#include "bus/port.h"
#include "host/health.h"
#include "host/metric.h"
#include "host/store.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "proto/msg.h"

#define PEERS 512
#define TEXTS 4096 /* one peer's unheard */
#define LANES 256  /* of one peer */
#define TURNS 8    /* after which everything has had its consequences */
#define STEP_MS 25

struct bus_conf settings;
struct bus *bus;

/* A broker: there is one, or the nodes of a cluster. */
struct world {
	struct bus *bus;
	struct store *store;
	struct port port;
};

/* A peer and what the worker knows of it. */
struct wire {
	struct peer peer;
	struct world *world;
	bool is_asked; /* PORT_TELL waits */
	char *text[TEXTS];
	size_t from, to;
	uint32_t lane[LANES];
	size_t lanes;
	uint64_t mark;
};

struct loop *loop;
struct desk *desk;
static struct world worlds[CLUSTER_NODES];
static size_t world_count = 1;
static struct world *here;
static bool is_cluster;
static struct wire *wires[PEERS];
static size_t wire_count;
static struct peer *caller;
static aqb_ticket last_call;
static struct joined last_join;

/* ---- the worker ---- */

uint64_t cut_bytes;

static struct wire *
wire_of(struct port_conn *conn)
{
	return (struct wire *)conn;
}

static void
hand_over(struct wire *w, struct aqb_msg *msg)
{
	struct aqb_slice text = msg_json(msg);

	ck_assert_uint_lt(w->to - w->from, TEXTS);
	w->text[w->to++ % TEXTS] = strndup(text.data, text.len);
}

static bool
is_in_lane(const struct wire *w, uint32_t lane)
{
	for (size_t i = 0; i < w->lanes; i++) {
		if (w->lane[i] == lane) {
			return true;
		}
	}
	return false;
}

static void
deliver(const struct world *world, const struct port_down *d)
{
	for (size_t i = 0; i < wire_count; i++) {
		struct wire *w = wires[i];

		if (w->world != world || w->peer.is_closed ||
		    &w->peer.conn == d->conn || !is_in_lane(w, d->lane) ||
		    (d->mark != 0 && w->mark == d->mark)) {
			continue;
		}
		w->mark = d->mark != 0 ? d->mark : w->mark;
		hand_over(w, d->msg);
	}
}

static void
leave_lane(struct wire *w, uint32_t lane)
{
	for (size_t i = 0; i < w->lanes; i++) {
		if (w->lane[i] == lane) {
			w->lane[i] = w->lane[--w->lanes];
			return;
		}
	}
}

static struct port_up *
post(struct wire *w, enum port_up_kind kind)
{
	struct port_up *up = mailbox_add(w->world->port.up);

	up->kind = kind;
	up->conn = &w->peer.conn;
	return up;
}

static void
close_wire(struct wire *w, uint16_t code, const char *reason)
{
	if (w->peer.is_closed) {
		return;
	}
	w->peer.is_closed = true;
	w->peer.close_code = code;
	snprintf(w->peer.close_reason, sizeof w->peer.close_reason, "%s",
	    reason == NULL ? "" : reason);
	post(w, PORT_CLOSED)->close_code = code;
}

static void
forget_texts(struct wire *w)
{
	while (w->from < w->to) {
		free(w->text[w->from++ % TEXTS]);
	}
}

static void
obey(struct world *world, struct port_down *d)
{
	struct wire *w = wire_of(d->conn);

	switch (d->kind) {
	case PORT_JOIN:
		if (!w->peer.is_closed && !is_in_lane(w, d->lane)) {
			ck_assert_uint_lt(w->lanes, LANES);
			w->lane[w->lanes++] = d->lane;
		}
		break;
	case PORT_LEAVE:
		leave_lane(w, d->lane);
		break;
	case PORT_DELIVER:
		deliver(world, d);
		break;
	case PORT_SEND:
		if (!w->peer.is_closed) {
			hand_over(w, d->msg);
		}
		break;
	case PORT_CLOSE:
		close_wire(w, d->code, d->reason);
		break;
	case PORT_FORGET:
		w->peer.is_closed = true; /* freed at the end */
		break;
	case PORT_PAUSE:
		w->peer.is_paused = true;
		break;
	case PORT_RESUME:
		w->peer.is_paused = false;
		break;
	case PORT_BINARY:
	case PORT_TEXT:
		w->peer.is_binary = d->kind == PORT_BINARY;
		break;
	case PORT_CUT:
		cut_bytes += d->bytes;
		break;
	case PORT_TELL:
		w->is_asked = true;
		break;
	}
	port_unload(&world->port, d);
}

static bool
worker_turn(void *arg)
{
	struct port_down *d;

	(void)arg;
	for (size_t i = 0; i < world_count; i++) {
		while ((d = mailbox_take(worlds[i].port.down)) != NULL) {
			obey(&worlds[i], d);
		}
	}
	for (size_t i = 0; i < wire_count; i++) {
		struct wire *w = wires[i];

		if (w->is_asked && !w->peer.is_full && !w->peer.is_closed) {
			w->is_asked = false;
			post(w, PORT_READY);
		}
	}
	return false;
}

static bool
something_is_up(void)
{
	for (size_t i = 0; i < world_count; i++) {
		if (mailbox_count(worlds[i].port.up) > 0) {
			return true;
		}
	}
	return false;
}

void
settle(void)
{
	for (int i = 0; i < TURNS || something_is_up() ||
	     desk_open(desk) > backend_waits();
	     i++) {
		ck_assert_int_lt(i, 1000);
		cluster_tells();
		loop_turn(loop, false);
	}
}

/* ---- peers ---- */

struct peer *
come_with_token(const char *query, const char *token)
{
	struct wire *w = xnew(sizeof *w);
	struct port_hello *hello = xnew(sizeof *hello);
	const char *welcome, *at;

	ck_assert_uint_lt(wire_count, PEERS);
	wires[wire_count++] = w;
	w->world = here;
	w->peer.conn.port = &here->port;
	snprintf(hello->address, sizeof hello->address, "127.0.0.1:%zu",
	    wire_count);
	hello->query = xstrdup(query);
	hello->token = token == NULL ? NULL : xstrdup(token);
	post(w, PORT_OPENED)->hello = hello;
	settle();
	welcome = hears(&w->peer, "'type':'system'", "'event':'welcome'");
	at = strstr(welcome, "\"client_id\":\"");
	ck_assert_int_eq(sscanf(at, "\"client_id\":\"%63[^\"]", w->peer.id), 1);
	at = strstr(welcome, "\"session\":\"");
	ck_assert_int_eq(sscanf(at, "\"session\":\"%127[^\"]", w->peer.session),
	    1);
	return &w->peer;
}

struct peer *
come(const char *query)
{
	return come_with_token(query, NULL);
}

void
go(struct peer *peer)
{
	close_wire((struct wire *)peer, 1006, "lost");
	settle();
}

void
has_room(struct peer *peer)
{
	peer->is_full = false;
	settle();
}

static void
lose(struct peer *peer, const struct port_loss *loss)
{
	struct port_slow *slow = xnew(sizeof *slow + sizeof slow->loss[0]);

	slow->is_news = true;
	slow->dropped[SLOW_DROP_OLDEST] = loss->to - loss->from + 1;
	slow->limit = settings.outbox_limit;
	slow->n = 1;
	slow->loss[0] = *loss;
	post((struct wire *)peer, PORT_SLOW)->slow = slow;
}

static struct port_loss
loss_of(const char *channel, uint64_t from, uint64_t to)
{
	struct port_loss loss = {
		.from = from, .to = to, .epoch = "e1", .room = "room"
	};

	snprintf(loss.channel, sizeof loss.channel, "%s", channel);
	return loss;
}

void
loses_this(struct peer *peer, const struct port_loss *loss)
{
	lose(peer, loss);
	settle();
}

void
loses(struct peer *peer, const char *channel, uint64_t from, uint64_t to)
{
	struct port_loss loss = loss_of(channel, from, to);

	loses_this(peer, &loss);
}

void
loses_and_goes(struct peer *peer, const char *channel, uint64_t from,
    uint64_t to)
{
	struct port_loss loss = loss_of(channel, from, to);

	lose(peer, &loss);
	go(peer);
}

void
outboxes_hold(uint64_t bytes)
{
	atomic_store(&here->port.outbox_bytes, bytes);
}

static void
swap_quotes(char *text)
{
	for (; *text != '\0'; text++) {
		*text = *text == '\'' ? '"' : *text;
	}
}

size_t
has_room_often(struct peer *peer, size_t times)
{
	size_t left;

	for (size_t i = 0; i < times; i++) {
		post((struct wire *)peer, PORT_READY);
	}
	bus_turn_end(here->bus);
	left = mailbox_count(here->port.up);
	settle();
	ck_assert_uint_eq(mailbox_count(here->port.up), 0);
	return left;
}

void
say(struct peer *peer, const char *fmt, ...)
{
	struct wire *w = (struct wire *)peer;
	struct envelope env;
	struct aqb_why why;
	enum aqb_code code;
	struct port_up *up;
	char *text;
	va_list ap;

	va_start(ap, fmt);
	ck_assert_int_ge(vasprintf(&text, fmt, ap), 0);
	va_end(ap);
	swap_quotes(text);
	code = envelope_decode(text, strlen(text), &env, &why);
	up = post(w, code == AQB_CODE_OK ? PORT_REQUEST : PORT_REJECT);
	up->bytes = (uint32_t)strlen(text);
	if (code != AQB_CODE_OK) {
		up->code = code;
		up->why = xnew(sizeof *up->why);
		*up->why = why;
		env = (struct envelope){ .type = ENVELOPE_PING, .id = env.id };
	}
	up->msg = envelope_keep(&env);
	up->env = env;
	free(text);
	settle();
}

const char *
hears_all(struct peer *peer, ...)
{
	static char *text;
	struct wire *w = (struct wire *)peer;
	const char *part;
	va_list ap;

	ck_assert_msg(w->from < w->to, "it hears nothing");
	free(text);
	text = w->text[w->from++ % TEXTS];
	va_start(ap, peer);
	while ((part = va_arg(ap, const char *)) != NULL) {
		char *want = xstrdup(part);

		swap_quotes(want);
		ck_assert_msg(strstr(text, want) != NULL, "no %s in %s", want,
		    text);
		free(want);
	}
	va_end(ap);
	return text;
}

void
hears_nothing(struct peer *peer)
{
	struct wire *w = (struct wire *)peer;

	ck_assert_msg(w->from == w->to, "it hears %s",
	    w->text[w->from % TEXTS]);
}

size_t
heard(struct peer *peer)
{
	struct wire *w = (struct wire *)peer;

	return w->to - w->from;
}

size_t
skip(struct peer *peer)
{
	size_t n = heard(peer);

	forget_texts((struct wire *)peer);
	return n;
}

uint64_t
number_in(const char *text, const char *key)
{
	char want[64];
	const char *at;

	snprintf(want, sizeof want, "\"%s\":", key);
	at = strstr(text, want);
	ck_assert_msg(at != NULL, "no %s in %s", key, text);
	return strtoull(at + strlen(want), NULL, 10);
}

/* ---- calls ---- */

static const struct aqb_bus *
api_of(struct peer *peer)
{
	return bus_api(((struct wire *)peer)->world->bus);
}

static struct client *
who_calls(void *arg, aqb_ticket call)
{
	(void)arg;
	(void)call;
	return caller == NULL ? NULL : caller->conn.client;
}

static void
on_joined(void *arg, aqb_ticket call, enum aqb_code code,
    const struct aqb_joined *joined, const struct aqb_why *why)
{
	struct peer *peer = arg;

	if (call != last_call) {
		return; /* an older one that ended with its client */
	}
	ck_assert(!last_join.is_answered);
	last_join.is_answered = true;
	last_join.code = code;
	if (code == AQB_CODE_OK) {
		last_join.result = *joined;
		join_replied(peer->conn.client, call);
	} else {
		snprintf(last_join.message, sizeof last_join.message, "%s",
		    why->text);
	}
}

struct joined
join_as(struct peer *peer, const struct aqb_join *how)
{
	caller = peer;
	memset(&last_join, 0, sizeof last_join);
	api_of(peer)->join(NULL, ++last_call, how, on_joined, peer);
	settle();
	return last_join;
}

struct joined
join(struct peer *peer, const char *room, const char *channel)
{
	struct aqb_join how = {
		.size = sizeof how, .room = room, .channel = channel
	};

	return join_as(peer, &how);
}

struct joined
late_join(void)
{
	return last_join;
}

enum aqb_code
leave(struct peer *peer, const char *room, const char *channel)
{
	struct aqb_why why;
	enum aqb_code code =
	    api_of(peer)->leave(NULL, peer->id, room, channel, &why);

	settle();
	return code;
}

enum aqb_code
identify(struct peer *peer, const struct aqb_identity *who)
{
	struct aqb_client_info info = { .size = sizeof info };
	struct aqb_why why;
	enum aqb_code code;

	caller = peer;
	code = api_of(peer)->identify(NULL, ++last_call, who, &info, &why);
	if (code == AQB_CODE_OK) {
		snprintf(peer->id, sizeof peer->id, "%s", info.client_id);
	}
	settle();
	return code;
}

bool
is_there(const char *room, const char *channel)
{
	struct aqb_channel_info info = { .size = sizeof info };

	return bus_api(bus)->channel_get(NULL, room, channel, &info, NULL) ==
	    AQB_CODE_OK;
}

struct aqb_channel_info
channel_now(const char *room, const char *channel)
{
	struct aqb_channel_info info = { .size = sizeof info };

	ck_assert_int_eq(bus_api(bus)->channel_get(NULL, room, channel, &info,
			     NULL),
	    AQB_CODE_OK);
	return info;
}

/* ---- time ---- */

void
time_passes(uint64_t ms)
{
	while (ms > 0) {
		uint64_t step = ms < STEP_MS ? ms : STEP_MS;

		passed += (int64_t)step;
		ms -= step;
		loop_turn(loop, false);
		cluster_tells();
	}
	settle();
}

void
day_jumps(int64_t ms)
{
	day_jumped += ms;
	settle();
}

/* ---- the whole ---- */

static void
drop_line(enum aqb_level level, const char *line)
{
	(void)level;
	(void)line;
}

static void
make_world(size_t i)
{
	static const struct hist no_latency;
	static const char *const names[] = { "test", "other", "third" };
	const struct bus_hooks hooks = { .caller = who_calls };
	struct world *w = &worlds[i];
	struct aqb_why why;

	w->store = store_new(desk, &(struct store_times){ 5000, 5000, 5000 });
	store_bind(w->store, &backend_ops, cluster_self(i), "fake");
	port_init(&w->port);
	settings.node = names[i];
	w->bus = bus_new(loop, w->store, &settings);
	bus_set_hooks(w->bus, &hooks);
	bus_add_port(w->bus, &w->port, &no_latency);
	if (is_cluster) {
		ck_assert_int_eq(bus_follow(w->bus, &why), AQB_OK);
	}
	ck_assert(bus_bootstrap(w->bus, &why));
	loop_at_turn_end(loop, bus_turn_end, w->bus);
}

void
be_at(size_t node)
{
	ck_assert_uint_lt(node, world_count);
	here = &worlds[node];
	bus = here->bus;
}

static void
make(void)
{
	loop = loop_new();
	desk = desk_new(loop);
	for (size_t i = 0; i < world_count; i++) {
		make_world(i);
	}
	loop_at_turn_end(loop, worker_turn, NULL);
	be_at(0);
}

static void
unmake(void)
{
	for (size_t i = 0; i < world_count; i++) {
		bus_drop_all(worlds[i].bus);
	}
	backend_ends();
	settle();
	for (size_t i = 0; i < wire_count; i++) {
		forget_texts(wires[i]);
		free(wires[i]);
	}
	wire_count = 0;
	cluster_ends();
	for (size_t i = 0; i < world_count; i++) {
		bus_free(&worlds[i].bus);
		store_free(&worlds[i].store);
	}
	desk_free(&desk);
	for (size_t i = 0; i < world_count; i++) {
		port_fini(&worlds[i].port);
	}
	loop_free(&loop);
	backend_loses_all();
	metric_reset();
	health_reset();
	ck_assert_uint_eq(msg_alive(), 0);
}

void
bus_make_cluster(size_t nodes)
{
	ck_assert_uint_le(nodes, CLUSTER_NODES);
	unmake();
	world_count = nodes;
	is_cluster = true;
	make();
	settle();
}

void
bus_setup(void)
{
	settings = (struct bus_conf){
		.version = "0",
		.default_room = "general",
		.bootstrap = "general:general,science:explore",
		.admin_token = "open sesame",
		.auto_create = true,
		.max_channels = 1000,
		.max_channels_per_client = 100,
		.dedupe_size = 1000,
		.max_message_size = 65536,
		.history_size = 500,
		.max_violations = 10,
		.sample = 1,
		.dedupe_window = 120000,
		.presence_grace = 10000,
		.presence_interval = 100,
		.channel_idle = 60000,
		.ping_interval = 25000,
		.outbox_limit = 1048576,
		.group_ack_wait = 30000,
		.group_linger = 60000,
		.group_max_deliveries = 5,
		.group_max_pending = 1000,
		.group_backlog = 10000,
	};
	backend = (struct backend){ .keeps = 500 };
	freeze_time();
	hash_init();
	log_tap(drop_line);
	make();
}

void
bus_remake(void)
{
	unmake();
	make();
}

void
bus_teardown(void)
{
	unmake();
	world_count = 1;
	is_cluster = false;
	log_tap(NULL);
}

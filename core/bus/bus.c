/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hist.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "base/why.h"
#include "bus/activity.h"
#include "bus/bus_priv.h"
#include "bus/channel.h"
#include "bus/client.h"
#include "bus/cluster.h"
#include "bus/dedupe.h"
#include "bus/drain.h"
#include "bus/group.h"
#include "bus/overload.h"
#include "bus/publish.h"
#include "bus/router.h"
#include "bus/session.h"
#include "bus/slow.h"
#include "host/metric.h"
#include "host/store.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "proto/msg.h"
#include "proto/name.h"

#define TURN_MAX 1024 /* entries of one worker in a turn */

struct bus *
bus_new(struct loop *loop, struct store *store, const struct bus_conf *conf)
{
	struct bus *bus = xnew(sizeof *bus);

	bus->magic = BUS_MAGIC;
	bus->loop = loop;
	bus->store = store;
	bus->conf = *conf;
	if (bus->conf.sample == 0) {
		bus->conf.sample = 1;
	}
	TAILQ_INIT(&bus->clients);
	TAILQ_INIT(&bus->leaving);
	TAILQ_INIT(&bus->channels);
	LIST_INIT(&bus->publishes);
	bus->wall = clock_wall_ms();
	bus->started = bus->wall;
	bus->started_mono = loop_now(loop);
	rand_bytes(&bus->id_prefix, sizeof bus->id_prefix);
	bus->dedupe = dedupe_new(loop, conf->dedupe_size, conf->dedupe_window);
	bus->session = session_new(loop, store);
	bus->activity = activity_new(bus);
	return bus;
}

void
bus_drop_all(struct bus *bus)
{
	struct client *client;
	struct channel *ch;

	OBJ_CHECK(bus, BUS_MAGIC);
	drain_free(&bus->drain); /* its turn must not come any more */
	TAILQ_FOREACH (ch, &bus->channels, link) {
		group_end_all(ch, NULL);
	}
	while ((client = TAILQ_FIRST(&bus->clients)) != NULL ||
	    (client = TAILQ_FIRST(&bus->leaving)) != NULL) {
		client_gone(client, 1006, "the broker stops");
	}
}

void
bus_forget_ports(struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	bus->ports = 0;
}

/* By now every connection is gone. */
void
bus_free(struct bus **busp)
{
	struct bus *bus;

	if (*busp == NULL) {
		return;
	}
	OBJ_TAKE(bus, busp, BUS_MAGIC);
	assert(TAILQ_EMPTY(&bus->clients));
	publish_forget_all(bus);
	cluster_free(&bus->cluster);
	while (!TAILQ_EMPTY(&bus->channels)) {
		struct channel *ch = TAILQ_FIRST(&bus->channels);

		channel_free(&ch, false);
	}
	drain_free(&bus->drain);
	dedupe_free(&bus->dedupe);
	session_free(&bus->session);
	activity_free(&bus->activity);
	free(bus->lane);
	free(bus->lane_free);
	bus->magic = 0;
	free(bus);
}

void
bus_set_hooks(struct bus *bus, const struct bus_hooks *hooks)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	bus->hooks = *hooks;
}

void
bus_add_port(struct bus *bus, struct port *port, const struct hist *routing)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	assert(bus->ports < BUS_PORTS && TAILQ_EMPTY(&bus->channels));
	port->number = (uint32_t)bus->ports;
	bus->routing[bus->ports] = routing;
	bus->port[bus->ports++] = port;
}

static bool
bootstrap_one(struct bus *bus, const char *text, size_t len,
    struct aqb_why *why)
{
	struct address address;
	struct aqb_slice all = { text, len };
	const struct aqb_slice nothing = { NULL, 0 };
	struct channel *ch;

	if (address_read(all, nothing, AQB_CODE_INVALID_ARGUMENT, &address,
		why) != AQB_CODE_OK ||
	    address.channel[0] == '\0') {
		refuse(why, AQB_EINVAL,
		    "bootstrap: \"%.*s\" is not a room:channel", (int)len,
		    text);
		return false;
	}
	ch = channel_find(bus, address.room, address.channel);
	if (ch == NULL) {
		ch = channel_new(bus, address.room, address.channel);
	}
	assert(ch != NULL);
	ch->is_protected = true;
	timer_stop(&ch->idle);
	return true;
}

bool
bus_bootstrap(struct bus *bus, struct aqb_why *why)
{
	const char *p = bus->conf.bootstrap;

	OBJ_CHECK(bus, BUS_MAGIC);
	session_share(bus->session);
	while (*p != '\0') {
		size_t len;

		p += strspn(p, " ,");
		len = strcspn(p, " ,");
		if (len > 0 && !bootstrap_one(bus, p, len, why)) {
			return false;
		}
		p += len;
	}
	return true;
}

void
bus_make_id(struct bus *bus, char id[BUS_ID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint64_t part[2] = { bus->id_prefix, ++bus->id_next };
	char *p = id;

	memcpy(p, "arq_", 4);
	p += 4;
	for (int i = 0; i < 2; i++) {
		for (int shift = 60; shift >= 0; shift -= 4) {
			*p++ = digits[part[i] >> shift & 15];
		}
	}
	*p = '\0';
}

void
bus_seal(struct bus *bus, struct aqb_msg *msg, const struct msg_fields *fields)
{
	struct msg_fields all = *fields;
	char made[BUS_ID_SIZE];

	all.id_is_given = all.id.len > 0;
	if (!all.id_is_given) {
		bus_make_id(bus, made);
		all.id = slice_of(made);
	}
	all.timestamp = bus->wall;
	msg_seal(msg, &all);
}

void
bus_send(struct client *client, struct aqb_msg *msg)
{
	struct port_conn *conn = client->conn;

	if (!client->dropped) {
		port_load(conn->port, port_post(conn, PORT_SEND), msg);
	}
}

void
bus_send_text(struct client *client, struct buf *text)
{
	struct aqb_msg *msg = NULL;

	if (!text->failed) {
		msg = msg_text(text->data, text->len);
	}
	if (msg == NULL) {
		/* A reply that cannot be made is no reply: say so by closing,
		 * rather than let the client wait for ever. */
		bus_close(client, 1011, "out of memory");
		return;
	}
	bus_send(client, msg);
	msg_unref(&msg);
}

void
bus_close(struct client *client, uint16_t code, const char *fmt, ...)
{
	struct port_down *d;
	char reason[124];
	va_list ap;

	if (client->dropped) {
		return;
	}
	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	reason[utf8_whole(reason, strlen(reason))] = '\0';
	client->dropped = true;
	d = port_post(client->conn, PORT_CLOSE);
	d->code = code;
	d->reason = try_strndup(reason, strlen(reason));
}

/* One entry for each worker that has anybody in the lane; lane 0 is of all. */
void
bus_deliver(struct bus *bus, uint32_t lane, struct aqb_msg *msg,
    const struct client *except, uint64_t mark, uint64_t received_us)
{
	const struct channel *ch =
	    lane == PORT_LANE_ALL ? NULL : bus->lane[lane];

	for (size_t i = 0; i < bus->ports; i++) {
		struct port *port = bus->port[i];
		struct port_down *d;

		if (ch != NULL && ch->listeners[i] == 0) {
			continue;
		}
		d = port_add(port, PORT_DELIVER);
		d->lane = lane;
		if (except != NULL && except->conn->port == port) {
			d->conn = except->conn;
		}
		d->mark = mark;
		d->policy = ch == NULL ? SLOW_DISCONNECT : ch->slow_policy;
		d->received_us = received_us;
		port_load(port, d, msg);
	}
}

uint64_t
bus_group_messages(const struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	return bus->group_messages;
}

static void
handle(struct bus *bus, struct port_up *up)
{
	struct client *client = up->conn->client;
	bool listens = client != NULL && !client->dropped;

	switch (up->kind) {
	case PORT_OPENED:
		client_open(bus, up->conn, up->hello);
		up->hello = NULL;
		break;
	case PORT_REQUEST:
		if (listens) {
			router_request(client, up);
		}
		break;
	case PORT_REJECT:
		if (listens) {
			router_reject(client, up);
		}
		break;
	case PORT_READY:
		if (listens) {
			client_ready(client);
		}
		break;
	case PORT_SLOW:
		if (client != NULL) {
			slow_tell(client, up->slow);
		}
		break;
	case PORT_CLOSED:
		if (client != NULL) {
			client_gone(client, up->close_code, up->reason);
		} else {
			port_post(up->conn, PORT_FORGET);
		}
		break;
	}
	msg_unref(&up->msg);
	free(up->why);
	free(up->slow);
}

/* Not more than TURN_MAX: a worker may bring more as fast as it is taken, and
 * what is routed leaves at the end of the turn only. */
static void
route_some(struct bus *bus, struct port *port)
{
	struct port_up *up;

	for (unsigned i = 0; i < TURN_MAX; i++) {
		up = mailbox_take(port->up);
		if (up == NULL) {
			return;
		}
		handle(bus, up);
		port_took(port, up);
	}
}

bool
bus_turn_end(void *arg)
{
	struct bus *bus;

	OBJ_CAST(bus, arg, BUS_MAGIC);
	bus->wall = clock_wall_ms();
	for (size_t i = 0; i < bus->ports; i++) {
		route_some(bus, bus->port[i]);
	}
	overload_watch(bus);
	for (size_t i = 0; i < bus->ports; i++) {
		port_end_bus_turn(bus->port[i]);
	}
	return false;
}

bool
bus_has_work(void *arg)
{
	const struct bus *bus;

	OBJ_CAST(bus, arg, BUS_MAGIC);
	for (size_t i = 0; i < bus->ports; i++) {
		if (!mailbox_is_empty(bus->port[i]->up)) {
			return true;
		}
	}
	return false;
}

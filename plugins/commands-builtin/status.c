/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "../common/render.h"
#include "builtin.h"

static aqb_command_f status;
static aqb_command_f ping;

const struct aqb_command cmd_status = {
	.size = sizeof cmd_status,
	.name = "status",
	.params = "",
	.summary = "how the broker is, and how much it does",
	.exec = status,
};

const struct aqb_command cmd_ping = {
	.size = sizeof cmd_ping,
	.name = "ping",
	.params = "",
	.summary = "is somebody there, and what time is it",
	.exec = ping,
};

/* A number with three digits behind the point. */
static struct json_object *
number(double x)
{
	char text[40];

	snprintf(text, sizeof text, "%.3f", x);
	return json_object_new_double_s(x, text);
}

static void
status(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct json_object *o = json_object_new_object();
	struct json_object *part = json_object_new_object();
	struct aqb_stats s = { .size = sizeof s };

	(void)call;
	host->bus->stats(host, &s);
	json_object_object_add(part, "name", render_text(s.name));
	json_object_object_add(part, "version", render_text(s.version));
	json_object_object_add(part, "uptime_seconds",
	    json_object_new_uint64(s.uptime));
	json_object_object_add(part, "node", render_text(s.node));
	json_object_object_add(o, "server", part);
	json_object_object_add(o, "clients", json_object_new_uint64(s.clients));
	json_object_object_add(o, "rooms", json_object_new_uint64(s.rooms));
	json_object_object_add(o, "channels",
	    json_object_new_uint64(s.channels));
	part = json_object_new_object();
	json_object_object_add(part, "received",
	    json_object_new_uint64(s.received));
	json_object_object_add(part, "delivered",
	    json_object_new_uint64(s.delivered));
	json_object_object_add(part, "per_second", number(s.per_second));
	json_object_object_add(o, "messages", part);
	part = json_object_new_object();
	json_object_object_add(part, "backend", render_text(s.storage_backend));
	json_object_object_add(part, "state", render_text(s.storage_state));
	json_object_object_add(o, "storage", part);
	part = json_object_new_object();
	json_object_object_add(part, "p50", number(s.p50));
	json_object_object_add(part, "p90", number(s.p90));
	json_object_object_add(part, "p99", number(s.p99));
	json_object_object_add(o, "latency_ms", part);
	render_reply(host, ticket, o);
}

static void
ping(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct json_object *o = json_object_new_object();
	struct timespec ts;

	(void)call;
	clock_gettime(CLOCK_REALTIME, &ts);
	json_object_object_add(o, "pong", json_object_new_boolean(true));
	json_object_object_add(o, "server_time",
	    render_time((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000));
	render_reply(host, ticket, o);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The telemetry port: events over WebSocket, health and metrics over HTTP.
 *
 * Two threads.  The core calls what is in this file; emit copies the event
 * into the ring (ring.h) and wakes the telemetry thread (server.h), which owns
 * every connection.  It asks the broker only for what may be asked from any
 * thread, so it answers also while the core is stuck, and it keeps no queue
 * for any viewer (viewer.h), so no viewer can hold the bus up.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <arqonbus/plugin.h>

#include "access.h"
#include "plane.h"
#include "ring.h"
#include "server.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Viewers live from the ring, so it is never smaller than this. */
#define RING_MIN 256

/*
 * The thread's word that it ended, on its way to the core.  It outlives the
 * plugin if that is freed before the word arrives.
 */
struct farewell {
	const struct aqb_host *host;
	struct telemetry *telemetry; /* NULL when it is gone */
};

struct telemetry {
	struct plane plane;
	struct server *server; /* NULL while nobody listens */
	struct farewell *farewell;
	aqb_ticket stop; /* to answer when the thread has ended, or 0 */
};

static int
refuse(struct aqb_why *why, enum aqb_err err, const char *text)
{
	snprintf(why->text, sizeof why->text, "%s", text);
	return err;
}

static int
check_host(const struct telemetry_conf *conf, struct aqb_why *why)
{
	union address at;

	if (address_read(conf->host, 0, &at) == 0) {
		snprintf(why->text, sizeof why->text,
		    "host: \"%.64s\" is not an address; write 127.0.0.1, or "
		    "0.0.0.0 for every address",
		    conf->host);
		return AQB_EINVAL;
	}
	if (!address_is_loopback(&at) &&
	    (conf->token == NULL || conf->token[0] == '\0')) {
		snprintf(why->text, sizeof why->text,
		    "host: %.64s lets others watch the bus; set token or stay "
		    "on 127.0.0.1",
		    conf->host);
		return AQB_EPERM;
	}
	return AQB_OK;
}

static void
register_metrics(struct plane *plane)
{
	const struct aqb_host *host = plane->host;

	plane->viewers =
	    host->metrics->gauge(host, "arqonbus_telemetry_viewers",
		"WebSocket connections that watch the bus.");
	plane->events =
	    host->metrics->counter(host, "arqonbus_telemetry_events_total",
		"Events handed to the telemetry port.");
	plane->dropped =
	    host->metrics->counter(host, "arqonbus_telemetry_dropped_total",
		"Events not kept for want of memory, and events that viewers "
		"missed because they were too slow.");
}

static int
telemetry_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	const struct telemetry_conf *c = conf;
	struct telemetry *t;
	int err = check_host(c, why);

	if (err != AQB_OK) {
		return err;
	}
	t = calloc(1, sizeof *t);
	if (t == NULL) {
		return refuse(why, AQB_ENOMEM, "no memory");
	}
	t->plane.host = host;
	t->plane.conf = c;
	if (c->enabled) {
		t->plane.ring =
		    ring_new(c->buffer < RING_MIN ? RING_MIN : c->buffer,
			c->buffer_memory);
		if (t->plane.ring == NULL) {
			free(t);
			return refuse(why, AQB_ENOMEM,
			    "buffer: no memory for so many events");
		}
		register_metrics(&t->plane);
	}
	*selfp = t;
	return AQB_OK;
}

/* The name of this node as a JSON string, or NULL when it has none. */
static char *
node_name(const struct aqb_host *host)
{
	struct aqb_stats stats = { .size = sizeof stats };
	struct json_object *text;
	char *name = NULL;

	if (host->bus == NULL || !AQB_HAS(host->bus, stats)) {
		return NULL;
	}
	host->bus->stats(host, &stats);
	if (stats.node == NULL || stats.node[0] == '\0') {
		return NULL;
	}
	text = json_object_new_string(stats.node);
	if (text != NULL) {
		name = strdup(json_object_to_json_string_ext(text,
		    JSON_C_TO_STRING_PLAIN));
		json_object_put(text);
	}
	return name;
}

/* On the core thread: the telemetry thread has ended, or is just about to. */
static void
on_farewell(void *arg)
{
	struct farewell *f = arg;
	struct telemetry *t = f->telemetry;

	free(f);
	if (t == NULL) {
		return;
	}
	t->farewell = NULL;
	server_free(&t->server);
	if (t->stop != 0) {
		t->plane.host->answer(t->plane.host, t->stop, AQB_OK, NULL);
		t->stop = 0;
	}
}

/* On the telemetry thread, as its last act. */
static void
on_ended(void *arg)
{
	struct farewell *f = arg;
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };

	while (!f->host->post(f->host, on_farewell, f)) {
		nanosleep(&pause, NULL); /* no memory: it must be told yet */
	}
}

static int
telemetry_start(void *self, struct aqb_why *why)
{
	struct telemetry *t = self;
	struct plane *plane = &t->plane;
	uint16_t port = 0;
	int err;

	if (!plane->conf->enabled) {
		return AQB_OK;
	}
	t->farewell = calloc(1, sizeof *t->farewell);
	if (t->farewell == NULL) {
		return refuse(why, AQB_ENOMEM, "no memory");
	}
	t->farewell->host = plane->host;
	t->farewell->telemetry = t;
	free(plane->node);
	plane->node = node_name(plane->host);
	err =
	    server_start(plane, on_ended, t->farewell, &t->server, &port, why);
	if (err != AQB_OK) {
		free(t->farewell);
		t->farewell = NULL;
		return err;
	}
	plane->host->log(plane->host, AQB_INFO,
	    "telemetry listening host=%s port=%u", plane->conf->host, port);
	return AQB_OK;
}

static void
telemetry_emit(void *self, const struct aqb_event *event)
{
	struct telemetry *t = self;
	struct plane *plane = &t->plane;

	if (t->server == NULL || t->stop != 0) {
		return; /* switched off, or stopping */
	}
	plane_count(plane, plane->events, 1);
	if (!ring_push(plane->ring, event)) {
		plane_count(plane, plane->dropped, 1);
	}
	server_wake(t->server);
}

static void
telemetry_stop(void *self, aqb_ticket ticket)
{
	struct telemetry *t = self;

	if (t->server == NULL) {
		t->plane.host->answer(t->plane.host, ticket, AQB_OK, NULL);
		return;
	}
	t->stop = ticket;
	server_stop(t->server);
}

static void
telemetry_fini(void **selfp)
{
	struct telemetry *t = *selfp;
	struct farewell *farewell;

	*selfp = NULL;
	if (t == NULL) {
		return;
	}
	/* The thread posts its farewell before it can be joined, so from here
	 * on that is all that is left of it, and it frees itself. */
	farewell = t->farewell;
	server_free(&t->server);
	if (farewell != NULL) {
		farewell->telemetry = NULL;
	}
	ring_free(&t->plane.ring);
	free(t->plane.node);
	free(t);
}

static const struct aqb_option options[] = {
	AQB_BOOL("enabled", struct telemetry_conf, enabled, "true",
	    "whether there is a telemetry port at all"),
	AQB_STRING("host", struct telemetry_conf, host, 255, "127.0.0.1",
	    "the address to listen on; any but loopback needs a token"),
	AQB_U32("port", struct telemetry_conf, port, 0, 65535, "9101",
	    "the port; 0 takes a free one"),
	AQB_SECRET("token", struct telemetry_conf, token, TOKEN_MAX,
	    "what must be shown as bearer token; empty asks for none"),
	AQB_U32("buffer", struct telemetry_conf, buffer, 0, 10000000, "10000",
	    "events kept for viewers that come back"),
	AQB_SIZE("buffer_memory", struct telemetry_conf, buffer_memory, MIB,
	    GIB, "64MiB", "the most memory that these events take"),
	AQB_SIZE("viewer_buffer", struct telemetry_conf, viewer_buffer,
	    16 * KIB, GIB, "1MiB",
	    "bytes that may wait for one viewer before it misses events"),
	AQB_U32("max_viewers", struct telemetry_conf, max_viewers, 1, 10000,
	    "100", "WebSocket connections at a time"),
	AQB_OPTIONS_END,
};

static const struct aqb_telemetry_ops ops = {
	.size = sizeof ops,
	.emit = telemetry_emit,
};

AQB_PLUGIN(.conf_size = sizeof(struct telemetry_conf),
    .name = "telemetry-websocket", .version = "1.0",
    .summary = "the telemetry port: events, health and metrics",
    .options = options, .init = telemetry_init, .start = telemetry_start,
    .stop = telemetry_stop, .fini = telemetry_fini, .telemetry = &ops, );

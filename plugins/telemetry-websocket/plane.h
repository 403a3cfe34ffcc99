/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_PLANE_H
#define TELEMETRY_PLANE_H

/*
 * What the parts of this plugin share.  It is filled in by init and start and
 * constant while the telemetry thread runs; only the ring is ever written by
 * two threads, and it has a lock of its own.
 */

#include <arqonbus/host.h>

struct ring;

/* The subprotocol that is named to viewers who offer it. */
#define TELEMETRY_PROTOCOL "arqonbus.v1"

/* The options of [plugin telemetry-websocket]. */
struct telemetry_conf {
	const char *host;
	const char *token;
	uint32_t port;
	uint32_t buffer;
	uint32_t max_viewers;
	uint64_t buffer_memory;
	uint64_t viewer_buffer;
	bool enabled;
};

struct plane {
	const struct aqb_host *host;
	const struct telemetry_conf *conf;
	struct ring *ring;
	char *node; /* this node's name as a JSON string, or NULL */

	/* Handles of metrics; 0 where the name was taken. */
	uint32_t viewers;
	uint32_t events;
	uint32_t dropped;
};

/* Add to, or set, one of the metrics above.  From any thread. */
static inline void
plane_count(const struct plane *plane, uint32_t metric, uint64_t n)
{
	if (metric != 0 && n != 0) {
		plane->host->metrics->add(plane->host, metric, n);
	}
}

static inline void
plane_gauge(const struct plane *plane, uint32_t metric, uint64_t n)
{
	if (metric != 0) {
		plane->host->metrics->set(plane->host, metric, n);
	}
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/stats.h"

#include <stdio.h>

#include "base/hist.h"
#include "base/obj.h"
#include "bus/cluster.h"
#include "host/metric.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "loop/loop.h"

/* The workers' histograms taken together. */
static void
latency(const struct bus *bus, struct aqb_stats *s)
{
	struct hist all = { 0 };

	for (size_t i = 0; i < bus->ports; i++) {
		hist_merge(&all, bus->routing[i]);
	}
	s->p50 = (double)hist_quantile(&all, 0.50) / 1000;
	s->p90 = (double)hist_quantile(&all, 0.90) / 1000;
	s->p99 = (double)hist_quantile(&all, 0.99) / 1000;
}

static uint64_t
delivered(const struct bus *bus)
{
	uint64_t n = bus->group_given;

	for (size_t i = 0; i < bus->ports; i++) {
		n += count_get(&bus->port[i]->delivered);
	}
	return n;
}

void
stats_fill(const struct bus *bus, struct aqb_stats *s)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	*s = (struct aqb_stats){
		.size = sizeof *s,
		.name = "ArqonBus",
		.version = bus->conf.version,
		.node = bus->conf.node,
		.uptime = (loop_now(bus->loop) - bus->started_mono) / 1000,
		.clients = bus->client_count + cluster_remotes(bus),
		.rooms = bus->room_count,
		.channels = bus->channel_count,
		.received = bus->received,
		.delivered = delivered(bus),
		.per_second = bus->per_second,
		.storage_backend = store_name(bus->store),
		.storage_state = store_state(bus->store),
	};
	latency(bus, s);
}

void
bus_tick(struct bus *bus, uint64_t elapsed_ms)
{
	struct aqb_stats s;
	char text[512];

	OBJ_CHECK(bus, BUS_MAGIC);
	bus->per_second = elapsed_ms == 0
	    ? 0
	    : (double)(bus->received - bus->received_before) * 1000 /
		(double)elapsed_ms;
	bus->received_before = bus->received;
	if (!telemetry_wanted()) {
		return;
	}
	stats_fill(bus, &s);
	snprintf(text, sizeof text,
	    "{\"clients\":%llu,\"rooms\":%llu,\"channels\":%llu,"
	    "\"messages\":{\"received\":%llu,\"delivered\":%llu,"
	    "\"per_second\":%.1f},\"latency_ms\":{\"p50\":%.3f,"
	    "\"p90\":%.3f,\"p99\":%.3f},\"storage\":\"%s\"}",
	    (unsigned long long)s.clients, (unsigned long long)s.rooms,
	    (unsigned long long)s.channels, (unsigned long long)s.received,
	    (unsigned long long)s.delivered, s.per_second, s.p50, s.p90, s.p99,
	    s.storage_state);
	telemetry_emit("stats", AQB_DEBUG,
	    &(struct telemetry_fields){ .metadata = text });
}

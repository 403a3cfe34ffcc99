/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/overload.h"

#include "base/log.h"
#include "base/obj.h"
#include "base/why.h"
#include "bus/group.h"
#include "host/metric.h"
#include "host/store.h"
#include "loop/loop.h"

#define CUT_EVERY 100 /* ms: cutting takes a worker a turn or two */
#define LOOK_EVERY 16 /* publishes: one turn may bring thousands */

/* Of what may wait to be stored, in hundredths. */
#define BEHIND_FROM 50
#define BEHIND_UNTIL 25

/* Beats in a row of which half was spent in long turns. */
#define BUSY_REFUSE 2
#define BUSY_PAUSE 4

void
bus_pause(struct client *client)
{
	if (!client->paused && !client->dropped) {
		client->paused = true;
		metric_add(METRIC_PAUSED_TOTAL, 1);
		port_post(client->conn, PORT_PAUSE);
	}
}

void
bus_resume(struct client *client)
{
	if (client->paused) {
		client->paused = false;
		port_post(client->conn, PORT_RESUME);
	}
}

/* Once nothing is short any more. */
static void
resume_all(struct bus *bus)
{
	struct client *client;

	if (bus->memory != MEMORY_PLENTY || bus->is_behind ||
	    bus->busy >= BUSY_PAUSE) {
		return;
	}
	TAILQ_FOREACH (client, &bus->clients, link) {
		bus_resume(client);
	}
}

static uint64_t
outbox_bytes(const struct bus *bus)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < bus->ports; i++) {
		bytes += count_get(&bus->port[i]->outbox_bytes);
	}
	return bytes;
}

static uint64_t
memory_used(const struct bus *bus)
{
	uint64_t messages, used;

	store_usage(bus->store, &messages, &used);
	used += bus->group_bytes + outbox_bytes(bus);
	for (size_t i = 0; i < bus->ports; i++) {
		used += port_waiting(bus->port[i]);
	}
	return used;
}

/* Have each worker free its share of so many bytes. */
static void
cut(struct bus *bus, uint64_t bytes)
{
	uint64_t all = outbox_bytes(bus);
	uint64_t now = loop_now(bus->loop);

	if (all == 0 || (bus->cut_at != 0 && now - bus->cut_at < CUT_EVERY)) {
		return;
	}
	bus->cut_at = now;
	for (size_t i = 0; i < bus->ports; i++) {
		uint64_t its = count_get(&bus->port[i]->outbox_bytes);
		double share = (double)its / (double)all;

		port_add(bus->port[i], PORT_CUT)->bytes =
		    (uint64_t)(share * (double)bytes);
	}
}

static enum memory_state
judge(enum memory_state before, uint64_t used, uint64_t limit)
{
	enum memory_state now = MEMORY_PLENTY;

	if (used >= limit) {
		now = MEMORY_FULL;
	} else if (used >= limit / 100 * 90) {
		now = MEMORY_SHORT;
	} else if (used >= limit / 100 * 85) {
		now = MEMORY_TIGHT;
	}
	if (now < before && used >= limit / 100 * 80) {
		/* A little less is no better; but cutting has an end. */
		return before == MEMORY_FULL ? MEMORY_SHORT : before;
	}
	return now;
}

static void
tell_memory(const struct bus *bus, enum memory_state before, uint64_t used)
{
	static const char *const word[] = {
		[MEMORY_PLENTY] = "memory: there is room again",
		[MEMORY_TIGHT] = "memory: short; publishers are paused",
		[MEMORY_SHORT] = "memory: short; publishes and connections are "
				 "refused",
		[MEMORY_FULL] = "memory: full; the slowest consumers are cut",
	};

	if (bus->memory > before || bus->memory == MEMORY_PLENTY) {
		LOG(bus->memory == MEMORY_PLENTY ? AQB_INFO : AQB_WARNING,
		    word[bus->memory], FN("used", used),
		    FN("limit", bus->conf.memory_limit));
	}
}

static void
watch_memory(struct bus *bus)
{
	uint64_t limit = bus->conf.memory_limit;
	enum memory_state before = bus->memory;
	uint64_t used;

	if (limit == 0) {
		return;
	}
	used = memory_used(bus);
	bus->memory = judge(before, used, limit);
	if (bus->memory == MEMORY_FULL) {
		cut(bus, used - limit / 100 * 90);
	}
	if (bus->memory != before) {
		tell_memory(bus, before, used);
		resume_all(bus);
	}
}

static void
watch_storage(struct bus *bus)
{
	uint32_t backlog = store_backlog(bus->store);
	bool is = backlog >= (bus->is_behind ? BEHIND_UNTIL : BEHIND_FROM);

	if (is == bus->is_behind) {
		return;
	}
	bus->is_behind = is;
	if (is) {
		LOG(AQB_WARNING,
		    "storage: behind; publishers to stored channels are paused",
		    FN("backlog_percent", backlog));
	} else {
		LOG(AQB_INFO, "storage: behind no more",
		    FN("backlog_percent", backlog));
	}
	resume_all(bus);
}

void
overload_watch(struct bus *bus)
{
	watch_memory(bus);
	watch_storage(bus);
}

/* Not a member of a group that has work: else it could not ack any more. */
static void
pause_publisher(struct client *client)
{
	if (!group_is_at_work(client)) {
		bus_pause(client);
	}
}

void
overload_fills_storage(struct client *client)
{
	if (client->bus->is_behind) {
		pause_publisher(client);
	}
}

bool
overload_admits(struct client *client, struct aqb_slice request_id)
{
	struct bus *bus = client->bus;
	struct aqb_why why;

	client->recent += client->recent < UINT16_MAX ? 1 : 0;
	if (++bus->admitted % LOOK_EVERY == 0) {
		overload_watch(bus);
	}
	if (bus->memory == MEMORY_PLENTY) {
		return true;
	}
	pause_publisher(client);
	if (bus->memory < MEMORY_SHORT) {
		return true;
	}
	reject_until(&why, AQB_CODE_OVERLOADED, 1000,
	    "memory: outboxes and history fill nine tenths of the limit of "
	    "%llu bytes",
	    (unsigned long long)bus->conf.memory_limit);
	client_error(client, request_id, AQB_CODE_OVERLOADED, &why);
	return false;
}

/* Those that have said at least as much as the others since the last beat, on
 * average of those that said anything. */
static void
pause_busiest(struct bus *bus)
{
	struct client *client;
	uint64_t said = 0, speakers = 0, paused = 0;

	TAILQ_FOREACH (client, &bus->clients, link) {
		said += client->recent;
		speakers += client->recent > 0;
	}
	TAILQ_FOREACH (client, &bus->clients, link) {
		if (client->recent > 0 && client->recent * speakers >= said &&
		    !client->paused && !group_is_at_work(client)) {
			bus_pause(client);
			paused++;
		}
	}
	if (paused > 0) {
		LOG(AQB_WARNING, "busy: the busiest publishers are paused",
		    FN("publishers", paused), FN("of", speakers));
	}
}

void
bus_note_load(struct bus *bus, uint64_t elapsed, uint64_t lagged)
{
	uint32_t before = bus->busy;
	struct client *client;

	OBJ_CHECK(bus, BUS_MAGIC);
	if (lagged > 0 && lagged >= elapsed / 2) {
		bus->busy += bus->busy < BUSY_PAUSE ? 1 : 0;
	} else if (lagged == 0) {
		bus->busy = 0;
	}
	if (before < BUSY_REFUSE && bus->busy >= BUSY_REFUSE) {
		LOG(AQB_WARNING,
		    "busy: turns are long; connections are refused",
		    FN("lagged_ms", lagged), FN("of_ms", elapsed));
	} else if (before >= BUSY_REFUSE && bus->busy == 0) {
		LOG(AQB_INFO, "busy: no more");
	}
	if (bus->busy >= BUSY_PAUSE) {
		pause_busiest(bus);
	} else if (before >= BUSY_PAUSE) {
		resume_all(bus);
	}
	if (bus->busy >= BUSY_REFUSE) {
		TAILQ_FOREACH (client, &bus->clients, link) {
			client->recent = 0;
		}
	}
}

const char *
bus_refusal(const struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	if (bus->memory >= MEMORY_SHORT) {
		return "the broker is short of memory";
	}
	if (bus->busy >= BUSY_REFUSE) {
		return "the broker is busy";
	}
	return NULL;
}

bool
bus_is_short_of_memory(const struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	return bus->memory != MEMORY_PLENTY;
}

bool
bus_is_busy(const struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	return bus->busy >= BUSY_REFUSE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/drain.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/rand.h"
#include "bus/bus_priv.h"
#include "bus/client.h"
#include "bus/group.h"
#include "bus/publish.h"
#include "bus/text.h"
#include "loop/loop.h"

#define DRAIN_MAGIC 0x5d90e3b2u
#define TICK_MS 20
#define AWAY_MIN_MS 100   /* nobody restarts in less */
#define HAND_OVER_MS 2000 /* for what is on its way to other nodes */
#define GRACE_MS 1000     /* beyond close_timeout, for the last bytes */

struct drain {
	uint32_t magic;
	struct bus *bus;
	struct drain_plan plan;
	drain_done_f *done;
	void *arg;
	struct timer tick;
	uint64_t began;
	uint64_t length;  /* in which all are told */
	uint64_t emptied; /* when the last one was gone; 0: not yet */
	size_t clients;   /* at the start */
	size_t told;
	bool is_over; /* nobody is waited for any more */
};

/*
 * Whoever is closed at some time of the drain comes back after the end of it,
 * and as well spread as they went.
 */
static uint64_t
time_away(const struct drain *d)
{
	uint64_t spread = d->length > AWAY_MIN_MS ? d->length : AWAY_MIN_MS;
	uint64_t r;

	rand_bytes(&r, sizeof r);
	return spread + r % spread;
}

static void
tell(struct drain *d, struct client *client)
{
	struct buf b = { 0 };

	client->is_leaving = true;
	d->told++;
	text_begin(&b, d->bus, "system");
	buf_printf(&b,
	    ",\"payload\":{\"event\":\"draining\","
	    "\"reconnect_after_ms\":%llu}}",
	    (unsigned long long)time_away(d));
	bus_send_text(client, &b);
	buf_fini(&b);
}

static bool
has_work(const struct client *client)
{
	const struct bus_hooks *hooks = &client->bus->hooks;

	return !LIST_EMPTY(&client->publishes) || group_is_at_work(client) ||
	    (hooks->has_calls != NULL && hooks->has_calls(hooks->arg, client));
}

/* How many may have been told by now. */
static size_t
quota(const struct drain *d, uint64_t now)
{
	uint64_t passed = now - d->began;

	return passed >= d->length
	    ? SIZE_MAX
	    : 1 + (size_t)(d->clients * passed / d->length);
}

/* In order of arrival, so that those who were told are the first. */
static void
send_away(struct drain *d, uint64_t now)
{
	size_t most = quota(d, now);
	struct client *client;

	TAILQ_FOREACH (client, &d->bus->clients, link) {
		if (!client->is_leaving && d->told >= most) {
			return;
		}
		if (!client->is_leaving) {
			tell(d, client);
		}
		if (!has_work(client)) {
			bus_close(client, 1012, "the broker stops");
		}
	}
}

/* Nothing more is waited for. */
static void
send_all_away(struct drain *d)
{
	struct client *client;
	size_t left = 0;

	TAILQ_FOREACH (client, &d->bus->clients, link) {
		left += client->dropped ? 0 : 1;
		publish_abandon(client);
		bus_close(client, 1012, "the broker stops");
	}
	d->is_over = true;
	if (left > 0) {
		LOG(AQB_WARNING, "clients were closed before all was done",
		    FN("clients", left));
	}
}

/* All are gone, and others have their groups. */
static bool
is_empty(struct drain *d, uint64_t now)
{
	if (!TAILQ_EMPTY(&d->bus->clients) || !TAILQ_EMPTY(&d->bus->leaving)) {
		return false;
	}
	if (d->emptied == 0) {
		d->emptied = now;
	}
	return group_hand_over(d->bus, now >= d->emptied + HAND_OVER_MS);
}

static void
on_tick(void *arg)
{
	struct drain *d;
	uint64_t now, end;

	OBJ_CAST(d, arg, DRAIN_MAGIC);
	now = loop_now(d->bus->loop);
	end = d->began + d->length + d->plan.wait;
	send_away(d, now);
	if (now >= end && !d->is_over) {
		send_all_away(d);
	}
	if (is_empty(d, now) || now >= end + d->plan.close_timeout + GRACE_MS) {
		group_hand_over(d->bus, true);
		LOG(AQB_INFO, "clients sent away", FN("clients", d->told),
		    FN("ms", now - d->began));
		d->done(d->arg);
		return;
	}
	timer_set(d->bus->loop, &d->tick, TICK_MS);
}

void
drain_begin(struct bus *bus, const struct drain_plan *plan, drain_done_f *done,
    void *arg)
{
	struct drain *d = xnew(sizeof *d);

	OBJ_CHECK(bus, BUS_MAGIC);
	assert(bus->drain == NULL && plan->rate > 0);
	d->magic = DRAIN_MAGIC;
	d->bus = bus;
	d->plan = *plan;
	d->done = done;
	d->arg = arg;
	d->began = loop_now(bus->loop);
	d->clients = bus->client_count;
	d->length = d->clients * 1000 / plan->rate;
	if (d->length > plan->time) {
		d->length = plan->time;
	}
	timer_init(&d->tick, on_tick, d);
	timer_set(bus->loop, &d->tick, 0);
	bus->drain = d;
}

void
drain_free(struct drain **drainp)
{
	struct drain *d;

	if (*drainp == NULL) {
		return;
	}
	OBJ_TAKE(d, drainp, DRAIN_MAGIC);
	timer_stop(&d->tick);
	d->magic = 0;
	free(d);
}

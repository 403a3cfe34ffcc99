/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/activity.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/obj.h"
#include "host/telemetry.h"
#include "loop/loop.h"

#define ACTIVITY_MAGIC 0x84d1f36au

/* One active client.  Kept in the order in which their silence is looked at
 * next: saying something only moves `heard`. */
struct activity_entry {
	struct client *client;
	uint64_t heard; /* monotonic ms */
	uint64_t due;   /* when to look */
	TAILQ_ENTRY(activity_entry) link;
};

struct activity {
	uint32_t magic;
	struct bus *bus;
	TAILQ_HEAD(activity_list, activity_entry) active;
	struct timer timer;
};

static void
tell(const struct client *client, const char *metadata)
{
	telemetry_emit("agent_activity", AQB_INFO,
	    &(struct telemetry_fields){
		.client_id = client->id, .metadata = metadata });
}

static void
arm(struct activity *a, uint64_t now)
{
	struct activity_entry *first = TAILQ_FIRST(&a->active);

	if (first != NULL) {
		timer_set(a->bus->loop, &a->timer,
		    first->due > now ? first->due - now : 0);
	}
}

static void
on_due(void *arg)
{
	struct activity *a;
	struct activity_entry *e;
	uint64_t now;

	OBJ_CAST(a, arg, ACTIVITY_MAGIC);
	now = loop_now(a->bus->loop);
	while ((e = TAILQ_FIRST(&a->active)) != NULL && e->due <= now) {
		TAILQ_REMOVE(&a->active, e, link);
		if (now - e->heard < a->bus->conf.idle_after) {
			/* It goes to the end although it may be due before
			 * others there: it is called idle a little late, at
			 * most after two intervals. */
			e->due = e->heard + a->bus->conf.idle_after;
			TAILQ_INSERT_TAIL(&a->active, e, link);
			continue;
		}
		e->client->activity = NULL;
		tell(e->client, "{\"state\":\"idle\"}");
		free(e);
	}
	arm(a, now);
}

struct activity *
activity_new(struct bus *bus)
{
	struct activity *a = xnew(sizeof *a);

	a->magic = ACTIVITY_MAGIC;
	a->bus = bus;
	TAILQ_INIT(&a->active);
	timer_init(&a->timer, on_due, a);
	return a;
}

void
activity_free(struct activity **activityp)
{
	struct activity *a;

	if (*activityp == NULL) {
		return;
	}
	OBJ_TAKE(a, activityp, ACTIVITY_MAGIC);
	timer_stop(&a->timer);
	assert(TAILQ_EMPTY(&a->active));
	a->magic = 0;
	free(a);
}

void
activity_note(struct client *client)
{
	struct activity *a = client->bus->activity;
	uint64_t now = loop_now(client->bus->loop);
	struct activity_entry *e = client->activity;

	if (e != NULL) {
		e->heard = now;
		return;
	}
	if ((client->type != CLIENT_AI_AGENT && client->type != CLIENT_HUMAN) ||
	    !telemetry_wanted() || client->bus->conf.idle_after == 0) {
		return;
	}
	e = try_new(sizeof *e);
	if (e == NULL) {
		return;
	}
	e->client = client;
	e->heard = now;
	e->due = now + client->bus->conf.idle_after;
	client->activity = e;
	TAILQ_INSERT_TAIL(&a->active, e, link);
	tell(client, "{\"state\":\"active\"}");
	if (!timer_is_set(&a->timer)) {
		arm(a, now);
	}
}

void
activity_forget(struct client *client)
{
	struct activity_entry *e = client->activity;

	if (e != NULL) {
		TAILQ_REMOVE(&client->bus->activity->active, e, link);
		client->activity = NULL;
		free(e);
	}
}

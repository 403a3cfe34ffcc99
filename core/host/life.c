/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plugins.h"

#include "base/log.h"
#include "base/why.h"
#include "host/ask.h"
#include "host/plugins_priv.h"
#include "host/store.h"
#include "host/telemetry.h"
#include "loop/loop.h"

#define HURRY_MS 1000 /* for each that was not stopped in good time */

static int
start_one(struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	const struct aqb_plugin *desc = pl->file.desc;
	struct aqb_why said = { 0 };
	int err = AQB_OK;

	if (desc->start != NULL) {
		err = desc->start(pl->self, &said);
	}
	if (err != AQB_OK) {
		said.text[sizeof said.text - 1] = '\0';
		return refuse(why, err < 0 ? (enum aqb_err)err : AQB_EINVAL,
		    "start: %.200s",
		    said.text[0] != '\0' ? said.text
					 : aqb_strerror((enum aqb_err)err));
	}
	pl->state = PLUGIN_RUNNING;
	if (desc->storage != NULL) {
		store_bind(p->store, desc->storage, pl->self, desc->name);
	}
	if (desc->telemetry != NULL) {
		telemetry_add_sink(desc->telemetry, pl->self);
	}
	LOG(AQB_INFO, "plugin started", F("plugin", desc->name),
	    F("version", desc->version), F("kinds", pl->kinds));
	plugin_tell(pl, "plugin_loaded", AQB_INFO);
	return AQB_OK;
}

int
plugins_start(struct plugins *p, struct aqb_why *why)
{
	struct plugin *pl;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	TAILQ_FOREACH (pl, &p->list, link) {
		int err;

		if (pl->state != PLUGIN_BUILT) {
			continue;
		}
		err = start_one(p, pl, why);
		if (err == AQB_OK) {
			continue;
		}
		if (plugin_fail(p, pl, err, why) != AQB_OK) {
			return err;
		}
		if (pl->file.desc->storage != NULL) {
			struct aqb_why inner = *why;

			return refuse(why, (enum aqb_err)err,
			    "plugin %s: %.160s", plugin_name(pl), inner.text);
		}
	}
	return AQB_OK;
}

static void stop_next(struct plugins *p);

/* One has stopped, or had its time. */
static void
on_stopped(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct plugins *p;

	(void)answer;
	OBJ_CAST(p, arg, PLUGINS_MAGIC);
	if (err != AQB_OK) {
		LOG(AQB_WARNING, "plugin did not stop well",
		    F("plugin", plugin_name(p->stopping)),
		    F("why", aqb_strerror(err)));
		p->stopping->stuck = true;
	}
	p->stopping->state = PLUGIN_BUILT;
	p->stopping = NULL;
	stop_next(p);
}

static struct plugin *
last_running(struct plugins *p)
{
	struct plugin *pl;

	TAILQ_FOREACH_REVERSE(pl, &p->list, plugin_list, link)
	{
		if (pl->state == PLUGIN_RUNNING) {
			return pl;
		}
	}
	return NULL;
}

/* Nothing new comes to it any more. */
static void
take_out(struct plugins *p, struct plugin *pl)
{
	const struct aqb_plugin *desc = pl->file.desc;

	if (desc->telemetry != NULL) {
		telemetry_remove_sink(desc->telemetry, pl->self);
	}
	if (desc->storage != NULL) {
		store_unbind(p->store);
	}
}

/* Stop the last that runs; when none does, say so. */
static void
stop_next(struct plugins *p)
{
	struct plugin *pl = last_running(p);

	if (pl == NULL) {
		p->stopped(p->stopped_arg);
		return;
	}
	p->stopping = pl;
	take_out(p, pl);
	p->stop_ticket = desk_ask(p->env->desk, p->deadline, on_stopped, p);
	if (p->stop_ticket == 0) {
		on_stopped(p, AQB_EFULL, NULL);
		return;
	}
	if (pl->file.desc->stop == NULL) {
		desk_answer(p->env->desk, p->stop_ticket, AQB_OK, NULL);
		return;
	}
	pl->file.desc->stop(pl->self, p->stop_ticket);
}

static void
begin_to_stop(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct plugins *p;

	(void)err;
	(void)answer;
	OBJ_CAST(p, arg, PLUGINS_MAGIC);
	stop_next(p);
}

void
plugins_stop(struct plugins *p, uint64_t deadline, plugins_stopped_f *done,
    void *arg)
{
	aqb_ticket ticket;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	assert(p->stopping == NULL);
	p->deadline = deadline;
	p->stopped = done;
	p->stopped_arg = arg;
	if (last_running(p) != NULL) {
		stop_next(p);
		return;
	}
	/* None runs; done is for a later turn all the same. */
	ticket = desk_ask(p->env->desk, 0, begin_to_stop, p);
	if (ticket == 0) {
		stop_next(p);
		return;
	}
	desk_answer(p->env->desk, ticket, AQB_OK, NULL);
}

static void
on_all_stopped(void *arg)
{
	struct plugins *p;

	OBJ_CAST(p, arg, PLUGINS_MAGIC);
	p->all_stopped = true;
}

/*
 * The end came without plugins_stop(), or before it was done: a start that
 * failed, or an impatient operator.  A plugin that was not stopped cannot be
 * taken apart, for its threads and timers still run.  Only events are handled:
 * what hangs on the end of a turn may be gone already.
 */
void
plugins_stop_at_once(struct plugins *p)
{
	if (p->stopping == NULL && last_running(p) == NULL) {
		return;
	}
	p->deadline = HURRY_MS;
	p->stopped = on_all_stopped;
	p->stopped_arg = p;
	if (p->stopping != NULL) {
		desk_set_deadline(p->env->desk, p->stop_ticket, HURRY_MS);
	} else {
		stop_next(p);
	}
	while (!p->all_stopped && loop_turn_events(p->env->loop, true)) {
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plugins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/why.h"
#include "conf/option.h"
#include "host/health.h"
#include "host/plugins_priv.h"
#include "host/telemetry.h"

struct plugins *
plugins_new(const struct service_env *env, const struct conf *conf,
    struct store *store)
{
	struct plugins *p = xnew(sizeof *p);

	p->magic = PLUGINS_MAGIC;
	p->env = env;
	p->conf = conf;
	p->store = store;
	TAILQ_INIT(&p->list);
	return p;
}

static void
forget_commands(struct plugins *p, const struct plugin *pl)
{
	struct named_command *c, *next;

	HASH_ITER(hh, p->commands, c, next)
	{
		if (c->plugin == pl) {
			HASH_DEL(p->commands, c);
			free(c);
		}
	}
}

const struct aqb_option *
plugin_options(const struct plugin *pl)
{
	static const struct aqb_option none[] = { AQB_OPTIONS_END };
	const struct aqb_option *options = pl->file.desc->options;

	return options != NULL ? options : none;
}

void
plugin_unbuild(struct plugins *p, struct plugin *pl)
{
	unsigned posts;

	assert(pl->state != PLUGIN_RUNNING);
	forget_commands(p, pl);
	if (pl->state == PLUGIN_BUILT) {
		pl->file.desc->fini(&pl->self);
	}
	posts = service_drop(&pl->service, pl->stuck);
	if (posts > 0) {
		LOG(AQB_WARNING, "plugin left posts behind; they are dropped",
		    F("plugin", plugin_name(pl)), FN("posts", posts));
		pl->stuck = true;
	}
	if (pl->conf != NULL) {
		option_fini(plugin_options(pl), pl->conf);
		free(pl->conf);
		pl->conf = NULL;
	}
	pl->state = PLUGIN_OPENED;
}

void
plugin_tell(const struct plugin *pl, const char *type, enum aqb_level severity)
{
	struct buf b = { 0 };

	buf_puts(&b, "{\"plugin\":");
	buf_json_str(&b, plugin_name(pl));
	buf_puts(&b, "}");
	telemetry_emit(type, severity,
	    &(struct telemetry_fields){ .metadata = b.failed ? NULL : b.data });
	buf_fini(&b);
}

int
plugin_fail(struct plugins *p, struct plugin *pl, int err, struct aqb_why *why)
{
	struct aqb_why inner = *why;

	LOG(AQB_ERROR, "plugin failed", F("plugin", plugin_name(pl)),
	    F("file", pl->dropin->load), F("why", inner.text));
	plugin_unbuild(p, pl);
	pl->state = PLUGIN_FAILED;
	health_set_plugin(plugin_name(pl), "failed");
	plugin_tell(pl, "plugin_failed", AQB_ERROR);
	if (!pl->dropin->required) {
		return AQB_OK;
	}
	return refuse(why, (enum aqb_err)err, "plugin %s is required: %.160s",
	    plugin_name(pl), inner.text);
}

static void
plugin_free(struct plugins *p, struct plugin **plp)
{
	struct plugin *pl;

	OBJ_TAKE(pl, plp, PLUGIN_MAGIC);
	TAILQ_REMOVE(&p->list, pl, link);
	plugin_unbuild(p, pl);
	if (pl->stuck) {
		/* Something of it may still run its code. */
		LOG(AQB_WARNING, "plugin stays mapped",
		    F("plugin", plugin_name(pl)));
		pl->file.handle = NULL;
	}
	plugin_close(&pl->file);
	pl->magic = 0;
	free(pl);
}

void
plugins_free(struct plugins **pluginsp)
{
	struct plugins *p;
	struct plugin *pl;

	if (*pluginsp == NULL) {
		return;
	}
	OBJ_TAKE(p, pluginsp, PLUGINS_MAGIC);
	plugins_stop_at_once(p);
	while ((pl = TAILQ_LAST(&p->list, plugin_list)) != NULL) {
		plugin_free(p, &pl);
	}
	p->magic = 0;
	free(p);
}

const struct aqb_command *
plugins_command(const struct plugins *p, const char *name, void **selfp)
{
	struct named_command *named;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	HASH_FIND(hh, p->commands, name, strlen(name), named);
	if (named == NULL || named->plugin->state != PLUGIN_RUNNING) {
		return NULL;
	}
	*selfp = named->plugin->self;
	return named->command;
}

static const char *
state_name(enum plugin_state state)
{
	switch (state) {
	case PLUGIN_DISABLED:
		return "disabled";
	case PLUGIN_RUNNING:
		return "running";
	case PLUGIN_FAILED:
		return "failed";
	default:
		return "stopped";
	}
}

void
plugins_visit(const struct plugins *p, aqb_plugin_visit_f *visit, void *arg)
{
	const struct plugin *pl;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	TAILQ_FOREACH (pl, &p->list, link) {
		const struct aqb_plugin *desc = pl->file.desc;
		struct aqb_plugin_info info = {
			.size = sizeof info,
			.name = plugin_name(pl),
			.version = desc == NULL ? "" : desc->version,
			.summary = desc == NULL ? "" : desc->summary,
			.file = pl->dropin->load,
			.state = state_name(pl->state),
			.kinds = pl->kinds,
			.required = pl->dropin->required,
		};

		if (!visit(arg, &info)) {
			return;
		}
	}
}

void
plugins_visit_commands(const struct plugins *p, aqb_command_visit_f *visit,
    void *arg)
{
	struct named_command *c, *next;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	HASH_ITER(hh, p->commands, c, next)
	{
		if (c->plugin->state == PLUGIN_RUNNING &&
		    !visit(arg, c->command)) {
			return;
		}
	}
}

unsigned
plugins_failed(const struct plugins *p)
{
	const struct plugin *pl;
	unsigned n = 0;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	TAILQ_FOREACH (pl, &p->list, link) {
		n += pl->state == PLUGIN_FAILED ? 1 : 0;
	}
	return n;
}

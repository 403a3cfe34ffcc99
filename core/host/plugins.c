/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plugins.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "conf/option.h"
#include "host/ask.h"
#include "host/plugin.h"
#include "host/store.h"
#include "host/telemetry.h"

#define PLUGINS_MAGIC 0xa0d37b52u
#define PLUGIN_MAGIC 0x19c6e48bu

enum plugin_state {
	PLUGIN_DISABLED,
	PLUGIN_OPENED,
	PLUGIN_BUILT,   /* after init */
	PLUGIN_RUNNING, /* after start */
	PLUGIN_FAILED,
};

struct plugin {
	uint32_t magic;
	enum plugin_state state;
	const struct dropin *dropin;
	struct plugin_file file;
	struct service service;
	void *conf; /* the plugin's own struct */
	void *self;
	char kinds[40];
	TAILQ_ENTRY(plugin) link;
};

struct named_command {
	const struct aqb_command *command;
	struct plugin *plugin;
	UT_hash_handle hh;
};

struct plugins {
	uint32_t magic;
	const struct service_env *env;
	const struct conf *conf;
	struct store *store;
	TAILQ_HEAD(plugin_list, plugin) list; /* in the order of starting */
	struct named_command *commands;

	/* While stopping. */
	struct plugin *stopping;
	uint64_t deadline;
	plugins_stopped_f *stopped;
	void *stopped_arg;
};

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

static const char *
name_of(const struct plugin *pl)
{
	return pl->dropin->plugin;
}

static const struct aqb_option no_options[] = { AQB_OPTIONS_END };

static const struct aqb_option *
options_of(const struct plugin *pl)
{
	const struct aqb_option *options = pl->file.desc->options;

	return options != NULL ? options : no_options;
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

/* Take a plugin back to where it was before init. */
static void
unbuild(struct plugins *p, struct plugin *pl)
{
	forget_commands(p, pl);
	if (pl->state == PLUGIN_BUILT || pl->state == PLUGIN_RUNNING) {
		pl->file.desc->fini(&pl->self);
	}
	if (pl->conf != NULL) {
		option_fini(options_of(pl), pl->conf);
		free(pl->conf);
		pl->conf = NULL;
	}
	pl->state = PLUGIN_OPENED;
}

static void
plugin_free(struct plugins *p, struct plugin **plp)
{
	struct plugin *pl;

	OBJ_TAKE(pl, plp, PLUGIN_MAGIC);
	TAILQ_REMOVE(&p->list, pl, link);
	unbuild(p, pl);
	if (atomic_load(&pl->service.posts) > 0) {
		/* Its code will still be called: it stays mapped. */
		LOG(AQB_WARNING, "plugin has calls under way; kept mapped",
		    F("plugin", name_of(pl)));
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
	while ((pl = TAILQ_LAST(&p->list, plugin_list)) != NULL) {
		if (pl->file.desc != NULL && pl->file.desc->storage != NULL &&
		    pl->state == PLUGIN_RUNNING) {
			store_unbind(p->store);
		}
		plugin_free(p, &pl);
	}
	p->magic = 0;
	free(p);
}

/* An optional plugin that fails is left out; a required one is the end. */
static int
fail(struct plugins *p, struct plugin *pl, int err, struct aqb_why *why)
{
	LOG(AQB_ERROR, "plugin failed", F("plugin", name_of(pl)),
	    F("file", pl->dropin->load), F("why", why->text));
	telemetry_emit("plugin_failed", AQB_ERROR,
	    &(struct telemetry_fields){ 0 });
	unbuild(p, pl);
	pl->state = PLUGIN_FAILED;
	if (pl->dropin->required) {
		struct aqb_why inner = *why;

		return refuse(why, (enum aqb_err)err,
		    "plugin %s is required: %.180s", name_of(pl), inner.text);
	}
	return AQB_OK;
}

struct setting {
	struct plugins *p;
	struct plugin *pl;
};

static int
set_option(void *arg, const struct conf_set *set, struct aqb_why *why)
{
	struct setting *s = arg;
	const struct aqb_option *table = options_of(s->pl);
	const struct aqb_option *option = option_find(table, set->key);

	if (option == NULL && set->layer == CONF_ENV) {
		LOG(AQB_WARNING, "variable names no option of its plugin",
		    F("variable", set->origin), F("plugin", name_of(s->pl)));
		return AQB_OK;
	}
	if (option != NULL && option->type == AQB_OPT_SECRET &&
	    set->layer == CONF_DROPIN && *set->value != '\0') {
		int err = file_check_secret(s->pl->dropin->mode, set->origin,
		    set->key, why);

		if (err != AQB_OK) {
			return err;
		}
	}
	return option_set(table, set->key, set->value, set->origin, s->pl->conf,
	    why);
}

static const char *
main_kind(const struct aqb_plugin *desc)
{
	return desc->storage != NULL  ? "storage"
	    : desc->telemetry != NULL ? "telemetry"
				      : "commands";
}

static int
fill_options(struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	const struct aqb_plugin *desc = pl->file.desc;
	struct setting s = { p, pl };
	int err;

	pl->conf = xnew(desc->conf_size > 0 ? desc->conf_size : 1);
	err = option_defaults(options_of(pl), pl->conf, why);
	if (err != AQB_OK) {
		return err;
	}
	return conf_plugin_values(p->conf, desc->name, main_kind(desc),
	    options_of(pl), set_option, &s, why);
}

static int
add_commands(struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	const struct aqb_command *const *c = pl->file.desc->commands;

	for (; c != NULL && *c != NULL; c++) {
		struct named_command *named;

		HASH_FIND(hh, p->commands, (*c)->name, strlen((*c)->name),
		    named);
		if (named != NULL) {
			return refuse(why, AQB_EEXIST,
			    "command %s is already that of plugin %s (%s)",
			    (*c)->name, name_of(named->plugin),
			    named->plugin->dropin->load);
		}
		named = xnew(sizeof *named);
		named->command = *c;
		named->plugin = pl;
		HASH_ADD_KEYPTR(hh, p->commands, (*c)->name, strlen((*c)->name),
		    named);
		assert(HASH_WAS_ADDED(named));
	}
	return AQB_OK;
}

/* Another plugin that is already there and cannot be twice. */
static int
check_rivals(struct plugins *p, const struct plugin *pl, struct aqb_why *why)
{
	const struct plugin *other;

	TAILQ_FOREACH (other, &p->list, link) {
		if (other == pl || other->file.desc == NULL ||
		    other->state == PLUGIN_FAILED) {
			continue;
		}
		if (strcmp(other->file.desc->name, pl->file.desc->name) == 0) {
			return refuse(why, AQB_EEXIST,
			    "%s and %s are both plugin %s", other->file.path,
			    pl->file.path, pl->file.desc->name);
		}
		if (other->file.desc->storage != NULL &&
		    pl->file.desc->storage != NULL) {
			return refuse(why, AQB_EEXIST,
			    "%s and %s are both storage; enable one of them",
			    other->file.path, pl->file.path);
		}
	}
	return AQB_OK;
}

static int
open_plugin(struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	int err;

	err = plugin_open(&pl->file, pl->dropin->load, p->conf->plugins.path,
	    why);
	if (err != AQB_OK) {
		return err;
	}
	if (strcmp(pl->file.desc->name, name_of(pl)) != 0) {
		return refuse(why, AQB_EINVAL,
		    "%s: [plugin %s], but %s is plugin %s", pl->dropin->file,
		    name_of(pl), pl->dropin->load, pl->file.desc->name);
	}
	plugin_kinds(pl->file.desc, pl->kinds);
	pl->state = PLUGIN_OPENED;
	err = check_rivals(p, pl, why);
	if (err == AQB_OK) {
		err = add_commands(p, pl, why);
	}
	if (err == AQB_OK) {
		err = fill_options(p, pl, why);
	}
	return err;
}

static int
build_plugin(struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	struct aqb_why said = { 0 };
	int err;

	service_init(&pl->service, p->env, name_of(pl));
	err =
	    pl->file.desc->init(&pl->service.host, pl->conf, &pl->self, &said);
	if (err != AQB_OK) {
		return refuse(why, (enum aqb_err)err, "init: %.200s",
		    said.text[0] != '\0' ? said.text
					 : aqb_strerror((enum aqb_err)err));
	}
	pl->state = PLUGIN_BUILT;
	return AQB_OK;
}

static bool
is_wanted(const struct plugins *p, const struct dropin *d)
{
	/* [telemetry] enabled = no means the telemetry server. */
	return d->enabled &&
	    (p->conf->telemetry.enabled ||
		strcmp(d->plugin, "telemetry-websocket") != 0);
}

static struct plugin *
plugin_new(struct plugins *p, const struct dropin *d)
{
	struct plugin *pl = xnew(sizeof *pl);

	pl->magic = PLUGIN_MAGIC;
	pl->dropin = d;
	pl->state = PLUGIN_DISABLED;
	TAILQ_INSERT_TAIL(&p->list, pl, link);
	return pl;
}

static int
load_one(struct plugins *p, struct plugin *pl, bool only_check,
    struct aqb_why *why)
{
	int err = open_plugin(p, pl, why);

	if (err == AQB_OK && !only_check) {
		err = build_plugin(p, pl, why);
	}
	if (err == AQB_OK) {
		return AQB_OK;
	}
	/* Two that are at odds, or settings that are wrong, are the
	 * operator's to mend: no guess is safe. */
	if (err == AQB_EEXIST || (only_check && err != AQB_ENOENT)) {
		unbuild(p, pl);
		pl->state = PLUGIN_FAILED;
		return err;
	}
	return fail(p, pl, err, why);
}

int
plugins_load(struct plugins *p, bool only_check, struct aqb_why *why)
{
	const struct dropin *d;
	bool has_storage = false;
	struct plugin *pl;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	TAILQ_FOREACH (d, &p->conf->dropins, link) {
		int err;

		pl = plugin_new(p, d);
		if (!is_wanted(p, d)) {
			continue;
		}
		err = load_one(p, pl, only_check, why);
		if (err != AQB_OK) {
			return err;
		}
		if (pl->state != PLUGIN_FAILED &&
		    pl->file.desc->storage != NULL) {
			has_storage = true;
			TAILQ_REMOVE(&p->list, pl, link);
			TAILQ_INSERT_HEAD(&p->list, pl, link);
		}
	}
	if (!has_storage) {
		return refuse(why, AQB_ENOENT,
		    "no storage plugin; put storage-memory.conf into %s, "
		    "or name another folder with --plugins-dir",
		    p->conf->plugins.dir);
	}
	return AQB_OK;
}

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
		return refuse(why, (enum aqb_err)err, "start: %.200s",
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
	telemetry_emit("plugin_loaded", AQB_INFO,
	    &(struct telemetry_fields){ 0 });
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
		if (err != AQB_OK &&
		    (pl->file.desc->storage != NULL ||
			fail(p, pl, err, why) != AQB_OK)) {
			return err;
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
	if (err == AQB_ETIMEDOUT) {
		LOG(AQB_WARNING, "plugin did not stop in time",
		    F("plugin", name_of(p->stopping)));
	}
	p->stopping->state = PLUGIN_BUILT;
	stop_next(p);
}

/* Stop the last that runs; when none does, say so. */
static void
stop_next(struct plugins *p)
{
	struct plugin *pl;
	aqb_ticket ticket;

	TAILQ_FOREACH_REVERSE(pl, &p->list, plugin_list, link)
	{
		if (pl->state == PLUGIN_RUNNING) {
			break;
		}
	}
	if (pl == NULL) {
		p->stopped(p->stopped_arg);
		return;
	}
	p->stopping = pl;
	if (pl->file.desc->telemetry != NULL) {
		telemetry_remove_sink(pl->self);
	}
	if (pl->file.desc->storage != NULL) {
		store_unbind(p->store);
	}
	ticket = desk_ask(p->env->desk, p->deadline, on_stopped, p);
	assert(ticket != 0);
	if (pl->file.desc->stop == NULL) {
		desk_answer(p->env->desk, ticket, AQB_OK, NULL);
		return;
	}
	pl->file.desc->stop(pl->self, ticket);
}

void
plugins_stop(struct plugins *p, uint64_t deadline, plugins_stopped_f *done,
    void *arg)
{
	OBJ_CHECK(p, PLUGINS_MAGIC);
	p->deadline = deadline;
	p->stopped = done;
	p->stopped_arg = arg;
	stop_next(p);
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
			.name = name_of(pl),
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

	TAILQ_FOREACH (pl, &p->list, link) {
		n += pl->state == PLUGIN_FAILED ? 1 : 0;
	}
	return n;
}

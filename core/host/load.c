/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plugins.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/why.h"
#include "conf/option.h"
#include "host/plugins_priv.h"

struct setting {
	const struct plugin *pl;
	const struct aqb_option *table;
};

static int
set_option(void *arg, const struct conf_set *set, struct aqb_why *why)
{
	const struct setting *s = arg;
	const struct aqb_option *option = option_find(s->table, set->key);

	if (option == NULL && set->layer == CONF_ENV) {
		LOG(AQB_WARNING, "variable names no option of its plugin",
		    F("variable", set->origin),
		    F("plugin", plugin_name(s->pl)));
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
	return option_set(s->table, set->key, set->value, set->origin,
	    s->pl->conf, why);
}

static const char *
main_kind(const struct aqb_plugin *desc)
{
	return desc->storage != NULL  ? "storage"
	    : desc->telemetry != NULL ? "telemetry"
				      : "commands";
}

static int
fill_options(const struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	const struct aqb_plugin *desc = pl->file.desc;
	struct setting s = { pl, plugin_options(pl) };
	int err;

	pl->conf = xnew(desc->conf_size > 0 ? desc->conf_size : 1);
	err = option_defaults(s.table, pl->conf, why);
	if (err != AQB_OK) {
		return err;
	}
	return conf_plugin_values(p->conf, desc->name, main_kind(desc), s.table,
	    set_option, &s, why);
}

static int
add_commands(struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	const struct aqb_command *const *c = pl->file.desc->commands;

	for (; c != NULL && *c != NULL; c++) {
		const char *name = (*c)->name;
		struct named_command *named;

		HASH_FIND(hh, p->commands, name, strlen(name), named);
		if (named != NULL) {
			return refuse(why, AQB_EEXIST,
			    "%s and %s both have command %s; enable one of "
			    "them",
			    named->plugin->file.path, pl->file.path, name);
		}
		named = xnew(sizeof *named);
		named->command = *c;
		named->plugin = pl;
		HASH_ADD_KEYPTR(hh, p->commands, name, strlen(name), named);
		assert(HASH_WAS_ADDED(named));
	}
	return AQB_OK;
}

/* Another plugin that is already there and cannot be twice. */
static int
check_rivals(const struct plugins *p, const struct plugin *pl,
    struct aqb_why *why)
{
	const struct plugin *other;

	TAILQ_FOREACH (other, &p->list, link) {
		if (other == pl || other->file.desc == NULL ||
		    other->state == PLUGIN_FAILED) {
			continue;
		}
		if (strcmp(other->file.desc->name, pl->file.desc->name) == 0) {
			return refuse(why, AQB_EEXIST,
			    "%s and %s are both plugin %s; enable one of them",
			    other->file.path, pl->file.path,
			    pl->file.desc->name);
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
open_file(const struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	int err;

	err = plugin_open(&pl->file, pl->dropin->load, p->conf->plugins.path,
	    why);
	if (err != AQB_OK) {
		return err;
	}
	plugin_kinds(pl->file.desc, pl->kinds);
	pl->state = PLUGIN_OPENED;
	if (strcmp(pl->file.desc->name, plugin_name(pl)) != 0) {
		return refuse(why, AQB_EINVAL,
		    "%s: [plugin %s], but %s is plugin %s", pl->dropin->file,
		    plugin_name(pl), pl->dropin->load, pl->file.desc->name);
	}
	return AQB_OK;
}

/*
 * A file that is not right may be done without.  Two files that are at odds,
 * or settings that are wrong, are the operator's to mend: no guess is safe.
 */
static int
open_one(struct plugins *p, struct plugin *pl, bool only_check,
    struct aqb_why *why)
{
	int err = open_file(p, pl, why);

	if (err != AQB_OK && only_check && err != AQB_ENOENT) {
		return err;
	}
	if (err != AQB_OK) {
		return plugin_fail(p, pl, err, why);
	}
	err = check_rivals(p, pl, why);
	if (err == AQB_OK) {
		err = add_commands(p, pl, why);
	}
	if (err == AQB_OK) {
		err = fill_options(p, pl, why);
	}
	return err;
}

static bool
is_wanted(const struct plugins *p, const struct dropin *d)
{
	/* [storage] backend chooses among the broker's own, and [telemetry]
	 * enabled = no means the telemetry server. */
	const struct {
		const char *plugin;
		bool wanted;
	} choice[] = {
		{ "storage-memory",
		    p->conf->storage.backend == CONF_STORAGE_MEMORY },
		{ "storage-redis-streams",
		    p->conf->storage.backend == CONF_STORAGE_REDIS_STREAMS },
		{ "telemetry-websocket", p->conf->telemetry.enabled },
	};

	for (size_t i = 0; i < sizeof choice / sizeof choice[0]; i++) {
		if (strcmp(d->plugin, choice[i].plugin) == 0) {
			return d->enabled && choice[i].wanted;
		}
	}
	return d->enabled;
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
open_all(struct plugins *p, bool only_check, struct aqb_why *why)
{
	const struct dropin *d;

	TAILQ_FOREACH (d, &p->conf->dropins, link) {
		struct plugin *pl = plugin_new(p, d);
		int err;

		if (!is_wanted(p, d)) {
			continue;
		}
		err = open_one(p, pl, only_check, why);
		if (err != AQB_OK) {
			return err;
		}
	}
	return AQB_OK;
}

/* The rest may need it from its first moment to its last. */
static int
put_storage_first(struct plugins *p, struct aqb_why *why)
{
	struct plugin *pl;

	TAILQ_FOREACH (pl, &p->list, link) {
		if (pl->state == PLUGIN_OPENED &&
		    pl->file.desc->storage != NULL) {
			TAILQ_REMOVE(&p->list, pl, link);
			TAILQ_INSERT_HEAD(&p->list, pl, link);
			return AQB_OK;
		}
	}
	return refuse(why, AQB_ENOENT,
	    "no storage plugin; put storage-memory.conf into %s, "
	    "or name another folder with --plugins-dir",
	    p->conf->plugins.dir);
}

static int
build_one(const struct plugins *p, struct plugin *pl, struct aqb_why *why)
{
	struct aqb_why said = { 0 };
	int err;

	pl->service = service_new(p->env, plugin_name(pl));
	err =
	    pl->file.desc->init(&pl->service->host, pl->conf, &pl->self, &said);
	if (err == AQB_OK) {
		pl->state = PLUGIN_BUILT;
		return AQB_OK;
	}
	said.text[sizeof said.text - 1] = '\0';
	return refuse(why, err < 0 ? (enum aqb_err)err : AQB_EINVAL,
	    "init: %.200s",
	    said.text[0] != '\0' ? said.text : aqb_strerror((enum aqb_err)err));
}

static int
build_all(struct plugins *p, struct aqb_why *why)
{
	struct plugin *pl;

	TAILQ_FOREACH (pl, &p->list, link) {
		int err;

		if (pl->state != PLUGIN_OPENED) {
			continue;
		}
		err = build_one(p, pl, why);
		if (err != AQB_OK) {
			err = plugin_fail(p, pl, err, why);
		}
		if (err != AQB_OK) {
			return err;
		}
	}
	return AQB_OK;
}

int
plugins_load(struct plugins *p, bool only_check, struct aqb_why *why)
{
	struct plugin *storage;
	int err;

	OBJ_CHECK(p, PLUGINS_MAGIC);
	err = open_all(p, only_check, why);
	if (err == AQB_OK) {
		err = put_storage_first(p, why);
	}
	if (err != AQB_OK || only_check) {
		return err;
	}
	err = build_all(p, why);
	storage = TAILQ_FIRST(&p->list);
	if (err == AQB_OK && storage->state == PLUGIN_FAILED) {
		return refuse(why, AQB_EUNAVAIL,
		    "plugin %s failed, and there is no storage without it",
		    plugin_name(storage));
	}
	return err;
}

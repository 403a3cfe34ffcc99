/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_PLUGINS_PRIV_H
#define HOST_PLUGINS_PRIV_H

/* What plugins.c, load.c and life.c share. */

#include "base/hash.h"
#include "base/obj.h"
#include "host/plugin.h"
#include "host/plugins.h"

#define PLUGINS_MAGIC 0xa0d37b52u
#define PLUGIN_MAGIC 0x19c6e48bu

enum plugin_state {
	PLUGIN_DISABLED,
	PLUGIN_OPENED,
	PLUGIN_BUILT,   /* after init, and again after stop */
	PLUGIN_RUNNING, /* after start */
	PLUGIN_FAILED,
};

struct plugin {
	uint32_t magic;
	enum plugin_state state;
	bool stuck; /* it did not stop in time: its code stays mapped */
	const struct dropin *dropin;
	struct plugin_file file; /* desc NULL: it could not be opened */
	struct service *service;
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

TAILQ_HEAD(plugin_list, plugin);

struct plugins {
	uint32_t magic;
	const struct service_env *env;
	const struct conf *conf;
	struct store *store;
	struct plugin_list list; /* in the order of starting */
	struct named_command *commands;

	/* While stopping. */
	struct plugin *stopping;
	aqb_ticket stop_ticket;
	uint64_t deadline;
	plugins_stopped_f *stopped;
	void *stopped_arg;
	bool all_stopped; /* told to ourselves */
};

static inline const char *
plugin_name(const struct plugin *pl)
{
	return pl->dropin->plugin;
}

/* Its table of options; an empty one when it has none. */
const struct aqb_option *plugin_options(const struct plugin *pl);

/*
 * It failed: take it back to where it was before init, and say so.  AQB_OK
 * when it is optional and left out; else err, with its name in *why.
 */
int plugin_fail(struct plugins *p, struct plugin *pl, int err,
    struct aqb_why *why);

/* Back to where it was before init. */
void plugin_unbuild(struct plugins *p, struct plugin *pl);

/* A telemetry event about it. */
void plugin_tell(const struct plugin *pl, const char *type,
    enum aqb_level severity);

/* Stop what still runs, waiting for it in a hurry. */
void plugins_stop_at_once(struct plugins *p);

#endif

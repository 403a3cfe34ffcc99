/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_PLUGINS_H
#define HOST_PLUGINS_H

/*
 * All plugins and their life: load (open, judge, options, init), start, stop,
 * and gone.  Storage starts first and stops last.  An optional plugin that
 * fails is left out and named; a required one ends the start.
 */

#include <arqonbus/plugin.h>

#include "conf/conf.h"
#include "host/service.h"

struct plugins;
struct store;

/* All borrowed, for as long as it lives. */
struct plugins *plugins_new(const struct service_env *env,
    const struct conf *conf, struct store *store);

/* fini, the last first, and close.  What still runs is stopped before, which
 * takes up to a second each: plugins_stop() is the better way. */
void plugins_free(struct plugins **pluginsp);

/*
 * Open every enabled plugin, check its options, and (unless only checking)
 * init it, the storage first.  Refuses when a required one or the storage
 * fails, when two are at odds (AQB_EEXIST, naming both files), and when an
 * option is wrong; with only_check also when an optional one's file is not
 * right.  Once for each struct plugins.
 */
int plugins_load(struct plugins *p, bool only_check, struct aqb_why *why);

/* Start what was loaded, the storage first.  Refuses when a required one or
 * the storage fails; what has started by then is to be stopped. */
int plugins_start(struct plugins *p, struct aqb_why *why);

/* Stop all, the last first; done is called by the loop, when all have
 * answered or had their deadline (ms) each. */
typedef void plugins_stopped_f(void *arg);
void plugins_stop(struct plugins *p, uint64_t deadline, plugins_stopped_f *done,
    void *arg);

/* The command of this name and whose it is; NULL: there is none. */
const struct aqb_command *plugins_command(const struct plugins *p,
    const char *name, void **selfp);

void plugins_visit(const struct plugins *p, aqb_plugin_visit_f *visit,
    void *arg);
void plugins_visit_commands(const struct plugins *p, aqb_command_visit_f *visit,
    void *arg);

/* How many of the enabled do not run. */
unsigned plugins_failed(const struct plugins *p);

#endif

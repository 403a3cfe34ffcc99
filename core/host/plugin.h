/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_PLUGIN_H
#define HOST_PLUGIN_H

/*
 * One plugin's file and what is known of it.  A file is judged before any of
 * its code is asked: who may have written it, then what it says it is.
 */

#include <arqonbus/plugin.h>

/* A loaded shared object. */
struct plugin_file {
	void *handle;
	const struct aqb_plugin *desc;
	char *path;
};

/*
 * Find a bare file name in a colon-separated list of folders, judge it and
 * load it.  AQB_EINVAL for a name with a slash, AQB_ENOENT, AQB_EPERM for a
 * file that others could have written, AQB_EABI for what is no plugin of this
 * ABI; `why` says which side needs what.
 */
int plugin_open(struct plugin_file *filep, const char *name,
    const char *folders, struct aqb_why *why);

/* NULL-safe in its members. */
void plugin_close(struct plugin_file *file);

/* Judge a descriptor: its head first, by which any major can be told from
 * ours, then what it declares. */
int plugin_check(const struct aqb_plugin *desc, struct aqb_why *why);

/* What it brings: "storage", "commands,telemetry"; "" is nothing. */
void plugin_kinds(const struct aqb_plugin *desc, char text[40]);

#endif

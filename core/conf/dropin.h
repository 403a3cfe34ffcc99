/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_DROPIN_H
#define CONF_DROPIN_H

/*
 * The folder plugins.d: one file for each plugin, read in the order of the
 * files' names.
 *
 *     [plugin storage-memory]
 *     load = storage-memory.so
 *     history_size = 500
 *
 * Only the keys that are the broker's own are understood here: `load`, a
 * bare file name; `required`, whether the broker may start without it; and
 * `enabled`.  The rest belong to the plugin and stay text until the host has
 * the plugin's table.
 */

#include <stdbool.h>
#include <stddef.h>

#include <sys/stat.h>

#include <arqonbus/error.h>

#include "conf/set.h"

struct dropin {
	TAILQ_ENTRY(dropin) link;
	char *file;   /* its path */
	char *plugin; /* the name in [plugin NAME] */
	char *load;   /* a file name without a slash */
	bool required;
	bool enabled;
	mode_t mode;             /* of the file, 0 when it was none */
	struct conf_sets values; /* the plugin's own, all named `plugin` */
};

TAILQ_HEAD(dropins, dropin);

/*
 * Read one file's text and add it to the list.  Refuses with AQB_EINVAL what
 * is malformed, and with AQB_EEXIST a plugin that the list has already,
 * naming both files.
 */
int dropin_parse(struct dropins *list, const char *file, const char *text,
    size_t len, mode_t mode, struct aqb_why *why);

/*
 * Read every *.conf of a folder.  AQB_ENOENT when there is no such folder,
 * AQB_ESYS when it or a file in it cannot be read.  The list may be part
 * filled after a refusal; dropins_fini is due in any case.
 */
int dropins_read(struct dropins *list, const char *dir, struct aqb_why *why);

/* The one for this plugin, or NULL. */
struct dropin *dropins_find(const struct dropins *list, const char *plugin);

/* Set `enabled` or `required` from another place, such as a flag.  AQB_ENOENT
 * when the key is not the broker's own; `load` is refused with AQB_EPERM, for
 * only a file may say what code to run. */
int dropin_override(struct dropin *d, const char *key, const char *value,
    const char *origin, struct aqb_why *why);

void dropins_fini(struct dropins *list);

#endif

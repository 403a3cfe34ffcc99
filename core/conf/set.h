/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_SET_H
#define CONF_SET_H

/*
 * What was set, where, before anybody looks at what it means: a list of keys
 * and values as text, each with its origin, weakest first.
 */

#include <sys/queue.h>

#include <arqonbus/error.h>

/* Where a value comes from; later ones win. */
enum conf_layer {
	CONF_FILE = 1, /* arqonbus.conf and what it includes */
	CONF_DROPIN,   /* a file in plugins.d */
	CONF_ENV,
	CONF_FLAG,
};

struct conf_set {
	TAILQ_ENTRY(conf_set) link;
	enum conf_layer layer;
	unsigned depth; /* of includes; a file wins over what it includes */
	char *name;     /* of a section or a plugin */
	char *key;
	char *value;
	char *origin; /* "FILE:LINE", "ARQONBUS_..", "--flag" */
};

TAILQ_HEAD(conf_sets, conf_set);

/*
 * Add one where its layer and depth put it, copying the strings.  Refuses
 * with AQB_EEXIST, naming both places, a key that the same layer and depth
 * has set already; of flags the last one wins.
 */
int sets_add(struct conf_sets *sets, const struct conf_set *set,
    struct aqb_why *why);

/* The strongest of this name and key, or NULL. */
const struct conf_set *sets_find(const struct conf_sets *sets, const char *name,
    const char *key);

/* Take one out and free it; *setp becomes NULL. */
void sets_remove(struct conf_sets *sets, struct conf_set **setp);

/* Free all, wiping the values: any may be a secret. */
void sets_fini(struct conf_sets *sets);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/set.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/why.h"

static void
set_free(struct conf_set **setp)
{
	struct conf_set *s = *setp;

	*setp = NULL;
	explicit_bzero(s->value, strlen(s->value));
	free(s->name);
	free(s->key);
	free(s->value);
	free(s->origin);
	free(s);
}

/* Does `a` win over `b`? */
static bool
is_stronger(const struct conf_set *a, const struct conf_set *b)
{
	if (a->layer != b->layer) {
		return a->layer > b->layer;
	}
	return a->depth < b->depth;
}

static bool
is_same_key(const struct conf_set *a, const struct conf_set *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->key, b->key) == 0;
}

static int
check_twice(const struct conf_sets *sets, const struct conf_set *set,
    struct aqb_why *why)
{
	const struct conf_set *s;

	if (set->layer == CONF_FLAG) {
		return AQB_OK;
	}
	TAILQ_FOREACH (s, sets, link) {
		if (s->layer == set->layer && s->depth == set->depth &&
		    is_same_key(s, set)) {
			return refuse(why, AQB_EEXIST,
			    "%s: %.40s: set already at %.90s; remove one",
			    set->origin, set->key, s->origin);
		}
	}
	return AQB_OK;
}

int
sets_add(struct conf_sets *sets, const struct conf_set *set,
    struct aqb_why *why)
{
	struct conf_set *copy;
	struct conf_set *before;
	int err = check_twice(sets, set, why);

	if (err != AQB_OK) {
		return err;
	}
	copy = xnew(sizeof *copy);
	copy->layer = set->layer;
	copy->depth = set->depth;
	copy->name = xstrdup(set->name);
	copy->key = xstrdup(set->key);
	copy->value = xstrdup(set->value);
	copy->origin = xstrdup(set->origin);

	before = TAILQ_LAST(sets, conf_sets);
	while (before != NULL && is_stronger(before, copy)) {
		before = TAILQ_PREV(before, conf_sets, link);
	}
	if (before == NULL) {
		TAILQ_INSERT_HEAD(sets, copy, link);
	} else {
		TAILQ_INSERT_AFTER(sets, before, copy, link);
	}
	return AQB_OK;
}

const struct conf_set *
sets_find(const struct conf_sets *sets, const char *name, const char *key)
{
	const struct conf_set *s;

	TAILQ_FOREACH_REVERSE(s, sets, conf_sets, link)
	{
		if (strcmp(s->name, name) == 0 && strcmp(s->key, key) == 0) {
			return s;
		}
	}
	return NULL;
}

void
sets_remove(struct conf_sets *sets, struct conf_set **setp)
{
	TAILQ_REMOVE(sets, *setp, link);
	set_free(setp);
}

void
sets_fini(struct conf_sets *sets)
{
	struct conf_set *s;

	while ((s = TAILQ_FIRST(sets)) != NULL) {
		sets_remove(sets, &s);
	}
}

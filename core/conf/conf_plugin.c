/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_table.h"
#include "conf/option.h"

/* One plugin that is being told what was set for it. */
struct telling {
	const struct conf *c;
	const char *plugin;
	const char *kind;
	const struct aqb_option *options;
	conf_value_f *value;
	void *arg;
	struct aqb_why *why;
};

/* Is this a key of the kind's section that the plugin has too? */
static bool
is_forwarded(const struct telling *t, const struct conf_set *s)
{
	const struct conf_row *row = conf_row_find(s->name, s->key);

	return strcmp(s->name, t->kind) == 0 && row != NULL && !row->own &&
	    option_find(t->options, s->key) != NULL;
}

static bool
is_for_plugin(const struct telling *t, const struct conf_set *s)
{
	return strcmp(s->name, t->plugin) == 0 &&
	    conf_row_find(s->name, s->key) == NULL;
}

typedef bool pick_f(const struct telling *t, const struct conf_set *s);

static int
tell(const struct telling *t, const struct conf_sets *sets,
    enum conf_layer layer, pick_f *pick)
{
	const struct conf_set *s;

	TAILQ_FOREACH (s, sets, link) {
		if (s->layer == layer && pick(t, s)) {
			int err = t->value(t->arg, s, t->why);

			if (err != AQB_OK) {
				return err;
			}
		}
	}
	return AQB_OK;
}

static int
tell_layer(const struct telling *t, enum conf_layer layer)
{
	const struct dropin *d = dropins_find(&t->c->dropins, t->plugin);
	int err;

	if (layer == CONF_DROPIN) {
		return d == NULL ? AQB_OK
				 : tell(t, &d->values, layer, is_for_plugin);
	}
	err = tell(t, &t->c->sets, layer, is_forwarded);
	if (err != AQB_OK) {
		return err;
	}
	return tell(t, &t->c->sets, layer, is_for_plugin);
}

int
conf_plugin_values(const struct conf *c, const char *plugin, const char *kind,
    const struct aqb_option *options, conf_value_f *value, void *arg,
    struct aqb_why *why)
{
	const struct telling t = {
		.c = c,
		.plugin = plugin,
		.kind = kind,
		.options = options,
		.value = value,
		.arg = arg,
		.why = why,
	};
	int err = AQB_OK;

	for (int layer = CONF_FILE; layer <= CONF_FLAG && err == AQB_OK;
	     layer++) {
		err = tell_layer(&t, (enum conf_layer)layer);
	}
	return err;
}

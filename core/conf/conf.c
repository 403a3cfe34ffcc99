/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "conf/conf_check.h"
#include "conf/conf_path.h"
#include "conf/conf_table.h"
#include "conf/env.h"
#include "conf/flag.h"
#include "conf/nearest.h"
#include "conf/option.h"
#include "conf/scan.h"

/* A chain of includes longer than this is a circle. */
#define MAX_DEPTH 8u

struct conf *
conf_new(void)
{
	struct conf *c = xnew(sizeof *c);

	TAILQ_INIT(&c->sets);
	TAILQ_INIT(&c->dropins);
	c->fetch = file_read;
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		struct aqb_why why;
		int err = option_parse(&r->option, r->option.dflt, r->section,
		    c, &why);

		assert(err == AQB_OK);
	}
	return c;
}

void
conf_free(struct conf **confp)
{
	struct conf *c = *confp;

	*confp = NULL;
	if (c == NULL) {
		return;
	}
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		const struct aqb_option one[] = { r->option, AQB_OPTIONS_END };

		option_fini(one, c);
	}
	sets_fini(&c->sets);
	dropins_fini(&c->dropins);
	for (size_t i = 0; i < c->nwarnings; i++) {
		free(c->warnings[i]);
	}
	free(c->warnings);
	free(c->file);
	free(c);
}

void
conf_warn(struct conf *c, const char *fmt, ...)
{
	struct aqb_why why;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.text, sizeof why.text, fmt, ap);
	va_end(ap);
	if (try_grow(&c->warnings, &c->warnings_cap, c->nwarnings + 1,
		sizeof *c->warnings)) {
		c->warnings[c->nwarnings++] = xstrdup(why.text);
	}
}

/* A file while it is being read. */
struct reading {
	struct conf *c;
	const char *path;
	mode_t mode;
	unsigned depth;
};

static int read_text(const struct reading *r, const char *text, size_t len,
    struct aqb_why *why);

static int
include(const struct reading *r, const struct scan_item *item,
    struct aqb_why *why)
{
	struct file_text file;
	struct reading inner = { .c = r->c, .depth = r->depth + 1 };
	struct aqb_why fact = { .text = "" };
	char *path;
	int err;

	if (inner.depth > MAX_DEPTH) {
		return refuse(why, AQB_EINVAL,
		    "%s: include: more than %u deep; does a file include itself?",
		    item->origin, MAX_DEPTH);
	}
	path = file_beside(r->path, item->value);
	err = r->c->fetch(path, &file, &fact);
	if (err != AQB_OK) {
		refuse(why, err, "%s: include: %.110s", item->origin,
		    fact.text);
	} else {
		inner.path = path;
		inner.mode = file.mode;
		err = read_text(&inner, file.text, file.len, why);
		file_fini(&file);
	}
	free(path);
	return err;
}

static int
take_section(const struct scan_item *item, struct aqb_why *why)
{
	if (strcmp(item->section, "plugin") == 0) {
		return refuse(why, AQB_EINVAL,
		    "%s: [plugin %.40s]: belongs into a file of its own in plugins.d",
		    item->origin, item->name);
	}
	if (item->name[0] != '\0') {
		return refuse(why, AQB_EINVAL,
		    "%s: [%.40s %.40s]: not a section; write one word",
		    item->origin, item->section, item->name);
	}
	return conf_section_check(item->section, item->origin, why);
}

static int
take_item(void *arg, const struct scan_item *item, struct aqb_why *why)
{
	const struct reading *r = arg;
	const struct conf_row *row;
	struct conf_set set = { .layer = CONF_FILE, .depth = r->depth };
	int err;

	if (item->key == NULL) {
		return take_section(item, why);
	}
	if (item->section[0] == '\0') {
		if (strcmp(item->key, "include") == 0) {
			return include(r, item, why);
		}
		return refuse(why, AQB_EINVAL,
		    "%s: %.60s: before any section; only include may stand there",
		    item->origin, item->key);
	}
	err = conf_row_get(item->section, item->key, item->origin, &row, why);
	if (err == AQB_OK && row->option.type == AQB_OPT_SECRET &&
	    item->value[0] != '\0') {
		err = file_check_secret(r->mode, item->origin, item->key, why);
	}
	if (err != AQB_OK) {
		return err;
	}
	set.name = (char *)item->section;
	set.key = (char *)item->key;
	set.value = (char *)item->value;
	set.origin = (char *)item->origin;
	return sets_add(&r->c->sets, &set, why);
}

static int
read_text(const struct reading *r, const char *text, size_t len,
    struct aqb_why *why)
{
	return scan_text(r->path, text, len, take_item, (void *)(uintptr_t)r,
	    why);
}

int
conf_read(struct conf *c, const char *file, const char *text, size_t len,
    mode_t mode, struct aqb_why *why)
{
	const struct reading r = { .c = c, .path = file, .mode = mode };

	return read_text(&r, text, len, why);
}

/* The daemon's file: one that was asked for must be there. */
static int
read_main_file(struct conf *c, const char *asked, struct aqb_why *why)
{
	const char *path = asked == NULL ? DEFAULT_CONFIG : asked;
	struct file_text file;
	int err = c->fetch(path, &file, why);

	if (err == AQB_ENOENT && asked == NULL) {
		return AQB_OK;
	}
	if (err != AQB_OK) {
		return err;
	}
	c->file = xstrdup(path);
	err = conf_read(c, path, file.text, file.len, file.mode, why);
	file_fini(&file);
	return err;
}

/* Every value is parsed, those too that another will replace: a wrong one
 * must not lie hidden until then. */
int
conf_apply(struct conf *c, struct aqb_why *why)
{
	const struct conf_set *s;

	TAILQ_FOREACH (s, &c->sets, link) {
		const struct conf_row *row = conf_row_find(s->name, s->key);
		int err;

		if (row == NULL) {
			continue; /* a plugin's */
		}
		err = option_parse(&row->option, s->value, s->origin, c, why);
		if (err != AQB_OK) {
			return err;
		}
	}
	conf_fill_bursts(c);
	return conf_check(c, why);
}

/* A folder that nobody named may be missing. */
static int
read_dropins(struct conf *c, struct aqb_why *why)
{
	struct aqb_why fact = { .text = "" };
	int err = dropins_read(&c->dropins, c->plugins.dir, &fact);

	if (err == AQB_ENOENT &&
	    sets_find(&c->sets, "plugins", "dir") == NULL) {
		conf_warn(c, "no plugins: %.200s", fact.text);
		return AQB_OK;
	}
	if (err != AQB_OK) {
		return refuse(why, err, "%s", fact.text);
	}
	return AQB_OK;
}

static int
refuse_name(const struct conf *c, const struct conf_set *s, struct aqb_why *why)
{
	struct nearest near = { .want = s->name };
	char hint[NEAREST_SIZE];
	const struct dropin *d;

	TAILQ_FOREACH (d, &c->dropins, link) {
		nearest_offer(&near, d->plugin);
	}
	return refuse(why, AQB_EINVAL,
	    "%s: no section, and no plugin in %.70s, is called so%s", s->origin,
	    c->plugins.dir, nearest_text(&near, hint));
}

/* What the environment and flags say about plugins: the broker's own keys
 * are applied, the rest is kept for the plugin. */
static int
apply_overrides(struct conf *c, struct aqb_why *why)
{
	struct conf_set *s;
	struct conf_set *next;

	for (s = TAILQ_FIRST(&c->sets); s != NULL; s = next) {
		struct dropin *d = dropins_find(&c->dropins, s->name);
		int err;

		next = TAILQ_NEXT(s, link);
		if (conf_row_find(s->name, s->key) != NULL) {
			continue;
		}
		if (d == NULL) {
			return refuse_name(c, s, why);
		}
		err = dropin_override(d, s->key, s->value, s->origin, why);
		if (err == AQB_OK) {
			sets_remove(&c->sets, &s);
		} else if (err != AQB_ENOENT) {
			return err;
		}
	}
	return AQB_OK;
}

static void
warn_unknown(void *arg, const char *variable)
{
	conf_warn(arg,
	    "%.80s: not an option of this broker or its plugins; ignored",
	    variable);
}

static int
load_all(struct conf *c, const char *path, char **envp, struct aqb_why *why)
{
	int err = read_main_file(c, path, why);

	if (err == AQB_OK) {
		err = env_read_options(envp, &c->sets, why);
	}
	if (err == AQB_OK) {
		err = conf_apply(c, why);
	}
	if (err == AQB_OK) {
		err = read_dropins(c, why);
	}
	if (err == AQB_OK) {
		err = env_read_plugins(envp, &c->dropins, &c->sets,
		    warn_unknown, c, why);
	}
	if (err == AQB_OK) {
		err = apply_overrides(c, why);
	}
	if (err == AQB_OK) {
		err = conf_check_exposure(c, why);
	}
	return err;
}

int
conf_load(struct conf *c, int argc, char **argv, char **envp,
    enum conf_action *actionp, struct aqb_why *why)
{
	const char *path = NULL;
	int err = flags_read(argc, argv, &c->sets, actionp, &path, why);

	if (err != AQB_OK) {
		return err;
	}
	switch (*actionp) {
	case CONF_VERSION:
	case CONF_HELP:
	case CONF_MDOC:
		return AQB_OK;
	default:
		return load_all(c, path, envp, why);
	}
}

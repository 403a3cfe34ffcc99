/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/dropin.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/why.h"
#include "conf/file.h"
#include "conf/option.h"
#include "conf/scan.h"

static const struct aqb_option own_options[] = {
	AQB_STRING("load", struct dropin, load, 255, "", "the file to load"),
	AQB_BOOL("required", struct dropin, required, "no",
	    "the broker does not start without it"),
	AQB_BOOL("enabled", struct dropin, enabled, "yes", "load it at all"),
	AQB_OPTIONS_END,
};

static void
dropin_free(struct dropin **dp)
{
	struct dropin *d = *dp;

	*dp = NULL;
	option_fini(own_options, d);
	sets_fini(&d->values);
	free(d->file);
	free(d->plugin);
	free(d);
}

static int
take_section(struct dropin *d, const struct scan_item *item,
    struct aqb_why *why)
{
	if (strcmp(item->section, "plugin") != 0 || item->name[0] == '\0') {
		return refuse(why, AQB_EINVAL,
		    "%s: [%.60s]: not a plugin's section; write [plugin NAME]",
		    item->origin, item->section);
	}
	if (d->plugin != NULL) {
		return refuse(why, AQB_EINVAL,
		    "%s: [plugin %.60s]: a second section; give every plugin a file of its own",
		    item->origin, item->name);
	}
	d->plugin = xstrdup(item->name);
	return AQB_OK;
}

/* What the plugin is not asked about: where to find it, and whether. */
static int
take_own(struct dropin *d, const struct scan_item *item, struct aqb_why *why)
{
	if (strcmp(item->key, "load") == 0 &&
	    (item->value[0] == '\0' || item->value[0] == '.' ||
		strchr(item->value, '/') != NULL)) {
		return refuse(why, AQB_EINVAL,
		    "%s: load: \"%.40s\" is not a bare file name; write NAME.so and put its folder into plugins.path",
		    item->origin, item->value);
	}
	return option_set(own_options, item->key, item->value, item->origin, d,
	    why);
}

static int
take_item(void *arg, const struct scan_item *item, struct aqb_why *why)
{
	struct dropin *d = arg;
	struct conf_set set = { .layer = CONF_DROPIN };
	int err;

	if (item->key == NULL) {
		return take_section(d, item, why);
	}
	if (d->plugin == NULL) {
		return refuse(why, AQB_EINVAL,
		    "%s: %.60s: before any section; begin with [plugin NAME]",
		    item->origin, item->key);
	}
	set.name = d->plugin;
	set.key = (char *)item->key;
	set.value = (char *)item->value;
	set.origin = (char *)item->origin;
	err = sets_add(&d->values, &set, why);
	if (err != AQB_OK || option_find(own_options, item->key) == NULL) {
		return err;
	}
	return take_own(d, item, why);
}

/* The broker's own keys were kept to find doubles; the plugin shall not see
 * them. */
static void
drop_own(struct dropin *d)
{
	struct conf_set *s = TAILQ_FIRST(&d->values);

	while (s != NULL) {
		struct conf_set *next = TAILQ_NEXT(s, link);

		if (option_find(own_options, s->key) != NULL) {
			sets_remove(&d->values, &s);
		}
		s = next;
	}
}

static int
check_whole(const struct dropins *list, const struct dropin *d,
    struct aqb_why *why)
{
	char origin[SCAN_ORIGIN_SIZE];
	char other[SCAN_ORIGIN_SIZE];
	const struct dropin *twin;

	file_short_name(origin, d->file);
	if (d->plugin == NULL) {
		return refuse(why, AQB_EINVAL,
		    "%s: no section; begin with [plugin NAME]", origin);
	}
	if (d->load[0] == '\0') {
		return refuse(why, AQB_EINVAL,
		    "%s: [plugin %.60s]: no file to load; write load = NAME.so",
		    origin, d->plugin);
	}
	twin = dropins_find(list, d->plugin);
	if (twin != NULL) {
		file_short_name(other, twin->file);
		return refuse(why, AQB_EEXIST,
		    "%.90s: plugin %.32s: is in %.90s already; remove one",
		    origin, d->plugin, other);
	}
	return AQB_OK;
}

int
dropin_parse(struct dropins *list, const char *file, const char *text,
    size_t len, mode_t mode, struct aqb_why *why)
{
	struct dropin *d = xnew(sizeof *d);
	int err;

	d->file = xstrdup(file);
	d->mode = mode;
	TAILQ_INIT(&d->values);
	err = option_defaults(own_options, d, why);
	if (err == AQB_OK) {
		err = scan_text(file, text, len, take_item, d, why);
	}
	if (err == AQB_OK) {
		err = check_whole(list, d, why);
	}
	if (err != AQB_OK) {
		dropin_free(&d);
		return err;
	}
	drop_own(d);
	TAILQ_INSERT_TAIL(list, d, link);
	return AQB_OK;
}

static int
is_conf_name(const struct dirent *entry)
{
	const char *name = entry->d_name;
	size_t len = strlen(name);

	return name[0] != '.' && len > 5 &&
	    strcmp(name + len - 5, ".conf") == 0;
}

/* By bytes, so that the order is the same in every locale. */
static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
read_one(struct dropins *list, const char *dir, const char *name,
    struct aqb_why *why)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct file_text file;
	int err = file_read(path, &file, why);

	if (err == AQB_OK) {
		err = dropin_parse(list, path, file.text, file.len, file.mode,
		    why);
		file_fini(&file);
	} else if (err == AQB_ENOENT) {
		/* A link to nowhere: it is the folder that must be there. */
		err = AQB_ESYS;
	}
	free(path);
	return err;
}

int
dropins_read(struct dropins *list, const char *dir, struct aqb_why *why)
{
	struct dirent **names = NULL;
	char shown[SCAN_ORIGIN_SIZE];
	int n = scandir(dir, &names, is_conf_name, by_name);
	int err = AQB_OK;

	if (n < 0) {
		int code = errno;

		file_short_name(shown, dir);
		return refuse(why, code == ENOENT ? AQB_ENOENT : AQB_ESYS,
		    "%s: %s; make the folder or name another with plugins.dir",
		    shown, strerror(code));
	}
	for (int i = 0; i < n; i++) {
		if (err == AQB_OK) {
			err = read_one(list, dir, names[i]->d_name, why);
		}
		free(names[i]);
	}
	free(names);
	return err;
}

struct dropin *
dropins_find(const struct dropins *list, const char *plugin)
{
	struct dropin *d;

	TAILQ_FOREACH (d, list, link) {
		if (strcmp(d->plugin, plugin) == 0) {
			return d;
		}
	}
	return NULL;
}

int
dropin_override(struct dropin *d, const char *key, const char *value,
    const char *origin, struct aqb_why *why)
{
	if (option_find(own_options, key) == NULL) {
		return AQB_ENOENT;
	}
	if (strcmp(key, "load") == 0) {
		return refuse(why, AQB_EPERM,
		    "%s: load: only a file in plugins.d may say what to load",
		    origin);
	}
	return option_set(own_options, key, value, origin, d, why);
}

void
dropins_fini(struct dropins *list)
{
	struct dropin *d;

	while ((d = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, d, link);
		dropin_free(&d);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/flag.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/why.h"
#include "conf/conf_table.h"
#include "conf/nearest.h"
#include "conf/scan.h"

/* Flags that are no option of the table.  What is not an action takes a
 * value. */
enum {
	FLAG_CONFIG = 'c',
	FLAG_CHECK = 't',
	FLAG_VERSION = 'V',
	FLAG_HELP = 'h',
	FLAG_SET = 256,
	FLAG_REDIS_URL,
	FLAG_DUMP,
	FLAG_MDOC,
	FLAG_ROW, /* and this plus n is row n of the table */
};

static const struct option fixed[] = {
	{ "config", required_argument, NULL, FLAG_CONFIG },
	{ "set", required_argument, NULL, FLAG_SET },
	{ "redis-url", required_argument, NULL, FLAG_REDIS_URL },
	{ "check-config", no_argument, NULL, FLAG_CHECK },
	{ "dump-config", no_argument, NULL, FLAG_DUMP },
	{ "dump-mdoc", no_argument, NULL, FLAG_MDOC },
	{ "version", no_argument, NULL, FLAG_VERSION },
	{ "help", no_argument, NULL, FLAG_HELP },
};

#define NFIXED (sizeof fixed / sizeof fixed[0])

/* All long flags in getopt's form; free(). */
static struct option *
make_options(void)
{
	struct option *options;
	size_t n = 0;
	size_t rows = 0;

	while (conf_table[rows].section != NULL) {
		rows++;
	}
	options = xnew((NFIXED + rows + 1) * sizeof *options);
	for (; n < NFIXED; n++) {
		options[n] = fixed[n];
	}
	for (size_t i = 0; i < rows; i++) {
		if (conf_table[i].flag != NULL) {
			options[n++] = (struct option){
				.name = conf_table[i].flag,
				.has_arg = required_argument,
				.val = FLAG_ROW + (int)i,
			};
		}
	}
	return options;
}

static int
add(struct conf_sets *sets, const char *name, const char *key,
    const char *value, const char *origin, struct aqb_why *why)
{
	const struct conf_set set = {
		.layer = CONF_FLAG,
		.name = (char *)name,
		.key = (char *)key,
		.value = (char *)value,
		.origin = (char *)origin,
	};

	return sets_add(sets, &set, why);
}

/* section.key=value, already cut into its parts. */
static int
add_parts(struct conf_sets *sets, const char *name, const char *key,
    const char *value, struct aqb_why *why)
{
	const struct conf_row *row;
	char origin[SCAN_ORIGIN_SIZE];

	snprintf(origin, sizeof origin, "--set %.40s.%.60s", name, key);
	if (!scan_is_word(name) || !scan_is_word(key)) {
		return refuse(why, AQB_EINVAL,
		    "%s: not an option; write --set section.key=value", origin);
	}

	/* What is no section may be a plugin; plugins.d will tell. */
	if (conf_section_help(name) != NULL) {
		int err = conf_row_get(name, key, origin, &row, why);

		if (err != AQB_OK) {
			return err;
		}
	}
	return add(sets, name, key, value, origin, why);
}

static int
add_set(struct conf_sets *sets, const char *text, struct aqb_why *why)
{
	char *copy = xstrdup(text);
	char *equals = strchr(copy, '=');
	char *dot = strchr(copy, '.');
	int err;

	if (equals != NULL) {
		*equals = '\0';
	}
	if (equals == NULL || dot == NULL || dot > equals) {
		err = refuse(why, AQB_EINVAL,
		    "--set %.60s: not an option; write --set section.key=value",
		    copy);
	} else {
		*dot = '\0';
		err = add_parts(sets, copy, dot + 1, equals + 1, why);
	}
	explicit_bzero(copy, strlen(text));
	free(copy);
	return err;
}

/* Is it a flag that we know, used wrongly? */
static bool
is_known(const struct option *options, int code)
{
	for (; options->name != NULL; options++) {
		if (options->val == code) {
			return true;
		}
	}
	return false;
}

static int
refuse_flag(int argc, char **argv, int code, const struct option *options,
    struct aqb_why *why)
{
	const char *text = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	struct nearest near = { .want = text + strspn(text, "-") };

	if (code == ':') {
		return refuse(why, AQB_EINVAL, "%.60s: needs a value", text);
	}
	if (is_known(options, optopt)) {
		return refuse(why, AQB_EINVAL, "%.60s: takes no value", text);
	}
	for (; options->name != NULL; options++) {
		if (options->val != FLAG_MDOC) {
			nearest_offer(&near, options->name);
		}
	}
	if (near.best != NULL) {
		return refuse(why, AQB_EINVAL,
		    "%.60s: not a flag of this program; did you mean --%s?",
		    text, near.best);
	}
	return refuse(why, AQB_EINVAL,
	    "%.60s: not a flag of this program; --help lists all", text);
}

/* What getopt has found, but for what it could not understand. */
static int
take(int code, struct conf_sets *sets, enum conf_action *actionp,
    const char **configp, struct aqb_why *why)
{
	const struct conf_row *row;
	char origin[64];

	switch (code) {
	case FLAG_CONFIG:
		*configp = optarg;
		return AQB_OK;
	case FLAG_SET:
		return add_set(sets, optarg, why);
	case FLAG_REDIS_URL:
		return add(sets, "storage-redis-streams", "url", optarg,
		    "--redis-url", why);
	case FLAG_CHECK:
		*actionp = CONF_CHECK;
		return AQB_OK;
	case FLAG_DUMP:
		*actionp = CONF_DUMP;
		return AQB_OK;
	case FLAG_MDOC:
		*actionp = CONF_MDOC;
		return AQB_OK;
	case FLAG_VERSION:
		*actionp = CONF_VERSION;
		return AQB_OK;
	case FLAG_HELP:
		*actionp = CONF_HELP;
		return AQB_OK;
	default:
		row = &conf_table[code - FLAG_ROW];
		snprintf(origin, sizeof origin, "--%s", row->flag);
		return add(sets, row->section, row->option.name, optarg, origin,
		    why);
	}
}

int
flags_read(int argc, char **argv, struct conf_sets *sets,
    enum conf_action *actionp, const char **configp, struct aqb_why *why)
{
	struct option *options = make_options();
	int err = AQB_OK;
	int code;

	*actionp = CONF_RUN;
	*configp = NULL;
	opterr = 0;
	optind = 0; /* begin anew: a reload reads the same flags again */
	while (err == AQB_OK &&
	    (code = getopt_long(argc, argv, "+:c:tVh", options, NULL)) != -1) {
		if (code == '?' || code == ':') {
			err = refuse_flag(argc, argv, code, options, why);
		} else {
			err = take(code, sets, actionp, configp, why);
		}
	}
	if (err == AQB_OK && optind < argc) {
		err = refuse(why, AQB_EINVAL,
		    "\"%.60s\": no argument is expected; --help lists all flags",
		    argv[optind]);
	}
	free(options);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/env.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf_table.h"

#define PREFIX "ARQONBUS_"
#define PREFIX_LEN (sizeof PREFIX - 1)

/* A name is one of ours only if it is shorter than this. */
#define NAME_SIZE 256

/* Short names for what most people set. */
static const struct {
	const char *variable;
	const char *plugin;
	const char *key;
} aliases[] = {
	{ "ARQONBUS_REDIS_URL", "storage-redis-streams", "url" },
	{ "ARQONBUS_VALKEY_URL", "storage-redis-streams", "url" },
};

/* Variables with a meaning that is no option. */
static const char *const others[] = {
	"ARQONBUS_KEEP_PLUGINS",
};

void
env_name(char *text, size_t size, const char *section, const char *key)
{
	snprintf(text, size, PREFIX "%s_%s", section, key);
	for (; *text != '\0'; text++) {
		*text =
		    *text == '-' ? '_' : (char)toupper((unsigned char)*text);
	}
}

/* Split NAME=value.  False when it is not ours or has no value. */
static bool
split(const char *entry, char name[NAME_SIZE], const char **valuep)
{
	const char *equals = strchr(entry, '=');

	if (equals == NULL || strncmp(entry, PREFIX, PREFIX_LEN) != 0 ||
	    equals - entry >= NAME_SIZE || equals[1] == '\0') {
		return false;
	}
	memcpy(name, entry, (size_t)(equals - entry));
	name[equals - entry] = '\0';
	*valuep = equals + 1;
	return true;
}

static const struct conf_row *
row_of(const char *variable)
{
	char name[NAME_SIZE];

	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		env_name(name, sizeof name, r->section, r->option.name);
		if (strcmp(name, variable) == 0) {
			return r;
		}
	}
	return NULL;
}

/* A service called arqonbus-server makes Kubernetes set ARQONBUS_SERVER_PORT
 * to a URL, which is not our port. */
static bool
is_kubernetes(const struct conf_row *row, const char *value)
{
	return row->option.type == AQB_OPT_U32 &&
	    (strncmp(value, "tcp://", 6) == 0 ||
		strncmp(value, "udp://", 6) == 0);
}

static int
add(struct conf_sets *sets, const char *name, const char *key,
    const char *value, const char *variable, struct aqb_why *why)
{
	const struct conf_set set = {
		.layer = CONF_ENV,
		.name = (char *)name,
		.key = (char *)key,
		.value = (char *)value,
		.origin = (char *)variable,
	};

	return sets_add(sets, &set, why);
}

int
env_read_options(char *const *envp, struct conf_sets *sets, struct aqb_why *why)
{
	char name[NAME_SIZE];
	const char *value;
	int err = AQB_OK;

	for (; envp != NULL && *envp != NULL && err == AQB_OK; envp++) {
		const struct conf_row *row;

		if (!split(*envp, name, &value)) {
			continue;
		}
		row = row_of(name);
		if (row != NULL && !is_kubernetes(row, value)) {
			err = add(sets, row->section, row->option.name, value,
			    name, why);
		}
	}
	return err;
}

/* The plugin that this variable is about, and its key as the variable has
 * it.  Of two names that fit, the longer one is meant. */
static const struct dropin *
plugin_of(const struct dropins *list, const char *variable, const char **keyp)
{
	const struct dropin *best = NULL;
	const struct dropin *d;
	size_t most = 0;

	TAILQ_FOREACH (d, list, link) {
		char name[NAME_SIZE];
		size_t len;

		env_name(name, sizeof name, d->plugin, "");
		len = strlen(name);
		if (len > most && strncmp(variable, name, len) == 0 &&
		    variable[len] != '\0') {
			best = d;
			most = len;
		}
	}
	*keyp = variable + most;
	return best;
}

static int
read_alias(const char *variable, const char *value, const struct dropins *list,
    struct conf_sets *sets, bool *knownp, struct aqb_why *why)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
		if (strcmp(variable, aliases[i].variable) == 0 &&
		    dropins_find(list, aliases[i].plugin) != NULL) {
			*knownp = true;
			return add(sets, aliases[i].plugin, aliases[i].key,
			    value, variable, why);
		}
	}
	return AQB_OK;
}

static int
read_plugin(const char *variable, const char *value, const struct dropins *list,
    struct conf_sets *sets, bool *knownp, struct aqb_why *why)
{
	const char *tail;
	const struct dropin *d = plugin_of(list, variable, &tail);
	char key[NAME_SIZE];
	size_t i;

	if (d == NULL) {
		return read_alias(variable, value, list, sets, knownp, why);
	}
	for (i = 0; tail[i] != '\0'; i++) {
		key[i] = (char)tolower((unsigned char)tail[i]);
	}
	key[i] = '\0';
	*knownp = true;
	return add(sets, d->plugin, key, value, variable, why);
}

static bool
is_other(const char *variable)
{
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (strcmp(variable, others[i]) == 0) {
			return true;
		}
	}
	return false;
}

int
env_read_plugins(char *const *envp, const struct dropins *list,
    struct conf_sets *sets, env_unknown_f *unknown, void *arg,
    struct aqb_why *why)
{
	char name[NAME_SIZE];
	const char *value;
	int err = AQB_OK;

	for (; envp != NULL && *envp != NULL && err == AQB_OK; envp++) {
		const struct conf_row *row;
		bool known = false;

		if (!split(*envp, name, &value) || is_other(name)) {
			continue;
		}
		row = row_of(name);
		if (row == NULL) {
			err = read_plugin(name, value, list, sets, &known, why);
		} else {
			known = !is_kubernetes(row, value);
		}
		if (!known) {
			unknown(arg, name);
		}
	}
	return err;
}

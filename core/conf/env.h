/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_ENV_H
#define CONF_ENV_H

/*
 * The environment: ARQONBUS_, a section's or a plugin's name, `_` and the
 * key, all in capitals and with `_` for `-`.  A name that is both a section's
 * and a plugin's option is the section's.  An empty variable counts as not
 * set.
 */

#include <stddef.h>

#include <arqonbus/error.h>

#include "conf/dropin.h"
#include "conf/set.h"

/* Add what is said about the daemon's own options. */
int env_read_options(char *const *envp, struct conf_sets *sets,
    struct aqb_why *why);

/* Called with the name of a variable. */
typedef void env_unknown_f(void *arg, const char *variable);

/*
 * Add what is said about the plugins on the list, and tell of variables that
 * belong to nobody: Kubernetes sets such for a service called arqonbus, so
 * they cannot be an error.
 */
int env_read_plugins(char *const *envp, const struct dropins *list,
    struct conf_sets *sets, env_unknown_f *unknown, void *arg,
    struct aqb_why *why);

/* Write the variable of an option, shortened if it does not fit. */
void env_name(char *text, size_t size, const char *section, const char *key);

#endif

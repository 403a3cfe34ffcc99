/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

/*
 * What the broker was told: flags, then environment, then files, then
 * defaults.
 */

#include <stddef.h>
#include <stdio.h>

#include <sys/stat.h>

#include <arqonbus/plugin.h>

#include "base/buf.h"
#include "conf/conf_section.h"
#include "conf/dropin.h"
#include "conf/file.h"
#include "conf/set.h"

/* How a file's text is found; file_read, but for tests. */
typedef int conf_fetch_f(const char *path, struct file_text *filep,
    struct aqb_why *why);

struct conf {
	struct conf_server server;
	struct conf_storage storage;
	struct conf_telemetry telemetry;
	struct conf_log log;
	struct conf_limits limits;
	struct conf_auth auth;
	struct conf_plugins plugins;

	char *file; /* the file that was read, or NULL */
	struct conf_sets sets;
	struct dropins dropins;
	char **warnings; /* sentences for the log */
	size_t nwarnings;
	size_t warnings_cap;
	conf_fetch_f *fetch;
};

/* What the command line asks for. */
enum conf_action {
	CONF_RUN,
	CONF_CHECK,   /* load everything, say so, exit */
	CONF_DUMP,    /* conf_print, exit */
	CONF_MDOC,    /* conf_print_mdoc, exit; not documented to users */
	CONF_VERSION, /* nothing was loaded but flags; likewise the next */
	CONF_HELP,    /* conf_print_usage, exit */
};

/* Everything at its default. */
struct conf *conf_new(void);
void conf_free(struct conf **confp);

/*
 * Read flags, the environment, the files and plugins.d, and check it all.
 * Once for each struct conf; a reload loads a new one.  Refuses with a
 * negative enum aqb_err and one sentence that names the place; what is only
 * odd becomes a warning.  The strings are copied.
 */
int conf_load(struct conf *c, int argc, char **argv, char **envp,
    enum conf_action *actionp, struct aqb_why *why);

/* The steps of conf_load, for those who have a text instead of a file: read
 * one file's text, then check. */
int conf_read(struct conf *c, const char *file, const char *text, size_t len,
    mode_t mode, struct aqb_why *why);
int conf_apply(struct conf *c, struct aqb_why *why);

/*
 * Show a plugin what was set for it, weakest first, so that the last value of
 * a key counts: keys of the section called like its kind ("storage",
 * "telemetry" or "commands") that `options`, its own table, knows; its file
 * in plugins.d; the environment; flags.  Where both the section and the
 * plugin are named in one layer, the plugin's own value is the later.
 * Anything but AQB_OK ends the walk and is its result.
 */
typedef int conf_value_f(void *arg, const struct conf_set *set,
    struct aqb_why *why);
int conf_plugin_values(const struct conf *c, const char *plugin,
    const char *kind, const struct aqb_option *options, conf_value_f *value,
    void *arg, struct aqb_why *why);

/* Keep a sentence for the log. */
void conf_warn(struct conf *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A file that reads back the same, without its secrets. */
void conf_print(const struct conf *c, FILE *out);
/* One JSON object of sections, secrets masked. */
void conf_print_json(const struct conf *c, struct buf *out);
/* The options as the manual lists them. */
void conf_print_mdoc(FILE *out);
void conf_print_usage(FILE *out);

#endif

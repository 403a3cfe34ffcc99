/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_CONF_FAKE_H
#define UNIT_CONF_FAKE_H

/* A configuration with a disk of texts, flags and an environment of its own.
 * Only plugins.d is on the real disk, in a folder that goes with the test. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/why.h"
#include "conf/conf.h"

#define MAX_FILES 12
#define MAX_WORDS 16

/* A disk of texts. */
static struct {
	const char *path;
	const char *text;
	mode_t mode;
} files[MAX_FILES];
static size_t nfiles;

static struct conf *conf;
static enum conf_action action;
static struct aqb_why why;
static char *flags[MAX_WORDS];
static int nflags;
static char *vars[MAX_WORDS];
static int nvars;
static char dir[64];

static inline void
file(const char *path, const char *text)
{
	ck_assert_uint_lt(nfiles, MAX_FILES);
	files[nfiles].path = path;
	files[nfiles].text = text;
	files[nfiles].mode = 0100640;
	nfiles++;
}

static inline int
fetch(const char *path, struct file_text *filep, struct aqb_why *w)
{
	for (size_t i = 0; i < nfiles; i++) {
		if (strcmp(files[i].path, path) == 0) {
			filep->text = xstrdup(files[i].text);
			filep->len = strlen(files[i].text);
			filep->mode = files[i].mode;
			return AQB_OK;
		}
	}
	return refuse(w, AQB_ENOENT, "%s: cannot be read: no such file", path);
}

static inline void
flag(const char *word)
{
	ck_assert_int_lt(nflags, MAX_WORDS - 1);
	flags[nflags++] = xstrdup(word);
}

static inline void
variable(const char *word)
{
	ck_assert_int_lt(nvars, MAX_WORDS - 1);
	vars[nvars++] = xstrdup(word);
}

/* A file in plugins.d, which lies on the real disk. */
static inline void
plugin(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

static inline int
load(void)
{
	return conf_load(conf, nflags, flags, vars, &action, &why);
}

static inline void
setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/test_conf.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	memset(&why, 0, sizeof why);
	conf = conf_new();
	conf->fetch = fetch;
	flag("arqonbusd");
	flag("--plugins-dir");
	flag(dir);
}

static inline void
teardown(void)
{
	char *command = xasprintf("rm -rf '%s'", dir);

	ck_assert_int_eq(system(command), 0);
	free(command);
	conf_free(&conf);
	ck_assert_ptr_null(conf);
	while (nflags > 0) {
		free(flags[--nflags]);
		flags[nflags] = NULL;
	}
	while (nvars > 0) {
		free(vars[--nvars]);
		vars[nvars] = NULL;
	}
	nfiles = 0;
}

/* Load the file and expect it to be taken. */
static inline void
take(const char *text)
{
	file("c/a.conf", text);
	flag("--config");
	flag("c/a.conf");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
}

static inline bool
has_warning(const char *says)
{
	for (size_t i = 0; i < conf->nwarnings; i++) {
		if (strstr(conf->warnings[i], says) != NULL) {
			return true;
		}
	}
	return false;
}

#endif

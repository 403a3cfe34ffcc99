/* SPDX-License-Identifier: Apache-2.0 */
#include "host/trust.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/why.h"

static int
fail(const char *path, struct aqb_why *why)
{
	return refuse(why, errno == ENOENT ? AQB_ENOENT : AQB_ESYS, "%s: %s",
	    path, strerror(errno));
}

/* What holds for the file and for each folder. */
static int
check_writers(const char *path, const struct stat *st, struct aqb_why *why)
{
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		return refuse(why, AQB_EPERM,
		    "%s: belongs to user %u, neither root nor us; chown it",
		    path, (unsigned)st->st_uid);
	}
	if (st->st_mode & (S_IWGRP | S_IWOTH)) {
		return refuse(why, AQB_EPERM,
		    "%s: others may write it (mode %04o); chmod go-w it", path,
		    st->st_mode & 07777u);
	}
	return AQB_OK;
}

static int
check_folder(const char *path, struct aqb_why *why)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		return fail(path, why);
	}
	if (st.st_uid == 0 && (st.st_mode & S_ISVTX)) {
		return AQB_OK;
	}
	return check_writers(path, &st, why);
}

/* Every folder above; `real` is a resolved path and is eaten up. */
static int
check_folders(char *real, struct aqb_why *why)
{
	char *slash;

	while ((slash = strrchr(real, '/')) != NULL && slash != real) {
		int err;

		*slash = '\0';
		err = check_folder(real, why);
		if (err != AQB_OK) {
			return err;
		}
	}
	return check_folder("/", why);
}

static int
check_file(const char *path, struct aqb_why *why)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		return fail(path, why);
	}
	if (!S_ISREG(st.st_mode)) {
		return refuse(why, AQB_EPERM, "%s: is no plain file", path);
	}
	if (st.st_mode & (S_ISUID | S_ISGID)) {
		return refuse(why, AQB_EPERM,
		    "%s: is setuid or setgid (mode %04o); chmod ug-s it", path,
		    st.st_mode & 07777u);
	}
	return check_writers(path, &st, why);
}

/* The folder of a path, resolved; NULL with errno. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder, *real;

	if (slash == NULL) {
		return realpath(".", NULL);
	}
	folder = slash == path ? xstrdup("/")
			       : xasprintf("%.*s", (int)(slash - path), path);
	real = realpath(folder, NULL);
	free(folder);
	return real;
}

static bool
is_in(const char *file, const char *folder)
{
	size_t len = strlen(folder);

	if (strcmp(folder, "/") == 0) {
		len = 0;
	}
	return strncmp(file, folder, len) == 0 && file[len] == '/' &&
	    strchr(file + len + 1, '/') == NULL;
}

int
trust_check(const char *path, struct aqb_why *why)
{
	char *folder = folder_of(path);
	char *real = realpath(path, NULL);
	int err;

	if (folder == NULL || real == NULL) {
		err = fail(path, why);
	} else if (!is_in(real, folder)) {
		err = refuse(why, AQB_EPERM, "%s: is a link out of its folder",
		    path);
	} else {
		err = check_file(real, why);
	}
	if (err == AQB_OK) {
		err = check_folders(real, why);
	}
	free(folder);
	free(real);
	return err;
}

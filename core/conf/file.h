/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_FILE_H
#define CONF_FILE_H

/* Configuration files as they come from the disk. */

#include <stddef.h>

#include <sys/stat.h>

#include <arqonbus/error.h>

#include "conf/scan.h"

struct file_text {
	char *text; /* NUL-terminated */
	size_t len;
	mode_t mode;
};

/*
 * Read a whole regular file of at most SCAN_MAX bytes.  AQB_ENOENT when there
 * is none, AQB_ESYS when it cannot be read, AQB_EINVAL when it is no file or
 * too large.  After AQB_OK, file_fini is due.
 */
int file_read(const char *path, struct file_text *filep, struct aqb_why *why);

/* Wipe and free: there may be secrets in it. */
void file_fini(struct file_text *file);

/* Refuse with AQB_EPERM a secret that was found in a file of this mode, when
 * others than owner and group may read it. */
int file_check_secret(mode_t mode, const char *origin, const char *key,
    struct aqb_why *why);

/* A path as refusals name it; a long one keeps its end. */
void file_short_name(char name[SCAN_ORIGIN_SIZE], const char *path);

/* The path of `name` as seen from the folder of the file `from`; free(). */
char *file_beside(const char *from, const char *name);

#endif

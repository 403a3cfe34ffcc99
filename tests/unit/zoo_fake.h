/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_ZOO_FAKE_H
#define UNIT_ZOO_FAKE_H

/* A folder of our own with plugins out of the zoo (tests/plugins/zoo), where
 * modes and owners can be changed. */

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static char zoo[64];

/* Where the zoo was built: ZOO_DIR, or as make check runs us. */
static inline char *
zoo_cage(const char *name)
{
	const char *built = getenv("ZOO_DIR");

	return xasprintf("%s/%s.so",
	    built != NULL ? built : "tests/plugins/zoo/.libs", name);
}

static inline char *
zoo_path(const char *name)
{
	return xasprintf("%s/%s.so", zoo, name);
}

/* Copy at most `most` bytes of one plugin, under another name. */
static inline void
zoo_copy_as(const char *name, const char *as, size_t most)
{
	char *from = zoo_cage(name), *to = zoo_path(as);
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");
	int c;

	ck_assert_msg(in != NULL, "%s is not built", from);
	ck_assert_ptr_nonnull(out);
	while (most-- > 0 && (c = getc(in)) != EOF) {
		putc(c, out);
	}
	fclose(in);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(chmod(to, 0755), 0);
	free(from);
	free(to);
}

static inline void
zoo_copy(const char *name)
{
	zoo_copy_as(name, name, SIZE_MAX);
}

static inline void
zoo_chmod(const char *name, mode_t mode)
{
	char *path = zoo_path(name);

	ck_assert_int_eq(chmod(path, mode), 0);
	free(path);
}

static inline void
zoo_setup(void)
{
	snprintf(zoo, sizeof zoo, "/tmp/test_zoo.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(zoo));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
zoo_teardown(void)
{
	ck_assert_int_eq(nftw(zoo, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#endif

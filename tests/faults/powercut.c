/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a power cut would leave of a file: with this loaded by LD_PRELOAD, each
 * fsync() and fdatasync() notes how long the file was when it was called.
 * Later bytes may not be on the disk; the test cuts them off.
 *
 * One line a call goes to the file that POWERCUT_LOG names: size, space, path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int sync_f(int fd);

static void
note(int fd, long long size)
{
	const char *log = getenv("POWERCUT_LOG");
	char link[64], path[PATH_MAX];
	ssize_t len;
	int out;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof path - 1);
	if (log == NULL || len < 0) {
		return;
	}
	out = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (out < 0) {
		return;
	}
	dprintf(out, "%lld %.*s\n", size, (int)len, path);
	close(out);
}

static int
sync_and_note(const char *name, int fd)
{
	sync_f *real = (sync_f *)dlsym(RTLD_NEXT, name);
	struct stat st;
	/* Before the call: what is written meanwhile may miss it. */
	long long size = fstat(fd, &st) == 0 ? (long long)st.st_size : -1;
	int result = real(fd);

	if (result == 0 && size >= 0) {
		note(fd, size);
	}
	return result;
}

int
fsync(int fd)
{
	return sync_and_note("fsync", fd);
}

int
fdatasync(int fd)
{
	return sync_and_note("fdatasync", fd);
}

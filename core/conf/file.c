/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/why.h"

void
file_short_name(char name[SCAN_ORIGIN_SIZE], const char *path)
{
	size_t len = strlen(path);
	size_t most = SCAN_ORIGIN_SIZE - 16;

	snprintf(name, SCAN_ORIGIN_SIZE, "%s%s", len > most ? "..." : "",
	    len > most ? path + len - most : path);
}

static int
refuse_system(const char *shown, struct aqb_why *why)
{
	int code = errno;

	return refuse(why, code == ENOENT ? AQB_ENOENT : AQB_ESYS,
	    "%s: cannot be read: %s", shown, strerror(code));
}

/* Read until the end, or one byte more than is allowed. */
static int
read_all(int fd, struct file_text *file)
{
	file->text = xnew(SCAN_MAX + 2);
	while (file->len <= SCAN_MAX) {
		ssize_t n =
		    read(fd, file->text + file->len, SCAN_MAX + 1 - file->len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return (int)n;
		}
		file->len += (size_t)n;
	}
	return 0;
}

static int
read_open(int fd, const char *shown, struct file_text *file,
    struct aqb_why *why)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return refuse_system(shown, why);
	}
	/* A device too: /dev/null is the shortest configuration. */
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
		return refuse(why, AQB_EINVAL, "%s: not a file", shown);
	}
	file->mode = st.st_mode;
	if (read_all(fd, file) != 0) {
		return refuse_system(shown, why);
	}
	if (file->len > SCAN_MAX) {
		return refuse(why, AQB_EINVAL,
		    "%s: more than %u bytes; is it a configuration file?",
		    shown, SCAN_MAX);
	}
	return AQB_OK;
}

int
file_read(const char *path, struct file_text *filep, struct aqb_why *why)
{
	char shown[SCAN_ORIGIN_SIZE];
	/* Without O_NONBLOCK a FIFO would hold us for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err;

	memset(filep, 0, sizeof *filep);
	file_short_name(shown, path);
	if (fd < 0) {
		return refuse_system(shown, why);
	}
	err = read_open(fd, shown, filep, why);
	close(fd);
	if (err != AQB_OK) {
		file_fini(filep);
	}
	return err;
}

void
file_fini(struct file_text *file)
{
	if (file->text != NULL) {
		explicit_bzero(file->text, file->len);
		free(file->text);
	}
	memset(file, 0, sizeof *file);
}

char *
file_beside(const char *from, const char *name)
{
	const char *slash = strrchr(from, '/');

	if (name[0] == '/' || slash == NULL) {
		return xstrdup(name);
	}
	return xasprintf("%.*s/%s", (int)(slash - from), from, name);
}

int
file_check_secret(mode_t mode, const char *origin, const char *key,
    struct aqb_why *why)
{
	if ((mode & S_IROTH) == 0) {
		return AQB_OK;
	}
	return refuse(why, AQB_EPERM,
	    "%s: %.60s: a secret in a file that everybody may read (mode %04o); run chmod o-r on it",
	    origin, key, (unsigned)mode & 07777u);
}

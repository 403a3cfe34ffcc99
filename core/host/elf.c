/* SPDX-License-Identifier: Apache-2.0 */
#include "host/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/why.h"

#define SEGMENTS_MAX 256 /* a shared object has about ten */

static bool
read_at(int fd, uint64_t at, void *data, size_t len)
{
	ssize_t n;

	do {
		n = pread(fd, data, len, (off_t)at);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* The head of this very program: what it is built for, we are. */
static bool
read_own_head(ElfW(Ehdr) * headp)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && read_at(fd, 0, headp, sizeof *headp);

	if (fd >= 0) {
		close(fd);
	}
	return ok;
}

static int
check_head(const ElfW(Ehdr) * head, const char *path, struct aqb_why *why)
{
	ElfW(Ehdr) own;

	if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) {
		return refuse(why, AQB_EABI, "%s: is no ELF file", path);
	}
	if (read_own_head(&own) &&
	    (head->e_ident[EI_CLASS] != own.e_ident[EI_CLASS] ||
		head->e_ident[EI_DATA] != own.e_ident[EI_DATA] ||
		head->e_machine != own.e_machine)) {
		return refuse(why, AQB_EABI,
		    "%s: built for another machine (ELF machine %u, ours is "
		    "%u)",
		    path, head->e_machine, own.e_machine);
	}
	if (head->e_type != ET_DYN) {
		return refuse(why, AQB_EABI,
		    "%s: is no shared object; link it with -shared", path);
	}
	return AQB_OK;
}

static int
check_segments(int fd, const ElfW(Ehdr) * head, uint64_t size, const char *path,
    struct aqb_why *why)
{
	if (head->e_phentsize != sizeof(ElfW(Phdr)) || head->e_phnum == 0 ||
	    head->e_phnum > SEGMENTS_MAX) {
		return refuse(why, AQB_EABI,
		    "%s: its ELF program headers make no sense", path);
	}
	for (uint64_t i = 0; i < head->e_phnum; i++) {
		uint64_t at = head->e_phoff + i * sizeof(ElfW(Phdr));
		ElfW(Phdr) segment;

		if (!read_at(fd, at, &segment, sizeof segment) ||
		    segment.p_offset > size ||
		    segment.p_filesz > size - segment.p_offset) {
			return refuse(why, AQB_EABI,
			    "%s: is cut short: only %llu bytes are left of it",
			    path, (unsigned long long)size);
		}
	}
	return AQB_OK;
}

static int
check_file(int fd, const char *path, struct aqb_why *why)
{
	ElfW(Ehdr) head;
	struct stat st;
	int err;

	if (fstat(fd, &st) != 0) {
		return refuse(why, AQB_ESYS, "%s: %s", path, strerror(errno));
	}
	if (!read_at(fd, 0, &head, sizeof head)) {
		return refuse(why, AQB_EABI, "%s: is no ELF file: %llu bytes",
		    path, (unsigned long long)st.st_size);
	}
	err = check_head(&head, path, why);
	if (err != AQB_OK) {
		return err;
	}
	return check_segments(fd, &head, (uint64_t)st.st_size, path, why);
}

int
elf_check(const char *path, struct aqb_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0) {
		return refuse(why, AQB_ESYS, "%s: %s", path, strerror(errno));
	}
	err = check_file(fd, path, why);
	close(fd);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A time of day that a test moves, preloaded under a process: the seconds in
 * the file that DAY_FILE names are added to it.  The monotonic clock is left
 * alone.  (Debian's faketime does not go with the allocator of Redis.)
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *jumped;

__attribute__((constructor)) static void
look_up(void)
{
	const char *name = getenv("DAY_FILE");
	int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0) {
		p = mmap(NULL, sizeof *jumped, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
	}
	jumped = p == MAP_FAILED ? NULL : p;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int result = (int)syscall(SYS_clock_gettime, id, ts);

	if (jumped != NULL &&
	    (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		ts->tv_sec += *jumped;
	}
	return result;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *tp)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (tp != NULL) {
		*tp = ts.tv_sec;
	}
	return ts.tv_sec;
}

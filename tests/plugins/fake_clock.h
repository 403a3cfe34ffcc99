/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGINS_FAKE_CLOCK_H
#define PLUGINS_FAKE_CLOCK_H

/* Time that passes when a test says so.  A program that includes this has the
 * clock_gettime of all its libraries. */

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How far the clocks are ahead of the kernel's, in milliseconds. */
static _Atomic int64_t passed, day_jumped;

/* Once it is frozen time passes only then, however slow the machine. */
static _Atomic int64_t frozen[2]; /* seconds: of the day, monotonic */

static inline void
freeze_time(void)
{
	struct timespec ts;

	if (frozen[0] == 0) {
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
		frozen[1] = ts.tv_sec;
		syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts);
		frozen[0] = ts.tv_sec;
	}
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int err = (int)syscall(SYS_clock_gettime, id, ts);
	int64_t ms = id == CLOCK_REALTIME ? passed + day_jumped : passed;

	if (frozen[0] != 0 &&
	    (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC ||
		id == CLOCK_MONOTONIC_COARSE)) {
		ts->tv_sec = frozen[id != CLOCK_REALTIME];
		ts->tv_nsec = 0;
	}
	if (err == 0 &&
	    (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC ||
		id == CLOCK_MONOTONIC_COARSE)) {
		ts->tv_sec += ms / 1000;
		ts->tv_nsec += ms % 1000 * 1000000;
		if (ts->tv_nsec >= 1000000000) {
			ts->tv_nsec -= 1000000000;
			ts->tv_sec++;
		} else if (ts->tv_nsec < 0) {
			ts->tv_nsec += 1000000000;
			ts->tv_sec--;
		}
	}
	return err;
}

#endif

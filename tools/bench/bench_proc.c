/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_proc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void
bench_die(const char *fmt, ...)
{
	va_list args;

	fputs("bench: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static uint64_t
read_clock(clockid_t id)
{
	struct timespec ts = { 0 };

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
bench_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
bench_cpu(int pid)
{
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) != 0) {
		bench_die("there is no process %d", pid);
	}
	return read_clock(id);
}

/* The first line of /proc/stat: user nice system idle iowait irq softirq
 * steal, in ticks of all processors together. */
static void
read_machine(struct bench_usage *u)
{
	uint64_t tick = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	unsigned long long n[8] = { 0 };
	FILE *f = fopen("/proc/stat", "re");

	if (f == NULL) {
		return;
	}
	if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &n[0],
		&n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]) == 8) {
		u->machine = (n[0] + n[1] + n[2] + n[5] + n[6] + n[7]) * tick;
		u->whole = u->machine + (n[3] + n[4]) * tick;
	}
	fclose(f);
}

struct bench_usage
bench_usage(int server_pid)
{
	struct bench_usage u = { .time = bench_now(),
		.server = bench_cpu(server_pid),
		.client = bench_cpu(0) };

	read_machine(&u);
	return u;
}

struct bench_usage
bench_usage_since(int server_pid, const struct bench_usage *then)
{
	struct bench_usage u = bench_usage(server_pid);

	u.time -= then->time;
	u.server -= then->server;
	u.client -= then->client;
	u.machine -= then->machine;
	u.whole -= then->whole;
	return u;
}

double
bench_usage_others(const struct bench_usage *u)
{
	uint64_t ours = u->server + u->client;

	if (u->machine <= ours || u->whole == 0) {
		return 0;
	}
	return (double)(u->machine - ours) / (double)u->whole;
}

/* The line of a file of /proc/PID that begins with this key counts KiB. */
static uint64_t
read_kib(int pid, const char *file, const char *key)
{
	unsigned long long kib = 0;
	char path[64];
	char line[256];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	if (f == NULL) {
		return 0;
	}
	while (fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0) {
			kib = strtoull(line + strlen(key), NULL, 10);
		}
	}
	fclose(f);
	return kib * 1024;
}

uint64_t
bench_rss(int pid)
{
	return read_kib(pid, "status", "VmRSS:");
}

uint64_t
bench_rss_peak(int pid)
{
	return read_kib(pid, "status", "VmHWM:");
}

uint64_t
bench_pss(int pid)
{
	return read_kib(pid, "smaps_rollup", "Pss:");
}

uint64_t
bench_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return 0;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

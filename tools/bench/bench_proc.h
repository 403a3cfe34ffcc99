/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

/* Clocks, the costs of the server's process, and the end of our own. */

#include <stdint.h>

/* What was used of the CPU from one moment on, in nanoseconds. */
struct bench_usage {
	uint64_t time;
	uint64_t server;
	uint64_t client;  /* this process */
	uint64_t machine; /* all processes */
	uint64_t whole;   /* what the machine has */
};

/* Say what is wrong on standard error and exit with status 2. */
void bench_die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* Time that never jumps, in nanoseconds. */
uint64_t bench_now(void);

/* Nanoseconds of CPU that all threads of a process have used; 0 stands for
 * this process.  Ends the program when there is no such process. */
uint64_t bench_cpu(int pid);

/* Look at all the clocks, and find what they went on by since then. */
struct bench_usage bench_usage(int server_pid);
struct bench_usage bench_usage_since(int server_pid,
    const struct bench_usage *then);

/* The share (0..1) of the machine that neither server nor client used: where
 * it is not small, latencies say little about the server. */
double bench_usage_others(const struct bench_usage *u);

/* Resident bytes of a process, now and at most so far; 0 when unknown. */
uint64_t bench_rss(int pid);
uint64_t bench_rss_peak(int pid);

/* The same with shared pages divided among those that share them. */
uint64_t bench_pss(int pid);

/* Ask for as many descriptors as this process may have; returns how many. */
uint64_t bench_descriptors(void);

#endif

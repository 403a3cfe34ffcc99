/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

/* The tests of arqonbus-bench: each is a main() of its own, and answers 0 when
 * all went well, 1 when something was lost, doubled, reordered or refused. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "bench_conn.h"
#include "bench_hist.h"
#include "bench_opt.h"
#include "bench_proc.h"
#include "bench_stamp.h"

struct peer_dialect;

int acks_main(int argc, char **argv);
int fanout_main(int argc, char **argv);
int history_main(int argc, char **argv);
int idle_main(int argc, char **argv);
int pairs_main(int argc, char **argv);
int slow_main(int argc, char **argv);
int smoke_main(int argc, char **argv);
int start_main(int argc, char **argv);
int storm_main(int argc, char **argv);

/* What every test is told by the same flags. */
struct bench_target {
	int port;
	int pid;
	bool deflate;       /* offer permessage-deflate */
	const char *speaks; /* the name of its dialect; a flag of some tests */
	bool plain;         /* it is the floor; a flag of some tests */
	bool progress;      /* also where standard error is no terminal */
	const char *json;
	double patience; /* seconds without an answer; half without any sign */

	const struct peer_dialect *dialect; /* bench_begin() finds it */
};
extern struct bench_target bench_target;

/* Read a test's own flags and those of the target, which must be named. */
void bench_begin(const struct bench_opt *opts, int argc, char **argv);

/* Say that the server ended a connection, and exit with status 1. */
void bench_dropped(const struct bench_conn *c) __attribute__((noreturn));

/* Add the counts of a score as members of an object. */
void bench_score_json(const struct bench_score *score, struct buf *b);

/* Print what was wrong with a score, or that nothing was. */
void bench_score_print(const struct bench_score *score);

/* The part of the whole that each of n has; 0 when there is none. */
double bench_each(double whole, uint64_t n);

/* Add what each of n things cost, and the server's memory, as members. */
void bench_cost_json(const struct bench_usage *u, uint64_t n, struct buf *b);

/* The same as shares of one core, while it lasted. */
void bench_share_json(const struct bench_usage *u, struct buf *b);
double bench_share(const struct bench_usage *u, uint64_t cpu);

/*
 * Latencies of a closed loop, whose senders wait for an answer: as they were,
 * and corrected for what was not sent meanwhile, with the median as the time
 * from one message of a sender to the next.  Prints both lines of the table.
 */
void bench_closed_print(const struct bench_hist *latency, const char *name);

/* End the result of a closed loop: "uncorrected_us", and the rest as
 * bench_finish(), corrected. */
void bench_closed_finish(struct buf *b, const struct bench_hist *latency,
    const struct bench_score *score);

/* End a result with its latencies, behind all others since scripts look for the
 * last percentiles, and a score unless that is NULL; then save it. */
void bench_finish(struct buf *b, const struct bench_hist *latency,
    const struct bench_score *score);

/* Write a result where --json says, if anywhere, and empty the buffer. */
void bench_save(struct buf *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

/* The tests of arqonbus-bench: each is a main() of its own, and answers 0 when
 * nothing was lost, doubled or reordered, 1 when something was. */

#include "base/buf.h"
#include "bench_conn.h"
#include "bench_stamp.h"

int fanout_main(int argc, char **argv);
int pairs_main(int argc, char **argv);
int smoke_main(int argc, char **argv);

/* Watch a connection; what epoll tells of it is `arg`. */
void bench_watch(int epoll_fd, const struct bench_conn *c, void *arg);

/* Say that the server ended a connection, and exit with status 1. */
void bench_dropped(const struct bench_conn *c) __attribute__((noreturn));

/* Add the counts of a score as members of an object. */
void bench_score_json(const struct bench_score *score, struct buf *b);

/* Print what was wrong with a score, or that nothing was. */
void bench_score_print(const struct bench_score *score);

/* Write a result to a file ("-" is standard output), or nowhere for NULL, and
 * empty the buffer. */
void bench_save(const char *file, struct buf *b);

#endif

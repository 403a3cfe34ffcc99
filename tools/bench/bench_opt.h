/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_OPT_H
#define BENCH_OPT_H

/* Flags of the form --name VALUE, described by a table. */

enum bench_kind {
	BENCH_FLAG,    /* bool; takes no value */
	BENCH_NUMBER,  /* int, from min to max */
	BENCH_SECONDS, /* double, from min to max */
	BENCH_TEXT,    /* const char * */
};

struct bench_opt {
	const char *name; /* NULL ends a table */
	enum bench_kind kind;
	void *place; /* its default stands there already */
	int min, max;
	const char *help;
};

/*
 * Read the flags after argv[0] into their places; `more` is another table, or
 * NULL.  --help prints them and exits; a flag that is wrong ends the program
 * with status 2.
 */
void bench_options(const struct bench_opt *opts, const struct bench_opt *more,
    int argc, char **argv);

#endif

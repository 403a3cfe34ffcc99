/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_opt.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_proc.h"

static void
print_default(const struct bench_opt *o)
{
	switch (o->kind) {
	case BENCH_NUMBER:
		printf(" (%d)", *(int *)o->place);
		break;
	case BENCH_SECONDS:
		printf(" (%g)", *(double *)o->place);
		break;
	case BENCH_TEXT:
		if (*(const char **)o->place != NULL) {
			printf(" (%s)", *(const char **)o->place);
		}
		break;
	case BENCH_FLAG:
		break;
	}
}

static void
help(const struct bench_opt *opts)
{
	static const char *const values[] = { "", "N", "SECONDS", "TEXT" };

	for (const struct bench_opt *o = opts; o != NULL && o->name != NULL;
	     o++) {
		char flag[64];

		snprintf(flag, sizeof flag, "--%s %s", o->name,
		    values[o->kind]);
		printf("  %-22s %s", flag, o->help);
		print_default(o);
		putchar('\n');
	}
}

/* The row of a flag; NULL when there is none. */
static const struct bench_opt *
find(const struct bench_opt *opts, const char *flag)
{
	for (const struct bench_opt *o = opts; o != NULL && o->name != NULL;
	     o++) {
		if (strncmp(flag, "--", 2) == 0 &&
		    strcmp(flag + 2, o->name) == 0) {
			return o;
		}
	}
	return NULL;
}

static void
set(const struct bench_opt *o, const char *value)
{
	char *end = NULL;
	double n;

	if (o->kind == BENCH_TEXT) {
		*(const char **)o->place = value;
		return;
	}
	n = strtod(value, &end);
	if (end == value || *end != '\0' || !(n >= o->min && n <= o->max) ||
	    (o->kind == BENCH_NUMBER && n != (int)n)) {
		bench_die("--%s: %s is not a %snumber from %d to %d", o->name,
		    value, o->kind == BENCH_NUMBER ? "whole " : "", o->min,
		    o->max);
	}
	if (o->kind == BENCH_SECONDS) {
		*(double *)o->place = n;
	} else {
		*(int *)o->place = (int)n;
	}
}

void
bench_options(const struct bench_opt *opts, const struct bench_opt *more,
    int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct bench_opt *o = find(opts, argv[i]);

		if (o == NULL) {
			o = find(more, argv[i]);
		}
		if (strcmp(argv[i], "--help") == 0) {
			printf("usage: %s [FLAG..]\n\n", argv[0]);
			help(opts);
			help(more);
			exit(0);
		}
		if (o == NULL) {
			bench_die("there is no %s; %s --help tells what is",
			    argv[i], argv[0]);
		}
		if (o->kind == BENCH_FLAG) {
			*(bool *)o->place = true;
			continue;
		}
		if (++i == argc) {
			bench_die("--%s wants a value", o->name);
		}
		set(o, argv[i]);
	}
}

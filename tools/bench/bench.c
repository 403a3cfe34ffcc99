/* SPDX-License-Identifier: Apache-2.0 */

/* arqonbus-bench: load for a running server, and what came of it. */

#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "bench_proc.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} tests[] = {
	{ "fanout", fanout_main, "one publisher, many receivers, full speed" },
	{ "pairs", pairs_main, "round trips between two clients, many pairs" },
	{ "smoke", smoke_main, "rooms at an even pace, commands, pages" },
};
#define TESTS (sizeof tests / sizeof tests[0])

void
bench_watch(int epoll_fd, const struct bench_conn *c, void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = arg };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
		bench_die("epoll: %s", strerror(errno));
	}
}

void
bench_dropped(const struct bench_conn *c)
{
	fprintf(stderr, "bench: the server ended a connection, code %u\n",
	    c->close_code);
	exit(1);
}

void
bench_score_json(const struct bench_score *score, struct buf *b)
{
	buf_printf(b,
	    "\"received\":%llu,\"skipped\":%llu,\"repeated\":%llu,"
	    "\"astray\":%llu,\"missing\":%llu",
	    (unsigned long long)score->received,
	    (unsigned long long)score->skipped,
	    (unsigned long long)score->repeated,
	    (unsigned long long)score->astray,
	    (unsigned long long)score->missing);
}

void
bench_score_print(const struct bench_score *score)
{
	if (bench_score_good(score)) {
		puts("nothing lost, doubled or reordered");
		return;
	}
	printf("FAILED: %llu received, %llu skipped, %llu repeated, "
	       "%llu astray, %llu missing\n",
	    (unsigned long long)score->received,
	    (unsigned long long)score->skipped,
	    (unsigned long long)score->repeated,
	    (unsigned long long)score->astray,
	    (unsigned long long)score->missing);
}

void
bench_save(const char *file, struct buf *b)
{
	bool standard = file != NULL && strcmp(file, "-") == 0;
	FILE *f = standard ? stdout : NULL;

	if (file != NULL && !standard) {
		f = fopen(file, "we");
		if (f == NULL) {
			bench_die("%s: %s", file, strerror(errno));
		}
	}
	if (f != NULL &&
	    (fprintf(f, "%s\n", buf_text(b)) < 0 || fflush(f) != 0)) {
		bench_die("%s: %s", file, strerror(errno));
	}
	if (f != NULL && !standard) {
		fclose(f);
	}
	buf_fini(b);
}

static void
usage(FILE *f)
{
	fputs("usage: arqonbus-bench TEST [FLAG..]\n\n", f);
	for (size_t i = 0; i < TESTS; i++) {
		fprintf(f, "  %-8s %s\n", tests[i].name, tests[i].help);
	}
	fputs("\narqonbus-bench TEST --help tells the flags.  Exits with 0 "
	      "when all went well,\n1 when a message was lost, doubled or "
	      "reordered, 2 when it could not be tried.\n",
	    f);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; argc > 1 && i < TESTS; i++) {
		if (strcmp(argv[1], tests[i].name) == 0) {
			bench_descriptors();
			return tests[i].run(argc - 1, argv + 1);
		}
	}
	usage(stderr);
	return 2;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* arqonbus-bench: load for a running server, and what came of it. */

#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} tests[] = {
	{ "fanout", fanout_main,
	    "from one publisher to many, in many channels" },
	{ "pairs", pairs_main, "round trips between two clients, many pairs" },
	{ "storm", storm_main, "many connections in a short time" },
	{ "idle", idle_main,
	    "memory of many that do nothing, then one message" },
	{ "slow", slow_main, "what those who do not read do to the others" },
	{ "acks", acks_main,
	    "messages that want an ack, as fast as they get it" },
	{ "history", history_main, "what was said in a channel, read again" },
	{ "smoke", smoke_main, "rooms at an even pace, commands, pages" },
	{ "start", start_main, "how long until the first connection" },
};
#define TESTS (sizeof tests / sizeof tests[0])

struct bench_target bench_target = { .speaks = "arqonbus", .patience = 10 };

static const struct bench_opt target_options[] = {
	{ "port", BENCH_NUMBER, &bench_target.port, 1, 65535,
	    "the server's port" },
	{ "pid", BENCH_NUMBER, &bench_target.pid, 1, INT_MAX,
	    "the server's process, to measure its CPU and memory" },
	{ "progress", BENCH_FLAG, &bench_target.progress, 0, 0,
	    "tell each second how it goes, on a terminal or not" },
	{ "json", BENCH_TEXT, &bench_target.json, 0, 0,
	    "write the result there; - is standard output" },
	{ "patience", BENCH_SECONDS, &bench_target.patience, 0, 3600,
	    "wait so long for an answer, and half of it for the next message" },
	{ 0 },
};

void
bench_begin(const struct bench_opt *opts, int argc, char **argv)
{
	bench_options(opts, target_options, argc, argv);
	bench_patience = (uint64_t)(bench_target.patience * 1e9);
	if (bench_target.port == 0 || bench_target.pid == 0) {
		bench_die("--port and --pid say what to measure");
	}
	bench_target.dialect =
	    peer_find(bench_target.plain ? "plain" : bench_target.speaks);
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
	    "\"astray\":%llu,\"missing\":%llu,\"silent\":%llu",
	    (unsigned long long)score->received,
	    (unsigned long long)score->skipped,
	    (unsigned long long)score->repeated,
	    (unsigned long long)score->astray,
	    (unsigned long long)score->missing,
	    (unsigned long long)score->silent);
}

void
bench_score_print(const struct bench_score *score)
{
	if (bench_score_good(score)) {
		puts("nothing lost, doubled or reordered");
		return;
	}
	printf("FAILED: %llu received, %llu skipped, %llu repeated, "
	       "%llu astray, %llu missing; %llu connections silent\n",
	    (unsigned long long)score->received,
	    (unsigned long long)score->skipped,
	    (unsigned long long)score->repeated,
	    (unsigned long long)score->astray,
	    (unsigned long long)score->missing,
	    (unsigned long long)score->silent);
}

double
bench_each(double whole, uint64_t n)
{
	return n == 0 ? 0 : whole / (double)n;
}

static void
machine_json(const struct bench_usage *u, struct buf *b)
{
	buf_printf(b,
	    "\"others_share\":%.3f,\"rss_bytes\":%llu,"
	    "\"rss_peak_bytes\":%llu",
	    bench_usage_others(u),
	    (unsigned long long)bench_rss(bench_target.pid),
	    (unsigned long long)bench_rss_peak(bench_target.pid));
}

void
bench_cost_json(const struct bench_usage *u, uint64_t n, struct buf *b)
{
	buf_printf(b, "\"cpu_ns\":%.1f,\"client_cpu_ns\":%.1f,",
	    bench_each((double)u->server, n), bench_each((double)u->client, n));
	machine_json(u, b);
}

double
bench_share(const struct bench_usage *u, uint64_t cpu)
{
	return (double)cpu / (double)u->time;
}

void
bench_share_json(const struct bench_usage *u, struct buf *b)
{
	buf_printf(b, "\"cpu_share\":%.4f,\"client_cpu_share\":%.4f,",
	    bench_share(u, u->server), bench_share(u, u->client));
	machine_json(u, b);
}

void
bench_save(struct buf *b)
{
	const char *file = bench_target.json;
	bool standard = file != NULL && strcmp(file, "-") == 0;
	FILE *f = standard ? stdout : NULL;

	if (b->failed) {
		bench_die("out of memory");
	}
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

void
bench_finish(struct buf *b, const struct bench_hist *latency,
    const struct bench_score *score)
{
	buf_puts(b, ",\"latency_us\":");
	bench_hist_json(latency, b);
	if (score != NULL) {
		buf_putc(b, ',');
		bench_score_json(score, b);
	}
	buf_putc(b, '}');
	bench_save(b);
}

static const struct bench_hist *
corrected(const struct bench_hist *latency)
{
	static struct bench_hist hist;

	bench_hist_correct(latency, bench_hist_quantile(latency, 0.5), &hist);
	return &hist;
}

void
bench_closed_print(const struct bench_hist *latency, const char *name)
{
	bench_hist_print(corrected(latency), name);
	bench_hist_print(latency, "(uncorrected)");
}

void
bench_closed_finish(struct buf *b, const struct bench_hist *latency,
    const struct bench_score *score)
{
	buf_puts(b, ",\"uncorrected_us\":");
	bench_hist_json(latency, b);
	bench_finish(b, corrected(latency), score);
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
	      "reordered or something was refused,\n2 when it could not be "
	      "tried.\n",
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

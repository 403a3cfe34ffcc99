/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many clients in one channel that do nothing.  Tells what each takes of the
 * server's memory, what all of them cost in CPU while nothing happens, and how
 * soon a publish then reaches the first, the middle and the last of them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_hist.h"
#include "bench_loop.h"

static struct {
	int connections;
	const char *channel;
	int publishes;
	int size;
	double seconds;
} conf = { .connections = 5000,
	.channel = "bench:idle",
	.publishes = 10,
	.size = 200,
	.seconds = 5 };

static const struct bench_opt options[] = {
	{ "connections", BENCH_NUMBER, &conf.connections, 1, 1000000,
	    "how many clients" },
	{ "channel", BENCH_TEXT, &conf.channel, 0, 0,
	    "ROOM:CHANNEL that all of them join" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400,
	    "how long nothing happens" },
	{ "publishes", BENCH_NUMBER, &conf.publishes, 1, 1000000,
	    "publishes to all, one after the other" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload, 16 at least" },
	{ "plain", BENCH_FLAG, &bench_target.plain, 0, 0,
	    "join no channel: the server is the floor" },
	{ 0 },
};

/* When a publish was due, how many have had it, and how long it took to reach
 * them, in nanoseconds. */
struct reach {
	uint64_t due;
	uint64_t accepted;
	uint64_t first, median, last;
};

/* What the server held: before the first connection, with half of them, and
 * with all. */
enum stage {
	NONE,
	HALF,
	ALL,
	STAGES,
};
struct memory {
	uint64_t rss[STAGES];
	uint64_t pss[STAGES];
};

static bench_text_f on_text;

static struct bench_loop loop = { .came = on_text };
static struct bench_client *clients[2]; /* the halves */
static struct bench_client *publisher;
static struct bench_text text;
static struct bench_score score;
static struct bench_hist latency;
static struct reach *reaches; /* of each publish */
static uint32_t sent;

static void
on_text(void *arg, const char *data, size_t len)
{
	struct bench_client *client = arg;
	struct bench_stamp stamp;
	struct reach *reach;
	uint64_t took;

	if (bench_score_text(&score, &client->order, data, len, &stamp) == 0 ||
	    stamp.n >= sent) {
		return;
	}
	/* It may be one of before, that came after a stall. */
	reach = &reaches[stamp.n];
	took = loop.now - reach->due;
	bench_hist_add(&latency, took);
	loop.moved = loop.now;
	if (reach->accepted++ == 0) {
		reach->first = took;
	}
	if (reach->accepted == ((uint64_t)conf.connections + 1) / 2) {
		reach->median = took;
	}
	reach->last = took;
}

/* Never sleeps, as in fanout. */
static void
publish(void)
{
	struct reach *reach = &reaches[sent];
	struct bench_stamp stamp = { 0, sent++ };

	bench_text_stamp(&text, &stamp);
	bench_put(&publisher->conn, text.data, text.len);
	reach->due = loop.moved = loop.now = bench_now();
	while (reach->accepted < (uint64_t)conf.connections &&
	    !bench_stalled(&loop)) {
		if (!bench_flush(&publisher->conn)) {
			bench_dropped(&publisher->conn);
		}
		bench_turn(&loop, 0);
	}
}

static void
do_nothing(void)
{
	uint64_t until = bench_now() + (uint64_t)(conf.seconds * BENCH_SECOND);

	while (loop.now < until) {
		bench_turn(&loop, 100);
	}
}

static void
address(uint32_t stream, struct bench_address *a)
{
	size_t room = strcspn(conf.channel, ":");

	snprintf(a->path, sizeof a->path, "/%u", stream);
	snprintf(a->room, sizeof a->room, "%.*s", (int)room, conf.channel);
	snprintf(a->channel, sizeof a->channel, "%s", conf.channel + room + 1);
}

static void
look(struct memory *memory, enum stage stage)
{
	memory->rss[stage] = bench_rss(bench_target.pid);
	memory->pss[stage] = bench_pss(bench_target.pid);
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The median over all publishes of what stands at an offset of each reach. */
static double
middle(size_t offset)
{
	size_t n = (size_t)conf.publishes;
	uint64_t *all = xnew(n * sizeof *all);
	uint64_t sum;

	for (size_t i = 0; i < n; i++) {
		memcpy(&all[i], (const char *)&reaches[i] + offset,
		    sizeof all[i]);
	}
	qsort(all, n, sizeof *all, by_size);
	sum = all[(n - 1) / 2] + all[n / 2];
	free(all);
	return (double)sum / 2;
}

static uint64_t
half(void)
{
	return (uint64_t)conf.connections / 2;
}

/* By how much each of n connections made this grow. */
static double
growth(const uint64_t *bytes, enum stage from, uint64_t n)
{
	double all = (double)bytes[ALL] - (double)bytes[from];

	return bench_each(all, n);
}

static void
report(const struct memory *m, const struct bench_usage *u)
{
	uint64_t count = (uint64_t)conf.connections;
	double rss = growth(m->rss, NONE, count);
	double slope = growth(m->rss, HALF, count - half());
	double first = middle(offsetof(struct reach, first)) / 1e3;
	double median = middle(offsetof(struct reach, median)) / 1e3;
	double last = middle(offsetof(struct reach, last)) / 1e3;
	struct buf out = { 0 };

	printf("%d connections, %d bytes of payload (%zu on the wire)\n",
	    conf.connections, conf.size, score.wire);
	printf("memory: %.0f bytes resident each, %.0f of the second half; "
	       "%.1f MiB before, %.1f after\n",
	    rss, slope, (double)m->rss[NONE] / 1048576,
	    (double)m->rss[ALL] / 1048576);
	printf("idle for %g s: the server's CPU is %.2f %% of a core\n",
	    conf.seconds, bench_share(u, u->server) * 100);
	printf("%d publishes, medians: the first had it after %.3f ms, half of "
	       "them after %.3f ms, the last after %.3f ms\n",
	    conf.publishes, first / 1e3, median / 1e3, last / 1e3);
	bench_hist_title("latency");
	bench_hist_print(&latency, "delivery");
	bench_score_print(&score);

	buf_printf(&out,
	    "{\"test\":\"idle\",\"connections\":%d,\"size\":%d,\"wire\":%zu,"
	    "\"seconds\":%g,\"publishes\":%d,\"rss_before_bytes\":%llu,"
	    "\"rss_after_bytes\":%llu,\"rss_per_connection\":%.1f,"
	    "\"rss_slope\":%.1f,\"pss_per_connection\":%.1f,"
	    "\"first_us\":%.1f,\"median_us\":%.1f,\"last_us\":%.1f,",
	    conf.connections, conf.size, score.wire, conf.seconds,
	    conf.publishes, (unsigned long long)m->rss[NONE],
	    (unsigned long long)m->rss[ALL], rss, slope,
	    growth(m->pss, NONE, count), first, median, last);
	bench_share_json(u, &out);
	bench_finish(&out, &latency, &score);
}

static void
check_channel(void)
{
	const char *colon = strchr(conf.channel, ':');

	if (colon == NULL || colon - conf.channel > 64 || strlen(colon) > 65) {
		bench_die("--channel: %s is not ROOM:CHANNEL", conf.channel);
	}
}

/* Open the clients, half of them at a time, and look what the server then
 * holds. */
static void
open_all(struct memory *memory)
{
	uint64_t rest = (uint64_t)conf.connections - half();

	look(memory, NONE);
	clients[0] = bench_crowd_new(&loop, half(), 1, address, true);
	look(memory, HALF);
	clients[1] = bench_crowd_new(&loop, rest, 1, address, true);
	look(memory, ALL);
	publisher = bench_crowd_new(&loop, 1, 1, address, false);
}

static void
judge(void)
{
	uint64_t all = (uint64_t)conf.connections;

	for (uint64_t i = 0; i < all; i++) {
		const struct bench_client *client =
		    i < half() ? &clients[0][i] : &clients[1][i - half()];

		bench_score_end(&score, &client->order, sent);
	}
}

int
idle_main(int argc, char **argv)
{
	struct bench_usage usage;
	struct memory memory;

	bench_begin(options, argc, argv);
	check_channel();
	bench_crowd_fits((uint64_t)conf.connections + 1);
	bench_loop_init(&loop);
	reaches = xnew((size_t)conf.publishes * sizeof *reaches);
	bench_crowd_text(&text, address, 0, conf.size);
	open_all(&memory);
	bench_loop_tell(&loop, "deliveries", &score.received, &latency);
	usage = bench_usage(bench_target.pid);
	do_nothing();
	usage = bench_usage_since(bench_target.pid, &usage);
	for (int i = 0; i < conf.publishes; i++) {
		publish();
	}
	bench_settle(&loop, &score);
	judge();
	report(&memory, &usage);
	return bench_score_good(&score) ? 0 : 1;
}

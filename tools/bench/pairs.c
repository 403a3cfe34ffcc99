/* SPDX-License-Identifier: Apache-2.0 */

/*
 * N pairs of clients; in each, one message goes to and fro.  Tells how long a
 * round trip takes and what it costs the server in CPU.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_hist.h"
#include "bench_opt.h"
#include "bench_proc.h"

#define SECOND UINT64_C(1000000000)
#define STALL (5 * SECOND)

/* Two of them make a pair: 2k begins, 2k + 1 answers. */
struct partner {
	struct bench_conn conn;
	struct bench_text text;
	struct bench_order order;
	uint64_t due; /* when its round trip began */
};

static struct {
	int port;
	int pid;
	int pairs;
	int size;
	double seconds;
	double warm;
	bool plain;
	bool private;
	const char *json;
} conf = { .pairs = 1, .size = 200, .seconds = 2, .warm = 0.3 };

static const struct bench_opt options[] = {
	{ "port", BENCH_NUMBER, &conf.port, 1, 65535, "the server's port" },
	{ "pid", BENCH_NUMBER, &conf.pid, 1, INT_MAX,
	    "the server's process, to measure its CPU" },
	{ "pairs", BENCH_NUMBER, &conf.pairs, 1, 9500, "how many pairs" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "warm", BENCH_SECONDS, &conf.warm, 0, 86400, "not counted before" },
	{ "private", BENCH_FLAG, &conf.private, 0, 0,
	    "private messages, not a channel for each pair" },
	{ "plain", BENCH_FLAG, &conf.plain, 0, 0,
	    "join no channel: the server is the floor" },
	{ "json", BENCH_TEXT, &conf.json, 0, 0, "write the result there" },
	{ 0 },
};

static struct partner *partners;
static struct bench_score score;
static struct bench_hist latency;
static uint64_t begun, trips;
static uint64_t now, progress;
static bool counting; /* neither the warm-up nor what comes afterwards */
static bool ending;
static size_t hint;
static int epoll_fd;

static void
say(struct partner *p, uint32_t n)
{
	struct bench_stamp stamp = { p->order.stream, n, p->due };

	bench_text_stamp(&p->text, &stamp);
	bench_put(&p->conn, p->text.data, p->text.len);
	if (!bench_flush(&p->conn)) {
		bench_dropped(&p->conn);
	}
}

static void
begin_trip(struct partner *p)
{
	begun++;
	p->due = bench_now();
	say(p, p->order.next);
}

static void
on_text(void *arg, const char *data, size_t len)
{
	struct partner *p = arg;
	struct bench_stamp stamp;

	if (!bench_stamp_find(data, len, &hint, &stamp)) {
		return;
	}
	score.wire = len;
	if (bench_score_add(&score, &p->order, &stamp) == 0) {
		return;
	}
	progress = now;
	if ((p - partners) % 2 == 1) {
		p->due = stamp.due;
		say(p, stamp.n);
		return;
	}
	trips++;
	if (counting) {
		bench_hist_add(&latency, bench_now() - stamp.due);
	}
	if (!ending) {
		begin_trip(p);
	}
}

static void
turn(void)
{
	struct epoll_event got[256];
	int n = epoll_wait(epoll_fd, got, 256, 100);

	now = bench_now();
	for (int i = 0; i < n; i++) {
		struct partner *p = got[i].data.ptr;

		if (!bench_read(&p->conn, on_text, p)) {
			bench_dropped(&p->conn);
		}
	}
}

static void
run(uint64_t until)
{
	while (now < until && now - progress < STALL) {
		turn();
	}
}

/* Let every pair end the round trip it is in. */
static void
drain(void)
{
	ending = true;
	while (trips != begun && now - progress < STALL) {
		turn();
	}
	score.missing = begun - trips;
}

/* The client's id on the bus, as its welcome tells it. */
static void
await_id(struct bench_conn *c, char *id, size_t size)
{
	static const char key[] = "\"client_id\":\"";
	struct buf welcome = { 0 };
	const char *p;

	if (!bench_await(c, key, &welcome)) {
		bench_die("no welcome came");
	}
	p = strstr(buf_text(&welcome), key) + strlen(key);
	snprintf(id, size, "%.*s", (int)strcspn(p, "\""), p);
	buf_fini(&welcome);
}

static void
set_text(struct partner *p, const char *to, int pair)
{
	char address[256];

	if (conf.private) {
		snprintf(address, sizeof address,
		    "\"type\":\"private\",\"to\":\"%s\"", to);
	} else {
		snprintf(address, sizeof address,
		    "\"type\":\"event\",\"room\":\"bench\","
		    "\"channel\":\"p%d\"",
		    pair);
	}
	bench_text_init(&p->text, address, (size_t)conf.size);
	p->order.stream = (uint32_t)pair;
}

static void
set_up_pair(int pair, struct partner *a, struct partner *b)
{
	char path[32] = "/";
	char name[32];
	char a_id[96] = "", b_id[96] = "";

	if (conf.plain) {
		/* The floor makes a pair of those that ask for one path. */
		snprintf(path, sizeof path, "/%d", pair);
	}
	snprintf(name, sizeof name, "p%d", pair);
	bench_open(&a->conn, (uint16_t)conf.port, path);
	bench_open(&b->conn, (uint16_t)conf.port, path);
	if (conf.private) {
		await_id(&a->conn, a_id, sizeof a_id);
		await_id(&b->conn, b_id, sizeof b_id);
	} else if (!conf.plain) {
		bench_join(&a->conn, "bench", name);
		bench_join(&b->conn, "bench", name);
	}
	set_text(a, b_id, pair);
	set_text(b, a_id, pair);
}

static void
set_up(void)
{
	int n = 2 * conf.pairs;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	partners = xnew((size_t)n * sizeof *partners);
	for (int i = 0; i < n; i += 2) {
		set_up_pair(i / 2, &partners[i], &partners[i + 1]);
		bench_watch(epoll_fd, &partners[i].conn, &partners[i]);
		bench_watch(epoll_fd, &partners[i + 1].conn, &partners[i + 1]);
	}
	progress = now = bench_now();
	for (int i = 0; i < n; i += 2) {
		begin_trip(&partners[i]);
	}
}

static void
report(const struct bench_usage *u)
{
	double n = (double)latency.count;
	double took = (double)u->time / (double)SECOND;
	double cpu = (double)u->server / n;
	struct buf out = { 0 };

	printf("%d pairs, %d bytes of payload (%zu on the wire), %.1f s\n",
	    conf.pairs, conf.size, score.wire, took);
	printf("%.0f round trips/s; the server's CPU is %.0f ns each\n",
	    n / took, cpu);
	bench_hist_title("latency");
	bench_hist_print(&latency, "round trip");
	bench_score_print(&score);

	buf_printf(&out,
	    "{\"test\":\"pairs\",\"pairs\":%d,\"size\":%d,\"wire\":%zu,"
	    "\"seconds\":%.3f,\"trips_per_second\":%.0f,\"cpu_ns\":%.1f,"
	    "\"client_cpu_ns\":%.1f,\"others_share\":%.3f,\"rss_bytes\":%llu,"
	    "\"latency_us\":",
	    conf.pairs, conf.size, score.wire, took, n / took, cpu,
	    (double)u->client / n, bench_usage_others(u),
	    (unsigned long long)bench_rss(conf.pid));
	bench_hist_json(&latency, &out);
	buf_putc(&out, ',');
	bench_score_json(&score, &out);
	buf_putc(&out, '}');
	bench_save(conf.json, &out);
}

int
pairs_main(int argc, char **argv)
{
	struct bench_usage usage;

	bench_options(options, argc, argv);
	if (conf.port == 0 || conf.pid == 0) {
		bench_die("--port and --pid say what to measure");
	}
	set_up();
	run(now + (uint64_t)(conf.warm * (double)SECOND));
	counting = true;
	usage = bench_usage(conf.pid);
	run(usage.time + (uint64_t)(conf.seconds * (double)SECOND));
	usage = bench_usage_since(conf.pid, &usage);
	counting = false;
	drain();
	report(&usage);
	return bench_score_good(&score) ? 0 : 1;
}

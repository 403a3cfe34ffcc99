/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One publisher, N receivers, a closed loop: message i goes out when every
 * receiver has had message i - window.  Tells deliveries a second and what
 * each costs the server in CPU.
 */

#include <errno.h>
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

struct receiver {
	struct bench_conn conn;
	struct bench_order order;
};

static struct {
	int port;
	int pid;
	int receivers;
	int window;
	int size;
	double seconds;
	double warm;
	bool plain;
	const char *json;
} conf = { .receivers = 100,
	.window = 32,
	.size = 200,
	.seconds = 2,
	.warm = 0.3 };

static const struct bench_opt options[] = {
	{ "port", BENCH_NUMBER, &conf.port, 1, 65535, "the server's port" },
	{ "pid", BENCH_NUMBER, &conf.pid, 1, INT_MAX,
	    "the server's process, to measure its CPU" },
	{ "receivers", BENCH_NUMBER, &conf.receivers, 1, 19000,
	    "how many receive" },
	{ "window", BENCH_NUMBER, &conf.window, 1, 100000,
	    "messages under way at most" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "warm", BENCH_SECONDS, &conf.warm, 0, 86400, "not counted before" },
	{ "plain", BENCH_FLAG, &conf.plain, 0, 0,
	    "join no channel: the server is the floor" },
	{ "json", BENCH_TEXT, &conf.json, 0, 0, "write the result there" },
	{ 0 },
};

static struct receiver *receivers;
static struct bench_conn publisher;
static struct bench_text text;
static struct bench_score score;
static struct bench_hist latency;
static uint32_t *had; /* how many have had message i, at i % window */
static uint32_t sent, done;
static uint64_t progress; /* when `done` last moved */
static bool counting;     /* neither the warm-up nor what comes afterwards */
static uint64_t received, reads;
static uint64_t now; /* when the last read or wait ended */
static size_t hint;
static int epoll_fd;

static void
publish(void)
{
	while (sent - done < (uint32_t)conf.window) {
		struct bench_stamp stamp = { 0, sent++, now };

		bench_text_stamp(&text, &stamp);
		bench_put(&publisher, text.data, text.len);
	}
	if (!bench_flush(&publisher)) {
		bench_dropped(&publisher);
	}
}

static void
on_text(void *arg, const char *data, size_t len)
{
	struct receiver *r = arg;
	struct bench_stamp stamp;
	uint32_t by;

	if (!bench_stamp_find(data, len, &hint, &stamp)) {
		return; /* a welcome or a reply */
	}
	score.wire = len;
	if (counting) {
		received++;
		bench_hist_add(&latency, now - stamp.due);
	}
	by = bench_score_add(&score, &r->order, &stamp);
	/* What was skipped counts as had: else the loop would stand still. */
	while (by > 0) {
		uint32_t n = stamp.n - --by;

		if (++had[n % (uint32_t)conf.window] ==
		    (uint32_t)conf.receivers) {
			had[n % (uint32_t)conf.window] = 0;
			done = n + 1;
			progress = now;
		}
	}
}

static void
on_nothing(void *arg, const char *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
}

/*
 * Never sleeps: to wake a sleeper costs the server more than to send to it,
 * and how often this generator would sleep depends on how little faster than
 * the server it is.  Receivers on other machines cost no such wake-ups.
 */
static void
turn(void)
{
	struct epoll_event got[256];
	int n = epoll_wait(epoll_fd, got, 256, 0);

	now = bench_now();
	for (int i = 0; i < n; i++) {
		struct receiver *r = got[i].data.ptr;
		struct bench_conn *c = r == NULL ? &publisher : &r->conn;

		reads += counting;
		if (!bench_read(c, r == NULL ? on_nothing : on_text, r)) {
			bench_dropped(c);
		}
		now = bench_now();
	}
}

/* Until the time has come, or nothing has moved for long. */
static void
run(uint64_t until)
{
	now = bench_now();
	while (now < until && now - progress < STALL) {
		publish();
		turn();
	}
}

static void
drain(void)
{
	while (done != sent && now - progress < STALL) {
		if (!bench_flush(&publisher)) {
			bench_dropped(&publisher);
		}
		turn();
	}
	for (int i = 0; i < conf.receivers; i++) {
		bench_score_end(&score, &receivers[i].order, sent);
	}
}

static void
set_up(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	receivers = xnew((size_t)conf.receivers * sizeof *receivers);
	had = xnew((size_t)conf.window * sizeof *had);
	for (int i = 0; i < conf.receivers; i++) {
		struct receiver *r = &receivers[i];

		bench_open(&r->conn, (uint16_t)conf.port, "/");
		if (!conf.plain) {
			bench_join(&r->conn, "bench", "fan");
		}
		bench_watch(epoll_fd, &r->conn, r);
	}
	bench_open(&publisher, (uint16_t)conf.port, "/");
	bench_watch(epoll_fd, &publisher, NULL);
	bench_text_init(&text,
	    "\"type\":\"event\",\"room\":\"bench\",\"channel\":\"fan\"",
	    (size_t)conf.size);
	progress = now = bench_now();
}

static void
report(const struct bench_usage *u)
{
	double n = (double)received;
	double took = (double)u->time / (double)SECOND;
	double cpu = (double)u->server / n;
	struct buf out = { 0 };

	printf("%d receivers, %d bytes of payload (%zu on the wire), "
	       "window %d, %.1f s\n",
	    conf.receivers, conf.size, score.wire, conf.window, took);
	printf("%.0f deliveries/s; the server's CPU is %.0f ns each\n",
	    n / took, cpu);
	bench_hist_title("latency");
	bench_hist_print(&latency, "delivery");
	bench_score_print(&score);

	buf_printf(&out,
	    "{\"test\":\"fanout\",\"receivers\":%d,\"size\":%d,\"window\":%d,"
	    "\"wire\":%zu,\"seconds\":%.3f,\"deliveries_per_second\":%.0f,"
	    "\"cpu_ns\":%.1f,\"client_cpu_ns\":%.1f,\"others_share\":%.3f,"
	    "\"per_read\":%.2f,\"rss_bytes\":%llu,\"latency_us\":",
	    conf.receivers, conf.size, conf.window, score.wire, took, n / took,
	    cpu, (double)u->client / n, bench_usage_others(u),
	    n / (double)reads, (unsigned long long)bench_rss(conf.pid));
	bench_hist_json(&latency, &out);
	buf_putc(&out, ',');
	bench_score_json(&score, &out);
	buf_putc(&out, '}');
	bench_save(conf.json, &out);
}

int
fanout_main(int argc, char **argv)
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

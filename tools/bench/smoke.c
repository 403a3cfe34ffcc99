/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Members in rooms, publishes at an even pace whatever the server does, and
 * meanwhile every command, and requests for pages.  The latency of a delivery
 * counts from when its publish was due, so that a server that stalls cannot
 * hide it (nor a generator: what it lacks shows as latency, too).
 */

#include "smoke.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_opt.h"
#include "bench_proc.h"

#define SECOND UINT64_C(1000000000)
#define STALL (5 * SECOND)
#define BATCH 100  /* channels asked for at once */
#define HOLDS 1000 /* channels that one client holds */
#define CROWDS 100 /* rooms that they are spread over */

struct client {
	struct bench_conn conn;
	struct bench_order order; /* what it is to receive, if anything */
};

struct room {
	struct bench_text text;
	uint32_t sent;
};

static struct {
	int port;
	int telemetry_port;
	int pid;
	int rooms;
	int members;
	int publishers;
	int rate;
	int size;
	int channels;
	int requests;
	double seconds;
	const char *json;
} conf = { .rooms = 100,
	.members = 50,
	.publishers = 10,
	.rate = 400,
	.size = 200,
	.requests = 10000,
	.seconds = 30 };

static const struct bench_opt options[] = {
	{ "port", BENCH_NUMBER, &conf.port, 1, 65535, "the server's port" },
	{ "telemetry-port", BENCH_NUMBER, &conf.telemetry_port, 0, 65535,
	    "get half of the pages there" },
	{ "pid", BENCH_NUMBER, &conf.pid, 1, INT_MAX,
	    "the server's process, to measure its memory and CPU" },
	{ "rooms", BENCH_NUMBER, &conf.rooms, 1, 19000, "rooms" },
	{ "members", BENCH_NUMBER, &conf.members, 1, 19000,
	    "members of each room" },
	{ "publishers", BENCH_NUMBER, &conf.publishers, 1, 1000,
	    "clients that share the rooms and publish" },
	{ "rate", BENCH_NUMBER, &conf.rate, 1, 1000000, "publishes a second" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload" },
	{ "channels", BENCH_NUMBER, &conf.channels, 0, 10000000,
	    "channels made beforehand, that nobody uses" },
	{ "requests", BENCH_NUMBER, &conf.requests, 0, 10000000,
	    "pages asked for in all" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "json", BENCH_TEXT, &conf.json, 0, 0, "write the result there" },
	{ 0 },
};

static struct client *members;
static struct client *publishers;
static struct client *holders; /* of the channels made beforehand */
static int holder_count;
static struct room *rooms;
static struct bench_score score;
static struct bench_hist latency;
static struct bench_hist lateness; /* of the generator */
static uint64_t now, progress;
static size_t hint;
static int epoll_fd, timer_fd;

static void
on_text(void *arg, const char *data, size_t len)
{
	struct client *c = arg;
	struct bench_stamp stamp;

	if (!bench_stamp_find(data, len, &hint, &stamp)) {
		return;
	}
	score.wire = len;
	bench_hist_add(&latency, now - stamp.due);
	if (bench_score_add(&score, &c->order, &stamp) > 0) {
		progress = now;
	}
}

/* Put number i, due at that time, on its way to the room whose turn it is. */
static void
publish(uint64_t i, uint64_t due)
{
	uint32_t r = (uint32_t)(i % (uint64_t)conf.rooms);
	struct bench_stamp stamp = { r, rooms[r].sent++, due };

	bench_text_stamp(&rooms[r].text, &stamp);
	bench_put(&publishers[r % (uint32_t)conf.publishers].conn,
	    rooms[r].text.data, rooms[r].text.len);
	bench_hist_add(&lateness, bench_now() - due);
}

static void
flush_publishers(void)
{
	for (int i = 0; i < conf.publishers; i++) {
		if (!bench_flush(&publishers[i].conn)) {
			bench_dropped(&publishers[i].conn);
		}
	}
}

static void
turn(void)
{
	struct epoll_event got[512];
	int n = epoll_wait(epoll_fd, got, 512, 100);

	now = bench_now();
	for (int i = 0; i < n; i++) {
		struct client *c = got[i].data.ptr;
		uint64_t ticks;

		if (c == NULL) {
			(void)!read(timer_fd, &ticks, sizeof ticks);
		} else if (!bench_read(&c->conn, on_text, c)) {
			bench_dropped(&c->conn);
		}
		now = bench_now();
	}
}

/* A timer as fine as the pace wakes the loop. */
static void
set_pace(void)
{
	long ns = 1000000000 / conf.rate;
	struct itimerspec pace = { 0 };
	struct epoll_event ev = { .events = EPOLLIN };

	ns = ns < 100000 ? 100000 : ns;
	pace.it_interval.tv_sec = pace.it_value.tv_sec = ns / 1000000000;
	pace.it_interval.tv_nsec = pace.it_value.tv_nsec = ns % 1000000000;
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer_fd < 0 || timerfd_settime(timer_fd, 0, &pace, NULL) != 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &ev) != 0) {
		bench_die("timer: %s", strerror(errno));
	}
}

/* Publish what is due; then give what is on its way time to come. */
static void
run(void)
{
	uint64_t begin = bench_now();
	uint64_t all = (uint64_t)(conf.seconds * conf.rate);
	uint64_t want = all * (uint64_t)conf.members;
	uint64_t i = 0;

	set_pace();
	progress = now = begin;
	while (i < all) {
		uint64_t due = begin + i * SECOND / (uint64_t)conf.rate;

		if (due <= now) {
			publish(i++, due);
			continue;
		}
		flush_publishers();
		turn();
	}
	progress = now;
	while (score.received + score.skipped < want &&
	    now - progress < STALL) {
		flush_publishers();
		turn();
	}
}

static struct client *
open_clients(int n)
{
	struct client *clients = xnew(((size_t)n + 1) * sizeof *clients);

	for (int i = 0; i < n; i++) {
		bench_open(&clients[i].conn, (uint16_t)conf.port, "/");
		bench_watch(epoll_fd, &clients[i].conn, &clients[i]);
		/* No stream: what it receives is astray. */
		clients[i].order.stream = UINT32_MAX;
	}
	return clients;
}

static void
count_success(void *arg, const char *data, size_t len)
{
	static const char good[] = "\"status\":\"success\"";
	static const char bad[] = "\"error\"";

	if (memmem(data, len, bad, sizeof bad - 1) != NULL) {
		bench_die("no channel: %.*s", (int)len, data);
	}
	*(int *)arg += memmem(data, len, good, sizeof good - 1) != NULL;
}

/* Make channels first to first + n by joining them. */
static void
hold_channels(struct client *c, int first, int n)
{
	int joined = 0;
	uint64_t until = bench_now() + 10 * SECOND;
	struct pollfd p = { .fd = c->conn.fd, .events = POLLIN };

	for (int i = first; i < first + n; i++) {
		char text[200];
		int len = snprintf(text, sizeof text,
		    "{\"type\":\"command\",\"command\":\"join_channel\","
		    "\"room\":\"crowd%d\",\"channel\":\"c%d\"}",
		    i % CROWDS, i);

		bench_put(&c->conn, text, (size_t)len);
	}
	while (joined < n) {
		if (!bench_flush(&c->conn) ||
		    !bench_read(&c->conn, count_success, &joined)) {
			bench_dropped(&c->conn);
		}
		if (bench_now() > until) {
			bench_die("%d channels were not made in 10 s", n);
		}
		poll(&p, 1, joined < n ? 10 : 0);
	}
}

static void
make_channels(void)
{
	holder_count = (conf.channels + HOLDS - 1) / HOLDS;
	holders = open_clients(holder_count);
	for (int i = 0; i < conf.channels; i += BATCH) {
		int left = conf.channels - i;

		hold_channels(&holders[i / HOLDS], i,
		    left < BATCH ? left : BATCH);
	}
}

static void
set_up(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	make_channels();
	rooms = xnew((size_t)conf.rooms * sizeof *rooms);
	for (int r = 0; r < conf.rooms; r++) {
		char address[128];

		snprintf(address, sizeof address,
		    "\"type\":\"event\",\"room\":\"smoke%d\","
		    "\"channel\":\"all\"",
		    r);
		bench_text_init(&rooms[r].text, address, (size_t)conf.size);
	}
	members = open_clients(conf.rooms * conf.members);
	for (int i = 0; i < conf.rooms * conf.members; i++) {
		char name[32];

		snprintf(name, sizeof name, "smoke%d", i % conf.rooms);
		bench_join(&members[i].conn, name, "all");
		members[i].order.stream = (uint32_t)(i % conf.rooms);
	}
	publishers = open_clients(conf.publishers);
}

static void
judge(void)
{
	for (int i = 0; i < conf.rooms * conf.members; i++) {
		bench_score_end(&score, &members[i].order,
		    rooms[i % conf.rooms].sent);
	}
}

/* Of one core, while it lasted. */
static double
share(const struct bench_usage *u, uint64_t cpu)
{
	return (double)cpu / (double)u->time;
}

static void
report(const struct smoke_side *side, const struct bench_usage *u)
{
	printf("%d members in %d rooms, %d publishes/s of %d bytes for %g s; "
	       "%d more channels\n",
	    conf.rooms * conf.members, conf.rooms, conf.rate, conf.size,
	    conf.seconds, conf.channels);
	printf("server: %.1f MiB resident, at most %.1f; CPU %.0f %% of a "
	       "core\n",
	    (double)bench_rss(conf.pid) / 1048576,
	    (double)bench_rss_peak(conf.pid) / 1048576,
	    share(u, u->server) * 100);
	printf("machine: the generator took %.0f %% of a core, others %.0f %% "
	       "of all\n",
	    share(u, u->client) * 100, bench_usage_others(u) * 100);
	bench_hist_title("latency");
	bench_hist_print(&latency, "delivery");
	bench_hist_print(&lateness, "(our lateness)");
	smoke_side_print(side);
	bench_score_print(&score);
}

static void
save(const struct smoke_side *side, const struct bench_usage *u)
{
	struct buf out = { 0 };

	buf_printf(&out,
	    "{\"test\":\"smoke\",\"rooms\":%d,\"members\":%d,\"rate\":%d,"
	    "\"size\":%d,\"seconds\":%g,\"channels\":%d,\"cpu_share\":%.3f,"
	    "\"client_cpu_share\":%.3f,\"others_share\":%.3f,"
	    "\"rss_bytes\":%llu,\"rss_peak_bytes\":%llu,\"delivery_us\":",
	    conf.rooms, conf.rooms * conf.members, conf.rate, conf.size,
	    conf.seconds, conf.channels, share(u, u->server),
	    share(u, u->client), bench_usage_others(u),
	    (unsigned long long)bench_rss(conf.pid),
	    (unsigned long long)bench_rss_peak(conf.pid));
	bench_hist_json(&latency, &out);
	buf_puts(&out, ",\"lateness_us\":");
	bench_hist_json(&lateness, &out);
	buf_putc(&out, ',');
	bench_score_json(&score, &out);
	buf_putc(&out, ',');
	smoke_side_json(side, &out);
	buf_putc(&out, '}');
	bench_save(conf.json, &out);
}

int
smoke_main(int argc, char **argv)
{
	struct smoke_side side = { 0 };
	struct bench_usage usage;
	bool good;

	bench_options(options, argc, argv);
	if (conf.port == 0 || conf.pid == 0) {
		bench_die("--port and --pid say what to measure");
	}
	set_up();
	side.port = (uint16_t)conf.port;
	side.telemetry_port = (uint16_t)conf.telemetry_port;
	side.requests = conf.requests;
	side.seconds = conf.seconds;
	usage = bench_usage(conf.pid);
	smoke_side_start(&side);
	run();
	usage = bench_usage_since(conf.pid, &usage);
	smoke_side_stop(&side);
	judge();
	report(&side, &usage);
	save(&side, &usage);
	good = bench_score_good(&score) && smoke_side_good(&side);
	smoke_side_free(&side);
	return good ? 0 : 1;
}

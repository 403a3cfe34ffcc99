/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Members in rooms, publishes at an even pace whatever the server does, and
 * meanwhile every command, and requests for pages.  The latency of a delivery
 * counts from when its publish was due, so that a server that stalls cannot
 * hide it (nor a generator: what it lacks shows as latency, too).
 */

#include "smoke.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_loop.h"

#define BATCH 100  /* channels asked for at once */
#define HOLDS 1000 /* channels that one client holds */
#define CROWDS 100 /* rooms that they are spread over */

struct room {
	struct bench_text text;
	uint32_t sent;
};

static struct {
	int telemetry_port;
	int rooms;
	int members;
	int publishers;
	int rate;
	int size;
	int channels;
	int requests;
	double seconds;
} conf = { .rooms = 100,
	.members = 50,
	.publishers = 10,
	.rate = 400,
	.size = 200,
	.requests = 10000,
	.seconds = 30 };

static const struct bench_opt options[] = {
	{ "telemetry-port", BENCH_NUMBER, &conf.telemetry_port, 0, 65535,
	    "get half of the pages there" },
	{ "rooms", BENCH_NUMBER, &conf.rooms, 1, 19000, "rooms" },
	{ "members", BENCH_NUMBER, &conf.members, 1, 19000,
	    "members of each room" },
	{ "publishers", BENCH_NUMBER, &conf.publishers, 1, 1000,
	    "clients that share the rooms and publish" },
	{ "rate", BENCH_NUMBER, &conf.rate, 1, 1000000, "publishes a second" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload, 16 at least" },
	{ "channels", BENCH_NUMBER, &conf.channels, 0, 10000000,
	    "channels made beforehand, that nobody uses" },
	{ "requests", BENCH_NUMBER, &conf.requests, 0, 10000000,
	    "pages asked for in all" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ 0 },
};

static bench_text_f on_text;

static struct bench_loop loop = { .came = on_text };
static struct bench_client *members;
static struct bench_client *publishers;
static struct bench_client *holders; /* of the channels made beforehand */
static struct room *rooms;
static struct bench_score score;
static struct bench_hist latency;
static struct bench_pace pace;

static void
on_text(void *arg, const char *text, size_t len)
{
	struct bench_client *client = arg;
	struct bench_stamp stamp;
	uint64_t i;

	if (bench_score_text(&score, &client->order, text, len, &stamp) == 0) {
		return;
	}
	i = (uint64_t)stamp.n * (uint64_t)conf.rooms + stamp.stream;
	bench_hist_add(&latency, loop.now - bench_pace_due(&pace, i));
	loop.moved = loop.now;
}

/* Put number i on its way to the room whose turn it is. */
static void
publish(uint64_t i)
{
	uint32_t r = (uint32_t)(i % (uint64_t)conf.rooms);
	struct bench_stamp stamp = { r, rooms[r].sent++ };

	bench_text_stamp(&rooms[r].text, &stamp);
	bench_put(&publishers[r % (uint32_t)conf.publishers].conn,
	    rooms[r].text.data, rooms[r].text.len);
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

/* Publish what is due; then give what is on its way time to come. */
static void
run(void)
{
	uint64_t i, want;

	pace.rate = (uint64_t)conf.rate;
	pace.all = (uint64_t)(conf.seconds * conf.rate);
	want = pace.all * (uint64_t)conf.members;
	bench_loop_set_timer(&loop, pace.rate);
	bench_loop_tell(&loop, "deliveries", &score.received, &latency);
	pace.begin = bench_now();
	while (pace.next < pace.all) {
		while (bench_pace_next(&pace, &i)) {
			publish(i);
		}
		flush_publishers();
		bench_turn(&loop, 100);
	}
	loop.moved = loop.now;
	while (score.received + score.skipped < want && !bench_stalled(&loop)) {
		flush_publishers();
		bench_turn(&loop, 100);
	}
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
hold_channels(struct bench_client *c, int first, int n)
{
	int joined = 0;
	uint64_t until = bench_now() + 10 * BENCH_SECOND;
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
	int n = (conf.channels + HOLDS - 1) / HOLDS;

	holders = bench_crowd_new(&loop, (uint64_t)n, 1, NULL, false);
	for (int i = 0; i < conf.channels; i += BATCH) {
		int left = conf.channels - i;

		hold_channels(&holders[i / HOLDS], i,
		    left < BATCH ? left : BATCH);
	}
}

static void
address(uint32_t stream, struct bench_address *a)
{
	snprintf(a->path, sizeof a->path, "/%u", stream);
	snprintf(a->room, sizeof a->room, "smoke%u", stream);
	snprintf(a->channel, sizeof a->channel, "all");
}

static void
set_up(void)
{
	uint32_t n = (uint32_t)conf.rooms;

	bench_crowd_fits((uint64_t)n * (uint64_t)conf.members +
	    (uint64_t)(conf.publishers + conf.channels / HOLDS + 1));
	bench_loop_init(&loop);
	make_channels();
	rooms = xnew(n * sizeof *rooms);
	for (uint32_t r = 0; r < n; r++) {
		bench_crowd_text(&rooms[r].text, address, r, conf.size);
	}
	members = bench_crowd_new(&loop, (uint64_t)n * (uint64_t)conf.members,
	    n, address, true);
	publishers =
	    bench_crowd_new(&loop, (uint64_t)conf.publishers, 1, NULL, false);
}

static void
judge(void)
{
	for (int i = 0; i < conf.rooms * conf.members; i++) {
		bench_score_end(&score, &members[i].order,
		    rooms[i % conf.rooms].sent);
	}
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
	    (double)bench_rss(bench_target.pid) / 1048576,
	    (double)bench_rss_peak(bench_target.pid) / 1048576,
	    bench_share(u, u->server) * 100);
	printf("machine: the generator took %.0f %% of a core, others %.0f %% "
	       "of all\n",
	    bench_share(u, u->client) * 100, bench_usage_others(u) * 100);
	bench_hist_title("latency");
	bench_hist_print(&latency, "delivery");
	bench_hist_print(&pace.lateness, "(our lateness)");
	smoke_side_print(side);
	bench_score_print(&score);
}

static void
save(const struct smoke_side *side, const struct bench_usage *u)
{
	struct buf out = { 0 };

	buf_printf(&out,
	    "{\"test\":\"smoke\",\"rooms\":%d,\"members\":%d,\"rate\":%d,"
	    "\"size\":%d,\"seconds\":%g,\"channels\":%d,",
	    conf.rooms, conf.rooms * conf.members, conf.rate, conf.size,
	    conf.seconds, conf.channels);
	bench_share_json(u, &out);
	buf_puts(&out, ",\"delivery_us\":");
	bench_hist_json(&latency, &out);
	buf_puts(&out, ",\"lateness_us\":");
	bench_hist_json(&pace.lateness, &out);
	buf_putc(&out, ',');
	bench_score_json(&score, &out);
	buf_putc(&out, ',');
	smoke_side_json(side, &out);
	buf_putc(&out, '}');
	bench_save(&out);
}

int
smoke_main(int argc, char **argv)
{
	struct smoke_side side = { 0 };
	struct bench_usage usage;
	bool good;

	bench_begin(options, argc, argv);
	set_up();
	side.port = (uint16_t)bench_target.port;
	side.telemetry_port = (uint16_t)conf.telemetry_port;
	side.requests = conf.requests;
	side.seconds = conf.seconds;
	usage = bench_usage(bench_target.pid);
	smoke_side_start(&side);
	run();
	usage = bench_usage_since(bench_target.pid, &usage);
	smoke_side_stop(&side);
	bench_settle(&loop, &score);
	judge();
	report(&side, &usage);
	save(&side, &usage);
	good = bench_score_good(&score) && smoke_side_good(&side);
	smoke_side_free(&side);
	return good ? 0 : 1;
}

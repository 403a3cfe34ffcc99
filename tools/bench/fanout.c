/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Channels, each with one publisher and N receivers.  In a closed loop message
 * i of a channel goes out when every receiver has had message i - window; in an
 * open one messages go out at an even pace, whatever the server does.  Tells
 * deliveries a second and what each costs the server in CPU.
 */

#include <stdio.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_hist.h"
#include "bench_loop.h"
#include "peer.h"

struct channel {
	struct bench_text text;
	uint32_t sent;
	bool queued;

	/* Of the closed loop. */
	uint32_t done; /* all have had the messages before this one */
	uint32_t *had; /* how many have had message i, at i % window */
	uint64_t *due; /* when it went out, likewise */
};

static struct {
	int channels;
	int receivers;
	int window;
	int rate;
	int size;
	double seconds;
	double warm;
} conf = { .channels = 1,
	.receivers = 100,
	.window = 32,
	.size = 200,
	.seconds = 2,
	.warm = 0.3 };

static const struct bench_opt options[] = {
	{ "channels", BENCH_NUMBER, &conf.channels, 1, 9000,
	    "channels, each with a publisher of its own" },
	{ "receivers", BENCH_NUMBER, &conf.receivers, 1, 19000,
	    "how many receive each channel" },
	{ "window", BENCH_NUMBER, &conf.window, 1, 100000,
	    "messages under way at most, in each channel" },
	{ "rate", BENCH_NUMBER, &conf.rate, 0, 10000000,
	    "publishes a second, in all, whatever the server does; 0: as the "
	    "window allows" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload, 16 at least" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "warm", BENCH_SECONDS, &conf.warm, 0, 86400, "not counted before" },
	{ "deflate", BENCH_FLAG, &bench_target.deflate, 0, 0,
	    "offer permessage-deflate, and inflate what comes" },
	{ "dialect", BENCH_TEXT, &bench_target.speaks, 0, 0,
	    "what the server speaks: arqonbus, mqtt, nats, nchan, plain" },
	{ "plain", BENCH_FLAG, &bench_target.plain, 0, 0,
	    "join no channel: the server is the floor" },
	{ 0 },
};

static bench_text_f on_text;

static struct bench_loop loop = { .came = on_text };
static struct channel *channels;
static struct bench_client *receivers;
static struct bench_client *publishers; /* one for each channel */
static uint32_t *queue; /* channels that may have something to send */
static size_t queued;
static struct bench_score score;
static struct bench_hist latency;
static struct bench_pace pace; /* of the open loop */
static uint64_t published, accepted;
static struct bench_span span = BENCH_SPAN;
static uint64_t uncounted; /* publishes of the open loop's warm-up */
static bool ending;

static bool
is_open(void)
{
	return conf.rate > 0;
}

static void
enqueue(uint32_t k)
{
	if (!channels[k].queued) {
		channels[k].queued = true;
		queue[queued++] = k;
	}
}

static void
publish(uint32_t k)
{
	struct channel *ch = &channels[k];
	struct bench_stamp stamp = { k, ch->sent };

	if (!is_open()) {
		ch->due[ch->sent % (uint32_t)conf.window] = loop.now;
	}
	ch->sent++;
	published++;
	bench_text_stamp(&ch->text, &stamp);
	bench_put(&publishers[k].conn, ch->text.data, ch->text.len);
}

/* Give every channel that is queued to its publisher's socket. */
static void
work_queue(void)
{
	size_t n = queued;

	queued = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t k = queue[i];
		struct channel *ch = &channels[k];
		struct bench_conn *c = &publishers[k].conn;

		ch->queued = false;
		while (!is_open() && !ending &&
		    ch->sent - ch->done < (uint32_t)conf.window) {
			publish(k);
		}
		if (!bench_flush(c)) {
			bench_dropped(c);
		}
		if (c->out.len > 0) {
			enqueue(k);
		}
	}
}

/* A receiver has had `by` messages more, up to number n; what was skipped
 * counts as had, else the loop would stand still. */
static void
move_on(uint32_t k, uint32_t n, uint32_t by)
{
	struct channel *ch = &channels[k];
	uint32_t window = (uint32_t)conf.window;

	if (ch->due[n % window] >= span.from) {
		bench_hist_add(&latency, loop.now - ch->due[n % window]);
	}
	while (by > 0) {
		uint32_t i = n - --by;

		if (++ch->had[i % window] == (uint32_t)conf.receivers) {
			ch->had[i % window] = 0;
			ch->done = i + 1;
			enqueue(k);
		}
	}
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct bench_client *client = arg;
	struct bench_stamp stamp;
	uint32_t by =
	    bench_score_text(&score, &client->order, text, len, &stamp);
	uint64_t i;

	if (by == 0) {
		return;
	}
	accepted += by;
	loop.moved = loop.now;
	if (!is_open()) {
		move_on(stamp.stream, stamp.n, by);
		return;
	}
	i = (uint64_t)stamp.n * (uint64_t)conf.channels + stamp.stream;
	if (i >= uncounted) {
		bench_hist_add(&latency, loop.now - bench_pace_due(&pace, i));
	}
}

/* Publish what is due in the open loop.  False when there is no more to come. */
static bool
publish_due(void)
{
	uint64_t i;

	if (!is_open()) {
		return false;
	}
	while (bench_pace_next(&pace, &i)) {
		uint32_t k = (uint32_t)(i % (uint64_t)conf.channels);

		publish(k);
		enqueue(k);
		loop.moved = loop.now;
	}
	return pace.next < pace.all;
}

/*
 * Until the time has come, or nothing has moved for long.  Never sleeps: to
 * wake a sleeper costs the server more than to send to it, and how often this
 * generator would sleep depends on how little faster than the server it is.
 * Receivers on other machines cost no such wake-ups.
 */
static void
run(uint64_t until)
{
	loop.now = bench_now();
	while (loop.now < until && !bench_stalled(&loop)) {
		publish_due();
		work_queue();
		bench_turn(&loop, 0);
	}
}

/* What is due goes out, and what is on its way comes. */
static void
drain(void)
{
	uint64_t want = (uint64_t)conf.receivers;

	ending = true;
	loop.moved = loop.now;
	while (publish_due() ||
	    (accepted != published * want && !bench_stalled(&loop))) {
		work_queue();
		bench_turn(&loop, 0);
	}
	bench_settle(&loop, &score);
}

static void
judge(void)
{
	int n = conf.channels * conf.receivers;

	for (int i = 0; i < n; i++) {
		const struct bench_order *order = &receivers[i].order;

		bench_score_end(&score, order, channels[order->stream].sent);
	}
}

static void
address(uint32_t stream, struct bench_address *a)
{
	snprintf(a->path, sizeof a->path, "/%u", stream);
	snprintf(a->room, sizeof a->room, "bench");
	snprintf(a->channel, sizeof a->channel, "fan%u", stream);
}

static void
set_up(void)
{
	uint32_t n = (uint32_t)conf.channels;
	uint64_t window = (uint64_t)conf.window;

	bench_crowd_fits((uint64_t)n * ((uint64_t)conf.receivers + 1));
	bench_loop_init(&loop);
	channels = xnew(n * sizeof *channels);
	queue = xnew(n * sizeof *queue);
	receivers = bench_crowd_new(&loop,
	    (uint64_t)n * (uint64_t)conf.receivers, n, address, true);
	publishers = bench_crowd_new(&loop, n, n, address, false);
	for (uint32_t k = 0; k < n; k++) {
		struct channel *ch = &channels[k];

		bench_crowd_text(&ch->text, address, k, conf.size);
		if (!is_open()) {
			ch->had = xnew(window * sizeof *ch->had);
			ch->due = xnew(window * sizeof *ch->due);
			enqueue(k);
		}
	}
}

static void
set_pace(void)
{
	pace.begin = loop.now;
	pace.rate = (uint64_t)conf.rate;
	pace.all = (uint64_t)((conf.warm + conf.seconds) * conf.rate);
	uncounted = (uint64_t)(conf.warm * conf.rate);
}

static void
report(void)
{
	const struct bench_usage *u = &span.usage;
	double took = (double)u->time / BENCH_SECOND;
	double per_second = (double)span.count / took;
	struct buf out = { 0 };

	printf("%d x (1 -> %d), %d bytes of payload (%zu on the "
	       "wire), ",
	    conf.channels, conf.receivers, conf.size, receivers->conn.wire);
	printf(is_open() ? "%d publishes/s, %.1f s\n" : "window %d, %.1f s\n",
	    is_open() ? conf.rate : conf.window, took);
	printf("%.0f deliveries/s; the server's CPU is %.0f ns each\n",
	    per_second, bench_each((double)u->server, span.count));
	bench_hist_title("latency");
	if (is_open()) {
		bench_hist_print(&latency, "delivery");
		bench_hist_print(&pace.lateness, "(our lateness)");
	} else {
		bench_closed_print(&latency, "delivery");
	}
	bench_score_print(&score);

	buf_printf(&out,
	    "{\"test\":\"fanout\",\"dialect\":\"%s\",\"deflate\":%s,\"channels\":%d,\"receivers\":%d,\"size\":%d,"
	    "\"window\":%d,\"rate\":%d,\"wire\":%zu,\"seconds\":%.3f,"
	    "\"published\":%llu,\"deliveries_per_second\":%.0f,"
	    "\"per_read\":%.2f,",
	    bench_target.dialect->name, bench_target.deflate ? "true" : "false",
	    conf.channels, conf.receivers, conf.size, conf.window, conf.rate,
	    receivers->conn.wire, took, (unsigned long long)published,
	    per_second, bench_each((double)span.count, span.reads));
	bench_cost_json(u, span.count, &out);
	buf_puts(&out, ",\"lateness_us\":");
	bench_hist_json(&pace.lateness, &out);
	if (is_open()) {
		bench_finish(&out, &latency, &score);
	} else {
		bench_closed_finish(&out, &latency, &score);
	}
}

int
fanout_main(int argc, char **argv)
{
	bench_begin(options, argc, argv);
	score.bare = bench_target.dialect->bare;
	set_up();
	set_pace();
	bench_loop_tell(&loop, "deliveries", &score.received, &latency);
	run(loop.now + (uint64_t)(conf.warm * BENCH_SECOND));
	bench_span_begin(&span, &loop, score.received);
	run(span.from + (uint64_t)(conf.seconds * BENCH_SECOND));
	bench_span_end(&span, &loop, score.received);
	drain();
	judge();
	report();
	return bench_score_good(&score) ? 0 : 1;
}

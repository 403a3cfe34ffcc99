/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One channel at an even pace, first with receivers that read as fast as they
 * can, then beside some that hardly read.  Tells what the slow ones do to the
 * latency of the others and to the server's memory, and how they end.
 */

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_hist.h"
#include "bench_loop.h"

/*
 * A slow one takes what its tiny receive buffer holds, so often.  If it took
 * nothing at all, the close frame of a server that ends it would find no room
 * behind what waits in the kernel, and would never be seen.
 */
#define SIP (BENCH_SECOND / 20)
#define SLOW_CODE 4008

static struct {
	int receivers;
	int slow;
	int rate;
	int size;
	double seconds;
	bool stop;
} conf = { .receivers = 100,
	.slow = 10,
	.rate = 2000,
	.size = 1000,
	.seconds = 3 };

static const struct bench_opt options[] = {
	{ "receivers", BENCH_NUMBER, &conf.receivers, 2, 19000,
	    "how many receive, the slow ones included" },
	{ "slow", BENCH_NUMBER, &conf.slow, 1, 18999, "how many are slow" },
	{ "rate", BENCH_NUMBER, &conf.rate, 1, 10000000,
	    "publishes a second, whatever the server does" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload, 16 at least" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400,
	    "how long without the slow ones, and again with them" },
	{ "stop", BENCH_FLAG, &conf.stop, 0, 0,
	    "the slow ones read nothing at all until the end" },
	{ "plain", BENCH_FLAG, &bench_target.plain, 0, 0,
	    "join no channel: the server is the floor" },
	{ 0 },
};

static bench_text_f on_text;
static bench_gone_f on_gone;

static struct bench_loop loop = { .came = on_text, .gone = on_gone };
static struct bench_client *publisher;
static struct bench_client *fast;
static struct bench_client *slow; /* NULL: there are none yet */
static struct bench_text text;
static struct bench_score score, slow_score;
static struct bench_pace paces[2]; /* without the slow ones, and with them */
static struct bench_hist latency[2];
static uint32_t sent;
static uint64_t accepted, slow_accepted;
static int cut, ended, lost; /* slow ones: with 4008, another code, none */

static uint64_t
fast_count(void)
{
	return (uint64_t)(conf.receivers - conf.slow);
}

static bool
is_slow(const struct bench_client *client)
{
	return slow != NULL && client >= slow && client < slow + conf.slow;
}

static void
on_text(void *arg, const char *data, size_t len)
{
	struct bench_client *client = arg;
	bool with = slow != NULL;
	uint64_t first = with ? paces[0].all : 0;
	struct bench_stamp stamp;
	uint32_t by;

	if (is_slow(client)) {
		slow_accepted += bench_score_text(&slow_score, &client->order,
		    data, len, &stamp);
		loop.moved = loop.now;
		return;
	}
	by = bench_score_text(&score, &client->order, data, len, &stamp);
	if (by > 0) {
		accepted += by;
		loop.moved = loop.now;
		bench_hist_add(&latency[with],
		    loop.now - bench_pace_due(&paces[with], stamp.n - first));
	}
}

/* Only slow ones may be ended by the server. */
static void
on_gone(struct bench_client *client)
{
	if (!is_slow(client)) {
		bench_dropped(&client->conn);
	}
	if (client->conn.close_code == SLOW_CODE) {
		cut++;
	} else if (client->conn.close_code != 0) {
		ended++;
	} else {
		lost++;
	}
	bench_close(&client->conn);
	loop.moved = loop.now;
}

static void
flush(void)
{
	if (!bench_flush(&publisher->conn)) {
		bench_dropped(&publisher->conn);
	}
}

/* Let each slow one have a little, now and then. */
static void
sip(void)
{
	static uint64_t next;

	if (slow == NULL || conf.stop || loop.now < next) {
		return;
	}
	next = loop.now + SIP;
	for (int i = 0; i < conf.slow; i++) {
		if (slow[i].conn.fd >= 0 &&
		    !bench_read(&slow[i].conn, on_text, &slow[i])) {
			on_gone(&slow[i]);
		}
	}
}

/* Publish at the pace and let the fast ones have all.  Never sleeps, as in
 * fanout. */
static void
run(struct bench_pace *pace)
{
	uint64_t i;

	pace->rate = (uint64_t)conf.rate;
	pace->all = (uint64_t)(conf.seconds * conf.rate);
	pace->begin = loop.now = bench_now();
	while (pace->next < pace->all ||
	    (accepted < sent * fast_count() && !bench_stalled(&loop))) {
		while (bench_pace_next(pace, &i)) {
			struct bench_stamp stamp = { 0, sent++ };

			bench_text_stamp(&text, &stamp);
			bench_put(&publisher->conn, text.data, text.len);
			loop.moved = loop.now;
		}
		flush();
		sip();
		bench_turn(&loop, 0);
	}
}

static void
address(uint32_t stream, struct bench_address *a)
{
	snprintf(a->path, sizeof a->path, "/%u", stream);
	snprintf(a->room, sizeof a->room, "bench");
	snprintf(a->channel, sizeof a->channel, "slow%u", stream);
}

/* From now on there are slow ones, which are read when we choose to. */
static void
open_slow(void)
{
	struct bench_crowd crowd = { .count = (uint64_t)conf.slow,
		.address = address,
		.join = true,
		.tiny = true };
	crowd.clients = xnew(crowd.count * sizeof *crowd.clients);

	bench_crowd_open(&crowd, &loop);
	for (int i = 0; i < conf.slow; i++) {
		crowd.clients[i].order.next = sent;
		bench_loop_change(&loop, &crowd.clients[i], 0);
	}
	slow = crowd.clients;
}

/* Let the slow ones read all there is, and see what has become of them. */
static void
wake_slow(void)
{
	uint64_t still = 0;

	loop.moved = loop.now = bench_now();
	for (int i = 0; i < conf.slow; i++) {
		if (slow[i].conn.fd >= 0) {
			bench_loop_change(&loop, &slow[i], EPOLLIN);
			still += sent - slow[i].order.next;
		}
	}
	still += slow_accepted;
	while (cut + ended + lost < conf.slow && slow_accepted < still &&
	    !bench_stalled(&loop)) {
		bench_turn(&loop, 100);
	}
}

/* Those who were too slow may lack messages, but get none twice. */
static bool
slow_is_good(void)
{
	return slow_score.repeated == 0 && slow_score.astray == 0;
}

/* How many times as long as without the slow ones the others wait: p99. */
static double
p99_ratio(void)
{
	uint64_t without = bench_hist_quantile(&latency[0], 0.99);

	return without == 0
	    ? 0
	    : (double)bench_hist_quantile(&latency[1], 0.99) / (double)without;
}

static void
report(uint64_t before, uint64_t rss, const struct bench_usage *u)
{
	int standing = conf.slow - cut - ended - lost;
	uint64_t peak = bench_rss_peak(bench_target.pid);
	double each = peak < before ? 0 : (double)(peak - before) / conf.slow;
	struct buf out = { 0 };

	printf("%d receivers, %d of them slow, %d publishes/s of %d bytes "
	       "(%zu on the wire), twice %g s\n",
	    conf.receivers, conf.slow, conf.rate, conf.size, score.wire,
	    conf.seconds);
	printf("server: %.1f MiB resident before the slow ones came, %.1f at "
	       "the end, at most %.1f; CPU %.0f %% of a core with them\n",
	    (double)before / 1048576, (double)rss / 1048576,
	    (double)peak / 1048576, bench_share(u, u->server) * 100);
	printf("slow ones: %d ended with code %d, %d with another, %d with "
	       "none, %d stand\n",
	    cut, SLOW_CODE, ended, lost, standing);
	printf("each slow one: %.1f KiB of the server's memory at most; p99 of "
	       "the others: %.2f times as without\n",
	    each / 1024, p99_ratio());
	bench_hist_title("latency");
	bench_hist_print(&latency[0], "without slow");
	bench_hist_print(&latency[1], "with slow");
	bench_hist_print(&paces[1].lateness, "(our lateness)");
	bench_score_print(&score);
	if (!slow_is_good()) {
		printf("FAILED: slow ones: %llu repeated, %llu astray\n",
		    (unsigned long long)slow_score.repeated,
		    (unsigned long long)slow_score.astray);
	}

	buf_printf(&out,
	    "{\"test\":\"slow\",\"receivers\":%d,\"slow\":%d,\"rate\":%d,"
	    "\"size\":%d,\"wire\":%zu,\"seconds\":%g,\"published\":%u,"
	    "\"rss_before_bytes\":%llu,\"slow_cut\":%d,\"slow_ended\":%d,"
	    "\"slow_lost\":%d,\"slow_standing\":%d,\"slow_received\":%llu,"
	    "\"slow_repeated\":%llu,\"slow_astray\":%llu,"
	    "\"slow_bytes_each\":%.0f,\"p99_ratio\":%.3f,",
	    conf.receivers, conf.slow, conf.rate, conf.size, score.wire,
	    conf.seconds, sent, (unsigned long long)before, cut, ended, lost,
	    standing, (unsigned long long)slow_score.received,
	    (unsigned long long)slow_score.repeated,
	    (unsigned long long)slow_score.astray, each, p99_ratio());
	bench_share_json(u, &out);
	buf_puts(&out, ",\"without_us\":");
	bench_hist_json(&latency[0], &out);
	buf_puts(&out, ",\"with_us\":");
	bench_hist_json(&latency[1], &out);
	buf_puts(&out, ",\"lateness_us\":");
	bench_hist_json(&paces[1].lateness, &out);
	buf_putc(&out, ',');
	bench_score_json(&score, &out);
	buf_putc(&out, '}');
	bench_save(&out);
}

int
slow_main(int argc, char **argv)
{
	struct bench_usage usage;
	uint64_t before;

	bench_begin(options, argc, argv);
	if (conf.slow >= conf.receivers) {
		bench_die("--slow %d leaves no fast one of --receivers %d",
		    conf.slow, conf.receivers);
	}
	bench_crowd_fits((uint64_t)conf.receivers + 1);
	bench_loop_init(&loop);
	bench_crowd_text(&text, address, 0, conf.size);
	fast = bench_crowd_new(&loop, fast_count(), 1, address, true);
	publisher = bench_crowd_new(&loop, 1, 1, address, false);
	bench_loop_tell(&loop, "deliveries", &score.received, &latency[0]);
	run(&paces[0]);
	before = bench_rss(bench_target.pid);
	open_slow();
	bench_loop_tell(&loop, "deliveries", &score.received, &latency[1]);
	usage = bench_usage(bench_target.pid);
	run(&paces[1]);
	usage = bench_usage_since(bench_target.pid, &usage);
	wake_slow();
	bench_settle(&loop, &score);
	for (uint64_t i = 0; i < fast_count(); i++) {
		bench_score_end(&score, &fast[i].order, sent);
	}
	report(before, bench_rss(bench_target.pid), &usage);
	return bench_score_good(&score) && slow_is_good() ? 0 : 1;
}

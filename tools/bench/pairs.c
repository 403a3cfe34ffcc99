/* SPDX-License-Identifier: Apache-2.0 */

/*
 * N pairs of clients; in each, one message goes to and fro.  Tells how long a
 * round trip takes and what it costs the server in CPU.
 */

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_dial.h"
#include "bench_hist.h"
#include "bench_loop.h"
#include "peer.h"

/* Client k begins round trips, client k + pairs answers. */
struct side {
	struct bench_text text;
	uint64_t due; /* when the round trip that it began did */
};

static struct {
	int pairs;
	int size;
	double seconds;
	double warm;
	bool private;
} conf = { .pairs = 1, .size = 200, .seconds = 2, .warm = 0.3 };

static const struct bench_opt options[] = {
	{ "pairs", BENCH_NUMBER, &conf.pairs, 1, 9500, "how many pairs" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload, 16 at least" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "warm", BENCH_SECONDS, &conf.warm, 0, 86400, "not counted before" },
	{ "private", BENCH_FLAG, &conf.private, 0, 0,
	    "private messages, not a channel for each pair" },
	{ "dialect", BENCH_TEXT, &bench_target.speaks, 0, 0,
	    "what the server speaks: arqonbus, mqtt, nats, nchan, plain" },
	{ "plain", BENCH_FLAG, &bench_target.plain, 0, 0,
	    "join no channel: the server is the floor" },
	{ 0 },
};

static bench_text_f on_text;

static struct bench_loop loop = { .came = on_text };
static struct bench_client *clients;
static struct side *sides; /* of each client */
static struct bench_score score;
static struct bench_hist latency;
static uint64_t begun, trips;
static struct bench_span span = BENCH_SPAN;
static bool ending;

/* Who is to get what this client says; each client is a stream. */
static uint32_t
partner_of(uint32_t i)
{
	uint32_t n = (uint32_t)conf.pairs;

	return i < n ? i + n : i - n;
}

static void
say(struct bench_client *client, uint32_t n)
{
	struct side *side = &sides[client - clients];
	struct bench_stamp stamp = { partner_of(client->order.stream), n };

	bench_text_stamp(&side->text, &stamp);
	bench_put(&client->conn, side->text.data, side->text.len);
	if (!bench_flush(&client->conn)) {
		bench_dropped(&client->conn);
	}
}

static void
begin_trip(struct bench_client *client)
{
	begun++;
	sides[client - clients].due = bench_now();
	say(client, client->order.next);
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct bench_client *client = arg;
	struct side *side = &sides[client - clients];
	struct bench_stamp stamp;

	if (bench_score_text(&score, &client->order, text, len, &stamp) == 0) {
		return;
	}
	loop.moved = loop.now;
	if (client - clients >= conf.pairs) {
		say(client, stamp.n);
		return;
	}
	trips++;
	if (side->due >= span.from) {
		bench_hist_add(&latency, bench_now() - side->due);
	}
	if (!ending) {
		begin_trip(client);
	}
}

/* Let every pair end the round trip it is in. */
static void
drain(void)
{
	ending = true;
	bench_drain(&loop, &trips, begun);
	score.missing = begun - trips;
	bench_settle(&loop, &score);
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

/* A pair shares a channel; where that would bring everyone its own messages,
 * each of both has one. */
static void
address(uint32_t stream, struct bench_address *a)
{
	uint32_t pair = stream % (uint32_t)conf.pairs;

	snprintf(a->path, sizeof a->path, "/%u", pair);
	snprintf(a->room, sizeof a->room, "bench");
	if (bench_target.dialect->echoes) {
		snprintf(a->channel, sizeof a->channel, "p%u", stream);
		snprintf(a->to, sizeof a->to, "p%u", partner_of(stream));
	} else {
		snprintf(a->channel, sizeof a->channel, "p%u", pair);
	}
}

/* Who writes in private joins nothing; its welcome tells its id, which is the
 * address of its partner's messages. */
static void
set_up_private(void)
{
	int n = conf.pairs;

	clients = xnew(2 * (size_t)n * sizeof *clients);
	for (int i = 0; i < 2 * n; i++) {
		struct bench_client *client = &clients[i];
		char inside[160];
		char id[96] = "";

		bench_open(&client->conn, (uint16_t)bench_target.port, "/");
		await_id(&client->conn, id, sizeof id);
		snprintf(inside, sizeof inside,
		    "\"type\":\"private\",\"to\":\"%s\"", id);
		bench_text_init(&sides[(i + n) % (2 * n)].text, inside,
		    (size_t)conf.size);
		client->order.stream = (uint32_t)i;
		bench_loop_add(&loop, client, EPOLLIN);
	}
}

static void
set_up_channels(void)
{
	uint32_t n = (uint32_t)conf.pairs;

	clients = bench_crowd_new(&loop, 2 * (uint64_t)n, 2 * n, address, true);
	for (uint32_t i = 0; i < 2 * n; i++) {
		bench_crowd_text(&sides[i].text, address, partner_of(i),
		    conf.size);
	}
}

static void
set_up(void)
{
	bench_crowd_fits(2 * (uint64_t)conf.pairs);
	bench_loop_init(&loop);
	sides = xnew(2 * (size_t)conf.pairs * sizeof *sides);
	if (conf.private) {
		set_up_private();
	} else {
		set_up_channels();
	}
	loop.moved = loop.now = bench_now();
	bench_loop_tell(&loop, "trips", &trips, &latency);
	for (int i = 0; i < conf.pairs; i++) {
		begin_trip(&clients[i]);
	}
}

static void
report(void)
{
	const struct bench_usage *u = &span.usage;
	double took = (double)u->time / BENCH_SECOND;
	double per_second = (double)span.count / took;
	struct buf out = { 0 };

	printf("%d pairs, %d bytes of payload (%zu on the wire), %.1f s\n",
	    conf.pairs, conf.size, clients->conn.wire, took);
	printf("%.0f round trips/s; the server's CPU is %.0f ns each\n",
	    per_second, bench_each((double)u->server, span.count));
	bench_hist_title("latency");
	bench_closed_print(&latency, "round trip");
	bench_score_print(&score);

	buf_printf(&out,
	    "{\"test\":\"pairs\",\"dialect\":\"%s\",\"pairs\":%d,\"size\":%d,\"wire\":%zu,"
	    "\"seconds\":%.3f,\"trips_per_second\":%.0f,",
	    bench_target.dialect->name, conf.pairs, conf.size,
	    clients->conn.wire, took, per_second);
	bench_cost_json(u, span.count, &out);
	bench_closed_finish(&out, &latency, &score);
}

int
pairs_main(int argc, char **argv)
{
	bench_begin(options, argc, argv);
	if (conf.private &&
	    strcmp(bench_target.dialect->name, "arqonbus") != 0) {
		bench_die("--private is of ArqonBus alone, not of %s",
		    bench_target.dialect->name);
	}
	score.bare = bench_target.dialect->bare;
	set_up();
	bench_measure(&loop, conf.warm, conf.seconds, &trips, &span);
	drain();
	report();
	return bench_score_good(&score) ? 0 : 1;
}

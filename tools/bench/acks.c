/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Publishers that each keep a window of messages under way to a channel of
 * their own, and want an ack of each.  Tells how many a second are acked, as
 * what they are stored, and checks that each ack is of the next position.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_hist.h"
#include "bench_loop.h"

#define ID_DIGITS 16

static struct {
	int publishers;
	int window;
	int size;
	bool ids;
	double seconds;
	double warm;
} conf = { .publishers = 4,
	.window = 64,
	.size = 200,
	.seconds = 2,
	.warm = 0.3 };

static const struct bench_opt options[] = {
	{ "publishers", BENCH_NUMBER, &conf.publishers, 1, 10000,
	    "publishers, each with a channel of its own" },
	{ "window", BENCH_NUMBER, &conf.window, 1, 65536,
	    "messages of each that wait for their acks" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload of each, 16 at least" },
	{ "ids", BENCH_FLAG, &conf.ids, 0, 0,
	    "give each message an id, so that it might be repeated" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "warm", BENCH_SECONDS, &conf.warm, 0, 86400, "not counted before" },
	{ 0 },
};

static bench_text_f on_text;

/* What one publisher has under way. */
struct side {
	struct bench_text text;
	char *id;       /* where the digits of the id stand, or NULL */
	uint64_t *due;  /* when each of the window was sent */
	uint64_t sent;  /* so many; the next one's number */
	uint64_t acked; /* so many, in order */
	uint64_t seq;   /* of the last ack */
};

static struct bench_loop loop = { .came = on_text };
static struct bench_client *clients;
static struct side *sides;
static struct bench_hist latency;
static uint64_t sent, acked, refused, wrong;
static struct bench_score at_end;
static char stored[16] = "?"; /* as the last ack said */
static struct bench_span span = BENCH_SPAN;
static bool ending;

static struct side *
side_of(const struct bench_client *client)
{
	return &sides[client - clients];
}

static void
put(struct bench_client *client)
{
	struct side *side = side_of(client);
	struct bench_stamp stamp = { client->order.stream,
		(uint32_t)side->sent };
	char digits[ID_DIGITS + 1];

	if (side->id != NULL) {
		snprintf(digits, sizeof digits, "%0*llx", ID_DIGITS,
		    (unsigned long long)side->sent);
		memcpy(side->id, digits, ID_DIGITS);
	}
	bench_text_stamp(&side->text, &stamp);
	bench_put(&client->conn, side->text.data, side->text.len);
	side->due[side->sent % (uint64_t)conf.window] = bench_now();
	side->sent++;
	sent++;
}

/* As much as the window allows, in one go. */
static void
fill_window(struct bench_client *client)
{
	struct side *side = side_of(client);

	while (side->sent - side->acked < (uint64_t)conf.window) {
		put(client);
	}
	if (!bench_flush(&client->conn)) {
		bench_dropped(&client->conn);
	}
}

/* The number behind a key; 0 when it is not there. */
static uint64_t
number_in(const char *text, size_t len, const char *key)
{
	const char *p = memmem(text, len, key, strlen(key));

	return p == NULL ? 0 : strtoull(p + strlen(key), NULL, 10);
}

static void
take_ack(struct side *side, const char *text, size_t len)
{
	static const char key[] = "\"stored\":\"";
	uint64_t seq = number_in(text, len, "\"seq\":");
	uint64_t due = side->due[side->acked % (uint64_t)conf.window];
	const char *p = memmem(text, len, key, strlen(key));

	if (side->acked == side->sent ||
	    (side->seq != 0 && seq != side->seq + 1)) {
		wrong++;
		return;
	}
	if (p != NULL) {
		p += strlen(key);
		snprintf(stored, sizeof stored, "%.*s", (int)strcspn(p, "\""),
		    p);
	}
	side->seq = seq;
	side->acked++;
	acked++;
	if (due >= span.from) {
		bench_hist_add(&latency, loop.now - due);
	}
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct bench_client *client = arg;
	struct side *side = side_of(client);
	uint64_t half = ((uint64_t)conf.window + 1) / 2;

	loop.moved = loop.now;
	if (memmem(text, len, "\"type\":\"ack\"", 12) != NULL) {
		take_ack(side, text, len);
	} else if (memmem(text, len, "\"type\":\"error\"", 14) != NULL) {
		if (refused++ == 0) {
			fprintf(stderr, "bench: acks: %.*s\n",
			    (int)(len < 300 ? len : 300), text);
		}
		side->acked++; /* it is not under way any more */
		side->seq = 0;
	}
	if (!ending &&
	    side->sent - side->acked <= (uint64_t)conf.window - half) {
		fill_window(client);
	}
}

static void
make_side(uint32_t i)
{
	static const char key[] = "\"id\":\"";
	struct side *side = &sides[i];
	char inside[200];

	snprintf(inside, sizeof inside,
	    "\"type\":\"event\",%s\"room\":\"bench\",\"channel\":\"acks-%d-%u\""
	    ",\"ack\":true",
	    conf.ids ? "\"id\":\"0000000000000000\"," : "", (int)getpid(), i);
	bench_text_init(&side->text, inside, (size_t)conf.size);
	if (conf.ids) {
		char *found =
		    memmem(side->text.data, side->text.len, key, strlen(key));

		side->id = found + strlen(key);
	}
	side->due = xnew((size_t)conf.window * sizeof *side->due);
}

static void
set_up(void)
{
	uint32_t n = (uint32_t)conf.publishers;

	bench_crowd_fits(n);
	bench_loop_init(&loop);
	sides = xnew(n * sizeof *sides);
	for (uint32_t i = 0; i < n; i++) {
		make_side(i);
	}
	clients = bench_crowd_new(&loop, n, 1, NULL, false);
	bench_loop_tell(&loop, "acks", &acked, &latency);
	loop.moved = loop.now = bench_now();
	for (uint32_t i = 0; i < n; i++) {
		fill_window(&clients[i]);
	}
}

/* Let every message have its ack. */
static void
drain(void)
{
	ending = true;
	bench_drain(&loop, &acked, sent - refused);
	bench_settle(&loop, &at_end);
}

static bool
is_good(void)
{
	return acked > 0 && acked == sent && refused == 0 && wrong == 0 &&
	    at_end.astray == 0 && at_end.silent == 0;
}

static void
report(void)
{
	const struct bench_usage *u = &span.usage;
	double took = (double)u->time / BENCH_SECOND;
	double per_second = (double)span.count / took;
	struct buf out = { 0 };

	printf("%d publishers, window %d, %d bytes of payload%s, %.1f s\n",
	    conf.publishers, conf.window, conf.size,
	    conf.ids ? ", with ids" : "", took);
	printf("%.0f acks/s, stored: %s; the server's CPU is %.0f ns each\n",
	    per_second, stored, bench_each((double)u->server, span.count));
	bench_hist_title("latency");
	bench_closed_print(&latency, "ack");
	if (is_good()) {
		puts("every message was acked, at the next position");
	} else {
		printf("FAILED: %llu refused, %llu at another position, %llu "
		       "without an ack; %llu astray, %llu connections "
		       "silent\n",
		    (unsigned long long)refused, (unsigned long long)wrong,
		    (unsigned long long)(sent - acked - refused),
		    (unsigned long long)at_end.astray,
		    (unsigned long long)at_end.silent);
	}
	buf_printf(&out,
	    "{\"test\":\"acks\",\"publishers\":%d,\"window\":%d,\"size\":%d,"
	    "\"ids\":%s,\"stored\":\"%s\",\"seconds\":%.3f,\"acks\":%llu,"
	    "\"refused\":%llu,\"wrong\":%llu,\"missing\":%llu,"
	    "\"acks_per_second\":%.0f,",
	    conf.publishers, conf.window, conf.size,
	    conf.ids ? "true" : "false", stored, took,
	    (unsigned long long)acked, (unsigned long long)refused,
	    (unsigned long long)wrong,
	    (unsigned long long)(sent - acked - refused), per_second);
	bench_cost_json(u, span.count, &out);
	bench_closed_finish(&out, &latency, NULL);
}

int
acks_main(int argc, char **argv)
{
	bench_begin(options, argc, argv);
	set_up();
	bench_measure(&loop, conf.warm, conf.seconds, &acked, &span);
	drain();
	report();
	return is_good() ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A channel is filled with messages, then clients ask for the last of them as
 * fast as they are answered.  Tells what a reply costs, and checks that each
 * holds what was asked for, in order.
 */

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_dial.h"
#include "bench_hist.h"
#include "bench_loop.h"

#define REPLY_ID "\"request_id\":\"h\""
#define HEAD 400           /* bytes of a reply in which its head stands */
#define WAITING_MAX 262144 /* bytes that may wait while the channel is filled */

static struct {
	int messages;
	int size;
	int clients;
	int limit;
	double seconds;
	double warm;
} conf = { .messages = 500,
	.size = 200,
	.clients = 10,
	.limit = 50,
	.seconds = 2,
	.warm = 0.3 };

static const struct bench_opt options[] = {
	{ "messages", BENCH_NUMBER, &conf.messages, 1, 1000000,
	    "messages that the channel keeps" },
	{ "size", BENCH_NUMBER, &conf.size, BENCH_SIZE_MIN, BENCH_SIZE_MAX,
	    "bytes of the payload of each, 16 at least" },
	{ "clients", BENCH_NUMBER, &conf.clients, 1, 19000, "how many ask" },
	{ "limit", BENCH_NUMBER, &conf.limit, 1, 1000,
	    "messages asked for; a reply holds 512 KiB" },
	{ "seconds", BENCH_SECONDS, &conf.seconds, 0, 86400, "how long" },
	{ "warm", BENCH_SECONDS, &conf.warm, 0, 86400, "not counted before" },
	{ 0 },
};

static bench_text_f on_text;

static struct bench_loop loop = { .came = on_text };
static struct bench_client *clients;
static uint64_t *asked_at; /* when each client asked; 0: it has its reply */
static struct bench_conn filler;
static char channel[32]; /* one that nobody else uses */
static char question[200];
static int question_len;
static struct bench_hist latency;
static uint64_t asked, replies, failed, wrong;
static struct bench_score at_end;
static size_t wire; /* length of the last reply */
static struct bench_span span = BENCH_SPAN;
static bool ending;

static void
ask(struct bench_client *client)
{
	asked++;
	asked_at[client - clients] = bench_now();
	bench_put(&client->conn, question, (size_t)question_len);
	if (!bench_flush(&client->conn)) {
		bench_dropped(&client->conn);
	}
}

/* Does a reply hold the last messages, as many as were asked for? */
static bool
is_whole(const char *reply, size_t len)
{
	uint32_t all = (uint32_t)conf.messages;
	uint32_t limit = (uint32_t)conf.limit;
	uint32_t n = all > limit ? all - limit : 0;
	const char *end = reply + len;
	struct bench_stamp stamp;

	for (const char *p = reply;
	     (p = bench_stamp_next(p, end, &stamp)) != NULL; n++) {
		if (stamp.n != n) {
			return false;
		}
	}
	return n == all;
}

static void
judge(const char *reply, size_t len)
{
	static const char good[] = "\"status\":\"success\"";
	size_t head = len < HEAD ? len : HEAD;

	if (memmem(reply, head, good, strlen(good)) == NULL) {
		if (failed++ == 0) {
			fprintf(stderr, "bench: history: %.*s\n", (int)head,
			    reply);
		}
	} else if (!is_whole(reply, len)) {
		wrong++;
	}
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct bench_client *client = arg;
	uint64_t when = asked_at[client - clients];
	size_t head = len < HEAD ? len : HEAD;

	if (memmem(text, head, REPLY_ID, strlen(REPLY_ID)) == NULL) {
		return;
	}
	loop.moved = loop.now;
	if (when == 0) {
		wrong++; /* one more than it asked for */
		return;
	}
	asked_at[client - clients] = 0;
	replies++;
	wire = len;
	if (when >= span.from) {
		bench_hist_add(&latency, loop.now - when);
	}
	judge(text, len);
	if (!ending) {
		ask(client);
	}
}

/* Send a command about our channel and wait for its success. */
static void
command(const char *name, const char *more)
{
	char text[300];
	int n = snprintf(text, sizeof text,
	    "{\"type\":\"command\",\"id\":\"f\",\"command\":\"%s\","
	    "\"room\":\"bench\",\"channel\":\"%s\"%s}",
	    name, channel, more);

	bench_ask(&filler, text, (size_t)n, "\"request_id\":\"f\"");
}

/* Send what waits, until little enough does to put more. */
static void
make_room(void)
{
	uint64_t until = bench_now() + bench_patience;

	while (filler.out.len > WAITING_MAX) {
		if (bench_now() >= until) {
			bench_die("the server takes no messages for %g s",
			    (double)bench_patience / 1e9);
		}
		bench_wait(&filler, POLLOUT, until);
		if (!bench_flush(&filler)) {
			bench_dropped(&filler);
		}
	}
}

/* Publish these messages of ours, the first to the one before the last. */
static void
fill(uint32_t first, uint32_t last, const char *more)
{
	struct bench_text text;
	char inside[120];

	snprintf(inside, sizeof inside,
	    "\"type\":\"event\",\"room\":\"bench\",\"channel\":\"%s\"%s",
	    channel, more);
	bench_text_init(&text, inside, (size_t)conf.size);
	for (uint32_t i = first; i < last; i++) {
		struct bench_stamp stamp = { 0, i };

		bench_text_stamp(&text, &stamp);
		bench_put(&filler, text.data, text.len);
		if (!bench_flush(&filler)) {
			bench_dropped(&filler);
		}
		make_room();
	}
	bench_text_fini(&text);
}

/* The last one is acked: then all are kept. */
static void
fill_all(void)
{
	struct buf ack = { 0 };

	fill(0, (uint32_t)conf.messages - 1, "");
	fill((uint32_t)conf.messages - 1, (uint32_t)conf.messages,
	    ",\"ack\":true");
	if (!bench_await(&filler, "\"type\":\"ack\"", &ack)) {
		bench_die("the last message is not acked");
	}
	buf_fini(&ack);
}

static void
set_up(void)
{
	char keep[64];
	uint64_t n = (uint64_t)conf.clients;

	bench_crowd_fits(n + 1);
	bench_loop_init(&loop);
	snprintf(channel, sizeof channel, "history-%d", (int)getpid());
	snprintf(keep, sizeof keep, ",\"args\":{\"history\":{\"size\":%d}}",
	    conf.messages);
	question_len = snprintf(question, sizeof question,
	    "{\"type\":\"command\",\"id\":\"h\",\"command\":\"history\","
	    "\"room\":\"bench\",\"channel\":\"%s\",\"limit\":%d}",
	    channel, conf.limit);
	bench_open(&filler, (uint16_t)bench_target.port, "/");
	command("create_channel", keep);
	fill_all();
	clients = bench_crowd_new(&loop, n, 1, NULL, false);
	asked_at = xnew(n * sizeof *asked_at);
	bench_loop_tell(&loop, "replies", &replies, &latency);
	for (uint64_t i = 0; i < n; i++) {
		ask(&clients[i]);
	}
}

/* Let every client have its last reply, and leave nothing behind. */
static void
drain(void)
{
	ending = true;
	bench_drain(&loop, &replies, asked);
	bench_settle(&loop, &at_end);
	command("delete_channel", ",\"force\":true");
}

static bool
is_good(void)
{
	return replies > 0 && replies == asked && failed == 0 && wrong == 0 &&
	    at_end.astray == 0 && at_end.silent == 0;
}

static void
report(void)
{
	const struct bench_usage *u = &span.usage;
	int each = conf.limit < conf.messages ? conf.limit : conf.messages;
	double took = (double)u->time / BENCH_SECOND;
	double per_second = (double)span.count / took;
	struct buf out = { 0 };

	printf("%d clients, the last %d of %d messages of %d bytes (%zu on the "
	       "wire), %.1f s\n",
	    conf.clients, each, conf.messages, conf.size, wire, took);
	printf("%.0f replies/s, %.0f messages/s; the server's CPU is %.0f ns a "
	       "reply\n",
	    per_second, per_second * each,
	    bench_each((double)u->server, span.count));
	bench_hist_title("latency");
	bench_closed_print(&latency, "reply");
	if (is_good()) {
		puts("every reply held what was asked for, in order");
	} else {
		printf("FAILED: %llu refused, %llu not right, %llu missing, "
		       "%llu astray; %llu connections silent\n",
		    (unsigned long long)failed, (unsigned long long)wrong,
		    (unsigned long long)(asked - replies),
		    (unsigned long long)at_end.astray,
		    (unsigned long long)at_end.silent);
	}

	buf_printf(&out,
	    "{\"test\":\"history\",\"clients\":%d,\"messages\":%d,\"size\":%d,"
	    "\"limit\":%d,\"wire\":%zu,\"seconds\":%.3f,\"replies\":%llu,"
	    "\"failed\":%llu,\"wrong\":%llu,\"missing\":%llu,"
	    "\"astray\":%llu,\"silent\":%llu,\"replies_per_second\":%.0f,\"messages_per_second\":%.0f,",
	    conf.clients, conf.messages, conf.size, conf.limit, wire, took,
	    (unsigned long long)replies, (unsigned long long)failed,
	    (unsigned long long)wrong, (unsigned long long)(asked - replies),
	    (unsigned long long)at_end.astray,
	    (unsigned long long)at_end.silent, per_second, per_second * each);
	bench_cost_json(u, span.count, &out);
	bench_closed_finish(&out, &latency, NULL);
}

int
history_main(int argc, char **argv)
{
	bench_begin(options, argc, argv);
	set_up();
	bench_measure(&loop, conf.warm, conf.seconds, &replies, &span);
	drain();
	report();
	return is_good() ? 0 : 1;
}

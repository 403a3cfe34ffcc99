/* SPDX-License-Identifier: Apache-2.0 */
#include "smoke.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "bench_conn.h"
#include "bench_dial.h"
#include "bench_page.h"
#include "bench_proc.h"

#define SECOND UINT64_C(1000000000)
#define PAUSE_NS UINT64_C(2000000) /* between two commands */

/* The built-in commands, in an order in which each can succeed. */
static const struct {
	const char *name;
	const char *args;
} calls[] = {
	{ "status", "" },
	{ "ping", "" },
	{ "create_channel", ",\"room\":\"side\",\"channel\":\"made\"" },
	{ "join_channel", ",\"room\":\"side\",\"channel\":\"made\"" },
	{ "leave_channel", ",\"room\":\"side\",\"channel\":\"made\"" },
	{ "delete_channel", ",\"room\":\"side\",\"channel\":\"made\"" },
	{ "list_channels", ",\"room\":\"smoke0\"" },
	{ "channel_info", ",\"room\":\"smoke0\",\"channel\":\"all\"" },
	{ "history", ",\"room\":\"smoke0\",\"channel\":\"all\"" },
	{ "identify", ",\"client_type\":\"service\"" },
	{ "help", "" },
};
#define CALLS (sizeof calls / sizeof calls[0])

struct smoke_commands {
	pthread_t thread;
	struct bench_hist latency[CALLS]; /* corrected at the end */
	uint64_t failed[CALLS];
	atomic_bool over;
};

struct smoke_pages {
	pthread_t thread;
	struct bench_hist latency;
	int answered;
	int failed;
};

static void
pause_until(uint64_t when)
{
	const struct timespec ts = { (time_t)(when / SECOND),
		(long)(when % SECOND) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	    EINTR) {
	}
}

/* Call one command and wait for its reply.  False when none comes. */
static bool
call(struct smoke_commands *s, struct bench_conn *c, size_t i, unsigned serial)
{
	struct buf text = { 0 }, reply = { 0 };
	char want[64];
	uint64_t begin = bench_now();
	bool came;

	buf_printf(&text,
	    "{\"type\":\"command\",\"id\":\"c%u\",\"command\":\"%s\"%s}",
	    serial, calls[i].name, calls[i].args);
	snprintf(want, sizeof want, "\"request_id\":\"c%u\"", serial);
	bench_put(c, text.data, text.len);
	came = bench_await(c, want, &reply);
	bench_hist_add(&s->latency[i], bench_now() - begin);
	if (strstr(buf_text(&reply), "\"status\":\"success\"") == NULL) {
		if (s->failed[i]++ == 0) {
			fprintf(stderr, "bench: %s: %.300s\n", calls[i].name,
			    came ? buf_text(&reply) : "no reply");
		}
	}
	buf_fini(&text);
	buf_fini(&reply);
	return came;
}

/* Every command in turn, as fast as a busy client would. */
static void *
call_commands(void *arg)
{
	struct smoke_side *side = arg;
	struct smoke_commands *s = side->commands;
	struct bench_conn c;
	unsigned serial = 0;
	bool alive = true;

	bench_open(&c, side->port, "/");
	while (alive && !atomic_load(&s->over)) {
		for (size_t i = 0; i < CALLS && alive; i++) {
			pause_until(bench_now() + PAUSE_NS);
			alive = call(s, &c, i, ++serial);
		}
	}
	bench_close(&c);
	return NULL;
}

static void *
get_pages(void *arg)
{
	static const char *const paths[] = { "/health", "/version",
		"/metrics" };
	struct smoke_side *side = arg;
	struct smoke_pages *s = side->pages;
	struct bench_page data = { .fd = -1, .port = side->port };
	struct bench_page watch = { .fd = -1, .port = side->telemetry_port };
	uint64_t begin = bench_now();

	for (int i = 0; i < side->requests; i++) {
		uint64_t due = begin +
		    (uint64_t)(side->seconds * (double)SECOND * i /
			side->requests);
		bool other = side->telemetry_port != 0 && i / 3 % 2 == 1;

		pause_until(due);
		if (bench_page_get(other ? &watch : &data, paths[i % 3])) {
			s->answered++;
			bench_hist_add(&s->latency, bench_now() - due);
		} else if (s->failed++ == 0) {
			fprintf(stderr, "bench: port %u did not give %s\n",
			    other ? watch.port : data.port, paths[i % 3]);
		}
	}
	bench_page_close(&data);
	bench_page_close(&watch);
	return NULL;
}

void
smoke_side_start(struct smoke_side *side)
{
	side->commands = xnew(sizeof *side->commands);
	side->pages = xnew(sizeof *side->pages);
	if (pthread_create(&side->commands->thread, NULL, call_commands,
		side) != 0 ||
	    pthread_create(&side->pages->thread, NULL, get_pages, side) != 0) {
		bench_die("no threads to be had");
	}
}

/* Each command is called again when all the others were, and waits for its
 * answer: what a stall kept it from is reckoned, as for a closed loop. */
static void
correct(struct smoke_commands *s)
{
	static struct bench_hist corrected;
	uint64_t turn = 0;

	for (size_t i = 0; i < CALLS; i++) {
		turn += PAUSE_NS + bench_hist_quantile(&s->latency[i], 0.5);
	}
	for (size_t i = 0; i < CALLS; i++) {
		bench_hist_correct(&s->latency[i], turn, &corrected);
		s->latency[i] = corrected;
	}
}

void
smoke_side_stop(struct smoke_side *side)
{
	pthread_join(side->pages->thread, NULL);
	atomic_store(&side->commands->over, true);
	pthread_join(side->commands->thread, NULL);
	correct(side->commands);
}

bool
smoke_side_good(const struct smoke_side *side)
{
	bool good = (int64_t)side->pages->failed * 1000 <= side->requests;

	for (size_t i = 0; i < CALLS; i++) {
		good = good && side->commands->failed[i] == 0 &&
		    side->commands->latency[i].count > 0;
	}
	return good;
}

void
smoke_side_print(const struct smoke_side *side)
{
	for (size_t i = 0; i < CALLS; i++) {
		bench_hist_print(&side->commands->latency[i], calls[i].name);
		if (side->commands->failed[i] > 0) {
			printf("FAILED: %s, %llu times\n", calls[i].name,
			    (unsigned long long)side->commands->failed[i]);
		}
	}
	bench_hist_print(&side->pages->latency, "pages");
	printf("pages: %d answered 200, %d not\n", side->pages->answered,
	    side->pages->failed);
}

void
smoke_side_json(const struct smoke_side *side, struct buf *b)
{
	buf_puts(b, "\"commands\":{");
	for (size_t i = 0; i < CALLS; i++) {
		buf_printf(b, "%s\"%s\":{\"failed\":%llu,\"latency_us\":",
		    i == 0 ? "" : ",", calls[i].name,
		    (unsigned long long)side->commands->failed[i]);
		bench_hist_json(&side->commands->latency[i], b);
		buf_putc(b, '}');
	}
	buf_printf(b,
	    "},\"pages\":{\"answered\":%d,\"failed\":%d,"
	    "\"latency_us\":",
	    side->pages->answered, side->pages->failed);
	bench_hist_json(&side->pages->latency, b);
	buf_putc(b, '}');
}

void
smoke_side_free(struct smoke_side *side)
{
	free(side->commands);
	free(side->pages);
	side->commands = NULL;
	side->pages = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench.h"

#define TICK_MIN 100000 /* nanoseconds */

void
bench_loop_init(struct bench_loop *loop)
{
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = -1;
	if (loop->epoll_fd < 0) {
		bench_die("epoll: %s", strerror(errno));
	}
	loop->begun = loop->told = loop->moved = loop->now = bench_now();
}

static void
control(struct bench_loop *loop, int op, struct bench_client *client,
    uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = client };

	if (epoll_ctl(loop->epoll_fd, op, client->conn.fd, &ev) != 0) {
		bench_die("epoll: %s", strerror(errno));
	}
}

void
bench_loop_add(struct bench_loop *loop, struct bench_client *client,
    uint32_t events)
{
	if (loop->count_clients == loop->room) {
		loop->room = 2 * loop->room + 64;
		loop->clients = realloc(loop->clients,
		    loop->room * sizeof(struct bench_client *));
		if (loop->clients == NULL) {
			bench_die("out of memory");
		}
	}
	loop->clients[loop->count_clients++] = client;
	control(loop, EPOLL_CTL_ADD, client, events);
}

void
bench_loop_change(struct bench_loop *loop, struct bench_client *client,
    uint32_t events)
{
	control(loop, EPOLL_CTL_MOD, client, events);
}

void
bench_loop_set_timer(struct bench_loop *loop, uint64_t rate)
{
	long ns = (long)(BENCH_SECOND / rate);
	struct itimerspec pace = { 0 };
	struct epoll_event ev = { .events = EPOLLIN };

	ns = ns < TICK_MIN ? TICK_MIN : ns;
	pace.it_interval.tv_sec = pace.it_value.tv_sec = ns / 1000000000;
	pace.it_interval.tv_nsec = pace.it_value.tv_nsec = ns % 1000000000;
	loop->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->timer_fd < 0 ||
	    timerfd_settime(loop->timer_fd, 0, &pace, NULL) != 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &ev) !=
		0) {
		bench_die("timer: %s", strerror(errno));
	}
}

/* What was added to a histogram since it was last told. */
static uint64_t
recent_p99(struct bench_loop *loop)
{
	static struct bench_hist recent;

	bench_hist_since(loop->latency, &loop->latency_told, &recent);
	loop->latency_told = *loop->latency;
	return bench_hist_quantile(&recent, 0.99);
}

void
bench_loop_tell(struct bench_loop *loop, const char *what,
    const uint64_t *count, const struct bench_hist *latency)
{
	if (!bench_target.progress && isatty(STDERR_FILENO) == 0) {
		return;
	}
	loop->what = what;
	loop->count = count;
	loop->count_told = *count;
	loop->latency = latency;
	loop->latency_told = *latency;
	loop->told = loop->now;
}

void
bench_loop_told(struct bench_loop *loop)
{
	double took = (double)(loop->now - loop->told) / BENCH_SECOND;

	if (took < 1 || loop->what == NULL) {
		return;
	}
	fprintf(stderr, "%4.0f s: %.0f %s/s, p99 %.3f ms\n",
	    (double)(loop->now - loop->begun) / BENCH_SECOND,
	    (double)(*loop->count - loop->count_told) / took, loop->what,
	    (double)recent_p99(loop) / 1e6);
	loop->count_told = *loop->count;
	loop->told = loop->now;
}

static void
read_client(struct bench_loop *loop, struct bench_client *client)
{
	loop->reads++;
	if (bench_read(&client->conn, loop->came, client)) {
		return;
	}
	if (loop->gone == NULL) {
		bench_dropped(&client->conn);
	}
	loop->gone(client);
}

void
bench_turn(struct bench_loop *loop, int timeout)
{
	struct epoll_event got[512];
	int n = epoll_wait(loop->epoll_fd, got, 512, timeout);

	loop->now = bench_now();
	for (int i = 0; i < n; i++) {
		uint64_t ticks;

		if (got[i].data.ptr == NULL) {
			(void)!read(loop->timer_fd, &ticks, sizeof ticks);
		} else {
			read_client(loop, got[i].data.ptr);
		}
		loop->now = bench_now();
	}
	bench_loop_told(loop);
}

void
bench_run(struct bench_loop *loop, double seconds)
{
	uint64_t until = bench_now() + (uint64_t)(seconds * BENCH_SECOND);

	while (loop->now < until && !bench_stalled(loop)) {
		bench_turn(loop, 10);
	}
}

void
bench_span_begin(struct bench_span *span, const struct bench_loop *loop,
    uint64_t count)
{
	span->count = count;
	span->reads = loop->reads;
	span->usage = bench_usage(bench_target.pid);
	span->from = loop->now;
}

void
bench_span_end(struct bench_span *span, const struct bench_loop *loop,
    uint64_t count)
{
	span->usage = bench_usage_since(bench_target.pid, &span->usage);
	span->count = count - span->count;
	span->reads = loop->reads - span->reads;
}

void
bench_measure(struct bench_loop *loop, double warm, double seconds,
    const uint64_t *count, struct bench_span *span)
{
	bench_run(loop, warm);
	bench_span_begin(span, loop, *count);
	bench_run(loop, seconds);
	bench_span_end(span, loop, *count);
}

void
bench_drain(struct bench_loop *loop, const uint64_t *count, uint64_t want)
{
	while (*count < want && !bench_stalled(loop)) {
		bench_turn(loop, 10);
	}
}

/* How many have not answered their ping. */
static uint64_t
unanswered(const struct bench_loop *loop)
{
	uint64_t n = 0;

	for (size_t i = 0; i < loop->count_clients; i++) {
		struct bench_conn *c = &loop->clients[i]->conn;

		if (c->fd >= 0 && c->awaits > 0) {
			/* One who is gone is noticed at the next read. */
			bench_flush(c);
			n++;
		}
	}
	return n;
}

void
bench_settle(struct bench_loop *loop, struct bench_score *score)
{
	uint64_t begin = bench_now(), left = 0, n;

	loop->moved = loop->now = begin;
	for (size_t i = 0; i < loop->count_clients; i++) {
		struct bench_conn *c = &loop->clients[i]->conn;

		if (c->fd >= 0) {
			c->awaits = 1;
			bench_ping(c);
		}
	}
	while (((n = unanswered(loop)) > 0 && !bench_stalled(loop)) ||
	    loop->now - begin < BENCH_LINGER) {
		if (n != left) {
			left = n;
			loop->moved = loop->now;
		}
		bench_turn(loop, 10);
	}
	score->silent += n;
	for (size_t i = 0; i < loop->count_clients; i++) {
		score->astray += loop->clients[i]->conn.astray;
	}
}

bool
bench_pace_next(struct bench_pace *pace, uint64_t *ip)
{
	uint64_t due, now;

	if (pace->next == pace->all) {
		return false;
	}
	due = bench_pace_due(pace, pace->next);
	now = bench_now();
	if (due > now) {
		return false;
	}
	bench_hist_add(&pace->lateness, now - due);
	*ip = pace->next++;
	return true;
}

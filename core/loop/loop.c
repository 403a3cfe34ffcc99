/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/count.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/timer.h"

#define LOOP_MAGIC 0x1d0a77c4u
#define TURN_ENDS 8
#define LATE_MS 500 /* so late nobody is who was not stopped */
#define ASK_MS 100  /* how old what is known of its work may be */

struct post {
	loop_post_f *fn;
	void *arg;
};

struct turn_end {
	loop_turn_end_f *fn;
	void *arg;
};

struct loop {
	uint32_t magic;
	bool stopping;
	bool busy; /* the last turn left work */
	struct event_base *base;
	struct wheel *wheel;
	uint64_t now;       /* 0: not asked for in this turn */
	uint64_t began;     /* `now`, of the clock itself */
	uint64_t lag_limit; /* ms; 0: none */
	atomic_uint_fast64_t lagged;

	/* Of the monotonic clock, ms: see loop_clock(). */
	uint64_t seen;
	uint64_t skipped;
	uint64_t worked; /* by the thread's processor, until `asked` */
	uint64_t asked;
	bool is_waiting; /* or was, and has not looked at the clock since */

	struct turn_end end[TURN_ENDS];
	size_t ends;
	loop_has_work_f *has_work;
	void *has_work_arg;
	atomic_bool waits; /* for an event: whoever has work writes wake_fd */

	/* Posts from any thread.  The eventfd is written once per batch. */
	pthread_mutex_t lock;
	struct post *post;
	size_t posts;
	size_t post_cap;
	struct post *running; /* the batch being run, kept for reuse */
	size_t running_cap;
	int wake_fd;
	struct event *wake;
	bool posted; /* by this thread, which need not be woken */
};

/* What this thread runs. */
static _Thread_local struct loop *mine;

static void
run_posts(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop;
	struct post *batch;
	size_t n, cap;

	(void)fd;
	(void)what;
	OBJ_CAST(loop, arg, LOOP_MAGIC);
	pthread_mutex_lock(&loop->lock);
	batch = loop->post;
	n = loop->posts;
	cap = loop->post_cap;
	loop->post = loop->running;
	loop->post_cap = loop->running_cap;
	loop->posts = 0;
	loop->running = batch;
	loop->running_cap = cap;
	pthread_mutex_unlock(&loop->lock);

	for (size_t i = 0; i < n; i++) {
		batch[i].fn(batch[i].arg);
	}
}

/* Watched edge-triggered, the eventfd need not be read: every write is an
 * event.  It would be full after 2^64 - 2 of them. */
static void
interrupt(struct loop *loop)
{
	const uint64_t one = 1;
	ssize_t n = write(loop->wake_fd, &one, sizeof one);

	assert(n == sizeof one);
}

void
loop_wake(struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	if (atomic_load(&loop->waits) && atomic_exchange(&loop->waits, false)) {
		interrupt(loop);
	}
}

bool
loop_post(struct loop *loop, loop_post_f *fn, void *arg)
{
	bool wake, ok;

	OBJ_CHECK(loop, LOOP_MAGIC);
	pthread_mutex_lock(&loop->lock);
	wake = loop->posts == 0;
	ok = try_grow(&loop->post, &loop->post_cap, loop->posts + 1,
	    sizeof *loop->post);
	if (ok) {
		loop->post[loop->posts++] = (struct post){ fn, arg };
	}
	pthread_mutex_unlock(&loop->lock);
	if (ok && mine == loop) {
		loop->posted = true;
	} else if (ok && wake) {
		interrupt(loop);
	}
	return ok;
}

struct loop *
loop_new(void)
{
	struct loop *loop = xnew(sizeof *loop);
	struct event_config *conf = event_config_new();

	assert(conf != NULL);
	loop->magic = LOOP_MAGIC;
	/* One loop, one thread: libevent needs no locks. */
	event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(conf);
	event_config_free(conf);
	assert(loop->base != NULL);

	loop->seen = clock_mono_ms();
	loop->asked = loop->seen;
	loop->worked = clock_cpu_ms();
	loop->wheel = wheel_new(loop);
	pthread_mutex_init(&loop->lock, NULL);
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert(loop->wake_fd >= 0);
	loop->wake = event_new(loop->base, loop->wake_fd,
	    EV_READ | EV_PERSIST | EV_ET, run_posts, loop);
	assert(loop->wake != NULL && event_add(loop->wake, NULL) == 0);
	return loop;
}

void
loop_free(struct loop **loopp)
{
	struct loop *loop;

	if (*loopp == NULL) {
		return;
	}
	OBJ_TAKE(loop, loopp, LOOP_MAGIC);
	mine = mine == loop ? NULL : mine;
	wheel_free(&loop->wheel);
	event_free(loop->wake);
	close(loop->wake_fd);
	event_base_free(loop->base);
	pthread_mutex_destroy(&loop->lock);
	free(loop->post);
	free(loop->running);
	loop->magic = 0;
	free(loop);
}

struct event_base *
loop_base(struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	return loop->base;
}

struct wheel *
loop_wheel(struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	return loop->wheel;
}

/* Of this time, how long has the loop not been at work?  In a turn that is
 * merely long time goes on: else no timer would run where all of them are. */
static uint64_t
idle_of(struct loop *loop, uint64_t passed)
{
	uint64_t now = clock_cpu_ms();
	uint64_t worked = now > loop->worked ? now - loop->worked : 0;

	loop->worked = now;
	return passed > worked ? passed - worked : 0;
}

/*
 * While it waits, the loop is to look at the clock when its alarm goes off;
 * while it does not, often.  If it comes late by far and has not worked, the
 * whole process was stopped, or the machine slept: what happened meanwhile is
 * still to be read, and whoever would be given up for silence has not been
 * silent.
 */
uint64_t
loop_clock(struct loop *loop)
{
	uint64_t real = clock_mono_ms();
	uint64_t due = loop->seen;

	OBJ_CHECK(loop, LOOP_MAGIC);
	if (loop->is_waiting) {
		loop->is_waiting = false;
		due = wheel_alarm(loop->wheel);
		due = due == UINT64_MAX ? real : due + loop->skipped;
	}
	if (real > due && real - due > LATE_MS) {
		loop->skipped += idle_of(loop, real - loop->seen);
	}
	loop->seen = real;
	return real - loop->skipped;
}

uint64_t
loop_now(struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	if (loop->now == 0) {
		loop->now = loop_clock(loop);
		loop->began = loop->seen;
	}
	return loop->now;
}

void
loop_at_turn_end(struct loop *loop, loop_turn_end_f *fn, void *arg)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	assert(loop->ends < TURN_ENDS);
	loop->end[loop->ends++] = (struct turn_end){ fn, arg };
}

void
loop_before_wait(struct loop *loop, loop_has_work_f *fn, void *arg)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	assert(loop->has_work == NULL);
	loop->has_work = fn;
	loop->has_work_arg = arg;
}

/* First say that it waits, then look: work that comes in between is either
 * seen here, or its bringer sees `waits`. */
static bool
may_wait(struct loop *loop)
{
	atomic_store(&loop->waits, true);
	return loop->has_work == NULL || !loop->has_work(loop->has_work_arg);
}

bool
loop_turn_events(struct loop *loop, bool wait)
{
	bool goes_on;

	OBJ_CHECK(loop, LOOP_MAGIC);
	loop_clock(loop);
	if (loop->seen - loop->asked >= ASK_MS) {
		/* Not each turn: it costs a system call. */
		loop->worked = clock_cpu_ms();
		loop->asked = loop->seen;
	}
	loop->is_waiting = true;
	loop->now = 0; /* the wait may be long */
	mine = loop;
	wait = wait && !loop->posted;
	goes_on = event_base_loop(loop->base,
		      EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK)) == 0;
	if (loop->posted) {
		loop->posted = false;
		run_posts(-1, 0, loop);
	}
	return goes_on;
}

void
loop_set_lag_limit(struct loop *loop, uint64_t limit)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	loop->lag_limit = limit;
}

uint64_t
loop_lagged(const struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	return count_get(&loop->lagged);
}

/* The turn is over.  One in which nobody asked what time it is did little. */
static void
note_lag(struct loop *loop)
{
	uint64_t took;

	if (loop->lag_limit == 0 || loop->now == 0) {
		return;
	}
	took = clock_mono_ms() - loop->began;
	if (took > loop->lag_limit) {
		count_add(&loop->lagged, took);
	}
}

void
loop_turn(struct loop *loop, bool wait)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	loop_turn_events(loop, wait && !loop->busy && may_wait(loop));
	atomic_store(&loop->waits, false);
	loop->busy = false;
	for (size_t i = 0; i < loop->ends; i++) {
		loop->busy |= loop->end[i].fn(loop->end[i].arg);
	}
	note_lag(loop);
}

void
loop_run(struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	loop->stopping = false;
	while (!loop->stopping) {
		loop_turn(loop, true);
	}
}

void
loop_stop(struct loop *loop)
{
	OBJ_CHECK(loop, LOOP_MAGIC);
	loop->stopping = true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/timer.h"

#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"

/*
 * A slot holds the timers whose tick is the slot's number modulo SLOTS: those
 * of this round and of later ones, told apart by `at`.  A bit per slot says
 * which hold any, so that the one libevent timer behind it all sleeps until
 * the next slot that matters.  4,096 slots of 8 ms are a round of 32 s, longer
 * than the usual ping interval: most slots hold one round only.
 */
#define WHEEL_MAGIC 0x6e2fb8a1u
#define TICK_MS 8u
#define SLOTS 4096u
#define WORD_BITS 64u

LIST_HEAD(slot, timer);

struct wheel {
	uint32_t magic;
	struct loop *loop;
	struct event *alarm;
	uint64_t alarm_tick; /* what the alarm is set to; UINT64_MAX: nothing */
	uint64_t tick;       /* every slot before this one has been run */
	struct slot slot[SLOTS];
	uint64_t used[SLOTS / WORD_BITS];
};

static void run_due(evutil_socket_t fd, short what, void *arg);

struct wheel *
wheel_new(struct loop *loop)
{
	struct wheel *w = xnew(sizeof *w);

	w->magic = WHEEL_MAGIC;
	w->loop = loop;
	w->alarm_tick = UINT64_MAX;
	w->tick = clock_mono_ms() / TICK_MS;
	w->alarm = evtimer_new(loop_base(loop), run_due, w);
	assert(w->alarm != NULL);
	return w;
}

void
wheel_free(struct wheel **wheelp)
{
	struct wheel *w;

	if (*wheelp == NULL) {
		return;
	}
	OBJ_TAKE(w, wheelp, WHEEL_MAGIC);
	event_free(w->alarm);
	w->magic = 0;
	free(w);
}

/* The first tick at or after `from` whose slot holds anything, looking one
 * round ahead; UINT64_MAX when the wheel is empty. */
static uint64_t
next_used(const struct wheel *w, uint64_t from)
{
	for (uint64_t ahead = 0; ahead < SLOTS + WORD_BITS;) {
		uint64_t s = (from + ahead) % SLOTS;
		uint64_t word = w->used[s / WORD_BITS] >> (s % WORD_BITS);

		if (word != 0) {
			return from + ahead + (uint64_t)__builtin_ctzll(word);
		}
		ahead += WORD_BITS - s % WORD_BITS;
	}
	return UINT64_MAX;
}

uint64_t
wheel_alarm(const struct wheel *w)
{
	return w->alarm_tick == UINT64_MAX ? UINT64_MAX
					   : w->alarm_tick * TICK_MS;
}

static void
set_alarm(struct wheel *w, uint64_t tick)
{
	uint64_t now = loop_clock(w->loop);
	uint64_t at = tick * TICK_MS;
	uint64_t delay = at > now ? at - now : 0;
	struct timeval tv = {
		.tv_sec = (time_t)(delay / 1000),
		.tv_usec = (suseconds_t)(delay % 1000 * 1000),
	};

	w->alarm_tick = tick;
	if (tick == UINT64_MAX) {
		evtimer_del(w->alarm);
		return;
	}
	evtimer_add(w->alarm, &tv);
}

/* Run what is due in one slot.  A timer may set or stop any other, so the
 * walk starts over after each call; what is not due goes to `later`. */
static void
run_slot(struct wheel *w, uint64_t tick, uint64_t now)
{
	struct slot *slot = &w->slot[tick % SLOTS];
	struct slot later = LIST_HEAD_INITIALIZER(later);
	struct timer *t;

	while ((t = LIST_FIRST(slot)) != NULL) {
		LIST_REMOVE(t, link);
		if (t->at > now) {
			LIST_INSERT_HEAD(&later, t, link);
			continue;
		}
		t->at = 0;
		t->fn(t->arg);
	}
	while ((t = LIST_FIRST(&later)) != NULL) {
		LIST_REMOVE(t, link);
		LIST_INSERT_HEAD(slot, t, link);
	}
	if (LIST_EMPTY(slot)) {
		w->used[tick % SLOTS / WORD_BITS] &=
		    ~((uint64_t)1 << tick % WORD_BITS);
	}
}

static void
run_due(evutil_socket_t fd, short what, void *arg)
{
	struct wheel *w;
	uint64_t now, last, tick;

	(void)fd;
	(void)what;
	OBJ_CAST(w, arg, WHEEL_MAGIC);
	now = loop_clock(w->loop);
	last = now / TICK_MS;
	if (last < w->tick) {
		/* libevent counts from a clock of its own, and was early. */
		set_alarm(w, next_used(w, w->tick));
		return;
	}
	w->alarm_tick = 0; /* what is set meanwhile need not move the alarm */
	if (last - w->tick >= SLOTS) {
		w->tick = last - SLOTS + 1; /* once round is every slot */
	}
	while ((tick = next_used(w, w->tick)) <= last) {
		w->tick = tick + 1;
		run_slot(w, tick, now);
	}
	w->tick = last + 1;
	set_alarm(w, next_used(w, w->tick));
}

void
timer_init(struct timer *t, timer_f *fn, void *arg)
{
	t->at = 0;
	t->fn = fn;
	t->arg = arg;
}

void
timer_set(struct loop *loop, struct timer *t, uint64_t delay)
{
	struct wheel *w = loop_wheel(loop);
	uint64_t now = loop_clock(loop);
	uint64_t tick;

	timer_stop(t);
	t->at = now + delay;
	tick = (t->at + TICK_MS - 1) / TICK_MS; /* never early */
	if (tick < w->tick) {
		tick = w->tick;
	}
	LIST_INSERT_HEAD(&w->slot[tick % SLOTS], t, link);
	w->used[tick % SLOTS / WORD_BITS] |= (uint64_t)1 << tick % WORD_BITS;
	if (tick < w->alarm_tick) {
		set_alarm(w, tick);
	}
}

void
timer_stop(struct timer *t)
{
	if (t->at == 0) {
		return;
	}
	/* Its slot's bit may stay set: the wheel then looks once in vain. */
	LIST_REMOVE(t, link);
	t->at = 0;
}

bool
timer_is_set(const struct timer *t)
{
	return t->at != 0;
}

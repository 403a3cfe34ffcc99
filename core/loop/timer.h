/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

/*
 * Timers in a hashed wheel (Varghese and Lauck, 1987): setting, moving and
 * stopping one is constant work, and a hundred thousand idle ones cost
 * nothing.  A timer is embedded in what it is for.  Resolution is a few
 * milliseconds; a timer is never early.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;
struct wheel;

typedef void timer_f(void *arg);

struct timer {
	LIST_ENTRY(timer) link;
	uint64_t at; /* of loop_clock(); 0 while not set */
	timer_f *fn;
	void *arg;
};

struct wheel *wheel_new(struct loop *loop);
void wheel_free(struct wheel **wheelp);

/* When the wheel is to turn next, of loop_clock(); UINT64_MAX: never. */
uint64_t wheel_alarm(const struct wheel *w);

/* Say what a timer does.  It is not set. */
void timer_init(struct timer *t, timer_f *fn, void *arg);

/* Call fn once, `delay` milliseconds from now, instead of whenever it was
 * set to before. */
void timer_set(struct loop *loop, struct timer *t, uint64_t delay);

/* Not set is fine. */
void timer_stop(struct timer *t);

bool timer_is_set(const struct timer *t);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

/*
 * One event loop, run in turns.  A turn waits for something to happen, runs
 * the callbacks of what happened, and then the turn-end functions in the
 * order in which they were added: that is where a turn's messages are routed
 * and a turn's writes go out together.
 */

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;
struct wheel;

struct loop *loop_new(void);
void loop_free(struct loop **loopp);

struct event_base *loop_base(struct loop *loop);

/* Where the loop's timers live; see timer.h. */
struct wheel *loop_wheel(struct loop *loop);

/* Milliseconds, read once a turn when first asked for: of the monotonic
 * clock, but for times in which the loop could not run. */
uint64_t loop_now(struct loop *loop);

/* The same, read anew. */
uint64_t loop_clock(struct loop *loop);

/* How long a turn may take, ms, and how many ms went by so far in turns that
 * took longer; 0: any time is right.  The second from any thread. */
void loop_set_lag_limit(struct loop *loop, uint64_t limit);
uint64_t loop_lagged(const struct loop *loop);

/* Run turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Run one turn; with `wait` it may wait for something to happen. */
void loop_turn(struct loop *loop, bool wait);

/* Handle events only, without what runs at the end of a turn.  False when there
 * is nothing to wait for. */
bool loop_turn_events(struct loop *loop, bool wait);

/* Run fn at the end of each turn.  It answers whether it left work that must
 * not wait for an event: then the next turn begins at once. */
typedef bool loop_turn_end_f(void *arg);
void loop_at_turn_end(struct loop *loop, loop_turn_end_f *fn, void *arg);

/* Before it waits, a loop asks fn whether there is work all the same: what
 * another thread has put somewhere without waking it, for instance. */
typedef bool loop_has_work_f(void *arg);
void loop_before_wait(struct loop *loop, loop_has_work_f *fn, void *arg);

/*
 * Have the loop run another turn, if it waits.  From any thread, after work
 * was put where fn of loop_before_wait() finds it: if that store, and the
 * load by fn, are sequentially consistent, no work is overlooked, and a loop
 * that is busy anyway costs no system call.
 */
void loop_wake(struct loop *loop);

/* Have the loop run fn, not now but soon: before it waits again.  From any
 * thread; what is posted first runs first.  False when there is no memory. */
typedef void loop_post_f(void *arg);
bool loop_post(struct loop *loop, loop_post_f *fn, void *arg);

#endif

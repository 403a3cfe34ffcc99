/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/timer.h"

static struct loop *loop;
static char order[64];
static size_t ran;

static void
setup(void)
{
	loop = loop_new();
	ran = 0;
}

static void
teardown(void)
{
	loop_free(&loop);
	ck_assert_ptr_null(loop);
}

static void
note(void *arg)
{
	order[ran++] = *(const char *)arg;
	order[ran] = '\0';
}

/* Turn until this many callbacks ran; the test's own deadline ends it else. */
static void
turn_until(size_t n)
{
	while (ran < n) {
		loop_turn(loop, true);
	}
}

START_TEST(timers_run_in_the_order_of_their_deadlines)
{
	struct timer a, b, c;

	timer_init(&a, note, (char[]){ "a" });
	timer_init(&b, note, (char[]){ "b" });
	timer_init(&c, note, (char[]){ "c" });
	timer_set(loop, &c, 90);
	timer_set(loop, &a, 10);
	timer_set(loop, &b, 50);
	turn_until(3);
	ck_assert_str_eq(order, "abc");
	ck_assert(!timer_is_set(&a));
}
END_TEST

START_TEST(a_timer_is_never_early)
{
	struct timer t;

	timer_init(&t, note, (char[]){ "t" });
	for (uint64_t delay = 0; delay < 40; delay += 3) {
		uint64_t begin = clock_mono_ms();

		ran = 0;
		timer_set(loop, &t, delay);
		turn_until(1);
		ck_assert_uint_ge(clock_mono_ms() - begin, delay);
	}
}
END_TEST

START_TEST(a_stopped_timer_does_not_run)
{
	struct timer a, b;

	timer_init(&a, note, (char[]){ "a" });
	timer_init(&b, note, (char[]){ "b" });
	timer_set(loop, &a, 5);
	timer_set(loop, &b, 40);
	timer_stop(&a);
	timer_stop(&a);
	turn_until(1);
	ck_assert_str_eq(order, "b");
}
END_TEST

static struct timer again;

static void
set_again(void *arg)
{
	ran++;
	timer_set(loop, &again, *(const uint64_t *)arg);
}

START_TEST(a_timer_may_set_itself_again)
{
	uint64_t every = (uint64_t)_i;

	timer_init(&again, set_again, &every);
	timer_set(loop, &again, every);
	turn_until(20);
	timer_stop(&again);
}
END_TEST

static struct timer victim;

static void
stop_victim(void *arg)
{
	(void)arg;
	ran++;
	timer_stop(&victim);
}

START_TEST(a_timer_may_stop_another_that_is_due_with_it)
{
	struct timer killer, last;

	timer_init(&victim, note, (char[]){ "v" });
	timer_init(&killer, stop_victim, NULL);
	timer_init(&last, note, (char[]){ "l" });
	timer_set(loop, &victim, 20);
	timer_set(loop, &killer, 12);
	timer_set(loop, &last, 60);
	turn_until(2);
	ck_assert(!timer_is_set(&victim));
}
END_TEST

/* Rounds of the wheel are 32 s: those far ahead share slots with those that
 * are near. */
START_TEST(a_timer_of_a_later_round_does_not_run_with_its_slot)
{
	struct timer far, near;

	timer_init(&far, note, (char[]){ "f" });
	timer_init(&near, note, (char[]){ "n" });
	timer_set(loop, &far, 4096 * 8 + 40);
	timer_set(loop, &near, 100);
	turn_until(1);
	ck_assert_str_eq(order, "n");
	ck_assert(timer_is_set(&far));
	timer_stop(&far);
}
END_TEST

START_TEST(many_timers_all_run)
{
	struct timer *t = calloc(5000, sizeof *t);

	for (size_t i = 0; i < 5000; i++) {
		timer_init(&t[i], stop_victim, NULL);
		timer_set(loop, &t[i], i % 200);
	}
	timer_init(&victim, note, (char[]){ "v" });
	turn_until(5000);
	free(t);
}
END_TEST

static void *
post_from_outside(void *arg)
{
	char *text = arg;

	for (int i = 0; i < 5; i++) {
		ck_assert(loop_post(loop, note, text + i));
	}
	return NULL;
}

START_TEST(posts_of_another_thread_run_in_order)
{
	pthread_t thread;

	pthread_create(&thread, NULL, post_from_outside, (char[]){ "12345" });
	turn_until(5);
	pthread_join(thread, NULL);
	ck_assert_str_eq(order, "12345");
}
END_TEST

static bool
count_down(void *arg)
{
	int *left = arg;

	ran++;
	return --*left > 0;
}

START_TEST(a_turn_end_that_left_work_makes_the_next_turn_begin_at_once)
{
	int left = 3;

	loop_at_turn_end(loop, count_down, &left);
	loop_turn(loop, false);
	loop_turn(loop, true);
	loop_turn(loop, true);
	ck_assert_int_eq(left, 0);
}
END_TEST

START_TEST(the_time_of_a_turn_stands_still_until_the_next)
{
	uint64_t first, now;
	struct timer t;

	loop_turn(loop, false);
	first = loop_now(loop);
	ck_assert_uint_le(clock_mono_ms() - first, 1000);
	timer_init(&t, note, (char[]){ "t" });
	timer_set(loop, &t, 20);
	ck_assert_uint_eq(loop_now(loop), first);
	turn_until(1);
	now = loop_now(loop);
	ck_assert_uint_ge(now, first + 20);
}
END_TEST

/* As if the process had been stopped for so long. */
static void
stand_still(void *arg)
{
	nanosleep(arg, NULL);
}

/* O5 */
START_TEST(the_time_in_which_all_stood_still_does_not_count)
{
	struct timespec work = { .tv_nsec = 100 * 1000000L };
	struct timespec stop = { .tv_nsec = 900 * 1000000L };
	struct timer t;
	uint64_t before;

	timer_init(&t, note, (char[]){ "t" });
	loop_turn(loop, false);
	before = loop_clock(loop);
	timer_set(loop, &t, 300);
	loop_post(loop, stand_still, &work);
	loop_turn(loop, false);
	ck_assert_uint_ge(loop_clock(loop), before + 100);
	loop_post(loop, stand_still, &stop);
	loop_turn(loop, false);
	loop_turn(loop, false);
	ck_assert_uint_lt(loop_clock(loop), before + 900);
	ck_assert_uint_eq(ran, 0);
	turn_until(1);
	ck_assert_uint_ge(loop_clock(loop), before + 300);
}
END_TEST

static uint64_t
worked_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool
work_for_long(void *arg)
{
	uint64_t until = worked_ms() + 800;

	(void)arg;
	loop_now(loop);
	while (worked_ms() < until) {
	}
	return false;
}

/* S9: else no timer would run any more where every turn is long. */
START_TEST(the_time_of_a_long_turn_does_count)
{
	uint64_t before = loop_clock(loop);

	loop_at_turn_end(loop, work_for_long, NULL);
	for (int i = 0; i < 2; i++) {
		loop_turn(loop, false);
	}
	ck_assert_uint_ge(loop_clock(loop), before + 1500);
}
END_TEST

START_TEST(a_mailbox_gives_back_what_was_put_in_order)
{
	struct mailbox *box = mailbox_new(sizeof(int));

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10000; i++) {
			*(int *)mailbox_add(box) = i;
		}
		ck_assert_uint_eq(mailbox_count(box), 10000);
		for (int i = 0; i < 10000; i++) {
			ck_assert_int_eq(*(int *)mailbox_take(box), i);
		}
		ck_assert_ptr_null(mailbox_take(box));
	}
	mailbox_free(&box);
	ck_assert_ptr_null(box);
}
END_TEST

#define MANY 300000
#define BATCH 7

struct sender {
	struct mailbox *box;
	struct loop *to;
};

/* Puts in the numbers from 0 on, in batches. */
static void *
send_numbers(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < MANY; i++) {
		*(int *)mailbox_add(s->box) = i;
		if (i % BATCH == 0 && mailbox_post(s->box)) {
			loop_wake(s->to);
		}
	}
	if (mailbox_post(s->box)) {
		loop_wake(s->to);
	}
	return NULL;
}

static int came;

static bool
take_numbers(void *box)
{
	const int *p;

	while ((p = mailbox_take(box)) != NULL) {
		ck_assert_int_eq(*p, came++);
	}
	if (came == MANY) {
		loop_stop(loop);
	}
	return false;
}

static bool
has_numbers(void *box)
{
	return !mailbox_is_empty(box);
}

/* The loop sleeps whenever it has caught up: a wake-up that went astray would
 * leave it asleep until the test times out. */
START_TEST(a_mailbox_between_threads_loses_nothing_and_always_wakes)
{
	struct mailbox *box = mailbox_new(sizeof(int));
	struct sender sender = { box, loop };
	pthread_t thread;

	came = 0;
	mailbox_share(box);
	loop_at_turn_end(loop, take_numbers, box);
	loop_before_wait(loop, has_numbers, box);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_numbers, &sender),
	    0);
	loop_run(loop);
	pthread_join(thread, NULL);
	ck_assert_int_eq(came, MANY);
	ck_assert_ptr_null(mailbox_take(box));
	mailbox_free(&box);
}
END_TEST

START_TEST(what_is_not_posted_is_not_seen_by_the_other_thread)
{
	struct mailbox *box = mailbox_new(sizeof(int));

	mailbox_share(box);
	*(int *)mailbox_add(box) = 1;
	ck_assert(mailbox_is_empty(box));
	ck_assert_ptr_null(mailbox_take(box));
	ck_assert(mailbox_post(box));
	ck_assert(!mailbox_post(box));
	ck_assert_int_eq(*(int *)mailbox_take(box), 1);
	ck_assert(mailbox_is_empty(box));
	mailbox_free(&box);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = tcase_create("loop");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, timers_run_in_the_order_of_their_deadlines);
	tcase_add_test(tc, a_timer_is_never_early);
	tcase_add_test(tc, a_stopped_timer_does_not_run);
	tcase_add_loop_test(tc, a_timer_may_set_itself_again, 0, 12);
	tcase_add_test(tc, a_timer_may_stop_another_that_is_due_with_it);
	tcase_add_test(tc, a_timer_of_a_later_round_does_not_run_with_its_slot);
	tcase_add_test(tc, many_timers_all_run);
	tcase_add_test(tc, posts_of_another_thread_run_in_order);
	tcase_add_test(tc,
	    a_turn_end_that_left_work_makes_the_next_turn_begin_at_once);
	tcase_add_test(tc, the_time_of_a_turn_stands_still_until_the_next);
	tcase_add_test(tc, the_time_in_which_all_stood_still_does_not_count);
	tcase_add_test(tc, the_time_of_a_long_turn_does_count);
	tcase_add_test(tc, a_mailbox_gives_back_what_was_put_in_order);
	tcase_add_test(tc,
	    a_mailbox_between_threads_loses_nothing_and_always_wakes);
	tcase_add_test(tc, what_is_not_posted_is_not_seen_by_the_other_thread);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

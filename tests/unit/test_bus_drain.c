/* SPDX-License-Identifier: Apache-2.0 */

/* How a broker sends its clients away: O3. */

#include "group_fake.h"

#include "bus/drain.h"

#define CROWD 100

static const struct drain_plan usual = {
	.time = 30000,
	.rate = 500,
	.wait = 5000,
	.close_timeout = 1000,
};
static unsigned done;

static void
setup(void)
{
	bus_setup();
	done = 0;
}

static void
on_done(void *arg)
{
	ck_assert_ptr_eq(arg, &done);
	done++;
}

static void
drain(const struct drain_plan *plan)
{
	drain_begin(bus, plan, on_done, &done);
}

/* It is told to go; how long it is to stay away. */
static uint64_t
hears_draining(struct peer *peer)
{
	return number_in(hears(peer, "'type':'system'", "'event':'draining'"),
	    "reconnect_after_ms");
}

static void
is_sent_away(struct peer *peer)
{
	ck_assert(peer->is_closed);
	ck_assert_uint_eq(peer->close_code, 1012);
	ck_assert_str_eq(peer->close_reason, "the broker stops");
}

START_TEST(a_bus_without_clients_is_done_at_once)
{
	drain(&usual);
	ck_assert_uint_eq(done, 0); /* but not in the call */
	time_passes(50);
	ck_assert_uint_eq(done, 1);
	time_passes(60000);
	ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(clients_go_at_the_pace_that_is_set)
{
	struct peer *peer[CROWD];
	size_t closed = 0;

	for (size_t i = 0; i < CROWD; i++) {
		peer[i] = come("");
	}
	drain(&usual);
	time_passes(100);
	for (size_t i = 0; i < CROWD; i++) {
		closed += peer[i]->is_closed ? 1 : 0;
	}
	ck_assert_uint_ge(closed, CROWD / 2 - 15);
	ck_assert_uint_le(closed, CROWD / 2 + 1);
	ck_assert(peer[0]->is_closed); /* who came first */
	ck_assert_uint_eq(done, 0);
	time_passes(150);
	for (size_t i = 0; i < CROWD; i++) {
		uint64_t away = hears_draining(peer[i]);

		is_sent_away(peer[i]);
		ck_assert_uint_ge(away, 200);
		ck_assert_uint_lt(away, 400);
	}
	ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(many_go_faster_than_that_so_that_it_ends_in_time)
{
	struct drain_plan plan = usual;
	struct peer *peer[CROWD];

	for (size_t i = 0; i < CROWD; i++) {
		peer[i] = come("");
	}
	plan.rate = 1;
	plan.time = 1000;
	drain(&plan);
	time_passes(500);
	ck_assert(!peer[CROWD - 1]->is_closed);
	ck_assert(peer[CROWD / 4]->is_closed);
	time_passes(550);
	is_sent_away(peer[CROWD - 1]);
	ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(with_no_time_at_all_everybody_goes_now)
{
	struct drain_plan plan = usual;
	struct peer *ada = come(""), *bob = come("");

	plan.time = 0;
	drain(&plan);
	time_passes(50);
	is_sent_away(ada);
	is_sent_away(bob);
	ck_assert_uint_ge(hears_draining(bob), 100);
}
END_TEST

START_TEST(who_comes_in_the_last_moment_goes_with_the_others)
{
	struct peer *late;

	come("");
	drain(&usual);
	late = come("");
	time_passes(100);
	is_sent_away(late);
	ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(what_was_sent_before_is_acked_before_the_close)
{
	struct peer *ada = come("");

	backend.mode = BACKEND_LATER;
	say(ada,
	    "{'type':'event','id':'m1','channel':'d','ack':true,"
	    "'payload':1}");
	drain(&usual);
	time_passes(1000);
	hears_draining(ada);
	ck_assert(!ada->is_closed);
	say(ada, "{'type':'event','id':'m2','channel':'d','payload':2}");
	hears(ada, "'type':'error'", "'request_id':'m2'", "'DRAINING'");
	say(ada, "{'type':'command','id':'c1','command':'status'}");
	hears(ada, "'type':'error'", "'request_id':'c1'", "'DRAINING'");
	say(ada, "{'type':'ping','id':'p1'}");
	hears(ada, "'type':'pong'");
	ck_assert_uint_eq(backend.appends, 1);
	backend_answers(0, AQB_OK);
	hears(ada, "'type':'ack'", "'request_id':'m1'");
	time_passes(100);
	is_sent_away(ada);
	ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(what_is_not_stored_in_time_is_unknown)
{
	struct peer *ada = come("");

	backend.mode = BACKEND_LATER;
	say(ada,
	    "{'type':'event','id':'m1','channel':'d','ack':true,"
	    "'payload':1}");
	drain(&usual);
	time_passes(4900);
	hears_draining(ada);
	hears_nothing(ada);
	time_passes(250);
	hears(ada, "'type':'error'", "'request_id':'m1'",
	    "'STORAGE_UNAVAILABLE'", "'stored':'unknown'");
	hears_nothing(ada);
	is_sent_away(ada);
	ck_assert_uint_eq(done, 1);
	backend_answers(0, AQB_OK); /* which nobody hears any more */
}
END_TEST

START_TEST(who_works_may_ack_and_is_given_nothing_more)
{
	struct peer *ada = come(""), *bob = come("");
	struct drain_plan plan = usual;
	char text[1024];

	plan.rate = 1;
	work(ada, true);
	publish_to(bob, "d", 1, 2);
	drain(&plan);
	time_passes(100);
	snprintf(text, sizeof text, "%s", hears_work(ada, 1, 1));
	acks(ada, text);
	gives_back(ada, hears_work(ada, 2, 1)); /* nobody else is there */
	hears_draining(ada);
	ck_assert(!ada->is_closed);
	publish_to(bob, "d", 3, 3);
	time_passes(100);
	hears_nothing(ada);
	is_sent_away(ada);
	ck_assert_uint_eq(group_now().waiting, 2);
	time_passes(2000);
	ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(who_does_not_ack_is_not_waited_for_for_ever)
{
	struct peer *ada = come(""), *bob = come("");

	work(ada, true);
	publish_to(bob, "d", 1, 1);
	drain(&usual);
	time_passes(4900);
	hears_work(ada, 1, 1);
	hears_draining(ada);
	ck_assert(!ada->is_closed);
	time_passes(250);
	is_sent_away(ada);
	ck_assert_uint_eq(done, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus drain");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, a_bus_without_clients_is_done_at_once);
	tcase_add_test(t, clients_go_at_the_pace_that_is_set);
	tcase_add_test(t, many_go_faster_than_that_so_that_it_ends_in_time);
	tcase_add_test(t, with_no_time_at_all_everybody_goes_now);
	tcase_add_test(t, who_comes_in_the_last_moment_goes_with_the_others);
	tcase_add_test(t, what_was_sent_before_is_acked_before_the_close);
	tcase_add_test(t, what_is_not_stored_in_time_is_unknown);
	tcase_add_test(t, who_works_may_ack_and_is_given_nothing_more);
	tcase_add_test(t, who_does_not_ack_is_not_waited_for_for_ever);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

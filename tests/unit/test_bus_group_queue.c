/* SPDX-License-Identifier: Apache-2.0 */

/* Groups: what waits, how much of it, and for how long. */

#include "group_fake.h"

static struct peer *ada, *bob, *cy;

/* Small outboxes: some twenty messages fill one. */
static void
setup(void)
{
	bus_setup();
	settings.outbox_limit = 16384;
	settings.group_backlog = 10;
	settings.history_size = 1000;
	settings.max_violations = 0;
	backend.keeps = 1000;
	bus_remake();
	backend.keeps = 1000;
	ada = come(""); /* who publishes */
	bob = come("");
	cy = come("");
}

static void
teardown(void)
{
	telemetry_remove_sink(&sink, NULL);
	bus_teardown();
}

/* It hears from this message of c:d on, in order, some or all up to `to`; the
 * last one. */
static int
hears_from(struct peer *peer, int from, int to)
{
	int i = from - 1;

	while (i < to && heard(peer) > 0) {
		hears_work(peer, ++i, 1);
	}
	hears_nothing(peer);
	return i;
}

START_TEST(who_has_no_room_is_passed_over)
{
	size_t n;

	work(bob, false);
	work(cy, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 200);
	n = skip(bob);
	ck_assert_uint_gt(n, 10);
	ck_assert_uint_lt(n, 40);
	ck_assert_uint_eq(skip(cy), 200 - n);
	ck_assert_uint_eq(group_now().waiting, 0);
	has_room(bob);
	publish_to(ada, "d", 201, 220);
	ck_assert_uint_eq(skip(bob), 10);
	ck_assert_uint_eq(skip(cy), 10);
}
END_TEST

START_TEST(what_nobody_has_room_for_waits_and_goes_out_in_order)
{
	int last;

	settings.group_backlog = 1000;
	bus_remake();
	ada = come("");
	bob = come("");
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 100);
	last = hears_from(bob, 1, 100);
	ck_assert_int_lt(last, 50);
	ck_assert_uint_eq(group_now().waiting, 100 - (uint64_t)last);
	time_passes(100000);
	hears_nothing(bob);
	has_room(bob);
	ck_assert_int_eq(hears_from(bob, last + 1, 100), 100);
	ck_assert_uint_eq(group_now().waiting, 0);
	ck_assert_uint_eq(bus_group_messages(bus), 0);
}
END_TEST

START_TEST(what_is_over_the_backlog_is_read_from_the_history)
{
	int last;

	backend.page = 7;
	work(bob, _i == 1);
	bob->is_full = true;
	publish_to(ada, "d", 1, 200);
	last = hears_from(bob, 1, 200);
	ck_assert_uint_eq(group_now().waiting, 200 - (uint64_t)last);
	ck_assert_uint_le(bus_group_messages(bus), 10 + 40);
	has_room(bob);
	ck_assert_int_eq(hears_from(bob, last + 1, 200), 200);
	ck_assert_uint_eq(group_now().waiting, 0);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
	publish_to(ada, "d", 201, 201);
	hears_work(bob, 201, 1);
}
END_TEST

START_TEST(what_comes_while_it_is_read_comes_after_it)
{
	int last;

	backend.reads_wait = true;
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 60);
	last = hears_from(bob, 1, 60);
	has_room(bob);
	hears_nothing(bob);
	publish_to(ada, "d", 61, 90);
	hears_nothing(bob);
	backend.reads_wait = false;
	backend_reads();
	ck_assert_int_eq(hears_from(bob, last + 1, 90), 90);
}
END_TEST

START_TEST(what_the_history_has_no_more_is_lost_and_told)
{
	int last;
	const char *text;

	watch("group_messages_lost");
	backend.keeps = 50;
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 200);
	last = hears_from(bob, 1, 200);
	ck_assert_uint_eq(told_count, 0);
	has_room(bob);
	ck_assert_int_eq(hears_from(bob, 151, 200), 200);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"),
	    150 - (uint64_t)last);
	ck_assert_uint_eq(told_count, 1);
	text = told;
	ck_assert_uint_eq(number_in(text, "from_seq"), (uint64_t)last + 1);
	ck_assert_uint_eq(number_in(text, "to_seq"), 150);
	ck_assert_uint_eq(number_in(text, "messages"), 150 - (uint64_t)last);
	ck_assert_ptr_nonnull(strstr(text, "\"reason\":\"history\""));
	ck_assert_ptr_nonnull(strstr(text, "\"group\":\"g\""));
	ck_assert_uint_eq(group_now().waiting, 0);
}
END_TEST

START_TEST(a_history_that_keeps_nothing_loses_all_but_the_backlog)
{
	int last;

	backend.keeps = 0;
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 200);
	last = hears_from(bob, 1, 200);
	has_room(bob);
	ck_assert_int_eq(hears_from(bob, 191, 200), 200);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"),
	    190 - (uint64_t)last);
}
END_TEST

START_TEST(a_read_that_fails_is_tried_again)
{
	int last;

	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 100);
	last = hears_from(bob, 1, 100);
	backend.reads_fail = true;
	backend.error = AQB_EUNAVAIL;
	has_room(bob);
	time_passes(5000);
	hears_nothing(bob);
	backend.reads_fail = false;
	time_passes(1100);
	ck_assert_int_eq(hears_from(bob, last + 1, 100), 100);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
}
END_TEST

START_TEST(another_past_is_lost_but_not_what_is_in_memory)
{
	int last;

	watch("group_messages_lost");
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 100);
	last = hears_from(bob, 1, 100);
	backend_loses_all();
	publish_to(ada, "d", 101, 105);
	has_room(bob);
	ck_assert_int_eq(hears_from(bob, 96, 105), 105);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"),
	    95 - (uint64_t)last);
	ck_assert_ptr_nonnull(strstr(told, "\"reason\":\"epoch\""));
}
END_TEST

START_TEST(another_past_while_it_is_read_is_lost_once)
{
	int last;

	backend.reads_wait = true;
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 100);
	last = hears_from(bob, 1, 100);
	has_room(bob); /* reads */
	publish_to(ada, "d", 101, 120);
	backend.reads_wait = false;
	backend_loses_all();
	publish_to(ada, "d", 121, 150);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"),
	    120 - (uint64_t)last);
	backend_reads();
	ck_assert_int_eq(hears_from(bob, 121, 150), 150);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"),
	    120 - (uint64_t)last);
}
END_TEST

START_TEST(who_goes_while_it_is_read_leaves_nothing)
{
	backend.reads_wait = true;
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 60);
	has_room(bob);
	if (_i == 0) {
		go(bob);
		time_passes(61000);
	} else {
		bus_api(bus)->channel_delete(NULL, ada->id, "c", "d", true,
		    NULL);
	}
	ck_assert(!group_now().is_there);
	ck_assert_uint_eq(bus_group_messages(bus), 0);
	backend.reads_wait = false;
	backend_reads();
}
END_TEST

START_TEST(what_came_back_waits_in_memory_whatever_the_backlog)
{
	const char *text;

	settings.outbox_limit = 1048576;
	bus_remake();
	ada = come("");
	bob = come("");
	cy = come("");
	work(bob, true);
	publish_to(ada, "d", 1, 100);
	ck_assert_uint_eq(skip(bob), 100);
	go(bob);
	ck_assert_uint_eq(group_now().waiting, 100);
	publish_to(ada, "d", 101, 130);
	work(cy, true);
	for (int i = 1; i <= 100; i++) {
		text = hears_work(cy, i, 2);
		acks(cy, text);
	}
	ck_assert_int_eq(hears_from(cy, 101, 130), 130);
}
END_TEST

START_TEST(too_many_of_its_own_are_lost_and_told)
{
	watch("group_messages_lost");
	work(bob, false);
	publish_to(bob, "d", 1, 10);
	ck_assert_uint_eq(told_count, 0);
	publish_to(bob, "d", 11, 12);
	ck_assert_uint_eq(told_count, 1);
	ck_assert_ptr_nonnull(strstr(told, "\"reason\":\"no_other_member\""));
	ck_assert_uint_eq(number_in(told, "messages"), 2);
	work(cy, false);
	ck_assert_int_eq(hears_from(cy, 3, 12), 12);
}
END_TEST

START_TEST(who_comes_back_in_time_finds_its_work)
{
	const char *text;

	settings.channel_idle = 1000;
	settings.group_backlog = 10000;
	bus_remake();
	ada = come("");
	bob = come("");
	cy = come("");
	work(bob, true);
	publish_to(ada, "d", 1, 1);
	go(bob);
	publish_to(ada, "d", 2, 2);
	time_passes(59000);
	ck_assert_uint_eq(group_now().members, 0);
	ck_assert_uint_eq(group_now().waiting, 2);
	publish_to(ada, "d", 3, 3);
	work(cy, true);
	text = hears_work(cy, 1, 2);
	acks(cy, text);
	ck_assert_int_eq(hears_from(cy, 2, 3), 3);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
	time_passes(1200); /* that group would be over by now */
	publish_to(ada, "d", 4, 4);
	hears_work(cy, 4, 1);
}
END_TEST

START_TEST(a_group_that_nobody_comes_back_to_ends)
{
	watch("group_messages_lost");
	work(bob, true);
	publish_to(ada, "d", 1, 3);
	go(bob);
	publish_to(ada, "d", 4, 20);
	time_passes(59900);
	ck_assert_uint_eq(told_count, 0);
	ck_assert(group_now().is_there);
	time_passes(300);
	ck_assert(!group_now().is_there);
	ck_assert_uint_eq(told_count, 1);
	ck_assert_uint_eq(number_in(told, "messages"), 20);
	ck_assert_ptr_nonnull(strstr(told, "\"reason\":\"linger\""));
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 20);
	ck_assert_uint_eq(bus_group_messages(bus), 0);
	time_passes(130000);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(a_channel_stays_for_its_groups)
{
	settings.channel_idle = 100;
	bus_remake();
	ada = come("");
	bob = come("");
	work(bob, true);
	go(bob);
	time_passes(50000);
	ck_assert(is_there("c", "d"));
	time_passes(12000);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(a_deleted_channel_takes_its_groups_along)
{
	watch("group_messages_lost");
	work(bob, true);
	work(cy, true);
	publish_to(ada, "d", 1, 4);
	leave(cy, "c", "d");
	go(bob);
	ck_assert_int_eq(bus_api(bus)->channel_delete(NULL, ada->id, "c", "d",
			     false, NULL),
	    AQB_CODE_OK);
	ck_assert_uint_eq(bus_group_messages(bus), 0);
	ck_assert_uint_eq(told_count, 1);
	ck_assert_ptr_nonnull(strstr(told, "\"reason\":\"deleted\""));
	time_passes(130000);
}
END_TEST

/* The broker stops while work waits and is under way: no walk from member to
 * member as they go one by one, and nobody is declared dead. */
START_TEST(the_end_is_no_failure_of_anybody)
{
	settings.group_max_deliveries = 1;
	bus_remake();
	watch("group_message_dead");
	ada = come("");
	for (int i = 0; i < 20; i++) {
		work(come(""), true);
	}
	publish_to(ada, "d", 1, 60);
	bus_remake();
	ck_assert_uint_eq(told_count, 0);
}
END_TEST

START_TEST(one_word_of_room_is_for_all_that_wait_for_it)
{
	struct aqb_join how = { .size = sizeof how, .room = "c" };
	char payload[4096];

	backend.page = 10;
	memset(payload, 'x', sizeof payload - 1);
	payload[sizeof payload - 1] = '\0';
	for (int i = 0; i < 160; i++) {
		say(ada, "{'type':'event','channel':'c:%c','payload':'%s'}",
		    i % 2 == 0 ? 'e' : 'f', payload);
	}
	work(bob, false);
	bob->is_full = true;
	publish_to(ada, "d", 1, 50);
	how.has_since = true;
	strcpy(how.since.epoch, "none");
	how.channel = "e";
	join_as(bob, &how);
	how.channel = "f";
	join_as(bob, &how);
	ck_assert_uint_lt(skip(bob), 50 + 160);
	has_room(bob);
	for (int i = 0; i < 20; i++) {
		skip(bob);
		time_passes(25);
	}
	say(ada, "{'type':'event','channel':'c:e','payload':1}");
	say(ada, "{'type':'event','channel':'c:f','payload':2}");
	publish_to(ada, "d", 51, 51);
	hears(bob, "'payload':1}");
	hears(bob, "'payload':2}");
	hears(bob, "'payload':51}");
}
END_TEST

/* ---- everything at once ---- */

#define WORKERS 6
#define MESSAGES 3000

struct worker {
	struct peer *peer;
	bool works, manual;
};

static struct worker worker[WORKERS];
static unsigned done[MESSAGES], heard_of[MESSAGES], dead[MESSAGES];
static uint64_t lots;

static unsigned
lot(unsigned n)
{
	lots = lots * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(lots >> 33) % n;
}

/* An ack that came too late: it was not this one who did it. */
static void
take_refusal(const char *text)
{
	unsigned seq;
	const char *at = strstr(text, "\"request_id\":\"");

	ck_assert_ptr_nonnull(strstr(text, "INVALID_ARGUMENT"));
	if (sscanf(at, "\"request_id\":\"a%u", &seq) == 1) {
		ck_assert_uint_gt(done[seq - 1]--, 0);
	}
}

/* Do something with what it heard: ack, give back, or forget it. */
static void
do_some_work(struct worker *w)
{
	char text[1024];

	while (heard(w->peer) > 0) {
		uint64_t i;

		snprintf(text, sizeof text, "%s", hears(w->peer, "'payload'"));
		if (strstr(text, "\"type\":\"error\"") != NULL) {
			take_refusal(text);
			continue;
		}
		i = number_in(text, "payload");
		heard_of[i]++;
		if (!w->manual) {
			done[i]++;
		} else if (lot(10) == 0) {
			gives_back(w->peer, text);
		} else if (lot(10) > 0) {
			done[i]++;
			acks(w->peer, text);
		}
	}
}

static void
change(struct worker *w, bool manual)
{
	switch (lot(4)) {
	case 0:
		if (w->works) {
			do_some_work(w);
			leave(w->peer, "c", "d");
			w->works = false;
		}
		break;
	case 1:
		w->peer->is_full = true;
		break;
	case 2:
		has_room(w->peer);
		break;
	default:
		if (!w->works) {
			work(w->peer, manual);
			w->works = true;
			w->manual = manual;
		}
		break;
	}
}

/* With acks every message is done, or is with the dead, which are counted;
 * and what is done twice was not acked in time or given back.  Without, each
 * is done once. */
START_TEST(every_message_is_accounted_for)
{
	bool manual = _i % 2 == 0;
	uint64_t again, n = 0;
	struct peer *undertaker = come("");

	lots = (uint64_t)_i + 1;
	settings.group_max_deliveries = 3;
	settings.group_max_pending = 20;
	bus_remake();
	backend.keeps = 1000;
	ada = come("");
	undertaker = come("");
	join(undertaker, "c", "d.dead");
	memset(done, 0, sizeof done);
	memset(heard_of, 0, sizeof heard_of);
	memset(dead, 0, sizeof dead);
	for (int i = 0; i < WORKERS; i++) {
		worker[i] = (struct worker){ .peer = come("") };
	}
	work(worker[0].peer, manual);
	worker[0] = (struct worker){ worker[0].peer, true, manual };
	for (int i = 0; i < MESSAGES; i++) {
		struct worker *w = &worker[lot(WORKERS)];

		publish_to(ada, "d", i, i);
		if (lot(20) == 0) {
			change(w, manual);
		}
		if (lot(4) == 0) {
			do_some_work(w);
		}
		if (lot(300) == 0) {
			time_passes(31000);
		}
	}
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < WORKERS; i++) {
			if (round == 0 && !worker[i].works) {
				work(worker[i].peer, manual);
				worker[i].works = true;
				worker[i].manual = manual;
			}
			has_room(worker[i].peer);
			do_some_work(&worker[i]);
		}
		time_passes(31000);
	}
	while (heard(undertaker) > 0) {
		dead[number_in(hears(undertaker, "d.dead"), "payload")]++;
	}
	for (int i = 0; i < MESSAGES; i++) {
		ck_assert_msg(done[i] + dead[i] >= 1, "%d is lost", i);
		ck_assert_msg(dead[i] <= 1, "%d died twice", i);
		ck_assert_msg(manual || heard_of[i] == 1, "%d is doubled", i);
		ck_assert_uint_le(heard_of[i], 3);
		n += heard_of[i];
	}
	again = metric_now("arqonbus_group_redelivered_total");
	ck_assert_uint_eq(n, MESSAGES + again);
	ck_assert(manual == (again > 0));
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
	ck_assert_uint_eq(group_now().waiting + group_now().unacked, 0);
	ck_assert_uint_eq(bus_group_messages(bus), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-group-queue");
	TCase *t = tcase_create("queue");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, who_has_no_room_is_passed_over);
	tcase_add_test(t, what_nobody_has_room_for_waits_and_goes_out_in_order);
	tcase_add_loop_test(t,
	    what_is_over_the_backlog_is_read_from_the_history, 0, 2);
	tcase_add_test(t, what_comes_while_it_is_read_comes_after_it);
	tcase_add_test(t, what_the_history_has_no_more_is_lost_and_told);
	tcase_add_test(t,
	    a_history_that_keeps_nothing_loses_all_but_the_backlog);
	tcase_add_test(t, a_read_that_fails_is_tried_again);
	tcase_add_test(t, another_past_is_lost_but_not_what_is_in_memory);
	tcase_add_test(t, another_past_while_it_is_read_is_lost_once);
	tcase_add_loop_test(t, who_goes_while_it_is_read_leaves_nothing, 0, 2);
	tcase_add_test(t, what_came_back_waits_in_memory_whatever_the_backlog);
	tcase_add_test(t, too_many_of_its_own_are_lost_and_told);
	tcase_add_test(t, who_comes_back_in_time_finds_its_work);
	tcase_add_test(t, a_group_that_nobody_comes_back_to_ends);
	tcase_add_test(t, a_channel_stays_for_its_groups);
	tcase_add_test(t, a_deleted_channel_takes_its_groups_along);
	tcase_add_test(t, the_end_is_no_failure_of_anybody);
	tcase_add_test(t, one_word_of_room_is_for_all_that_wait_for_it);
	tcase_add_loop_test(t, every_message_is_accounted_for, 0, 8);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

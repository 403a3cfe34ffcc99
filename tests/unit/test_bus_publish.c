/* SPDX-License-Identifier: Apache-2.0 */

/* From a publish to its ack, however the storage behaves:
 * arqonbus-protocol(7), "ACKS, DUPLICATES, RECOVERY". */

#include <stdio.h>

#include "bus_fake.h"

#define PUBLISH "{'type':'event','channel':'c:d','id':'%s','ack':true}"

static struct peer *ada, *bob;

static void
setup(void)
{
	bus_setup();
	ada = come("");
	bob = come("");
	join(bob, "c", "d");
}

START_TEST(an_ack_says_where_it_is_and_how_safe)
{
	const char *ack;

	say(ada, PUBLISH, "m1");
	ack = hears(ada, "'type':'ack'", "'request_id':'m1'", "'id':'m1'",
	    "'epoch':'e", "'stored':'memory'");
	ck_assert_uint_eq(number_in(ack, "seq"), 1);
}
END_TEST

START_TEST(an_id_of_ours_is_told_in_the_ack)
{
	say(ada, "{'type':'event','channel':'c:d','ack':true}");
	hears(ada, "'request_id':null", "'id':'arq_");
}
END_TEST

START_TEST(nothing_is_delivered_before_it_is_stored)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	hears_nothing(ada);
	hears_nothing(bob);
	backend_answers(0, AQB_OK);
	hears(bob, "'id':'m1'", "'seq':1");
	hears(ada, "'type':'ack'", "'stored':'redis'");
}
END_TEST

START_TEST(what_is_early_is_delivered_before_its_ack)
{
	backend.mode = BACKEND_EARLY;
	say(ada, PUBLISH, "m1");
	hears(bob, "'id':'m1'", "'seq':1");
	hears_nothing(ada);
	backend_answers(0, AQB_OK);
	hears(ada, "'type':'ack'");
	hears_nothing(bob);
}
END_TEST

START_TEST(what_may_go_before_it_is_stored_goes_in_its_turn)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	say(ada, PUBLISH, "m2");
	backend.mode = BACKEND_EARLY;
	say(ada, PUBLISH, "m3");
	hears_nothing(bob); /* the two before it first */
	backend_lets_go(0);
	hears(bob, "'id':'m1'");
	backend_lets_go(1);
	hears(bob, "'id':'m2'");
	hears(bob, "'id':'m3'");
	hears_nothing(ada);
	backend_answers(1, AQB_OK);
	hears(ada, "'type':'ack'", "'id':'m2'");
	backend_answers(0, AQB_OK);
	hears(ada, "'type':'ack'", "'id':'m1'");
	backend_answers(0, AQB_EUNAVAIL);
	hears(ada, "'code':'STORAGE_UNAVAILABLE'", "'stored':false");
	hears_nothing(bob);
}
END_TEST

START_TEST(what_the_storage_has_already_is_acked_and_not_delivered)
{
	say(ada, PUBLISH, "m1");
	hears(ada, "'type':'ack'");
	hears(bob, "'id':'m1'");
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m2");
	backend_has(0, 1);
	hears(ada, "'type':'ack'", "'seq':1,");
	hears_nothing(bob);
}
END_TEST

START_TEST(a_hole_in_the_positions_is_told_as_a_gap)
{
	say(ada, PUBLISH, "m1");
	hears(bob, "'id':'m1'", "'seq':1,");
	backend_skips("c:d", 2);
	say(ada, PUBLISH, "m2");
	hears(bob, "'type':'gap'", "'from_seq':2,", "'to_seq':3,",
	    "'reason':'storage'");
	hears(bob, "'id':'m2'", "'seq':4,");
}
END_TEST

START_TEST(a_new_epoch_is_no_hole)
{
	say(ada, PUBLISH, "m1");
	hears(bob, "'id':'m1'");
	backend_loses_all();
	backend_skips("c:d", 7);
	say(ada, PUBLISH, "m2");
	hears(bob, "'id':'m2'", "'seq':8,");
}
END_TEST

START_TEST(what_nobody_knows_of_may_be_a_hole_in_any_epoch)
{
	say(ada, PUBLISH, "m1");
	hears(ada, "'type':'ack'");
	hears(bob, "'id':'m1'", "'seq':1,");
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m2");
	backend_answers(0, AQB_EUNCERTAIN);
	hears(ada, "'code':'STORAGE_UNAVAILABLE'", "'stored':'unknown'");
	backend.mode = BACKEND_NOW;
	backend_loses_all();
	backend_skips("c:d", 2); /* it has stored m2 after all */
	say(ada, PUBLISH, "m3");
	hears(bob, "'type':'gap'", "'from_seq':2,", "'to_seq':2,",
	    "'reason':'storage'");
	hears(bob, "'id':'m3'", "'seq':3,");
	backend_loses_all();
	backend_skips("c:d", 7);
	say(ada, PUBLISH, "m4");
	hears(bob, "'id':'m4'", "'seq':8,"); /* there is no doubt any more */
}
END_TEST

START_TEST(answers_in_any_order_are_delivered_in_theirs)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	say(ada, PUBLISH, "m2");
	say(ada, PUBLISH, "m3");
	backend_answers(1, AQB_OK);
	backend_answers(1, AQB_OK);
	hears_nothing(bob);
	backend_answers(0, AQB_OK);
	hears(bob, "'id':'m1'");
	hears(bob, "'id':'m2'");
	hears(bob, "'id':'m3'");
	hears(ada, "'id':'m1'");
	hears(ada, "'id':'m2'");
	hears(ada, "'id':'m3'");
}
END_TEST

START_TEST(a_refused_one_holds_up_nobody)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	say(ada, PUBLISH, "m2");
	backend_answers(1, AQB_OK);
	backend_answers(0, AQB_EUNAVAIL);
	hears(bob, "'id':'m2'");
	hears_nothing(bob);
	hears(ada, "'type':'error'", "'request_id':'m1'", "'stored':false");
	hears(ada, "'type':'ack'", "'id':'m2'");
}
END_TEST

START_TEST(every_refusal_says_whether_it_may_be_stored)
{
	static const struct {
		enum aqb_err err;
		const char *says;
	} table[] = {
		{ AQB_EUNAVAIL, "'stored':false" },
		{ AQB_EFULL, "'stored':false" },
		{ AQB_EUNCERTAIN, "'stored':'unknown'" },
		{ AQB_ENOMEM, "'code':'INTERNAL'" },
	};

	backend.mode = BACKEND_REFUSES;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		backend.error = table[i].err;
		say(ada, "{'type':'event','channel':'c:d','id':'m%zu'}", i);
		hears(ada, "'type':'error'", table[i].says);
	}
	hears_nothing(bob);
}
END_TEST

START_TEST(no_answer_in_time_is_unknown)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	time_passes(6000);
	hears(ada, "STORAGE_UNAVAILABLE", "'stored':'unknown'");
	hears_nothing(bob);
}
END_TEST

START_TEST(a_repeated_id_is_delivered_once_and_acked_alike)
{
	const char *ack;

	say(ada, PUBLISH, "m1");
	say(ada, PUBLISH, "m2");
	say(ada, PUBLISH, "m1");
	ck_assert_uint_eq(skip(bob), 2);
	hears(ada, "'id':'m1'");
	hears(ada, "'id':'m2'");
	ack = hears(ada, "'type':'ack'", "'id':'m1'");
	ck_assert_uint_eq(number_in(ack, "seq"), 1);
	ck_assert_uint_eq(backend.appends, 2);
}
END_TEST

START_TEST(ids_are_of_one_client_and_channel)
{
	say(ada, PUBLISH, "m1");
	say(bob, PUBLISH, "m1");
	say(ada, "{'type':'event','channel':'c:e','id':'m1'}");
	ck_assert_uint_eq(backend.appends, 3);
}
END_TEST

START_TEST(a_repeat_while_the_first_is_pending_gets_its_outcome)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	say(ada, PUBLISH, "m1");
	ck_assert_uint_eq(backend.appends, 1);
	hears_nothing(ada);
	backend_answers(0, AQB_OK);
	hears(ada, "'type':'ack'", "'seq':1");
	hears(ada, "'type':'ack'", "'seq':1");
	hears_nothing(ada);
	ck_assert_uint_eq(skip(bob), 1);
}
END_TEST

START_TEST(a_repeat_of_what_is_refused_later_is_refused_too)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	say(ada, "{'type':'event','channel':'c:d','id':'m1'}");
	backend_answers(0, AQB_EUNAVAIL);
	hears(ada, "'type':'error'", "'request_id':'m1'", "'stored':false");
	hears(ada, "'type':'error'", "'request_id':'m1'", "'stored':false");
	hears_nothing(ada);
	hears_nothing(bob);
}
END_TEST

START_TEST(who_comes_back_and_repeats_gets_the_outcome_of_the_first)
{
	char query[160];

	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	snprintf(query, sizeof query, "session=%s", ada->session);
	go(ada);
	ada = come(query);
	say(ada, PUBLISH, "m1");
	ck_assert_uint_eq(backend.appends, 1);
	backend_answers(0, AQB_OK);
	hears(ada, "'type':'ack'", "'request_id':'m1'", "'seq':1");
	hears_nothing(ada);
	ck_assert_uint_eq(skip(bob), 1);
}
END_TEST

START_TEST(a_refused_id_may_be_used_again)
{
	backend.mode = BACKEND_REFUSES;
	backend.error = AQB_EUNAVAIL;
	say(ada, PUBLISH, "m1");
	hears(ada, "'stored':false");
	backend.mode = BACKEND_NOW;
	say(ada, PUBLISH, "m1");
	hears(ada, "'type':'ack'", "'seq':1");
	ck_assert_uint_eq(skip(bob), 1);
}
END_TEST

START_TEST(an_id_is_forgotten_after_the_window)
{
	settings.dedupe_window = 2000;
	bus_remake();
	ada = come("");
	say(ada, PUBLISH, "m1");
	time_passes(1500);
	say(ada, PUBLISH, "m1");
	ck_assert_uint_eq(backend.appends, 1);
	time_passes(1000);
	say(ada, PUBLISH, "m1");
	ck_assert_uint_eq(backend.appends, 2);
}
END_TEST

START_TEST(the_oldest_id_is_forgotten_when_there_are_too_many)
{
	settings.dedupe_size = 4;
	bus_remake();
	ada = come("");
	for (int i = 0; i < 5; i++) {
		say(ada, "{'type':'event','channel':'c:d','id':'m%d'}", i);
	}
	say(ada, "{'type':'event','channel':'c:d','id':'m4'}");
	ck_assert_uint_eq(backend.appends, 5);
	say(ada, "{'type':'event','channel':'c:d','id':'m0'}");
	ck_assert_uint_eq(backend.appends, 6);
}
END_TEST

START_TEST(a_repeated_private_message_is_sent_once)
{
	for (int i = 0; i < 2; i++) {
		say(ada, "{'type':'private','to':'%s','id':'p','ack':true}",
		    bob->id);
		hears(ada, "'type':'ack'", "'delivered':1");
	}
	ck_assert_uint_eq(skip(bob), 1);
}
END_TEST

START_TEST(a_sender_that_goes_meanwhile_leaves_its_message)
{
	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	go(ada);
	backend_answers(0, AQB_OK);
	hears(bob, "'id':'m1'");
}
END_TEST

START_TEST(a_channel_that_goes_meanwhile_drops_it)
{
	struct aqb_why why;

	backend.mode = BACKEND_LATER;
	say(ada, PUBLISH, "m1");
	ck_assert_int_eq(bus_api(bus)->channel_delete(NULL, bob->id, "c", "d",
			     true, &why),
	    AQB_CODE_OK);
	time_passes(1);
	hears(bob, "'event':'channel_deleted'");
	backend_answers(0, AQB_OK);
	hears(ada, "'type':'ack'");
	hears_nothing(bob);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(s1_what_a_slow_one_lost_is_told_as_a_gap)
{
	loses(bob, "gone", 3, 5); /* whether the channel is there or not */
	hears(bob, "'type':'gap'", "'room':'room','channel':'gone'",
	    "'payload':{'from_seq':3,'to_seq':5,'epoch':'e1',"
	    "'reason':'slow_consumer'}");
	hears_nothing(bob);
	hears_nothing(ada);
}
END_TEST

START_TEST(who_goes_is_told_no_more_of_what_it_lost)
{
	say(bob, "{'type':'event','channel':'c:d'}");
	loses_and_goes(bob, "gone", 3, 5);
	ck_assert(bob->is_closed);
	hears_nothing(bob);
}
END_TEST

#define MEMORY 1000000u /* so much that a reply on its way does not matter */

/* In use are so many thousandths of it. */
static void
memory_is(uint64_t thousandths)
{
	backend.bytes = MEMORY / 1000 * thousandths;
	time_passes(1); /* a turn, in which it is noticed */
}

START_TEST(s8_memory_pauses_publishers_then_refuses_then_lets_them_go_on)
{
	settings.memory_limit = MEMORY;
	bus_remake();
	ada = come("");
	bob = come("");
	memory_is(840);
	say(ada, PUBLISH, "m0");
	hears(ada, "'type':'ack'");
	ck_assert(!ada->is_paused);
	memory_is(850);
	say(ada, PUBLISH, "m1");
	hears(ada, "'type':'ack'");
	ck_assert(ada->is_paused);
	ck_assert(!bob->is_paused);
	ck_assert_ptr_null(bus_refusal(bus));
	memory_is(900);
	ck_assert_ptr_nonnull(bus_refusal(bus));
	say(bob, PUBLISH, "m2");
	hears(bob, "'type':'error'", "OVERLOADED", "'retry_after_ms':1000");
	ck_assert(bob->is_paused);
	memory_is(800); /* not yet */
	ck_assert(ada->is_paused);
	ck_assert_ptr_nonnull(bus_refusal(bus));
	memory_is(790);
	ck_assert(!ada->is_paused);
	ck_assert(!bob->is_paused);
	ck_assert_ptr_null(bus_refusal(bus));
	say(bob, PUBLISH, "m2");
	hears(bob, "'type':'ack'");
}
END_TEST

START_TEST(s8_over_the_limit_consumers_are_cut_until_a_tenth_is_free)
{
	settings.memory_limit = MEMORY;
	bus_remake();
	cut_bytes = 0;
	memory_is(990);
	ck_assert_uint_eq(cut_bytes, 0);
	memory_is(1000); /* none of which waits for anybody */
	ck_assert_uint_eq(cut_bytes, 0);
	outboxes_hold(400000);
	memory_is(650);
	ck_assert_uint_eq(cut_bytes, 150000);
	memory_is(660); /* give it time */
	ck_assert_uint_eq(cut_bytes, 150000);
	time_passes(100);
	ck_assert_uint_eq(cut_bytes, 150000 + 160000);
	outboxes_hold(0);
	memory_is(500);
	ck_assert(!bus_is_short_of_memory(bus));
}
END_TEST

static void
say_often(struct peer *peer, int n)
{
	for (int i = 0; i < n; i++) {
		say(peer, "{'type':'event','channel':'c:d'}");
	}
}

START_TEST(s9_long_turns_refuse_connections_then_pause_the_busiest)
{
	say_often(ada, 50);
	bus_note_load(bus, 500, 249);
	bus_note_load(bus, 500, 250);
	ck_assert_ptr_null(bus_refusal(bus)); /* once is nothing */
	bus_note_load(bus, 500, 500);
	ck_assert_ptr_nonnull(bus_refusal(bus));
	ck_assert(bus_is_busy(bus));
	bus_note_load(bus, 500, 500);
	say_often(ada, 2);
	say_often(bob, 5);
	bus_note_load(bus, 500, 500);
	time_passes(1);
	ck_assert(bob->is_paused);
	ck_assert(!ada->is_paused);
	say_often(ada, 2);
	bus_note_load(bus, 500, 100); /* not yet */
	time_passes(1);
	ck_assert(ada->is_paused && bob->is_paused);
	bus_note_load(bus, 500, 0);
	time_passes(1);
	ck_assert(!ada->is_paused && !bob->is_paused);
	ck_assert_ptr_null(bus_refusal(bus));
	skip(bob);
}
END_TEST

START_TEST(s9_who_is_paused_for_memory_stays_so_when_turns_are_short_again)
{
	settings.memory_limit = MEMORY;
	bus_remake();
	ada = come("");
	memory_is(850);
	say_often(ada, 1);
	for (int i = 0; i < 4; i++) {
		bus_note_load(bus, 500, 500);
	}
	bus_note_load(bus, 500, 0);
	time_passes(1);
	ck_assert(ada->is_paused);
	memory_is(0);
	ck_assert(!ada->is_paused);
}
END_TEST

static void
backlog_is(uint32_t hundredths)
{
	backend.backlog = hundredths;
	time_passes(1);
}

START_TEST(a_storage_that_is_behind_pauses_who_gives_it_more)
{
	backlog_is(49);
	say(ada, PUBLISH, "m1");
	hears(ada, "'type':'ack'");
	ck_assert(!ada->is_paused);
	backlog_is(50);
	ck_assert(!ada->is_paused); /* it says nothing */
	say(ada, PUBLISH, "m2");
	hears(ada, "'type':'ack'");
	ck_assert(ada->is_paused);
	ck_assert(!bob->is_paused);
	backlog_is(25); /* not yet */
	ck_assert(ada->is_paused);
	backlog_is(24);
	ck_assert(!ada->is_paused);
	say(ada, PUBLISH, "m3");
	ck_assert(!ada->is_paused);
	skip(ada);
	skip(bob);
}
END_TEST

START_TEST(what_is_not_stored_is_not_paused_for_the_storage)
{
	settings.history_size = 0;
	bus_remake();
	ada = come("");
	backlog_is(99);
	say(ada, PUBLISH, "m1");
	hears(ada, "'type':'ack'");
	ck_assert(!ada->is_paused);
}
END_TEST

START_TEST(who_is_paused_may_still_go)
{
	settings.memory_limit = 1000;
	bus_remake();
	ada = come("");
	backend.bytes = 950;
	say(ada, "{'type':'ping'}");
	say(ada, PUBLISH, "m1");
	ck_assert(ada->is_paused);
	go(ada);
	backend.bytes = 0;
	ck_assert_ptr_nonnull(come(""));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-publish");
	TCase *t = tcase_create("publish");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, an_ack_says_where_it_is_and_how_safe);
	tcase_add_test(t, an_id_of_ours_is_told_in_the_ack);
	tcase_add_test(t, nothing_is_delivered_before_it_is_stored);
	tcase_add_test(t, what_is_early_is_delivered_before_its_ack);
	tcase_add_test(t, what_may_go_before_it_is_stored_goes_in_its_turn);
	tcase_add_test(t,
	    what_the_storage_has_already_is_acked_and_not_delivered);
	tcase_add_test(t, a_hole_in_the_positions_is_told_as_a_gap);
	tcase_add_test(t, a_new_epoch_is_no_hole);
	tcase_add_test(t, what_nobody_knows_of_may_be_a_hole_in_any_epoch);
	tcase_add_test(t, answers_in_any_order_are_delivered_in_theirs);
	tcase_add_test(t, a_refused_one_holds_up_nobody);
	tcase_add_test(t, every_refusal_says_whether_it_may_be_stored);
	tcase_add_test(t, no_answer_in_time_is_unknown);
	tcase_add_test(t, a_repeated_id_is_delivered_once_and_acked_alike);
	tcase_add_test(t, ids_are_of_one_client_and_channel);
	tcase_add_test(t, a_repeat_while_the_first_is_pending_gets_its_outcome);
	tcase_add_test(t, a_repeat_of_what_is_refused_later_is_refused_too);
	tcase_add_test(t,
	    who_comes_back_and_repeats_gets_the_outcome_of_the_first);
	tcase_add_test(t, a_refused_id_may_be_used_again);
	tcase_add_test(t, an_id_is_forgotten_after_the_window);
	tcase_add_test(t, the_oldest_id_is_forgotten_when_there_are_too_many);
	tcase_add_test(t, a_repeated_private_message_is_sent_once);
	tcase_add_test(t, a_sender_that_goes_meanwhile_leaves_its_message);
	tcase_add_test(t, a_channel_that_goes_meanwhile_drops_it);
	tcase_add_test(t, s1_what_a_slow_one_lost_is_told_as_a_gap);
	tcase_add_test(t, who_goes_is_told_no_more_of_what_it_lost);
	tcase_add_test(t,
	    s8_memory_pauses_publishers_then_refuses_then_lets_them_go_on);
	tcase_add_test(t,
	    s8_over_the_limit_consumers_are_cut_until_a_tenth_is_free);
	tcase_add_test(t,
	    s9_long_turns_refuse_connections_then_pause_the_busiest);
	tcase_add_test(t,
	    s9_who_is_paused_for_memory_stays_so_when_turns_are_short_again);
	tcase_add_test(t, a_storage_that_is_behind_pauses_who_gives_it_more);
	tcase_add_test(t, what_is_not_stored_is_not_paused_for_the_storage);
	tcase_add_test(t, who_is_paused_may_still_go);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

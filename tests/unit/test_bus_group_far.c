/* SPDX-License-Identifier: Apache-2.0 */

/* Members of a group on other brokers than the one that gives out its work. */

#include "group_far_fake.h"

START_TEST(each_message_goes_to_one_member_on_any_node)
{
	unsigned nodes = _i < 2 ? 2 : 3;

	make(nodes);
	works(bob, _i % 2 == 0);
	works(cy, _i % 2 == 0);
	works(dee, _i % 2 == 0);
	for (int i = 1; i <= 9; i += 3) {
		publish_to(ada, "d", i, i + 2);
		hears_work(bob, i, 1);
		hears_work(cy, i + 1, 1);
		hears_work(dee, i + 2, 1);
	}
	all_know();
	hears_nothing(bob);
	hears_nothing(cy);
	hears_nothing(dee);
	ck_assert_str_eq(leader(), "test");
	for (size_t i = 0; i < nodes; i++) {
		ck_assert_uint_eq(group_at(i).members, 3);
	}
	ck_assert_uint_eq(group_now().unacked, _i % 2 == 0 ? 9 : 0);
	ck_assert_uint_eq(metric_now("arqonbus_group_delivered_total"), 9);
}
END_TEST

START_TEST(ordinary_members_hear_everything_wherever_they_are)
{
	works(bob, false);
	works(cy, false);
	join(dee, "c", "d");
	publish_to(ada, "d", 1, 4);
	for (int i = 1; i <= 4; i++) {
		hears_work(dee, i, 1);
	}
	ck_assert_uint_eq(skip(bob), 2);
	ck_assert_uint_eq(skip(cy), 2);
}
END_TEST

START_TEST(what_a_far_member_acks_is_done)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	publish_to(ada, "d", 1, 2);
	acks(bob, hears_work(bob, 1, 1));
	snprintf(text, sizeof text, "%s", hears_work(cy, 2, 1));
	ck_assert_uint_eq(group_now().unacked, 1);
	acks(cy, text);
	ck_assert_uint_eq(group_now().unacked, 0);
	acks(cy, text);
	hears(cy, "'code':'INVALID_ARGUMENT'", "seq: no message 2 of c:d");
	time_passes(100000);
	hears_nothing(bob);
	hears_nothing(cy);
	ck_assert_uint_eq(metric_now("arqonbus_group_acked_total"), 2);
	ck_assert_uint_eq(number_in(record_of_node("test", DONE), "seq"), 2);
}
END_TEST

START_TEST(what_a_far_member_gives_back_goes_to_another)
{
	works(cy, true);
	works(bob, true);
	works(dee, true);
	publish_to(ada, "d", 1, 1);
	gives_back(cy, hears_work(cy, 1, 1));
	gives_back(bob, hears_work(bob, 1, 2));
	acks(dee, hears_work(dee, 1, 3));
	hears_nothing(cy);
	hears_nothing(bob);
	ck_assert_uint_eq(metric_now("arqonbus_group_refused_total"), 2);
	ck_assert_uint_eq(group_at(1).unacked, 0);
}
END_TEST

START_TEST(what_a_far_member_does_not_ack_in_time_goes_to_another)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	publish_to(ada, "d", 1, 2);
	acks(bob, hears_work(bob, 1, 1));
	snprintf(text, sizeof text, "%s", hears_work(cy, 2, 1));
	time_passes(30200);
	acks(bob, hears_work(bob, 2, 2));
	acks(cy, text);
	hears(cy, "'code':'INVALID_ARGUMENT'");
	ck_assert_uint_eq(metric_now("arqonbus_group_expired_total"), 1);
}
END_TEST

START_TEST(who_is_alone_and_far_gets_it_again)
{
	works(bob, true);
	works(cy, true);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 1);
	hears_work(cy, 1, 1);
	time_passes(30200);
	gives_back(cy, hears_work(cy, 1, 2));
	acks(cy, hears_work(cy, 1, 3));
	hears_nothing(cy);
}
END_TEST

START_TEST(what_a_far_member_had_goes_to_others_when_it_goes)
{
	works(bob, true);
	works(cy, true);
	works(dee, true);
	publish_to(ada, "d", 1, 6);
	acks(bob, hears_work(bob, 1, 1));
	acks(dee, hears_work(dee, 3, 1));
	skip(bob);
	skip(dee);
	if (_i == 0) {
		go(cy);
	} else {
		leave(cy, "c", "d");
	}
	all_know();
	hears_work(bob, 2, 2);
	hears_work(dee, 5, 2);
	hears_nothing(bob);
	hears_nothing(dee);
	ck_assert_uint_eq(group_now().members, 2);
}
END_TEST

START_TEST(without_acks_what_did_not_arrive_is_given_to_another)
{
	works(bob, false);
	works(cy, false);
	cluster_fake.holds = true; /* messages, too: they come together */
	publish_to(ada, "d", 1, 10);
	leave(cy, "c", "d");
	cluster_fake.holds = false;
	time_passes(1);
	all_know();
	for (int i = 1; i <= 10; i++) {
		ck_assert_ptr_null(strstr(hears(bob, "'payload':"),
		    "delivery_count"));
	}
	hears_nothing(bob);
	ck_assert_uint_eq(skip(cy), 0);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
}
END_TEST

START_TEST(what_is_on_the_way_to_a_far_member_is_bounded)
{
	size_t n;

	settings.outbox_limit = 16000;
	settings.group_backlog = 1000;
	make(3);
	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cy->is_full = true;
	for (int i = 1; i <= 200; i++) {
		publish_to(ada, "d", i, i);
		time_passes(10);
	}
	ck_assert_uint_gt(group_now().waiting, 100);
	works(dee, false);
	n = skip(dee);
	ck_assert_uint_gt(n, 100);
	cy->is_full = false;
	has_room(cy);
	ck_assert_uint_eq(skip(cy), 200 - n);
	publish_to(ada, "d", 201, 204);
	all_know();
	ck_assert_uint_eq(skip(cy), 2);
	ck_assert_uint_eq(skip(dee), 2);
}
END_TEST

START_TEST(without_acks_what_was_on_its_way_to_a_dead_node_is_counted)
{
	settings.outbox_limit = 16000;
	make(3);
	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cy->is_full = true;
	for (int i = 1; i <= 100; i++) {
		publish_to(ada, "d", i, i);
		time_passes(10);
	}
	ck_assert_uint_gt(group_now().unacked, 10);
	works(dee, false);
	skip(dee);
	node_dies(1);
	time_passes(50);
	hears_nothing(dee);
	ck_assert_uint_gt(metric_now("arqonbus_group_lost_total"), 10);
	publish_to(ada, "d", 101, 101);
	hears_work(dee, 101, 1);
}
END_TEST

START_TEST(what_cannot_be_sent_to_a_far_member_is_tried_again)
{
	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cluster_fake.is_cut_off = true;
	publish_to(ada, "d", 1, 3);
	ck_assert_uint_eq(group_now().waiting, 3);
	cluster_fake.is_cut_off = false;
	time_passes(1100);
	for (int i = 1; i <= 3; i++) {
		hears_work(cy, i, 1);
	}
	hears_nothing(cy);
}
END_TEST

START_TEST(an_ack_that_cannot_be_told_is_refused_and_may_be_repeated)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 1);
	snprintf(text, sizeof text, "%s", hears_work(cy, 1, 1));
	cluster_fake.is_cut_off = true;
	acks(cy, text);
	hears(cy, "'code':'STORAGE_UNAVAILABLE'", "'request_id':'a1'");
	cluster_fake.is_cut_off = false;
	acks(cy, text);
	hears_nothing(cy);
	ck_assert_uint_eq(group_now().unacked, 0);
}
END_TEST

START_TEST(who_comes_back_on_another_node_is_given_what_it_had)
{
	char query[160];

	works(bob, true);
	works(cy, true);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 1);
	hears_work(cy, 1, 1);
	snprintf(query, sizeof query, "session=%s", cy->session);
	be_at(2);
	dee = come(query);
	be_at(0);
	all_know();
	works(dee, true);
	acks(dee, hears_work(dee, 1, 2));
	hears_nothing(dee);
	ck_assert_uint_eq(group_now().unacked, 0);
	ck_assert_uint_eq(group_now().members, 1);
}
END_TEST

START_TEST(nobody_far_gets_its_own_unless_it_wants_it)
{
	works(bob, true);
	leave(bob, "c", "d");
	works(cy, false);
	publish_to(cy, "d", 1, 1);
	all_know();
	hears_nothing(cy);
	work_as(cy, "d", "g", false, true);
	all_know();
	hears_work(cy, 1, 1);
}
END_TEST

START_TEST(a_channel_that_is_deleted_takes_its_groups_along)
{
	struct aqb_why why;

	works(bob, true);
	works(cy, true);
	publish_to(ada, "d", 1, 2);
	bus_api(bus)->channel_delete(NULL, ada->id, "c", "d", true, &why);
	all_know();
	ck_assert_ptr_null(leader());
	ck_assert_uint_eq(bus_group_messages(bus), 0);
	be_at(1);
	ck_assert_uint_eq(bus_group_messages(bus), 0);
	be_at(0);
}
END_TEST

START_TEST(notices_that_make_no_sense_change_nothing)
{
	char text[512];

	works(bob, true);
	works(cy, true);
	publish_to(ada, "d", 1, 2);
	node_notices("third", "{'kind':'done'}\n");
	node_notices("third", "{'kind':'give','client':7}\n");
	for (int i = 0; i < 3; i++) {
		static const char *const kinds[] = { "took", "done", "missed" };

		snprintf(text, sizeof text,
		    "{'kind':'%s','client':'%s','room':'c','channel':'d',"
		    "'group':'g','node':'','epoch':'e1','seq':9,'n':99,"
		    "'bytes':99,'deliveries':1,'mark':0}\n",
		    kinds[i], cy->id);
		node_notices("third", text);
	}
	snprintf(text, sizeof text,
	    "{'kind':'give','client':'%s','room':'c','channel':'d',"
	    "'group':'g','node':'other','epoch':'e1','seq':9,'n':1,"
	    "'bytes':9,'deliveries':1,'mark':0,'to':99}\n",
	    cy->id);
	node_notices("third", text);
	hears_work(cy, 2, 1);
	hears_nothing(cy);
	ck_assert_uint_eq(group_now().unacked, 2);
}
END_TEST

START_TEST(who_joins_again_without_acks_elsewhere_is_given_anew_what_it_had)
{
	works(bob, true);
	works(cy, true);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 1);
	hears_work(cy, 1, 1);
	works(cy, false);
	hears_work(cy, 1, 2);
	time_passes(100000);
	hears_nothing(cy);
	ck_assert_uint_eq(group_now().unacked, 0);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
}
END_TEST

START_TEST(who_is_not_there_to_get_it_is_not_asked_again_at_once)
{
	size_t before;

	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cluster_fake.shares_fail = true; /* nobody hears that it leaves */
	leave(cy, "c", "d");
	before = cluster_fake.notices;
	publish_to(ada, "d", 1, 1);
	time_passes(500);
	ck_assert_uint_eq(cluster_fake.notices - before, 2);
	ck_assert_uint_eq(group_now().waiting, 1);
	time_passes(10000);
	ck_assert_uint_le(cluster_fake.notices - before, 2 * 12);
	cluster_fake.shares_fail = false;
	time_passes(1100);
	works(cy, false);
	hears_work(cy, 1, 1);
	hears_nothing(cy);
}
END_TEST

START_TEST(who_missed_one_gets_the_next_when_it_is_there_again)
{
	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cluster_fake.shares_fail = true;
	leave(cy, "c", "d");
	publish_to(ada, "d", 1, 1);
	work(cy, false);
	time_passes(900); /* for all that is known it is still the old one */
	hears_nothing(cy);
	cluster_fake.shares_fail = false;
	time_passes(2100);
	hears_work(cy, 1, 1);
	hears_nothing(cy);
}
END_TEST

/* This node gives cy a message, or so it says. */
static void
gives_cy(const char *node, unsigned seq)
{
	char text[512], key[80];
	unsigned long long mark;

	snprintf(key, sizeof key, "c:%s", cy->id);
	ck_assert_int_eq(sscanf(strstr(record_of_node("other", key), "\"g\","),
			     "\"g\",true,false,%llu", &mark),
	    1);
	snprintf(text, sizeof text,
	    "{'kind':'give','client':'%s','channel':'d','group':'g',"
	    "'node':'other','epoch':'e1','seq':%u,'n':%u,'bytes':9,"
	    "'deliveries':1,'mark':%llu,'id':'x','type':'event','room':'c',"
	    "'from':'somebody','timestamp':1,'flags':0,'to':0,'payload':1,"
	    "'metadata':0}\n7",
	    cy->id, seq, seq, mark);
	node_notices(node, text);
}

START_TEST(what_was_on_its_way_when_it_left_is_not_given_to_who_came_again)
{
	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cluster_fake.holds = true;
	publish_to(ada, "d", 1, 10);
	leave(cy, "c", "d");
	time_passes(50);
	work(cy, false); /* before the node that gives out hears of either */
	cluster_fake.holds = false;
	all_know();
	time_passes(1100);
	for (int i = 1; i <= 10; i++) {
		hears_work(cy, i, 1);
	}
	hears_nothing(cy);
}
END_TEST

START_TEST(what_did_not_come_to_a_member_that_left_does_not_count_as_given)
{
	works(bob, true);
	works(cy, true);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 1);
	hears_work(cy, 1, 1);
	all_know();
	cluster_fake.holds = true;
	publish_to(ada, "d", 2, 3);
	leave(cy, "c", "d");
	cluster_fake.holds = false;
	time_passes(1);
	all_know();
	works(dee, true);
	hears_work(dee, 2, 1);
	hears_work(dee, 3, 1);
	hears_work(dee, 1, 2); /* was given back before */
	hears_nothing(dee);
}
END_TEST

START_TEST(without_acks_what_is_never_confirmed_is_counted)
{
	settings.outbox_limit = 800;
	make(3);
	works(bob, false);
	works(cy, false);
	leave(bob, "c", "d");
	cy->is_full = true;
	watch("group_messages_lost");
	publish_to(ada, "d", 1, 3);
	time_passes(100);
	ck_assert_uint_ge(group_now().unacked, 2);
	time_passes(30200);
	ck_assert_uint_eq(group_now().unacked, 0);
	ck_assert_uint_ge(metric_now("arqonbus_group_lost_total"), 2);
	ck_assert_ptr_nonnull(strstr(told, "\"reason\":\"unconfirmed\""));
}
END_TEST

START_TEST(work_is_taken_from_the_node_that_gives_out_and_no_other)
{
	works(bob, true);
	works(cy, true);
	gives_cy("third", 9); /* was stopped, and does not know better */
	hears_nothing(cy);
	gives_cy("test", 9);
	hears_work(cy, 7, 1);
	ck_assert_uint_eq(group_at(1).unacked, 1);
}
END_TEST

START_TEST(what_another_node_gave_in_vain_is_not_taken_back_by_this_one)
{
	works(bob, true);
	works(cy, true);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 1);
	gives_cy("third", 1);
	acks(cy, hears_work(cy, 1, 1));
	hears_nothing(cy);
	ck_assert_uint_eq(group_now().unacked, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-group-far");
	TCase *t = tcase_create("far");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, each_message_goes_to_one_member_on_any_node, 0,
	    4);
	tcase_add_test(t, ordinary_members_hear_everything_wherever_they_are);
	tcase_add_test(t, what_a_far_member_acks_is_done);
	tcase_add_test(t, what_a_far_member_gives_back_goes_to_another);
	tcase_add_test(t,
	    what_a_far_member_does_not_ack_in_time_goes_to_another);
	tcase_add_test(t, who_is_alone_and_far_gets_it_again);
	tcase_add_loop_test(t,
	    what_a_far_member_had_goes_to_others_when_it_goes, 0, 2);
	tcase_add_test(t, without_acks_what_did_not_arrive_is_given_to_another);
	tcase_add_test(t, what_is_on_the_way_to_a_far_member_is_bounded);
	tcase_add_test(t,
	    without_acks_what_was_on_its_way_to_a_dead_node_is_counted);
	tcase_add_test(t, what_cannot_be_sent_to_a_far_member_is_tried_again);
	tcase_add_test(t,
	    an_ack_that_cannot_be_told_is_refused_and_may_be_repeated);
	tcase_add_test(t, who_comes_back_on_another_node_is_given_what_it_had);
	tcase_add_test(t, nobody_far_gets_its_own_unless_it_wants_it);
	tcase_add_test(t, a_channel_that_is_deleted_takes_its_groups_along);
	tcase_add_test(t, notices_that_make_no_sense_change_nothing);
	tcase_add_test(t,
	    who_joins_again_without_acks_elsewhere_is_given_anew_what_it_had);
	tcase_add_test(t,
	    who_is_not_there_to_get_it_is_not_asked_again_at_once);
	tcase_add_test(t, who_missed_one_gets_the_next_when_it_is_there_again);
	tcase_add_test(t,
	    work_is_taken_from_the_node_that_gives_out_and_no_other);
	tcase_add_test(t,
	    what_another_node_gave_in_vain_is_not_taken_back_by_this_one);
	tcase_add_test(t,
	    what_was_on_its_way_when_it_left_is_not_given_to_who_came_again);
	tcase_add_test(t, without_acks_what_is_never_confirmed_is_counted);
	tcase_add_test(t,
	    what_did_not_come_to_a_member_that_left_does_not_count_as_given);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Which of several brokers gives out the work of a group, and who goes on when
 * it is gone. */

#include "group_far_fake.h"

#include "bus/group.h"

/* The first node stops, and has waited for what it takes. */
static void
hands_over(void)
{
	for (int i = 0; !group_hand_over(bus, false); i++) {
		ck_assert_int_lt(i, 10);
		time_passes(20);
	}
}

START_TEST(of_two_that_offer_themselves_at_once_one_gives_out)
{
	unsigned seen[100] = { 0 };

	cluster_fake.holds = true;
	work(cy, true);
	work(bob, true);
	publish_to(ada, "d", 1, 4);
	cluster_fake.holds = false;
	time_passes(2000);
	publish_to(ada, "d", 5, 8);
	ck_assert_str_eq(leader(), "other");
	ck_assert_uint_eq(does_all(bob, seen) + does_all(cy, seen), 8);
	for (int i = 1; i <= 8; i++) {
		ck_assert_uint_eq(seen[i], 1);
	}
	ck_assert_uint_eq(bus_group_messages(bus), 0);
}
END_TEST

START_TEST(who_does_not_give_out_after_all_lets_go_of_what_it_kept)
{
	cluster_fake.shares_fail = true;
	work(cy, false);
	work(bob, false);
	publish_to(ada, "d", 1, 4);
	ck_assert_uint_eq(group_at(0).waiting, 4);
	ck_assert_uint_eq(group_at(1).waiting, 4);
	cluster_fake.shares_fail = false;
	time_passes(2100);
	ck_assert_uint_eq(group_at(0).waiting + group_at(1).waiting, 0);
	ck_assert_uint_eq(skip(bob) + skip(cy), 4);
}
END_TEST

START_TEST(another_node_goes_on_when_the_one_that_gave_out_is_gone)
{
	unsigned seen[100] = { 0 };

	works(bob, true);
	works(cy, true);
	works(dee, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 6);
	acks(bob, hears_work(bob, 1, 1));
	acks(cy, hears_work(cy, 2, 1));
	acks(dee, hears_work(dee, 3, 1));
	hears_work(bob, 4, 1);
	hears_work(cy, 5, 1); /* it goes on with this one */
	time_passes(1100);
	node_dies(0);
	time_passes(1100);
	ck_assert_str_eq(leader(), "other");
	hears_work(dee, 6, 1);
	publish_to(ada, "d", 7, 12);
	time_passes(30200);
	for (int i = 0; i < 20; i++) {
		does_all(cy, seen);
		does_all(dee, seen);
	}
	for (int i = 4; i <= 12; i++) {
		ck_assert_msg(seen[i] >= 1, "%d was not done", i);
	}
	for (int i = 1; i <= 3; i++) {
		ck_assert_msg(seen[i] == 0, "%d was done again", i);
	}
	ck_assert_uint_eq(group_at(1).unacked, 0);
	ck_assert_uint_eq(group_at(1).waiting, 0);
	time_passes(1100);
	ck_assert_uint_eq(number_in(record_of_node("other", DONE), "seq"), 12);
}
END_TEST

START_TEST(what_comes_while_the_dead_node_counts_as_there_is_not_lost)
{
	works(bob, false);
	works(cy, false);
	ada = come_at(1);
	time_passes(1100);
	cluster_fake.is_cut_off = true; /* it gets nowhere */
	go(bob);
	cluster_fake.shares_fail = true;
	publish_to(ada, "d", 1, 5);
	hears_nothing(cy);
	cluster_fake.is_cut_off = cluster_fake.shares_fail = false;
	node_dies(0);
	time_passes(2000);
	for (int i = 1; i <= 5; i++) {
		hears_work(cy, i, 1);
	}
	publish_to(ada, "d", 6, 6);
	hears_work(cy, 6, 1);
	hears_nothing(cy);
}
END_TEST

START_TEST(what_comes_while_none_gives_out_waits_for_the_next)
{
	works(bob, false);
	works(cy, false);
	ada = come_at(1);
	publish_to(ada, "d", 1, 2);
	skip(cy);
	time_passes(1100);
	cluster_fake.is_cut_off = true;
	publish_to(ada, "d", 3, 3);
	cluster_fake.shares_fail = true;
	node_dies(0);
	publish_to(ada, "d", 4, 6);
	time_passes(1500);
	hears_nothing(cy);
	cluster_fake.shares_fail = cluster_fake.is_cut_off = false;
	time_passes(1100);
	for (int i = 3; i <= 6; i++) {
		hears_work(cy, i, 1);
	}
	publish_to(ada, "d", 7, 7);
	hears_work(cy, 7, 1);
	hears_nothing(cy);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
}
END_TEST

START_TEST(who_is_behind_the_one_that_is_gone_does_nothing_twice)
{
	works(bob, false);
	works(cy, false);
	ada = come_at(1);
	node_shares("test", DONE, "{'seq':5,'epoch':'e1'}");
	cluster_fake.shares_fail = _i == 1;
	node_dies(0);
	publish_to(ada, "d", 1, 7);
	cluster_fake.shares_fail = false;
	time_passes(1100);
	hears_work(cy, 6, 1);
	hears_work(cy, 7, 1);
	hears_nothing(cy);
}
END_TEST

START_TEST(who_comes_soon_after_finds_what_came_meanwhile)
{
	works(bob, false);
	ada = come_at(1);
	publish_to(ada, "d", 1, 1);
	hears_work(bob, 1, 1);
	time_passes(1100);
	node_dies(0);
	join(dee, "c", "d");
	publish_to(ada, "d", 2, 4);
	time_passes(5000);
	works(cy, false);
	for (int i = 2; i <= 4; i++) {
		hears_work(cy, i, 1);
	}
	hears_nothing(cy);
	ck_assert_str_eq(leader(), "other");
}
END_TEST

START_TEST(nobody_comes_and_nothing_is_left_of_it)
{
	works(bob, false);
	if (_i == 0) {
		node_dies(0);
	} else {
		leave(bob, "c", "d");
	}
	time_passes(130000);
	ck_assert_ptr_null(leader());
	ck_assert_ptr_null(record_of_node("test", DONE));
	ada = come_at(1);
	join(dee, "c", "d");
	publish_to(ada, "d", 1, 1);
	works(cy, false);
	hears_nothing(cy);
	publish_to(ada, "d", 2, 2);
	hears_work(cy, 2, 1);
}
END_TEST

START_TEST(a_node_that_stops_hands_over)
{
	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 3);
	acks(bob, hears_work(bob, 1, 1));
	acks(cy, hears_work(cy, 2, 1));
	hears_work(bob, 3, 1);
	go(bob);
	hears_work(cy, 3, 2);
	be_at(0);
	hands_over();
	time_passes(50);
	ck_assert_str_eq(leader(), "other");
	node_goes("test");
	publish_to(ada, "d", 4, 4);
	hears_work(cy, 4, 1);
	hears_nothing(cy); /* it has 3 */
	time_passes(30200);
	ck_assert_uint_eq(skip(cy), 2);
}
END_TEST

START_TEST(the_one_that_gives_out_needs_no_member_of_its_own)
{
	works(bob, false);
	works(cy, false);
	go(bob);
	time_passes(300000);
	publish_to(ada, "d", 1, 3);
	for (int i = 1; i <= 3; i++) {
		hears_work(cy, i, 1);
	}
	ck_assert_str_eq(leader(), "test");
	go(cy);
	publish_to(ada, "d", 4, 4);
	all_know();
	ck_assert_uint_eq(group_now().waiting, 1);
	ck_assert(!group_at(1).is_there);
	works(dee, false);
	hears_work(dee, 4, 1);
}
END_TEST

START_TEST(how_many_wait_is_known_everywhere_a_moment_later)
{
	settings.group_max_pending = 1;
	make(3);
	works(bob, true);
	works(cy, true);
	publish_to(ada, "d", 1, 6);
	time_passes(1100);
	ck_assert_uint_eq(group_now().waiting, 4);
	ck_assert_uint_eq(group_at(1).waiting, 4);
	acks(bob, hears_work(bob, 1, 1));
	time_passes(1100);
	ck_assert_uint_eq(group_at(1).waiting, 3);
	leave(bob, "c", "d");
	go(cy);
	time_passes(130000);
	works(dee, true);
	ck_assert_uint_eq(group_now().waiting, 0);
}
END_TEST

START_TEST(a_record_that_is_lost_is_made_again)
{
	works(bob, false);
	works(cy, false);
	common_record_goes(LEAD);
	cluster_syncs();
	time_passes(1100);
	ck_assert_ptr_nonnull(leader());
	publish_to(ada, "d", 1, 4);
	all_know();
	ck_assert_uint_eq(skip(bob) + skip(cy), 4);
	cluster_asks_again(0);
	time_passes(1100);
	publish_to(ada, "d", 5, 8);
	all_know();
	ck_assert_uint_eq(skip(bob) + skip(cy), 4);
}
END_TEST

START_TEST(a_record_of_a_node_that_is_nowhere_holds_nobody_up)
{
	node_shares("", LEAD, "nowhere");
	cluster_syncs();
	works(cy, false);
	publish_to(ada, "d", 1, 1);
	time_passes(2100);
	ck_assert_str_eq(leader(), "other");
	hears_work(cy, 1, 1);
}
END_TEST

static const struct nonsense {
	const char *node, *key, *value;
} nonsense[] = {
	{ "", "g:c:d", "test" },
	{ "", "g:c:d:e:f", "test" },
	{ "", "g:c:d:g", "no name" },
	{ "third", "gp:c:d:g", "7" },
	{ "third", "gp:c:d:g", "{'seq':1}" },
	{ "third", "gp:c:d", "{'seq':1,'epoch':'e'}" },
	{ "third", "gp:c:d:g", "{'seq':1,'epoch':'e','open':[]}" },
	{ "third", "gp:c:d:g", "{'seq':1,'epoch':'e','from':3}" },
	{ "third", "gp:c:d:g", "{'seq':1,'epoch':'e','from':3,'open':[7]}" },
	{ "third", "gp:c:d:g", "{'seq':1,'epoch':'e','from':3,'open':[[7]]}" },
	{ "third", "gp:c:d:g",
	    "{'seq':1,'epoch':'e','from':3,'open':[[1,-1,'x']]}" },
};

START_TEST(records_that_make_no_sense_are_dropped)
{
	const struct nonsense *n = &nonsense[_i];
	uint64_t before = metric_now("arqonbus_cluster_dropped_total");

	node_shares(n->node, n->key, n->value);
	ck_assert_uint_gt(metric_now("arqonbus_cluster_dropped_total"), before);
}
END_TEST

START_TEST(what_is_given_back_while_none_gives_out_is_kept)
{
	works(bob, true);
	publish_to(ada, "d", 1, 2);
	if (_i == 0) {
		time_passes(29500);
	}
	common_record_goes(LEAD);
	cluster_fake.shares_fail = true;
	cluster_syncs();
	if (_i == 0) {
		time_passes(1000);
		hears_work(bob, 1, 1);
		hears_work(bob, 2, 1);
	} else {
		gives_back(bob, hears_work(bob, 1, 1));
		gives_back(bob, hears_work(bob, 2, 1));
	}
	hears_nothing(bob);
	cluster_fake.shares_fail = false;
	time_passes(1100);
	hears_work(bob, 1, 2);
	hears_work(bob, 2, 2);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_waits_is_not_forgotten_by_a_change_while_nothing_can_be_read)
{
	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 2);
	hears_work(bob, 1, 1);
	acks(cy, hears_work(cy, 2, 1));
	time_passes(1100);
	backend.tail_fails = true;
	backend.error = AQB_EUNAVAIL;
	ck_assert(group_hand_over(bus, true));
	time_passes(50);
	ck_assert_str_eq(leader(), "other");
	ck_assert_ptr_null(record_of_node("test", DONE));
	go(bob);
	node_goes("test");
	backend.tail_fails = false;
	time_passes(1100);
	hears_work(cy, 1, 2);
}
END_TEST

START_TEST(what_is_done_is_told_of_the_epoch_that_holds)
{
	const char *done;

	works(bob, false);
	leave(bob, "c", "d");
	publish_to(ada, "d", 1, 2);
	backend_loses_all();
	publish_to(ada, "d", 3, 4);
	time_passes(1100);
	ck_assert_uint_eq(group_now().waiting, 4);
	done = record_of_node("test", DONE);
	ck_assert_ptr_nonnull(done);
	ck_assert_uint_eq(number_in(done, "seq"), 0);
}
END_TEST

START_TEST(who_goes_on_after_the_epoch_changed_reads_all_of_the_new_one)
{
	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 1);
	time_passes(1100);
	cluster_fake.shares_fail = true;
	backend_loses_all();
	publish_to(ada, "d", 2, 4);
	skip(bob);
	hears_work(cy, 2, 1);
	hears_work(cy, 4, 1);
	node_dies(0);
	cluster_fake.shares_fail = false;
	time_passes(2100);
	hears_work(cy, 3, 1);
	hears_nothing(cy);
	ck_assert_uint_eq(group_at(1).unacked, 3);
}
END_TEST

START_TEST(who_is_at_work_stays_so_when_another_node_goes_on)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	works(dee, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 6);
	hears_work(bob, 1, 1);
	acks(bob, hears_work(bob, 4, 1));
	acks(cy, hears_work(cy, 2, 1));
	hears_work(cy, 5, 1);
	acks(dee, hears_work(dee, 3, 1));
	snprintf(text, sizeof text, "%s", hears_work(dee, 6, 1));
	time_passes(1100);
	node_dies(0);
	time_passes(2100);
	ck_assert_str_eq(leader(), "other");
	/* Only who had the first is gone; it counts as given to it. */
	ck_assert_uint_eq(heard(cy) + heard(dee), 1);
	hears_work(heard(cy) > 0 ? cy : dee, 1, 2);
	ck_assert_uint_eq(group_at(1).unacked, 3);
	acks(dee, text);
	hears_nothing(dee);
	ck_assert_uint_eq(group_at(1).unacked, 2);
	time_passes(26000);
	hears_nothing(cy);
	hears_nothing(dee);
}
END_TEST

START_TEST(what_is_done_meanwhile_is_known_to_the_node_that_goes_on)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	works(dee, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 3);
	acks(bob, hears_work(bob, 1, 1));
	snprintf(text, sizeof text, "%s", hears_work(cy, 2, 1));
	time_passes(1100);
	acks(cy, text);
	if (_i == 0) {
		acks(dee, hears_work(dee, 3, 1));
		hears_nothing(dee);
	} else {
		gives_back(dee, hears_work(dee, 3, 1));
		skip(bob); /* which has it now */
	}
	hears_nothing(cy);
	node_dies(0);
	time_passes(2100);
	if (_i == 1) {
		hears_work(heard(cy) > 0 ? cy : dee, 3, 2);
	}
	hears_nothing(cy);
	hears_nothing(dee);
	ck_assert_uint_eq(group_at(1).unacked, _i);
}
END_TEST

START_TEST(an_ack_that_comes_while_a_node_hands_over_counts)
{
	works(bob, true);
	works(cy, true);
	works(dee, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 3);
	acks(bob, hears_work(bob, 1, 1));
	hears_work(cy, 2, 1);
	time_passes(1100);
	go(bob);
	cluster_fake.holds = true;
	acks(dee, hears_work(dee, 3, 1)); /* on its way */
	ck_assert(!group_hand_over(bus, false));
	cluster_fake.holds = false;
	time_passes(20);
	hands_over();
	time_passes(1100);
	node_goes("test");
	ck_assert_str_eq(leader(), "other");
	ck_assert_uint_eq(group_at(1).unacked, 1);
	go(dee);
	all_know();
	hears_nothing(cy);
}
END_TEST

START_TEST(an_ack_that_is_told_as_the_last_record_comes_counts)
{
	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 2);
	acks(bob, hears_work(bob, 1, 1));
	time_passes(1100);
	cluster_fake.holds = true;
	ck_assert(group_hand_over(bus, true)); /* it says that cy has 2 */
	acks(cy, hears_work(cy, 2, 1));        /* and has not heard of this */
	cluster_fake.holds = false;
	time_passes(1100);
	ck_assert_str_eq(leader(), "other");
	hears_nothing(bob);
	hears_nothing(cy);
	ck_assert_uint_eq(group_at(1).unacked, 0);
	ck_assert_uint_eq(group_at(1).waiting, 0);
}
END_TEST

START_TEST(an_ack_that_comes_before_it_is_known_where_to_go_on_counts)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 2);
	hears_work(bob, 1, 1);
	snprintf(text, sizeof text, "%s", hears_work(cy, 2, 1));
	time_passes(1100);
	backend.tail_fails = true;
	backend.error = AQB_EUNAVAIL;
	node_dies(0);
	time_passes(50);
	ck_assert_str_eq(leader(), "other");
	if (_i == 0) {
		acks(cy, text);
	} else {
		gives_back(cy, text);
	}
	backend.tail_fails = false;
	time_passes(1100);
	hears_work(cy, 1, 2);
	if (_i == 1) {
		hears_work(cy, 2, 2);
	}
	hears_nothing(cy);
}
END_TEST

START_TEST(who_is_behind_gives_out_nothing_that_is_done_or_open)
{
	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	cluster_fake.shares_fail = true;
	publish_to(ada, "d", 1, 3);
	skip(bob);
	skip(cy);
	node_shares("test", DONE,
	    "{'seq':1,'epoch':'e1','from':6,'open':[[4,2,'']]}");
	node_dies(0);
	publish_to(ada, "d", 4, 7);
	cluster_fake.shares_fail = false;
	time_passes(1100);
	hears_work(cy, 4, 3);
	hears_work(cy, 6, 1);
	hears_work(cy, 7, 1);
	hears_nothing(cy);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
}
END_TEST

START_TEST(who_stops_before_it_knew_what_waits_does_not_say_that_all_is_done)
{
	works(bob, true);
	works(cy, true);
	works(dee, true);
	ada = come_at(2);
	publish_to(ada, "d", 1, 2);
	time_passes(1100);
	backend.tail_fails = true;
	backend.error = AQB_EUNAVAIL;
	node_dies(0);
	time_passes(50);
	ck_assert_str_eq(leader(), "other");
	go(cy);
	be_at(1);
	hands_over();
	be_at(0);
	backend.tail_fails = false;
	time_passes(2100);
	ck_assert_str_eq(leader(), "third");
	ck_assert_uint_ge(heard(dee), 2);
}
END_TEST

START_TEST(an_ack_that_comes_before_the_history_is_read_counts)
{
	char text[1024];

	works(bob, true);
	works(cy, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 2);
	hears_work(bob, 1, 1);
	snprintf(text, sizeof text, "%s", hears_work(cy, 2, 1));
	time_passes(1100);
	backend.reads_wait = true;
	node_dies(0);
	time_passes(1100);
	ck_assert_str_eq(leader(), "other");
	acks(cy, text);
	backend.reads_wait = false;
	backend_reads();
	time_passes(50);
	hears_work(cy, 1, 2);
	hears_nothing(cy);
}
END_TEST

START_TEST(nothing_is_done_twice_when_a_node_stops_by_itself)
{
	char text[100][1024];
	unsigned n = 0;

	works(bob, true);
	works(cy, true);
	works(dee, true);
	ada = come_at(1);
	publish_to(ada, "d", 1, 90);
	skip(bob);
	go(bob); /* the others have its share, too */
	while (heard(cy) > 0) {
		acks(cy, hears(cy, "'type':'event'"));
	}
	while (heard(dee) > 0) {
		snprintf(text[n], sizeof text[n], "%s",
		    hears(dee, "'type':'event'"));
		n++;
	}
	ck_assert_uint_gt(n, 40);
	for (unsigned i = 0; i < n; i += 2) {
		acks(dee, text[i]);
	}
	hands_over();
	time_passes(1100);
	node_goes("test");
	ck_assert_str_eq(leader(), "other");
	hears_nothing(cy);
	hears_nothing(dee);
	for (unsigned i = 1; i < n; i += 2) {
		acks(dee, text[i]);
	}
	hears_nothing(dee);
	ck_assert_uint_eq(group_at(1).unacked, 0);
	ck_assert_uint_eq(group_at(1).waiting, 0);
	publish_to(ada, "d", 91, 92);
	ck_assert_uint_eq(heard(cy) + heard(dee), 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-group-lead");
	TCase *t = tcase_create("lead");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, of_two_that_offer_themselves_at_once_one_gives_out);
	tcase_add_test(t,
	    who_does_not_give_out_after_all_lets_go_of_what_it_kept);
	tcase_add_test(t,
	    another_node_goes_on_when_the_one_that_gave_out_is_gone);
	tcase_add_test(t,
	    what_comes_while_the_dead_node_counts_as_there_is_not_lost);
	tcase_add_test(t, what_comes_while_none_gives_out_waits_for_the_next);
	tcase_add_loop_test(t,
	    who_is_behind_the_one_that_is_gone_does_nothing_twice, 0, 2);
	tcase_add_test(t, who_comes_soon_after_finds_what_came_meanwhile);
	tcase_add_loop_test(t, nobody_comes_and_nothing_is_left_of_it, 0, 2);
	tcase_add_test(t, a_node_that_stops_hands_over);
	tcase_add_test(t, the_one_that_gives_out_needs_no_member_of_its_own);
	tcase_add_test(t, how_many_wait_is_known_everywhere_a_moment_later);
	tcase_add_test(t, a_record_that_is_lost_is_made_again);
	tcase_add_test(t, a_record_of_a_node_that_is_nowhere_holds_nobody_up);
	tcase_add_loop_test(t, records_that_make_no_sense_are_dropped, 0,
	    sizeof nonsense / sizeof nonsense[0]);
	tcase_add_loop_test(t, what_is_given_back_while_none_gives_out_is_kept,
	    0, 2);
	tcase_add_test(t,
	    what_waits_is_not_forgotten_by_a_change_while_nothing_can_be_read);
	tcase_add_test(t, what_is_done_is_told_of_the_epoch_that_holds);
	tcase_add_test(t,
	    who_goes_on_after_the_epoch_changed_reads_all_of_the_new_one);
	tcase_add_test(t, who_is_at_work_stays_so_when_another_node_goes_on);
	tcase_add_loop_test(t,
	    what_is_done_meanwhile_is_known_to_the_node_that_goes_on, 0, 2);
	tcase_add_test(t, nothing_is_done_twice_when_a_node_stops_by_itself);
	tcase_add_test(t, an_ack_that_comes_while_a_node_hands_over_counts);
	tcase_add_test(t, an_ack_that_is_told_as_the_last_record_comes_counts);
	tcase_add_loop_test(t,
	    an_ack_that_comes_before_it_is_known_where_to_go_on_counts, 0, 2);
	tcase_add_test(t, who_is_behind_gives_out_nothing_that_is_done_or_open);
	tcase_add_test(t,
	    who_stops_before_it_knew_what_waits_does_not_say_that_all_is_done);
	tcase_add_test(t, an_ack_that_comes_before_the_history_is_read_counts);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

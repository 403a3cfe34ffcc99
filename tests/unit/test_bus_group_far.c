/* SPDX-License-Identifier: Apache-2.0 */

/* Groups over several brokers that are one bus: "test", "other" and "third". */

#include "group_fake.h"

#include "bus/group.h"

#define LEAD "g:c:d:g"
#define DONE "gp:c:d:g"

/* Who works at which node; ada publishes at the first. */
static struct peer *ada, *bob, *cy, *dee;

static void
all_know(void)
{
	time_passes(50);
}

static struct peer *
come_at(size_t node)
{
	struct peer *peer;

	be_at(node);
	peer = come("");
	be_at(0);
	return peer;
}

static void
make(size_t nodes)
{
	bus_make_cluster(nodes);
	ada = come_at(0);
	bob = come_at(0);
	cy = come_at(1);
	dee = come_at(nodes - 1);
	cluster_syncs();
	all_know();
}

static void
setup(void)
{
	bus_setup();
	make(3);
}

static void
teardown(void)
{
	telemetry_remove_sink(&sink, NULL);
	bus_teardown();
}

static const char *
leader(void)
{
	return record_of_node("", LEAD);
}

/* Be of the group; who is on which node is known to all after this. */
static void
works(struct peer *peer, bool manual)
{
	work(peer, manual);
	all_know();
}

/* What it is given now, acked as it comes; how many. */
static unsigned
does_all(struct peer *peer, unsigned seen[100])
{
	char text[1024];
	unsigned n = 0;

	while (heard(peer) > 0) {
		snprintf(text, sizeof text, "%s", hears(peer, "'type':"));
		if (strstr(text, "\"error\"") != NULL) {
			continue; /* it came too late */
		}
		seen[number_in(text, "payload")]++;
		acks(peer, text);
		n++;
	}
	return n;
}

static struct group_now
group_at(size_t node)
{
	struct group_now now;

	be_at(node);
	now = group_now();
	be_at(0);
	return now;
}

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
	ck_assert_str_eq(strstr(record_of_node("test", DONE), "\"seq\":"),
	    "\"seq\":2,\"epoch\":\"e1\"}");
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
	ck_assert_str_eq(strstr(record_of_node("other", DONE), "\"seq\":"),
	    "\"seq\":12,\"epoch\":\"e1\"}");
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
	ck_assert(group_hand_over(bus, false));
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

static const struct nonsense {
	const char *node, *key, *value;
} nonsense[] = {
	{ "", "g:c:d", "test" },
	{ "", "g:c:d:e:f", "test" },
	{ "", "g:c:d:g", "no name" },
	{ "third", "gp:c:d:g", "7" },
	{ "third", "gp:c:d:g", "{'seq':1}" },
	{ "third", "gp:c:d", "{'seq':1,'epoch':'e'}" },
};

START_TEST(records_that_make_no_sense_are_dropped)
{
	const struct nonsense *n = &nonsense[_i];
	uint64_t before = metric_now("arqonbus_cluster_dropped_total");

	node_shares(n->node, n->key, n->value);
	ck_assert_uint_gt(metric_now("arqonbus_cluster_dropped_total"), before);
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
		    "'bytes':99,'deliveries':1}\n",
		    kinds[i], cy->id);
		node_notices("third", text);
	}
	snprintf(text, sizeof text,
	    "{'kind':'give','client':'%s','room':'c','channel':'d',"
	    "'group':'g','node':'other','epoch':'e1','seq':9,'n':1,"
	    "'bytes':9,'deliveries':1,'to':99}\n",
	    cy->id);
	node_notices("third", text);
	hears_work(cy, 2, 1);
	hears_nothing(cy);
	ck_assert_uint_eq(group_now().unacked, 2);
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
	tcase_add_test(t, of_two_that_offer_themselves_at_once_one_gives_out);
	tcase_add_test(t,
	    who_does_not_give_out_after_all_lets_go_of_what_it_kept);
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
	    another_node_goes_on_when_the_one_that_gave_out_is_gone);
	tcase_add_test(t,
	    what_comes_while_the_dead_node_counts_as_there_is_not_lost);
	tcase_add_test(t,
	    without_acks_what_was_on_its_way_to_a_dead_node_is_counted);
	tcase_add_test(t, what_comes_while_none_gives_out_waits_for_the_next);
	tcase_add_loop_test(t,
	    who_is_behind_the_one_that_is_gone_does_nothing_twice, 0, 2);
	tcase_add_test(t, who_comes_soon_after_finds_what_came_meanwhile);
	tcase_add_loop_test(t, nobody_comes_and_nothing_is_left_of_it, 0, 2);
	tcase_add_test(t, a_node_that_stops_hands_over);
	tcase_add_test(t, the_one_that_gives_out_needs_no_member_of_its_own);
	tcase_add_test(t, what_cannot_be_sent_to_a_far_member_is_tried_again);
	tcase_add_test(t,
	    an_ack_that_cannot_be_told_is_refused_and_may_be_repeated);
	tcase_add_test(t, who_comes_back_on_another_node_is_given_what_it_had);
	tcase_add_test(t, nobody_far_gets_its_own_unless_it_wants_it);
	tcase_add_test(t, a_record_that_is_lost_is_made_again);
	tcase_add_test(t, a_record_of_a_node_that_is_nowhere_holds_nobody_up);
	tcase_add_test(t, a_channel_that_is_deleted_takes_its_groups_along);
	tcase_add_loop_test(t, records_that_make_no_sense_are_dropped, 0,
	    sizeof nonsense / sizeof nonsense[0]);
	tcase_add_test(t, notices_that_make_no_sense_change_nothing);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What two brokers that are one bus tell each other: messages, channels, and
 * what goes wrong with it. */

#include "cluster_fake.h"

/* ---- messages ---- */

START_TEST(a_message_reaches_the_members_on_every_node)
{
	join(ada, "c", "d");
	join(bob, "c", "d");
	say(ada, "{'type':'event','room':'c','channel':'d','payload':{'n':1}}");
	hears(bob, "'from':'arq_client_", ada->id, "'seq':1", "'n':1");
	hears_nothing(ada);
}
END_TEST

START_TEST(a_publish_is_acked_by_the_storage_and_delivered_by_its_turn)
{
	join(ada, "c", "d");
	join(bob, "c", "d");
	cluster_fake.holds = true;
	say(ada, "{'type':'event','id':'x','ack':true,'channel':'c:d'}");
	hears(ada, "'type':'ack'", "'seq':1");
	hears_nothing(bob);
	cluster_fake.holds = false;
	time_passes(1);
	hears(bob, "'seq':1");
	hears_nothing(bob);
}
END_TEST

START_TEST(the_sender_hears_itself_only_with_echo)
{
	const struct aqb_join how = {
		.size = sizeof how, .room = "c", .channel = "d", .echo = true
	};

	join_as(ada, &how);
	say(ada, "{'type':'event','channel':'c:d'}");
	hears(ada, "'seq':1");
	join(ada, "c", "d");
	say(ada, "{'type':'event','channel':'c:d'}");
	hears_nothing(ada);
}
END_TEST

START_TEST(all_nodes_hear_all_messages_in_one_order)
{
	char text[64];

	join(ada, "c", "d");
	join(bob, "c", "d");
	join(come(""), "c", "d");
	cluster_fake.holds = true;
	for (int i = 0; i < 10; i++) {
		say(i % 2 == 0 ? ada : bob,
		    "{'type':'event','channel':'c:d','payload':%d}", i);
	}
	cluster_fake.holds = false;
	time_passes(1);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof text, "'seq':%d,", i + 1);
		hears(i % 2 == 0 ? bob : ada, text);
	}
}
END_TEST

START_TEST(a_message_makes_its_channel_on_every_node)
{
	say(ada, "{'type':'event','channel':'c:d'}");
	be_at(1);
	ck_assert(is_there("c", "d"));
	ck_assert_uint_eq(channel_now("c", "d").message_count, 1);
}
END_TEST

START_TEST(what_was_given_before_is_not_given_again)
{
	join(ada, "c", "d");
	say(bob, "{'type':'event','channel':'c:d'}");
	hears(ada, "'seq':1", "'epoch':'e");
	stream_tells("c:d", NULL, 2, "e1", AQB_FOLLOW_REPEATED);
	hears_nothing(ada);
}
END_TEST

START_TEST(a_jump_within_an_epoch_is_a_gap)
{
	const char *epoch;
	char text[40];

	join(ada, "c", "d");
	say(bob, "{'type':'event','channel':'c:d'}");
	epoch = strstr(hears(ada, "'seq':1"), "\"epoch\":\"");
	ck_assert_int_eq(sscanf(epoch, "\"epoch\":\"%39[^\"]", text), 1);
	backend_skips("c:d", 3);
	say(bob, "{'type':'event','channel':'c:d'}");
	hears(ada, "'type':'gap'", "'from_seq':2", "'to_seq':4");
	hears(ada, "'seq':5");
	stream_tells("c:d", NULL, 9, text, AQB_FOLLOW_REPEATED);
	hears(ada, "'type':'gap'", "'from_seq':6", "'to_seq':8");
}
END_TEST

START_TEST(after_a_stream_is_forgotten_nothing_of_it_is_missed)
{
	join(ada, "c", "d");
	say(bob, "{'type':'event','channel':'c:d'}");
	hears(ada, "'seq':1");
	stream_forgets("c:d");
	stream_says("c:d", 5, "e77");
	hears(ada, "'seq':5", "'epoch':'e77'");
	hears_nothing(ada);
}
END_TEST

START_TEST(the_end_of_a_channel_known_here_tells_what_others_lost)
{
	say(bob, "{'type':'event','channel':'c:d'}");
	be_at(0);
	time_passes(61000); /* collected here and there */
	ck_assert(!is_there("c", "d"));
	ck_assert_uint_eq(backend.forgot, 0);
	join(ada, "c", "d");
	backend_skips("c:d", 2);
	say(bob, "{'type':'event','channel':'c:d'}");
	hears(ada, "'type':'gap'", "'from_seq':2", "'to_seq':3");
	hears(ada, "'seq':4");
}
END_TEST

START_TEST(what_the_storage_stored_before_is_acked_and_not_delivered)
{
	join(bob, "c", "d");
	say(ada, "{'type':'event','channel':'c:d'}");
	skip(bob);
	backend.mode = BACKEND_LATER;
	say(ada, "{'type':'event','id':'x','ack':true,'channel':'c:d'}");
	backend_has(0, 1);
	hears(ada, "'type':'ack'", "'seq':1");
	hears_nothing(bob);
}
END_TEST

START_TEST(a_message_of_the_wrong_channel_or_place_is_dropped)
{
	join(ada, "c", "d");
	stream_tells("c", NULL, 1, "e1", AQB_FOLLOW_REPEATED);
	stream_tells("c:d", NULL, 0, "e1", AQB_FOLLOW_REPEATED);
	stream_tells("c:d", NULL, 1, "", AQB_FOLLOW_REPEATED);
	stream_tells("c:d", NULL, 1, "e1", 0);
	ck_assert_uint_eq(metric_now("arqonbus_garbage_answers_total"), 8);
	hears_nothing(ada);
}
END_TEST

/* Be back on the first node with what was heard on the other. */
static struct joined
come_back_with(struct peer *peer, uint64_t seq, const char *epoch)
{
	struct aqb_join how = { .size = sizeof how,
		.room = "c",
		.channel = "d",
		.has_since = true,
		.since.seq = seq };

	snprintf(how.since.epoch, sizeof how.since.epoch, "%s", epoch);
	return join_as(peer, &how);
}

START_TEST(who_heard_more_than_this_node_hears_nothing_twice)
{
	struct joined j = join(bob, "c", "d");
	const char *epoch = j.result.pos.epoch;

	say(bob, "{'type':'event','channel':'c:d'}");
	ck_assert(!come_back_with(ada, 3, epoch).is_answered);
	stream_says("c:d", 2, epoch);
	ck_assert(!late_join().is_answered);
	stream_says("c:d", 3, epoch);
	ck_assert(late_join().is_answered);
	ck_assert(late_join().result.recovered);
	ck_assert_uint_eq(late_join().result.pos.seq, 3);
	hears_nothing(ada);
	stream_says("c:d", 4, epoch);
	hears(ada, "'seq':4");
}
END_TEST

START_TEST(what_nobody_said_is_another_past_after_a_while)
{
	struct joined j = join(bob, "c", "d");

	say(bob, "{'type':'event','channel':'c:d'}");
	ck_assert(!come_back_with(ada, 9, j.result.pos.epoch).is_answered);
	time_passes(2100);
	ck_assert(late_join().is_answered);
	ck_assert(!late_join().result.recovered);
	hears(ada, "'type':'gap'", "'reason':'epoch'");
	hears(ada, "'seq':1");
}
END_TEST

START_TEST(who_waits_for_its_node_may_leave)
{
	struct joined j = join(bob, "c", "d");

	come_back_with(ada, 9, j.result.pos.epoch);
	go(ada);
	time_passes(2100);
	ck_assert_uint_eq(late_join().code, AQB_CODE_CHANNEL_NOT_FOUND);
}
END_TEST

/* ---- private and unplaced messages ---- */

START_TEST(private_messages_go_to_ids_and_aliases_of_all_nodes)
{
	struct peer *eve = come("alias=eve");

	call_it(bob, "bobby");
	all_know();
	say(ada,
	    "{'type':'private','id':'p','ack':true,'to':['bobby','eve','%s',"
	    "'none'],'payload':[1],'metadata':{'m':2}}",
	    bob->id);
	hears(bob, "'type':'private'", "'id':'p'", "'to':['bobby','eve'",
	    "'payload':[1]", "'metadata':{'m':2}", ada->id);
	hears_nothing(bob);
	hears(eve, "'type':'private'");
	hears(ada, "'type':'ack'", "'delivered':2", "'missing':['none']");
	ck_assert_uint_eq(cluster_fake.notices, 1);
}
END_TEST

START_TEST(a_binary_private_message_stays_one)
{
	struct aqb_msg_view v = { .size = sizeof v,
		.id = { "i", 1 },
		.type = { "private", 7 },
		.from = { "arq_x", 5 },
		.payload = { "\"AQID\"", 6 },
		.flags = AQB_MSG_BINARY };
	struct aqb_msg *msg =
	    msg_make_unplaced(&v, (struct aqb_slice){ "\"a\"", 3 });

	ck_assert_ptr_nonnull(msg);
	ck_assert(msg_is_binary(msg));
	msg_unref(&msg);
	v.payload = (struct aqb_slice){ "\"*\"", 3 };
	ck_assert_ptr_null(msg_make_unplaced(&v,
	    (struct aqb_slice){ "\"a\"", 3 }));
}
END_TEST

START_TEST(who_is_nowhere_is_not_found)
{
	say(ada, "{'type':'private','to':'none'}");
	hears(ada, "'TARGET_NOT_FOUND'");
	ck_assert_uint_eq(cluster_fake.notices, 0);
}
END_TEST

START_TEST(who_cannot_be_reached_now_is_missing_or_nobody_was)
{
	struct peer *eve = come("");

	cluster_fake.is_cut_off = true;
	say(ada, "{'type':'private','id':'a','ack':true,'to':'%s'}", bob->id);
	hears(ada, "'STORAGE_UNAVAILABLE'", "'stored':false");
	say(ada, "{'type':'private','id':'b','ack':true,'to':['%s','%s']}",
	    bob->id, eve->id);
	hears(ada, "'delivered':1", "'missing':['arq_client_", bob->id);
	hears(eve, "'id':'b'");
	cluster_fake.is_cut_off = false;
	say(ada, "{'type':'private','id':'a','ack':true,'to':'%s'}", bob->id);
	hears(ada, "'delivered':1");
	hears(bob, "'id':'a'");
}
END_TEST

START_TEST(a_room_hears_once_on_every_node)
{
	join(ada, "c", "d");
	join(bob, "c", "d");
	join(bob, "c", "e");
	say(ada, "{'type':'event','id':'r','ack':true,'room':'c'}");
	hears(bob, "'id':'r'", "'room':'c'", ada->id);
	hears_nothing(bob);
	hears(ada, "'type':'ack'", "'stored':'none'");
	hears_nothing(ada);
}
END_TEST

START_TEST(a_room_that_is_only_elsewhere_is_a_room)
{
	say(ada, "{'type':'event','room':'c'}");
	hears(ada, "'ROOM_NOT_FOUND'");
	join(bob, "c", "d");
	all_know();
	say(ada, "{'type':'event','room':'c'}");
	hears(bob, "'room':'c'");
	hears_nothing(ada);
}
END_TEST

START_TEST(a_room_is_not_half_told)
{
	struct peer *eve = come("");

	join(eve, "c", "d");
	cluster_fake.is_cut_off = true;
	say(ada, "{'type':'event','id':'r','room':'c'}");
	hears(ada, "'STORAGE_UNAVAILABLE'", "'stored':false");
	hears_nothing(eve);
	cluster_fake.is_cut_off = false;
	say(ada, "{'type':'event','id':'r','room':'c'}");
	hears(eve, "'id':'r'");
}
END_TEST

START_TEST(a_system_message_reaches_everybody_everywhere)
{
	struct peer *root = come("token=open%20sesame");

	say(root, "{'type':'system','room':'*','payload':1}");
	hears(ada, "'type':'system'", "'room':'*'");
	hears(bob, "'type':'system'", "'room':'*'", root->id);
	hears_nothing(root);
}
END_TEST

START_TEST(a_broadcast_counts_all_whom_it_reaches)
{
	const struct aqb_slice payload = { "{}", 2 };
	struct aqb_why why;
	uint64_t n = 0;

	join(ada, "c", "d");
	join(bob, "c", "d");
	join(bob, "c", "e");
	all_know();
	bus_api(bus)->broadcast(NULL, "c", NULL, payload, &n, &why);
	ck_assert_uint_eq(n, 2);
	bus_api(bus)->broadcast(NULL, NULL, NULL, payload, &n, &why);
	ck_assert_uint_eq(n, 2);
	bus_api(bus)->broadcast(NULL, "c", "d", payload, &n, &why);
	ck_assert_uint_eq(n, 2);
	time_passes(1);
	ck_assert_uint_eq(heard(bob), 3);
	ck_assert_uint_eq(heard(ada), 3);
}
END_TEST

START_TEST(a_client_of_another_node_can_be_kicked)
{
	struct aqb_why why;

	ck_assert_int_eq(bus_api(bus)->kick(NULL, bob->id, "bad", &why),
	    AQB_CODE_OK);
	time_passes(1);
	ck_assert(bob->is_closed);
	ck_assert_uint_eq(bob->close_code, 1008);
	ck_assert_str_eq(bob->close_reason, "bad");
}
END_TEST

/* ---- channels that are made and deleted ---- */

START_TEST(what_was_created_is_known_everywhere)
{
	ck_assert_int_eq(create(ada, "c", "d", "one"), AQB_CODE_OK);
	be_at(1);
	ck_assert_int_eq(create(bob, "c", "d", "two"), AQB_CODE_CHANNEL_EXISTS);
	ck_assert_str_eq(channel_now("c", "d").description, "one");
	ck_assert_uint_eq(channel_now("c", "d").history_size, 7);
	ck_assert_uint_eq(channel_now("c", "d").metadata.len, 9);
	ck_assert_uint_eq(channel_now("c", "d").slow_policy, AQB_SLOW_CONFLATE);
	time_passes(130000);
	ck_assert(is_there("c", "d"));
}
END_TEST

START_TEST(of_two_that_create_at_the_same_moment_the_first_has_set_it)
{
	cluster_fake.holds = true;
	create(ada, "c", "d", "one");
	be_at(1);
	ck_assert_int_eq(create(bob, "c", "d", "two"), AQB_CODE_OK);
	cluster_fake.holds = false;
	time_passes(1);
	ck_assert_str_eq(channel_now("c", "d").description, "one");
	be_at(0);
	ck_assert_str_eq(channel_now("c", "d").description, "one");
}
END_TEST

START_TEST(a_channel_is_deleted_on_every_node)
{
	create(ada, "c", "d", "one");
	join(bob, "c", "d");
	all_know();
	ck_assert_int_eq(remove_channel(ada, "c", "d"), AQB_CODE_OK);
	hears(bob, "'event':'channel_deleted'", "'by':'arq_client_", ada->id);
	ck_assert(!is_there("c", "d"));
	be_at(1);
	ck_assert(!is_there("c", "d"));
	ck_assert_ptr_null(record_of_node("", "ch:c:d"));
	ck_assert_uint_eq(backend.forgot, 1);
	all_know();
	ck_assert(!is_there("c", "d"));
	ck_assert_int_eq(create(bob, "c", "d", "two"), AQB_CODE_OK);
}
END_TEST

START_TEST(members_elsewhere_keep_a_channel_from_being_deleted)
{
	struct aqb_why why;

	join(bob, "c", "d");
	all_know();
	ck_assert_int_eq(bus_api(bus)->channel_delete(NULL, ada->id, "c", "d",
			     false, &why),
	    AQB_CODE_CHANNEL_NOT_EMPTY);
	cluster_fake.is_cut_off = true;
	ck_assert_int_eq(remove_channel(ada, "c", "d"),
	    AQB_CODE_STORAGE_UNAVAILABLE);
	ck_assert(is_there("c", "d"));
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(what_makes_no_sense_is_counted_and_dropped)
{
	static const char *const records[] = { "", "[]", "{'since':1}",
		"{'since':-1,'connected_at':1,'channels':{}}",
		"{'since':1,'connected_at':1,'channels':[]}",
		"{'since':1,'connected_at':1,'channels':{'c':1}}",
		"{'since':1,'connected_at':1,'channels':{'c:d':'x'}}",
		"{'since':1,'connected_at':1,'alias':'arq_x','channels':{}}",
		"{'since':1,'connected_at':1,'type':'robot','channels':{}}",
		"{'since':1,'connected_at':1,'channels':{}" };
	static const char *const notices[] = { "{}", "{}\n",
		"{'kind':'kick'}\n", "{'kind':'delete','room':'c'}\n",
		"{'kind':'private','ids':['x'],'id':'i','type':'private',"
		"'room':'','from':'f','timestamp':1,'flags':0,'to':3,"
		"'payload':99,'metadata':0}\n'a'{}",
		"{'kind':'private','ids':['x'],'id':'i','type':'private',"
		"'room':'','from':'f','timestamp':1,'flags':0,'to':3,"
		"'payload':2,'metadata':0}\n'a'{{",
		"{'kind':'unplaced','id':'i','type':'a b','room':'c',"
		"'from':'f','timestamp':1,'flags':0,'to':0,"
		"'payload':2,'metadata':0}\n{}" };
	uint64_t before = dropped();
	size_t n = 0;

	for (size_t i = 1; i < sizeof records / sizeof records[0]; i++) {
		node_shares("x", "c:" FAR_ID, records[i]);
		n += 2; /* on both nodes */
		ck_assert_uint_eq(dropped() - before, n);
	}
	for (size_t i = 0; i < sizeof notices / sizeof notices[0]; i++) {
		node_notices("x", notices[i]);
		n += 2;
		ck_assert_uint_eq(dropped() - before, n);
	}
	node_shares("x", "c:nobody", "{}");
	node_shares("", "ch:c", "{}");
	node_shares("", "ch:c:d", "{'history_size':1}");
	ck_assert_uint_eq(dropped() - before, n + 6);
	ck_assert(!is_known(FAR_ID));
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(what_a_later_version_says_is_no_nonsense)
{
	uint64_t before = dropped();

	node_shares("x", "later:thing", "anything");
	node_shares("", "later:thing", "anything");
	node_notices("x", "{'kind':'later'}\n");
	node_shares("x", "c:" FAR_ID,
	    "{'since':1,'connected_at':1,'mood':'good','channels':{}}");
	ck_assert_uint_eq(dropped() - before, 0);
	ck_assert(is_known(FAR_ID));
}
END_TEST

START_TEST(what_is_not_told_in_a_sync_is_gone)
{
	create(ada, "c", "e", "one");
	join(bob, "c", "d");
	call_it(bob, "bobby");
	all_know();
	cluster_syncs();
	ck_assert(is_known(bob->id));
	ck_assert_str_eq(record_of("bobby").client_id, bob->id);
	ck_assert_uint_eq(channel_now("c", "d").member_count, 1);
	ck_assert_str_eq(channel_now("c", "e").description, "one");
	cluster_loses("other");
	cluster_loses("");
	cluster_syncs();
	ck_assert(!is_known(bob->id));
	ck_assert(!is_known("bobby"));
	ck_assert_uint_eq(bus_nodes(bus), 0);
	ck_assert_ptr_null(channel_now("c", "e").description);
}
END_TEST

START_TEST(what_was_lost_is_shared_again)
{
	create(ada, "c", "e", "one");
	join(bob, "c", "d");
	all_know();
	node_goes("other");
	cluster_loses("");
	ck_assert(!is_known(bob->id));
	cluster_asks_again(1);
	all_know();
	ck_assert(is_known(bob->id));
	ck_assert_uint_eq(channel_now("c", "d").member_count, 1);
	ck_assert_uint_eq(bus_nodes(bus), 1);
	cluster_asks_again(0);
	all_know();
	ck_assert_ptr_nonnull(record_of_node("", "ch:c:e"));
}
END_TEST

START_TEST(who_was_thought_gone_may_have_lost_its_alias)
{
	call_it(bob, "pal");
	all_know();
	node_goes("other");
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_OK);
	all_know();
	cluster_asks_again(1);
	all_know();
	hears(bob, "'code':'ALIAS_TAKEN'");
	hears_nothing(ada);
	ck_assert_str_eq(record_of("pal").client_id, ada->id);
	be_at(1);
	ck_assert_str_eq(record_of("pal").client_id, ada->id);
}
END_TEST

START_TEST(what_is_left_of_an_earlier_life_is_taken_away)
{
	node_shares("test", "c:" FAR_ID,
	    "{'since':1,'connected_at':1,'alias':'pal','channels':{}}");
	cluster_syncs();
	time_passes(1);
	ck_assert_ptr_null(record_of_node("test", "c:" FAR_ID));
	ck_assert(!is_known(FAR_ID));
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_OK);
}
END_TEST

START_TEST(what_cannot_be_shared_now_is_shared_later)
{
	cluster_fake.shares_fail = true;
	join(bob, "c", "d");
	all_know();
	ck_assert_uint_eq(record_of(bob->id).channels, 0);
	cluster_fake.shares_fail = false;
	time_passes(1100);
	ck_assert_uint_eq(record_of(bob->id).channels, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-cluster");
	TCase *t = tcase_create("cluster");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, a_message_reaches_the_members_on_every_node);
	tcase_add_test(t,
	    a_publish_is_acked_by_the_storage_and_delivered_by_its_turn);
	tcase_add_test(t, the_sender_hears_itself_only_with_echo);
	tcase_add_test(t, all_nodes_hear_all_messages_in_one_order);
	tcase_add_test(t, a_message_makes_its_channel_on_every_node);
	tcase_add_test(t, what_was_given_before_is_not_given_again);
	tcase_add_test(t, a_jump_within_an_epoch_is_a_gap);
	tcase_add_test(t, after_a_stream_is_forgotten_nothing_of_it_is_missed);
	tcase_add_test(t,
	    the_end_of_a_channel_known_here_tells_what_others_lost);
	tcase_add_test(t,
	    what_the_storage_stored_before_is_acked_and_not_delivered);
	tcase_add_test(t, a_message_of_the_wrong_channel_or_place_is_dropped);
	tcase_add_test(t, who_heard_more_than_this_node_hears_nothing_twice);
	tcase_add_test(t, what_nobody_said_is_another_past_after_a_while);
	tcase_add_test(t, who_waits_for_its_node_may_leave);
	tcase_add_test(t, private_messages_go_to_ids_and_aliases_of_all_nodes);
	tcase_add_test(t, a_binary_private_message_stays_one);
	tcase_add_test(t, who_is_nowhere_is_not_found);
	tcase_add_test(t, who_cannot_be_reached_now_is_missing_or_nobody_was);
	tcase_add_test(t, a_room_hears_once_on_every_node);
	tcase_add_test(t, a_room_that_is_only_elsewhere_is_a_room);
	tcase_add_test(t, a_room_is_not_half_told);
	tcase_add_test(t, a_system_message_reaches_everybody_everywhere);
	tcase_add_test(t, a_broadcast_counts_all_whom_it_reaches);
	tcase_add_test(t, a_client_of_another_node_can_be_kicked);
	tcase_add_test(t, what_was_created_is_known_everywhere);
	tcase_add_test(t,
	    of_two_that_create_at_the_same_moment_the_first_has_set_it);
	tcase_add_test(t, a_channel_is_deleted_on_every_node);
	tcase_add_test(t, members_elsewhere_keep_a_channel_from_being_deleted);
	tcase_add_test(t, what_makes_no_sense_is_counted_and_dropped);
	tcase_add_test(t, what_a_later_version_says_is_no_nonsense);
	tcase_add_test(t, what_is_not_told_in_a_sync_is_gone);
	tcase_add_test(t, what_was_lost_is_shared_again);
	tcase_add_test(t, who_was_thought_gone_may_have_lost_its_alias);
	tcase_add_test(t, what_is_left_of_an_earlier_life_is_taken_away);
	tcase_add_test(t, what_cannot_be_shared_now_is_shared_later);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

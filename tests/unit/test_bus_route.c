/* SPDX-License-Identifier: Apache-2.0 */

/* Who hears what: arqonbus-protocol(7), "ADDRESSING". */

#include "bus_fake.h"

static struct peer *ada, *bob, *eve;

static void
setup(void)
{
	bus_setup();
	ada = come("");
	bob = come("");
	eve = come("");
}

static void
meet(const char *room, const char *channel)
{
	ck_assert_int_eq(join(ada, room, channel).code, AQB_CODE_OK);
	ck_assert_int_eq(join(bob, room, channel).code, AQB_CODE_OK);
}

START_TEST(an_event_reaches_the_members_but_its_sender)
{
	const char *text;

	meet("science", "explore");
	say(ada,
	    "{'type':'event','room':'science','channel':'explore',"
	    "'payload':{'message':'hi'},'metadata':{'a':[1]}}");
	text = hears(bob, "'version':'1.0'", "'type':'event'",
	    "'room':'science'", "'channel':'explore'",
	    "'payload':{'message':'hi'}", "'metadata':{'a':[1]}", ada->id);
	ck_assert_uint_eq(number_in(text, "seq"), 1);
	hears_nothing(bob);
	hears_nothing(ada);
	hears_nothing(eve);
}
END_TEST

START_TEST(a_turn_has_an_end)
{
	ck_assert_uint_eq(has_room_often(ada, 1000), 0);
	ck_assert_uint_eq(has_room_often(ada, 1500), 1500 - 1024);
}
END_TEST

START_TEST(a_message_keeps_its_type)
{
	meet("science", "explore");
	say(ada, "{'type':'message','channel':'science:explore'}");
	hears(bob, "'type':'message'", "'payload':{}");
}
END_TEST

START_TEST(who_joined_with_echo_hears_itself)
{
	struct aqb_join how = { .size = sizeof how,
		.room = "science",
		.channel = "explore",
		.echo = true };

	join_as(ada, &how);
	say(ada, "{'type':'event','room':'science:explore'}");
	hears(ada, "'seq':1");
}
END_TEST

START_TEST(each_way_to_name_a_channel_means_the_same)
{
	static const char *const forms[] = {
		"'room':'science','channel':'explore'",
		"'room':'science:explore'", "'channel':'science:explore'",
		"'channel':'explore'", /* the sender's most recent room */
	};

	meet("science", "explore");
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		say(ada, "{'type':'event',%s,'payload':%zu}", forms[i], i);
		hears(bob, "'room':'science'", "'channel':'explore'");
	}
	hears_nothing(bob);
}
END_TEST

START_TEST(a_channel_alone_is_in_the_room_joined_last)
{
	meet("one", "talk");
	meet("two", "talk");
	say(ada, "{'type':'event','channel':'talk'}");
	hears(bob, "'room':'two'");
	leave(ada, "two", "talk");
	say(ada, "{'type':'event','channel':'talk'}");
	hears(bob, "'room':'one'");
}
END_TEST

START_TEST(a_channel_alone_is_else_in_the_default_room)
{
	join(bob, "general", "news");
	say(ada, "{'type':'event','channel':'news'}");
	hears(bob, "'room':'general'", "'channel':'news'");
}
END_TEST

START_TEST(a_room_reaches_each_of_its_members_once)
{
	meet("lab", "one");
	meet("lab", "two");
	join(eve, "lab", "three");
	say(ada, "{'type':'event','room':'lab','ack':true,'id':'i'}");
	hears(ada, "'type':'ack'", "'seq':null", "'stored':'none'");
	hears(bob, "'room':'lab'", "'id':'i'");
	hears(eve, "'room':'lab'");
	hears_nothing(ada);
	hears_nothing(bob);
	hears_nothing(eve);
	ck_assert_uint_eq(backend.appends, 0);
}
END_TEST

START_TEST(a_room_reaches_who_came_back_to_an_empty_channel)
{
	join(bob, "r", "x");
	join(eve, "r", "y");
	leave(bob, "r", "x");
	say(ada, "{'type':'event','room':'r','id':'m1'}");
	hears(eve, "'id':'m1'");
	hears_nothing(bob);
	join(bob, "r", "x");
	say(ada, "{'type':'event','room':'r','id':'m2'}");
	hears(eve, "'id':'m2'");
	hears(bob, "'id':'m2'");
}
END_TEST

START_TEST(what_cannot_be_addressed_is_refused)
{
	static const struct {
		const char *fields, *code, *field;
	} table[] = {
		{ "'room':'nowhere'", "ROOM_NOT_FOUND", "room" },
		{ "'id':'x'", "TARGET_REQUIRED", "" },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		say(ada, "{'type':'event',%s}", table[i].fields);
		hears(ada, "'type':'error'", table[i].code, table[i].field);
	}
	hears_nothing(ada);
}
END_TEST

START_TEST(a_publish_makes_its_channel)
{
	say(ada, "{'type':'event','channel':'new:one','ack':true}");
	hears(ada, "'type':'ack'", "'seq':1", "'stored':'memory'");
	ck_assert(is_there("new", "one"));
}
END_TEST

START_TEST(without_auto_create_it_does_not)
{
	settings.auto_create = false;
	bus_remake();
	ada = come("");
	say(ada, "{'type':'event','channel':'new:one'}");
	hears(ada, "CHANNEL_NOT_FOUND");
	ck_assert_int_eq(join(ada, "new", "one").code,
	    AQB_CODE_CHANNEL_NOT_FOUND);
	ck_assert(!is_there("new", "one"));
}
END_TEST

START_TEST(n7_only_members_publish_where_membership_is_required)
{
	settings.require_membership = true;
	bus_remake();
	ada = come("");
	say(ada, "{'type':'event','channel':'science:explore'}");
	hears(ada, "NOT_A_MEMBER", "science:explore");
	join(ada, "science", "explore");
	say(ada, "{'type':'event','channel':'science:explore'}");
	hears_nothing(ada);
	ck_assert_uint_eq(backend.appends, 1);
}
END_TEST

START_TEST(who_takes_binary_says_so_once)
{
	struct aqb_identity who = { .size = sizeof who, .binary = 1 };

	ck_assert_int_eq(identify(bob, &who), AQB_CODE_OK);
	ck_assert(bob->is_binary);
	who.binary = -1;
	ck_assert_int_eq(identify(bob, &who), AQB_CODE_OK);
	ck_assert(bob->is_binary);
	who.binary = 0;
	ck_assert_int_eq(identify(bob, &who), AQB_CODE_OK);
	ck_assert(!bob->is_binary);
}
END_TEST

START_TEST(private_messages_go_by_id_and_by_alias_once)
{
	struct aqb_identity who = {
		.size = sizeof who, .binary = -1, .alias = "bobby"
	};

	ck_assert_int_eq(identify(bob, &who), AQB_CODE_OK);
	say(ada,
	    "{'type':'private','to':['%s','bobby','nobody'],"
	    "'id':'p1','ack':true,'payload':7}",
	    bob->id);
	hears(bob, "'type':'private'", "'payload':7", ada->id, "'to':[");
	hears_nothing(bob);
	hears(ada, "'type':'ack'", "'request_id':'p1'", "'delivered':1",
	    "'missing':['nobody']", "'stored':'none'");
}
END_TEST

START_TEST(n8_a_private_message_to_nobody_is_refused)
{
	say(ada, "{'type':'private','to':'nobody','id':'p1'}");
	hears(ada, "'type':'error'", "'request_id':'p1'", "TARGET_NOT_FOUND");
}
END_TEST

START_TEST(payload_target_is_read_too)
{
	say(ada, "{'type':'private','payload':{'target':'%s'}}", bob->id);
	hears(bob, "'type':'private'");
}
END_TEST

START_TEST(system_messages_need_the_admin_capability)
{
	say(ada, "{'type':'system','room':'*'}");
	hears(ada, "FORBIDDEN");
	hears_nothing(bob);
}
END_TEST

START_TEST(an_admin_reaches_everybody)
{
	struct peer *root = come("token=open%20sesame");

	say(root, "{'type':'system','room':'*','payload':'all'}");
	hears(ada, "'type':'system'", "'payload':'all'", root->id);
	hears(bob, "'payload':'all'");
	hears_nothing(root);
}
END_TEST

START_TEST(a_system_message_to_a_channel_has_a_position)
{
	struct peer *root = come_with_token("", "open sesame");

	meet("science", "explore");
	say(root, "{'type':'system','channel':'science:explore'}");
	hears(ada, "'type':'system'", "'seq':1");
}
END_TEST

START_TEST(who_left_hears_no_more)
{
	meet("science", "explore");
	ck_assert_int_eq(leave(bob, "science", "explore"), AQB_CODE_OK);
	ck_assert_int_eq(leave(bob, "science", "explore"),
	    AQB_CODE_NOT_A_MEMBER);
	say(ada, "{'type':'event','channel':'science:explore'}");
	hears_nothing(bob);
}
END_TEST

START_TEST(messages_come_in_the_order_of_their_positions)
{
	meet("science", "explore");
	for (int i = 0; i < 50; i++) {
		say(i % 2 ? ada : eve,
		    "{'type':'event','channel':'science:explore','payload':%d}",
		    i);
	}
	for (int i = 0; i < 50; i++) {
		const char *text = hears(bob, "'type':'event'");

		ck_assert_int_eq((int)number_in(text, "payload"), i);
		ck_assert_uint_eq(number_in(text, "seq"), (unsigned)i + 1);
	}
}
END_TEST

START_TEST(who_is_lost_disturbs_nobody)
{
	meet("science", "explore");
	go(bob);
	say(ada, "{'type':'event','channel':'science:explore','ack':true}");
	hears(ada, "'type':'ack'");
	ck_assert_uint_eq(channel_now("science", "explore").member_count, 1);
}
END_TEST

START_TEST(a_telemetry_frame_goes_to_no_client)
{
	meet("science", "explore");
	say(ada,
	    "{'type':'telemetry','ack':true,'id':'t',"
	    "'payload':{'event_type':'my_event'}}");
	hears(ada, "'type':'ack'", "'stored':'none'");
	hears_nothing(bob);
	say(ada, "{'type':'telemetry','payload':{}}");
	hears(ada, "INVALID_ENVELOPE", "payload.event_type");
}
END_TEST

START_TEST(nobody_speaks_for_the_broker_in_telemetry)
{
	static const char *const own[] = { "auth_denied", "client_connected",
		"message_published", "server_stopping", "stats", "gap",
		"telemetry_connected" };

	meet("science", "explore");
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		say(ada,
		    "{'type':'telemetry','ack':true,"
		    "'payload':{'event_type':'%s'}}",
		    own[i]);
		hears(ada, "INVALID_ARGUMENT", "'field':'payload.event_type'");
	}
	say(ada,
	    "{'type':'telemetry','ack':true,"
	    "'payload':{'event_type':'a','eventType':'\\u0073tats'}}");
	hears(ada, "INVALID_ARGUMENT", "stats is the broker");
}
END_TEST

START_TEST(a_ping_is_answered)
{
	say(ada, "{'type':'ping','id':'p'}");
	hears(ada, "'type':'pong'", "'request_id':'p'");
}
END_TEST

START_TEST(ids_and_stamps_of_ours_are_always_there)
{
	const char *text;

	meet("science", "explore");
	say(ada,
	    "{'type':'event','channel':'science:explore',"
	    "'from':'spoofed','timestamp':'2001-01-01T00:00:00Z'}");
	text = hears(bob, "'id':'arq_", "'from':'arq_client_");
	ck_assert_ptr_null(strstr(text, "spoofed"));
	ck_assert_ptr_null(strstr(text, "2001"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-route");
	TCase *t = tcase_create("route");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, an_event_reaches_the_members_but_its_sender);
	tcase_add_test(t, a_turn_has_an_end);
	tcase_add_test(t, a_message_keeps_its_type);
	tcase_add_test(t, who_joined_with_echo_hears_itself);
	tcase_add_test(t, each_way_to_name_a_channel_means_the_same);
	tcase_add_test(t, a_channel_alone_is_in_the_room_joined_last);
	tcase_add_test(t, a_channel_alone_is_else_in_the_default_room);
	tcase_add_test(t, a_room_reaches_each_of_its_members_once);
	tcase_add_test(t, a_room_reaches_who_came_back_to_an_empty_channel);
	tcase_add_test(t, what_cannot_be_addressed_is_refused);
	tcase_add_test(t, a_publish_makes_its_channel);
	tcase_add_test(t, without_auto_create_it_does_not);
	tcase_add_test(t, n7_only_members_publish_where_membership_is_required);
	tcase_add_test(t, who_takes_binary_says_so_once);
	tcase_add_test(t, private_messages_go_by_id_and_by_alias_once);
	tcase_add_test(t, n8_a_private_message_to_nobody_is_refused);
	tcase_add_test(t, payload_target_is_read_too);
	tcase_add_test(t, system_messages_need_the_admin_capability);
	tcase_add_test(t, an_admin_reaches_everybody);
	tcase_add_test(t, a_system_message_to_a_channel_has_a_position);
	tcase_add_test(t, who_left_hears_no_more);
	tcase_add_test(t, messages_come_in_the_order_of_their_positions);
	tcase_add_test(t, who_is_lost_disturbs_nobody);
	tcase_add_test(t, a_telemetry_frame_goes_to_no_client);
	tcase_add_test(t, nobody_speaks_for_the_broker_in_telemetry);
	tcase_add_test(t, a_ping_is_answered);
	tcase_add_test(t, ids_and_stamps_of_ours_are_always_there);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

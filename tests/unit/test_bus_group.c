/* SPDX-License-Identifier: Apache-2.0 */

/* Groups: each message to one member, until it is done. */

#include "group_fake.h"

static struct peer *ada, *bob, *cy, *dee;

static void
setup(void)
{
	bus_setup();
	ada = come(""); /* who publishes */
	bob = come("");
	cy = come("");
	dee = come("");
}

static void
teardown(void)
{
	telemetry_remove_sink(&sink, NULL);
	bus_teardown();
}

START_TEST(each_message_goes_to_one_member_by_turns)
{
	work(bob, false);
	work(cy, false);
	work(dee, false);
	publish_to(ada, "d", 1, 9);
	for (int i = 1; i <= 9; i += 3) {
		hears_work(bob, i, 1);
		hears_work(cy, i + 1, 1);
		hears_work(dee, i + 2, 1);
	}
	hears_nothing(bob);
	hears_nothing(cy);
	hears_nothing(dee);
	hears_nothing(ada);
	ck_assert_uint_eq(metric_now("arqonbus_group_delivered_total"), 9);
	ck_assert_uint_eq(group_now().waiting + group_now().unacked, 0);
}
END_TEST

START_TEST(ordinary_members_and_other_groups_hear_everything)
{
	join(ada, "c", "d");
	work(bob, false);
	work_as(cy, "d", "h", true, false);
	join(dee, "c", "d");
	publish_to(ada, "d", 1, 3);
	for (int i = 1; i <= 3; i++) {
		hears_work(bob, i, 1);
		hears_work(cy, i, 1);
		hears_work(dee, i, 1);
	}
	hears_nothing(ada);
	ck_assert_uint_eq(channel_now("c", "d").member_count, 4);
}
END_TEST

START_TEST(what_is_acked_is_done)
{
	work(bob, true);
	work(cy, true);
	publish_to(ada, "d", 1, 2);
	acks(bob, hears_work(bob, 1, 1));
	acks(cy, hears_work(cy, 2, 1));
	ck_assert_uint_eq(group_now().unacked, 0);
	time_passes(100000);
	hears_nothing(bob);
	hears_nothing(cy);
	ck_assert_uint_eq(metric_now("arqonbus_group_acked_total"), 2);
	ck_assert_uint_eq(metric_now("arqonbus_group_redelivered_total"), 0);
}
END_TEST

START_TEST(what_is_not_acked_in_time_goes_to_another)
{
	const char *text;

	work(bob, true);
	work(cy, true);
	publish_to(ada, "d", 1, 1);
	hears_work(bob, 1, 1);
	time_passes(29900);
	hears_nothing(cy);
	time_passes(300);
	text = hears_work(cy, 1, 2);
	hears_nothing(bob);
	acks(cy, text);
	time_passes(100000);
	hears_nothing(bob);
	hears_nothing(cy);
	ck_assert_uint_eq(metric_now("arqonbus_group_expired_total"), 1);
}
END_TEST

START_TEST(each_has_its_own_time_to_be_acked)
{
	work(bob, true);
	publish_to(ada, "d", 1, 1);
	time_passes(10000);
	publish_to(ada, "d", 2, 2);
	hears_work(bob, 1, 1);
	acks(bob, hears_work(bob, 2, 1));
	publish_to(ada, "d", 3, 3);
	hears_work(bob, 3, 1);
	time_passes(20200);
	hears_work(bob, 1, 2);
	hears_nothing(bob);
	time_passes(10000);
	hears_work(bob, 3, 2);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_is_given_back_goes_to_another_at_once)
{
	work(bob, true);
	work(cy, true);
	publish_to(ada, "d", 1, 1);
	gives_back(bob, hears_work(bob, 1, 1));
	gives_back(cy, hears_work(cy, 1, 2));
	acks(bob, hears_work(bob, 1, 3));
	hears_nothing(cy);
	ck_assert_uint_eq(metric_now("arqonbus_group_refused_total"), 2);
	ck_assert_uint_eq(metric_now("arqonbus_group_redelivered_total"), 2);
}
END_TEST

START_TEST(who_is_alone_gets_it_again)
{
	work(bob, true);
	publish_to(ada, "d", 1, 1);
	gives_back(bob, hears_work(bob, 1, 1));
	acks(bob, hears_work(bob, 1, 2));
	hears_nothing(bob);
}
END_TEST

START_TEST(who_goes_gives_back_what_it_has_in_its_order)
{
	work(bob, true);
	publish_to(ada, "d", 1, 4);
	acks(bob, hears_work(bob, 1, 1));
	work(cy, true);
	if (_i == 0) {
		go(bob);
	} else {
		leave(bob, "c", "d");
	}
	for (int i = 2; i <= 4; i++) {
		hears_work(cy, i, 2);
	}
	hears_nothing(cy);
	ck_assert_uint_eq(group_now().members, 1);
	ck_assert_uint_eq(group_now().unacked, 3);
}
END_TEST

/* What auto means: done when it is posted, at most once. */
START_TEST(without_acks_what_was_posted_is_done)
{
	work(bob, false);
	work(cy, false);
	publish_to(ada, "d", 1, 2);
	go(bob);
	hears_work(cy, 2, 1);
	hears_nothing(cy);
	publish_to(ada, "d", 3, 3);
	hears_work(cy, 3, 1);
}
END_TEST

START_TEST(what_nobody_can_do_goes_to_the_dead)
{
	const char *text;

	watch("group_message_dead");
	join(dee, "c", "d.dead");
	work(bob, true);
	work(cy, true);
	say(ada,
	    "{'type':'message','id':'sick','channel':'c:d',"
	    "'payload':{'a': [1]},'metadata':{'m':2}}");
	gives_back(bob, hears(bob, "'id':'sick'"));
	gives_back(cy, hears(cy, "'delivery_count':2,"));
	hears(bob, "'delivery_count':3,");
	leave(bob, "c", "d");
	hears(cy, "'delivery_count':4,");
	time_passes(30200);
	hears(cy, "'delivery_count':5,");
	hears_nothing(dee);
	go(cy); /* it had it for the fifth time */
	text = hears(dee, "'type':'message'", "'id':'sick'",
	    "'channel':'d.dead'", "'seq':1,", "'payload':{'a': [1]}",
	    "'metadata':{'m':2}", ada->id);
	ck_assert_ptr_null(strstr(text, "delivery_count"));
	hears_nothing(dee);
	ck_assert_uint_eq(group_now().waiting, 0);
	ck_assert_uint_eq(metric_now("arqonbus_group_dead_total"), 1);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
	ck_assert_uint_eq(told_count, 1);
	ck_assert_ptr_nonnull(strstr(told, "\"deliveries\":5"));
	ck_assert_ptr_nonnull(strstr(told, "\"sick\""));
}
END_TEST

START_TEST(the_dead_need_no_auto_create_but_a_name)
{
	char name[AQB_NAME_MAX + 1];

	settings.auto_create = false;
	settings.bootstrap = "c:d,c:0123456789012345678901234567890123456789"
			     "01234567890123456789";
	settings.group_max_deliveries = 1;
	bus_remake();
	watch("group_messages_lost");
	ada = come("");
	bob = come("");
	work(bob, true);
	publish_to(ada, "d", 1, 1);
	gives_back(bob, hears_work(bob, 1, 1));
	ck_assert(is_there("c", "d.dead"));
	ck_assert_uint_eq(channel_now("c", "d.dead").message_count, 1);
	ck_assert_uint_eq(told_count, 0);

	snprintf(name, sizeof name, "%s", strchr(settings.bootstrap, ',') + 3);
	work_as(bob, name, "g", true, false);
	publish_to(ada, name, 2, 2);
	leave(bob, "c", name);
	ck_assert_uint_eq(told_count, 1);
	ck_assert_ptr_nonnull(strstr(told, "\"reason\":\"dead_letter\""));
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 1);
}
END_TEST

START_TEST(a_dead_one_that_is_not_stored_is_counted)
{
	settings.group_max_deliveries = 1;
	bus_remake();
	ada = come("");
	bob = come("");
	work(bob, true);
	publish_to(ada, "d", 1, 1);
	backend.mode = BACKEND_REFUSES;
	backend.error = AQB_EUNAVAIL;
	gives_back(bob, hears_work(bob, 1, 1));
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 1);
}
END_TEST

static void
is_no_work_of(struct peer *peer, const char *where, const char *seq)
{
	say(peer, "{'type':'ack','id':'k','channel':'%s',%s}", where, seq);
	hears(peer, "'type':'error'", "'request_id':'k'",
	    "'code':'INVALID_ARGUMENT'", "'field':'seq'");
}

START_TEST(an_ack_is_of_what_one_has)
{
	char text[512];

	work(bob, true);
	work(cy, false);
	join(dee, "c", "d");
	publish_to(ada, "d", 1, 2);
	snprintf(text, sizeof text, "%s", hears_work(bob, 1, 1));
	is_no_work_of(bob, "c:d", "'seq':2,'epoch':'e1'");
	is_no_work_of(bob, "c:d", "'seq':1,'epoch':'other'");
	is_no_work_of(bob, "c:nowhere", "'seq':1,'epoch':'e1'");
	is_no_work_of(ada, "c:d", "'seq':1,'epoch':'e1'");
	hears_work(cy, 2, 1);
	say_ack(cy, text, "");
	hears(cy, "'field':'seq'");
	hears_work(dee, 1, 1);
	hears_work(dee, 2, 1);
	say_ack(dee, text, "");
	hears(dee, "'field':'seq'");
	ck_assert_uint_eq(group_now().unacked, 1);
	acks(bob, text);
	hears_nothing(bob);
	acks(bob, text);
	hears(bob, "'code':'INVALID_ARGUMENT'", "seq: no message 1 of c:d");
	ck_assert_uint_eq(metric_now("arqonbus_group_acked_total"), 1);
}
END_TEST

START_TEST(an_ack_that_is_too_late_is_told_so)
{
	char text[512];

	work(bob, true);
	work(cy, true);
	publish_to(ada, "d", 1, 1);
	snprintf(text, sizeof text, "%s", hears_work(bob, 1, 1));
	time_passes(30200);
	hears_work(cy, 1, 2);
	acks(bob, text);
	hears(bob, "'code':'INVALID_ARGUMENT'", "'field':'seq'");
	acks(cy, text);
	hears_nothing(cy);
}
END_TEST

START_TEST(nobody_gets_its_own_unless_it_wants_it)
{
	work(bob, false);
	publish_to(bob, "d", 1, 2);
	publish_to(ada, "d", 3, 3);
	hears_work(bob, 3, 1); /* its own do not keep it from this one */
	hears_nothing(bob);
	ck_assert_uint_eq(group_now().waiting, 2);
	work(cy, true);
	hears_work(cy, 1, 1);
	gives_back(cy, hears_work(cy, 2, 1));
	acks(cy, hears_work(cy, 2, 2));
	leave(cy, "c", "d");
	hears_nothing(bob);
	ck_assert_uint_eq(group_now().waiting, 1);
	work_as(bob, "d", "g", false, true);
	hears_work(bob, 1, 2);
	publish_to(bob, "d", 4, 4);
	hears_work(bob, 4, 1);
}
END_TEST

START_TEST(what_only_senders_could_have_waits_for_each_other)
{
	settings.outbox_limit = 16384;
	bus_remake();
	ada = come("");
	bob = come("");
	work(ada, false);
	work(bob, false);
	publish_to(ada, "d", 1, 2);
	publish_to(bob, "d", 3, 4);
	hears_work(bob, 1, 1);
	hears_work(bob, 2, 1);
	hears_work(ada, 3, 1);
	hears_work(ada, 4, 1);
	leave(bob, "c", "d");
	publish_to(ada, "d", 5, 6);
	publish_to(bob, "d", 7, 7);
	hears_work(ada, 7, 1);
	leave(ada, "c", "d");
	work(bob, false);
	hears_work(bob, 5, 1);
	hears_work(bob, 6, 1);
	hears_nothing(bob);
	hears_nothing(ada);
	ck_assert_uint_eq(group_now().waiting, 0);
}
END_TEST

START_TEST(a_member_has_only_so_many)
{
	const char *text;

	settings.group_max_pending = 2;
	bus_remake();
	ada = come("");
	bob = come("");
	cy = come("");
	work(bob, true);
	publish_to(ada, "d", 1, 5);
	text = hears_work(bob, 1, 1);
	ck_assert_uint_eq(heard(bob), 1);
	ck_assert_uint_eq(group_now().waiting, 3);
	ck_assert_uint_eq(group_now().unacked, 2);
	acks(bob, text);
	hears_work(bob, 2, 1);
	hears_work(bob, 3, 1);
	hears_nothing(bob);
	work(cy, false);
	hears_work(cy, 4, 1);
	hears_work(cy, 5, 1);
	publish_to(ada, "d", 6, 7);
	hears_work(cy, 6, 1);
	hears_work(cy, 7, 1);
	hears_nothing(bob);
}
END_TEST

START_TEST(since_makes_no_sense_in_a_group)
{
	struct aqb_join how = { .size = sizeof how,
		.room = "c",
		.channel = "d",
		.has_since = true,
		.group = "g" };
	struct joined j = join_as(bob, &how);

	ck_assert_int_eq(j.code, AQB_CODE_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(j.message, "group"));
	ck_assert(!is_there("c", "d"));
	j = work_as(bob, "d", ".g", true, false);
	ck_assert_int_eq(j.code, AQB_CODE_INVALID_NAME);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(an_older_plugin_knows_no_groups)
{
	struct aqb_join how = { .size = offsetof(struct aqb_join, group),
		.room = "c",
		.channel = "d",
		.group = "not there" };

	ck_assert_int_eq(join_as(bob, &how).code, AQB_CODE_OK);
	publish_to(ada, "d", 1, 1);
	hears_work(bob, 1, 1);
	ck_assert(!group_now().is_there);
}
END_TEST

START_TEST(a_channel_has_only_so_many_groups)
{
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "g%d", i);
		ck_assert_int_eq(work_as(bob, "d", name, true, false).code,
		    AQB_CODE_OK);
	}
	ck_assert_int_eq(work_as(bob, "d", "g100", true, false).code,
	    AQB_CODE_LIMIT_REACHED);
	publish_to(ada, "d", 1, 1);
	hears_work(bob, 1, 1); /* it stayed where it was */
	ck_assert_int_eq(work_as(bob, "d", "g7", true, false).code,
	    AQB_CODE_OK);
}
END_TEST

START_TEST(who_joins_otherwise_is_something_else)
{
	char text[512];

	join(bob, "c", "d");
	work(bob, true); /* no ordinary member any more */
	publish_to(ada, "d", 1, 1);
	snprintf(text, sizeof text, "%s", hears_work(bob, 1, 1));
	hears_nothing(bob);
	work(bob, true); /* the same again: it keeps what it has */
	ck_assert_uint_eq(group_now().members, 1);
	hears_nothing(bob);
	acks(bob, text);
	publish_to(ada, "d", 2, 2);
	hears_work(bob, 2, 1);
	work(cy, true);
	work_as(bob, "d", "other", false, false);
	hears_work(cy, 2, 2);
	join(bob, "c", "d");
	publish_to(ada, "d", 3, 3);
	hears_work(bob, 3, 1);
	hears_nothing(bob);
	hears_work(cy, 3, 1);
	ck_assert_uint_eq(channel_now("c", "d").member_count, 2);
}
END_TEST

START_TEST(who_has_no_group_in_common_gets_news_of_the_room_all_the_same)
{
	struct peer *admin = come("?token=open%%20sesame");

	(void)admin;
	work(bob, false);
	work(cy, false);
	join(cy, "c", "e");
	say(ada, "{'type':'event','room':'c','payload':7}");
	hears(bob, "'payload':7");
	hears(cy, "'payload':7");
	hears_nothing(bob);
	hears_nothing(cy);
	bus_api(bus)->channel_delete(NULL, ada->id, "c", "d", true, NULL);
	time_passes(0);
	hears(bob, "'event':'channel_deleted'");
	hears(cy, "'event':'channel_deleted'");
	hears_nothing(bob);
}
END_TEST

START_TEST(the_reply_comes_before_the_first_message)
{
	backend.reads_wait = true;
	publish_to(ada, "d", 1, 1);
	work(bob, false);
	publish_to(ada, "d", 2, 2);
	hears_work(bob, 2, 1); /* what was before the group is not its work */
	hears_nothing(bob);
}
END_TEST

START_TEST(what_is_stored_later_is_given_out_in_order)
{
	work(bob, false);
	work(cy, false);
	backend.mode = BACKEND_LATER;
	publish_to(ada, "d", 1, 2);
	backend_answers(1, AQB_OK);
	hears_nothing(bob);
	backend_answers(0, AQB_OK);
	hears_work(bob, 1, 1);
	hears_work(cy, 2, 1);
}
END_TEST

/* Publishers are paused and refused; who works goes on, or nothing would ever
 * be acked. */
START_TEST(who_is_at_work_may_always_ack)
{
	char text[512];

	settings.memory_limit = 100000;
	bus_remake();
	ada = come("");
	bob = come("");
	work(bob, true);
	publish_to(ada, "d", 1, 1);
	snprintf(text, sizeof text, "%s", hears_work(bob, 1, 1));
	backend.bytes = 100000;
	time_passes(100);
	say(bob, "{'type':'event','channel':'c:result','payload':1}");
	hears(bob, "'code':'OVERLOADED'");
	ck_assert(!bob->is_paused);
	acks(bob, text);
	hears_nothing(bob);
	ck_assert_uint_eq(group_now().unacked, 0);
	say(bob, "{'type':'event','channel':'c:result','payload':1}");
	hears(bob, "'code':'OVERLOADED'");
	ck_assert(bob->is_paused);
}
END_TEST

START_TEST(who_is_given_work_while_it_is_paused_may_ack)
{
	settings.memory_limit = 100000;
	bus_remake();
	bob = come("");
	cy = come("");
	work(cy, true);
	work(bob, true);
	publish_to(come(""), "d", 1, 1);
	hears_work(cy, 1, 1);
	backend.bytes = 100000;
	time_passes(100);
	say(bob, "{'type':'event','channel':'c:result','payload':1}");
	hears(bob, "'code':'OVERLOADED'");
	ck_assert(bob->is_paused);
	go(cy); /* what it had is bob's now */
	ck_assert(!bob->is_paused);
	acks(bob, hears_work(bob, 1, 2));
	ck_assert_uint_eq(group_now().unacked, 0);
}
END_TEST

START_TEST(what_groups_keep_counts_as_memory)
{
	settings.memory_limit = 20000;
	bus_remake();
	ada = come("");
	bob = come("");
	work(bob, true);
	ck_assert(!bus_is_short_of_memory(bus));
	for (int i = 1; i < 100 && !bus_is_short_of_memory(bus); i++) {
		publish_to(ada, "d", i, i);
		acks(bob, hears_work(bob, i, 1));
	}
	ck_assert(!bus_is_short_of_memory(bus));
	for (int i = 1; i < 100 && !bus_is_short_of_memory(bus); i++) {
		publish_to(ada, "d", i, i);
	}
	ck_assert(bus_is_short_of_memory(bus));
	go(bob);
	time_passes(61000);
	ck_assert(!bus_is_short_of_memory(bus));
	ck_assert_uint_eq(bus_group_messages(bus), 0);
}
END_TEST

START_TEST(who_joins_again_without_acks_is_given_anew_what_it_had)
{
	work(bob, true);
	publish_to(ada, "d", 1, 2);
	hears_work(bob, 1, 1);
	hears_work(bob, 2, 1);
	work(bob, false);
	hears_work(bob, 1, 2);
	hears_work(bob, 2, 2);
	time_passes(100000);
	hears_nothing(bob);
	ck_assert_uint_eq(group_now().unacked, 0);
	ck_assert_uint_eq(metric_now("arqonbus_group_lost_total"), 0);
}
END_TEST

START_TEST(who_joins_again_with_acks_has_to_ack)
{
	work(bob, false);
	publish_to(ada, "d", 1, 1);
	hears_work(bob, 1, 1);
	work(bob, true);
	publish_to(ada, "d", 2, 2);
	hears_work(bob, 2, 1);
	ck_assert_uint_eq(group_now().unacked, 1);
	work(bob, true); /* the same again changes nothing */
	hears_nothing(bob);
	ck_assert_uint_eq(group_now().unacked, 1);
}
END_TEST

START_TEST(there_are_not_more_groups_than_the_broker_has_room_for)
{
	struct joined j;

	settings.max_channels = 3;
	settings.bootstrap = "";
	bus_remake();
	bob = come("");
	for (int i = 0; i < 3; i++) {
		char name[2] = { (char)('a' + i), '\0' };

		j = work_as(bob, "d", name, false, false);
		ck_assert_int_eq(j.code, AQB_CODE_OK);
	}
	j = work_as(bob, "d", "d", false, false); /* the others linger */
	ck_assert_int_eq(j.code, AQB_CODE_LIMIT_REACHED);
	ck_assert_ptr_nonnull(strstr(j.message, "there are 3"));
	time_passes(120000);
	j = work_as(bob, "d", "d", false, false);
	ck_assert_int_eq(j.code, AQB_CODE_OK);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-group");
	TCase *t = tcase_create("group");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_message_goes_to_one_member_by_turns);
	tcase_add_test(t, ordinary_members_and_other_groups_hear_everything);
	tcase_add_test(t, what_is_acked_is_done);
	tcase_add_test(t, what_is_not_acked_in_time_goes_to_another);
	tcase_add_test(t, each_has_its_own_time_to_be_acked);
	tcase_add_test(t, what_is_given_back_goes_to_another_at_once);
	tcase_add_test(t, who_is_alone_gets_it_again);
	tcase_add_loop_test(t, who_goes_gives_back_what_it_has_in_its_order, 0,
	    2);
	tcase_add_test(t, without_acks_what_was_posted_is_done);
	tcase_add_test(t, what_nobody_can_do_goes_to_the_dead);
	tcase_add_test(t, the_dead_need_no_auto_create_but_a_name);
	tcase_add_test(t, a_dead_one_that_is_not_stored_is_counted);
	tcase_add_test(t, an_ack_is_of_what_one_has);
	tcase_add_test(t, an_ack_that_is_too_late_is_told_so);
	tcase_add_test(t, nobody_gets_its_own_unless_it_wants_it);
	tcase_add_test(t, what_only_senders_could_have_waits_for_each_other);
	tcase_add_test(t, a_member_has_only_so_many);
	tcase_add_test(t, since_makes_no_sense_in_a_group);
	tcase_add_test(t, an_older_plugin_knows_no_groups);
	tcase_add_test(t, a_channel_has_only_so_many_groups);
	tcase_add_test(t, who_joins_otherwise_is_something_else);
	tcase_add_test(t,
	    who_has_no_group_in_common_gets_news_of_the_room_all_the_same);
	tcase_add_test(t, the_reply_comes_before_the_first_message);
	tcase_add_test(t, what_is_stored_later_is_given_out_in_order);
	tcase_add_test(t, who_is_at_work_may_always_ack);
	tcase_add_test(t, who_is_given_work_while_it_is_paused_may_ack);
	tcase_add_test(t, what_groups_keep_counts_as_memory);
	tcase_add_test(t,
	    who_joins_again_without_acks_is_given_anew_what_it_had);
	tcase_add_test(t, who_joins_again_with_acks_has_to_ack);
	tcase_add_test(t,
	    there_are_not_more_groups_than_the_broker_has_room_for);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

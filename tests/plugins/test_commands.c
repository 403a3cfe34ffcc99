/* SPDX-License-Identifier: Apache-2.0 */

/* The built-in commands, on a fake host and a fake bus. */

#include <check.h>
#include <stdio.h>

#include "base/buf.h"
#include "commands_fake.h"
#include "host/params.h"

#define CHANNEL(room, name)                                                \
	"\"room\":\"" room "\",\"channel\":\"" name "\","                  \
	"\"description\":null,\"metadata\":{},\"member_count\":0,"         \
	"\"message_count\":3,\"created_at\":\"2026-01-01T00:00:00.123Z\"," \
	"\"last_activity\":\"2026-01-01T00:00:01.000Z\",\"protected\":false"
#define GROUPS \
	"\"groups\":[{\"name\":\"workers\",\"members\":3,\"waiting\":2,\"unacked\":1}],"
#define HISTORY(ends)                                                 \
	"\"durability\":\"default\",\"slow_policy\":\"drop_oldest\"," \
	"\"history\":{\"size\":500,\"ttl\":60000," ends "}"

static void
setup(void)
{
	commands_setup("commands-builtin");
}

START_TEST(every_command_declares_arguments_the_broker_can_read)
{
	const struct aqb_command *const *c = fake->plugin->commands;
	const char *last = "";
	size_t n = 0;

	for (; *c != NULL; c++, n++) {
		ck_assert_uint_eq((*c)->size, sizeof(struct aqb_command));
		ck_assert_uint_eq((*c)->flags, 0);
		ck_assert_pstr_eq(params_wrong((*c)->params), NULL);
		ck_assert_str_gt((*c)->name, last);
		ck_assert_str_ne((*c)->summary, "");
		last = (*c)->name;
	}
	ck_assert_uint_eq(n, 11);
}
END_TEST

START_TEST(status_tells_how_the_broker_is)
{
	call("status", NULL, NULL, NULL);
	assert_result(
	    "{\"server\":{\"name\":\"ArqonBus\",\"version\":\"0.1.0\","
	    "\"uptime_seconds\":7,\"node\":\"n1\"},\"clients\":1,\"rooms\":2,"
	    "\"channels\":8,\"messages\":{\"received\":10,\"delivered\":20,"
	    "\"per_second\":1.500},\"storage\":{\"backend\":\"storage-memory\","
	    "\"state\":\"ok\"},\"latency_ms\":{\"p50\":0.050,\"p90\":0.250,"
	    "\"p99\":12.000}}");
}
END_TEST

START_TEST(ping_tells_the_time)
{
	int n = 0;

	call("ping", NULL, NULL, NULL);
	ck_assert_int_eq(reply.code, AQB_CODE_OK);
	sscanf(reply.result,
	    "{\"pong\":true,\"server_time\":\"2%*3d-%*2d-%*2dT%*2d:%*2d:%*2d."
	    "%*3dZ\"}%n",
	    &n);
	ck_assert_msg(n == (int)reply.len, "%s", reply.result);
}
END_TEST

/* create_channel, delete_channel */

START_TEST(a_channel_is_made_as_it_was_described)
{
	call("create_channel", "r", "c",
	    "{\"description\":\"a test\",\"metadata\":{ \"k\" : [1, 2.50] },"
	    "\"history\":{\"size\":0,\"ttl\":250},"
	    "\"slow_policy\":\"conflate\"}");
	ck_assert_ptr_nonnull(strstr(fake_bus.asked,
	    "create r:c by " FAKE_CALLER " description=a test "
	    "metadata={\"k\":[1,2.50]} size=0 ttl=250 slow=3\n"));
	ck_assert_int_eq(reply.code, AQB_CODE_OK);
}
END_TEST

START_TEST(a_channel_without_settings_gets_the_defaults)
{
	call("create_channel", "r", "c", "{\"history\":{\"size\":null}}");
	ck_assert_ptr_nonnull(strstr(fake_bus.asked,
	    " description=- metadata= size=-1 ttl=-1 slow=0\n"));
}
END_TEST

START_TEST(who_made_a_channel_is_shown_it)
{
	call("create_channel", "r", "c", NULL);
	assert_result("{" CHANNEL("r", "c") ",\"members\":[]," GROUPS
		HISTORY("\"first_seq\":1,\"last_seq\":0,\"epoch\":\"e1\"") "}");
}
END_TEST

START_TEST(a_channel_is_made_even_if_its_history_cannot_be_read)
{
	fake_bus.later = true;
	call("create_channel", "r", "c", NULL);
	ck_assert_uint_eq(reply.times, 0);
	fake_bus.refuse = AQB_CODE_STORAGE_UNAVAILABLE;
	fake_bus_answer();
	assert_result("{" CHANNEL("r", "c") ",\"members\":[]," GROUPS HISTORY(
	    "\"first_seq\":null,\"last_seq\":null,\"epoch\":null") "}");
}
END_TEST

START_TEST(bad_settings_are_named_and_the_bus_is_not_asked)
{
	static const struct {
		const char *args;
		const char *field;
	} bad[] = {
		{ "{\"history\":{\"size\":-1}}", "history.size" },
		{ "{\"history\":{\"size\":1000001}}", "history.size" },
		{ "{\"history\":{\"size\":1.0}}", "history.size" },
		{ "{\"history\":{\"size\":\"9\"}}", "history.size" },
		{ "{\"history\":{\"size\":1,\"ttl\":-1}}", "history.ttl" },
		{ "{\"history\":{\"ttl\":31536000001}}", "history.ttl" },
		{ "{\"history\":{\"ttl\":true}}", "history.ttl" },
		{ "{\"slow_policy\":\"wait\"}", "slow_policy" },
		{ "{\"slow_policy\":\"drop\"}", "slow_policy" },
		{ "{\"durability\":\"for ever\"}", "durability" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		call("create_channel", "r", "c", bad[i].args);
		assert_refused(AQB_CODE_INVALID_ARGUMENT, bad[i].field);
	}
	assert_not_asked();
}
END_TEST

START_TEST(metadata_is_at_most_4_kib_of_json)
{
	char *text = letters('x', 4096 - strlen("{\"k\":\"\"}"));
	char args[5000];

	snprintf(args, sizeof args, "{\"metadata\":{\"k\" : \"%s\"}}", text);
	call("create_channel", "r", "c", args);
	ck_assert_int_eq(reply.code, AQB_CODE_OK);
	snprintf(args, sizeof args, "{\"metadata\":{\"k\":\"%sx\"}}", text);
	call("create_channel", "r", "c", args);
	assert_refused(AQB_CODE_INVALID_ARGUMENT, "metadata");
	free(text);
}
END_TEST

START_TEST(a_channel_is_deleted)
{
	call("delete_channel", "r", "c", NULL);
	assert_asked("delete r:c by " FAKE_CALLER " force=0");
	assert_result("{\"room\":\"r\",\"channel\":\"c\",\"deleted\":true}");
	call("delete_channel", "r", "c", "{\"force\":true}");
	assert_asked("delete r:c by " FAKE_CALLER " force=1");
}
END_TEST

START_TEST(n6_a_channel_that_is_not_empty_is_not_deleted)
{
	fake_bus.refuse = AQB_CODE_CHANNEL_NOT_EMPTY;
	fake_bus.refuse_field = "channel";
	call("delete_channel", "r", "c", NULL);
	assert_refused(AQB_CODE_CHANNEL_NOT_EMPTY, "channel");
}
END_TEST

/* list_channels, channel_info */

START_TEST(channels_are_listed)
{
	fake_bus.channels = 2;
	call("list_channels", NULL, NULL, NULL);
	assert_asked("channels room=- type=- limit=100 cursor=-");
	assert_result("{\"channels\":[{" CHANNEL("r", "c000") "},{" CHANNEL("r",
	    "c001") "}]}");
}
END_TEST

START_TEST(a_channel_shows_its_description_and_metadata)
{
	struct json_object *o;

	fake_bus.channels = 1;
	fake_bus.description = "to \"be\"/not";
	fake_bus.metadata = "{\"k\":[1,{\"x\":null}],\"f\":1.50}";
	call("list_channels", NULL, NULL, NULL);
	ck_assert_ptr_nonnull(strstr(reply.result,
	    "\"description\":\"to \\\"be\\\"/not\","
	    "\"metadata\":{\"k\":[1,{\"x\":null}],\"f\":1.50},"));
	o = result();
	json_object_put(o);
}
END_TEST

START_TEST(a_list_of_channels_goes_on_where_the_page_before_ended)
{
	fake_bus.channels = 3;
	call("list_channels", "r", NULL,
	    "{\"client_type\":\"service\",\"limit\":2}");
	assert_asked("channels room=r type=service limit=2 cursor=-");
	assert_result("{\"channels\":[{" CHANNEL("r", "c000") "},{" CHANNEL("r",
	    "c001") "}],\"next\":\"2\"}");
	call("list_channels", "r", NULL, "{\"limit\":2,\"cursor\":\"2\"}");
	assert_asked("channels room=r type=- limit=2 cursor=2");
	assert_result("{\"channels\":[{" CHANNEL("r", "c002") "}]}");
}
END_TEST

START_TEST(a_page_of_channels_ends_before_the_limit_of_a_reply)
{
	char *description = letters('"', 1000);

	fake_bus.channels = 1000;
	fake_bus.description = description;
	assert_pages_are_cut("list_channels", NULL, NULL, "channels", 1000);
	free(description);
}
END_TEST

START_TEST(a_channel_is_shown_with_its_members_and_history)
{
	fake_bus.clients = 2;
	fake_bus.about = "curious";
	fake_bus.answer.first = 4;
	fake_bus.answer.pos.seq = 9;
	call("channel_info", "r", "c", NULL);
	ck_assert_ptr_nonnull(strstr(fake_bus.asked,
	    "members r:c limit=100 cursor=-\n"));
	assert_asked("read r:c first limit=0 after=0 before=0 since=0 until=0 "
		     "from=-");
	assert_result(
	    "{\"room\":\"r\",\"channel\":\"c\",\"description\":null,"
	    "\"metadata\":{},\"member_count\":2,\"message_count\":3,"
	    "\"created_at\":\"2026-01-01T00:00:00.123Z\","
	    "\"last_activity\":\"2026-01-01T00:00:01.000Z\","
	    "\"protected\":false,\"members\":["
	    "{\"client_id\":\"arq_client_000\",\"alias\":null,"
	    "\"client_type\":null,\"screen_name\":null,\"avatar\":null,"
	    "\"personality\":null,\"joined_at\":\"2026-01-01T00:00:03.000Z\","
	    "\"last_activity\":\"2026-01-01T00:00:02.500Z\"},"
	    "{\"client_id\":\"arq_client_001\",\"alias\":\"ada\","
	    "\"client_type\":\"ai-agent\",\"screen_name\":\"Ada \\\"L\\\"\","
	    "\"avatar\":\"https://x/y.png\",\"personality\":\"curious\","
	    "\"joined_at\":\"2026-01-01T00:00:03.000Z\","
	    "\"last_activity\":\"2026-01-01T00:00:02.500Z\"}]," GROUPS
		HISTORY("\"first_seq\":4,\"last_seq\":9,\"epoch\":\"e1\"") "}");
}
END_TEST

START_TEST(members_come_in_pages)
{
	struct json_object *o;

	fake_bus.clients = 5;
	call("channel_info", "r", "c", "{\"limit\":2,\"cursor\":\"1\"}");
	o = result();
	ck_assert_uint_eq(count_of(o, "members"), 2);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(o,
			     "next")),
	    "3");
	json_object_put(o);
}
END_TEST

START_TEST(a_page_of_members_ends_before_the_limit_of_a_reply)
{
	char *about = letters('x', 2000);
	char *description = letters('"', 1024);
	char *metadata = letters('[', 4096);

	/* The channel itself is as large as it can be, too. */
	snprintf(metadata, 4097, "{\"k\":\"%04084d\"}", 0);
	fake_bus.clients = 1000;
	fake_bus.about = about;
	fake_bus.description = description;
	fake_bus.metadata = metadata;
	assert_pages_are_cut("channel_info", "r", "c", "members", 1000);
	free(about);
	free(description);
	free(metadata);
}
END_TEST

START_TEST(a_channel_whose_history_cannot_be_read_is_not_shown)
{
	fake_bus.later = true;
	call("channel_info", "r", "c", NULL);
	fake_bus.refuse = AQB_CODE_STORAGE_UNAVAILABLE;
	fake_bus_answer();
	assert_refused(AQB_CODE_STORAGE_UNAVAILABLE, NULL);
}
END_TEST

/* join_channel, leave_channel */

START_TEST(a_client_joins)
{
	fake_bus.joined.member_count = 3;
	fake_bus.joined.pos.seq = 17;
	strcpy(fake_bus.joined.pos.epoch, "e\"1");
	call("join_channel", "r", "c", NULL);
	assert_asked("join r:c echo=0 presence=0 since=0 seq=0 epoch=");
	assert_result("{\"room\":\"r\",\"channel\":\"c\",\"member_count\":3,"
		      "\"seq\":17,\"epoch\":\"e\\\"1\"}");
}
END_TEST

START_TEST(a_client_joins_from_where_it_left_off)
{
	fake_bus.joined.was_recovering = true;
	call("join_channel", "r", "c",
	    "{\"echo\":true,\"presence\":true,"
	    "\"since\":{\"seq\":9007199254740992,\"epoch\":\"e1\"}}");
	assert_asked("join r:c echo=1 presence=1 since=1 "
		     "seq=9007199254740992 epoch=e1");
	assert_result("{\"room\":\"r\",\"channel\":\"c\",\"member_count\":0,"
		      "\"seq\":0,\"epoch\":\"\",\"was_recovering\":true,"
		      "\"recovered\":false}");
	fake_bus.joined.recovered = true;
	call("join_channel", "r", "c",
	    "{\"since\":{\"seq\":0,\"epoch\":\"\"}}");
	assert_asked("join r:c echo=0 presence=0 since=1 seq=0 epoch=");
	ck_assert_ptr_nonnull(strstr(reply.result, "\"recovered\":true"));
}
END_TEST

START_TEST(a_join_may_be_answered_later)
{
	fake_bus.later = true;
	call("join_channel", "r", "c", NULL);
	ck_assert_uint_eq(reply.times, 0);
	fake_bus_answer();
	ck_assert_uint_eq(reply.times, 1);
	ck_assert_int_eq(reply.code, AQB_CODE_OK);
}
END_TEST

START_TEST(n1_a_bad_join_is_named_and_the_bus_is_not_asked)
{
	static const struct {
		const char *args;
		const char *field;
	} bad[] = {
		{ "{\"since\":{}}", "since.seq" },
		{ "{\"since\":{\"seq\":-1,\"epoch\":\"e\"}}", "since.seq" },
		{ "{\"since\":{\"seq\":1.5,\"epoch\":\"e\"}}", "since.seq" },
		{ "{\"since\":{\"seq\":\"1\",\"epoch\":\"e\"}}", "since.seq" },
		{ "{\"since\":{\"seq\":null,\"epoch\":\"e\"}}", "since.seq" },
		{ "{\"since\":{\"seq\":9007199254740993,\"epoch\":\"e\"}}",
		    "since.seq" },
		{ "{\"since\":{\"seq\":1}}", "since.epoch" },
		{ "{\"since\":{\"seq\":1,\"epoch\":7}}", "since.epoch" },
		{ "{\"since\":{\"seq\":1,\"epoch\":"
		  "\"0123456789012345678901234567890123456789\"}}",
		    "since.epoch" },
		{ "{\"since\":{\"seq\":1,\"epoch\":\"a\\u0000b\"}}",
		    "since.epoch" },
		{ "{\"group_ack\":\"auto\"}", "group_ack" },
		{ "{\"group\":\"workers\",\"group_ack\":\"soon\"}",
		    "group_ack" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		call("join_channel", "r", "c", bad[i].args);
		assert_refused(AQB_CODE_INVALID_ARGUMENT, bad[i].field);
	}
	assert_not_asked();
}
END_TEST

START_TEST(n5_leaving_says_whether_there_was_anything_to_leave)
{
	call("leave_channel", "r", "c", NULL);
	assert_asked("leave r:c by " FAKE_CALLER);
	assert_result("{\"room\":\"r\",\"channel\":\"c\",\"left\":true}");
	fake_bus.refuse = AQB_CODE_NOT_A_MEMBER;
	call("leave_channel", "r", "c", NULL);
	assert_result("{\"room\":\"r\",\"channel\":\"c\",\"left\":false}");
}
END_TEST

/* identify, help */

START_TEST(a_client_says_who_it_is)
{
	call("identify", NULL, NULL,
	    "{\"client_type\":\"human\",\"screen_name\":\"Ada\","
	    "\"avatar\":\"a\",\"personality\":\"p\",\"alias\":\"ada\","
	    "\"token\":\"t\",\"session\":\"s\",\"binary\":false}");
	assert_asked("identify type=human name=Ada avatar=a personality=p "
		     "alias=ada token=t session=s binary=0");
	assert_result(
	    "{\"client_id\":\"arq_client_001\",\"alias\":\"ada\","
	    "\"client_type\":\"ai-agent\",\"screen_name\":\"Ada \\\"L\\\"\","
	    "\"avatar\":\"https://x/y.png\",\"personality\":null,"
	    "\"joined_at\":null,"
	    "\"last_activity\":\"2026-01-01T00:00:02.500Z\","
	    "\"session\":\"arq_client_001.mac\",\"resumed\":true,"
	    "\"admin\":true,\"binary\":false,"
	    "\"connected_at\":\"2026-01-01T00:00:00.000Z\",\"channels\":2}");
}
END_TEST

START_TEST(what_a_client_does_not_say_stays_and_what_is_empty_goes)
{
	call("identify", NULL, NULL, "{\"screen_name\":\"\"}");
	assert_asked("identify type=- name= avatar=- personality=- alias=- "
		     "token=- session=- binary=-1");
	call("identify", NULL, NULL, "{\"binary\":true,\"alias\":null}");
	assert_asked("identify type=- name=- avatar=- personality=- alias=- "
		     "token=- session=- binary=1");
}
END_TEST

START_TEST(help_lists_every_command)
{
	struct json_object *o;

	call("help", NULL, NULL, NULL);
	o = result();
	ck_assert_uint_eq(count_of(o, "commands"), 11);
	json_object_put(o);
}
END_TEST

START_TEST(help_shows_the_arguments_of_one)
{
	call("help", NULL, NULL, "{\"command\":\"list_channels\"}");
	assert_result(
	    "{\"commands\":[{\"name\":\"list_channels\",\"arguments\":["
	    "{\"name\":\"room\",\"type\":\"name\",\"required\":false},"
	    "{\"name\":\"client_type\",\"type\":\"string\","
	    "\"required\":false},"
	    "{\"name\":\"limit\",\"type\":\"integer\",\"required\":false,"
	    "\"default\":100},"
	    "{\"name\":\"cursor\",\"type\":\"string\",\"required\":false}],"
	    "\"description\":\"the channels of a room, or of all rooms\","
	    "\"admin\":false}]}");
	call("help", NULL, NULL, "{\"command\":\"delete_channel\"}");
	ck_assert_ptr_nonnull(strstr(reply.result,
	    "{\"name\":\"room\",\"type\":\"name\",\"required\":true}"));
	ck_assert_ptr_nonnull(strstr(reply.result,
	    "{\"name\":\"force\",\"type\":\"boolean\",\"required\":false}"));
}
END_TEST

START_TEST(help_for_what_is_not_there_says_so)
{
	call("help", NULL, NULL, "{\"command\":\"dance\"}");
	assert_refused(AQB_CODE_UNKNOWN_COMMAND, "command");
}
END_TEST

START_TEST(what_the_bus_refuses_is_refused)
{
	assert_passes_refusal_on("create_channel", "r", "c", NULL);
	assert_passes_refusal_on("delete_channel", "r", "c", NULL);
	assert_passes_refusal_on("list_channels", NULL, NULL, NULL);
	assert_passes_refusal_on("channel_info", "r", "c", NULL);
	assert_passes_refusal_on("join_channel", "r", "c", NULL);
	assert_passes_refusal_on("leave_channel", "r", "c", NULL);
	assert_passes_refusal_on("identify", NULL, NULL, NULL);
	assert_passes_refusal_on("history", "r", "c", NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commands-builtin");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, commands_teardown);
	tcase_add_test(tc,
	    every_command_declares_arguments_the_broker_can_read);
	tcase_add_test(tc, status_tells_how_the_broker_is);
	tcase_add_test(tc, ping_tells_the_time);
	tcase_add_test(tc, a_channel_is_made_as_it_was_described);
	tcase_add_test(tc, a_channel_without_settings_gets_the_defaults);
	tcase_add_test(tc, who_made_a_channel_is_shown_it);
	tcase_add_test(tc,
	    a_channel_is_made_even_if_its_history_cannot_be_read);
	tcase_add_test(tc, bad_settings_are_named_and_the_bus_is_not_asked);
	tcase_add_test(tc, metadata_is_at_most_4_kib_of_json);
	tcase_add_test(tc, a_channel_is_deleted);
	tcase_add_test(tc, n6_a_channel_that_is_not_empty_is_not_deleted);
	tcase_add_test(tc, channels_are_listed);
	tcase_add_test(tc, a_channel_shows_its_description_and_metadata);
	tcase_add_test(tc,
	    a_list_of_channels_goes_on_where_the_page_before_ended);
	tcase_add_test(tc, a_page_of_channels_ends_before_the_limit_of_a_reply);
	tcase_add_test(tc, a_channel_is_shown_with_its_members_and_history);
	tcase_add_test(tc, members_come_in_pages);
	tcase_add_test(tc, a_page_of_members_ends_before_the_limit_of_a_reply);
	tcase_add_test(tc, a_channel_whose_history_cannot_be_read_is_not_shown);
	tcase_add_test(tc, a_client_joins);
	tcase_add_test(tc, a_client_joins_from_where_it_left_off);
	tcase_add_test(tc, a_join_may_be_answered_later);
	tcase_add_test(tc, n1_a_bad_join_is_named_and_the_bus_is_not_asked);
	tcase_add_test(tc, n5_leaving_says_whether_there_was_anything_to_leave);
	tcase_add_test(tc, a_client_says_who_it_is);
	tcase_add_test(tc,
	    what_a_client_does_not_say_stays_and_what_is_empty_goes);
	tcase_add_test(tc, help_lists_every_command);
	tcase_add_test(tc, help_shows_the_arguments_of_one);
	tcase_add_test(tc, help_for_what_is_not_there_says_so);
	tcase_add_test(tc, what_the_bus_refuses_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The admin's commands, on a fake host and a fake bus. */

#include <check.h>
#include <stdio.h>

#include "commands_fake.h"
#include "host/params.h"

#define NOBODY                                                          \
	"\"client_id\":\"arq_client_000\",\"alias\":null,"              \
	"\"client_type\":null,\"screen_name\":null,\"avatar\":null,"    \
	"\"personality\":null,\"joined_at\":null,"                      \
	"\"last_activity\":\"2026-01-01T00:00:02.500Z\","               \
	"\"address\":\"127.0.0.1:40000\","                              \
	"\"connected_at\":\"2026-01-01T00:00:00.000Z\",\"channels\":2," \
	"\"messages_received\":5,\"admin\":false,\"resumed\":false"
#define ADA                                                               \
	"\"client_id\":\"arq_client_001\",\"alias\":\"ada\","             \
	"\"client_type\":\"ai-agent\",\"screen_name\":\"Ada \\\"L\\\"\"," \
	"\"avatar\":\"https://x/y.png\",\"personality\":null,"            \
	"\"joined_at\":null,"                                             \
	"\"last_activity\":\"2026-01-01T00:00:02.500Z\","                 \
	"\"address\":\"127.0.0.1:40000\","                                \
	"\"connected_at\":\"2026-01-01T00:00:00.000Z\",\"channels\":2,"   \
	"\"messages_received\":5,\"admin\":true,\"resumed\":true"

static void
setup(void)
{
	commands_setup("commands-admin");
}

START_TEST(n11_every_command_is_for_admins_only)
{
	const struct aqb_command *const *c = fake->plugin->commands;
	size_t n = 0;

	for (; *c != NULL; c++, n++) {
		ck_assert_uint_eq((*c)->flags, AQB_CMD_ADMIN);
		ck_assert_uint_eq((*c)->size, sizeof(struct aqb_command));
		ck_assert_pstr_eq(params_wrong((*c)->params), NULL);
	}
	ck_assert_uint_eq(n, 7);
}
END_TEST

START_TEST(list_clients_shows_all_about_each)
{
	fake_bus.clients = 2;
	call("list_clients", NULL, NULL, NULL);
	assert_asked("clients type=- limit=100 cursor=-");
	assert_result("{\"clients\":[{" NOBODY "},{" ADA "}]}");
}
END_TEST

START_TEST(list_clients_goes_on_where_the_page_before_ended)
{
	fake_bus.clients = 3;
	call("list_clients", NULL, NULL,
	    "{\"client_type\":\"human\",\"limit\":1}");
	assert_asked("clients type=human limit=1 cursor=-");
	assert_result("{\"clients\":[{" NOBODY "}],\"next\":\"1\"}");
	call("list_clients", NULL, NULL, "{\"limit\":1,\"cursor\":\"1\"}");
	assert_asked("clients type=- limit=1 cursor=1");
	assert_result("{\"clients\":[{" ADA "}],\"next\":\"2\"}");
}
END_TEST

START_TEST(a_page_of_clients_ends_before_the_limit_of_a_reply)
{
	char *about = letters('x', 2000);

	fake_bus.clients = 1000;
	fake_bus.about = about;
	assert_pages_are_cut("list_clients", NULL, NULL, "clients", 1000);
	free(about);
}
END_TEST

START_TEST(client_info_shows_one)
{
	call("client_info", NULL, NULL, "{\"client_id\":\"ada\"}");
	assert_asked("client ada");
	assert_result("{" ADA "}");
}
END_TEST

START_TEST(who_is_kicked_by_alias_is_named_by_id)
{
	call("kick", NULL, NULL,
	    "{\"client_id\":\"ada\",\"reason\":\"noisy\"}");
	assert_asked("kick ada reason=noisy");
	assert_result("{\"client_id\":\"arq_client_001\",\"kicked\":true}");
	ck_assert(fake_logged(fake, FAKE_CALLER " kicks arq_client_001"));
}
END_TEST

START_TEST(a_kick_needs_no_reason)
{
	call("kick", NULL, NULL, "{\"client_id\":\"arq_client_001\"}");
	assert_asked("kick arq_client_001 reason=-");
	ck_assert_int_eq(reply.code, AQB_CODE_OK);
}
END_TEST

START_TEST(a_broadcast_of_text_is_a_message)
{
	call("broadcast", NULL, NULL, "{\"message\":\"back at 5/6\"}");
	assert_asked("broadcast room=- channel=- "
		     "payload={\"message\":\"back at 5/6\"}");
	assert_result("{\"delivered\":42}");
}
END_TEST

START_TEST(a_broadcast_of_an_object_goes_as_it_is)
{
	call("broadcast", "r", NULL, "{\"message\":{\"a\":[1,null]}}");
	assert_asked("broadcast room=r channel=- payload={\"a\":[1,null]}");
	call("broadcast", "r", "c", "{\"message\":[1]}");
	assert_asked("broadcast room=r channel=c payload={\"message\":[1]}");
}
END_TEST

START_TEST(plugins_lists_them)
{
	const struct aqb_plugin_info info[] = {
		{ .size = sizeof info[0],
		    .name = "a",
		    .version = "1",
		    .summary = "does a",
		    .file = "/x/a.so",
		    .state = "running",
		    .kinds = "storage",
		    .required = true },
		{ .size = sizeof info[0],
		    .name = "b",
		    .file = "/x/b.so",
		    .state = "failed",
		    .kinds = "" },
	};

	fake->plugins = info;
	fake->plugin_count = 2;
	call("plugins", NULL, NULL, NULL);
	assert_result("{\"plugins\":[{\"name\":\"a\",\"version\":\"1\","
		      "\"summary\":\"does a\",\"file\":\"/x/a.so\","
		      "\"state\":\"running\",\"kinds\":\"storage\","
		      "\"required\":true},{\"name\":\"b\",\"version\":null,"
		      "\"summary\":null,\"file\":\"/x/b.so\","
		      "\"state\":\"failed\",\"kinds\":\"\","
		      "\"required\":false}]}");
	call("plugins", NULL, NULL, "{\"action\":\"list\"}");
	ck_assert_int_eq(reply.code, AQB_CODE_OK);
}
END_TEST

START_TEST(plugins_are_only_listed_in_this_version)
{
	static const char *const action[] = { "load", "unload", "reload", "x" };

	call("plugins", NULL, NULL, "{\"action\":\"load\"}");
	for (size_t i = 0; i < sizeof action / sizeof action[0]; i++) {
		char args[64];

		snprintf(args, sizeof args, "{\"action\":\"%s\"}", action[i]);
		call("plugins", NULL, NULL, args);
		assert_refused(AQB_CODE_INVALID_ARGUMENT, "action");
		ck_assert_ptr_nonnull(strstr(reply.why, "only \"list\""));
	}
}
END_TEST

START_TEST(config_is_what_the_broker_says)
{
	fake->config = "{\"server\":{\"port\":9100}}";
	call("config", NULL, NULL, NULL);
	assert_result("{\"server\":{\"port\":9100}}");
	fake->config = NULL;
	call("config", NULL, NULL, NULL);
	assert_refused(AQB_CODE_INTERNAL, NULL);
}
END_TEST

START_TEST(log_level_is_shown_and_set)
{
	call("log_level", NULL, NULL, NULL);
	assert_result("{\"level\":\"info\"}");
	call("log_level", NULL, NULL, "{\"level\":\"debug\"}");
	assert_result("{\"level\":\"debug\"}");
	ck_assert_str_eq(fake->level, "debug");
	call("log_level", NULL, NULL, "{\"level\":\"loud\"}");
	assert_refused(AQB_CODE_INVALID_ARGUMENT, "level");
	ck_assert_str_eq(fake->level, "debug");
}
END_TEST

START_TEST(what_the_bus_refuses_is_refused)
{
	assert_passes_refusal_on("list_clients", NULL, NULL, NULL);
	assert_passes_refusal_on("client_info", NULL, NULL,
	    "{\"client_id\":\"x\"}");
	assert_passes_refusal_on("kick", NULL, NULL, "{\"client_id\":\"x\"}");
	assert_asked("client x");
	assert_passes_refusal_on("broadcast", NULL, NULL, "{\"message\":1}");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commands-admin");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, commands_teardown);
	tcase_add_test(tc, n11_every_command_is_for_admins_only);
	tcase_add_test(tc, list_clients_shows_all_about_each);
	tcase_add_test(tc, list_clients_goes_on_where_the_page_before_ended);
	tcase_add_test(tc, a_page_of_clients_ends_before_the_limit_of_a_reply);
	tcase_add_test(tc, client_info_shows_one);
	tcase_add_test(tc, who_is_kicked_by_alias_is_named_by_id);
	tcase_add_test(tc, a_kick_needs_no_reason);
	tcase_add_test(tc, a_broadcast_of_text_is_a_message);
	tcase_add_test(tc, a_broadcast_of_an_object_goes_as_it_is);
	tcase_add_test(tc, plugins_lists_them);
	tcase_add_test(tc, plugins_are_only_listed_in_this_version);
	tcase_add_test(tc, config_is_what_the_broker_says);
	tcase_add_test(tc, log_level_is_shown_and_set);
	tcase_add_test(tc, what_the_bus_refuses_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

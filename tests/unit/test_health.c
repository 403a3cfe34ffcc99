/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "host/health.h"

static char text[512];

static void
setup(void)
{
	health_reset();
	health_beat();
}

static const char *
says(const char *key)
{
	static char word[64];
	struct json_object *page = json_tokener_parse(text);
	struct json_object *value = NULL;

	ck_assert_msg(page != NULL, "no JSON: %s", text);
	ck_assert_msg(json_object_object_get_ex(page, key, &value), "no %s: %s",
	    key, text);
	snprintf(word, sizeof word, "%s",
	    json_object_is_type(value, json_type_object)
		? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN)
		: json_object_get_string(value));
	json_object_put(page);
	return word;
}

static int
health(void)
{
	return health_text(false, text, sizeof text);
}

START_TEST(a_broker_without_trouble_is_ok)
{
	ck_assert_int_eq(health(), 200);
	ck_assert_str_eq(says("status"), "ok");
	ck_assert_str_eq(says("core"), "ok");
	ck_assert_str_eq(says("storage"), "ok");
	ck_assert_str_eq(says("uptime_seconds"), "0");
	ck_assert_str_eq(says("plugins"), "{}");
}
END_TEST

START_TEST(degraded_storage_still_serves)
{
	health_set_storage(HEALTH_DEGRADED);
	ck_assert_int_eq(health(), 200);
	ck_assert_str_eq(says("status"), "degraded");
	ck_assert_str_eq(says("storage"), "degraded");
}
END_TEST

START_TEST(failed_storage_does_not_serve)
{
	health_set_storage(HEALTH_FAILED);
	ck_assert_int_eq(health(), 503);
	ck_assert_str_eq(says("status"), "failed");
	ck_assert_str_eq(says("storage"), "failed");
}
END_TEST

START_TEST(a_broker_that_stops_says_so)
{
	health_set_draining(true);
	ck_assert_int_eq(health(), 503);
	ck_assert_str_eq(says("status"), "draining");
	ck_assert_str_eq(says("core"), "draining");
	ck_assert_int_eq(health_text(true, text, sizeof text), 200);
}
END_TEST

START_TEST(a_failed_plugin_is_named)
{
	health_set_plugin("telemetry-log", "failed");
	health_set_failed_plugins(1);
	ck_assert_int_eq(health(), 200);
	ck_assert_str_eq(says("status"), "degraded");
	ck_assert_str_eq(says("plugins"), "{\"telemetry-log\":\"failed\"}");
	health_set_plugin("telemetry-log", NULL);
	health_set_failed_plugins(0);
	health();
	ck_assert_str_eq(says("status"), "ok");
	ck_assert_str_eq(says("plugins"), "{}");
}
END_TEST

START_TEST(names_that_do_not_fit_are_left_out_and_the_rest_is_whole)
{
	char small[128];
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "p%d", i);
		health_set_plugin(name, "failed");
	}
	ck_assert_int_eq(health_text(false, small, sizeof small), 200);
	memcpy(text, small, sizeof small);
	ck_assert_str_eq(says("plugins"), "{}");
}
END_TEST

START_TEST(a_core_that_does_not_turn_is_told_after_two_seconds)
{
	uint64_t begun = clock_mono_ms();

	ck_assert_int_eq(health_text(true, text, sizeof text), 200);
	while (!health_is_stalled()) {
		ck_assert_uint_lt(clock_mono_ms() - begun, 10000);
		poll(NULL, 0, 20);
	}
	ck_assert_uint_ge(clock_mono_ms() - begun, 1999); /* both are cut */
	ck_assert_int_eq(health(), 503);
	ck_assert_str_eq(says("status"), "stalled");
	ck_assert_str_eq(says("core"), "stalled");
	ck_assert_int_eq(health_text(true, text, sizeof text), 503);
	ck_assert_str_eq(says("status"), "stalled");
	health_beat();
	ck_assert_int_eq(health_text(true, text, sizeof text), 200);
}
END_TEST

START_TEST(before_the_first_turn_nothing_is_stalled)
{
	health_reset();
	ck_assert(!health_is_stalled());
	ck_assert_int_eq(health(), 200);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("health");
	TCase *t = tcase_create("health");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_broker_without_trouble_is_ok);
	tcase_add_test(t, degraded_storage_still_serves);
	tcase_add_test(t, failed_storage_does_not_serve);
	tcase_add_test(t, a_broker_that_stops_says_so);
	tcase_add_test(t, a_failed_plugin_is_named);
	tcase_add_test(t,
	    names_that_do_not_fit_are_left_out_and_the_rest_is_whole);
	tcase_add_test(t, a_core_that_does_not_turn_is_told_after_two_seconds);
	tcase_add_test(t, before_the_first_turn_nothing_is_stalled);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

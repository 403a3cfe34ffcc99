/* SPDX-License-Identifier: Apache-2.0 */

/* Commands from the request to the reply, with a plugin that takes its time:
 * arqonbus-protocol(7), "COMMANDS". */

#include "bus_fake_priv.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/call.h"
#include "host/metric.h"
#include "host/plugins.h"

#define TIMEOUT_MS 5000

static struct peer *ada;

/* What it was asked. */
static aqb_ticket ticket[8];
static size_t asked;

static void
exec(void *self, aqb_ticket call, const struct aqb_call *what)
{
	(void)self;
	(void)what;
	ticket[asked++] = call;
}

static const struct aqb_command slow = {
	.size = sizeof slow,
	.name = "slow",
	.params = "",
	.summary = "answers when the test says so",
	.exec = exec,
};

/* The registry, which holds one command. */
const struct aqb_command *
plugins_command(const struct plugins *p, const char *name, void **selfp)
{
	(void)p;
	*selfp = NULL;
	return strcmp(name, "slow") == 0 ? &slow : NULL;
}

static void
setup(void)
{
	bus_setup();
	calls_init(&(struct calls_env){
	    .loop = loop, .bus = bus, .timeout = TIMEOUT_MS });
	asked = 0;
	ada = come("");
}

static void
teardown(void)
{
	if (!ada->is_closed) {
		go(ada);
	}
	calls_fini();
	bus_teardown();
}

static void
answer(size_t nth)
{
	calls_reply(ticket[nth], "{}", 2);
	settle();
}

static uint64_t
strays(void)
{
	size_t len;
	char *page, *at;
	uint64_t n;

	metric_snapshot_make();
	page = metric_snapshot(&len);
	at = strstr(page, "\narqonbus_stray_answers_total ");
	ck_assert_ptr_nonnull(at);
	n = strtoull(strrchr(strtok(at, "\n"), ' '), NULL, 10);
	free(page);
	return n;
}

START_TEST(replies_come_in_the_order_of_the_requests)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	say(ada, "{'type':'command','command':'slow','id':'b'}");
	answer(1);
	hears_nothing(ada);
	answer(0);
	hears(ada, "'request_id':'a'", "'status':'success'");
	hears(ada, "'request_id':'b'", "'status':'success'");
}
END_TEST

START_TEST(a_refusal_waits_its_turn_too)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	say(ada, "{'type':'command','command':'fast','id':'b'}");
	hears_nothing(ada);
	answer(0);
	hears(ada, "'request_id':'a'");
	hears(ada, "'request_id':'b'", "UNKNOWN_COMMAND");
}
END_TEST

START_TEST(no_answer_in_time_is_a_timeout_and_a_late_one_a_stray)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	time_passes(TIMEOUT_MS + 100);
	hears(ada, "'request_id':'a'", "'code':'TIMEOUT'");
	answer(0);
	hears_nothing(ada);
	ck_assert_uint_eq(strays(), 1);
}
END_TEST

START_TEST(a_second_answer_is_a_stray)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	answer(0);
	hears(ada, "'request_id':'a'");
	answer(0);
	hears_nothing(ada);
	ck_assert_uint_eq(strays(), 1);
}
END_TEST

START_TEST(an_answer_to_who_is_gone_is_no_stray)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	go(ada);
	answer(0);
	ck_assert_uint_eq(strays(), 0);
	answer(0); /* but a second one is */
	ck_assert_uint_eq(strays(), 1);
}
END_TEST

START_TEST(a_call_of_who_is_gone_is_not_kept_for_ever)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	go(ada);
	time_passes(TIMEOUT_MS + 100);
	answer(0);
	ck_assert_uint_eq(strays(), 1);
}
END_TEST

START_TEST(a_call_that_is_open_at_the_end_is_freed)
{
	say(ada, "{'type':'command','command':'slow','id':'a'}");
	ck_assert_uint_eq(asked, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("call");
	TCase *t = tcase_create("call");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, replies_come_in_the_order_of_the_requests);
	tcase_add_test(t, a_refusal_waits_its_turn_too);
	tcase_add_test(t,
	    no_answer_in_time_is_a_timeout_and_a_late_one_a_stray);
	tcase_add_test(t, a_second_answer_is_a_stray);
	tcase_add_test(t, an_answer_to_who_is_gone_is_no_stray);
	tcase_add_test(t, a_call_of_who_is_gone_is_not_kept_for_ever);
	tcase_add_test(t, a_call_that_is_open_at_the_end_is_freed);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

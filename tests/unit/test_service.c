/* SPDX-License-Identifier: Apache-2.0 */
#include "host_fake.h"

#include <pthread.h>

#include <event2/event.h>

#include "host/service.h"

#undef fail /* check.h has a macro of this name; the table has a member */

static struct service_env env;
static struct service *service;
static const struct aqb_host *host;
static enum aqb_code failed;

static void
fail(aqb_ticket call, enum aqb_code code, const struct aqb_why *why)
{
	ck_assert_uint_eq(call, 9);
	ck_assert_ptr_null(why);
	failed = code;
}

static void
version(char *text, size_t size)
{
	snprintf(text, size, "0.0.0");
}

static char *
config(size_t *lenp)
{
	*lenp = 2;
	return strdup("{}");
}

static void
setup(void)
{
	host_setup();
	env = (struct service_env){
		.loop = loop,
		.desk = desk,
		.hooks = {
			.fail = fail,
			.version = version,
			.config = config,
		},
	};
	service = service_new(&env, "one");
	host = &service->host;
}

static void
teardown(void)
{
	service_drop(&service, false);
	ck_assert_ptr_null(service);
	host_teardown();
}

START_TEST(a_log_line_bears_the_plugins_name)
{
	host->log(host, AQB_WARNING, "%d of %s", 3, "four");
	ck_assert(was_logged("level=warning msg=\"plugin says\" plugin=one "
			     "text=\"3 of four\""));
	host->log(host, (enum aqb_level)77, "strange");
	ck_assert(was_logged("level=error"));
}
END_TEST

static pthread_t core;
static bool ran;

static void
run(void *arg)
{
	ck_assert_ptr_eq(arg, &ran);
	ck_assert(pthread_equal(pthread_self(), core));
	ran = true;
}

static void *
post_it(void *arg)
{
	(void)arg;
	return host->post(host, run, &ran) ? NULL : &ran;
}

START_TEST(a_post_from_another_thread_runs_on_the_core)
{
	pthread_t thread;
	void *result;

	core = pthread_self();
	ran = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, post_it, NULL), 0);
	turn_until(&ran);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
	ck_assert_uint_eq(service_drop(&service, false), 0);
}
END_TEST

START_TEST(a_post_of_a_plugin_that_is_gone_is_counted_and_never_runs)
{
	ran = false;
	ck_assert(host->post(host, run, &ran));
	ck_assert(host->post(host, run, &ran));
	ck_assert_uint_eq(service_drop(&service, false), 2);
	turn_once();
	ck_assert(!ran);
}
END_TEST

START_TEST(a_stray_answer_is_logged_with_the_plugins_name)
{
	host->answer(host, 77, AQB_OK, NULL);
	ck_assert(was_logged(
	    "msg=\"a late or double answer was ignored\" plugin=one"));
}
END_TEST

static enum aqb_err told_err;
static bool told;

static void
on_answer(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	(void)arg;
	(void)answer;
	told_err = err;
	told = true;
}

START_TEST(p8_a_senseless_answer_is_logged_with_the_plugins_name)
{
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, NULL);

	told = false;
	host->answer(host, ticket, (enum aqb_err)12, NULL);
	turn_until(&told);
	ck_assert_int_eq(told_err, AQB_EUNCERTAIN);
	ck_assert(
	    was_logged("msg=\"an answer makes no sense\" plugin=one error=12"));
}
END_TEST

START_TEST(the_log_level_can_be_asked_and_set)
{
	struct aqb_why why = { 0 };

	log_set_level(AQB_INFO);
	ck_assert_str_eq(host->log_level(host, NULL, NULL), "info");
	ck_assert_str_eq(host->log_level(host, "debug", NULL), "debug");
	ck_assert_ptr_null(host->log_level(host, "loud", &why));
	ck_assert_str_eq(why.field, "level");
	ck_assert_str_eq(host->log_level(host, "info", NULL), "info");
}
END_TEST

START_TEST(metrics_are_registered_counted_and_read)
{
	uint32_t sent =
	    host->metrics->counter(host, "arqonbus_one_total", "One.");
	uint32_t open = host->metrics->gauge(host, "arqonbus_one", "One.");
	size_t len;
	char *page;

	host->metrics->add(host, sent, 3);
	host->metrics->set(host, open, 4);
	ck_assert_uint_eq(metric_value("arqonbus_one_total"), 3);
	ck_assert_uint_eq(metric_value("arqonbus_one"), 4);
	page = host->metrics_snapshot(host, &len);
	ck_assert_uint_eq(times(page, "arqonbus_one 4\n"), 1);
	free(page);
}
END_TEST

START_TEST(what_higher_layers_do_goes_through_their_hooks)
{
	char text[256];
	size_t len;
	char *conf;

	host->fail(host, 9, AQB_CODE_BUSY, NULL);
	ck_assert_int_eq(failed, AQB_CODE_BUSY);
	host->version(host, text, sizeof text);
	ck_assert_str_eq(text, "0.0.0");
	conf = host->config(host, &len);
	ck_assert_str_eq(conf, "{}");
	free(conf);
	ck_assert_int_eq(host->health(host, true, text, sizeof text), 200);
	ck_assert_str_eq(host->code_name(AQB_CODE_BUSY), "BUSY");
	ck_assert_ptr_eq(host->loop_base(host), loop_base(loop));
}
END_TEST

START_TEST(every_member_of_the_table_is_there)
{
	const void *const *member = (const void *const *)((const char *)host +
	    offsetof(struct aqb_host, log));
	const void *const *end = (const void *const *)((const char *)host +
	    offsetof(struct aqb_host, bus));

	ck_assert_uint_eq(host->size, sizeof *host);
	for (; member < end; member++) {
		ck_assert_ptr_nonnull(*member);
	}
	ck_assert_ptr_nonnull(host->metrics);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("service");
	TCase *t = tcase_create("service");
	SRunner *r;
	int failures;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_log_line_bears_the_plugins_name);
	tcase_add_test(t, a_post_from_another_thread_runs_on_the_core);
	tcase_add_test(t,
	    a_post_of_a_plugin_that_is_gone_is_counted_and_never_runs);
	tcase_add_test(t, a_stray_answer_is_logged_with_the_plugins_name);
	tcase_add_test(t,
	    p8_a_senseless_answer_is_logged_with_the_plugins_name);
	tcase_add_test(t, the_log_level_can_be_asked_and_set);
	tcase_add_test(t, metrics_are_registered_counted_and_read);
	tcase_add_test(t, what_higher_layers_do_goes_through_their_hooks);
	tcase_add_test(t, every_member_of_the_table_is_there);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

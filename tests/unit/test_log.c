/* SPDX-License-Identifier: Apache-2.0 */

/* What is logged, and what becomes of it when the file takes nothing. */

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define PATIENCE_MS 5000

static int reader, real_stderr;
static char got[262144];
static size_t len;

/* The log goes into a pipe that refuses what it has no room for. */
static void
setup(void)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	reader = fd[0];
	len = 0;
	got[0] = '\0';
	ck_assert(log_open(NULL, false));
}

static void
teardown(void)
{
	log_close();
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(reader);
	log_set_level(AQB_INFO);
}

/* Read until this has come. */
static void
expect(const char *text)
{
	struct pollfd p = { .fd = reader, .events = POLLIN };

	while (strstr(got, text) == NULL) {
		ssize_t n;

		ck_assert_msg(poll(&p, 1, PATIENCE_MS) == 1, "no %s in %s",
		    text, got);
		n = read(reader, got + len, sizeof got - 1 - len);
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
		got[len] = '\0';
	}
}

static size_t
times(const char *what)
{
	size_t n = 0;

	for (const char *at = got; (at = strstr(at, what)) != NULL; at++) {
		n++;
	}
	return n;
}

START_TEST(a_line_has_its_time_level_and_fields)
{
	LOG(AQB_WARNING, "it happened", F("who", "ada"), FN("n", -7),
	    F("where", "a b"));
	expect("level=warning msg=\"it happened\" who=ada n=-7 "
	       "where=\"a b\"\n");
	ck_assert_int_eq(strncmp(got, "time=20", 7), 0);
}
END_TEST

START_TEST(json_lines_are_json)
{
	log_close();
	ck_assert(log_open(NULL, true));
	LOG(AQB_INFO, "it happened", F("who", "a\"b"), FN("n", 7));
	expect("\"level\":\"info\",\"msg\":\"it happened\",\"who\":\"a\\\"b\","
	       "\"n\":7}\n");
}
END_TEST

START_TEST(s11_nothing_breaks_out_of_its_line)
{
	LOG(AQB_INFO, "it happened", F("who", "x\nlevel=error\x1b[2J\xff"));
	expect("who=\"x\\nlevel=error\\u001b[2J\xef\xbf\xbd\"\n");
	ck_assert_uint_eq(times("\n"), 1);
}
END_TEST

START_TEST(what_is_under_the_level_is_not_said)
{
	LOG(AQB_DEBUG, "detail");
	log_set_level(AQB_DEBUG);
	LOG(AQB_DEBUG, "more detail");
	expect("more detail");
	ck_assert_uint_eq(times("detail"), 1);
}
END_TEST

START_TEST(a_flood_of_one_sentence_does_not_drown_the_others)
{
	for (int i = 0; i < 10000; i++) {
		LOG(AQB_INFO, "again");
	}
	LOG(AQB_INFO, "something else");
	expect("something else");
	ck_assert_uint_ge(times("again"), 100);
	ck_assert_uint_le(times("again"), 300); /* it may last some seconds */
}
END_TEST

START_TEST(s10_a_torn_line_is_ended_and_the_loss_is_told)
{
	uint64_t before = log_lost();
	char text[6000];
	char page[4096];

	memset(page, 'p', sizeof page);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	while (write(STDERR_FILENO, page, sizeof page) > 0) {
	}
	/* Room for one page: not for the line. */
	ck_assert_int_eq(read(reader, page, sizeof page), sizeof page);
	LOG(AQB_INFO, "torn", F("text", text));
	while (log_lost() == before) {
		usleep(1000);
	}
	LOG(AQB_INFO, "no room");
	while (log_lost() == before + 1) {
		usleep(1000);
	}
	while (read(reader, page, sizeof page) > 0) {
	}
	LOG(AQB_INFO, "after");
	expect("msg=\"after\"");
	ck_assert_int_eq(got[0], '\n');
	ck_assert_ptr_nonnull(strstr(got,
	    "msg=\"log lines were lost\" lines=2\n"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_line_has_its_time_level_and_fields);
	tcase_add_test(t, json_lines_are_json);
	tcase_add_test(t, s11_nothing_breaks_out_of_its_line);
	tcase_add_test(t, what_is_under_the_level_is_not_said);
	tcase_add_test(t, a_flood_of_one_sentence_does_not_drown_the_others);
	tcase_add_test(t, s10_a_torn_line_is_ended_and_the_loss_is_told);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

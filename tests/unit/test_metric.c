/* SPDX-License-Identifier: Apache-2.0 */
#include "host_fake.h"

#include <ctype.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hist.h"
#include "base/mem.h"

static char *page;
static size_t len;

static void
setup(void)
{
	hash_init();
	metric_reset();
	health_reset();
	page = NULL;
}

static void
teardown(void)
{
	free(page);
	metric_reset();
	health_reset();
}

static const char *
read_page(void)
{
	free(page);
	metric_snapshot_make();
	page = metric_snapshot(&len);
	ck_assert_ptr_nonnull(page);
	ck_assert_uint_eq(strlen(page), len);
	return page;
}

#define HAS(line)                                                             \
	ck_assert_msg(times(read_page(), line "\n") == 1, "%s in:\n%s", line, \
	    page)

START_TEST(a_counter_counts)
{
	HAS("arqonbus_clients_total 0");
	metric_add(METRIC_CLIENTS_TOTAL, 1);
	metric_add(METRIC_CLIENTS_TOTAL, 2);
	HAS("arqonbus_clients_total 3");
	HAS("# TYPE arqonbus_clients_total counter");
}
END_TEST

START_TEST(every_code_is_there_before_it_happens)
{
	HAS("arqonbus_rejected_total{code=\"INVALID_JSON\"} 0");
	HAS("arqonbus_rejected_total{code=\"INTERNAL\"} 0");
	metric_add_code(METRIC_REJECTED_TOTAL, AQB_CODE_RATE_LIMITED);
	HAS("arqonbus_rejected_total{code=\"RATE_LIMITED\"} 1");
}
END_TEST

START_TEST(commands_are_counted_by_how_they_ended)
{
	metric_add_command("ping", true);
	metric_add_command("ping", true);
	metric_add_command("ping", false);
	HAS("arqonbus_commands_total{command=\"ping\",result=\"success\"} 2");
	HAS("arqonbus_commands_total{command=\"ping\",result=\"error\"} 1");
}
END_TEST

START_TEST(a_plugin_has_counters_and_gauges)
{
	uint32_t sent =
	    metric_register("arqonbus_x_sent_total", "Sent.", false);
	uint32_t open = metric_register("arqonbus_x_open", "Open.", true);

	metric_plugin_add(sent, 4);
	metric_plugin_set(open, 9);
	metric_plugin_set(open, 2);
	HAS("arqonbus_x_sent_total 4");
	HAS("# TYPE arqonbus_x_sent_total counter");
	HAS("# HELP arqonbus_x_open Open.");
	HAS("# TYPE arqonbus_x_open gauge");
	HAS("arqonbus_x_open 2");
}
END_TEST

START_TEST(a_plugins_strings_may_go_away)
{
	char name[] = "arqonbus_gone_total";
	char help[] = "Gone.";

	ck_assert_uint_ne(metric_register(name, help, false), 0);
	memset(name, 'x', sizeof name - 1);
	memset(help, 'x', sizeof help - 1);
	HAS("# HELP arqonbus_gone_total Gone.");
}
END_TEST

static const struct wrong {
	const char *name;
	const char *help;
	bool gauge;
} wrongs[] = {
	{ NULL, "Help.", true },
	{ "arqonbus_x", NULL, true },
	{ "arqonbus_x", "Two\nlines.", true },
	{ "arqonbus_x", "A back\\slash.", true },
	{ "other_x", "Help.", true },
	{ "arqonbus_", "Help.", true },
	{ "arqonbus_X", "Help.", true },
	{ "arqonbus_x{y=\"1\"}", "Help.", true },
	{ "arqonbus_x", "A counter without _total.", false },
	{ "arqonbus_clients_total", "The broker's own.", false },
	{ "arqonbus_commands_total", "The broker's own.", false },
	{ "arqonbus_core_stalled", "The broker's own.", true },
	{ "arqonbus_there", "Another plugin's.", true },
};

START_TEST(a_name_that_is_taken_or_not_right_has_no_handle)
{
	const struct wrong *w = &wrongs[_i];

	metric_register("arqonbus_there", "It is there.", true);
	ck_assert_msg(metric_register(w->name, w->help, w->gauge) == 0, "%s",
	    w->name);
}
END_TEST

START_TEST(a_handle_that_is_none_harms_nothing)
{
	metric_plugin_add(0, 1);
	metric_plugin_set(0, 1);
	metric_plugin_add(UINT32_MAX, 1);
	metric_plugin_set(UINT32_MAX, 1);
	read_page();
}
END_TEST

START_TEST(there_are_only_so_many_metrics_of_plugins)
{
	char name[40];
	int n = 0;

	do {
		snprintf(name, sizeof name, "arqonbus_x%d", n);
	} while (metric_register(name, "Help.", true) != 0 && ++n < 1000);
	ck_assert_int_eq(n, 128);
}
END_TEST

static void
put_seven(void *arg, struct buf *b)
{
	metric_put(b, "arqonbus_seven", "Seven.", "gauge", *(uint64_t *)arg);
}

START_TEST(a_source_is_asked_each_time)
{
	uint64_t seven = 7;

	metric_add_source(put_seven, &seven);
	HAS("arqonbus_seven 7");
	seven = 8;
	HAS("arqonbus_seven 8");
}
END_TEST

static struct hist hist;

static void
put_times(void *arg, struct buf *b)
{
	(void)arg;
	metric_put_hist(b, "arqonbus_times_seconds", "Times.", &hist);
}

START_TEST(a_histogram_is_cumulative_and_in_seconds)
{
	hist_add(&hist, 10);     /* under 16 us */
	hist_add(&hist, 1000);   /* under 1024 us */
	hist_add(&hist, 500000); /* under 524288 us */
	metric_add_source(put_times, NULL);
	HAS("# TYPE arqonbus_times_seconds histogram");
	HAS("arqonbus_times_seconds_bucket{le=\"1.6e-05\"} 1");
	HAS("arqonbus_times_seconds_bucket{le=\"0.000512\"} 1");
	HAS("arqonbus_times_seconds_bucket{le=\"0.001024\"} 2");
	HAS("arqonbus_times_seconds_bucket{le=\"0.524288\"} 3");
	HAS("arqonbus_times_seconds_bucket{le=\"+Inf\"} 3");
	HAS("arqonbus_times_seconds_sum 0.501010");
	HAS("arqonbus_times_seconds_count 3");
}
END_TEST

START_TEST(the_process_is_on_the_page)
{
	FILE *f;
	uint64_t before;

	ck_assert_uint_gt(metric_value("process_resident_memory_bytes"),
	    100000);
	ck_assert_uint_gt(metric_value("process_max_fds"), 0);
	metric_value("arqonbus_heap_used_bytes"); /* 0 under sanitizers */
	before = metric_value("process_open_fds");
	f = fopen("/dev/null", "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(metric_value("process_open_fds"), before + 1);
	fclose(f);
}
END_TEST

/* How long it takes to make the page, at best; us. */
static uint64_t
make_time(int tries)
{
	uint64_t best = UINT64_MAX;

	while (tries-- > 0) {
		uint64_t began = clock_mono_us();

		metric_snapshot_make();
		began = clock_mono_us() - began;
		best = began < best ? began : best;
	}
	return best;
}

/* malloc needs a while to tell how much of it is in use, then. */
START_TEST(a_heap_in_many_pieces_does_not_make_every_page_slow)
{
	enum { PIECES = 400000 };
	void **piece = xnew(PIECES * sizeof *piece);
	uint64_t first;

	metric_snapshot_make();
	for (size_t i = 0; i < PIECES; i++) {
		piece[i] = xnew(200);
	}
	for (size_t i = 0; i < PIECES; i += 2) {
		free(piece[i]);
	}
	usleep(100000); /* what was cheap to know is soon asked for again */
	first = make_time(1);
	ck_assert_uint_lt(make_time(5), 1000 + first / 4);
	for (size_t i = 1; i < PIECES; i += 2) {
		free(piece[i]);
	}
	free(piece);
}
END_TEST

/* The whole page, line by line, as the format's description has it. */
START_TEST(every_line_of_the_page_is_a_comment_or_a_sample)
{
	char *line, *rest;
	unsigned lines = 0;

	metric_add_command("ping", true);
	metric_register("arqonbus_x", "Help.", true);
	metric_add_source(put_times, NULL);
	read_page();
	ck_assert_int_eq(page[len - 1], '\n');
	for (line = strtok_r(page, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		const char *value = strrchr(line, ' ');
		char *end;

		lines++;
		if (*line == '#') {
			ck_assert_msg(strncmp(line, "# HELP ", 7) == 0 ||
				strncmp(line, "# TYPE ", 7) == 0,
			    "%s", line);
			continue;
		}
		ck_assert_msg(islower((unsigned char)*line), "%s", line);
		ck_assert_msg(value != NULL, "%s", line);
		strtod(value + 1, &end);
		ck_assert_msg(*end == '\0' && end > value + 1, "%s", line);
	}
	ck_assert_uint_gt(lines, 50);
}
END_TEST

START_TEST(before_the_first_snapshot_the_page_is_only_about_the_core)
{
	page = metric_snapshot(&len);
	ck_assert_ptr_nonnull(page);
	ck_assert_uint_eq(times(page, "arqonbus_core_stalled 0\n"), 1);
	ck_assert_uint_eq(times(page, "arqonbus_clients_total"), 0);
}
END_TEST

START_TEST(the_last_page_stays_readable_when_the_core_is_stuck)
{
	uint64_t end = clock_mono_ms() + 10000;

	metric_add(METRIC_CLIENTS_TOTAL, 5);
	health_beat();
	metric_snapshot_make();
	while (!health_is_stalled()) {
		ck_assert_uint_lt(clock_mono_ms(), end);
		poll(NULL, 0, 20);
	}
	page = metric_snapshot(&len);
	ck_assert_uint_eq(times(page, "arqonbus_core_stalled 1\n"), 1);
	ck_assert_uint_eq(times(page, "arqonbus_clients_total 5\n"), 1);
}
END_TEST

#define ROUNDS 20000

static void *
count_and_read(void *arg)
{
	uint32_t handle = *(uint32_t *)arg;

	for (int i = 0; i < ROUNDS; i++) {
		metric_plugin_add(handle, 1);
		if (i % 1000 == 0) {
			size_t n;

			free(metric_snapshot(&n));
		}
	}
	return NULL;
}

START_TEST(other_threads_may_count_and_read_while_the_core_writes)
{
	uint32_t handle = metric_register("arqonbus_x_total", "X.", false);
	pthread_t thread[2];

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&thread[i], NULL,
				     count_and_read, &handle),
		    0);
	}
	for (int i = 0; i < 50; i++) {
		metric_snapshot_make();
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
	}
	ck_assert_uint_eq(metric_value("arqonbus_x_total"), 2 * ROUNDS);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("metric");
	TCase *t = tcase_create("metric");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_counter_counts);
	tcase_add_test(t, every_code_is_there_before_it_happens);
	tcase_add_test(t, commands_are_counted_by_how_they_ended);
	tcase_add_test(t, a_plugin_has_counters_and_gauges);
	tcase_add_test(t, a_plugins_strings_may_go_away);
	tcase_add_loop_test(t, a_name_that_is_taken_or_not_right_has_no_handle,
	    0, sizeof wrongs / sizeof wrongs[0]);
	tcase_add_test(t, a_handle_that_is_none_harms_nothing);
	tcase_add_test(t, there_are_only_so_many_metrics_of_plugins);
	tcase_add_test(t, a_source_is_asked_each_time);
	tcase_add_test(t, a_histogram_is_cumulative_and_in_seconds);
	tcase_add_test(t, the_process_is_on_the_page);
	tcase_add_test(t, a_heap_in_many_pieces_does_not_make_every_page_slow);
	tcase_add_test(t, every_line_of_the_page_is_a_comment_or_a_sample);
	tcase_add_test(t,
	    before_the_first_snapshot_the_page_is_only_about_the_core);
	tcase_add_test(t, the_last_page_stays_readable_when_the_core_is_stuck);
	tcase_add_test(t,
	    other_threads_may_count_and_read_while_the_core_writes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

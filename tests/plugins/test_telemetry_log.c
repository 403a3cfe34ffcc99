/* SPDX-License-Identifier: Apache-2.0 */

/* The audit trail, as the built plugin on a fake host. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_clock.h"
#include "fake_host.h"
#include "fake_memory.h"

#define WRITTEN "arqonbus_telemetry_log_written_total"
#define DROPPED "arqonbus_telemetry_log_dropped_total"

static struct fake_host *fake;
static char folder[] = "/tmp/test_telemetry_log.XXXXXX";
static char path[64], other[64];

/* Bytes that the disk takes from the plugin yet; negative: all. */
static atomic_long disk_left = -1;

ssize_t
write(int fd, const void *data, size_t len)
{
	long left = atomic_load(&disk_left);

	if (left >= 0 && is_the_plugin(__builtin_return_address(0))) {
		if (left == 0) {
			errno = ENOSPC;
			return -1;
		}
		len = len < (size_t)left ? len : (size_t)left;
		atomic_fetch_sub(&disk_left, (long)len);
	}
	return syscall(SYS_write, fd, data, len);
}

/* The writer stands still while somebody else holds this. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_t core;
static void (*real_add)(const struct aqb_host *host, uint32_t metric,
    uint64_t n);

static void
add_at_the_gate(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	real_add(host, metric, n);
	if (!pthread_equal(pthread_self(), core)) {
		pthread_mutex_lock(&gate);
		pthread_mutex_unlock(&gate);
	}
}

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/audit.log", folder);
	snprintf(other, sizeof other, "%s/audit.log.1", folder);
}

static void
teardown(void)
{
	if (fake != NULL) {
		fake_host_close(&fake);
	}
	unlink(path);
	unlink(other);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Words of a test. */

static struct fake_host *
load_with(const char *option)
{
	char file[80];

	snprintf(file, sizeof file, "file=%s", path);
	fake = fake_host_load("telemetry-log", file, option, NULL);
	core = pthread_self();
	real_add = fake->metrics.add;
	starve(fake->plugin, -1); /* for now only to be known */
	fake->metrics.add = add_at_the_gate;
	return fake;
}

static void
open_with(const char *option)
{
	struct aqb_why why = { 0 };

	ck_assert_msg(fake_host_start(load_with(option), &why) >= 0, "%s",
	    why.text);
}

static void
emit_as(const char *type, uint64_t seq)
{
	char json[96];
	struct aqb_event event = {
		.size = sizeof event,
		.seq = seq,
		.type = type,
		.json.data = json,
	};

	event.json.len = (size_t)snprintf(json, sizeof json,
	    "{\"seq\":%" PRIu64 ",\"event_type\":\"%s\"}", seq, type);
	fake->plugin->telemetry->emit(fake->self, &event);
}

static void
emit(uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		emit_as("stats", seq);
	}
}

struct counted {
	const char *metric;
	uint64_t n;
};

static bool
is_counted(void *arg)
{
	const struct counted *want = arg;

	return fake_metric(fake, want->metric) >= want->n;
}

/* Until the counter is exactly there. */
static void
wait_for(const char *metric, uint64_t n)
{
	struct counted want = { metric, n };

	fake_wait(fake, is_counted, &want);
	ck_assert_uint_eq(fake_metric(fake, metric), n);
}

static char *
text_of(const char *file)
{
	static char text[1 << 20];
	size_t len;
	FILE *f = fopen(file, "r");

	if (f == NULL) {
		return strcpy(text, "");
	}
	len = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[len] = '\0';
	return text;
}

/*
 * What is in the file, in short: "1-3 gap 4-5 6-6", from whole lines only; a
 * line that is none of ours is "?".
 */
static const char *
summary_of(const char *file)
{
	static char text[512];
	unsigned long long from = 0, to = 0, a, b;
	size_t len = 0;
	int end;

	text[0] = '\0';
	for (char *line = strtok(text_of(file), "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		end = 0;
		if (sscanf(line, "{\"seq\":%llu,\"event_type\":\"stats\"}%n",
			&a, &end) == 1 &&
		    end > 0 && line[end] == '\0' && a == to + 1 && from != 0) {
			to = a;
			continue;
		}
		if (from != 0) {
			len += (size_t)snprintf(text + len, sizeof text - len,
			    "%llu-%llu ", from, to);
		}
		from = to = 0;
		b = 0;
		if (end > 0 && line[end] == '\0') {
			from = to = a;
		} else if (sscanf(line,
			       "{\"event_type\":\"gap\",\"from\":%llu,\"to\":"
			       "%llu}%n",
			       &a, &b, &end) == 2 &&
		    end > 0 && line[end] == '\0') {
			len += (size_t)snprintf(text + len, sizeof text - len,
			    "gap %llu-%llu ", a, b);
		} else {
			len += (size_t)snprintf(text + len, sizeof text - len,
			    "? ");
		}
	}
	if (from != 0) {
		len += (size_t)snprintf(text + len, sizeof text - len,
		    "%llu-%llu ", from, to);
	}
	if (len > 0) {
		text[len - 1] = '\0';
	}
	return text;
}

static bool
is_as_told(void *arg)
{
	return strcmp(summary_of(path), arg) == 0;
}

static void
wait_for_file(const char *summary)
{
	fake_wait(fake, is_as_told, (void *)summary);
}

/* The writer has written one event and stands at the gate. */
static void
hold_writer(uint64_t seq)
{
	pthread_mutex_lock(&gate);
	emit(seq, seq);
	wait_for(WRITTEN, seq);
}

static void
let_writer_go(void)
{
	pthread_mutex_unlock(&gate);
}

/* What is written. */

START_TEST(every_event_is_a_line_in_order)
{
	open_with(NULL);
	emit(1, 3);
	wait_for(WRITTEN, 3);
	ck_assert_str_eq(text_of(path),
	    "{\"seq\":1,\"event_type\":\"stats\"}\n"
	    "{\"seq\":2,\"event_type\":\"stats\"}\n"
	    "{\"seq\":3,\"event_type\":\"stats\"}\n");
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 0);
	ck_assert_str_eq(fake->log, "");
}
END_TEST

START_TEST(the_file_is_added_to_and_not_for_everybody)
{
	struct stat st;

	open_with(NULL);
	emit(1, 2);
	fake_host_close(&fake);
	open_with(NULL);
	emit(3, 4);
	fake_host_close(&fake);
	ck_assert_str_eq(summary_of(path), "1-4");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0027, 0);
}
END_TEST

START_TEST(only_the_types_that_are_named_are_written)
{
	open_with("events=auth_denied, command_failed,");
	emit_as("stats", 1);
	emit_as("command_failed", 2);
	emit_as("command", 3);
	emit_as("command_failed_again", 4);
	emit_as("auth_denied", 5);
	emit_as("", 6);
	fake_host_close(&fake);
	ck_assert_str_eq(text_of(path),
	    "{\"seq\":2,\"event_type\":\"command_failed\"}\n"
	    "{\"seq\":5,\"event_type\":\"auth_denied\"}\n");
}
END_TEST

START_TEST(what_waits_is_written_before_the_end)
{
	open_with(NULL);
	emit(1, 9000);
	fake_host_close(&fake);
	ck_assert_str_eq(summary_of(path), "1-9000");
}
END_TEST

START_TEST(stopping_never_holds_the_core)
{
	struct fake_answer got;

	open_with(NULL);
	hold_writer(1);
	emit(2, 5);
	fake->plugin->stop(fake->self, fake_ticket(&got));
	ck_assert_uint_eq(got.times, 0);
	fake_run_posts(fake);
	ck_assert_uint_eq(got.times, 0);
	let_writer_go();
	fake_turn_until(fake, &got.done);
	ck_assert_int_eq(got.err, AQB_OK);
	ck_assert_str_eq(summary_of(path), "1-5");
	fake->plugin->fini(&fake->self);
	ck_assert_ptr_null(fake->self);
	ck_assert_uint_eq(got.times, 1);
}
END_TEST

START_TEST(a_plugin_that_was_not_stopped_is_taken_down_all_the_same)
{
	open_with(NULL);
	emit(1, 100);
	fake->plugin->fini(&fake->self);
	ck_assert_str_eq(summary_of(path), "1-100");
}
END_TEST

/* Refusals. */

START_TEST(without_its_folder_it_refuses_to_start)
{
	struct aqb_why why = { 0 };

	fake = fake_host_load("telemetry-log", "file=/nowhere/audit.log", NULL);
	ck_assert_int_eq(fake_host_start(fake, &why), AQB_ESYS);
	ck_assert_str_eq(why.text,
	    "file: /nowhere/audit.log: No such file or directory; the "
	    "broker's user must be able to write it");
}
END_TEST

START_TEST(without_a_name_for_the_file_it_refuses)
{
	struct aqb_why why = { 0 };

	fake = fake_host_load("telemetry-log", "file=", NULL);
	ck_assert_int_eq(fake_host_start(fake, &why), AQB_EINVAL);
	ck_assert_str_eq(why.text,
	    "file: is empty; name the file for the events");
}
END_TEST

START_TEST(a_pipe_without_a_reader_is_refused_and_not_waited_for)
{
	struct aqb_why why = { 0 };

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(fake_host_start(load_with(NULL), &why), AQB_ESYS);
}
END_TEST

START_TEST(s7_init_without_memory_is_refused)
{
	struct aqb_why why = { 0 };
	long nth = 0;

	load_with(NULL);
	for (;; nth++) {
		int err;

		starve(fake->plugin, nth);
		err = fake->plugin->init(&fake->host, fake->conf, &fake->self,
		    &why);
		feed();
		if (err == AQB_OK) {
			break;
		}
		ck_assert_int_eq(err, AQB_ENOMEM);
	}
	ck_assert_int_eq(nth, 2);
	fake->plugin->fini(&fake->self);
}
END_TEST

/* Events that find no room. */

START_TEST(what_finds_no_room_is_counted_and_named_where_it_is_missing)
{
	open_with("buffer=16");
	hold_writer(1);
	emit(2, 17);
	emit(18, 25);
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 8);
	let_writer_go();
	wait_for_file("1-17 gap 18-25");
	emit(26, 27);
	wait_for(WRITTEN, 19);
	ck_assert_str_eq(summary_of(path), "1-17 gap 18-25 26-27");
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 8);
}
END_TEST

START_TEST(only_wanted_events_count_as_dropped)
{
	open_with("events=stats");
	hold_writer(1);
	emit(2, 10001);
	for (uint64_t seq = 10002; seq < 10100; seq++) {
		emit_as("other", seq);
	}
	emit(10100, 10101);
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 2);
	let_writer_go();
	wait_for_file("1-10001 gap 10100-10101");
}
END_TEST

static bool
ends_with_a_gap(void *arg)
{
	static const char gap[] =
	    "\n{\"event_type\":\"gap\",\"from\":17,\"to\":21}\n";
	char text[sizeof gap] = "";
	FILE *f = fopen(path, "r");
	size_t n;

	(void)arg;
	if (f == NULL) {
		return false;
	}
	fseek(f, 1 - (long)sizeof gap, SEEK_END);
	n = fread(text, 1, sizeof gap - 1, f);
	fclose(f);
	return n == sizeof gap - 1 && strcmp(text, gap) == 0;
}

START_TEST(waiting_events_take_no_more_than_16_mib)
{
	char *json = malloc(1 << 20);
	struct aqb_event event = { .size = sizeof event, .type = "large" };

	ck_assert_ptr_nonnull(json);
	memset(json, 'x', 1 << 20);
	event.json = (struct aqb_slice){ json, 1 << 20 };
	open_with(NULL);
	hold_writer(1);
	for (event.seq = 2; event.seq < 22; event.seq++) {
		fake->plugin->telemetry->emit(fake->self, &event);
	}
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 5);
	let_writer_go();
	fake_wait(fake, ends_with_a_gap, NULL);
	emit(22, 22);
	wait_for(WRITTEN, 17);
	free(json);
}
END_TEST

START_TEST(s7_an_event_without_memory_is_part_of_a_gap)
{
	open_with(NULL);
	emit(1, 1);
	wait_for(WRITTEN, 1);
	starve(fake->plugin, 0);
	emit(2, 2);
	feed();
	wait_for_file("1-1 gap 2-2");
	emit(3, 3);
	wait_for(WRITTEN, 2);
	ck_assert_str_eq(summary_of(path), "1-1 gap 2-2 3-3");
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 1);
}
END_TEST

/* Disks that refuse. */

START_TEST(s10_a_full_disk_costs_events_and_nothing_else)
{
	ck_assert_int_eq(symlink("/dev/full", path), 0);
	open_with(NULL);
	emit(1, 5);
	wait_for(DROPPED, 5);
	ck_assert(fake_logged(fake, "No space left on device; events are"));
	ck_assert_uint_eq(fake_metric(fake, WRITTEN), 0);

	/* There is room again, and the gap is named with no event to come. */
	ck_assert_int_eq(unlink(path), 0);
	wait_for_file("gap 1-5");
	ck_assert(fake_logged(fake, "can be written again"));
	emit(6, 7);
	wait_for(WRITTEN, 2);
	ck_assert_str_eq(summary_of(path), "gap 1-5 6-7");
}
END_TEST

static size_t
log_lines(void)
{
	size_t n = 0;

	pthread_mutex_lock(&fake->lock);
	for (const char *c = fake->log; *c != '\0'; c++) {
		n += *c == '\n';
	}
	pthread_mutex_unlock(&fake->lock);
	return n;
}

/* Events first..last find the disk full, and the next finds it free. */
static void
fill_and_free(uint64_t first, uint64_t last)
{
	uint64_t dropped = fake_metric(fake, DROPPED);
	uint64_t written = fake_metric(fake, WRITTEN);

	atomic_store(&disk_left, 0);
	emit(first, last);
	wait_for(DROPPED, dropped + last - first + 1);
	atomic_store(&disk_left, -1);
	emit(last + 1, last + 1);
	wait_for(WRITTEN, written + 1);
}

START_TEST(s10_a_full_disk_is_said_once_a_minute_at_most)
{
	open_with(NULL);
	fill_and_free(1, 1000);
	ck_assert_uint_eq(log_lines(), 2); /* and that it is over */
	fill_and_free(1002, 1003);
	passed += 50000;
	fill_and_free(1005, 1006);
	ck_assert_uint_eq(log_lines(), 2);
	passed += 10000;
	fill_and_free(1008, 1009);
	ck_assert_uint_eq(log_lines(), 4);
	ck_assert_str_eq(summary_of(path),
	    "gap 1-1000 1001-1001 gap 1002-1003 1004-1004 gap 1005-1006 "
	    "1007-1007 gap 1008-1009 1010-1010");
}
END_TEST

START_TEST(s10_a_full_disk_does_not_hold_the_end)
{
	ck_assert_int_eq(symlink("/dev/full", path), 0);
	open_with(NULL);
	emit(1, 5000);
	fake_host_close(&fake);
}
END_TEST

/* A line that was cut short by a full disk must not spoil the next. */
START_TEST(s10_no_line_is_ever_half_there)
{
	open_with(NULL);
	emit(1, 3);
	wait_for(WRITTEN, 3);
	atomic_store(&disk_left, 10);
	emit(4, 5);
	wait_for(DROPPED, 2);
	ck_assert_str_eq(summary_of(path), "1-3");
	atomic_store(&disk_left, -1);
	emit(6, 6);
	wait_for(WRITTEN, 4);
	ck_assert_str_eq(summary_of(path), "1-3 gap 4-5 6-6");
}
END_TEST

/* What went into a pipe cannot be taken back: the next line begins anew. */
START_TEST(s10_half_a_line_in_a_pipe_is_ended)
{
	char text[256];
	ssize_t n;
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(reader, 0);
	open_with(NULL);
	atomic_store(&disk_left, 10);
	emit(1, 1);
	wait_for(DROPPED, 1);
	atomic_store(&disk_left, -1);
	emit(2, 2);
	wait_for(WRITTEN, 1);
	n = read(reader, text, sizeof text - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text,
	    "{\"seq\":1,\"\n"
	    "{\"event_type\":\"gap\",\"from\":1,\"to\":1}\n"
	    "{\"seq\":2,\"event_type\":\"stats\"}\n");
	close(reader);
}
END_TEST

START_TEST(s10_a_pipe_whose_reader_has_gone_is_no_more_than_an_error)
{
	int reader;

	signal(SIGPIPE, SIG_DFL);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(reader, 0);
	open_with(NULL);
	emit(1, 1);
	wait_for(WRITTEN, 1);
	close(reader);
	emit(2, 3);
	wait_for(DROPPED, 2);
	ck_assert(fake_logged(fake, "Broken pipe"));
}
END_TEST

START_TEST(s10_a_pipe_that_nobody_empties_is_not_waited_for)
{
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(reader, 0);
	open_with(NULL);
	emit(1, 5000);
	fake_host_close(&fake);
	close(reader);
}
END_TEST

/* Files that come and go. */

START_TEST(a_renamed_file_is_left_for_a_new_one)
{
	open_with(NULL);
	emit(1, 3);
	wait_for(WRITTEN, 3);
	ck_assert_int_eq(rename(path, other), 0);
	emit(4, 5);
	wait_for(WRITTEN, 5);
	ck_assert_str_eq(summary_of(other), "1-3");
	ck_assert_str_eq(summary_of(path), "4-5");
	ck_assert_uint_eq(fake_metric(fake, DROPPED), 0);
}
END_TEST

START_TEST(a_removed_file_is_made_again)
{
	open_with(NULL);
	emit(1, 3);
	wait_for(WRITTEN, 3);
	ck_assert_int_eq(unlink(path), 0);
	emit(4, 5);
	wait_for(WRITTEN, 5);
	ck_assert_str_eq(summary_of(path), "4-5");
}
END_TEST

/* The writer is kept busy: there is no pause in which to look. */
START_TEST(a_renamed_file_is_noticed_within_a_second_under_load)
{
	open_with(NULL);
	hold_writer(1);
	emit(2, 5);
	ck_assert_int_eq(rename(path, other), 0);
	passed += 1000;
	let_writer_go();
	wait_for(WRITTEN, 5);
	ck_assert_str_eq(summary_of(other), "1-1");
	ck_assert_str_eq(summary_of(path), "2-5");
}
END_TEST

START_TEST(a_folder_that_goes_and_comes_back_costs_only_what_came_between)
{
	char away[80];

	open_with(NULL);
	emit(1, 2);
	wait_for(WRITTEN, 2);
	snprintf(away, sizeof away, "%s.away", folder);
	ck_assert_int_eq(rename(folder, away), 0);
	emit(3, 4);
	wait_for(DROPPED, 2);
	ck_assert_int_eq(rename(away, folder), 0);
	wait_for_file("1-2 gap 3-4");
	emit(5, 5);
	wait_for(WRITTEN, 3);
	ck_assert_str_eq(summary_of(path), "1-2 gap 3-4 5-5");
}
END_TEST

static void
add_file_tests(TCase *t)
{
	tcase_add_test(t, s10_a_full_disk_costs_events_and_nothing_else);
	tcase_add_test(t, s10_a_full_disk_is_said_once_a_minute_at_most);
	tcase_add_test(t, s10_a_full_disk_does_not_hold_the_end);
	tcase_add_test(t, s10_no_line_is_ever_half_there);
	tcase_add_test(t, s10_half_a_line_in_a_pipe_is_ended);
	tcase_add_test(t,
	    s10_a_pipe_whose_reader_has_gone_is_no_more_than_an_error);
	tcase_add_test(t, s10_a_pipe_that_nobody_empties_is_not_waited_for);
	tcase_add_test(t, a_renamed_file_is_left_for_a_new_one);
	tcase_add_test(t, a_removed_file_is_made_again);
	tcase_add_test(t, a_renamed_file_is_noticed_within_a_second_under_load);
	tcase_add_test(t,
	    a_folder_that_goes_and_comes_back_costs_only_what_came_between);
}

int
main(void)
{
	Suite *suite = suite_create("telemetry-log");
	TCase *t = tcase_create("events");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_event_is_a_line_in_order);
	tcase_add_test(t, the_file_is_added_to_and_not_for_everybody);
	tcase_add_test(t, only_the_types_that_are_named_are_written);
	tcase_add_test(t, what_waits_is_written_before_the_end);
	tcase_add_test(t, stopping_never_holds_the_core);
	tcase_add_test(t,
	    a_plugin_that_was_not_stopped_is_taken_down_all_the_same);
	tcase_add_test(t, without_its_folder_it_refuses_to_start);
	tcase_add_test(t, without_a_name_for_the_file_it_refuses);
	tcase_add_test(t,
	    a_pipe_without_a_reader_is_refused_and_not_waited_for);
	tcase_add_test(t, s7_init_without_memory_is_refused);
	tcase_add_test(t,
	    what_finds_no_room_is_counted_and_named_where_it_is_missing);
	tcase_add_test(t, only_wanted_events_count_as_dropped);
	tcase_add_test(t, waiting_events_take_no_more_than_16_mib);
	tcase_add_test(t, s7_an_event_without_memory_is_part_of_a_gap);
	add_file_tests(t);
	suite_add_tcase(suite, t);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* History in memory, as the built plugin on a fake host: how much is kept, and
 * for how long. */

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "fake_clock.h"
#include "fake_memory.h"
#include "storage_fake.h"

#define SWEEP_MS 1000
static void
setup(void)
{
	freeze_time();
	storage_open("storage-memory", NULL);
}

static void
teardown(void)
{
	storage_close();
}

/* Let time pass for the plugin, with all that it does by itself then. */
static void
pass(int64_t ms)
{
	passed += ms;
	event_base_loop(fake->base, EVLOOP_NONBLOCK);
}

/* How many are kept. */

START_TEST(a_full_channel_forgets_its_oldest_message)
{
	append_as("a:a", "one", 3, EVER);
	append_as("a:a", "two", 3, EVER);
	append_as("a:a", "three", 3, EVER);
	append_as("a:a", "four", 3, EVER);
	assert_kept("a:a", "two three four");
	ck_assert_uint_eq(fake_msgs_alive(), 3);
	ck_assert_uint_eq(messages_kept(), 3);
}
END_TEST

static const uint32_t sizes[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 500 };

START_TEST(a_channel_keeps_as_many_as_it_may_and_no_more)
{
	uint32_t size = sizes[_i];
	char id[16];

	for (uint32_t n = 1; n <= 3 * size + 1; n++) {
		uint32_t first = n > size ? n - size + 1 : 1;

		snprintf(id, sizeof id, "%u", n);
		ck_assert_uint_eq(append_as("a:a", id, size, EVER).seq, n);
		read_range("a:a", &(struct aqb_range){ .limit = 1000 });
		ck_assert_uint_eq(got.answer.n, n - first + 1);
		ck_assert_uint_eq(got.answer.first, first);
		ck_assert_uint_eq(got.answer.pos.seq, n);
		ck_assert_uint_eq(messages_kept(), n - first + 1);
		for (size_t i = 0; i < got.answer.n; i++) {
			struct aqb_slice name = id_of(got.answer.msgs[i]);

			snprintf(id, sizeof id, "%zu", first + i);
			ck_assert_str_eq(name.data, id);
		}
	}
}
END_TEST

START_TEST(a_history_size_of_zero_gives_positions_and_keeps_nothing)
{
	struct aqb_position one = append_as("a:a", "one", 0, EVER);
	struct aqb_position two = append_as("a:a", "two", 0, EVER);

	ck_assert_uint_eq(one.seq, 1);
	ck_assert_uint_eq(two.seq, 2);
	ck_assert(same_epoch(&one, &two));
	ck_assert_uint_eq(fake_msgs_alive(), 0);
	assert_kept("a:a", "");
	ck_assert_uint_eq(got.answer.first, 3);
	ck_assert_uint_eq(got.answer.pos.seq, 2);
}
END_TEST

START_TEST(a_channel_that_keeps_nothing_any_more_lets_go_of_what_it_had)
{
	append_many("a:a", 20, 500, EVER);
	ck_assert_uint_eq(append_as("a:a", "21", 0, EVER).seq, 21);
	assert_kept("a:a", "");
	ck_assert_uint_eq(got.answer.first, 22);
	ck_assert_uint_eq(fake_msgs_alive(), 0);
	ck_assert_uint_eq(append("a:a", "22").seq, 22);
	assert_kept("a:a", "22");
}
END_TEST

START_TEST(a_channel_may_change_its_size)
{
	uint64_t large;

	append_many("a:a", 300, 500, EVER);
	large = bytes_used();
	append_as("a:a", "301", 3, EVER);
	assert_kept("a:a", "299 300 301");
	ck_assert_uint_eq(fake_msgs_alive(), 3);
	ck_assert_uint_lt(bytes_used(), large / 50);
	append_as("a:a", "302", 5, EVER);
	append_as("a:a", "303", 5, EVER);
	append_as("a:a", "304", 5, EVER);
	assert_kept("a:a", "300 301 302 303 304");
}
END_TEST

/* Age. */

START_TEST(a_message_is_gone_when_its_time_is_over)
{
	append_as("a:a", "one", 500, 60000);
	passed += 30000;
	append_as("a:a", "two", 500, 60000);
	passed += 29500;
	assert_kept("a:a", "one two");
	passed += 500;
	assert_kept("a:a", "two");
	ck_assert_uint_eq(got.answer.first, 2);
	passed += 30000;
	ck_assert_uint_eq(tail("a:a").first, 3);
	ck_assert_uint_eq(fake_msgs_alive(), 0);
}
END_TEST

START_TEST(what_is_over_makes_room_when_the_next_comes)
{
	append_as("a:a", "one", 500, 1000);
	append_as("a:a", "two", 500, 1000);
	passed += 1000;
	append_as("a:a", "three", 500, 1000);
	ck_assert_uint_eq(messages_kept(), 1);
	assert_kept("a:a", "three");
}
END_TEST

START_TEST(an_expired_stream_keeps_its_position)
{
	struct aqb_position one = append_as("a:a", "one", 500, 1000), two;

	pass(5 * SWEEP_MS);
	ck_assert_uint_eq(fake_msgs_alive(), 0);
	two = append_as("a:a", "two", 500, 1000);
	ck_assert_uint_eq(two.seq, 2);
	ck_assert(same_epoch(&one, &two));
}
END_TEST

START_TEST(the_sweep_drops_what_nobody_reads)
{
	uint64_t before;

	tail("a:a");
	before = bytes_used();
	append_many("a:a", 1000, 1000, 5000);
	append("a:b", "stays");
	pass(4900);
	ck_assert_uint_eq(messages_kept(), 1001);
	pass(SWEEP_MS + 100);
	ck_assert_uint_eq(messages_kept(), 1);
	forget("a:b");
	/* Nor does an empty ring stay. */
	ck_assert_uint_eq(bytes_used(), before);
	ck_assert_uint_eq(fake_metric(fake,
			      "arqonbus_storage_memory_expired_total"),
	    1000);
}
END_TEST

START_TEST(the_sweep_gets_past_those_that_stay)
{
	append_many("a:a", 50000, 50000, EVER);
	append_as("a:b", "one", 500, 1000);
	append_many("a:c", 10, 500, 600000);
	append_as("a:d", "one", 500, 1000);
	pass(SWEEP_MS);
	pass(SWEEP_MS);
	ck_assert_uint_eq(messages_kept(), 50010);
}
END_TEST

START_TEST(one_sweep_does_no_more_than_its_share)
{
	append_many("a:a", 35000, 100000, 600000);
	append_many("a:b", 35000, 100000, 600000);
	passed += 600000;
	for (uint64_t before = 70000; before > 0;) {
		uint64_t kept;

		pass(SWEEP_MS);
		kept = messages_kept();
		ck_assert_uint_le(before - kept, 20000);
		ck_assert_uint_lt(kept, before);
		before = kept;
	}
}
END_TEST

START_TEST(a_channel_may_change_the_time_of_what_it_has)
{
	append_as("a:a", "one", 500, EVER);
	append_as("a:a", "two", 500, EVER);
	passed += 10000;
	append_as("a:a", "three", 500, 5000);
	assert_kept("a:a", "three");
	append_as("a:a", "four", 500, EVER);
	pass(600000);
	assert_kept("a:a", "three four");
}
END_TEST

START_TEST(o6_the_clock_of_the_day_may_jump)
{
	append_as("a:a", "one", 500, 60000);
	day_jumped = 3600000;
	assert_kept("a:a", "one");
	append_as("a:a", "two", 500, 60000);
	day_jumped = -3600000;
	assert_kept("a:a", "one two");
	passed += 60000;
	assert_kept("a:a", "");
}
END_TEST

/* Memory. */

static void
setup_small(void)
{
	freeze_time();
	storage_open("storage-memory", "memory_limit=64KiB");
}

/* Append a message of a thousand bytes and more. */
static struct aqb_position
append_large(const char *stream, const char *id)
{
	const struct aqb_limits limits = { .size = sizeof limits,
		.history_size = 500 };
	struct aqb_position pos;
	char payload[1003];

	memset(payload, 'x', sizeof payload);
	payload[0] = payload[sizeof payload - 2] = '"';
	payload[sizeof payload - 1] = '\0';
	ck_assert_int_eq(try_append(stream,
			     &(struct fake_text){
				 .id = id, .payload = payload },
			     &limits, &pos),
	    AQB_DONE);
	return pos;
}

START_TEST(over_the_limit_the_oldest_of_all_channels_goes)
{
	char stream[16];

	append_large("a:old", "old");
	append_large("a:new", "new");
	for (int i = 0; messages_kept() == (uint64_t)i + 2; i++) {
		snprintf(stream, sizeof stream, "a:%d", i % 3);
		append_large(stream, "more");
		ck_assert_uint_le(bytes_used(), 65536);
	}
	assert_kept("a:old", "");
	assert_kept("a:new", "new");
	ck_assert_uint_gt(bytes_used(), 60000);
	for (int i = 0; i < 300; i++) {
		append_large("a:0", "more");
		ck_assert_uint_le(bytes_used(), 65536);
	}
	assert_kept("a:new", "");
	ck_assert_uint_eq(fake_msgs_alive(), messages_kept());
}
END_TEST

START_TEST(a_stream_that_lost_all_to_others_keeps_its_position)
{
	struct aqb_position one = append("a:a", "one"), two;

	for (int i = 0; i < 200; i++) {
		append_large("a:b", "more");
	}
	assert_kept("a:a", "");
	ck_assert_uint_eq(got.answer.pos.seq, 1);
	ck_assert_uint_eq(got.answer.first, 2);
	two = append("a:a", "two");
	ck_assert_uint_eq(two.seq, 2);
	ck_assert(same_epoch(&one, &two));
}
END_TEST

START_TEST(the_newest_is_kept_even_if_it_alone_is_too_large)
{
	const struct aqb_limits limits = { .size = sizeof limits,
		.history_size = 500 };
	struct aqb_position pos;
	char *payload = malloc(100001);

	ck_assert_ptr_nonnull(payload);
	memset(payload, '1', 100000);
	payload[100000] = '\0';
	append("a:a", "one");
	ck_assert_int_eq(try_append("a:a",
			     &(struct fake_text){
				 .id = "large", .payload = payload },
			     &limits, &pos),
	    AQB_DONE);
	free(payload);
	assert_kept("a:a", "large");
	append("a:a", "three");
	assert_kept("a:a", "three");
	ck_assert_uint_le(bytes_used(), 65536);
}
END_TEST

/* Begin as many empty streams as fill the memory twice. */
static void
begin_many(unsigned n)
{
	char name[24];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "empty:%u", i);
		tail(name);
		ck_assert_uint_le(bytes_used(), 65536);
	}
}

START_TEST(of_empty_streams_the_longest_empty_go_first)
{
	struct aqb_answer first = tail("a:first"), again, kept;

	begin_many(1000);
	kept = tail("empty:999");
	again = tail("empty:999");
	ck_assert(same_epoch(&kept.pos, &again.pos));
	again = tail("a:first");
	ck_assert(!same_epoch(&first.pos, &again.pos));
}
END_TEST

START_TEST(messages_go_before_the_positions_of_their_streams)
{
	struct aqb_position pos = append("a:a", "one"), again;

	for (int i = 0; i < 200; i++) {
		append_large("a:b", "more");
	}
	again = append("a:a", "two");
	ck_assert(same_epoch(&pos, &again));
	begin_many(1000);
	/* It was empty last of all, but now all are. */
	ck_assert_uint_eq(messages_kept(), 0);
}
END_TEST

START_TEST(a_stream_in_use_is_not_taken_for_one_long_empty)
{
	struct aqb_position pos = append_as("a:a", "one", 0, EVER);
	char name[24];

	for (unsigned i = 0; i < 1000; i++) {
		struct aqb_position next;

		snprintf(name, sizeof name, "empty:%u", i);
		tail(name);
		next = append_as("a:a", "more", 0, EVER);
		ck_assert(same_epoch(&pos, &next));
		ck_assert_uint_eq(next.seq, i + 2);
	}
}
END_TEST

START_TEST(what_is_used_counts_messages_and_what_it_takes_to_find_them)
{
	uint64_t empty, before;
	uint64_t all = 0;

	ck_assert_uint_eq(bytes_used(), 0);
	tail("a:a");
	empty = bytes_used();
	ck_assert_uint_gt(empty, strlen("a:a"));
	for (int i = 0; i < 100; i++) {
		struct aqb_msg_view view = { .size = sizeof view };

		before = bytes_used();
		append("a:a", "one");
		read_range("a:a",
		    &(struct aqb_range){ .limit = 1, .flags = AQB_RANGE_LAST });
		fake_msg_view(got.answer.msgs[0], &view);
		ck_assert_uint_gt(bytes_used(), before + view.bytes);
		all += view.bytes;
	}
	ck_assert_uint_gt(bytes_used(), all);
	forget("a:a");
	ck_assert_uint_eq(bytes_used(), 0);
	ck_assert_uint_eq(messages_kept(), 0);
}
END_TEST

/* S7: whichever allocation fails, the request is refused and nothing else
 * happens. */

static void
assert_append_survives(const char *stream, const char *id, uint32_t size,
    const char *kept)
{
	const struct aqb_limits limits = { .size = sizeof limits,
		.history_size = size };
	struct aqb_msg *msg = fake_msg(&(struct fake_text){ .id = id });
	aqb_ticket ticket = ask();
	int when;

	for (long nth = 0;; nth++) {
		struct aqb_position pos;

		starve(fake->plugin, nth);
		when = store->append(fake->self, ticket, stream, &limits, msg,
		    &pos);
		feed();
		if (when == AQB_DONE) {
			break;
		}
		ck_assert_int_eq(when, AQB_ENOMEM);
		ck_assert_int_lt(nth, 20);
		ck_assert_uint_eq(got.times, 0);
		assert_kept(stream, kept);
		ticket = ask();
	}
	fake_msg_unref(&msg);
}

START_TEST(s7_an_append_without_memory_is_refused_and_changes_nothing)
{
	char kept[64] = "";
	char id[16];

	for (int i = 1; i <= 17; i++) {
		snprintf(id, sizeof id, "%d", i);
		assert_append_survives("a:a", id, 500, kept);
		snprintf(kept + strlen(kept), sizeof kept - strlen(kept),
		    "%s%d", i > 1 ? " " : "", i);
		assert_kept("a:a", kept);
		ck_assert_uint_eq(got.answer.pos.seq, (uint64_t)i);
	}
	ck_assert_uint_eq(fake_msgs_alive(), 17);
}
END_TEST

START_TEST(s7_a_full_or_shrinking_ring_without_memory_loses_nothing)
{
	append_many("a:a", 4, 4, EVER);
	assert_append_survives("a:a", "5", 4, "1 2 3 4");
	assert_kept("a:a", "2 3 4 5");
	append_many("a:b", 40, 64, EVER);
	read_range("a:b",
	    &(struct aqb_range){ .limit = 3, .flags = AQB_RANGE_LAST });
	assert_shown("38 39 40");
	assert_append_survives("a:b", "41", 3,
	    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 "
	    "25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40");
	assert_kept("a:b", "39 40 41");
}
END_TEST

START_TEST(s7_tail_without_memory_is_refused)
{
	struct aqb_answer answer = { .size = sizeof answer };
	aqb_ticket ticket = ask();
	long refused = 0;

	/* So many that the table of streams must grow, too. */
	for (int i = 0; i < 2000; i++) {
		uint64_t before = bytes_used();
		char name[24];
		int when;

		snprintf(name, sizeof name, "a:%d", i);
		for (long nth = 0;; nth++, refused++) {
			starve(fake->plugin, nth);
			when = store->tail(fake->self, ticket, name, &answer);
			feed();
			if (when == AQB_DONE) {
				break;
			}
			ck_assert_int_eq(when, AQB_ENOMEM);
			ck_assert_uint_eq(bytes_used(), before);
		}
	}
	ck_assert_int_gt(refused, 2000 + 2);
	ck_assert_uint_eq(append("a:7", "one").seq, 1);
}
END_TEST

START_TEST(s7_reading_without_memory_is_refused)
{
	const struct aqb_range range = { .size = sizeof range, .limit = 10 };
	aqb_ticket ticket;

	append_many("a:a", 10, 500, EVER);
	ticket = ask();
	starve(fake->plugin, 0);
	store->history(fake->self, ticket, "a:a", &range);
	feed();
	ck_assert_uint_eq(got.times, 1);
	ck_assert_int_eq(got.err, AQB_ENOMEM);
	ck_assert_uint_eq(got.answer.n, 0);
}
END_TEST

/* Told to the operator. */

START_TEST(the_numbers_are_told_every_second)
{
	append_many("a:a", 5, 500, EVER);
	append_as("a:b", "one", 500, 500);
	tail("a:c");
	pass(SWEEP_MS);
	ck_assert_uint_eq(fake_metric(fake, "arqonbus_storage_memory_streams"),
	    3);
	ck_assert_uint_eq(fake_metric(fake,
			      "arqonbus_storage_memory_expired_total"),
	    1);
	ck_assert_uint_eq(fake_metric(fake,
			      "arqonbus_storage_memory_evicted_total"),
	    0);
	ck_assert_str_eq(fake->log, "");
}
END_TEST

/* How many lines there are in the log. */
static size_t
log_lines(void)
{
	size_t n = 0;

	for (const char *c = fake->log; *c != '\0'; c++) {
		n += *c == '\n';
	}
	return n;
}

START_TEST(that_memory_is_short_is_said_soon_and_then_once_a_minute)
{
	for (int i = 0; i < 100; i++) {
		append_large("a:a", "more");
	}
	pass(SWEEP_MS);
	ck_assert(fake_logged(fake, "memory_limit of 65536 bytes"));
	ck_assert_uint_eq(log_lines(), 1);
	ck_assert_uint_eq(fake_metric(fake,
			      "arqonbus_storage_memory_evicted_total"),
	    100 - messages_kept());
	for (int i = 0; i < 50; i++) {
		append_large("a:a", "more");
		pass(SWEEP_MS);
	}
	ck_assert_uint_eq(log_lines(), 1);
	pass(11 * SWEEP_MS);
	ck_assert_uint_eq(log_lines(), 2);
	pass(120 * SWEEP_MS);
	ck_assert_uint_eq(log_lines(), 2);
}
END_TEST

START_TEST(a_stopped_plugin_leaves_no_timer)
{
	fake->plugin->stop(fake->self, ask());
	ck_assert_uint_eq(got.times, 1);
	ck_assert_int_eq(event_base_get_num_events(fake->base,
			     EVENT_BASE_COUNT_ADDED),
	    0);
	fake->plugin->fini(&fake->self);
	ck_assert_ptr_null(fake->self);
}
END_TEST

START_TEST(the_plugin_takes_down_all_that_it_has)
{
	append_many("a:a", 100, 500, 1000);
	append("a:b", "one");
	tail("a:c");
	ck_assert_uint_eq(fake_msgs_alive(), 101);
}
END_TEST

static void
add_default_tests(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_full_channel_forgets_its_oldest_message);
	tcase_add_loop_test(t, a_channel_keeps_as_many_as_it_may_and_no_more, 0,
	    sizeof sizes / sizeof sizes[0]);
	tcase_add_test(t,
	    a_history_size_of_zero_gives_positions_and_keeps_nothing);
	tcase_add_test(t,
	    a_channel_that_keeps_nothing_any_more_lets_go_of_what_it_had);
	tcase_add_test(t, a_channel_may_change_its_size);
	tcase_add_test(t,
	    s7_an_append_without_memory_is_refused_and_changes_nothing);
	tcase_add_test(t,
	    s7_a_full_or_shrinking_ring_without_memory_loses_nothing);
	tcase_add_test(t, s7_tail_without_memory_is_refused);
	tcase_add_test(t, s7_reading_without_memory_is_refused);
	tcase_add_test(t, a_stopped_plugin_leaves_no_timer);
	tcase_add_test(t, the_plugin_takes_down_all_that_it_has);
}

static void
add_age_tests(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_message_is_gone_when_its_time_is_over);
	tcase_add_test(t, what_is_over_makes_room_when_the_next_comes);
	tcase_add_test(t, an_expired_stream_keeps_its_position);
	tcase_add_test(t, the_sweep_drops_what_nobody_reads);
	tcase_add_test(t, the_sweep_gets_past_those_that_stay);
	tcase_add_test(t, one_sweep_does_no_more_than_its_share);
	tcase_add_test(t, a_channel_may_change_the_time_of_what_it_has);
	tcase_add_test(t, o6_the_clock_of_the_day_may_jump);
	tcase_add_test(t, the_numbers_are_told_every_second);
}

static void
add_memory_tests(TCase *t)
{
	tcase_add_checked_fixture(t, setup_small, teardown);
	tcase_add_test(t, over_the_limit_the_oldest_of_all_channels_goes);
	tcase_add_test(t, a_stream_that_lost_all_to_others_keeps_its_position);
	tcase_add_test(t, the_newest_is_kept_even_if_it_alone_is_too_large);
	tcase_add_test(t, of_empty_streams_the_longest_empty_go_first);
	tcase_add_test(t, messages_go_before_the_positions_of_their_streams);
	tcase_add_test(t, a_stream_in_use_is_not_taken_for_one_long_empty);
	tcase_add_test(t,
	    what_is_used_counts_messages_and_what_it_takes_to_find_them);
	tcase_add_test(t,
	    that_memory_is_short_is_said_soon_and_then_once_a_minute);
}

int
main(void)
{
	Suite *suite = suite_create("storage-memory");
	TCase *t;

	t = tcase_create("streams");
	tcase_set_timeout(t, 60);
	add_default_tests(t);
	suite_add_tcase(suite, t);
	t = tcase_create("age");
	tcase_set_timeout(t, 60);
	add_age_tests(t);
	suite_add_tcase(suite, t);
	t = tcase_create("memory");
	tcase_set_timeout(t, 60);
	add_memory_tests(t);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The command history: what it asks for, and how it shows what it gets. */

#include <check.h>
#include <stdio.h>

#include "base/buf.h"
#include "commands_fake.h"

#define KEPT_MAX 16

/* What the bus's answer borrows. */
static struct aqb_msg *kept[KEPT_MAX];

static void
setup(void)
{
	commands_setup("commands-builtin");
}

static void
teardown(void)
{
	for (size_t i = 0; i < KEPT_MAX; i++) {
		fake_msg_unref(&kept[i]);
	}
	commands_teardown();
}

/* The bus answers with messages `from` to `to` of a channel that keeps 1 to
 * 20, each with a payload of so many bytes. */
static void
answer_with(uint64_t from, uint64_t to, size_t bytes, bool more)
{
	char *text = letters('x', bytes);
	char *payload;

	ck_assert_int_ge(asprintf(&payload, "\"%s\"", text), 0);
	fake_bus.answer.n = 0;
	for (uint64_t seq = from; seq <= to; seq++) {
		struct aqb_msg **place = &kept[fake_bus.answer.n++];

		fake_msg_unref(place);
		*place = fake_msg(&(struct fake_text){
		    .type = "event", .payload = payload, .seq = seq });
	}
	fake_bus.answer.msgs = kept;
	fake_bus.answer.more = more;
	fake_bus.answer.first = 1;
	fake_bus.answer.pos.seq = 20;
	free(payload);
	free(text);
}

/* The result is these messages, byte for byte, and then this. */
static void
assert_shows(size_t first, size_t n, const char *rest)
{
	struct buf want = { 0 };
	struct json_object *o;

	buf_puts(&want, "{\"messages\":[");
	for (size_t i = first; i < first + n; i++) {
		struct aqb_slice json = fake_msg_json(kept[i]);

		buf_puts(&want, i > first ? "," : "");
		buf_add(&want, json.data, json.len);
	}
	buf_puts(&want, "],");
	buf_puts(&want, rest);
	buf_puts(&want, "}");
	assert_result(buf_text(&want));
	buf_fini(&want);
	o = result();
	json_object_put(o);
}

#define ENDS "\"first_seq\":1,\"last_seq\":20,\"epoch\":\"e1\","

START_TEST(the_last_fifty_are_asked_for)
{
	call("history", "r", "c", NULL);
	assert_asked("read r:c last limit=50 after=0 before=0 since=0 until=0 "
		     "from=-");
	assert_result("{\"messages\":[],\"first_seq\":1,\"last_seq\":0,"
		      "\"epoch\":\"e1\",\"truncated\":false}");
}
END_TEST

START_TEST(the_range_is_what_the_caller_says)
{
	call("history", "r", "c",
	    "{\"limit\":7,\"before\":9,\"client_id\":\"ada\","
	    "\"until\":\"2026-01-01T00:00:00Z\"}");
	assert_asked("read r:c last limit=7 after=0 before=9 since=0 "
		     "until=1767225600000 from=ada");
}
END_TEST

START_TEST(after_and_since_ask_for_the_first)
{
	call("history", "r", "c", "{\"after\":3,\"before\":9}");
	assert_asked("read r:c first limit=50 after=3 before=9 since=0 "
		     "until=0 from=-");
	call("history", "r", "c", "{\"after\":0}");
	assert_asked("read r:c first limit=50 after=0 before=0 since=0 "
		     "until=0 from=-");
	call("history", "r", "c", "{\"since\":\"2026-01-01T00:00:00Z\"}");
	assert_asked("read r:c first limit=50 after=0 before=0 "
		     "since=1767225600000 until=0 from=-");
}
END_TEST

START_TEST(timestamps_are_read_in_all_their_forms)
{
	static const struct {
		const char *text;
		long long ms;
	} form[] = {
		{ "2026-01-01T00:00:00Z", 1767225600000 },
		{ "2026-01-01t00:00:00z", 1767225600000 },
		{ "2026-01-01 00:00:00Z", 1767225600000 },
		{ "2026-01-01T00:00:00.1Z", 1767225600100 },
		{ "2026-01-01T00:00:00.007Z", 1767225600007 },
		{ "2026-01-01T00:00:00.123999999Z", 1767225600123 },
		{ "2026-01-01T01:30:00+01:30", 1767225600000 },
		{ "2025-12-31T23:15:00.5-00:45", 1767225600500 },
		{ "2024-02-29T12:00:00Z", 1709208000000 },
		{ "1969-12-31T23:59:59.5Z", -500 },
		/* 0 would be no bound at all. */
		{ "1970-01-01T00:00:00Z", -1 },
	};

	for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
		char args[64], want[128];

		snprintf(args, sizeof args, "{\"until\":\"%s\"}", form[i].text);
		call("history", "r", "c", args);
		snprintf(want, sizeof want,
		    "read r:c last limit=50 after=0 before=0 since=0 "
		    "until=%lld from=-",
		    form[i].ms);
		assert_asked(want);
	}
}
END_TEST

START_TEST(n9_a_range_that_makes_no_sense_is_refused)
{
	static const struct {
		const char *args;
		const char *field;
	} bad[] = {
		{ "{\"after\":5,\"before\":5}", "before" },
		{ "{\"after\":6,\"before\":5}", "before" },
		{ "{\"since\":\"2026-01-01T00:00:01Z\","
		  "\"until\":\"2026-01-01T00:00:00Z\"}",
		    "until" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		call("history", "r", "c", bad[i].args);
		assert_refused(AQB_CODE_INVALID_ARGUMENT, bad[i].field);
	}
	assert_not_asked();
}
END_TEST

START_TEST(a_room_has_no_positions_to_ask_for)
{
	call("history", "r", NULL, "{\"after\":0}");
	assert_refused(AQB_CODE_INVALID_ARGUMENT, "after");
	call("history", "r", NULL, "{\"before\":1}");
	assert_refused(AQB_CODE_INVALID_ARGUMENT, "before");
	assert_not_asked();
}
END_TEST

START_TEST(messages_are_shown_byte_for_byte)
{
	kept[0] = fake_msg(&(struct fake_text){ .id = "a",
	    .type = "event",
	    .payload = "{ \"x\" : 1.0e+2, \"y\":\"\\u00e4\\/\" }",
	    .seq = 1 });
	kept[1] = fake_msg(&(struct fake_text){
	    .id = "b", .type = "event", .payload = "[]", .seq = 2 });
	fake_bus.answer.msgs = kept;
	fake_bus.answer.n = 2;
	fake_bus.answer.pos.seq = 20;
	call("history", "r", "c", NULL);
	assert_shows(0, 2, ENDS "\"truncated\":false");
}
END_TEST

START_TEST(the_last_of_more_are_followed_by_where_they_begin)
{
	answer_with(16, 20, 10, true);
	call("history", "r", "c", "{\"limit\":5}");
	assert_shows(0, 5, ENDS "\"truncated\":true,\"next\":16");
}
END_TEST

START_TEST(the_first_of_more_are_followed_by_where_they_end)
{
	answer_with(3, 7, 10, true);
	call("history", "r", "c", "{\"limit\":5,\"after\":2}");
	assert_shows(0, 5, ENDS "\"truncated\":true,\"next\":7");
}
END_TEST

START_TEST(an_epoch_is_any_text)
{
	strcpy(fake_bus.answer.pos.epoch, "\"\\");
	call("history", "r", "c", NULL);
	assert_result("{\"messages\":[],\"first_seq\":1,\"last_seq\":0,"
		      "\"epoch\":\"\\\"\\\\\",\"truncated\":false}");
}
END_TEST

START_TEST(a_room_has_no_ends_and_no_next)
{
	answer_with(16, 20, 10, true);
	call("history", "r", NULL, NULL);
	assert_asked("read r:- last limit=50 after=0 before=0 since=0 until=0 "
		     "from=-");
	assert_shows(0, 5,
	    "\"first_seq\":null,\"last_seq\":null,\"epoch\":null,"
	    "\"truncated\":true");
}
END_TEST

/* What a storage that does not count bytes gives is cut here: 7 of 70,000
 * bytes fit into 512 KiB. */
START_TEST(the_last_are_cut_at_the_limit_of_a_reply)
{
	answer_with(11, 20, 70000, false);
	call("history", "r", "c", NULL);
	assert_shows(3, 7, ENDS "\"truncated\":true,\"next\":14");
	ck_assert_uint_lt(reply.len, REPLY_MAX);
}
END_TEST

START_TEST(the_first_are_cut_at_the_limit_of_a_reply)
{
	answer_with(11, 20, 70000, false);
	call("history", "r", "c", "{\"after\":10}");
	assert_shows(0, 7, ENDS "\"truncated\":true,\"next\":17");
}
END_TEST

START_TEST(a_message_of_almost_the_limit_is_shown)
{
	answer_with(11, 11, REPLY_MAX - 4096 - 100, false);
	call("history", "r", "c", NULL);
	assert_shows(0, 1, ENDS "\"truncated\":false");
	ck_assert_uint_lt(reply.len, REPLY_MAX);
}
END_TEST

/* Wherever it stands, and whether or not the storage shows it: who goes on
 * with `next` gets past it, and misses nothing else. */
START_TEST(a_message_too_long_for_a_reply_is_passed_over)
{
	static const struct {
		const char *args;
		uint64_t seq; /* 0: the storage kept it back */
		const char *rest;
	} at[] = {
		{ "{\"after\":10}", 11, ENDS "\"truncated\":true,\"next\":11" },
		{ "{\"after\":10}", 0, ENDS "\"truncated\":true,\"next\":11" },
		{ "{\"after\":0}", 0, ENDS "\"truncated\":true,\"next\":1" },
		{ "{\"since\":\"2026-01-01T00:00:00Z\"}", 0,
		    ENDS "\"truncated\":true,\"next\":1" },
		{ "{}", 20, ENDS "\"truncated\":true,\"next\":20" },
		{ "{}", 0, ENDS "\"truncated\":true,\"next\":20" },
		{ "{\"before\":8}", 7, ENDS "\"truncated\":true,\"next\":7" },
		{ "{\"before\":8}", 0, ENDS "\"truncated\":true,\"next\":7" },
		{ "{\"before\":20}", 0, ENDS "\"truncated\":true,\"next\":19" },
		{ "{\"before\":99}", 0, ENDS "\"truncated\":true,\"next\":20" },
	};

	for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
		if (at[i].seq != 0) {
			answer_with(at[i].seq, at[i].seq, REPLY_MAX, false);
		} else {
			answer_with(1, 0, 0, true);
		}
		call("history", "r", "c", at[i].args);
		assert_shows(0, 0, at[i].rest);
	}
}
END_TEST

START_TEST(a_history_may_come_later)
{
	fake_bus.later = true;
	answer_with(20, 20, 10, false);
	call("history", "r", "c", NULL);
	ck_assert_uint_eq(reply.times, 0);
	fake_bus_answer();
	assert_shows(0, 1, ENDS "\"truncated\":false");
}
END_TEST

START_TEST(a_history_that_cannot_be_read_is_refused)
{
	fake_bus.later = true;
	call("history", "r", "c", NULL);
	fake_bus.refuse = AQB_CODE_STORAGE_UNAVAILABLE;
	fake_bus_answer();
	assert_refused(AQB_CODE_STORAGE_UNAVAILABLE, NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("history");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_last_fifty_are_asked_for);
	tcase_add_test(tc, the_range_is_what_the_caller_says);
	tcase_add_test(tc, after_and_since_ask_for_the_first);
	tcase_add_test(tc, timestamps_are_read_in_all_their_forms);
	tcase_add_test(tc, n9_a_range_that_makes_no_sense_is_refused);
	tcase_add_test(tc, a_room_has_no_positions_to_ask_for);
	tcase_add_test(tc, messages_are_shown_byte_for_byte);
	tcase_add_test(tc, the_last_of_more_are_followed_by_where_they_begin);
	tcase_add_test(tc, the_first_of_more_are_followed_by_where_they_end);
	tcase_add_test(tc, an_epoch_is_any_text);
	tcase_add_test(tc, a_room_has_no_ends_and_no_next);
	tcase_add_test(tc, the_last_are_cut_at_the_limit_of_a_reply);
	tcase_add_test(tc, the_first_are_cut_at_the_limit_of_a_reply);
	tcase_add_test(tc, a_message_of_almost_the_limit_is_shown);
	tcase_add_test(tc, a_message_too_long_for_a_reply_is_passed_over);
	tcase_add_test(tc, a_history_may_come_later);
	tcase_add_test(tc, a_history_that_cannot_be_read_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

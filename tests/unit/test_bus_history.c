/* SPDX-License-Identifier: Apache-2.0 */

/* Reading what a channel, or a room, has kept. */

#include "bus_fake.h"

#include <stdio.h>
#include <string.h>

#include "proto/msg.h"

static struct peer *ada;

/* What the last read told. */
static struct {
	unsigned times;
	enum aqb_code code;
	const char *field;
	char ids[256]; /* one after the other */
	bool more;
	struct aqb_position pos;
} told;

static void
setup(void)
{
	bus_setup();
	memset(&told, 0, sizeof told);
	ada = come("");
	join(ada, "r", "x"); /* from now on she is the caller */
}

static void
publish(const char *channel, const char *id)
{
	say(ada, "{'type':'event','room':'r','channel':'%s','id':'%s'}",
	    channel, id);
	time_passes(10);
}

static void
on_read(void *arg, aqb_ticket call, enum aqb_code code,
    const struct aqb_answer *answer, const struct aqb_why *why)
{
	(void)arg;
	(void)call;
	told.times++;
	told.code = code;
	told.field = code == AQB_CODE_OK ? NULL : why->field;
	told.ids[0] = '\0';
	if (code != AQB_CODE_OK) {
		return;
	}
	told.more = answer->more;
	told.pos = answer->pos;
	for (size_t i = 0; i < answer->n; i++) {
		struct aqb_msg_view v;

		msg_view(answer->msgs[i], &v);
		strncat(told.ids, v.id.data, v.id.len);
		strcat(told.ids, " ");
	}
}

static void
ask(const char *room, const char *channel, const struct aqb_range *range)
{
	bus_api(bus)->read(NULL, 7, room, channel, range, on_read, NULL);
	time_passes(1);
}

static void
read_some(const char *room, const char *channel, uint32_t limit, uint32_t flags)
{
	const struct aqb_range range = {
		.size = sizeof range,
		.limit = limit,
		.flags = flags,
	};

	ask(room, channel, &range);
}

static void
publish_across(void)
{
	publish("x", "x1");
	publish("y", "y1");
	publish("z", "z1");
	publish("x", "x2");
	publish("z", "z2");
	publish("y", "y2");
}

START_TEST(a_room_is_merged_by_time)
{
	publish_across();
	read_some("r", NULL, 10, 0);
	ck_assert_str_eq(told.ids, "x1 y1 z1 x2 z2 y2 ");
	ck_assert(!told.more);
	ck_assert_uint_eq(told.times, 1);
}
END_TEST

START_TEST(the_first_or_the_last_of_a_room_are_given)
{
	publish_across();
	read_some("r", NULL, 2, 0);
	ck_assert_str_eq(told.ids, "x1 y1 ");
	ck_assert(told.more);
	read_some("r", NULL, 3, AQB_RANGE_LAST);
	ck_assert_str_eq(told.ids, "x2 z2 y2 ");
	ck_assert(told.more);
	read_some("r", NULL, 6, AQB_RANGE_LAST);
	ck_assert_str_eq(told.ids, "x1 y1 z1 x2 z2 y2 ");
	ck_assert(!told.more);
}
END_TEST

START_TEST(a_clock_that_steps_back_does_not_reorder_a_channel)
{
	publish("x", "x1");
	publish("x", "x2");
	day_jumps(-3600 * 1000);
	publish("x", "x3");
	publish("x", "x4");
	read_some("r", NULL, 10, 0);
	ck_assert_str_eq(told.ids, "x1 x2 x3 x4 ");
}
END_TEST

START_TEST(bytes_bound_what_a_room_gives)
{
	struct aqb_range range = {
		.size = sizeof range,
		.limit = 10,
		.bytes = 500,
		.flags = AQB_RANGE_LAST,
	};

	publish_across();
	ask("r", NULL, &range);
	ck_assert(told.more);
	ck_assert_ptr_nonnull(strstr(told.ids, "y2"));
	ck_assert_ptr_null(strstr(told.ids, "x1"));
}
END_TEST

START_TEST(what_is_not_there_is_refused)
{
	read_some("nowhere", NULL, 1, 0);
	ck_assert_int_eq(told.code, AQB_CODE_ROOM_NOT_FOUND);
	ck_assert_str_eq(told.field, "room");
	read_some("r", "nothing", 1, 0);
	ck_assert_int_eq(told.code, AQB_CODE_CHANNEL_NOT_FOUND);
	ck_assert_str_eq(told.field, "channel");
	ck_assert(!is_there("r", "nothing"));
}
END_TEST

START_TEST(a_storage_that_cannot_is_told_once)
{
	publish_across();
	backend.reads_fail = true;
	backend.error = AQB_EUNAVAIL;
	read_some("r", "x", 1, 0);
	ck_assert_int_eq(told.code, AQB_CODE_STORAGE_UNAVAILABLE);
	read_some("r", NULL, 1, 0);
	ck_assert_int_eq(told.code, AQB_CODE_STORAGE_UNAVAILABLE);
	ck_assert_uint_eq(told.times, 2);
}
END_TEST

START_TEST(n9_one_read_of_a_client_is_under_way)
{
	publish("x", "x1");
	backend.reads_wait = true;
	read_some("r", "x", 1, 0);
	ck_assert_uint_eq(told.times, 0);
	read_some("r", "x", 1, 0);
	ck_assert_int_eq(told.code, AQB_CODE_BUSY);
	backend_reads();
	ck_assert_uint_eq(told.times, 2);
	ck_assert_str_eq(told.ids, "x1 ");
	backend.reads_wait = false;
	read_some("r", "x", 1, 0);
	ck_assert_int_eq(told.code, AQB_CODE_OK);
}
END_TEST

START_TEST(who_goes_while_it_reads_leaves_nothing)
{
	publish_across();
	backend.reads_wait = true;
	read_some("r", NULL, 1, 0);
	go(ada);
	backend_reads();
	ck_assert_uint_eq(told.times, 1);
}
END_TEST

START_TEST(a_channel_that_goes_meanwhile_is_read_to_the_end)
{
	struct aqb_why why;

	publish("x", "x1");
	backend.reads_wait = true;
	read_some("r", "x", 1, 0);
	ck_assert_int_eq(bus_api(bus)->channel_delete(NULL, ada->id, "r", "x",
			     true, &why),
	    AQB_CODE_OK);
	backend_reads();
	ck_assert_uint_eq(told.times, 1);
	ck_assert_str_eq(told.ids, "");
}
END_TEST

START_TEST(a_limit_of_zero_gives_the_ends)
{
	publish("x", "x1");
	publish("x", "x2");
	read_some("r", "x", 0, 0);
	ck_assert_int_eq(told.code, AQB_CODE_OK);
	ck_assert_uint_eq(told.pos.seq, 2);
	ck_assert_str_ne(told.pos.epoch, "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-history");
	TCase *t = tcase_create("history");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, a_room_is_merged_by_time);
	tcase_add_test(t, the_first_or_the_last_of_a_room_are_given);
	tcase_add_test(t, a_clock_that_steps_back_does_not_reorder_a_channel);
	tcase_add_test(t, bytes_bound_what_a_room_gives);
	tcase_add_test(t, what_is_not_there_is_refused);
	tcase_add_test(t, a_storage_that_cannot_is_told_once);
	tcase_add_test(t, n9_one_read_of_a_client_is_under_way);
	tcase_add_test(t, who_goes_while_it_reads_leaves_nothing);
	tcase_add_test(t, a_channel_that_goes_meanwhile_is_read_to_the_end);
	tcase_add_test(t, a_limit_of_zero_gives_the_ends);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

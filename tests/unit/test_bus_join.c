/* SPDX-License-Identifier: Apache-2.0 */

/* Joining and catching up: for every receiver, received + gaps = published. */

#include "bus_fake.h"

#include <stdio.h>
#include <string.h>

static struct peer *ada, *bob;

static void
setup(void)
{
	bus_setup();
	ada = come("");
	bob = come("");
}

static void
publish(int from, int to)
{
	for (int i = from; i <= to; i++) {
		say(ada, "{'type':'event','channel':'c:d','payload':%d}", i);
	}
}

static struct joined
catch_up(struct peer *peer, uint64_t seq, const char *epoch)
{
	struct aqb_join how = { .size = sizeof how,
		.room = "c",
		.channel = "d",
		.has_since = true,
		.since = { .seq = seq } };

	snprintf(how.since.epoch, sizeof how.since.epoch, "%s", epoch);
	return join_as(peer, &how);
}

/* It hears exactly these, in order. */
static void
hears_range(struct peer *peer, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq <= to; seq++) {
		const char *text = hears(peer, "'type':'event'");

		ck_assert_uint_eq(number_in(text, "seq"), seq);
	}
}

static void
hears_gap(struct peer *peer, const char *from, const char *to,
    const char *reason)
{
	hears(peer, "'type':'gap'", "'room':'c'", "'channel':'d'", from, to,
	    reason, "'epoch':'e");
}

START_TEST(the_reply_says_who_is_there_and_where_the_channel_stands)
{
	struct joined j;

	publish(1, 3);
	j = join(bob, "c", "d");
	ck_assert(j.is_answered);
	ck_assert_uint_eq(j.result.member_count, 1);
	ck_assert_uint_eq(j.result.pos.seq, 3);
	ck_assert_int_ne(j.result.pos.epoch[0], '\0');
	ck_assert(!j.result.was_recovering);
	hears_nothing(bob);
}
END_TEST

START_TEST(n5_joining_twice_is_one_membership)
{
	join(bob, "c", "d");
	ck_assert_uint_eq(join(bob, "c", "d").result.member_count, 1);
	publish(1, 1);
	hears_range(bob, 1, 1);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_was_missed_follows_the_reply)
{
	struct joined j;
	char epoch[AQB_EPOCH_SIZE];

	j = join(bob, "c", "d");
	memcpy(epoch, j.result.pos.epoch, sizeof epoch);
	publish(1, 2);
	hears_range(bob, 1, 2);
	leave(bob, "c", "d");
	publish(3, 9);
	j = catch_up(bob, 2, epoch);
	ck_assert(j.result.was_recovering);
	ck_assert(j.result.recovered);
	ck_assert_uint_eq(j.result.pos.seq, 9);
	hears_range(bob, 3, 9);
	publish(10, 10);
	hears_range(bob, 10, 10);
	hears_nothing(bob);
}
END_TEST

static void
loses_of_the_channel(struct peer *peer, const char *epoch, uint64_t from,
    uint64_t to)
{
	struct port_loss loss = {
		.from = from, .to = to, .room = "c", .channel = "d"
	};

	snprintf(loss.epoch, sizeof loss.epoch, "%s", epoch);
	loses_this(peer, &loss);
}

/* It waited in its outbox when it joined again, and came again since. */
START_TEST(s1_what_the_history_brings_again_is_no_loss)
{
	struct joined j = join(bob, "c", "d");
	char epoch[AQB_EPOCH_SIZE];

	memcpy(epoch, j.result.pos.epoch, sizeof epoch);
	publish(1, 9);
	hears_range(bob, 1, 9);
	catch_up(bob, 4, epoch);
	hears_range(bob, 5, 9);
	publish(10, 12);
	hears_range(bob, 10, 12);
	loses_of_the_channel(bob, epoch, 5, 9);
	hears_nothing(bob);
	loses_of_the_channel(bob, epoch, 3, 11);
	hears_gap(bob, "'from_seq':3", "'to_seq':4", "'slow_consumer'");
	hears_gap(bob, "'from_seq':10", "'to_seq':11", "'slow_consumer'");
	hears_nothing(bob);
	loses_of_the_channel(bob, "other", 5, 9);
	hears(bob, "'type':'gap'", "'from_seq':5", "'to_seq':9", "'other'");
	leave(bob, "c", "d");
	loses_of_the_channel(bob, epoch, 5, 9);
	hears_gap(bob, "'from_seq':5", "'to_seq':9", "'slow_consumer'");
}
END_TEST

START_TEST(s1_nor_while_it_is_on_its_way)
{
	struct joined j = join(bob, "c", "d");
	char epoch[AQB_EPOCH_SIZE];

	memcpy(epoch, j.result.pos.epoch, sizeof epoch);
	publish(1, 9);
	hears_range(bob, 1, 9);
	backend.reads_wait = true;
	catch_up(bob, 4, epoch);
	loses_of_the_channel(bob, epoch, 3, 8);
	hears_gap(bob, "'from_seq':3", "'to_seq':4", "'slow_consumer'");
	backend_reads();
	hears_range(bob, 5, 9);
	hears_nothing(bob);
}
END_TEST

START_TEST(nothing_missed_is_recovered_too)
{
	struct joined j = join(bob, "c", "d");

	publish(1, 1);
	hears_range(bob, 1, 1);
	j = catch_up(bob, 1, j.result.pos.epoch);
	ck_assert(j.result.recovered);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_is_no_longer_kept_is_a_gap)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	backend.keeps = 4;
	publish(1, 10);
	j = catch_up(bob, 2, j.result.pos.epoch);
	ck_assert(j.result.was_recovering);
	ck_assert(!j.result.recovered);
	hears_gap(bob, "'from_seq':3,", "'to_seq':6,", "'reason':'trimmed'");
	hears_range(bob, 7, 10);
	hears_nothing(bob);
}
END_TEST

START_TEST(all_of_it_may_be_a_gap)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	backend.keeps = 0;
	publish(1, 5);
	j = catch_up(bob, 2, j.result.pos.epoch);
	ck_assert(!j.result.recovered);
	hears_gap(bob, "'from_seq':3,", "'to_seq':5,", "'reason':'trimmed'");
	hears_nothing(bob);
}
END_TEST

START_TEST(another_epoch_gets_a_gap_and_all_that_is_kept)
{
	struct joined j;

	backend.keeps = 3;
	publish(1, 5);
	j = catch_up(bob, 5, "of-another-life");
	ck_assert(!j.result.recovered);
	hears_gap(bob, "'from_seq':null,", "'to_seq':2,", "'reason':'epoch'");
	hears_range(bob, 3, 5);
	hears_nothing(bob);
}
END_TEST

START_TEST(an_epoch_that_counts_on_is_no_loss)
{
	struct joined j;

	backend.resolves = true;
	publish(1, 5);
	j = catch_up(bob, 3, "the-one-before");
	ck_assert(j.result.was_recovering);
	ck_assert(j.result.recovered);
	hears_range(bob, 4, 5);
	hears_nothing(bob);
}
END_TEST

START_TEST(an_epoch_that_cannot_be_asked_about_is_not_unknown)
{
	struct joined j;

	backend.resolve_fails = true;
	backend.error = AQB_EUNAVAIL;
	publish(1, 5);
	j = catch_up(bob, 3, "the-one-before");
	ck_assert_int_eq(j.code, AQB_CODE_STORAGE_UNAVAILABLE);
	publish(6, 6);
	hears_nothing(bob); /* it may try again */
}
END_TEST

START_TEST(but_not_beyond_its_end)
{
	struct joined j;

	backend.resolves = true;
	publish(1, 2);
	j = catch_up(bob, 3, "the-one-before");
	ck_assert(!j.result.recovered);
	hears_gap(bob, "'from_seq':null,", "'to_seq':0,", "'reason':'epoch'");
	hears_range(bob, 1, 2);
}
END_TEST

START_TEST(a_hole_while_it_reads_is_one_gap)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_wait = true;
	ck_assert(!catch_up(bob, 2, j.result.pos.epoch).is_answered);
	publish(6, 6);
	backend.reads_wait = false;
	backend_reads();
	late_join();
	hears_range(bob, 3, 6);
	hears_nothing(bob);

	leave(bob, "c", "d");
	backend.reads_wait = true;
	ck_assert(!catch_up(bob, 5, j.result.pos.epoch).is_answered);
	publish(7, 7);
	backend_reads();
	backend_skips("c:d", 3);
	publish(11, 11);
	late_join();
	hears_range(bob, 6, 7);
	hears_gap(bob, "'from_seq':8,", "'to_seq':10,", "'reason':'storage'");
	hears_range(bob, 11, 11);
	hears_nothing(bob);
}
END_TEST

START_TEST(a_position_that_was_never_given_is_of_another_life)
{
	struct joined j = join(bob, "c", "d");

	publish(1, 2);
	skip(bob);
	j = catch_up(bob, 99, j.result.pos.epoch);
	ck_assert(!j.result.recovered);
	hears_gap(bob, "'from_seq':null,", "'to_seq':0,", "'reason':'epoch'");
	hears_range(bob, 1, 2);
}
END_TEST

START_TEST(many_pages_make_one_past)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 100);
	backend.page = 7;
	j = catch_up(bob, 0, j.result.pos.epoch);
	ck_assert(j.result.recovered);
	hears_range(bob, 1, 100);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_comes_while_it_reads_follows_without_a_hole)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_wait = true;
	ck_assert(!catch_up(bob, 2, j.result.pos.epoch).is_answered);
	publish(6, 8);
	hears_nothing(bob);
	backend.reads_wait = false;
	backend_reads();
	ck_assert(late_join().result.recovered);
	hears_range(bob, 3, 8);
	publish(9, 9);
	hears_range(bob, 9, 9);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_comes_while_the_storage_begins_again_comes_once)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_wait = true;
	ck_assert(!catch_up(bob, 2, j.result.pos.epoch).is_answered);
	publish(6, 7);
	backend_begins_again("c:d");
	publish(8, 9);
	backend.reads_wait = false;
	backend_reads();
	ck_assert(late_join().result.recovered);
	publish(10, 10);
	hears_range(bob, 3, 10);
	hears_nothing(bob);
}
END_TEST

START_TEST(a_full_outbox_is_waited_for)
{
	struct joined j = join(bob, "c", "d");
	size_t first;

	leave(bob, "c", "d");
	for (int i = 0; i < 40; i++) {
		say(ada, "{'type':'event','channel':'c:d','payload':'%*c'}",
		    20000, 'x');
	}
	bob->is_full = true;
	j = catch_up(bob, 0, j.result.pos.epoch);
	ck_assert(j.is_answered);
	first = heard(bob);
	ck_assert_uint_lt(first, 40);
	publish(41, 42);
	ck_assert_uint_eq(heard(bob), first);
	has_room(bob);
	hears_range(bob, 1, 42);
	hears_nothing(bob);
}
END_TEST

START_TEST(a_read_that_fails_is_a_gap_of_the_storage)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_fail = true;
	backend.error = AQB_EUNAVAIL;
	j = catch_up(bob, 2, j.result.pos.epoch);
	ck_assert_int_eq(j.code, AQB_CODE_OK);
	ck_assert(!j.result.recovered);
	hears_gap(bob, "'from_seq':3,", "'to_seq':5,", "'reason':'storage'");
	publish(6, 6);
	hears_range(bob, 6, 6);
}
END_TEST

START_TEST(a_channel_whose_end_is_unknown_cannot_be_joined)
{
	struct joined j;

	backend.tail_fails = true;
	backend.error = AQB_EUNAVAIL;
	j = join(bob, "science", "explore");
	ck_assert_int_eq(j.code, AQB_CODE_STORAGE_UNAVAILABLE);
	ck_assert_uint_eq(channel_now("science", "explore").member_count, 0);
	backend.tail_fails = false;
	ck_assert_int_eq(join(bob, "science", "explore").code, AQB_CODE_OK);
}
END_TEST

START_TEST(a_second_join_of_it_has_to_wait)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_wait = true;
	catch_up(bob, 0, j.result.pos.epoch);
	ck_assert_int_eq(join(bob, "c", "d").code, AQB_CODE_BUSY);
}
END_TEST

START_TEST(who_goes_while_catching_up_leaves_nothing)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_wait = true;
	catch_up(bob, 0, j.result.pos.epoch);
	publish(6, 7);
	go(bob);
	backend_reads();
	ck_assert_uint_eq(channel_now("c", "d").member_count, 0);
}
END_TEST

START_TEST(who_leaves_while_catching_up_hears_no_more)
{
	struct joined j = join(bob, "c", "d");

	leave(bob, "c", "d");
	publish(1, 5);
	backend.reads_wait = true;
	catch_up(bob, 0, j.result.pos.epoch);
	ck_assert_int_eq(leave(bob, "c", "d"), AQB_CODE_OK);
	backend_reads();
	publish(6, 6);
	hears_nothing(bob);
}
END_TEST

START_TEST(n4_a_client_joins_only_so_many)
{
	struct joined j;

	settings.max_channels_per_client = 3;
	bus_remake();
	ada = come("");
	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof name, "c%d", i);
		ck_assert_int_eq(join(ada, "r", name).code, AQB_CODE_OK);
	}
	j = join(ada, "r", "c3");
	ck_assert_int_eq(j.code, AQB_CODE_LIMIT_REACHED);
	ck_assert_ptr_nonnull(strstr(j.message, "3"));
	ck_assert(!is_there("r", "c3"));
	ck_assert_int_eq(join(ada, "r", "c0").code, AQB_CODE_OK);
	leave(ada, "r", "c1");
	ck_assert_int_eq(join(ada, "r", "c3").code, AQB_CODE_OK);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-join");
	TCase *t = tcase_create("join");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t,
	    the_reply_says_who_is_there_and_where_the_channel_stands);
	tcase_add_test(t, n5_joining_twice_is_one_membership);
	tcase_add_test(t, what_was_missed_follows_the_reply);
	tcase_add_test(t, s1_what_the_history_brings_again_is_no_loss);
	tcase_add_test(t, s1_nor_while_it_is_on_its_way);
	tcase_add_test(t, nothing_missed_is_recovered_too);
	tcase_add_test(t, what_is_no_longer_kept_is_a_gap);
	tcase_add_test(t, all_of_it_may_be_a_gap);
	tcase_add_test(t, another_epoch_gets_a_gap_and_all_that_is_kept);
	tcase_add_test(t, an_epoch_that_counts_on_is_no_loss);
	tcase_add_test(t, what_comes_while_the_storage_begins_again_comes_once);
	tcase_add_test(t, an_epoch_that_cannot_be_asked_about_is_not_unknown);
	tcase_add_test(t, but_not_beyond_its_end);
	tcase_add_test(t, a_hole_while_it_reads_is_one_gap);
	tcase_add_test(t, a_position_that_was_never_given_is_of_another_life);
	tcase_add_test(t, many_pages_make_one_past);
	tcase_add_test(t, what_comes_while_it_reads_follows_without_a_hole);
	tcase_add_test(t, a_full_outbox_is_waited_for);
	tcase_add_test(t, a_read_that_fails_is_a_gap_of_the_storage);
	tcase_add_test(t, a_channel_whose_end_is_unknown_cannot_be_joined);
	tcase_add_test(t, a_second_join_of_it_has_to_wait);
	tcase_add_test(t, who_goes_while_catching_up_leaves_nothing);
	tcase_add_test(t, who_leaves_while_catching_up_hears_no_more);
	tcase_add_test(t, n4_a_client_joins_only_so_many);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

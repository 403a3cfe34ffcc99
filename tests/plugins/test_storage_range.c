/* SPDX-License-Identifier: Apache-2.0 */

/* Positions and ranges of history in memory: every field, alone and with
 * others. */

#include "storage_fake.h"

static void
setup(void)
{
	storage_open("storage-memory", NULL);
}

static void
teardown(void)
{
	storage_close();
}

/* Positions. */

START_TEST(positions_count_from_one_in_every_stream)
{
	ck_assert_uint_eq(append("a:a", "one").seq, 1);
	ck_assert_uint_eq(append("a:a", "two").seq, 2);
	ck_assert_uint_eq(append("a:b", "three").seq, 1);
	ck_assert_uint_eq(append("a:a", "four").seq, 3);
	ck_assert_uint_eq(store->stored, AQB_STORED_MEMORY);
	ck_assert_uint_eq(store->caps, 0);
}
END_TEST

START_TEST(an_epoch_is_16_digits_that_every_stream_has_of_its_own)
{
	struct aqb_position a = append("a:a", "one");
	struct aqb_position b = append("a:b", "two");
	struct aqb_position again = append("a:a", "three");

	ck_assert_uint_eq(strlen(a.epoch), 16);
	ck_assert_uint_eq(strspn(a.epoch, "0123456789abcdef"), 16);
	ck_assert(!same_epoch(&a, &b));
	ck_assert(same_epoch(&a, &again));
}
END_TEST

START_TEST(tail_begins_the_stream_with_the_epoch_of_its_first_message)
{
	struct aqb_answer before = tail("a:a");
	struct aqb_position pos = append("a:a", "one");

	ck_assert_uint_eq(before.pos.seq, 0);
	ck_assert_uint_eq(before.first, 1);
	ck_assert(same_epoch(&before.pos, &pos));
}
END_TEST

START_TEST(tail_tells_both_ends)
{
	struct aqb_answer answer;

	append_many("a:a", 5, 3, EVER);
	answer = tail("a:a");
	ck_assert_uint_eq(answer.first, 3);
	ck_assert_uint_eq(answer.pos.seq, 5);
}
END_TEST

START_TEST(reading_a_stream_that_was_never_begun_shows_and_begins_nothing)
{
	read_range("a:a", &(struct aqb_range){ .limit = 10 });
	ck_assert_uint_eq(got.answer.n, 0);
	ck_assert_uint_eq(got.answer.pos.seq, 0);
	ck_assert_uint_eq(got.answer.first, 1);
	ck_assert_str_eq(got.answer.pos.epoch, "");
	ck_assert_uint_eq(bytes_used(), 0);
}
END_TEST

START_TEST(a_forgotten_stream_begins_again_with_another_epoch)
{
	struct aqb_position old = append("a:a", "one"), pos;

	append("a:b", "other");
	forget("a:a");
	ck_assert_uint_eq(messages_kept(), 1);
	pos = append("a:a", "two");
	ck_assert_uint_eq(pos.seq, 1);
	ck_assert(!same_epoch(&old, &pos));
	assert_kept("a:a", "two");
	assert_kept("a:b", "other");
}
END_TEST

START_TEST(forgetting_what_is_not_there_is_no_error)
{
	forget("a:a");
	forget("a:a");
}
END_TEST

static unsigned hashed;

static uint64_t
poor_hash(const void *data, size_t len)
{
	(void)data;
	(void)len;
	hashed++;
	return 7;
}

/* n3: the names are the peers' choice. */
START_TEST(n3_streams_are_found_by_the_hash_of_the_broker)
{
	fake->host.hash = poor_hash;
	append("a:a", "one");
	append("a:b", "two");
	ck_assert_uint_ge(hashed, 2);
	assert_kept("a:a", "one");
	assert_kept("a:b", "two");
}
END_TEST

/* Ranges. */

/* Messages 1 to 10 of ann and bob in turn, a hundredth of a second apart. */
static void
append_ten(void)
{
	const struct aqb_limits limits = { .size = sizeof limits,
		.history_size = 500 };

	for (int i = 1; i <= 10; i++) {
		struct aqb_position pos;
		char id[16];

		snprintf(id, sizeof id, "%d", i);
		ck_assert_int_eq(try_append("a:a",
				     &(struct fake_text){
					 .id = id,
					 .from = i % 2 == 1 ? "ann" : "bob",
					 .timestamp = 1000 + i * 10,
				     },
				     &limits, &pos),
		    AQB_DONE);
	}
}

static const struct range_case {
	const char *what;
	struct aqb_range range;
	const char *shows;
	bool more;
} range_cases[] = {
	{ "all", { .limit = 100 }, "1 2 3 4 5 6 7 8 9 10", false },
	{ "as many as there are", { .limit = 10 }, "1 2 3 4 5 6 7 8 9 10",
	    false },
	{ "the first", { .limit = 3 }, "1 2 3", true },
	{ "the last", { .limit = 3, .flags = AQB_RANGE_LAST }, "8 9 10", true },
	{ "all, as the last", { .limit = 10, .flags = AQB_RANGE_LAST },
	    "1 2 3 4 5 6 7 8 9 10", false },
	{ "after", { .limit = 100, .after = 7 }, "8 9 10", false },
	{ "after, cut", { .limit = 2, .after = 7 }, "8 9", true },
	{ "after the last", { .limit = 2, .after = 10 }, "", false },
	{ "after what is to come", { .limit = 2, .after = UINT64_MAX }, "",
	    false },
	{ "before", { .limit = 100, .before = 4 }, "1 2 3", false },
	{ "before, the last",
	    { .limit = 2, .before = 4, .flags = AQB_RANGE_LAST }, "2 3", true },
	{ "before the first", { .limit = 2, .before = 1 }, "", false },
	{ "before what is to come", { .limit = 100, .before = UINT64_MAX },
	    "1 2 3 4 5 6 7 8 9 10", false },
	{ "between", { .limit = 100, .after = 3, .before = 7 }, "4 5 6",
	    false },
	{ "between neighbours", { .limit = 100, .after = 3, .before = 4 }, "",
	    false },
	{ "an inverted range", { .limit = 100, .after = 7, .before = 3 }, "",
	    false },
	{ "since", { .limit = 100, .since = 1080 }, "8 9 10", false },
	{ "since, between two", { .limit = 100, .since = 1081 }, "9 10",
	    false },
	{ "since, cut", { .limit = 1, .since = 1080 }, "8", true },
	{ "until", { .limit = 100, .until = 1030 }, "1 2 3", false },
	{ "until, the last",
	    { .limit = 2, .until = 1030, .flags = AQB_RANGE_LAST }, "2 3",
	    true },
	{ "since and until", { .limit = 100, .since = 1040, .until = 1060 },
	    "4 5 6", false },
	{ "from", { .limit = 100, .from = "bob" }, "2 4 6 8 10", false },
	{ "from, cut", { .limit = 2, .from = "bob" }, "2 4", true },
	{ "from, just all", { .limit = 5, .from = "bob" }, "2 4 6 8 10",
	    false },
	{ "from, the last",
	    { .limit = 2, .from = "ann", .flags = AQB_RANGE_LAST }, "7 9",
	    true },
	{ "from nobody", { .limit = 2, .from = "an" }, "", false },
	{ "all of it at once",
	    { .limit = 2,
		.from = "ann",
		.after = 1,
		.before = 9,
		.since = 1020,
		.until = 1070,
		.flags = AQB_RANGE_LAST },
	    "5 7", true },
};

START_TEST(a_range_shows_exactly_what_it_says)
{
	const struct range_case *c = &range_cases[_i];

	append_ten();
	read_range("a:a", &c->range);
	assert_shown(c->shows);
	ck_assert_msg(got.answer.more == c->more, "%s: more is %d", c->what,
	    got.answer.more);
	ck_assert_uint_eq(got.answer.first, 1);
	ck_assert_uint_eq(got.answer.pos.seq, 10);
}
END_TEST

START_TEST(a_limit_of_zero_asks_for_the_ends_only)
{
	struct aqb_position last;

	append_many("a:a", 4, 3, EVER);
	last = append_as("a:a", "5", 3, EVER);
	read_range("a:a", &(struct aqb_range){ .limit = 0 });
	ck_assert_uint_eq(got.answer.n, 0);
	ck_assert_uint_eq(got.answer.first, 3);
	ck_assert_uint_eq(got.answer.pos.seq, 5);
	ck_assert(same_epoch(&got.answer.pos, &last));
}
END_TEST

/* The bytes of a message are its envelope's, and the comma's that follows. */
START_TEST(a_range_is_cut_before_the_bytes_are_too_many)
{
	size_t one;

	append_ten();
	read_range("a:a", &(struct aqb_range){ .limit = 1 });
	one = fake_msg_json(got.answer.msgs[0]).len + 1;

	read_range("a:a",
	    &(struct aqb_range){ .limit = 9, .bytes = (uint32_t)(3 * one) });
	assert_shown("1 2 3");
	ck_assert(got.answer.more);
	read_range("a:a",
	    &(struct aqb_range){
		.limit = 9, .bytes = (uint32_t)(3 * one - 1) });
	assert_shown("1 2");
	ck_assert(got.answer.more);
	read_range("a:a",
	    &(struct aqb_range){ .limit = 9,
		.bytes = (uint32_t)(2 * one + 1),
		.before = 10,
		.flags = AQB_RANGE_LAST });
	assert_shown("8 9");
	read_range("a:a",
	    &(struct aqb_range){ .limit = 9, .bytes = (uint32_t)(one - 1) });
	assert_shown("");
	ck_assert(got.answer.more);
}
END_TEST

/* One number of a small generator, below n. */
static uint32_t
any(uint32_t n)
{
	static uint32_t state = 12345;

	state = state * 1664525 + 1013904223;
	return (state >> 8) % n;
}

/* What the range means, spelt out slowly over messages first..last; the seqs
 * that it shows, how many, and whether there are more. */
static size_t
spell_out(const struct aqb_range *r, const int64_t *time, uint64_t first,
    uint64_t last, uint64_t *seqs, bool *morep)
{
	size_t all = 0, n;

	for (uint64_t seq = first; seq <= last; seq++) {
		if (seq > r->after && (r->before == 0 || seq < r->before) &&
		    (r->since == 0 || time[seq] >= r->since) &&
		    (r->until == 0 || time[seq] <= r->until) &&
		    (r->from == NULL || seq % 3 == 0)) {
			seqs[all++] = seq;
		}
	}
	n = all < r->limit ? all : r->limit;
	if ((r->flags & AQB_RANGE_LAST) != 0) {
		memmove(seqs, seqs + all - n, n * sizeof *seqs);
	}
	*morep = all > n;
	return n;
}

START_TEST(any_range_shows_what_it_means)
{
	const struct aqb_limits limits = { .size = sizeof limits,
		.history_size = 20 };
	int64_t time[41];

	for (uint64_t seq = 1; seq <= 40; seq++) {
		char id[16];
		struct aqb_position pos;

		snprintf(id, sizeof id, "%" PRIu64, seq);
		/* The clock of the day may well step back. */
		time[seq] = 100 + any(30);
		try_append("a:a",
		    &(struct fake_text){ .id = id,
			.from = seq % 3 == 0 ? "three" : "other",
			.timestamp = time[seq] },
		    &limits, &pos);
	}
	for (int i = 0; i < 5000; i++) {
		struct aqb_range r = {
			.limit = 1 + any(25),
			.flags = any(2) == 0 ? AQB_RANGE_LAST : 0,
			.after = any(2) == 0 ? any(45) : 0,
			.before = any(2) == 0 ? any(45) : 0,
			.since = any(3) == 0 ? 95 + any(40) : 0,
			.until = any(3) == 0 ? 95 + any(40) : 0,
			.from = any(3) == 0 ? "three" : NULL,
		};
		uint64_t seqs[41];
		bool more;
		size_t n = spell_out(&r, time, 21, 40, seqs, &more);

		read_range("a:a", &r);
		ck_assert_uint_eq(got.answer.n, n);
		ck_assert(got.answer.more == more);
		for (size_t k = 0; k < n; k++) {
			char id[16];

			snprintf(id, sizeof id, "%" PRIu64, seqs[k]);
			ck_assert_str_eq(id_of(got.answer.msgs[k]).data, id);
		}
	}
}
END_TEST

static unsigned looked_at;

static void
counting_view(const struct aqb_msg *msg, struct aqb_msg_view *view)
{
	looked_at++;
	fake_msg_view(msg, view);
}

START_TEST(reading_by_position_looks_at_no_more_than_it_shows)
{
	append_many("a:a", 20000, 100000, EVER);
	fake->host.msg_view = counting_view;
	read_range("a:a", &(struct aqb_range){ .limit = 10, .after = 15000 });
	assert_shown("15001 15002 15003 15004 15005 15006 15007 15008 15009 "
		     "15010");
	ck_assert_uint_le(looked_at, 11);
	looked_at = 0;
	read_range("a:a",
	    &(struct aqb_range){
		.limit = 3, .before = 5000, .flags = AQB_RANGE_LAST });
	assert_shown("4997 4998 4999");
	ck_assert_uint_le(looked_at, 4);
	looked_at = 0;
	append("a:b", "one");
	ck_assert_uint_le(looked_at, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("storage-memory positions");
	TCase *t = tcase_create("positions");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, positions_count_from_one_in_every_stream);
	tcase_add_test(t,
	    an_epoch_is_16_digits_that_every_stream_has_of_its_own);
	tcase_add_test(t,
	    tail_begins_the_stream_with_the_epoch_of_its_first_message);
	tcase_add_test(t, tail_tells_both_ends);
	tcase_add_test(t,
	    reading_a_stream_that_was_never_begun_shows_and_begins_nothing);
	tcase_add_test(t, a_forgotten_stream_begins_again_with_another_epoch);
	tcase_add_test(t, forgetting_what_is_not_there_is_no_error);
	tcase_add_test(t, n3_streams_are_found_by_the_hash_of_the_broker);
	tcase_add_loop_test(t, a_range_shows_exactly_what_it_says, 0,
	    sizeof range_cases / sizeof range_cases[0]);
	tcase_add_test(t, a_limit_of_zero_asks_for_the_ends_only);
	tcase_add_test(t, a_range_is_cut_before_the_bytes_are_too_many);
	tcase_add_test(t, any_range_shows_what_it_means);
	tcase_add_test(t, reading_by_position_looks_at_no_more_than_it_shows);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host_fake.h"

#define STRAYS "arqonbus_stray_answers_total"
#define GARBAGE "arqonbus_garbage_answers_total"

/* What one question was told. */
static struct told {
	bool told;
	unsigned times;
	enum aqb_err err;
	bool has_answer;
	uint64_t seq;
	size_t n;
	char first[32];
	aqb_ticket ticket;
} told, other;

static void
on_answer(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct told *t = arg;

	t->told = true;
	t->times++;
	t->err = err;
	t->has_answer = answer != NULL;
	if (answer == NULL) {
		return;
	}
	t->seq = answer->pos.seq;
	t->n = answer->n;
	if (answer->n > 0) {
		struct aqb_slice json = msg_json(answer->msgs[0]);

		snprintf(t->first, sizeof t->first, "%.*s", (int)json.len,
		    json.data);
	}
}

static void
setup(void)
{
	memset(&told, 0, sizeof told);
	memset(&other, 0, sizeof other);
	host_setup();
}

START_TEST(an_answer_is_told_in_a_later_turn_not_in_the_call)
{
	const struct aqb_answer answer = {
		.size = sizeof answer,
		.pos = { .seq = 7 },
	};
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	ck_assert_int_eq(desk_answer(desk, ticket, AQB_OK, &answer),
	    DESK_TAKEN);
	ck_assert(!told.told);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_OK);
	ck_assert_uint_eq(told.seq, 7);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(an_answer_without_anything_is_still_an_answer)
{
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, NULL);
	turn_until(&told.told);
	ck_assert(told.has_answer);
}
END_TEST

START_TEST(an_error_comes_without_an_answer)
{
	const struct aqb_answer answer = { .size = sizeof answer };
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_answer(desk, ticket, AQB_EUNAVAIL, &answer);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_EUNAVAIL);
	ck_assert(!told.has_answer);
}
END_TEST

START_TEST(an_answer_keeps_its_messages_until_it_is_told)
{
	struct aqb_msg *msg = make_msg("{\"n\":1}");
	struct aqb_msg *msgs[] = { msg };
	const struct aqb_answer answer = {
		.size = sizeof answer,
		.msgs = msgs,
		.n = 1,
	};
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, &answer);
	msg_unref(&msg);
	ck_assert_uint_eq(msg_alive(), 1);
	turn_until(&told.told);
	ck_assert_uint_eq(told.n, 1);
	ck_assert_str_eq(told.first, "{\"n\":1}");
	ck_assert_uint_eq(msg_alive(), 0);
}
END_TEST

START_TEST(a_question_without_an_answer_ends_at_its_deadline)
{
	uint64_t begun = clock_mono_ms();

	desk_ask(desk, 30, on_answer, &told);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_ETIMEDOUT);
	ck_assert(!told.has_answer);
	ck_assert_uint_ge(clock_mono_ms() - begun, 30);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(a_deadline_can_be_set_later)
{
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_set_deadline(desk, ticket, 10);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_ETIMEDOUT);
}
END_TEST

START_TEST(a_late_answer_is_only_counted)
{
	aqb_ticket late = desk_ask(desk, 10, on_answer, &told);
	aqb_ticket next;

	turn_until(&told.told);
	/* The same slot, another question. */
	next = desk_ask(desk, 0, on_answer, &other);
	ck_assert_uint_ne(next, late);
	ck_assert_int_eq(desk_answer(desk, late, AQB_EFULL, NULL), DESK_STRAY);
	turn_once();
	ck_assert(!other.told);
	ck_assert_uint_eq(told.times, 1);
	ck_assert_uint_eq(metric_value(STRAYS), 1);
	desk_answer(desk, next, AQB_OK, NULL);
	turn_until(&other.told);
	ck_assert_int_eq(other.err, AQB_OK);
}
END_TEST

START_TEST(a_double_answer_is_only_counted)
{
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, NULL);
	ck_assert_int_eq(desk_answer(desk, ticket, AQB_EFULL, NULL),
	    DESK_STRAY);
	turn_until(&told.told);
	turn_once();
	ck_assert_uint_eq(told.times, 1);
	ck_assert_int_eq(told.err, AQB_OK);
	ck_assert_uint_eq(metric_value(STRAYS), 1);
}
END_TEST

START_TEST(a_ticket_that_was_never_given_is_only_counted)
{
	ck_assert_int_eq(desk_answer(desk, 0, AQB_OK, NULL), DESK_STRAY);
	ck_assert_int_eq(desk_answer(desk, UINT64_MAX, AQB_OK, NULL),
	    DESK_STRAY);
	ck_assert_int_eq(desk_answer(desk, (aqb_ticket)1 << 24, AQB_OK, NULL),
	    DESK_STRAY);
}
END_TEST

START_TEST(a_question_that_was_ended_is_told_nothing)
{
	aqb_ticket ticket = desk_ask(desk, 10, on_answer, &told);

	desk_end(desk, ticket);
	ck_assert_uint_eq(desk_open(desk), 0);
	desk_ask(desk, 30, on_answer, &other);
	turn_until(&other.told);
	ck_assert(!told.told);
}
END_TEST

START_TEST(a_question_answered_by_ticket_and_in_the_call_is_told_nothing)
{
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, NULL);
	desk_end(desk, ticket);
	turn_once();
	turn_once();
	ck_assert(!told.told);
	ck_assert_uint_eq(desk_open(desk), 0);
	ck_assert_uint_eq(metric_value(STRAYS), 1);
}
END_TEST

START_TEST(an_asker_that_is_gone_is_told_nothing)
{
	aqb_ticket answered = desk_ask(desk, 0, on_answer, &told);
	aqb_ticket late = desk_ask(desk, 10, on_answer, &told);

	desk_answer(desk, answered, AQB_OK, NULL);
	desk_forget(desk, answered);
	desk_forget(desk, late);
	desk_ask(desk, 30, on_answer, &other);
	turn_until(&other.told);
	ck_assert(!told.told);
	ck_assert_uint_eq(desk_open(desk), 0);
	ck_assert_uint_eq(metric_value(STRAYS), 0);
}
END_TEST

/* Ask the next from within the answer, as often as wanted. */
static unsigned left;

static void
ask_again(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	on_answer(arg, err, answer);
	if (left > 0) {
		aqb_ticket ticket = desk_ask(desk, 0, ask_again, arg);

		left--;
		desk_answer(desk, ticket, AQB_OK, NULL);
	}
}

START_TEST(an_answer_may_ask_the_next_question)
{
	aqb_ticket ticket = desk_ask(desk, 0, ask_again, &told);

	left = 9;
	desk_answer(desk, ticket, AQB_OK, NULL);
	while (told.times < 10) {
		turn_once();
	}
	ck_assert_uint_eq(told.times, 10);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(answers_are_told_in_the_order_in_which_they_came)
{
	aqb_ticket first = desk_ask(desk, 0, on_answer, &told);
	aqb_ticket second = desk_ask(desk, 0, on_answer, &told);
	const struct aqb_answer answer = {
		.size = sizeof answer,
		.pos = { .seq = 1 },
	};
	const struct aqb_answer last = {
		.size = sizeof last,
		.pos = { .seq = 2 },
	};

	desk_answer(desk, second, AQB_OK, &answer);
	desk_answer(desk, first, AQB_OK, &last);
	turn_until(&told.told);
	ck_assert_uint_eq(told.times, 2);
	ck_assert_uint_eq(told.seq, 2);
}
END_TEST

START_TEST(p8_an_answer_that_makes_no_sense_is_not_believed)
{
	struct aqb_msg *none[] = { NULL };
	struct aqb_msg *some[] = { make_msg("{}") };
	const struct garbage {
		enum aqb_err err;
		struct aqb_answer answer;
	} garbage[] = {
		{ 12, { .size = sizeof(struct aqb_answer) } },
		{ -99, { .size = sizeof(struct aqb_answer) } },
		{ AQB_OK, { .size = 8 } },
		{ AQB_OK, { .size = sizeof(struct aqb_answer), .n = 1 } },
		{ AQB_OK,
		    { .size = sizeof(struct aqb_answer),
			.n = 1,
			.msgs = none } },
		{ AQB_OK,
		    { .size = sizeof(struct aqb_answer),
			.n = SIZE_MAX / 4,
			.msgs = some } },
	};
	const struct garbage *g = &garbage[_i];
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	ck_assert_int_eq(desk_answer(desk, ticket, g->err, &g->answer),
	    DESK_GARBAGE);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_EUNCERTAIN);
	ck_assert(!told.has_answer);
	ck_assert_uint_eq(metric_value(GARBAGE), 1);
	msg_unref(&some[0]);
}
END_TEST

static enum aqb_err
doubt(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct told *t = arg;

	t->ticket = ticket;
	t->err = err;
	t->has_answer = answer != NULL;
	return AQB_EFULL;
}

START_TEST(a_check_decides_what_is_believed)
{
	aqb_ticket ticket =
	    desk_ask_checked(desk, 0, doubt, &other, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, NULL);
	turn_until(&told.told);
	ck_assert_uint_eq(other.ticket, ticket);
	ck_assert_int_eq(other.err, AQB_OK);
	ck_assert(other.has_answer);
	ck_assert_int_eq(told.err, AQB_EFULL);
	ck_assert(!told.has_answer);
}
END_TEST

START_TEST(tickets_have_no_top_bit_and_there_is_a_most)
{
	aqb_ticket ticket = 0;
	size_t wrong = 0;

	for (size_t i = 0; i < DESK_QUESTIONS_MAX; i++) {
		ticket = desk_ask(desk, 0, on_answer, &told);
		wrong += ticket == 0 || ticket >> 63 != 0;
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(desk_ask(desk, 0, on_answer, &told), 0);
	desk_end(desk, ticket);
	ck_assert_uint_ne(desk_ask(desk, 0, on_answer, &told), 0);
}
END_TEST

START_TEST(an_early_answer_ends_nothing_but_the_deadline)
{
	struct aqb_answer answer = {
		.size = sizeof answer,
		.flags = AQB_ANSWER_EARLY,
		.pos = { .seq = 7 },
	};
	aqb_ticket ticket = desk_ask(desk, 20, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, &answer);
	turn_until(&told.told);
	ck_assert_uint_eq(told.seq, 7);
	ck_assert_uint_eq(desk_open(desk), 1);
	desk_ask(desk, 40, on_answer, &other); /* longer than the deadline */
	turn_until(&other.told);
	ck_assert_uint_eq(told.times, 1);
	answer.flags = 0;
	told.told = false;
	ck_assert_int_eq(desk_answer(desk, ticket, AQB_OK, &answer),
	    DESK_TAKEN);
	turn_until(&told.told);
	ck_assert_uint_eq(told.times, 2);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(an_early_answer_that_is_overtaken_is_not_told)
{
	struct aqb_answer answer = {
		.size = sizeof answer,
		.flags = AQB_ANSWER_EARLY,
		.pos = { .seq = 7 },
	};
	aqb_ticket ticket = desk_ask(desk, 0, on_answer, &told);

	desk_answer(desk, ticket, AQB_OK, &answer);
	answer.flags = 0;
	answer.pos.seq = 8;
	ck_assert_int_eq(desk_answer(desk, ticket, AQB_OK, &answer),
	    DESK_TAKEN);
	turn_until(&told.told);
	ck_assert_uint_eq(told.times, 1);
	ck_assert_uint_eq(told.seq, 8);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(a_desk_may_close_with_answers_untold)
{
	struct aqb_msg *msg = make_msg("{}");
	const struct aqb_answer answer = {
		.size = sizeof answer,
		.msgs = &msg,
		.n = 1,
	};
	aqb_ticket ticket = desk_ask(desk, 1000, on_answer, &told);

	desk_ask(desk, 1000, on_answer, &told);
	desk_answer(desk, ticket, AQB_OK, &answer);
	msg_unref(&msg);
	desk_free(&desk);
	ck_assert_uint_eq(msg_alive(), 0);
	ck_assert(!told.told);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ask");
	TCase *t = tcase_create("ask");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, host_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_answer_is_told_in_a_later_turn_not_in_the_call);
	tcase_add_test(t, an_answer_without_anything_is_still_an_answer);
	tcase_add_test(t, an_error_comes_without_an_answer);
	tcase_add_test(t, an_answer_keeps_its_messages_until_it_is_told);
	tcase_add_test(t, a_question_without_an_answer_ends_at_its_deadline);
	tcase_add_test(t, a_deadline_can_be_set_later);
	tcase_add_test(t, a_late_answer_is_only_counted);
	tcase_add_test(t, a_double_answer_is_only_counted);
	tcase_add_test(t, a_ticket_that_was_never_given_is_only_counted);
	tcase_add_test(t, a_question_that_was_ended_is_told_nothing);
	tcase_add_test(t,
	    a_question_answered_by_ticket_and_in_the_call_is_told_nothing);
	tcase_add_test(t, an_asker_that_is_gone_is_told_nothing);
	tcase_add_test(t, an_answer_may_ask_the_next_question);
	tcase_add_test(t, answers_are_told_in_the_order_in_which_they_came);
	tcase_add_loop_test(t, p8_an_answer_that_makes_no_sense_is_not_believed,
	    0, 6);
	tcase_add_test(t, a_check_decides_what_is_believed);
	tcase_add_test(t, tickets_have_no_top_bit_and_there_is_a_most);
	tcase_add_test(t, an_early_answer_ends_nothing_but_the_deadline);
	tcase_add_test(t, an_early_answer_that_is_overtaken_is_not_told);
	tcase_add_test(t, a_desk_may_close_with_answers_untold);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

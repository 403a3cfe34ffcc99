/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>

#include "bench_hist.h"

#define MS UINT64_C(1000000)

static struct bench_hist measured, corrected;

static void
set_up(void)
{
	measured = corrected = (struct bench_hist){ 0 };
}

/* A percentile is right to 1.6 %. */
static void
assert_about(uint64_t got, uint64_t want)
{
	ck_assert_uint_ge(got, want - want / 60);
	ck_assert_uint_le(got, want + want / 60);
}

static void
add(uint64_t ns, int times)
{
	for (int i = 0; i < times; i++) {
		bench_hist_add(&measured, ns);
	}
}

START_TEST(a_late_answer_stands_for_all_that_was_not_asked_meanwhile)
{
	/* A second at 1 ms each, and then one answer that took a second. */
	add(MS, 1000);
	add(1000 * MS, 1);
	assert_about(bench_hist_quantile(&measured, 0.999), MS);

	bench_hist_correct(&measured, MS, &corrected);
	ck_assert_uint_eq(corrected.count, 1000 + 1000);
	ck_assert_uint_eq(corrected.max, 1000 * MS);
	assert_about(bench_hist_quantile(&corrected, 0.5), MS);
	assert_about(bench_hist_quantile(&corrected, 0.75), 500 * MS);
	assert_about(bench_hist_quantile(&corrected, 0.99), 980 * MS);
}
END_TEST

START_TEST(nothing_is_made_up_below_twice_the_interval)
{
	add(MS, 10);
	add(3 * MS / 2, 5);
	bench_hist_correct(&measured, MS, &corrected);
	ck_assert_uint_eq(corrected.count, 15);
	ck_assert_uint_eq(corrected.max, measured.max);
}
END_TEST

START_TEST(nothing_measured_is_nothing_corrected)
{
	bench_hist_correct(&measured, 0, &corrected);
	ck_assert_uint_eq(corrected.count, 0);
	ck_assert_uint_eq(bench_hist_quantile(&corrected, 0.99), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bench_hist");
	TCase *tc = tcase_create("bench_hist");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc,
	    a_late_answer_stands_for_all_that_was_not_asked_meanwhile);
	tcase_add_test(tc, nothing_is_made_up_below_twice_the_interval);
	tcase_add_test(tc, nothing_measured_is_nothing_corrected);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Who has which alias on the bus. */

#include <check.h>
#include <string.h>

#include "base/hash.h"
#include "bus/claim.h"

static struct claims *claims;

static void
setup(void)
{
	hash_init();
	claims = claims_new();
}

static void
teardown(void)
{
	claims_free(&claims);
}

static const char *
holder(const char *alias)
{
	const char *id = claims_holder(claims, alias, strlen(alias));

	return id == NULL ? "nobody" : id;
}

START_TEST(the_first_to_claim_has_it)
{
	ck_assert(claims_say(claims, "a", "pal", 1));
	ck_assert(!claims_say(claims, "b", "pal", 1));
	ck_assert_str_eq(holder("pal"), "a");
}
END_TEST

START_TEST(to_say_it_again_changes_nothing)
{
	claims_say(claims, "a", "pal", 1);
	claims_say(claims, "b", "pal", 1);
	ck_assert(claims_say(claims, "a", "pal", 1));
	ck_assert(!claims_say(claims, "b", "pal", 1));
}
END_TEST

START_TEST(who_claims_another_lets_go_of_the_first)
{
	claims_say(claims, "a", "pal", 1);
	ck_assert(claims_say(claims, "a", "mate", 1));
	ck_assert_str_eq(holder("pal"), "nobody");
	ck_assert_str_eq(holder("mate"), "a");
	ck_assert(claims_say(claims, "a", NULL, 1));
	ck_assert_str_eq(holder("mate"), "nobody");
}
END_TEST

START_TEST(the_next_has_it_when_the_first_lets_go)
{
	claims_say(claims, "a", "pal", 1);
	claims_say(claims, "b", "pal", 1);
	claims_say(claims, "c", "pal", 1);
	claims_say(claims, "a", NULL, 1);
	ck_assert_str_eq(holder("pal"), "b");
	claims_say(claims, "b", "mate", 1);
	ck_assert_str_eq(holder("pal"), "c");
}
END_TEST

START_TEST(what_is_not_told_again_is_swept)
{
	claims_say(claims, "a", "pal", 1);
	claims_say(claims, "b", "mate", 1);
	claims_say(claims, "b", "mate", 2);
	claims_sweep(claims, 2);
	ck_assert_str_eq(holder("pal"), "nobody");
	ck_assert_str_eq(holder("mate"), "b");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-claim");
	TCase *t = tcase_create("claims");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_first_to_claim_has_it);
	tcase_add_test(t, to_say_it_again_changes_nothing);
	tcase_add_test(t, who_claims_another_lets_go_of_the_first);
	tcase_add_test(t, the_next_has_it_when_the_first_lets_go);
	tcase_add_test(t, what_is_not_told_again_is_swept);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

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

static bool
say_of(const char *id, const char *alias, uint32_t round)
{
	return claims_say(claims,
	    &(struct claim_said){
		.id = id, .node = "n", .alias = alias, .round = round });
}

static bool
say_at(const char *id, const char *node, int64_t since, const char *alias)
{
	return claims_say(claims,
	    &(struct claim_said){
		.id = id, .node = node, .since = since, .alias = alias });
}

START_TEST(the_first_to_claim_has_it)
{
	ck_assert(say_of("a", "pal", 1));
	ck_assert(!say_of("b", "pal", 1));
	ck_assert_str_eq(holder("pal"), "a");
}
END_TEST

START_TEST(to_say_it_again_changes_nothing)
{
	say_of("a", "pal", 1);
	say_of("b", "pal", 1);
	ck_assert(say_of("a", "pal", 1));
	ck_assert(!say_of("b", "pal", 1));
}
END_TEST

START_TEST(who_claims_another_lets_go_of_the_first)
{
	say_of("a", "pal", 1);
	ck_assert(say_of("a", "mate", 1));
	ck_assert_str_eq(holder("pal"), "nobody");
	ck_assert_str_eq(holder("mate"), "a");
	ck_assert(say_of("a", NULL, 1));
	ck_assert_str_eq(holder("mate"), "nobody");
}
END_TEST

START_TEST(the_next_has_it_when_the_first_lets_go)
{
	say_of("a", "pal", 1);
	say_of("b", "pal", 1);
	say_of("c", "pal", 1);
	say_of("a", NULL, 1);
	ck_assert_str_eq(holder("pal"), "b");
	say_of("b", "mate", 1);
	ck_assert_str_eq(holder("pal"), "c");
}
END_TEST

START_TEST(what_is_not_told_again_is_swept)
{
	say_of("a", "pal", 1);
	say_of("b", "mate", 1);
	say_of("b", "mate", 2);
	claims_sweep(claims, 2);
	ck_assert_str_eq(holder("pal"), "nobody");
	ck_assert_str_eq(holder("mate"), "b");
}
END_TEST

START_TEST(only_the_node_that_said_it_takes_it_back)
{
	say_at("a", "m", 1, "pal");
	ck_assert(say_at("a", "n", 2, "pal")); /* it moved */
	say_at("b", "m", 1, "pal");
	claims_withdraw(claims, "a", "m");
	ck_assert_str_eq(holder("pal"), "a");
	claims_withdraw_all(claims, "n");
	ck_assert_str_eq(holder("pal"), "b");
}
END_TEST

START_TEST(what_an_older_node_still_says_does_not_count)
{
	say_at("a", "n", 2, "pal");
	say_at("a", "m", 1, "mate");
	ck_assert_str_eq(holder("pal"), "a");
	ck_assert_str_eq(holder("mate"), "nobody");
	say_at("a", "o", 2, "mate"); /* at once, and of the higher name */
	ck_assert_str_eq(holder("mate"), "a");
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
	tcase_add_test(t, only_the_node_that_said_it_takes_it_back);
	tcase_add_test(t, what_an_older_node_still_says_does_not_count);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/why.h"
#include "proto/name.h"

#define N(table) (sizeof(table) / sizeof(table)[0])
#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* N1: names that other languages trip over are names as any other. */
static const char *const good_names[] = { "a", "Z", "0", "9", "_", "-", "a.b",
	"a.", "-.", "_.-", "science", "Explore-2_b.c", "constructor",
	"__proto__", "toString", "null", "true", "NaN", "-1", "arq_client",
	X63 "x" };

START_TEST(n1_a_name_of_the_right_characters_is_valid)
{
	for (size_t i = 0; i < N(good_names); i++) {
		const char *name = good_names[i];
		struct aqb_why why = { .text = "" };

		ck_assert_msg(name_valid(name, strlen(name)), "%s", name);
		ck_assert_int_eq(name_check(name, strlen(name), "room", &why),
		    AQB_CODE_OK);
		ck_assert_str_eq(why.text, "");
	}
}
END_TEST

/* N1: and what is wrong with the others. */
static const struct refusal {
	const char *name;
	size_t len;
	const char *says;
} refusals[] = {
	{ "", 0, "room: empty; a name has 1 to 64 characters" },
	{ NULL, 0, "room: empty; a name has 1 to 64 characters" },
	{ X63 "xx", 65, "room: 65 bytes are over the limit of 64" },
	{ X63 "//", 65, "room: 65 bytes are over the limit of 64" },
	{ "a/b", 3, "room: '/' at byte 1; a name is of A-Z a-z 0-9 _ . -" },
	{ ":", 1, "room: ':' at byte 0; " },
	{ "science:explore", 15, "room: ':' at byte 7; " },
	{ "*", 1, "room: '*' at byte 0; " },
	{ "a b", 3, "room: 0x20 at byte 1; " },
	{ "ab ", 3, "room: 0x20 at byte 2; " },
	{ "ab\n", 3, "room: 0x0a at byte 2; " },
	{ "a\tb", 3, "room: 0x09 at byte 1; " },
	{ "a\0b", 3, "room: 0x00 at byte 1; " },
	{ "a\x7f", 2, "room: 0x7f at byte 1; " },
	{ "gr\xc3\xbcn", 5, "room: 0xc3 at byte 2; " },
	{ "a\"b", 3, "room: '\"' at byte 1; " },
	{ "a%sb", 4, "room: '%' at byte 1; " },
	{ X63 "/", 64, "room: '/' at byte 63; " },
	{ ".", 1, "room: must not begin with a dot" },
	{ "..", 2, "room: must not begin with a dot" },
	{ ".hidden", 7, "room: must not begin with a dot" },
};

START_TEST(n1_a_wrong_name_is_refused_with_what_is_wrong)
{
	const struct refusal *r = &refusals[_i];
	struct aqb_why why = { .text = "" };

	ck_assert(!name_valid(r->name, r->len));
	ck_assert(!alias_valid(r->name, r->len));
	ck_assert_int_eq(name_check(r->name, r->len, "room", &why),
	    AQB_CODE_INVALID_NAME);
	ck_assert_str_eq(why.field, "room");
	ck_assert_msg(strncmp(why.text, r->says, strlen(r->says)) == 0,
	    "got \"%s\"", why.text);
}
END_TEST

START_TEST(whoever_asks_may_not_care_why)
{
	ck_assert_int_eq(name_check("a/b", 3, "room", NULL),
	    AQB_CODE_INVALID_NAME);
	ck_assert_int_eq(name_check("", 0, "room", NULL),
	    AQB_CODE_INVALID_NAME);
}
END_TEST

START_TEST(n1_of_all_bytes_65_may_be_in_a_name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_.-";

	for (int byte = 0; byte < 256; byte++) {
		char name[] = { 'a', (char)byte, 'a' };
		bool good = byte != 0 && strchr(allowed, byte) != NULL;

		ck_assert_msg(name_valid(name, 3) == good, "byte %d", byte);
		ck_assert_int_eq(name_check(name, 3, "room", NULL),
		    good ? AQB_CODE_OK : AQB_CODE_INVALID_NAME);
		ck_assert_msg(name_valid(name + 1, 1) == (good && byte != '.'),
		    "byte %d alone", byte);
	}
}
END_TEST

START_TEST(a_name_is_judged_by_its_length_and_not_by_what_follows)
{
	ck_assert(name_valid("ab/", 2));
	ck_assert(alias_valid("arq_", 3));
	ck_assert(!name_valid("ab", 0));
}
END_TEST

static const struct alias {
	const char *alias;
	bool good;
} aliases[] = {
	{ "ada", true },
	{ "arq", true },
	{ "arq-", true },
	{ "arqx", true },
	{ "Arq_x", true },
	{ "ARQ_client", true },
	{ "my_arq_", true },
	{ "__proto__", true },
	{ "arqonbus", true },
	{ X63 "x", true },
	{ "arq_", false },
	{ "arq_x", false },
	{ "arq_client_0123456789abcdef0123456789abcdef", false },
	{ X63 "xx", false },
	{ ".ada", false },
	{ "a:b", false },
	{ "", false },
};

START_TEST(an_alias_cannot_be_taken_for_a_client_id)
{
	for (size_t i = 0; i < N(aliases); i++) {
		ck_assert_msg(alias_valid(aliases[i].alias,
				  strlen(aliases[i].alias)) == aliases[i].good,
		    "%s", aliases[i].alias);
	}
}
END_TEST

static const struct split {
	const char *address;
	bool good;
	const char *room;
	const char *channel;
} splits[] = {
	{ "science:explore", true, "science", "explore" },
	{ "a:b", true, "a", "b" },
	/* The parts may be wrong; they are judged as names afterwards. */
	{ ":b", true, "", "b" },
	{ "a:", true, "a", "" },
	{ ":", true, "", "" },
	{ "a b:c/d", true, "a b", "c/d" },
	{ "", false, NULL, NULL },
	{ "science", false, NULL, NULL },
	{ "a:b:c", false, NULL, NULL },
	{ "a::b", false, NULL, NULL },
	{ "::", false, NULL, NULL },
	{ ":a:", false, NULL, NULL },
};

START_TEST(an_address_is_split_at_its_only_colon)
{
	const struct split *s = &splits[_i];
	struct aqb_slice room = { NULL, 99 }, channel = { NULL, 99 };

	ck_assert_int_eq(address_split(s->address, strlen(s->address), &room,
			     &channel),
	    s->good);
	if (!s->good) {
		ck_assert_uint_eq(room.len, 99);
		ck_assert_uint_eq(channel.len, 99);
		return;
	}
	ck_assert_ptr_eq(room.data, s->address);
	ck_assert_uint_eq(room.len, strlen(s->room));
	ck_assert_str_eq(channel.data, s->channel);
	ck_assert_uint_eq(channel.len, strlen(s->channel));
}
END_TEST

START_TEST(a_colon_behind_the_address_does_not_count)
{
	struct aqb_slice room, channel;

	ck_assert(!address_split("a:b", 1, &room, &channel));
	ck_assert(address_split("a:b:c", 3, &room, &channel));
	ck_assert(!address_split(NULL, 0, &room, &channel));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("name");
	TCase *t = tcase_create("name");
	SRunner *r;
	int failed;

	tcase_add_test(t, n1_a_name_of_the_right_characters_is_valid);
	tcase_add_loop_test(t, n1_a_wrong_name_is_refused_with_what_is_wrong, 0,
	    N(refusals));
	tcase_add_test(t, whoever_asks_may_not_care_why);
	tcase_add_test(t, n1_of_all_bytes_65_may_be_in_a_name);
	tcase_add_test(t,
	    a_name_is_judged_by_its_length_and_not_by_what_follows);
	tcase_add_test(t, an_alias_cannot_be_taken_for_a_client_id);
	tcase_add_loop_test(t, an_address_is_split_at_its_only_colon, 0,
	    N(splits));
	tcase_add_test(t, a_colon_behind_the_address_does_not_count);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

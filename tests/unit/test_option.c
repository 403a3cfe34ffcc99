/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arqonbus/plugin.h>

#include "base/buf.h"
#include "conf/nearest.h"
#include "conf/option.h"
#include "conf/scan.h"

struct sample {
	uint32_t count;
	bool on;
	uint64_t size;
	uint64_t wait;
	const char *text;
	const char *secret;
	uint32_t colour;
};

static const struct aqb_option table[] = {
	AQB_U32("count", struct sample, count, 1, 1000, "500", "a number"),
	AQB_BOOL("on", struct sample, on, "yes", "a switch"),
	AQB_SIZE("size", struct sample, size, 1024, 1048576, "64KiB", "bytes"),
	AQB_DURATION("wait", struct sample, wait, 0, 86400000, "25s", "time"),
	AQB_STRING("text", struct sample, text, 8, "hello", "text"),
	AQB_SECRET("secret", struct sample, secret, 64, "hidden"),
	AQB_ENUM("colour", struct sample, colour, "red|green|blue", "green",
	    "a word"),
	AQB_OPTIONS_END,
};

static struct sample conf;
static struct aqb_why why;
static struct buf out;

static void
setup(void)
{
	memset(&conf, 0, sizeof conf);
	memset(&why, 0, sizeof why);
	memset(&out, 0, sizeof out);
	ck_assert_int_eq(option_defaults(table, &conf, &why), AQB_OK);
}

static void
teardown(void)
{
	option_fini(table, &conf);
	ck_assert_ptr_null(conf.text);
	buf_fini(&out);
}

static int
set(const char *name, const char *value)
{
	return option_set(table, name, value, "a.conf:4", &conf, &why);
}

static const char *
printed(const char *name)
{
	buf_reset(&out);
	option_print(option_find(table, name), &conf, &out);
	return buf_text(&out);
}

START_TEST(a_table_fills_a_struct_with_its_defaults)
{
	ck_assert_uint_eq(conf.count, 500);
	ck_assert(conf.on);
	ck_assert_uint_eq(conf.size, 65536);
	ck_assert_uint_eq(conf.wait, 25000);
	ck_assert_str_eq(conf.text, "hello");
	ck_assert_str_eq(conf.secret, "");
	ck_assert_uint_eq(conf.colour, 1);
}
END_TEST

static const struct good {
	const char *name;
	const char *value;
	const char *prints;
} goods[] = {
	{ "count", "1", "1" },
	{ "count", "1000", "1000" },
	{ "count", "0007", "7" },
	{ "on", "no", "no" },
	{ "on", "TRUE", "yes" },
	{ "on", "off", "no" },
	{ "on", "1", "yes" },
	{ "on", "0", "no" },
	{ "size", "1024", "1KiB" },
	{ "size", "1025", "1025B" },
	{ "size", "1025B", "1025B" },
	{ "size", "2 KiB", "2KiB" },
	{ "size", "1024KiB", "1MiB" },
	{ "size", "1MiB", "1MiB" },
	{ "wait", "0", "0" },
	{ "wait", "0s", "0" },
	{ "wait", "250ms", "250ms" },
	{ "wait", "1000ms", "1s" },
	{ "wait", "90s", "90s" },
	{ "wait", "120s", "2m" },
	{ "wait", "2 h", "2h" },
	{ "wait", "1d", "1d" },
	{ "text", "12345678", "12345678" },
	{ "text", "", "\"\"" },
	{ "text", "a # b", "\"a # b\"" },
	{ "text", " a ", "\" a \"" },
	{ "text", "\"a\"", "\"\\\"a\\\"\"" },
	{ "text", "a\tb", "\"a\tb\"" },
	{ "colour", "blue", "blue" },
	{ "colour", "red", "red" },
	{ "secret", "hush", "***" },
	{ "secret", "", "" },
};

START_TEST(a_value_is_printed_in_its_plainest_form)
{
	const struct good *g = &goods[_i];

	ck_assert_msg(set(g->name, g->value) == AQB_OK, "%s", why.text);
	ck_assert_str_eq(printed(g->name), g->prints);
}
END_TEST

static int
set_item(void *arg, const struct scan_item *item, struct aqb_why *w)
{
	(void)arg;
	return option_set(table, item->key, item->value, item->origin, &conf,
	    w);
}

START_TEST(what_is_printed_reads_back_the_same)
{
	const struct good *g = &goods[_i];
	char line[64];

	if (strcmp(g->name, "secret") == 0) {
		return;
	}
	snprintf(line, sizeof line, "%s = %s\n", g->name, g->prints);
	ck_assert_int_eq(scan_text("b", line, strlen(line), set_item, NULL,
			     &why),
	    AQB_OK);
	ck_assert_str_eq(printed(g->name), g->prints);
}
END_TEST

static const struct bad {
	const char *name;
	const char *value;
	const char *says;
} bads[] = {
	{ "count", "0", "a.conf:4: count: 0 is below 1" },
	{ "count", "1001", "a.conf:4: count: 1001 is above 1000" },
	{ "count", "", "count: \"\" is not a number" },
	{ "count", "-1", "count: \"-1\" is not a number" },
	{ "count", "1e3", "count: \"1e3\" is not a number" },
	{ "count", "99999999999999999999", "is too large a number" },
	{ "count", "18446744073709551617", "is too large a number" },
	{ "on", "maybe", "on: \"maybe\" is neither; write yes or no" },
	{ "on", "", "on: \"\" is neither" },
	{ "size", "1023", "size: 1023B is below 1KiB" },
	{ "size", "1048577", "size: 1048577B is above 1MiB" },
	{ "size", "64K", "has no unit we know; write B, KiB, MiB or GiB" },
	{ "size", "64KB", "has no unit we know" },
	{ "size", "64kib", "has no unit we know" },
	{ "size", "KiB", "is not a size" },
	{ "size", "99999999999999999GiB", "is too large a number" },
	{ "wait", "25", "wait: \"25\" has no unit we know; write ms, s" },
	{ "wait", "1.5s", "has no unit we know" },
	{ "wait", "25h", "wait: 25h is above 1d" },
	{ "wait", "soon", "wait: \"soon\" is not a duration" },
	{ "wait", "18446744073709551615d", "is too large a number" },
	{ "text", "123456789", "text: 9 bytes are above the limit of 8" },
	{ "text", "a\nb", "text: the value has a control character" },
	{ "text", "\xff", "text: the value is not UTF-8" },
	{ "colour", "Red", "\"Red\" is not known; write red, green or blue" },
	{ "colour", "re", "is not known" },
	{ "colour", "red|green", "is not known" },
	{ "colour", "", "is not known" },
};

START_TEST(a_value_that_does_not_fit_is_refused_with_the_limit)
{
	const struct bad *b = &bads[_i];
	char before[64];

	snprintf(before, sizeof before, "%s", printed(b->name));
	ck_assert_int_eq(set(b->name, b->value), AQB_EINVAL);
	ck_assert_msg(strstr(why.text, b->says) != NULL, "got \"%s\"",
	    why.text);
	ck_assert_str_eq(printed(b->name), before);
}
END_TEST

START_TEST(a_secret_is_in_no_refusal)
{
	ck_assert_int_eq(set("secret", "hush\nhush"), AQB_EINVAL);
	ck_assert_ptr_null(strstr(why.text, "hush"));
	ck_assert_str_eq(conf.secret, "");
}
END_TEST

START_TEST(an_unknown_option_is_refused_with_the_nearest_one)
{
	ck_assert_int_eq(set("cuont", "1"), AQB_ENOENT);
	ck_assert_str_eq(why.text,
	    "a.conf:4: cuont: unknown option; did you mean count?");
	ck_assert_int_eq(set("zebra", "1"), AQB_ENOENT);
	ck_assert_str_eq(why.text, "a.conf:4: zebra: unknown option");
}
END_TEST

START_TEST(a_default_that_does_not_fit_is_told)
{
	static const struct aqb_option broken[] = {
		AQB_U32("count", struct sample, count, 1, 10, "11", ""),
		AQB_OPTIONS_END,
	};
	static const struct aqb_option stranger[] = {
		{ .name = "odd", .type = 99, .dflt = "1" },
		AQB_OPTIONS_END,
	};
	struct sample s = { .count = 0 };

	ck_assert_int_eq(option_defaults(broken, &s, &why), AQB_EINVAL);
	ck_assert_str_eq(why.text, "default: count: 11 is above 10");
	ck_assert_int_eq(option_defaults(stranger, &s, &why), AQB_EINVAL);
	ck_assert(strstr(why.text, "its type 99 is unknown") != NULL);
}
END_TEST

START_TEST(json_has_numbers_bare_and_secrets_masked)
{
	static const char *const names[] = { "count", "on", "size", "text",
		"secret", "colour" };

	ck_assert_int_eq(set("text", "a\"b"), AQB_OK);
	ck_assert_int_eq(set("secret", "hush"), AQB_OK);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		option_print_json(option_find(table, names[i]), &conf, &out);
		buf_putc(&out, ' ');
	}
	ck_assert_str_eq(buf_text(&out),
	    "500 true \"64KiB\" \"a\\\"b\" \"***\" \"green\" ");
}
END_TEST

START_TEST(a_range_is_written_in_its_own_units)
{
	static const char *const names[] = { "count", "on", "size", "wait",
		"text", "colour" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		option_print_range(option_find(table, names[i]), &out);
		buf_putc(&out, '/');
	}
	ck_assert_str_eq(buf_text(&out),
	    "1 to 1000/yes or no/1KiB to 1MiB/0 to 1d//red, green or blue/");
}
END_TEST

static const struct guess {
	const char *want;
	const char *best;
} guesses[] = {
	{ "port", "port" },
	{ "prot", "port" },
	{ "ports", "port" },
	{ "historysize", "history_size" },
	{ "history_sise", "history_size" },
	{ "tlt", "ttl" },
	{ "banana", NULL },
	{ "x", NULL },
	{ "", NULL },
	{ "a-name-that-is-far-longer-than-any-option-could-be", NULL },
};

START_TEST(a_typo_finds_what_was_meant)
{
	struct nearest n = { .want = guesses[_i].want };

	nearest_offer(&n, "host");
	nearest_offer(&n, "port");
	nearest_offer(&n, "history_size");
	nearest_offer(&n, "ttl");
	if (guesses[_i].best == NULL) {
		ck_assert_ptr_null(n.best);
	} else {
		ck_assert_str_eq(n.best, guesses[_i].best);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("option");
	TCase *t = tcase_create("option");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_table_fills_a_struct_with_its_defaults);
	tcase_add_loop_test(t, a_value_is_printed_in_its_plainest_form, 0,
	    sizeof goods / sizeof goods[0]);
	tcase_add_loop_test(t, what_is_printed_reads_back_the_same, 0,
	    sizeof goods / sizeof goods[0]);
	tcase_add_loop_test(t,
	    a_value_that_does_not_fit_is_refused_with_the_limit, 0,
	    sizeof bads / sizeof bads[0]);
	tcase_add_test(t, a_secret_is_in_no_refusal);
	tcase_add_test(t, an_unknown_option_is_refused_with_the_nearest_one);
	tcase_add_test(t, a_default_that_does_not_fit_is_told);
	tcase_add_test(t, json_has_numbers_bare_and_secrets_masked);
	tcase_add_test(t, a_range_is_written_in_its_own_units);
	tcase_add_loop_test(t, a_typo_finds_what_was_meant, 0,
	    sizeof guesses / sizeof guesses[0]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/why.h"
#include "conf/scan.h"

static struct buf seen;
static struct aqb_why why;

static void
setup(void)
{
	memset(&seen, 0, sizeof seen);
	memset(&why, 0, sizeof why);
}

static void
teardown(void)
{
	buf_fini(&seen);
}

/* Note every item as "LINE[section name]" or "LINE:key=<value>", then a
 * blank. */
static int
note(void *arg, const struct scan_item *item, struct aqb_why *w)
{
	(void)arg;
	(void)w;
	if (item->key == NULL) {
		buf_printf(&seen, "%u[%s%s%s] ", item->line, item->section,
		    item->name[0] == '\0' ? "" : " ", item->name);
	} else {
		buf_printf(&seen, "%u:%s=<%s> ", item->line, item->key,
		    item->value);
	}
	return AQB_OK;
}

static int
scan(const char *text)
{
	return scan_text("a.conf", text, strlen(text), note, NULL, &why);
}

static const struct reading {
	const char *text;
	const char *sees;
} readings[] = {
	{ "", "" },
	{ "\n\n  \t\n", "" },
	{ "# one\n; two\n  # three", "" },
	{ "[server]\nport = 9100\n", "1[server] 2:port=<9100> " },
	{ "[ plugin  storage-memory ] # why\n", "1[plugin storage-memory] " },
	{ "a=b", "1:a=<b> " },
	{ "  a\t =\t b  \n", "1:a=<b> " },
	{ "a =\n", "1:a=<> " },
	{ "a = b # comment\n", "1:a=<b> " },
	{ "a = b\t; comment\n", "1:a=<b> " },
	{ "a = # comment\n", "1:a=<> " },
	{ "a = b#c;d\n", "1:a=<b#c;d> " },
	{ "a = b = c\n", "1:a=<b = c> " },
	{ "a = two words\n", "1:a=<two words> " },
	{ "a = \"b # c\"\n", "1:a=<b # c> " },
	{ "a = \"  b  \" # comment\n", "1:a=<  b  > " },
	{ "a = \"say \\\"hi\\\" \\\\ \\n\"\n", "1:a=<say \"hi\" \\ \\n> " },
	{ "a = \"\"\n", "1:a=<> " },
	{ "a = say \"hi\"\n", "1:a=<say \"hi\"> " },
	{ "a = c:\\dir\n", "1:a=<c:\\dir> " },
	{ "[s]\r\na = b\r\nc = \"d\"\r\n", "1[s] 2:a=<b> 3:c=<d> " },
	{ "\xef\xbb\xbf[s]\n", "1[s] " },
	{ "a = gr\xc3\xbc\xc3\x9f"
	  "e\n",
	    "1:a=<gr\xc3\xbc\xc3\x9f"
	    "e> " },
	{ "[s]\n\n# x\na=1\n[t]\nb=2", "1[s] 4:a=<1> 5[t] 6:b=<2> " },
};

START_TEST(what_is_written_is_what_is_seen)
{
	const struct reading *r = &readings[_i];

	ck_assert_msg(scan(r->text) == AQB_OK, "%s: %s", r->text, why.text);
	ck_assert_str_eq(buf_text(&seen), r->sees);
}
END_TEST

static const struct refusal {
	const char *text;
	const char *says;
} refusals[] = {
	{ "[server\n", "a.conf:1: section: no \"]\" at its end" },
	{ "\n[server] port = 1\n", "a.conf:2: section: more text after" },
	{ "[]\n", "a.conf:1: section: not a name" },
	{ "[a b c]\n", "a.conf:1: section: not a name" },
	{ "[a/b]\n", "a.conf:1: section: not a name" },
	{ "a = 1\nport 9100\n", "a.conf:2: \"port 9100\": no \"=\"" },
	{ "= 9100\n", "a.conf:1: \"\": not a key" },
	{ "two words = 1\n", "a.conf:1: \"two words\": not a key" },
	{ "a.b = 1\n", "a.conf:1: \"a.b\": not a key" },
	{ "a = \"b\n", "a.conf:1: a: the quotes are not closed" },
	{ "a = \"b\\\"\n", "a.conf:1: a: the quotes are not closed" },
	{ "a = \"b\" c\n", "a.conf:1: a: more text after the quotes" },
	{ "a = \xff\n", "a.conf:1: text: not UTF-8" },
	{ "# \xc3\n", "a.conf:1: text: not UTF-8" },
	{ "a = b\x01\n", "a.conf:1: text: control character 0x01" },
	{ "a = b\x7f\n", "a.conf:1: text: control character 0x7f" },
	{ "a = b\rc\n", "a.conf:1: text: control character 0x0d" },
};

START_TEST(what_is_malformed_is_refused_with_its_line)
{
	const struct refusal *r = &refusals[_i];

	ck_assert_int_eq(scan(r->text), AQB_EINVAL);
	ck_assert_msg(strstr(why.text, r->says) == why.text, "got \"%s\"",
	    why.text);
}
END_TEST

START_TEST(a_nul_byte_is_refused)
{
	ck_assert_int_eq(scan_text("a.conf", "a = b\0c\n", 8, note, NULL, &why),
	    AQB_EINVAL);
	ck_assert(strstr(why.text, "control character 0x00") != NULL);
}
END_TEST

START_TEST(a_line_of_many_kibibytes_is_read_whole)
{
	size_t len = 200 * 1024;
	char *text = xnew(len + 5);

	memset(text, 'x', len + 4);
	memcpy(text, "a = ", 4);
	ck_assert_int_eq(scan(text), AQB_OK);
	ck_assert_uint_eq(seen.len, strlen("1:a=<> ") + len);
	free(text);
}
END_TEST

START_TEST(a_text_at_the_limit_is_read_and_one_above_is_not)
{
	char *text = xnew(SCAN_MAX + 2);

	memset(text, '\n', SCAN_MAX + 1);
	ck_assert_int_eq(scan_text("a.conf", text, SCAN_MAX, note, NULL, &why),
	    AQB_OK);
	ck_assert_int_eq(scan_text("a.conf", text, SCAN_MAX + 1, note, NULL,
			     &why),
	    AQB_EINVAL);
	ck_assert(strstr(why.text, "over the limit of 1048576") != NULL);
	free(text);
}
END_TEST

static int
stop_at_b(void *arg, const struct scan_item *item, struct aqb_why *w)
{
	note(arg, item, w);
	if (item->key != NULL && strcmp(item->key, "b") == 0) {
		return refuse(w, AQB_EPERM, "%s: enough", item->origin);
	}
	return AQB_OK;
}

START_TEST(whoever_looks_can_end_the_scan)
{
	const char *text = "a = 1\nb = 2\nc = 3\n";

	ck_assert_int_eq(scan_text("a.conf", text, strlen(text), stop_at_b,
			     NULL, &why),
	    AQB_EPERM);
	ck_assert_str_eq(why.text, "a.conf:2: enough");
	ck_assert_str_eq(buf_text(&seen), "1:a=<1> 2:b=<2> ");
}
END_TEST

START_TEST(a_long_path_keeps_its_end_and_its_line)
{
	char origin[SCAN_ORIGIN_SIZE];
	char path[400];

	memset(path, 'd', sizeof path);
	memcpy(path + sizeof path - 8, "/x.conf", 8);
	scan_origin(origin, path, 4294967295u);
	ck_assert(strncmp(origin, "...ddd", 6) == 0);
	ck_assert(strstr(origin, "ddd/x.conf:4294967295") != NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("scan");
	TCase *t = tcase_create("scan");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_is_written_is_what_is_seen, 0,
	    sizeof readings / sizeof readings[0]);
	tcase_add_loop_test(t, what_is_malformed_is_refused_with_its_line, 0,
	    sizeof refusals / sizeof refusals[0]);
	tcase_add_test(t, a_nul_byte_is_refused);
	tcase_add_test(t, a_line_of_many_kibibytes_is_read_whole);
	tcase_add_test(t, a_text_at_the_limit_is_read_and_one_above_is_not);
	tcase_add_test(t, whoever_looks_can_end_the_scan);
	tcase_add_test(t, a_long_path_keeps_its_end_and_its_line);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

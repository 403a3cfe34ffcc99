/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/why.h"
#include "conf/dropin.h"

static struct dropins list;
static struct aqb_why why;
static char dir[64];

static void
setup(void)
{
	TAILQ_INIT(&list);
	memset(&why, 0, sizeof why);
	snprintf(dir, sizeof dir, "/tmp/test_dropin.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
teardown(void)
{
	char *command = xasprintf("rm -rf '%s'", dir);

	ck_assert_int_eq(system(command), 0);
	free(command);
	dropins_fini(&list);
	ck_assert(TAILQ_EMPTY(&list));
}

static int
parse(const char *file, const char *text)
{
	return dropin_parse(&list, file, text, strlen(text), 0644, &why);
}

static void
write_file(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

START_TEST(a_file_names_a_plugin_and_what_is_set_for_it)
{
	const struct dropin *d;
	const struct conf_set *s;

	ck_assert_int_eq(parse("p/20-redis.conf",
			     "# Redis\n"
			     "[plugin storage-redis-streams]\n"
			     "load = storage-redis-streams.so\n"
			     "required = yes\n"
			     "url = \"redis://h:6379\"\n"),
	    AQB_OK);
	d = dropins_find(&list, "storage-redis-streams");
	ck_assert_ptr_nonnull(d);
	ck_assert_str_eq(d->file, "p/20-redis.conf");
	ck_assert_str_eq(d->load, "storage-redis-streams.so");
	ck_assert(d->required);
	ck_assert(d->enabled);
	ck_assert_uint_eq(d->mode, 0644);

	s = TAILQ_FIRST(&d->values);
	ck_assert_str_eq(s->key, "url");
	ck_assert_str_eq(s->value, "redis://h:6379");
	ck_assert_str_eq(s->origin, "p/20-redis.conf:5");
	ck_assert_int_eq(s->layer, CONF_DROPIN);
	ck_assert_ptr_null(TAILQ_NEXT(s, link));
}
END_TEST

START_TEST(a_plugin_is_optional_and_enabled_until_it_is_said)
{
	ck_assert_int_eq(parse("a", "[plugin x]\nload = x.so\n"), AQB_OK);
	ck_assert(!dropins_find(&list, "x")->required);
	ck_assert_int_eq(parse("b", "[plugin y]\nload=y.so\nenabled=no\n"),
	    AQB_OK);
	ck_assert(!dropins_find(&list, "y")->enabled);
}
END_TEST

static const struct refusal {
	const char *text;
	const char *says;
} refusals[] = {
	{ "", "p.conf: no section; begin with [plugin NAME]" },
	{ "load = x.so\n", "p.conf:1: load: before any section" },
	{ "[server]\n", "p.conf:1: [server]: not a plugin's section" },
	{ "[plugin]\n", "p.conf:1: [plugin]: not a plugin's section" },
	{ "[plugin x]\n", "p.conf: [plugin x]: no file to load" },
	{ "[plugin x]\nload = x.so\n[plugin y]\n",
	    "p.conf:3: [plugin y]: a second section" },
	{ "[plugin x]\nload = x.so\nrequired = perhaps\n",
	    "p.conf:3: required: \"perhaps\" is neither" },
	{ "[plugin x]\nload = x.so\nk = 1\nk = 2\n",
	    "p.conf:4: k: set already at p.conf:3" },
	{ "[plugin x]\nload = x.so\nload = y.so\n",
	    "p.conf:3: load: set already at p.conf:2" },
	/* P7 */
	{ "[plugin x]\nload = ../x.so\n",
	    "p.conf:2: load: \"../x.so\" is not a bare file name" },
	{ "[plugin x]\nload = /tmp/x.so\n", "is not a bare file name" },
	{ "[plugin x]\nload = a/x.so\n", "is not a bare file name" },
	{ "[plugin x]\nload = ..\n", "is not a bare file name" },
	{ "[plugin x]\nload = .x.so\n", "is not a bare file name" },
	{ "[plugin x]\nload =\n", "\"\" is not a bare file name" },
};

START_TEST(p7_a_wrong_file_is_refused_with_its_line)
{
	const struct refusal *r = &refusals[_i];

	ck_assert_int_lt(parse("p.conf", r->text), 0);
	ck_assert_msg(strstr(why.text, r->says) != NULL, "got \"%s\"",
	    why.text);
	ck_assert(TAILQ_EMPTY(&list));
}
END_TEST

START_TEST(p3_the_same_plugin_twice_is_refused_with_both_files)
{
	ck_assert_int_eq(parse("10-a.conf", "[plugin x]\nload = x.so\n"),
	    AQB_OK);
	ck_assert_int_eq(parse("20-b.conf", "[plugin x]\nload = y.so\n"),
	    AQB_EEXIST);
	ck_assert_str_eq(why.text,
	    "20-b.conf: plugin x: is in 10-a.conf already; remove one");
}
END_TEST

START_TEST(a_folder_is_read_in_the_order_of_names)
{
	const struct dropin *d;

	write_file("20-b.conf", "[plugin b]\nload = b.so\n");
	write_file("10-a.conf", "[plugin a]\nload = a.so\n");
	write_file("100-c.conf", "[plugin c]\nload = c.so\n");
	write_file("30-d.conf.bak", "nonsense");
	write_file(".40-e.conf", "nonsense");
	write_file("README", "nonsense");
	ck_assert_msg(dropins_read(&list, dir, &why) == AQB_OK, "%s", why.text);

	d = TAILQ_FIRST(&list);
	ck_assert_str_eq(d->plugin, "a");
	d = TAILQ_NEXT(d, link);
	ck_assert_str_eq(d->plugin, "c");
	d = TAILQ_NEXT(d, link);
	ck_assert_str_eq(d->plugin, "b");
	ck_assert_ptr_null(TAILQ_NEXT(d, link));
}
END_TEST

START_TEST(a_missing_folder_is_told_apart_from_a_broken_one)
{
	ck_assert_int_eq(dropins_read(&list, "/nonexistent/plugins.d", &why),
	    AQB_ENOENT);
	ck_assert(strstr(why.text, "/nonexistent/plugins.d: ") == why.text);
	ck_assert_int_eq(dropins_read(&list, "/dev/null", &why), AQB_ESYS);
}
END_TEST

START_TEST(a_link_to_nowhere_is_not_a_missing_folder)
{
	char *path = xasprintf("%s/10-a.conf", dir);

	ck_assert_int_eq(symlink("/nonexistent/file", path), 0);
	ck_assert_int_eq(dropins_read(&list, dir, &why), AQB_ESYS);
	ck_assert(strstr(why.text, "10-a.conf: cannot be read") != NULL);
	free(path);
}
END_TEST

START_TEST(another_place_may_switch_a_plugin_but_not_its_file)
{
	struct dropin *d;

	ck_assert_int_eq(parse("a", "[plugin x]\nload = x.so\n"), AQB_OK);
	d = dropins_find(&list, "x");
	ck_assert_int_eq(dropin_override(d, "enabled", "no", "--set", &why),
	    AQB_OK);
	ck_assert(!d->enabled);
	ck_assert_int_eq(dropin_override(d, "load", "y.so", "--set", &why),
	    AQB_EPERM);
	ck_assert_str_eq(d->load, "x.so");
	ck_assert_int_eq(dropin_override(d, "url", "u", "--set", &why),
	    AQB_ENOENT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dropin");
	TCase *t = tcase_create("dropin");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_file_names_a_plugin_and_what_is_set_for_it);
	tcase_add_test(t, a_plugin_is_optional_and_enabled_until_it_is_said);
	tcase_add_loop_test(t, p7_a_wrong_file_is_refused_with_its_line, 0,
	    sizeof refusals / sizeof refusals[0]);
	tcase_add_test(t, p3_the_same_plugin_twice_is_refused_with_both_files);
	tcase_add_test(t, a_folder_is_read_in_the_order_of_names);
	tcase_add_test(t, a_missing_folder_is_told_apart_from_a_broken_one);
	tcase_add_test(t, a_link_to_nowhere_is_not_a_missing_folder);
	tcase_add_test(t, another_place_may_switch_a_plugin_but_not_its_file);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

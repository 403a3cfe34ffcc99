/* SPDX-License-Identifier: Apache-2.0 */

/* The language in which commands declare their arguments. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/params.h"
#include "host/plugin.h"

static struct aqb_why why;

static void
exec(void *self, aqb_ticket call, const struct aqb_call *what)
{
	(void)self;
	(void)call;
	(void)what;
}

static int
init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *w)
{
	(void)host;
	(void)conf;
	(void)selfp;
	(void)w;
	return AQB_OK;
}

static void
fini(void **selfp)
{
	(void)selfp;
}

/* Would a plugin be loaded whose command declares this? */
static int
judged(const char *params)
{
	const struct aqb_command command = {
		.size = sizeof command,
		.name = "dance",
		.params = params,
		.summary = "dance",
		.exec = exec,
	};
	const struct aqb_command *const commands[] = { &command, NULL };
	const struct aqb_plugin plugin = {
		.magic = AQB_PLUGIN_MAGIC,
		.abi_major = AQB_ABI_MAJOR,
		.abi_minor = AQB_ABI_MINOR,
		.size = sizeof plugin,
		.name = "dancer",
		.version = "1",
		.summary = "dances",
		.init = init,
		.fini = fini,
		.commands = commands,
	};

	return plugin_check(&plugin, &why);
}

START_TEST(a_parameter_is_a_name_a_type_a_range_and_a_default)
{
	const char *text = "room:n limit:u(1..1000)=100  echo?:b";
	struct param p;

	ck_assert(param_next(&text, &p));
	ck_assert_str_eq(p.name, "room");
	ck_assert_int_eq(p.type, 'n');
	ck_assert(!p.optional && !p.ranged);
	ck_assert(param_next(&text, &p));
	ck_assert(p.optional && p.ranged && p.min == 1 && p.max == 1000);
	ck_assert(p.dflt_len == 3 && strncmp(p.dflt, "100", 3) == 0);
	ck_assert(param_next(&text, &p));
	ck_assert(p.optional && p.dflt == NULL);
	ck_assert(!param_next(&text, &p));
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(a_declared_name_is_found)
{
	struct param p;

	ck_assert(params_have("room:n channel?:n", "channel", &p));
	ck_assert(p.optional);
	ck_assert(!params_have("room:n channel?:n", "chan", &p));
}
END_TEST

static const char *const rights[] = { "", "  ", "a:s", "a_b?:t c:j",
	"a:u(0..18446744073709551615)", "a:s(1..8)=x" };

START_TEST(what_is_right_is_loaded)
{
	ck_assert_msg(judged(rights[_i]) == AQB_OK, "%s", why.text);
}
END_TEST

static const char *const wrongs[] = { "a", "a:", "a:x", ":s", "A:s", "a:s,b:s",
	"a:u(1)", "a:u(2..1)", "a:u(1..", "a:u(1..2", "a:u(..2)", "a:s?",
	"a_name_that_is_longer_than_31_byt:s" };

START_TEST(what_is_wrong_is_refused_by_the_name_of_the_command)
{
	char text[96] = "good:s ";
	char says[160];

	strcat(text, wrongs[_i]);
	snprintf(says, sizeof says,
	    "command dance: params: not right at \"%s\"", wrongs[_i]);
	ck_assert_int_eq(judged(text), AQB_EABI);
	ck_assert_msg(strstr(why.text, says) != NULL, "%s", why.text);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

int
main(void)
{
	Suite *s = suite_create("params");
	TCase *t = tcase_create("params");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, a_parameter_is_a_name_a_type_a_range_and_a_default);
	tcase_add_test(t, a_declared_name_is_found);
	tcase_add_loop_test(t, what_is_right_is_loaded, 0, COUNT(rights));
	tcase_add_loop_test(t,
	    what_is_wrong_is_refused_by_the_name_of_the_command, 0,
	    COUNT(wrongs));
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/conf_table.h"
#include "conf/option.h"
#include "conf_fake.h"

static char *
dump(const struct conf *c)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print(c, f);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

/* What a storage plugin may understand. */
static const struct aqb_option storage_options[] = {
	{ .name = "backend", .type = AQB_OPT_STRING }, /* the broker's alone */
	{ .name = "history_size", .type = AQB_OPT_U32 },
	{ .name = "memory_limit", .type = AQB_OPT_SIZE },
	AQB_OPTIONS_END,
};

static int
note(void *arg, const struct conf_set *set, struct aqb_why *w)
{
	(void)w;
	buf_printf(arg, "%s=%s ", set->key, set->value);
	return AQB_OK;
}

static char *
told(const char *name, const char *kind)
{
	struct buf out = { .max = 0 };
	size_t len;

	ck_assert_int_eq(conf_plugin_values(conf, name, kind, storage_options,
			     note, &out, &why),
	    AQB_OK);
	buf_putc(&out, '.');
	return buf_take(&out, &len);
}

START_TEST(a_plugin_is_told_what_was_set_for_it_weakest_first)
{
	char *text;

	plugin("10-m.conf",
	    "[plugin storage-memory]\nload = m.so\n"
	    "history_size = 2\nodd = 1\n");
	file("c/a.conf",
	    "[storage]\nhistory_size = 1\nmode = degraded\n"
	    "backend = memory\nhistory_ttl = 1s\n");
	flag("--config=c/a.conf");
	variable("ARQONBUS_STORAGE_MEMORY_HISTORY_SIZE=4");
	variable("ARQONBUS_STORAGE_HISTORY_SIZE=3");
	flag("--set=storage-memory.history_size=6");
	flag("--set=storage.history_size=5");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);

	text = told("storage-memory", "storage");
	ck_assert_str_eq(text,
	    "history_size=1 history_size=2 odd=1 history_size=3 "
	    "history_size=4 history_size=5 history_size=6 .");
	free(text);
	ck_assert_uint_eq(conf->nwarnings, 0);
}
END_TEST

START_TEST(a_plugin_of_another_kind_is_not_told_of_the_section)
{
	char *text;

	take("[storage]\nhistory_size = 1\n");
	text = told("commands-builtin", "commands");
	ck_assert_str_eq(text, ".");
	free(text);
}
END_TEST

START_TEST(a_variable_names_a_section_before_a_plugin)
{
	char *text;

	plugin("10-m.conf", "[plugin storage-memory]\nload = m.so\n");
	variable("ARQONBUS_STORAGE_MEMORY_LIMIT=2MiB");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_uint_eq(conf->storage.memory_limit, 2u << 20);
	text = told("storage-memory", "storage");
	ck_assert_str_eq(text, "memory_limit=2MiB .");
	free(text);
}
END_TEST

START_TEST(of_two_plugins_a_variable_means_the_longer_name)
{
	char *text;

	plugin("10-a.conf", "[plugin log]\nload = a.so\n");
	plugin("20-b.conf", "[plugin log-extra]\nload = b.so\n");
	variable("ARQONBUS_LOG_EXTRA_DEPTH=2");
	variable("ARQONBUS_LOG_LEVEL=debug"); /* the section's */
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	text = told("log-extra", "telemetry");
	ck_assert_str_eq(text, "depth=2 .");
	free(text);
	text = told("log", "telemetry");
	ck_assert_str_eq(text, ".");
	free(text);
}
END_TEST

START_TEST(the_alias_of_the_redis_url_reaches_its_plugin)
{
	char *text;

	plugin("10-r.conf", "[plugin storage-redis-streams]\nload = r.so\n");
	variable("ARQONBUS_REDIS_URL=redis://one");
	flag("--redis-url=redis://two");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	text = told("storage-redis-streams", "storage");
	ck_assert_str_eq(text, "url=redis://one url=redis://two .");
	free(text);
}
END_TEST

START_TEST(the_alias_without_its_plugin_is_only_a_warning)
{
	variable("ARQONBUS_VALKEY_URL=redis://one");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert(has_warning("ARQONBUS_VALKEY_URL: not an option"));
}
END_TEST

START_TEST(a_plugin_is_switched_by_flag_and_variable)
{
	char *text;

	plugin("10-a.conf", "[plugin a]\nload = a.so\nenabled = no\n");
	plugin("20-b.conf", "[plugin b]\nload = b.so\n");
	variable("ARQONBUS_A_ENABLED=yes");
	flag("--set=b.required=yes");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert(dropins_find(&conf->dropins, "a")->enabled);
	ck_assert(dropins_find(&conf->dropins, "b")->required);
	text = told("a", "commands");
	ck_assert_str_eq(text, ".");
	free(text);
}
END_TEST

START_TEST(no_flag_may_say_what_code_to_load)
{
	plugin("10-a.conf", "[plugin a]\nload = a.so\n");
	flag("--set=a.load=b.so");
	ck_assert_int_eq(load(), AQB_EPERM);
	ck_assert(strstr(why.text, "--set a.load: load: only a file") ==
	    why.text);
}
END_TEST

START_TEST(a_plugin_misspelt_in_a_flag_is_refused_with_the_nearest)
{
	plugin("10-a.conf", "[plugin storage-memory]\nload = a.so\n");
	flag("--set=storage-memroy.history_size=1");
	ck_assert_int_eq(load(), AQB_EINVAL);
	ck_assert(strstr(why.text, "did you mean storage-memory?") != NULL);
}
END_TEST

START_TEST(a_dump_reads_back_the_same)
{
	struct conf *c = conf_new();
	char *first;
	char *second;

	take("[server]\nport = 1\nnode = \"a # b\"\nping_interval = 1500ms\n"
	     "[telemetry]\ntoken = hush\n"
	     "[limits]\nbytes_per_second = 3MiB\n"
	     "[log]\nformat = json\nfile = \" \\\"x\\\" \"\n");
	first = dump(conf);
	ck_assert_ptr_nonnull(strstr(first, "\nport = 1\n"));
	ck_assert_ptr_nonnull(strstr(first, "\nping_interval = 1500ms\n"));
	ck_assert_ptr_nonnull(strstr(first, "\n# token = ***\n"));
	ck_assert_ptr_null(strstr(first, "hush"));

	ck_assert_msg(conf_read(c, "dump", first, strlen(first), 0100644,
			  &why) == AQB_OK,
	    "%s", why.text);
	ck_assert_msg(conf_apply(c, &why) == AQB_OK, "%s", why.text);
	ck_assert_str_eq(c->server.node, "a # b");
	free((char *)(uintptr_t)c->telemetry.token);
	c->telemetry.token = xstrdup("hush");
	second = dump(c);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	conf_free(&c);
}
END_TEST

START_TEST(a_dump_in_json_masks_its_secrets)
{
	struct buf out = { .max = 0 };

	take("[auth]\nadmin_token = hush\n[server]\nport = 7\n");
	conf_print_json(conf, &out);
	ck_assert(strstr(buf_text(&out),
		      "{\"server\":{\"host\":\"127.0.0.1\","
		      "\"port\":7,") == buf_text(&out));
	ck_assert_ptr_nonnull(strstr(buf_text(&out),
	    "\"auth\":{\"admin_token\":\"***\"}"));
	ck_assert_ptr_null(strstr(buf_text(&out), "hush"));
	ck_assert_str_eq(buf_text(&out) + out.len - 2, "}}");
	buf_fini(&out);
}
END_TEST

/* The shipped file of this name: from the source tree, wherever we build. */
static char *
shipped(const char *name)
{
	const char *src = getenv("srcdir");
	char *path = xasprintf("%s/etc/%s", src == NULL ? "." : src, name);

	return path;
}

/* Remove the # before every `# key = value`. */
static void
uncomment(char *text)
{
	for (char *p = text; p != NULL; p = strchr(p, '\n')) {
		size_t len;

		p += *p == '\n';
		if (strncmp(p, "# ", 2) != 0) {
			continue;
		}
		len = strspn(p + 2, "abcdefghijklmnopqrstuvwxyz_");
		if (len > 0 && strncmp(p + 2 + len, " =", 2) == 0 &&
		    strncmp(p + 2, "include", 7) != 0) {
			p[0] = ' ';
		}
	}
}

START_TEST(the_shipped_file_names_every_option_with_its_default)
{
	char *path = shipped("arqonbus.conf");
	struct file_text text;
	struct conf *defaults = conf_new();

	ck_assert_msg(file_read(path, &text, &why) == AQB_OK, "%s", why.text);
	uncomment(text.text);
	ck_assert_msg(conf_read(conf, path, text.text, text.len, text.mode,
			  &why) == AQB_OK,
	    "%s", why.text);
	ck_assert_msg(conf_apply(conf, &why) == AQB_OK, "%s", why.text);
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		struct buf is = { .max = 0 };
		struct buf ought = { .max = 0 };

		ck_assert_msg(sets_find(&conf->sets, r->section,
				  r->option.name) != NULL,
		    "[%s] %s is missing", r->section, r->option.name);
		option_print(&r->option, conf, &is);
		option_print(&r->option, defaults, &ought);
		/* Where things lie depends on how we were built. */
		if (r->shown == NULL) {
			ck_assert_str_eq(buf_text(&is), buf_text(&ought));
		}
		buf_fini(&is);
		buf_fini(&ought);
	}
	file_fini(&text);
	free(path);
	conf_free(&defaults);
}
END_TEST

START_TEST(the_shipped_limits_are_switched_on_by_one_line)
{
	char *path = shipped("limits-public.conf");
	char *line = xasprintf("include = %s\n", path);

	conf->fetch = file_read;
	ck_assert_msg(conf_read(conf, "a.conf", line, strlen(line), 0100644,
			  &why) == AQB_OK,
	    "%s", why.text);
	ck_assert_msg(conf_apply(conf, &why) == AQB_OK, "%s", why.text);
	ck_assert_uint_eq(conf->server.max_channels_per_client, 128);
	ck_assert_uint_eq(conf->limits.messages_per_second, 100);
	ck_assert_uint_eq(conf->limits.bytes_burst, 2u << 20);
	ck_assert_uint_eq(conf->limits.connections_per_address, 256);
	ck_assert_uint_eq(conf->limits.accepts_burst, 2000);
	free(line);
	free(path);
}
END_TEST

START_TEST(the_shipped_plugins_folder_is_whole)
{
	char *path = shipped("plugins.d");
	const struct dropin *d;
	struct buf order = { .max = 0 };

	ck_assert_msg(dropins_read(&conf->dropins, path, &why) == AQB_OK, "%s",
	    why.text);
	TAILQ_FOREACH (d, &conf->dropins, link) {
		buf_printf(&order, "%s%s ", d->plugin,
		    d->enabled ? "" : "(off)");
	}
	ck_assert_str_eq(buf_text(&order),
	    "storage-memory storage-redis-streams commands-builtin "
	    "commands-admin telemetry-websocket telemetry-log(off) ");
	buf_fini(&order);
	free(path);
}
END_TEST

START_TEST(the_usage_fits_a_terminal)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	char *line;

	conf_print_usage(f);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(text, "--telemetry-port"));
	ck_assert_ptr_null(strstr(text, "mdoc"));
	for (line = strtok(text, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		ck_assert_msg(strlen(line) <= 80, "%s", line);
	}
	free(text);
}
END_TEST

static TCase *
plugins(void)
{
	TCase *t = tcase_create("plugins");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_plugin_is_told_what_was_set_for_it_weakest_first);
	tcase_add_test(t, a_plugin_of_another_kind_is_not_told_of_the_section);
	tcase_add_test(t, a_variable_names_a_section_before_a_plugin);
	tcase_add_test(t, of_two_plugins_a_variable_means_the_longer_name);
	tcase_add_test(t, the_alias_of_the_redis_url_reaches_its_plugin);
	tcase_add_test(t, the_alias_without_its_plugin_is_only_a_warning);
	tcase_add_test(t, a_plugin_is_switched_by_flag_and_variable);
	tcase_add_test(t, no_flag_may_say_what_code_to_load);
	tcase_add_test(t,
	    a_plugin_misspelt_in_a_flag_is_refused_with_the_nearest);
	return t;
}

static TCase *
printed(void)
{
	TCase *t = tcase_create("printed");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_dump_reads_back_the_same);
	tcase_add_test(t, a_dump_in_json_masks_its_secrets);
	tcase_add_test(t, the_shipped_file_names_every_option_with_its_default);
	tcase_add_test(t, the_shipped_limits_are_switched_on_by_one_line);
	tcase_add_test(t, the_shipped_plugins_folder_is_whole);
	tcase_add_test(t, the_usage_fits_a_terminal);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("conf_plugin");
	SRunner *r;
	int failed;

	suite_add_tcase(s, plugins());
	suite_add_tcase(s, printed());
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

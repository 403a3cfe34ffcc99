/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arqonbus/host.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf_fake.h"

START_TEST(without_being_told_anything_the_defaults_hold)
{
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_int_eq(action, CONF_RUN);
	ck_assert_str_eq(conf->server.host, "127.0.0.1");
	ck_assert_uint_eq(conf->server.port, 9100);
	ck_assert_uint_eq(conf->server.max_message_size, 65536);
	ck_assert_uint_eq(conf->server.ping_interval, 25000);
	ck_assert_uint_eq(conf->server.memory_limit, 1u << 30);
	ck_assert(conf->server.auto_create);
	ck_assert_uint_eq(conf->storage.history_size, 500);
	ck_assert_uint_eq(conf->storage.backend, CONF_STORAGE_MEMORY);
	ck_assert_uint_eq(conf->telemetry.port, 9101);
	ck_assert_uint_eq(conf->log.level, AQB_INFO);
	ck_assert_uint_eq(conf->limits.messages_per_second, 0);
	ck_assert_uint_eq(conf->limits.max_violations, 10);
	ck_assert_str_eq(conf->auth.admin_token, "");
	ck_assert_uint_eq(conf->nwarnings, 0);
	ck_assert_ptr_null(conf->file);
}
END_TEST

START_TEST(a_flag_wins_over_the_environment_and_that_over_the_file)
{
	file("c/a.conf", "[server]\nport = 1\nmax_connections = 1\nnode = f\n");
	variable("ARQONBUS_SERVER_PORT=2");
	variable("ARQONBUS_SERVER_MAX_CONNECTIONS=2");
	variable("OTHER=1");
	flag("--config");
	flag("c/a.conf");
	flag("--port=3");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_uint_eq(conf->server.port, 3);
	ck_assert_uint_eq(conf->server.max_connections, 2);
	ck_assert_str_eq(conf->server.node, "f");
	ck_assert_str_eq(conf->file, "c/a.conf");
}
END_TEST

START_TEST(every_flag_reaches_its_option)
{
	static const char *const words[] = { "--host", "127.0.0.2",
		"--telemetry-port", "0", "--storage", "memory", "--log-level",
		"debug", "--plugin-path", "/a:/b", "--set",
		"server.ping_interval=10ms" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		flag(words[i]);
	}
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_str_eq(conf->server.host, "127.0.0.2");
	ck_assert_str_eq(conf->telemetry.host, "127.0.0.1");
	ck_assert_uint_eq(conf->telemetry.port, 0);
	ck_assert_uint_eq(conf->log.level, AQB_DEBUG);
	ck_assert_str_eq(conf->plugins.path, "/a:/b");
	ck_assert_str_eq(conf->plugins.dir, dir);
	ck_assert_uint_eq(conf->server.ping_interval, 10);
}
END_TEST

START_TEST(of_a_flag_given_twice_the_last_one_counts)
{
	flag("--port=1");
	flag("--set");
	flag("server.port=2");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_uint_eq(conf->server.port, 2);
}
END_TEST

START_TEST(a_value_of_set_may_hold_dots_and_equals_signs)
{
	flag("--set");
	flag("log.file=/var/log/a.b=c");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_str_eq(conf->log.file, "/var/log/a.b=c");
}
END_TEST

static const struct action_flag {
	const char *flag;
	enum conf_action action;
} action_flags[] = {
	{ "-t", CONF_CHECK },
	{ "--check-config", CONF_CHECK },
	{ "--dump-config", CONF_DUMP },
	{ "--dump-mdoc", CONF_MDOC },
	{ "-V", CONF_VERSION },
	{ "--version", CONF_VERSION },
	{ "-h", CONF_HELP },
	{ "--help", CONF_HELP },
};

START_TEST(a_flag_may_ask_for_something_else_than_to_run)
{
	flag(action_flags[_i].flag);
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_int_eq(action, action_flags[_i].action);
}
END_TEST

START_TEST(flags_are_read_anew_each_time)
{
	flag("-tx");
	ck_assert_int_eq(load(), AQB_EINVAL);
	free(flags[--nflags]);
	flags[nflags] = NULL;

	conf_free(&conf);
	conf = conf_new();
	conf->fetch = fetch;
	flag("--port=3");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_int_eq(action, CONF_RUN);
	ck_assert_uint_eq(conf->server.port, 3);
	ck_assert_str_eq(conf->plugins.dir, dir);
}
END_TEST

static const struct flag_refusal {
	const char *flag;
	const char *says;
} flag_refusals[] = {
	{ "--prot",
	    "--prot: not a flag of this program; did you mean --port?" },
	{ "--version=1", "--version=1: takes no value" },
	{ "--bananas", "--bananas: not a flag" },
	{ "-x", "-x: not a flag of this program; --help lists all" },
	{ "--port", "--port: needs a value" },
	{ "--port=http", "--port: port: \"http\" is not a number" },
	{ "--port=65536", "--port: port: 65536 is above 65535" },
	{ "now", "\"now\": no argument is expected" },
	{ "--set=server", "--set server: not an option" },
	{ "--set=server.port", "--set server.port: not an option" },
	{ "--set=port=1", "--set port: not an option" },
	{ "--set=server.prot=1",
	    "--set server.prot: prot: unknown option of [server]; "
	    "did you mean port?" },
	{ "--set=server=a.b", "--set server: not an option" },
	{ "--set=.a=1", "--set .a: not an option; write" },
	{ "--set=sever.port=1",
	    "--set sever.port: no section, and no plugin in" },
	{ "--redis-url=redis://h",
	    "--redis-url: no section, and no plugin in" },
	{ "--config=c/none.conf", "c/none.conf: cannot be read" },
	{ "--io-threads=65", "--io-threads: io_threads: 65 is above 64" },
	{ "--storage=tape",
	    "--storage: backend: \"tape\" is not known; "
	    "write memory or redis-streams" },
};

START_TEST(a_wrong_flag_is_refused_with_its_name)
{
	flag(flag_refusals[_i].flag);
	ck_assert_int_lt(load(), 0);
	ck_assert_msg(strstr(why.text, flag_refusals[_i].says) == why.text,
	    "got \"%s\"", why.text);
}
END_TEST

static const struct refusal {
	const char *text;
	const char *says;
} refusals[] = {
	/* O8 */
	{ "[server]\nprot = 1\n",
	    "c/a.conf:2: prot: unknown option of [server]; "
	    "did you mean port?" },
	{ "[sever]\n",
	    "c/a.conf:1: [sever]: unknown section; did you mean server?" },
	{ "[server]\nport = 1\n[log]\n[server]\nport = 1\n",
	    "c/a.conf:5: port: set already at c/a.conf:2; remove one" },
	{ "[plugin x]\n", "c/a.conf:1: [plugin x]: belongs into a file" },
	{ "[server x]\n", "c/a.conf:1: [server x]: not a section" },
	{ "port = 1\n", "c/a.conf:1: port: before any section" },
	{ "[server]\nport = x\n", "c/a.conf:2: port: \"x\" is not a number" },
	{ "[server]\nmax_message_size = 2MiB\n",
	    "c/a.conf:2: max_message_size: 2MiB is above 1MiB" },
	{ "[server]\nhost =\n", "c/a.conf:2: host: no address" },
	{ "[server]\noutbox_limit = 32KiB\n",
	    "c/a.conf:2: outbox_limit: below twice max_message" },
	{ "[telemetry]\nport = 9100\n",
	    "c/a.conf:2: port: 9100 is the data port already" },
	{ "[server]\ndefault_room = .x\n",
	    "c/a.conf:2: default_room: \".x\" is not a name" },
	{ "[server]\nbootstrap = a:b,c\n",
	    "c/a.conf:2: bootstrap: \"c\" is wrong; write room:channel" },
	{ "[server]\nbootstrap = a:b,,c:d\n", "c/a.conf:2: bootstrap: \"\"" },
	{ "[server]\nbootstrap = a:b:c\n", "c/a.conf:2: bootstrap: \"a:b:c\"" },
	{ "[server]\nmetrics_allow = 10.0.0.1,me\n",
	    "c/a.conf:2: metrics_allow: \"me\" is wrong" },
	{ "include = none.conf\n",
	    "c/a.conf:1: include: c/none.conf: cannot be read" },
	{ "include = a.conf\n",
	    "c/a.conf:1: include: more than 8 deep; does a file include" },
	{ "[server]\ninclude = b.conf\n",
	    "c/a.conf:2: include: unknown option of [server]" },
};

START_TEST(o8_a_wrong_file_is_refused_with_its_line)
{
	file("c/a.conf", refusals[_i].text);
	flag("--config=c/a.conf");
	ck_assert_int_lt(load(), 0);
	ck_assert_msg(strstr(why.text, refusals[_i].says) == why.text,
	    "got \"%s\"", why.text);
}
END_TEST

START_TEST(a_wrong_value_is_refused_even_where_another_wins)
{
	file("c/a.conf", "[server]\nport = x\n");
	flag("--config=c/a.conf");
	flag("--port=1");
	ck_assert_int_eq(load(), AQB_EINVAL);
	ck_assert(strstr(why.text, "c/a.conf:2: port:") == why.text);
}
END_TEST

START_TEST(lists_may_have_blanks_after_their_commas)
{
	take("[server]\nbootstrap = a:b, c:d\n"
	     "metrics_allow = 10.0.0.1, ::1\n");
	ck_assert_str_eq(conf->server.bootstrap, "a:b, c:d");
}
END_TEST

START_TEST(an_included_file_is_read_beside_the_file_that_names_it)
{
	file("c/limits.conf",
	    "include = more/x.conf\n"
	    "[limits]\nmessages_per_second = 100\n"
	    "messages_burst = 200\n");
	file("c/more/x.conf",
	    "[limits]\nmessages_burst = 300\n"
	    "commands_per_second = 5\n");
	take("include = limits.conf\n[limits]\nmessages_per_second = 7\n");
	ck_assert_uint_eq(conf->limits.messages_per_second, 7);
	ck_assert_uint_eq(conf->limits.messages_burst, 200);
	ck_assert_uint_eq(conf->limits.commands_per_second, 5);
}
END_TEST

START_TEST(two_included_files_may_not_set_the_same)
{
	file("c/x.conf", "[log]\nlevel = debug\n");
	file("c/y.conf", "[log]\nlevel = error\n");
	file("c/a.conf", "include = x.conf\ninclude = y.conf\n");
	flag("--config=c/a.conf");
	ck_assert_int_eq(load(), AQB_EEXIST);
	ck_assert_str_eq(why.text,
	    "c/y.conf:2: level: set already at c/x.conf:2; remove one");
}
END_TEST

START_TEST(a_burst_that_was_left_out_is_as_much_as_the_rate)
{
	take("[limits]\nmessages_per_second = 100\nbytes_per_second = 1MiB\n"
	     "commands_per_second = 5\ncommands_burst = 9\n");
	ck_assert_uint_eq(conf->limits.messages_burst, 100);
	ck_assert_uint_eq(conf->limits.bytes_burst, 1048576);
	ck_assert_uint_eq(conf->limits.commands_burst, 9);
	ck_assert_uint_eq(conf->limits.channels_burst, 0);
}
END_TEST

START_TEST(a_variable_of_nobody_is_only_a_warning)
{
	variable("ARQONBUS_PORT=tcp://10.0.0.1:9100");
	variable("ARQONBUS_SERVER_PROT=1");
	variable("ARQONBUS_SERVER_PORT=tcp://10.0.0.1:9100");
	variable("ARQONBUS_KEEP_PLUGINS=1");
	variable("ARQONBUS_LOG_LEVEL=");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert(has_warning("ARQONBUS_PORT: not an option"));
	ck_assert(has_warning("ARQONBUS_SERVER_PROT: not an option"));
	ck_assert(has_warning("ARQONBUS_SERVER_PORT: not an option"));
	ck_assert_uint_eq(conf->nwarnings, 3);
	ck_assert_uint_eq(conf->server.port, 9100);
}
END_TEST

START_TEST(a_wrong_variable_is_refused_with_its_name)
{
	variable("ARQONBUS_SERVER_PORT=http");
	ck_assert_int_eq(load(), AQB_EINVAL);
	ck_assert(strstr(why.text,
		      "ARQONBUS_SERVER_PORT: port: \"http\" is not") ==
	    why.text);
}
END_TEST

START_TEST(a_missing_plugins_folder_is_an_error_only_if_it_was_named)
{
	struct conf *c = conf_new();
	char *words[] = { flags[0], NULL };

	/* As if the broker had been built for a place that is not there. */
	c->fetch = fetch;
	free((char *)(uintptr_t)c->plugins.dir);
	c->plugins.dir = xstrdup("/nonexistent/plugins.d");
	ck_assert_int_eq(conf_load(c, 1, words, vars, &action, &why), AQB_OK);
	ck_assert_uint_eq(c->nwarnings, 1);
	ck_assert(strstr(c->warnings[0], "/nonexistent/plugins.d") != NULL);
	conf_free(&c);

	flag("--plugins-dir=/nonexistent/plugins.d");
	ck_assert_int_eq(load(), AQB_ENOENT);
	ck_assert(strstr(why.text, "/nonexistent/plugins.d: ") == why.text);
}
END_TEST

START_TEST(o9_a_secret_in_a_file_for_everybody_is_refused)
{
	file("c/a.conf", "[auth]\nadmin_token = hush\n");
	flag("--config=c/a.conf");
	files[0].mode = 0100644;
	ck_assert_int_eq(load(), AQB_EPERM);
	ck_assert(strstr(why.text,
		      "c/a.conf:2: admin_token: a secret in a file that "
		      "everybody may read (mode 0644)") == why.text);
	ck_assert_ptr_null(strstr(why.text, "hush"));
}
END_TEST

START_TEST(o9_a_secret_in_a_file_of_ones_own_is_fine)
{
	take("[auth]\nadmin_token = hush\n");
	ck_assert_str_eq(conf->auth.admin_token, "hush");
}
END_TEST

START_TEST(o9_an_empty_secret_may_be_read_by_everybody)
{
	file("c/a.conf", "[auth]\nadmin_token =\n");
	files[0].mode = 0100644;
	flag("--config=c/a.conf");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_str_eq(conf->auth.admin_token, "");
}
END_TEST

START_TEST(o9_the_mode_is_that_of_the_file_on_the_disk)
{
	char *path = xasprintf("%s/secret", dir);
	FILE *f = fopen(path, "w");

	fputs("[auth]\nadmin_token = hush\n", f);
	fclose(f);
	conf->fetch = file_read;
	flag("--config");
	flag(path);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(load(), AQB_EPERM);

	conf_free(&conf);
	conf = conf_new();
	ck_assert_int_eq(chmod(path, 0640), 0);
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_str_eq(conf->auth.admin_token, "hush");
	free(path);
}
END_TEST

START_TEST(a_secret_among_the_flags_is_warned_of)
{
	flag("--set=auth.admin_token=hush");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert(has_warning("--set auth.admin_token: everybody on this"));
	ck_assert(!has_warning("hush"));
}
END_TEST

static const struct exposure {
	const char *set;
	bool fine;
} exposures[] = {
	{ "telemetry.host=127.0.0.1", true },
	{ "telemetry.host=127.8.9.1", true },
	{ "telemetry.host=::1", true },
	{ "telemetry.host=localhost", true },
	{ "telemetry.host=0.0.0.0", false },
	{ "telemetry.host=::", false },
	{ "telemetry.host=10.0.0.1", false },
	{ "telemetry.host=example.org", false },
	{ "telemetry-websocket.host=0.0.0.0", false },
};

START_TEST(t1_telemetry_beyond_this_machine_needs_a_token)
{
	const struct exposure *e = &exposures[_i];

	plugin("30-t.conf", "[plugin telemetry-websocket]\nload = t.so\n");
	flag("--set");
	flag(e->set);
	ck_assert_int_eq(load(), e->fine ? AQB_OK : AQB_EPERM);
	if (!e->fine) {
		ck_assert(strstr(why.text, "lets others watch the bus") !=
		    NULL);
	}
}
END_TEST

START_TEST(t1_telemetry_with_a_token_may_be_anywhere)
{
	plugin("30-t.conf",
	    "[plugin telemetry-websocket]\nload = t.so\n"
	    "host = 0.0.0.0\n");
	variable("ARQONBUS_TELEMETRY_TOKEN=hush");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
}
END_TEST

START_TEST(t1_the_plugins_own_file_may_not_open_it_either)
{
	plugin("30-t.conf",
	    "[plugin telemetry-websocket]\nload = t.so\n"
	    "host = 0.0.0.0\n");
	ck_assert_int_eq(load(), AQB_EPERM);
	ck_assert(strstr(why.text, "30-t.conf:3: host: 0.0.0.0") != NULL);
}
END_TEST

START_TEST(t1_telemetry_that_is_off_needs_no_token)
{
	take("[telemetry]\nenabled = no\nhost = 0.0.0.0\n");
	ck_assert(!conf->telemetry.enabled);
}
END_TEST

START_TEST(a_data_port_for_everybody_is_warned_of_without_authentication)
{
	flag("--host=0.0.0.0");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert(has_warning("--host: host: 0.0.0.0 without authentication"));
}
END_TEST

START_TEST(a_data_port_for_everybody_is_fine_with_authentication)
{
	plugin("40-auth.conf", "[plugin auth-jwt]\nload = auth-jwt.so\n");
	flag("--host=0.0.0.0");
	ck_assert_msg(load() == AQB_OK, "%s", why.text);
	ck_assert_uint_eq(conf->nwarnings, 0);
}
END_TEST

START_TEST(a_file_is_read_from_the_disk)
{
	char *path = xasprintf("%s/x.conf", dir);
	char *words[] = { flags[0], flags[1], flags[2], (char *)"--config",
		path, NULL };
	struct conf *c = conf_new();
	FILE *f = fopen(path, "w");

	fputs("[server]\nport = 4\n", f);
	fclose(f);
	/* x.conf is in plugins.d as well: it is no plugin. */
	ck_assert_int_eq(conf_load(c, 5, words, vars, &action, &why),
	    AQB_EINVAL);
	ck_assert(strstr(why.text, "x.conf:1: [server]: not a plugin's") !=
	    NULL);
	ck_assert_uint_eq(c->server.port, 4);
	conf_free(&c);

	c = conf_new();
	words[4] = (char *)"/tmp";
	ck_assert_int_eq(conf_load(c, 5, words, vars, &action, &why),
	    AQB_EINVAL);
	ck_assert_str_eq(why.text, "/tmp: not a file");
	conf_free(&c);

	c = conf_new();
	unlink(path);
	words[4] = (char *)"/dev/null";
	ck_assert_msg(conf_load(c, 5, words, vars, &action, &why) == AQB_OK,
	    "%s", why.text);
	conf_free(&c);
	free(path);
}
END_TEST

static TCase *
precedence(void)
{
	TCase *t = tcase_create("precedence");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, without_being_told_anything_the_defaults_hold);
	tcase_add_test(t,
	    a_flag_wins_over_the_environment_and_that_over_the_file);
	tcase_add_test(t, every_flag_reaches_its_option);
	tcase_add_test(t, of_a_flag_given_twice_the_last_one_counts);
	tcase_add_test(t, a_value_of_set_may_hold_dots_and_equals_signs);
	tcase_add_loop_test(t, a_flag_may_ask_for_something_else_than_to_run, 0,
	    sizeof action_flags / sizeof action_flags[0]);
	tcase_add_test(t, flags_are_read_anew_each_time);
	tcase_add_test(t,
	    an_included_file_is_read_beside_the_file_that_names_it);
	tcase_add_test(t, a_burst_that_was_left_out_is_as_much_as_the_rate);
	tcase_add_test(t, lists_may_have_blanks_after_their_commas);
	tcase_add_test(t, a_file_is_read_from_the_disk);
	return t;
}

static TCase *
refused(void)
{
	TCase *t = tcase_create("refusals");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_wrong_flag_is_refused_with_its_name, 0,
	    sizeof flag_refusals / sizeof flag_refusals[0]);
	tcase_add_loop_test(t, o8_a_wrong_file_is_refused_with_its_line, 0,
	    sizeof refusals / sizeof refusals[0]);
	tcase_add_test(t, a_wrong_value_is_refused_even_where_another_wins);
	tcase_add_test(t, two_included_files_may_not_set_the_same);
	tcase_add_test(t, a_variable_of_nobody_is_only_a_warning);
	tcase_add_test(t, a_wrong_variable_is_refused_with_its_name);
	tcase_add_test(t,
	    a_missing_plugins_folder_is_an_error_only_if_it_was_named);
	return t;
}

static TCase *
exposure(void)
{
	TCase *t = tcase_create("exposure");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, o9_a_secret_in_a_file_for_everybody_is_refused);
	tcase_add_test(t, o9_a_secret_in_a_file_of_ones_own_is_fine);
	tcase_add_test(t, o9_an_empty_secret_may_be_read_by_everybody);
	tcase_add_test(t, o9_the_mode_is_that_of_the_file_on_the_disk);
	tcase_add_test(t, a_secret_among_the_flags_is_warned_of);
	tcase_add_loop_test(t, t1_telemetry_beyond_this_machine_needs_a_token,
	    0, sizeof exposures / sizeof exposures[0]);
	tcase_add_test(t, t1_telemetry_with_a_token_may_be_anywhere);
	tcase_add_test(t, t1_the_plugins_own_file_may_not_open_it_either);
	tcase_add_test(t, t1_telemetry_that_is_off_needs_no_token);
	tcase_add_test(t,
	    a_data_port_for_everybody_is_warned_of_without_authentication);
	tcase_add_test(t,
	    a_data_port_for_everybody_is_fine_with_authentication);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("conf");
	SRunner *r;
	int failed;

	suite_add_tcase(s, precedence());
	suite_add_tcase(s, refused());
	suite_add_tcase(s, exposure());
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

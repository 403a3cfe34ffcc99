/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_fake.h"
#include "host_fake.h"
#include "zoo_fake.h"

#include "host/plugins.h"
#include "host/store.h"
#include "host/telemetry.h"

#define DEADLINE_MS 50
#define STRAYS "arqonbus_stray_answers_total"

static struct store *store;
static struct plugins *plugins;
static struct service_env env;
static char replied[64];

static void
reply(aqb_ticket call, const char *result, size_t len)
{
	ck_assert_uint_eq(call, 4711);
	snprintf(replied, sizeof replied, "%.*s", (int)len, result);
}

static void
life_setup(void)
{
	setup();
	host_setup();
	zoo_setup();
	flag("--plugin-path");
	flag(zoo);
	store = store_new(desk,
	    &(struct store_times){ DEADLINE_MS, DEADLINE_MS, DEADLINE_MS });
	env = (struct service_env){
		.loop = loop,
		.desk = desk,
		.hooks = { .reply = reply },
	};
	replied[0] = '\0';
}

static void
life_teardown(void)
{
	plugins_free(&plugins);
	store_free(&store);
	host_teardown();
	zoo_teardown();
	teardown();
}

/* Put an animal into its cage, and a file into plugins.d that loads it. */
static void
use(const char *animal, const char *name, const char *settings)
{
	static unsigned number = 10;
	char *d = xasprintf("%u-%s.conf", number++, name);
	char *text =
	    xasprintf("[plugin %s]\nload = %s.so\n%s", name, animal, settings);

	zoo_copy(animal);
	plugin(d, text);
	free(d);
	free(text);
}

/* One that does nothing wrong, for the bus needs a storage. */
static void
use_storage(void)
{
	use("storage_good", "storage-good", "");
}

static int
load_plugins(bool only_check)
{
	take("");
	plugins = plugins_new(&env, conf, store);
	env.plugins = plugins;
	return plugins_load(plugins, only_check, &why);
}

static void
start(void)
{
	ck_assert_msg(load_plugins(false) == AQB_OK, "%s", why.text);
	ck_assert_msg(plugins_start(plugins, &why) == AQB_OK, "%s", why.text);
}

static void
stop(void)
{
	bool stopped = false;

	plugins_stop(plugins, DEADLINE_MS, set_flag, &stopped);
	ck_assert(!stopped);
	turn_until(&stopped);
}

static void
start_and_stop(void)
{
	start();
	stop();
	plugins_free(&plugins);
}

static void
says(const char *text)
{
	ck_assert_msg(strstr(why.text, text) != NULL, "got \"%s\", not \"%s\"",
	    why.text, text);
}

/* What the animals said, in order: "hello:init storage-good:init .." */
static const char *
story(void)
{
	static char told[1024];
	const char *p = buf_text(&logged);
	size_t n = 0;

	told[0] = '\0';
	while ((p = strstr(p, "plugin says")) != NULL) {
		char name[64], text[64];

		if (sscanf(p, "plugin says\" plugin=%63s text=%63s", name,
			text) == 2) {
			n += (size_t)snprintf(told + n, sizeof told - n,
			    "%s%s:%s", n > 0 ? " " : "", name, text);
		}
		p++;
	}
	return told;
}

static char found[16];

static bool
keep_state(void *arg, const struct aqb_plugin_info *info)
{
	if (strcmp(info->name, arg) == 0) {
		snprintf(found, sizeof found, "%s", info->state);
	}
	return true;
}

static const char *
state_of(const char *name)
{
	found[0] = '\0';
	plugins_visit(plugins, keep_state, (void *)name);
	return found;
}

START_TEST(plugins_live_from_init_to_fini_with_the_storage_outermost)
{
	use("hello", "hello", "");
	use_storage();
	start_and_stop();
	ck_assert_str_eq(story(),
	    "storage-good:init hello:init hello:hello*2 "
	    "storage-good:start hello:start "
	    "hello:stop storage-good:stop "
	    "hello:fini storage-good:fini");
	ck_assert_uint_eq(metric_value(STRAYS), 0);
}
END_TEST

START_TEST(a_plugin_is_given_its_options)
{
	use_storage();
	use("hello", "hello", "times = 7\ngreeting = ahoi\n");
	start();
	ck_assert_ptr_nonnull(strstr(story(), "hello:ahoi*7"));
}
END_TEST

START_TEST(the_environment_wins_over_the_file)
{
	use_storage();
	use("hello", "hello", "times = 7\n");
	variable("ARQONBUS_HELLO_TIMES=3");
	start();
	ck_assert_ptr_nonnull(strstr(story(), "hello:hello*3"));
}
END_TEST

START_TEST(a_wrong_option_is_refused_with_its_place)
{
	use_storage();
	use("hello", "hello", "times = 70\n");
	ck_assert_int_eq(load_plugins(false), AQB_EINVAL);
	says(".conf:3: times: 70 ");
}
END_TEST

START_TEST(an_unknown_option_is_refused_with_the_nearest)
{
	use_storage();
	use("hello", "hello", "greting = x\n");
	ck_assert_int_eq(load_plugins(false), AQB_ENOENT);
	says("greeting");
}
END_TEST

START_TEST(o9_a_secret_in_a_file_that_all_may_read_is_refused)
{
	use_storage();
	use("hello", "hello", "secret = x\n");
	ck_assert_int_eq(load_plugins(false), AQB_EPERM);
	says("secret");
}
END_TEST

START_TEST(a_file_that_is_another_plugin_is_left_out)
{
	use_storage();
	use("hello", "hallo", "");
	start();
	ck_assert(was_logged("[plugin hallo], but hello.so is plugin hello"));
	ck_assert_str_eq(state_of("hallo"), "failed");
}
END_TEST

START_TEST(a_command_is_found_while_its_plugin_runs)
{
	const struct aqb_command *c;
	void *self = NULL;

	use_storage();
	use("hello", "hello", "");
	ck_assert_int_eq(load_plugins(false), AQB_OK);
	ck_assert_ptr_null(plugins_command(plugins, "hello", &self));
	ck_assert_int_eq(plugins_start(plugins, &why), AQB_OK);
	c = plugins_command(plugins, "hello", &self);
	ck_assert_ptr_nonnull(c);
	ck_assert_ptr_null(plugins_command(plugins, "hell", &self));
	c->exec(self, 4711, NULL);
	ck_assert_str_eq(replied, "{\"hello\":true}");
	stop();
	ck_assert_ptr_null(plugins_command(plugins, "hello", &self));
}
END_TEST

static bool
count_command(void *arg, const struct aqb_command *c)
{
	ck_assert_str_eq(c->name, "hello");
	++*(unsigned *)arg;
	return true;
}

START_TEST(commands_can_be_listed)
{
	unsigned n = 0;

	use_storage();
	use("hello", "hello", "");
	start();
	plugins_visit_commands(plugins, count_command, &n);
	ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(a_sink_hears_events_while_its_plugin_runs)
{
	const struct telemetry_fields none = { 0 };

	use_storage();
	use("hello", "hello", "");
	start();
	telemetry_emit("one", AQB_INFO, &none);
	stop();
	telemetry_emit("two", AQB_INFO, &none);
	ck_assert_ptr_nonnull(strstr(story(), "hello:one"));
	ck_assert_ptr_null(strstr(story(), "hello:two"));
}
END_TEST

START_TEST(the_storage_serves_while_its_plugin_runs)
{
	use_storage();
	ck_assert_str_eq(store_name(store), "none");
	start();
	ck_assert_str_eq(store_name(store), "storage-good");
	stop();
	ck_assert_str_eq(store_name(store), "none");
}
END_TEST

START_TEST(a_disabled_plugin_is_not_even_opened)
{
	use_storage();
	use("wrong_magic", "wrong-magic", "enabled = no\nrequired = yes\n");
	start();
	ck_assert_str_eq(state_of("wrong-magic"), "disabled");
	ck_assert_uint_eq(plugins_failed(plugins), 0);
}
END_TEST

START_TEST(without_a_storage_there_is_no_start)
{
	use("hello", "hello", "");
	ck_assert_int_eq(load_plugins(false), AQB_ENOENT);
	says("no storage plugin");
}
END_TEST

/* Animals that fail one way or another before they run. */
static const struct broken {
	const char *animal, *name;
	const char *why;
	enum aqb_err err;
} brokens[] = {
	{ "wrong_magic", "wrong-magic", "not an ArqonBus plugin", AQB_EABI },
	{ "wrong_major", "wrong-major", "built for plugin ABI", AQB_EABI },
	{ "future_minor", "future-minor", "upgrade the broker", AQB_EABI },
	{ "cut_short", "cut-short", "cut short: 16 bytes", AQB_EABI },
	{ "no_symbol", "no-symbol", "no symbol", AQB_EABI },
	{ "null_init", "null-init", "init, fini is missing", AQB_EABI },
	{ "command_null", "command-null", "exec is missing", AQB_EABI },
	{ "telemetry_null", "telemetry-null", "emit is missing", AQB_EABI },
	{ "options_astray", "options-astray", "option two", AQB_EABI },
	{ "init_refuses", "init-refuses", "init: the moon is not full",
	    AQB_EINVAL },
	{ "init_silent", "init-silent", "init: ", AQB_EINVAL },
};

START_TEST(p1_a_broken_optional_plugin_is_named_and_left_out)
{
	const struct broken *b = &brokens[_i];

	use_storage();
	use(b->animal, b->name, "");
	use("hello", "hello", "");
	start();
	ck_assert_msg(was_logged(b->why), "%s: %s", b->animal,
	    buf_text(&logged));
	ck_assert(was_logged("msg=\"plugin failed\""));
	ck_assert_str_eq(state_of(b->name), "failed");
	ck_assert_str_eq(state_of("hello"), "running");
	ck_assert_uint_eq(plugins_failed(plugins), 1);
}
END_TEST

START_TEST(p1_a_broken_required_plugin_ends_the_start)
{
	const struct broken *b = &brokens[_i];
	char *name = xasprintf("plugin %s is required: ", b->name);

	use_storage();
	use(b->animal, b->name, "required = yes\n");
	ck_assert_int_eq(load_plugins(false), b->err);
	says(name);
	says(b->why);
	free(name);
}
END_TEST

START_TEST(a_failed_plugin_is_on_the_health_page)
{
	char text[256];

	use_storage();
	use("init_refuses", "init-refuses", "");
	start();
	health_set_failed_plugins(plugins_failed(plugins));
	ck_assert_int_eq(health_text(false, text, sizeof text), 200);
	ck_assert_ptr_nonnull(strstr(text, "\"status\":\"degraded\""));
	ck_assert_ptr_nonnull(strstr(text,
	    "\"plugins\":{\"init-refuses\":\"failed\"}"));
}
END_TEST

START_TEST(p1_a_missing_optional_file_is_left_out)
{
	use_storage();
	plugin("50-gone.conf", "[plugin gone]\nload = gone.so\n");
	start();
	ck_assert(was_logged("gone.so: not found"));
	ck_assert_str_eq(state_of("gone"), "failed");
}
END_TEST

START_TEST(p3_two_storages_are_refused_with_both_files)
{
	use_storage();
	use("storage_twice", "storage-twice", "");
	ck_assert_int_eq(load_plugins(false), AQB_EEXIST);
	says("storage_good.so and ");
	says("storage_twice.so are both storage");
	ck_assert_str_eq(story(), "");
}
END_TEST

START_TEST(p3_two_plugins_with_one_command_are_refused_with_both_files)
{
	use_storage();
	use("hello", "hello", "");
	use("command_taken", "command-taken", "");
	ck_assert_int_eq(load_plugins(false), AQB_EEXIST);
	says("hello.so and ");
	says("command_taken.so both have command hello");
	ck_assert_str_eq(story(), "");
}
END_TEST

START_TEST(p3_two_files_that_are_one_plugin_are_refused_with_both)
{
	struct dropin *d;

	use_storage();
	use("hello", "hello", "");
	zoo_copy_as("hello", "hallo", SIZE_MAX);
	plugin("90-hallo.conf", "[plugin hallo]\nload = hallo.so\n");
	take("");
	/* The files of plugins.d cannot say so, for they are refused before:
	 * somebody has changed the list since. */
	d = dropins_find(&conf->dropins, "hallo");
	free(d->plugin);
	d->plugin = xstrdup("hello");
	plugins = plugins_new(&env, conf, store);
	ck_assert_int_eq(plugins_load(plugins, false, &why), AQB_EEXIST);
	says("hello.so and ");
	says("hallo.so are both plugin hello");
}
END_TEST

START_TEST(p4_fini_is_called_once_after_each_init_that_succeeded)
{
	use_storage();
	use("init_refuses", "init-refuses", "");
	use("start_refuses", "start-refuses", "");
	start_and_stop();
	ck_assert_str_eq(story(),
	    "storage-good:init start-refuses:init "
	    "storage-good:start start-refuses:fini "
	    "storage-good:stop storage-good:fini");
}
END_TEST

START_TEST(p4_a_required_plugin_that_does_not_start_unwinds_the_rest)
{
	use("start_refuses", "start-refuses", "required = yes\n");
	use_storage();
	use("hello", "hello", "");
	ck_assert_int_eq(load_plugins(false), AQB_OK);
	ck_assert_int_eq(plugins_start(plugins, &why), AQB_ESYS);
	says("plugin start-refuses is required: start: no port is free");
	plugins_free(&plugins);
	ck_assert_str_eq(story(),
	    "storage-good:init start-refuses:init hello:init hello:hello*2 "
	    "storage-good:start start-refuses:fini storage-good:stop "
	    "hello:fini storage-good:fini");
}
END_TEST

START_TEST(a_storage_that_does_not_start_ends_the_start)
{
	use("storage_refuses", "storage-refuses", "");
	ck_assert_int_eq(load_plugins(false), AQB_OK);
	ck_assert_int_eq(plugins_start(plugins, &why), AQB_ESYS);
	says("plugin storage-refuses: start: no disk");
	ck_assert_str_eq(store_name(store), "none");
}
END_TEST

START_TEST(a_plugin_that_never_stops_has_its_deadline)
{
	uint64_t begun;

	use_storage();
	use("stop_never", "stop-never", "");
	start();
	begun = clock_mono_ms();
	stop();
	ck_assert_uint_ge(clock_mono_ms() - begun, DEADLINE_MS);
	ck_assert(was_logged("plugin did not stop well"));
	plugins_free(&plugins);
	ck_assert_str_eq(story(),
	    "storage-good:init stop-never:init "
	    "storage-good:start stop-never:start "
	    "stop-never:stop storage-good:stop "
	    "stop-never:fini storage-good:fini");
	ck_assert(was_logged("msg=\"plugin stays mapped\" plugin=stop-never"));
}
END_TEST

START_TEST(a_plugin_that_stops_twice_is_only_counted)
{
	use_storage();
	use("stop_twice", "stop-twice", "");
	start_and_stop();
	ck_assert_uint_eq(metric_value(STRAYS), 1);
	ck_assert(was_logged(
	    "msg=\"a late or double answer was ignored\" plugin=stop-twice"));
	ck_assert(!was_logged("did not stop well"));
}
END_TEST

START_TEST(a_plugin_that_stops_too_late_is_only_counted)
{
	use_storage();
	use("stop_late", "stop-late", "");
	start_and_stop();
	ck_assert(was_logged("plugin did not stop well"));
	ck_assert_uint_eq(metric_value(STRAYS), 1);
}
END_TEST

START_TEST(a_plugin_need_not_have_start_and_stop)
{
	use_storage();
	use("stop_missing", "stop-missing", "");
	start();
	ck_assert_str_eq(state_of("stop-missing"), "running");
	stop();
	ck_assert_str_eq(state_of("stop-missing"), "stopped");
	ck_assert(!was_logged("did not stop well"));
}
END_TEST

START_TEST(p10_a_post_left_behind_never_runs_and_the_code_stays)
{
	use_storage();
	use("posts_behind", "posts-behind", "");
	start_and_stop();
	turn_once();
	ck_assert_ptr_null(strstr(story(), "late"));
	ck_assert(was_logged("plugin left posts behind"));
	ck_assert(
	    was_logged("msg=\"plugin stays mapped\" plugin=posts-behind"));
}
END_TEST

START_TEST(the_metric_of_a_plugin_that_is_gone_is_still_there)
{
	use_storage();
	use("metric_gone", "metric-gone", "");
	start_and_stop();
	ck_assert_uint_eq(metric_value("arqonbus_zoo_gone_total"), 3);
}
END_TEST

START_TEST(plugins_that_still_run_at_the_end_are_stopped_first)
{
	use_storage();
	use("hello", "hello", "");
	start();
	plugins_free(&plugins);
	ck_assert_ptr_nonnull(strstr(story(),
	    "hello:stop storage-good:stop hello:fini storage-good:fini"));
}
END_TEST

START_TEST(an_impatient_end_does_not_wait_for_a_deadline_of_minutes)
{
	bool stopped = false;
	uint64_t begun = clock_mono_ms();

	use_storage();
	use("stop_never", "stop-never", "");
	start();
	plugins_stop(plugins, 600000, set_flag, &stopped);
	plugins_free(&plugins);
	ck_assert(!stopped);
	ck_assert_uint_lt(clock_mono_ms() - begun, 4000);
	ck_assert_ptr_nonnull(strstr(story(),
	    "stop-never:stop storage-good:stop stop-never:fini"));
}
END_TEST

START_TEST(stopping_when_nothing_runs_is_told_later_too)
{
	use_storage();
	ck_assert_int_eq(load_plugins(false), AQB_OK);
	stop();
}
END_TEST

START_TEST(a_check_judges_files_and_options_and_runs_nothing)
{
	use_storage();
	use("hello", "hello", "times = 3\n");
	ck_assert_msg(load_plugins(true) == AQB_OK, "%s", why.text);
	ck_assert_str_eq(story(), "");
}
END_TEST

START_TEST(a_check_tells_a_broken_optional_plugin)
{
	use_storage();
	use("wrong_major", "wrong-major", "");
	ck_assert_int_eq(load_plugins(true), AQB_EABI);
	says("built for plugin ABI");
}
END_TEST

static void
add_broken(TCase *t)
{
	int n = sizeof brokens / sizeof brokens[0];

	tcase_add_loop_test(t,
	    p1_a_broken_optional_plugin_is_named_and_left_out, 0, n);
	tcase_add_loop_test(t, p1_a_broken_required_plugin_ends_the_start, 0,
	    n);
	tcase_add_test(t, a_failed_plugin_is_on_the_health_page);
	tcase_add_test(t, p1_a_missing_optional_file_is_left_out);
	tcase_add_test(t, p3_two_storages_are_refused_with_both_files);
	tcase_add_test(t,
	    p3_two_plugins_with_one_command_are_refused_with_both_files);
	tcase_add_test(t,
	    p3_two_files_that_are_one_plugin_are_refused_with_both);
	tcase_add_test(t,
	    p4_fini_is_called_once_after_each_init_that_succeeded);
	tcase_add_test(t,
	    p4_a_required_plugin_that_does_not_start_unwinds_the_rest);
	tcase_add_test(t, a_storage_that_does_not_start_ends_the_start);
	tcase_add_test(t, a_check_judges_files_and_options_and_runs_nothing);
	tcase_add_test(t, a_check_tells_a_broken_optional_plugin);
}

static void
add_stopping(TCase *t)
{
	tcase_add_test(t, a_plugin_that_never_stops_has_its_deadline);
	tcase_add_test(t, a_plugin_that_stops_twice_is_only_counted);
	tcase_add_test(t, a_plugin_that_stops_too_late_is_only_counted);
	tcase_add_test(t, a_plugin_need_not_have_start_and_stop);
	tcase_add_test(t, p10_a_post_left_behind_never_runs_and_the_code_stays);
	tcase_add_test(t, the_metric_of_a_plugin_that_is_gone_is_still_there);
	tcase_add_test(t, plugins_that_still_run_at_the_end_are_stopped_first);
	tcase_add_test(t,
	    an_impatient_end_does_not_wait_for_a_deadline_of_minutes);
	tcase_add_test(t, stopping_when_nothing_runs_is_told_later_too);
}

int
main(void)
{
	Suite *s = suite_create("life");
	TCase *t = tcase_create("life");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, life_setup, life_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t,
	    plugins_live_from_init_to_fini_with_the_storage_outermost);
	tcase_add_test(t, a_plugin_is_given_its_options);
	tcase_add_test(t, the_environment_wins_over_the_file);
	tcase_add_test(t, a_wrong_option_is_refused_with_its_place);
	tcase_add_test(t, an_unknown_option_is_refused_with_the_nearest);
	tcase_add_test(t, o9_a_secret_in_a_file_that_all_may_read_is_refused);
	tcase_add_test(t, a_file_that_is_another_plugin_is_left_out);
	tcase_add_test(t, a_command_is_found_while_its_plugin_runs);
	tcase_add_test(t, commands_can_be_listed);
	tcase_add_test(t, a_sink_hears_events_while_its_plugin_runs);
	tcase_add_test(t, the_storage_serves_while_its_plugin_runs);
	tcase_add_test(t, a_disabled_plugin_is_not_even_opened);
	tcase_add_test(t, without_a_storage_there_is_no_start);
	add_broken(t);
	add_stopping(t);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

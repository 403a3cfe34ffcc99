/* SPDX-License-Identifier: Apache-2.0 */
#include "zoo_fake.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>

#include "host/plugin.h"

static struct aqb_why why;
static struct plugin_file file;

static void
setup(void)
{
	memset(&why, 0, sizeof why);
	memset(&file, 0, sizeof file);
	zoo_setup();
}

static void
teardown(void)
{
	plugin_close(&file);
	zoo_teardown();
}

static int
open_so(const char *name)
{
	char *so = xasprintf("%s.so", name);
	int err = plugin_open(&file, so, zoo, &why);

	free(so);
	return err;
}

/* The refusal has this in it. */
static void
says(const char *text)
{
	ck_assert_msg(strstr(why.text, text) != NULL, "got \"%s\", not \"%s\"",
	    why.text, text);
}

/* A descriptor with nothing wrong, for a test to break. */

static int
no_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *w)
{
	(void)host;
	(void)conf;
	(void)selfp;
	(void)w;
	return AQB_OK;
}

static void
no_fini(void **selfp)
{
	(void)selfp;
}

static struct aqb_plugin
right(void)
{
	return (struct aqb_plugin){
		.magic = AQB_PLUGIN_MAGIC,
		.abi_major = AQB_ABI_MAJOR,
		.abi_minor = AQB_ABI_MINOR,
		.size = sizeof(struct aqb_plugin),
		.name = "right",
		.version = "1.0",
		.summary = "nothing is wrong",
		.init = no_init,
		.fini = no_fini,
	};
}

START_TEST(a_right_descriptor_is_taken)
{
	struct aqb_plugin desc = right();

	ck_assert_int_eq(plugin_check(&desc, &why), AQB_OK);
}
END_TEST

#define TEXT_(n) #n
#define TEXT(n) TEXT_(n)
#define SPEAKS "this broker speaks " TEXT(AQB_ABI_MAJOR) "." TEXT(AQB_ABI_MINOR)

/* P2 */
static const struct refusal {
	const char *what;
	struct aqb_plugin desc;
	const char *says;
} refusals[] = {
	{ "wrong major",
	    { .magic = AQB_PLUGIN_MAGIC, .abi_major = 2, .abi_minor = 4 },
	    "built for plugin ABI 2.4, " SPEAKS
	    "; rebuild it against this broker's headers" },
	{ "minor from the future",
	    { .magic = AQB_PLUGIN_MAGIC,
		.abi_major = AQB_ABI_MAJOR,
		.abi_minor = 99 },
	    "needs plugin ABI " TEXT(AQB_ABI_MAJOR) ".99, " SPEAKS
						    "; upgrade the broker" },
	{ "not a descriptor", { .magic = 0x7f454c46 },
	    "is not an ArqonBus plugin descriptor" },
	{ "too short",
	    { .magic = AQB_PLUGIN_MAGIC,
		.abi_major = AQB_ABI_MAJOR,
		.abi_minor = AQB_ABI_MINOR,
		.size = 16 },
	    "descriptor is cut short: 16 bytes" },
};

START_TEST(p2_a_stranger_is_refused_with_a_reason)
{
	const struct refusal *r = &refusals[_i];

	ck_assert_int_eq(plugin_check(&r->desc, &why), AQB_EABI);
	ck_assert_msg(strstr(why.text, r->says) != NULL, "%s: got \"%s\"",
	    r->what, why.text);
}
END_TEST

START_TEST(a_larger_descriptor_of_this_abi_is_taken)
{
	struct aqb_plugin desc = right();

	desc.size += 64;
	ck_assert_int_eq(plugin_check(&desc, &why), AQB_OK);
}
END_TEST

struct sample {
	uint32_t number;
	bool on;
	uint64_t size;
};

static const struct bad_option {
	const char *what;
	struct aqb_option option;
} bad_options[] = {
	{ "no name",
	    { .type = AQB_OPT_U32, .max = 1, .dflt = "1", .help = "h" } },
	{ "a bad name",
	    { .name = "A b",
		.type = AQB_OPT_U32,
		.max = 1,
		.dflt = "1",
		.help = "h" } },
	{ "an unknown type",
	    { .name = "a", .type = 99, .max = 1, .dflt = "1", .help = "h" } },
	{ "outside",
	    { .name = "a",
		.type = AQB_OPT_U32,
		.offset = sizeof(struct sample),
		.max = 1,
		.dflt = "1",
		.help = "h" } },
	{ "half outside",
	    { .name = "a",
		.type = AQB_OPT_STRING,
		.offset = UINT32_MAX - 7,
		.max = 1,
		.dflt = "1",
		.help = "h" } },
	{ "not aligned",
	    { .name = "a",
		.type = AQB_OPT_SIZE,
		.offset = 4,
		.max = 1,
		.dflt = "1",
		.help = "h" } },
	{ "no default",
	    { .name = "a", .type = AQB_OPT_U32, .max = 1, .help = "h" } },
	{ "no help",
	    { .name = "a", .type = AQB_OPT_U32, .max = 1, .dflt = "1" } },
	{ "no range",
	    { .name = "a",
		.type = AQB_OPT_U32,
		.min = 2,
		.max = 1,
		.dflt = "1",
		.help = "h" } },
	{ "no words",
	    { .name = "a", .type = AQB_OPT_ENUM, .dflt = "1", .help = "h" } },
};

START_TEST(an_option_that_makes_no_sense_is_refused)
{
	struct aqb_plugin desc = right();
	struct aqb_option options[] = { bad_options[_i].option,
		AQB_OPTIONS_END };

	desc.conf_size = sizeof(struct sample);
	desc.options = options;
	ck_assert_msg(plugin_check(&desc, &why) == AQB_EABI, "%s",
	    bad_options[_i].what);
	says("option");
}
END_TEST

START_TEST(a_table_of_options_without_end_is_refused)
{
	static struct aqb_option options[300];
	struct aqb_plugin desc = right();

	for (size_t i = 0; i < 300; i++) {
		options[i] = (struct aqb_option)AQB_U32("number", struct sample,
		    number, 0, 9, "1", "a number");
	}
	desc.conf_size = sizeof(struct sample);
	desc.options = options;
	ck_assert_int_eq(plugin_check(&desc, &why), AQB_EABI);
	says("no AQB_OPTIONS_END");
}
END_TEST

START_TEST(what_a_plugin_brings_is_said_in_words)
{
	static const struct aqb_storage_ops storage;
	static const struct aqb_telemetry_ops telemetry;
	static const struct aqb_command *const commands[] = { NULL };
	struct aqb_plugin desc = right();
	char kinds[40];

	plugin_kinds(&desc, kinds);
	ck_assert_str_eq(kinds, "");
	desc.telemetry = &telemetry;
	plugin_kinds(&desc, kinds);
	ck_assert_str_eq(kinds, "telemetry");
	desc.commands = commands;
	plugin_kinds(&desc, kinds);
	ck_assert_str_eq(kinds, "commands,telemetry");
	desc.storage = &storage;
	plugin_kinds(&desc, kinds);
	ck_assert_str_eq(kinds, "storage,commands,telemetry");
}
END_TEST

START_TEST(a_right_file_is_opened)
{
	zoo_copy("hello");
	ck_assert_msg(open_so("hello") == AQB_OK, "%s", why.text);
	ck_assert_str_eq(file.desc->name, "hello");
}
END_TEST

START_TEST(the_first_folder_that_has_the_file_counts)
{
	char *folders = xasprintf("/nonexistent::%s", zoo);

	zoo_copy("hello");
	ck_assert_int_eq(plugin_open(&file, "hello.so", folders, &why), AQB_OK);
	free(folders);
}
END_TEST

/* Files out of the zoo, each wrong in its own way. */
static const struct animal {
	const char *name;
	const char *says;
} animals[] = {
	{ "wrong_magic", "is not an ArqonBus plugin descriptor" },
	{ "wrong_major", "; rebuild it against this broker's headers" },
	{ "future_minor", "; upgrade the broker" },
	{ "cut_short", "descriptor is cut short: 16 bytes" },
	{ "no_symbol", "no symbol arqonbus_plugin" },
	{ "null_init", "one of version, summary, init, fini is missing" },
	{ "bad_name", "its name must be" },
	{ "storage_null", "storage: one of append, tail, history" },
	{ "command_null", "command 0: name, params, summary or exec" },
	{ "telemetry_null", "telemetry: emit is missing" },
	{ "options_astray", "option two: 4 bytes at offset 4" },
};

START_TEST(p2_a_file_that_is_no_plugin_of_ours_is_refused_by_name)
{
	const struct animal *a = &animals[_i];

	zoo_copy(a->name);
	ck_assert_msg(open_so(a->name) == AQB_EABI, "%s: %s", a->name,
	    why.text);
	says(a->says);
	says(zoo); /* the file */
	ck_assert_ptr_null(file.handle);
}
END_TEST

START_TEST(p1_a_missing_file_is_named_with_where_it_was_sought)
{
	ck_assert_int_eq(open_so("nowhere"), AQB_ENOENT);
	says("nowhere.so: not found in /tmp/");
}
END_TEST

START_TEST(p1_a_file_that_was_cut_short_is_refused_before_it_is_mapped)
{
	static const size_t lengths[] = { 0, 1, 10, 63, 64, 500, 4096, 9000 };

	zoo_copy_as("hello", "hello", lengths[_i]);
	ck_assert_int_eq(open_so("hello"), AQB_EABI);
	says("hello.so: is ");
}
END_TEST

START_TEST(p1_a_text_is_no_plugin)
{
	char *path = zoo_path("text");
	FILE *f = fopen(path, "we");

	for (int i = 0; i < 100; i++) {
		fputs("This is no shared object.\n", f);
	}
	fclose(f);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(open_so("text"), AQB_EABI);
	says("text.so: is no ELF file");
	free(path);
}
END_TEST

/* Write one 16-bit word of the ELF head. */
static void
poke(const char *name, size_t at, uint16_t word)
{
	char *path = zoo_path(name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, &word, sizeof word, (off_t)at),
	    sizeof word);
	close(fd);
	free(path);
}

START_TEST(p1_a_file_for_another_machine_is_refused_with_both_numbers)
{
	zoo_copy("hello");
	poke("hello", offsetof(Elf64_Ehdr, e_machine), 243);
	ck_assert_int_eq(open_so("hello"), AQB_EABI);
	says("built for another machine (ELF machine 243, ours is ");
}
END_TEST

START_TEST(p1_a_program_is_no_plugin)
{
	zoo_copy("hello");
	poke("hello", offsetof(Elf64_Ehdr, e_type), ET_EXEC);
	ck_assert_int_eq(open_so("hello"), AQB_EABI);
	says("is no shared object");
}
END_TEST

static const struct mode {
	mode_t mode;
	const char *says;
} modes[] = {
	{ 0775, "others may write it (mode 0775)" },
	{ 0757, "others may write it (mode 0757)" },
	{ 04755, "is setuid or setgid (mode 4755)" },
	{ 02755, "is setuid or setgid (mode 2755)" },
};

START_TEST(p6_a_file_that_others_may_write_or_that_is_setuid_is_refused)
{
	zoo_copy("hello");
	zoo_chmod("hello", modes[_i].mode);
	ck_assert_int_eq(open_so("hello"), AQB_EPERM);
	says(modes[_i].says);
}
END_TEST

START_TEST(p6_a_folder_that_others_may_write_is_refused)
{
	zoo_copy("hello");
	ck_assert_int_eq(chmod(zoo, 0777), 0);
	ck_assert_int_eq(open_so("hello"), AQB_EPERM);
	says("others may write it (mode 0777)");
}
END_TEST

START_TEST(p6_a_folder_above_that_others_may_write_is_refused)
{
	char *inner = xasprintf("%s/inner", zoo);
	char *from = zoo_path("hello");
	char *to = xasprintf("%s/hello.so", inner);

	zoo_copy("hello");
	ck_assert_int_eq(mkdir(inner, 0755), 0);
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_int_eq(plugin_open(&file, "hello.so", inner, &why), AQB_OK);
	plugin_close(&file);
	ck_assert_int_eq(chmod(zoo, 0770), 0);
	ck_assert_int_eq(plugin_open(&file, "hello.so", inner, &why),
	    AQB_EPERM);
	says("others may write it (mode 0770)");
	free(inner);
	free(from);
	free(to);
}
END_TEST

START_TEST(p6_a_folder_that_is_sticky_and_roots_will_do)
{
	if (geteuid() != 0) {
		return; /* only root can make one */
	}
	zoo_copy("hello");
	ck_assert_int_eq(chmod(zoo, 01777), 0);
	ck_assert_msg(open_so("hello") == AQB_OK, "%s", why.text);
}
END_TEST

START_TEST(p6_a_file_of_another_user_is_refused)
{
	char *path = zoo_path("hello");

	if (geteuid() != 0) {
		free(path);
		return; /* only root can give one away */
	}
	zoo_copy("hello");
	ck_assert_int_eq(chown(path, 4711, 4711), 0);
	ck_assert_int_eq(open_so("hello"), AQB_EPERM);
	says("belongs to user 4711, neither root nor us");
	free(path);
}
END_TEST

START_TEST(p6_a_link_out_of_the_folder_is_refused)
{
	char *from = zoo_path("hello");
	char *away = xasprintf("%s/away", zoo);
	char *to = xasprintf("%s/hello.so", away);

	zoo_copy("hello");
	ck_assert_int_eq(mkdir(away, 0755), 0);
	ck_assert_int_eq(symlink(from, to), 0);
	ck_assert_int_eq(plugin_open(&file, "hello.so", away, &why), AQB_EPERM);
	says("is a link out of its folder");
	free(from);
	free(away);
	free(to);
}
END_TEST

START_TEST(a_link_within_the_folder_will_do)
{
	char *from = zoo_path("hello");
	char *to = zoo_path("hallo");

	zoo_copy("hello");
	ck_assert_int_eq(symlink(from, to), 0);
	ck_assert_msg(open_so("hallo") == AQB_OK, "%s", why.text);
	free(from);
	free(to);
}
END_TEST

START_TEST(p7_only_a_bare_name_is_a_file)
{
	static const char *const names[] = { "../hello.so", "a/hello.so",
		"/usr/lib/hello.so", "..", ".", "" };

	zoo_copy("hello");
	ck_assert_int_eq(plugin_open(&file, names[_i], zoo, &why), AQB_EINVAL);
	says("must be the bare name of a file");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin");
	TCase *t = tcase_create("plugin");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_right_descriptor_is_taken);
	tcase_add_loop_test(t, p2_a_stranger_is_refused_with_a_reason, 0,
	    sizeof refusals / sizeof refusals[0]);
	tcase_add_test(t, a_larger_descriptor_of_this_abi_is_taken);
	tcase_add_loop_test(t, an_option_that_makes_no_sense_is_refused, 0,
	    sizeof bad_options / sizeof bad_options[0]);
	tcase_add_test(t, a_table_of_options_without_end_is_refused);
	tcase_add_test(t, what_a_plugin_brings_is_said_in_words);
	tcase_add_test(t, a_right_file_is_opened);
	tcase_add_test(t, the_first_folder_that_has_the_file_counts);
	tcase_add_loop_test(t,
	    p2_a_file_that_is_no_plugin_of_ours_is_refused_by_name, 0,
	    sizeof animals / sizeof animals[0]);
	tcase_add_test(t, p1_a_missing_file_is_named_with_where_it_was_sought);
	tcase_add_loop_test(t,
	    p1_a_file_that_was_cut_short_is_refused_before_it_is_mapped, 0, 8);
	tcase_add_test(t, p1_a_text_is_no_plugin);
	tcase_add_test(t,
	    p1_a_file_for_another_machine_is_refused_with_both_numbers);
	tcase_add_test(t, p1_a_program_is_no_plugin);
	tcase_add_loop_test(t,
	    p6_a_file_that_others_may_write_or_that_is_setuid_is_refused, 0,
	    sizeof modes / sizeof modes[0]);
	tcase_add_test(t, p6_a_folder_that_others_may_write_is_refused);
	tcase_add_test(t, p6_a_folder_above_that_others_may_write_is_refused);
	tcase_add_test(t, p6_a_folder_that_is_sticky_and_roots_will_do);
	tcase_add_test(t, p6_a_file_of_another_user_is_refused);
	tcase_add_test(t, p6_a_link_out_of_the_folder_is_refused);
	tcase_add_test(t, a_link_within_the_folder_will_do);
	tcase_add_loop_test(t, p7_only_a_bare_name_is_a_file, 0, 6);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

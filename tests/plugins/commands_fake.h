/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGINS_COMMANDS_FAKE_H
#define PLUGINS_COMMANDS_FAKE_H

/* Calling commands, and reading what they answered. */

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "fake_bus.h"
#include "fake_host.h"

#define REPLY_MAX (512 * 1024)

static struct fake_host *fake;
static struct fake_reply reply;

static inline void
commands_setup(const char *plugin)
{
	fake = fake_host_open(plugin, NULL);
	fake_bus_setup(fake);
}

static inline void
commands_teardown(void)
{
	fake_reply_fini(&reply);
	fake_forget_tickets();
	fake_bus_teardown();
	fake_host_close(&fake);
	ck_assert_uint_eq(fake_msgs_alive(), 0);
}

/* Call it; the answer is in `reply`, if it came already. */
static inline void
call(const char *command, const char *room, const char *channel,
    const char *args)
{
	fake_reply_fini(&reply);
	fake_call(fake, command, room, channel, args, &reply);
}

/* It was answered, once, with exactly this. */
static inline void
assert_result(const char *json)
{
	ck_assert_uint_eq(reply.times, 1);
	ck_assert_msg(reply.code == AQB_CODE_OK, "%s", reply.why);
	ck_assert_str_eq(reply.result, json);
	ck_assert_uint_eq(reply.len, strlen(json));
}

/* It was refused, once, with this; field NULL is none. */
static inline void
assert_refused(enum aqb_code code, const char *field)
{
	ck_assert_uint_eq(reply.times, 1);
	ck_assert_int_eq(reply.code, code);
	ck_assert_pstr_eq(reply.field, field);
	if (field != NULL && reply.why != NULL &&
	    strcmp(reply.why, "the bus says no") != 0) {
		ck_assert_msg(strncmp(reply.why, field, strlen(field)) == 0,
		    "%s does not begin with %s", reply.why, field);
	}
}

/* The bus refuses this call: so does the command, with the same words. */
static inline void
assert_passes_refusal_on(const char *command, const char *room,
    const char *channel, const char *args)
{
	fake_bus.refuse = AQB_CODE_LIMIT_REACHED;
	fake_bus.refuse_field = "channel";
	call(command, room, channel, args);
	assert_refused(AQB_CODE_LIMIT_REACHED, "channel");
	ck_assert_str_eq(reply.why, "the bus says no");
}

/* The result as JSON, to be put back. */
static inline struct json_object *
result(void)
{
	struct json_object *o;

	ck_assert_uint_eq(reply.times, 1);
	ck_assert_msg(reply.code == AQB_CODE_OK, "%s", reply.why);
	o = json_tokener_parse(reply.result);
	ck_assert_msg(o != NULL, "not JSON: %.200s", reply.result);
	return o;
}

/* How many are in an array of the result. */
static inline size_t
count_of(struct json_object *o, const char *name)
{
	struct json_object *array = NULL;

	ck_assert(json_object_object_get_ex(o, name, &array));
	return json_object_array_length(array);
}

/*
 * Ask for page after page of this list with the cursors that it gives: it must
 * show `all`, in more pages than `limit` needs, none of them over the limit of
 * a reply.
 */
static inline void
assert_pages_are_cut(const char *command, const char *room, const char *channel,
    const char *list, size_t all)
{
	char args[96] = "{\"limit\":1000}";
	size_t shown = 0, pages = 0;
	struct json_object *o, *next;

	do {
		call(command, room, channel, args);
		ck_assert_uint_lt(reply.len, REPLY_MAX);
		o = result();
		shown += count_of(o, list);
		ck_assert_uint_gt(count_of(o, list), 0);
		next = NULL;
		if (json_object_object_get_ex(o, "next", &next)) {
			ck_assert_uint_gt(reply.len, REPLY_MAX * 3 / 4);
			snprintf(args, sizeof args,
			    "{\"limit\":1000,\"cursor\":\"%s\"}",
			    json_object_get_string(next));
		}
		json_object_put(o);
		pages++;
	} while (next != NULL);
	ck_assert_uint_eq(shown, all);
	ck_assert_uint_gt(pages, 1);
}

/* Text of one letter; free it. */
static inline char *
letters(char c, size_t n)
{
	char *text = malloc(n + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, c, n);
	text[n] = '\0';
	return text;
}

static inline int
run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

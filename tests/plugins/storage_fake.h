/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGINS_STORAGE_FAKE_H
#define PLUGINS_STORAGE_FAKE_H

/* Appending to a storage plugin, and reading what it kept. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_host.h"

#define EVER 0

static struct fake_host *fake;
static const struct aqb_storage_ops *store;
static struct fake_answer got;

/* An option may be NULL. */
static inline void
storage_open(const char *plugin, const char *option)
{
	fake = fake_host_open(plugin, option, NULL);
	store = fake->plugin->storage;
}

static inline void
storage_close(void)
{
	fake_answer_fini(&got);
	fake_forget_tickets();
	fake_host_close(&fake);
	ck_assert_uint_eq(fake_msgs_alive(), 0);
}

static inline aqb_ticket
ask(void)
{
	fake_answer_fini(&got);
	fake_forget_tickets();
	return fake_ticket(&got);
}

static inline int
try_append(const char *stream, const struct fake_text *text,
    const struct aqb_limits *limits, struct aqb_position *posp)
{
	struct aqb_msg *msg = fake_msg(text);
	int when;

	when = store->append(fake->self, ask(), stream, limits, msg, posp);
	ck_assert_uint_eq(got.times, 0); /* what is done needs no ticket */
	fake_msg_unref(&msg);
	return when;
}

/* Append with these limits; its place. */
static inline struct aqb_position
append_as(const char *stream, const char *id, uint32_t history_size,
    uint64_t history_ttl)
{
	const struct aqb_limits limits = {
		.size = sizeof limits,
		.history_size = history_size,
		.history_ttl = history_ttl,
	};
	struct aqb_position pos = { .seq = 0 };

	ck_assert_int_eq(try_append(stream, &(struct fake_text){ .id = id },
			     &limits, &pos),
	    AQB_DONE);
	return pos;
}

static inline struct aqb_position
append(const char *stream, const char *id)
{
	return append_as(stream, id, 500, EVER);
}

/* Append messages named 1, 2, .. n. */
static inline void
append_many(const char *stream, unsigned n, uint32_t history_size,
    uint64_t history_ttl)
{
	char id[16];

	for (unsigned i = 1; i <= n; i++) {
		snprintf(id, sizeof id, "%u", i);
		append_as(stream, id, history_size, history_ttl);
	}
}

static inline void
read_range(const char *stream, const struct aqb_range *range)
{
	struct aqb_range sized = *range;

	sized.size = sizeof sized;
	store->history(fake->self, ask(), stream, &sized);
	ck_assert_uint_eq(got.times, 1);
	ck_assert_int_eq(got.err, AQB_OK);
}

static inline struct aqb_slice
id_of(const struct aqb_msg *msg)
{
	struct aqb_msg_view view = { .size = sizeof view };

	fake_msg_view(msg, &view);
	return view.id;
}

/* What was read are these, by id. */
static inline void
assert_shown(const char *ids)
{
	char text[512] = "";
	size_t len = 0;

	for (size_t i = 0; i < got.answer.n; i++) {
		struct aqb_slice id = id_of(got.answer.msgs[i]);

		len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s",
		    i > 0 ? " " : "", (int)id.len, id.data);
		ck_assert_uint_lt(len, sizeof text);
	}
	ck_assert_str_eq(text, ids);
}

static inline void
assert_kept(const char *stream, const char *ids)
{
	read_range(stream, &(struct aqb_range){ .limit = 1000 });
	assert_shown(ids);
	ck_assert(!got.answer.more);
}

static inline struct aqb_answer
tail(const char *stream)
{
	struct aqb_answer answer = { .size = sizeof answer };

	ck_assert_int_eq(store->tail(fake->self, ask(), stream, &answer),
	    AQB_DONE);
	ck_assert_uint_eq(got.times, 0);
	ck_assert_uint_eq(answer.n, 0);
	return answer;
}

static inline void
forget(const char *stream)
{
	store->forget(fake->self, ask(), stream);
	ck_assert_uint_eq(got.times, 1);
	ck_assert_int_eq(got.err, AQB_OK);
}

static inline uint64_t
messages_kept(void)
{
	uint64_t messages, bytes;

	store->usage(fake->self, &messages, &bytes);
	return messages;
}

static inline uint64_t
bytes_used(void)
{
	uint64_t messages, bytes;

	store->usage(fake->self, &messages, &bytes);
	return bytes;
}

static inline bool
same_epoch(const struct aqb_position *a, const struct aqb_position *b)
{
	return strcmp(a->epoch, b->epoch) == 0;
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

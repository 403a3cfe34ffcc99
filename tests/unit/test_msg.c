/* SPDX-License-Identifier: Apache-2.0 */

/* Messages: built once, sealed, stamped, shared. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/envelope.h"
#include "proto/msg.h"

static const struct aqb_position here = { .seq = 42, .epoch = "ep" };

static struct aqb_slice
slice(const char *text)
{
	return (struct aqb_slice){ text, strlen(text) };
}

static struct aqb_msg *
draft(const char *payload, const char *metadata)
{
	struct msg_draft d = { .payload = slice(payload),
		.metadata = slice(metadata),
		.reserve = 300 };
	struct aqb_msg *msg = msg_new(&d);

	ck_assert_ptr_nonnull(msg);
	return msg;
}

static void
seal(struct aqb_msg *msg)
{
	msg_seal(msg,
	    &(struct msg_fields){
		.id = slice("i1"),
		.type = slice("event"),
		.room = slice("r"),
		.channel = slice("c"),
		.from = slice("f"),
		.timestamp = 0,
	    });
}

static void
assert_json(const struct aqb_msg *msg, const char *want)
{
	struct aqb_slice json = msg_json(msg);

	ck_assert_msg(json.len == strlen(want) &&
		memcmp(json.data, want, json.len) == 0,
	    "%.*s", (int)json.len, json.data);
}

static void
teardown(void)
{
	ck_assert_uint_eq(msg_alive(), 0);
}

START_TEST(a_stamped_message_is_one_envelope)
{
	struct aqb_msg *msg = draft("[1, 2]", "{\"m\":0}");

	seal(msg);
	ck_assert(!msg_is_stamped(msg));
	msg_stamp(msg, &here);
	ck_assert(msg_is_stamped(msg));
	assert_json(msg,
	    "{\"version\":\"1.0\",\"seq\":42,\"epoch\":\"ep\",\"id\":\"i1\","
	    "\"type\":\"event\",\"room\":\"r\",\"channel\":\"c\","
	    "\"from\":\"f\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
	    "\"payload\":[1, 2],\"metadata\":{\"m\":0}}");
	msg_unref(&msg);
	ck_assert_ptr_null(msg);
}
END_TEST

START_TEST(what_has_no_place_has_no_position)
{
	struct aqb_msg *msg = draft("", "");

	msg_seal(msg,
	    &(struct msg_fields){
		.id = slice("i"),
		.type = slice("private"),
		.from = slice("f"),
		.to = slice("[\"a\"]"),
	    });
	msg_stamp(msg, NULL);
	assert_json(msg,
	    "{\"version\":\"1.0\",\"id\":\"i\",\"type\":\"private\","
	    "\"from\":\"f\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
	    "\"to\":[\"a\"],\"payload\":{}}");
	msg_unref(&msg);
}
END_TEST

START_TEST(the_frame_has_the_shortest_head)
{
	static const size_t lens[] = { 1, 40000, 70000 };

	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		char *text = xnew(lens[i] + 1);
		struct aqb_msg *msg;
		struct aqb_slice frame, json;
		const uint8_t *f;

		memset(text, '7', lens[i]);
		msg = draft(text, "");
		seal(msg);
		msg_stamp(msg, &here);
		frame = msg_frame(msg);
		json = msg_json(msg);
		f = (const uint8_t *)frame.data;
		ck_assert_uint_eq(f[0], 0x81);
		ck_assert_ptr_eq(json.data + json.len, frame.data + frame.len);
		if (json.len < 65536) {
			ck_assert_uint_eq(f[1], 126);
			ck_assert_uint_eq((size_t)f[2] << 8 | f[3], json.len);
		} else {
			ck_assert_uint_eq(f[1], 127);
			ck_assert_uint_eq((size_t)f[7] << 16 |
				(size_t)f[8] << 8 | f[9],
			    json.len);
		}
		msg_unref(&msg);
		free(text);
	}
}
END_TEST

START_TEST(a_view_shows_every_part)
{
	struct aqb_msg *msg = draft("{\"a\":1}", "{}");
	struct aqb_msg_view v;

	seal(msg);
	msg_view(msg, &v);
	ck_assert_uint_eq(v.seq, 0);
	msg_stamp(msg, &here);
	msg_view(msg, &v);
	ck_assert_uint_eq(v.seq, 42);
	ck_assert_mem_eq(v.id.data, "i1", v.id.len);
	ck_assert_mem_eq(v.type.data, "event", v.type.len);
	ck_assert_mem_eq(v.room.data, "r", v.room.len);
	ck_assert_mem_eq(v.channel.data, "c", v.channel.len);
	ck_assert_mem_eq(v.from.data, "f", v.from.len);
	ck_assert_mem_eq(v.payload.data, "{\"a\":1}", 7);
	ck_assert_uint_eq(v.payload.len, 7);
	ck_assert_uint_eq(v.metadata.len, 2);
	ck_assert_uint_gt(v.bytes, 100);
	msg_unref(&msg);
}
END_TEST

START_TEST(the_widest_fields_fit)
{
	char id[129], name[65], from[64];
	const struct aqb_position far = { .seq = UINT64_MAX,
		.epoch = "123456789012345678901234567890123456789" };
	struct msg_draft d = { .payload = slice("1") };
	struct aqb_msg *msg;

	memset(id, 'i', 128);
	memset(name, 'n', 64);
	memset(from, 'f', 63);
	id[128] = name[64] = from[63] = '\0';
	d.reserve = 128 + 64 + 64 + 63;
	msg = msg_new(&d);
	msg_seal(msg,
	    &(struct msg_fields){
		.id = slice(id),
		.type = slice("telemetry"),
		.room = slice(name),
		.channel = slice(name),
		.from = slice(from),
		.timestamp = 253402300799999,
	    });
	msg_stamp(msg, &far);
	ck_assert_ptr_nonnull(memmem(msg_json(msg).data, msg_json(msg).len,
	    "18446744073709551615", 20));
	msg_unref(&msg);
}
END_TEST

START_TEST(the_last_reference_frees_it)
{
	struct aqb_msg *msg = msg_text("x", 1), *other = msg_ref(msg);

	ck_assert_ptr_eq(other, msg);
	msg_unref(&msg);
	ck_assert_uint_eq(msg_alive(), 1);
	assert_json(other, "x");
	msg_unref(&other);
	ck_assert_uint_eq(msg_alive(), 0);
	msg_unref(&other); /* NULL is fine */
}
END_TEST

START_TEST(bytes_are_kept_as_base64_and_given_back_as_they_came)
{
	static const char header[] =
	    "{\"version\":\"1.0\",\"seq\":42,\"epoch\":\"ep\",\"id\":\"i1\","
	    "\"type\":\"event\",\"room\":\"r\",\"channel\":\"c\","
	    "\"from\":\"f\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
	    "\"metadata\":{\"m\":1}}";
	struct msg_draft d = {
		.payload = { "\0\xff{}\"", (size_t)_i },
		.is_binary = true,
		.metadata = slice("{\"m\":1}"),
		.reserve = 300,
	};
	struct aqb_msg *msg = msg_new(&d);
	struct buf b = { 0 };
	size_t len = strlen(header);

	seal(msg);
	msg_stamp(msg, &here);
	ck_assert(msg_is_binary(msg));
	msg_put_binary(msg, &b);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 2 + len + (size_t)_i);
	ck_assert_uint_eq((uint8_t)b.data[0] << 8 | (uint8_t)b.data[1], len);
	ck_assert_mem_eq(b.data + 2, header, len);
	ck_assert_mem_eq(b.data + 2 + len, "\0\xff{}\"", (size_t)_i);
	buf_fini(&b);
	msg_unref(&msg);
}
END_TEST

START_TEST(bytes_in_json_say_how_they_are_written)
{
	struct msg_draft d = { .payload = { "\0\1\2\3", 4 },
		.is_binary = true,
		.metadata = slice("{}"),
		.reserve = 300 };
	struct aqb_msg *msg = msg_new(&d);

	seal(msg);
	msg_stamp(msg, NULL);
	assert_json(msg,
	    "{\"version\":\"1.0\",\"id\":\"i1\",\"type\":\"event\","
	    "\"room\":\"r\",\"channel\":\"c\",\"from\":\"f\","
	    "\"timestamp\":\"1970-01-01T00:00:00.000Z\","
	    "\"payload\":\"AAECAw==\",\"encoding\":\"base64\","
	    "\"metadata\":{}}");
	msg_unref(&msg);
}
END_TEST

static struct aqb_msg_view
kept(void)
{
	return (struct aqb_msg_view){
		.size = sizeof(struct aqb_msg_view),
		.id = slice("i\\u00e9"),
		.type = slice("event"),
		.room = slice("r"),
		.channel = slice("c"),
		.from = slice("f"),
		.payload = slice("{\"a\": 1}"),
		.metadata = slice("{\"k\":2}"),
		.timestamp = 1000,
		.flags = AQB_MSG_GIVEN_ID,
	};
}

static void
assert_slice(struct aqb_slice have, struct aqb_slice want)
{
	ck_assert_uint_eq(have.len, want.len);
	ck_assert_mem_eq(have.data, want.data, want.len);
}

START_TEST(what_was_kept_is_the_same_message_again)
{
	struct aqb_msg_view was = kept(), is;
	struct aqb_msg *msg = msg_make(&was, &here);

	ck_assert_ptr_nonnull(msg);
	assert_json(msg,
	    "{\"version\":\"1.0\",\"seq\":42,\"epoch\":\"ep\","
	    "\"id\":\"i\\u00e9\",\"type\":\"event\",\"room\":\"r\","
	    "\"channel\":\"c\",\"from\":\"f\","
	    "\"timestamp\":\"1970-01-01T00:00:01.000Z\","
	    "\"payload\":{\"a\": 1},\"metadata\":{\"k\":2}}");
	msg_view(msg, &is);
	assert_slice(is.id, was.id);
	assert_slice(is.payload, was.payload);
	assert_slice(is.metadata, was.metadata);
	assert_slice(is.epoch, slice("ep"));
	ck_assert_uint_eq(is.flags, AQB_MSG_GIVEN_ID);
	ck_assert_int_eq(is.timestamp, 1000);
	msg_unref(&msg);
}
END_TEST

START_TEST(bytes_that_were_kept_are_bytes_again)
{
	struct aqb_msg_view was = kept(), is;
	struct aqb_msg *msg;

	was.flags = AQB_MSG_BINARY;
	was.payload = slice("\"AAECAw==\"");
	msg = msg_make(&was, &here);
	ck_assert_ptr_nonnull(msg);
	ck_assert(msg_is_binary(msg));
	msg_view(msg, &is);
	assert_slice(is.payload, was.payload);
	ck_assert_uint_eq(is.flags, AQB_MSG_BINARY);
	msg_unref(&msg);
}
END_TEST

/* One thing of what was kept is not right. */
static const struct {
	size_t place; /* of a slice in the view */
	const char *text;
} spoiled[] = {
#define SPOILED(field, text)                               \
	{                                                  \
		offsetof(struct aqb_msg_view, field), text \
	}
	SPOILED(id, ""),
	SPOILED(id, "a\"b"),
	SPOILED(id, "a\nb"),
	SPOILED(id, "\\ud800"),
	SPOILED(type, ""),
	SPOILED(type, "a b"),
	SPOILED(room, "a:b"),
	SPOILED(channel, ""),
	SPOILED(from, "\",\"x"),
	SPOILED(payload, ""),
	SPOILED(payload, "{"),
	SPOILED(payload, "{} {}"),
	SPOILED(metadata, "7"),
};

START_TEST(what_is_no_message_is_not_made_one)
{
	struct aqb_msg_view v = kept();

	*(struct aqb_slice *)((char *)&v + spoiled[_i].place) =
	    slice(spoiled[_i].text);
	ck_assert_ptr_null(msg_make(&v, &here));
}
END_TEST

START_TEST(nor_without_a_right_time_place_or_bytes)
{
	const struct aqb_position nowhere = { .seq = 0, .epoch = "ep" };
	const struct aqb_position strange = { .seq = 1, .epoch = "a\"b" };
	struct aqb_msg_view v = kept();

	ck_assert_ptr_null(msg_make(&v, &nowhere));
	ck_assert_ptr_null(msg_make(&v, &strange));
	v.timestamp = -1;
	ck_assert_ptr_null(msg_make(&v, &here));
	v.timestamp = CLOCK_WALL_MAX + 1;
	ck_assert_ptr_null(msg_make(&v, &here));
	v = kept();
	v.flags = AQB_MSG_BINARY; /* but the payload is an object */
	ck_assert_ptr_null(msg_make(&v, &here));
	v.payload = slice("\"A\"");
	ck_assert_ptr_null(msg_make(&v, &here));
}
END_TEST

/* {"k":"xx.."} of some length; free() it. */
static struct aqb_slice
long_metadata(size_t len)
{
	static const char begin[] = "{\"k\":\"";
	char *text = malloc(len);

	memset(text, 'x', len);
	memcpy(text, begin, strlen(begin));
	memcpy(text + len - 2, "\"}", 2);
	return (struct aqb_slice){ text, len };
}

/* What is kept as text may be as long as it likes. */
START_TEST(bytes_with_more_metadata_than_a_header_holds_are_no_message)
{
	struct aqb_msg_view v = kept();
	struct aqb_msg *msg;
	struct buf out = { 0 };

	v.flags = AQB_MSG_BINARY;
	v.payload = slice("\"AAECAw==\"");
	v.metadata = long_metadata(ENVELOPE_HEADER_MAX + 1);
	ck_assert_ptr_null(msg_make(&v, &here));
	v.flags = 0;
	msg = msg_make(&v, &here);
	ck_assert_ptr_nonnull(msg);
	msg_unref(&msg);
	free((void *)(uintptr_t)v.metadata.data);

	v.flags = AQB_MSG_BINARY;
	v.metadata = long_metadata(ENVELOPE_HEADER_MAX);
	msg = msg_make(&v, &here);
	ck_assert_ptr_nonnull(msg);
	msg_put_binary(msg, &out);
	ck_assert_uint_gt(out.len, ENVELOPE_HEADER_MAX);
	buf_fini(&out);
	msg_unref(&msg);
	free((void *)(uintptr_t)v.metadata.data);
}
END_TEST

START_TEST(what_belongs_to_no_channel_is_made_again_with_whom_it_is_for)
{
	struct aqb_msg_view v = kept();
	struct aqb_msg *msg;

	v.room = v.channel = slice("");
	msg = msg_make_unplaced(&v, slice("[\"a\", \"b\"]"));
	ck_assert_ptr_nonnull(msg);
	assert_json(msg,
	    "{\"version\":\"1.0\",\"id\":\"i\\u00e9\","
	    "\"type\":\"event\",\"from\":\"f\","
	    "\"timestamp\":\"1970-01-01T00:00:01.000Z\","
	    "\"to\":[\"a\", \"b\"],"
	    "\"payload\":{\"a\": 1},\"metadata\":{\"k\":2}}");
	msg_unref(&msg);
	v.room = slice("*");
	msg = msg_make_unplaced(&v, slice(""));
	ck_assert_ptr_nonnull(msg);
	msg_unref(&msg);
	v.room = slice("a b");
	ck_assert_ptr_null(msg_make_unplaced(&v, slice("")));
	v.room = slice("r");
	ck_assert_ptr_null(msg_make_unplaced(&v, slice("7")));
	ck_assert_ptr_null(msg_make_unplaced(&v, slice("\"a\",\"x\":1")));
	v.channel = slice("c");
	ck_assert_ptr_null(msg_make_unplaced(&v, slice("")));
}
END_TEST

START_TEST(when_it_was_received_is_known_for_an_hour)
{
	static const uint64_t moments[] = { 5, UINT32_MAX - 1, 1ull << 40 };
	struct aqb_msg_view v = kept();

	for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
		struct aqb_msg *msg = msg_make(&v, &here);

		ck_assert_uint_eq(msg_received(msg, moments[i]), 0);
		msg_set_received(msg, moments[i] + 1);
		ck_assert_uint_eq(msg_received(msg, moments[i] + 4000000000),
		    moments[i] + 1);
		msg_unref(&msg);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("msg");
	TCase *t = tcase_create("msg");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, a_stamped_message_is_one_envelope);
	tcase_add_test(t, what_has_no_place_has_no_position);
	tcase_add_test(t, the_frame_has_the_shortest_head);
	tcase_add_test(t, a_view_shows_every_part);
	tcase_add_test(t, the_widest_fields_fit);
	tcase_add_test(t, the_last_reference_frees_it);
	tcase_add_loop_test(t,
	    bytes_are_kept_as_base64_and_given_back_as_they_came, 0, 6);
	tcase_add_test(t, bytes_in_json_say_how_they_are_written);
	tcase_add_test(t, what_was_kept_is_the_same_message_again);
	tcase_add_test(t, bytes_that_were_kept_are_bytes_again);
	tcase_add_loop_test(t, what_is_no_message_is_not_made_one, 0,
	    sizeof spoiled / sizeof spoiled[0]);
	tcase_add_test(t, nor_without_a_right_time_place_or_bytes);
	tcase_add_test(t,
	    bytes_with_more_metadata_than_a_header_holds_are_no_message);
	tcase_add_test(t,
	    what_belongs_to_no_channel_is_made_again_with_whom_it_is_for);
	tcase_add_test(t, when_it_was_received_is_known_for_an_hour);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

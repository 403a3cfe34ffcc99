/* SPDX-License-Identifier: Apache-2.0 */

/* What a client may say: arqonbus-protocol(7), "ENVELOPE". */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/envelope.h"
#include "proto/msg.h"

static struct envelope env;
static struct aqb_why why;
static char said[2048];

/* ' stands for ". */
static enum aqb_code
decode(const char *text)
{
	ck_assert_uint_lt(strlen(text), sizeof said);
	strcpy(said, text);
	for (char *p = said; *p != '\0'; p++) {
		*p = *p == '\'' ? '"' : *p;
	}
	memset(&why, 0, sizeof why);
	return envelope_decode(said, strlen(said), &env, &why);
}

static void
assert_slice(struct aqb_slice got, const char *want)
{
	ck_assert_msg(got.len == strlen(want) &&
		memcmp(got.data, want, got.len) == 0,
	    "\"%.*s\" is not \"%s\"", (int)got.len,
	    got.data == NULL ? "" : got.data, want);
}

START_TEST(every_part_is_found)
{
	ck_assert_int_eq(
	    decode(" {'version':'1.7','id':'i 1','type':'event','room':'r',"
		   "'channel':'c','payload': [1, {'a':2}] ,'metadata':{'m':0},"
		   "'ack':true,'timestamp':'2026-01-01T00:00:00Z',"
		   "'from':'spoofed','seq':1,'whatever':null} "),
	    AQB_CODE_OK);
	ck_assert_int_eq(env.type, ENVELOPE_EVENT);
	ck_assert(env.ack);
	assert_slice(env.id, "i 1");
	ck_assert_str_eq(env.address.room, "r");
	ck_assert_str_eq(env.address.channel, "c");
	assert_slice(env.payload, "[1, {\"a\":2}]");
	assert_slice(env.metadata, "{\"m\":0}");
}
END_TEST

START_TEST(almost_everything_may_be_left_out)
{
	ck_assert_int_eq(decode("{'type':'message','channel':'c'}"),
	    AQB_CODE_OK);
	ck_assert_int_eq(env.type, ENVELOPE_MESSAGE);
	ck_assert(!env.ack);
	ck_assert_uint_eq(env.id.len, 0);
	ck_assert_uint_eq(env.payload.len, 0);
	ck_assert_str_eq(env.address.room, "");
}
END_TEST

static const struct {
	const char *text;
	enum envelope_type type;
} types[] = {
	{ "{'type':'event','room':'r'}", ENVELOPE_EVENT },
	{ "{'type':'message','room':'r'}", ENVELOPE_MESSAGE },
	{ "{'type':'private','to':'x'}", ENVELOPE_PRIVATE },
	{ "{'type':'command','command':'ping'}", ENVELOPE_COMMAND },
	{ "{'type':'system','room':'*'}", ENVELOPE_SYSTEM },
	{ "{'type':'telemetry','payload':{}}", ENVELOPE_TELEMETRY },
	{ "{'type':'ping'}", ENVELOPE_PING },
	{ "{'t\\u0079pe':'p\\u0069ng'}", ENVELOPE_PING },
};

START_TEST(each_type_is_known)
{
	ck_assert_int_eq(decode(types[_i].text), AQB_CODE_OK);
	ck_assert_int_eq(env.type, types[_i].type);
}
END_TEST

#define EVENT "{'type':'event','room':'r',"

static const struct {
	const char *text;
	enum aqb_code code;
	const char *field;
} refusals[] = {
	{ "", AQB_CODE_INVALID_JSON, NULL },
	{ "{", AQB_CODE_INVALID_JSON, NULL },
	{ "{}x", AQB_CODE_INVALID_JSON, NULL },
	{ "[]", AQB_CODE_INVALID_ENVELOPE, NULL },
	{ "7", AQB_CODE_INVALID_ENVELOPE, NULL },
	{ "{}", AQB_CODE_INVALID_ENVELOPE, "type" },
	{ "{'type':7}", AQB_CODE_INVALID_ENVELOPE, "type" },
	{ "{'type':'dance'}", AQB_CODE_UNKNOWN_TYPE, "type" },
	{ "{'type':'ping','type':'ping'}", AQB_CODE_INVALID_ENVELOPE, NULL },
	{ EVENT "'version':'2.0'}", AQB_CODE_UNSUPPORTED_VERSION, "version" },
	{ EVENT "'version':1}", AQB_CODE_INVALID_ENVELOPE, "version" },
	{ EVENT "'id':''}", AQB_CODE_INVALID_ENVELOPE, "id" },
	{ EVENT "'id':7}", AQB_CODE_INVALID_ENVELOPE, "id" },
	{ EVENT "'id':'a\\u0001'}", AQB_CODE_INVALID_ENVELOPE, "id" },
	{ EVENT "'id':'\\ud800'}", AQB_CODE_INVALID_ENVELOPE, "id" },
	{ EVENT "'ack':1}", AQB_CODE_INVALID_ENVELOPE, "ack" },
	{ EVENT "'metadata':[]}", AQB_CODE_INVALID_ENVELOPE, "metadata" },
	{ EVENT "'timestamp':'now'}", AQB_CODE_INVALID_ENVELOPE, "timestamp" },
	{ EVENT "'timestamp':7}", AQB_CODE_INVALID_ENVELOPE, "timestamp" },
	{ EVENT "'retain':true}", AQB_CODE_INVALID_ARGUMENT, "retain" },
	{ EVENT "'ttl':5}", AQB_CODE_INVALID_ARGUMENT, "ttl" },
	{ EVENT "'correlation_id':'x'}", AQB_CODE_INVALID_ARGUMENT,
	    "correlation_id" },
	{ "{'type':'event','room':7}", AQB_CODE_INVALID_ENVELOPE, "room" },
	{ "{'type':'event','room':'a b'}", AQB_CODE_INVALID_NAME, "room" },
	{ "{'type':'event','room':'a:b','channel':'c'}",
	    AQB_CODE_INVALID_ENVELOPE, NULL },
	{ "{'type':'event','room':'a:b:c'}", AQB_CODE_INVALID_NAME, "room" },
	{ "{'type':'private'}", AQB_CODE_TARGET_REQUIRED, "to" },
	{ "{'type':'private','to':[]}", AQB_CODE_INVALID_ENVELOPE, "to" },
	{ "{'type':'private','to':7}", AQB_CODE_INVALID_ENVELOPE, "to" },
	{ "{'type':'command'}", AQB_CODE_INVALID_ENVELOPE, "command" },
	{ "{'type':'command','command':7}", AQB_CODE_INVALID_ENVELOPE,
	    "command" },
	{ "{'type':'command','command':'x','args':[]}",
	    AQB_CODE_INVALID_ENVELOPE, "args" },
};

START_TEST(what_is_wrong_is_refused_by_name)
{
	enum aqb_code code = decode(refusals[_i].text);

	ck_assert_msg(code == refusals[_i].code, "%s: code %d, not %d: %s",
	    refusals[_i].text, code, refusals[_i].code, why.text);
	if (refusals[_i].field != NULL) {
		ck_assert_ptr_nonnull(why.field);
		ck_assert_str_eq(why.field, refusals[_i].field);
	}
	ck_assert_uint_gt(strlen(why.text), 5);
}
END_TEST

START_TEST(a_refusal_still_tells_the_id)
{
	ck_assert_int_eq(decode("{'id':'i','type':'dance'}"),
	    AQB_CODE_UNKNOWN_TYPE);
	assert_slice(env.id, "i");
	ck_assert_int_eq(decode("{'type':'dance','id':'i'}"),
	    AQB_CODE_UNKNOWN_TYPE);
	assert_slice(env.id, "i");
}
END_TEST

static const struct {
	const char *fields, *room, *channel;
} places[] = {
	{ "'room':'r','channel':'c'", "r", "c" },
	{ "'room':'r:c'", "r", "c" },
	{ "'channel':'r:c'", "r", "c" },
	{ "'room':'r:c','channel':'c'", "r", "c" },
	{ "'room':'r','channel':'r:c'", "r", "c" },
	{ "'room':'r'", "r", "" },
	{ "'channel':'c'", "", "c" },
	{ "'room':'__proto__','channel':'constructor'", "__proto__",
	    "constructor" },
};

START_TEST(each_way_to_name_a_place_is_read)
{
	char text[256];

	snprintf(text, sizeof text, "{'type':'event',%s}", places[_i].fields);
	ck_assert_msg(decode(text) == AQB_CODE_OK, "%s: %s", text, why.text);
	ck_assert_str_eq(env.address.room, places[_i].room);
	ck_assert_str_eq(env.address.channel, places[_i].channel);
}
END_TEST

START_TEST(an_id_has_128_bytes_at_most)
{
	char text[256];

	for (int len = 127; len <= 129; len++) {
		snprintf(text, sizeof text, "{'type':'ping','id':'%0*d'}", len,
		    0);
		ck_assert_int_eq(decode(text),
		    len <= 128 ? AQB_CODE_OK : AQB_CODE_INVALID_ENVELOPE);
	}
	ck_assert_ptr_nonnull(strstr(why.text, "129"));
	ck_assert_ptr_nonnull(strstr(why.text, "128"));
}
END_TEST

START_TEST(j4_the_payload_may_say_things_twice)
{
	ck_assert_int_eq(decode(EVENT "'payload':{'a':1,'a':2}}"), AQB_CODE_OK);
	assert_slice(env.payload, "{\"a\":1,\"a\":2}");
}
END_TEST

START_TEST(j6_j7_the_payload_is_passed_byte_for_byte)
{
	static const char payload[] =
	    "{ \"big\" : 123456789012345678901234567890, \"x\":\"\\ud800\" }";
	char text[256];

	snprintf(text, sizeof text,
	    "{\"type\":\"event\",\"room\":\"r\",\"payload\":%s}", payload);
	ck_assert_int_eq(envelope_decode(text, strlen(text), &env, &why),
	    AQB_CODE_OK);
	assert_slice(env.payload, payload);
}
END_TEST

START_TEST(what_is_kept_outlives_the_text)
{
	struct aqb_msg *msg;

	decode("{'type':'private','id':'i','to':['a','b'],'payload':1,"
	       "'metadata':{'m':2}}");
	msg = envelope_keep(&env);
	ck_assert_ptr_nonnull(msg);
	memset(said, 'x', sizeof said);
	assert_slice(env.id, "i");
	assert_slice(env.payload, "1");
	assert_slice(env.metadata, "{\"m\":2}");
	assert_slice((struct aqb_slice){ env.to.text, env.to.len },
	    "[\"a\",\"b\"]");
	msg_unref(&msg);
}
END_TEST

START_TEST(a_command_keeps_all_of_its_text)
{
	struct aqb_msg *msg;

	decode("{'type':'command','id':'i','command':'join_channel',"
	       "'room':'r','args':{'echo':true}}");
	ck_assert_str_eq(env.command, "join_channel");
	msg = envelope_keep(&env);
	memset(said, 'x', sizeof said);
	assert_slice(env.args, "{\"echo\":true}");
	assert_slice(env.id, "i");
	ck_assert_ptr_nonnull(memmem(env.text.data, env.text.len,
	    "\"room\":\"r\"", 10));
	msg_unref(&msg);
}
END_TEST

START_TEST(a_command_may_be_in_the_payload)
{
	ck_assert_int_eq(decode("{'type':'command','payload':{'command':"
				"'history','parameters':{'limit':3}}}"),
	    AQB_CODE_OK);
	ck_assert_str_eq(env.command, "history");
	assert_slice(env.args, "{\"limit\":3}");
}
END_TEST

/* A binary message: the header's length, given or right, and the bytes. */
static enum aqb_code
decode_binary(int header, const char *text, const char *bytes, size_t len)
{
	size_t n = strlen(text);

	if (header < 0) {
		header = (int)n;
	}
	said[0] = (char)(header >> 8);
	said[1] = (char)header;
	for (size_t i = 0; i < n; i++) {
		said[2 + i] = (char)(text[i] == '\'' ? '"' : text[i]);
	}
	memcpy(said + 2 + n, bytes, len);
	memset(&why, 0, sizeof why);
	return envelope_decode_binary((const uint8_t *)said, 2 + n + len, &env,
	    &why);
}

START_TEST(bytes_follow_their_header)
{
	ck_assert_int_eq(decode_binary(-1,
			     "{'type':'event','id':'i','channel':'c'}",
			     "\0\xff\x80", 3),
	    AQB_CODE_OK);
	ck_assert(env.is_binary);
	assert_slice(env.id, "i");
	ck_assert_uint_eq(env.payload.len, 3);
	ck_assert_mem_eq(env.payload.data, "\0\xff\x80", 3);
	ck_assert_int_eq(decode_binary(-1, "{'type':'message','channel':'c'}",
			     "", 0),
	    AQB_CODE_OK);
	ck_assert(env.is_binary);
	ck_assert_uint_eq(env.payload.len, 0);
}
END_TEST

static const struct {
	int header;
	const char *text;
	const char *says;
} bad_binaries[] = {
	{ 40, "{'type':'event','channel':'c'}",
	    "binary: the header's length is 40, but 31 bytes follow" },
	{ 29, "{'type':'event','channel':'c'}", "at byte 29" },
	{ 0, "{'type':'event','channel':'c'}", "at byte 0" },
	{ -1, "{'type':'event','channel':'c','payload':1}", "payload: in a" },
	{ -1, "{'type':'command','command':'ping'}", "not a command" },
	{ -1, "{'type':'telemetry','channel':'c'}", "not a telemetry" },
	{ -1, "{'type':'ping'}", "not a ping" },
	{ -1, "{'type':'event','channel':'\xff'}", "header is not UTF-8" },
	{ -1, "{'type':'event'", "at byte" },
};

START_TEST(what_is_wrong_with_a_header_is_told)
{
	ck_assert_int_ne(decode_binary(bad_binaries[_i].header,
			     bad_binaries[_i].text, "x", 1),
	    AQB_CODE_OK);
	ck_assert_msg(strstr(why.text, bad_binaries[_i].says) != NULL, "%s",
	    why.text);
}
END_TEST

START_TEST(a_binary_message_has_at_least_a_length)
{
	ck_assert_int_eq(envelope_decode_binary((const uint8_t *)"\0", 1, &env,
			     &why),
	    AQB_CODE_INVALID_ENVELOPE);
}
END_TEST

START_TEST(a_headers_length_has_a_limit)
{
	size_t len = ENVELOPE_HEADER_MAX + 1;
	uint8_t *big = xnew(len + 2);

	big[0] = (uint8_t)(len >> 8);
	big[1] = (uint8_t)len;
	ck_assert_int_eq(envelope_decode_binary(big, len + 2, &env, &why),
	    AQB_CODE_INVALID_ENVELOPE);
	ck_assert_ptr_nonnull(strstr(why.text, "61441, the limit is 61440"));
	free(big);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("envelope");
	TCase *t = tcase_create("envelope");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, every_part_is_found);
	tcase_add_test(t, almost_everything_may_be_left_out);
	tcase_add_loop_test(t, each_type_is_known, 0,
	    sizeof types / sizeof types[0]);
	tcase_add_loop_test(t, what_is_wrong_is_refused_by_name, 0,
	    sizeof refusals / sizeof refusals[0]);
	tcase_add_test(t, a_refusal_still_tells_the_id);
	tcase_add_loop_test(t, each_way_to_name_a_place_is_read, 0,
	    sizeof places / sizeof places[0]);
	tcase_add_test(t, an_id_has_128_bytes_at_most);
	tcase_add_test(t, j4_the_payload_may_say_things_twice);
	tcase_add_test(t, j6_j7_the_payload_is_passed_byte_for_byte);
	tcase_add_test(t, what_is_kept_outlives_the_text);
	tcase_add_test(t, a_command_keeps_all_of_its_text);
	tcase_add_test(t, a_command_may_be_in_the_payload);
	tcase_add_test(t, bytes_follow_their_header);
	tcase_add_loop_test(t, what_is_wrong_with_a_header_is_told, 0,
	    sizeof bad_binaries / sizeof bad_binaries[0]);
	tcase_add_test(t, a_binary_message_has_at_least_a_length);
	tcase_add_test(t, a_headers_length_has_a_limit);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

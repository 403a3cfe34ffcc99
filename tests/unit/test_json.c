/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "proto/json.h"

static struct buf seen;
static struct buf made;
static struct json_value value; /* that was checked last */
static size_t at;

static void
setup(void)
{
	memset(&seen, 0, sizeof seen);
	memset(&made, 0, sizeof made);
}

static void
teardown(void)
{
	buf_fini(&seen);
	buf_fini(&made);
}

static const char *const kinds[] = { "null", "false", "true", "number",
	"string", "array", "object" };

/* Note every member as "key=kind:text;", what is escaped with a "\" before
 * it. */
static bool
note(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *v)
{
	buf_puts(&seen, escaped ? "\\" : "");
	buf_add(&seen, key, len);
	buf_printf(&seen, "=%s%s:", v->escaped ? "\\" : "", kinds[v->type]);
	buf_add(&seen, v->text, v->len);
	buf_putc(&seen, ';');
	return arg == NULL || len != strlen(arg) || memcmp(key, arg, len) != 0;
}

static bool
note_element(void *arg, const struct json_value *v)
{
	return note(NULL, "", 0, false, v) && arg == NULL;
}

/* Scan from memory that ends where the text does, so that a sanitizer sees a
 * look behind its end. */
static enum json_result
check(const char *text, size_t len)
{
	char *exact = malloc(len > 0 ? len : 1);
	enum json_result result;

	memcpy(exact, text, len);
	result = json_check(exact, len, &value, &at);
	if (result == JSON_OK) {
		value.text = text + (value.text - exact);
	}
	free(exact);
	return result;
}

static const struct json_value *
value_of(const char *text)
{
	ck_assert_int_eq(check(text, strlen(text)), JSON_OK);
	return &value;
}

static enum json_result
members(const char *text)
{
	buf_reset(&seen);
	return json_members(text, strlen(text), note, NULL, &at);
}

static enum json_result
elements(const char *text)
{
	buf_reset(&seen);
	return json_elements(text, strlen(text), note_element, NULL, &at);
}

static void
repeat(const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++) {
		buf_puts(&made, text);
	}
}

#define N(table) (sizeof(table) / sizeof(table)[0])
#define BLANKS " \t\r\n"

/* J4, J6 and J7: the last two lines are legal, and kept as they are. */
static const char *const accepted[] = { "null", "true", "false",
	" \t\r\n null \n\r\t ", "0", "-0", "7 ", "-1234567890", "0.0",
	"-0.5e-0", "1E5", "1e+05", "10.010E-007", "1e999", "\"\"", "\"a b\"",
	"\"it's /*no*/ //comment\"", "\"\x7f\"",
	"\"gr\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\"",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\\uabCD\\uEf01\"", "[]",
	"[ ]", " [1 , 2,3 ] ", "[[],{},[[]],[{}]]", "{}", "{\n}", "{\"\":0}",
	"{ \"a\" : { \"b\" : [ { } , null ] } , \"c\" : \"\" }",
	"{\"a\":[{\"b\":[1]}],\"c\":[{\"d\":2}]}", "{\"a\":1,\"a\":2}",
	"\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "9007199254740993",
	"-123456789012345678901234567890" };

START_TEST(what_rfc_8259_allows_is_accepted)
{
	const char *text = accepted[_i];
	const char *from = text + strspn(text, BLANKS);
	size_t len = strlen(from);

	while (strchr(BLANKS, from[len - 1]) != NULL) {
		len--;
	}
	ck_assert_msg(check(text, strlen(text)) == JSON_OK, "%s: at %zu", text,
	    at);
	ck_assert_uint_eq(at, strlen(text));
	ck_assert_ptr_eq(value.text, from);
	ck_assert_uint_eq(value.len, len);
	ck_assert_int_eq(value.escaped,
	    *from == '"' && strchr(from, '\\') != NULL);
	if (value.type == JSON_NUMBER) {
		ck_assert_ptr_nonnull(strchr("-0123456789", *from));
		return; /* a piece of a number may well be a number */
	}
	ck_assert_int_eq(*from, "nft0\"[{"[value.type]);
	for (size_t n = 0; n < (size_t)(from - text) + len; n++) {
		ck_assert_msg(check(text, n) == JSON_SYNTAX,
		    "%s: %zu bytes of it", text, n);
		ck_assert_uint_le(at, n);
	}
}
END_TEST

/* J5, and what else is no JSON.  The "^" is not part of the text: it stands
 * where the fault is found. */
static const char *const refusals[] = { "^", "  \n^", "^\xef\xbb\xbf{}", "^NaN",
	"^nan", "[^NaN]", "^Infinity", "-^Infinity", "[-^inf]", "^undefined",
	"^True", "^TRUE", "^nul", "^truE", "^falsy", "null^l", "true^false",
	"^'a'", "{^'a':1}", "{\"a\":^'b'}", "{^a:1}", "{^1:1}", "{^null:1}",
	"{^[]:1}", "^/* c */ {}", "{} ^// c", "[1,^/**/2]", "^# c\n1", "[1,^]",
	"[1,^,2]", "[^,1]", "[^,]", "{\"a\":1,^}", "{^,}",
	"{\"a\":1,^,\"b\":2}", "{} ^{}", "[]^]", "{}^}", "1 ^2", "1^,2",
	"\"a\"^\"b\"", "{}^x", "[1 ^2]", "[\"a\" ^\"b\"]", "{\"a\" ^1}",
	"{\"a\"^}", "{\"a\":^}", "{\"a\":^:1}", "{\"a\":1 ^\"b\":2}",
	"{\"a\":1^:2}", "{\"a\"^,1}", "[\"a\"^:1]", "[1^}", "{\"a\":1^]", "[^}",
	"{^]", "[{^]}", "[{\"a\":[1^}]]", "^]", "^}", "^,", "^:", "0^0", "0^1",
	"-0^1", "[0^123]", "1.^", "[1.^]", "1.^e5", "^.5", "-^.5", "^+1",
	"[^+1]", "-^-1", "-^", "-^ 1", "1e^", "1e+^", "1e^.5", "1e5^.5",
	"1.5^.5", "0^x10", "1^_000", "1 ^000", "\"^", "\"abc^", "\"a^\nb\"",
	"\"a^\tb\"", "\"^\x01\"", "\"^\x1f\"", "{\"a^\rb\":1}", "\"\\^",
	"\"\\\"^", "\"\\^x41\"", "\"\\^a\"", "\"\\^'\"", "\"\\^N\"",
	"\"\\^U0041\"", "\"\\^0\"", "\"\\^\n\"", "\"\\u^\"", "\"\\u004^\"",
	"\"\\u00^g0\"", "\"\\u^+041\"", "\"\\u^{41}\"", "{\"\\^x\":1}",
	"[1]^\xc2\xa0", "^\x0b[1]", "^\x0c[1]", "^\xe2\x80\xa8[1]",
	"[^\xc3\xbc]" };

/* Make the text, behind a prefix; returns where its fault is. */
static size_t
unmark(const char *prefix, const char *marked)
{
	size_t place = strcspn(marked, "^");

	buf_reset(&made);
	buf_puts(&made, prefix);
	buf_add(&made, marked, place);
	buf_puts(&made, marked + place + 1);
	return place;
}

START_TEST(j5_what_rfc_8259_forbids_is_refused_where_it_stands)
{
	for (size_t i = 0; i < N(refusals); i++) {
		size_t place = unmark("", refusals[i]);

		ck_assert_msg(check(buf_text(&made), made.len) == JSON_SYNTAX,
		    "%s was not refused", made.data);
		ck_assert_msg(at == place, "%s: at %zu", made.data, at);
	}
}
END_TEST

START_TEST(j5_what_is_refused_alone_is_refused_in_an_envelope)
{
	for (size_t i = 0; i < N(refusals); i++) {
		unmark("{\"type\":\"event\",\"payload\":", refusals[i]);
		buf_puts(&made, "}");
		ck_assert_msg(members(made.data) == JSON_SYNTAX,
		    "%s was not refused", made.data);
	}
}
END_TEST

START_TEST(j5_a_nul_byte_is_no_end_and_no_blank)
{
	ck_assert_int_eq(check("{}\0", 3), JSON_SYNTAX);
	ck_assert_int_eq(check("\"\0\"", 3), JSON_SYNTAX);
	ck_assert_int_eq(check("\"\\\0\"", 4), JSON_SYNTAX);
}
END_TEST

START_TEST(a_string_is_read_right_wherever_its_bytes_fall)
{
	static const char plain[] = "x !#[]\x7f\x80\xff";
	static const char control[] = "\x01\t\n\x1f"; /* and its NUL */
	char text[73] = "\"";

	for (size_t len = 1; len <= 70; len++) {
		for (size_t i = 1; i <= len; i++) {
			memset(text + 1, 'a', len);
			text[len + 1] = '"';
			text[i] = plain[(len + i) % (sizeof plain - 1)];
			ck_assert_int_eq(check(text, len + 2), JSON_OK);
			text[i] = control[(len + i) % sizeof control];
			ck_assert_int_eq(check(text, len + 2), JSON_SYNTAX);
			ck_assert_uint_eq(at, i);
			text[i] = '"';
			check(text, len + 2);
			ck_assert_uint_eq(at, i + 1);
			text[i] = '\\'; /* before an "a", or the last quote */
			check(text, len + 2);
			ck_assert_uint_eq(at, i < len ? i + 1 : len + 2);
		}
	}
}
END_TEST

static const struct telling {
	const char *text;
	const char *sees;
} tellings[] = {
	{ "{}", "" },
	{ " { } ", "" },
	{ "{ \"a\" : 1 , \"b\" : [ 2 , {\"c\":3} ] , \"d\":{ \"e\":null} }",
	    "a=number:1;b=array:[ 2 , {\"c\":3} ];d=object:{ \"e\":null};" },
	{ "{\"a\":true,\"b\":false,\"c\":null,\"d\":\"x\",\"e\":{},\"f\":[]}",
	    "a=true:true;b=false:false;c=null:null;d=string:\"x\";"
	    "e=object:{};f=array:[];" },
	{ "{\"\":\"\"}", "=string:\"\";" },
	{ "{\"t\\u0079pe\":\"\\n\",\"id\":\"n\"}",
	    "\\t\\u0079pe=\\string:\"\\n\";id=string:\"n\";" },
	/* J4: the caller sees both, and judges. */
	{ "{\"a\":1,\"a\":2}", "a=number:1;a=number:2;" },
	{ "{\"a\":1,\"\\u0061\":2}", "a=number:1;\\\\u0061=number:2;" },
	/* J6, J7: a payload is told byte for byte. */
	{ "{\"payload\":{\"n\":12345678901234567890123,\"s\":\"\\ud800\"}}",
	    "payload=object:{\"n\":12345678901234567890123,"
	    "\"s\":\"\\ud800\"};" },
	/* J9: a room of the wrong type is told with the type it has. */
	{ "{\"room\":7}", "room=number:7;" },
};

START_TEST(the_members_of_an_object_are_told_in_order)
{
	for (size_t i = 0; i < N(tellings); i++) {
		ck_assert_int_eq(members(tellings[i].text), JSON_OK);
		ck_assert_str_eq(buf_text(&seen), tellings[i].sees);
		ck_assert_uint_eq(at, strlen(tellings[i].text));
	}
}
END_TEST

START_TEST(the_elements_of_an_array_are_told_in_order)
{
	ck_assert_int_eq(elements(" [ \"a\\n\" , [1,2],{}, -1.5 ] "), JSON_OK);
	ck_assert_str_eq(buf_text(&seen),
	    "=\\string:\"a\\n\";=array:[1,2];=object:{};=number:-1.5;");
	ck_assert_int_eq(elements("[]"), JSON_OK);
	ck_assert_str_eq(buf_text(&seen), "");
}
END_TEST

START_TEST(whoever_listens_can_end_the_scan)
{
	const char *text = "{\"a\":1, \"b\": [2], \"c\":3}";
	char b[] = "b";

	ck_assert_int_eq(json_members(text, strlen(text), note, b, &at),
	    JSON_STOPPED);
	ck_assert_str_eq(buf_text(&seen), "a=number:1;b=array:[2];");
	ck_assert_uint_eq(at, strcspn(text, "["));
	buf_reset(&seen);
	ck_assert_int_eq(json_elements("[ 1,2]", 6, note_element, b, &at),
	    JSON_STOPPED);
	ck_assert_str_eq(buf_text(&seen), "=number:1;");
	ck_assert_uint_eq(at, 2);
}
END_TEST

START_TEST(a_member_is_told_only_once_it_is_valid)
{
	ck_assert_int_eq(members("{\"a\":1,\"b\":[2,}"), JSON_SYNTAX);
	ck_assert_str_eq(buf_text(&seen), "a=number:1;");
	ck_assert_uint_eq(at, 14);
}
END_TEST

START_TEST(what_is_wanted_is_taken_and_all_else_passed_over)
{
	static const char text[] = "{\"x\":[1],\"b\":1,\"\\u0061\":{},\"b\":2}";
	struct json_value a = { .len = 0 }, b = { .len = 0 }, c = { .len = 0 };
	const struct json_place places[] = { { "a", &a }, { "b", &b },
		{ "c", &c } };

	ck_assert_int_eq(json_take(text, sizeof text - 1, places, 3, &at),
	    JSON_OK);
	ck_assert_int_eq(a.type, JSON_OBJECT);
	ck_assert_ptr_eq(a.text, strstr(text, "{}"));
	ck_assert_uint_eq(a.len, 2);
	ck_assert_ptr_eq(b.text, strstr(text, "2}")); /* the last one */
	ck_assert_uint_eq(c.len, 0);
	ck_assert_int_eq(json_take(text, sizeof text - 2, places, 3, &at),
	    JSON_SYNTAX);
	ck_assert_int_eq(json_take("[]", 2, places, 3, &at), JSON_WRONG_KIND);
}
END_TEST

START_TEST(another_kind_of_value_is_told_from_broken_json)
{
	ck_assert_int_eq(members("null"), JSON_WRONG_KIND);
	ck_assert_int_eq(members("\"{}\""), JSON_WRONG_KIND);
	ck_assert_int_eq(members("[{}]"), JSON_WRONG_KIND);
	ck_assert_int_eq(members("  7 "), JSON_WRONG_KIND);
	ck_assert_uint_eq(at, 2);
	ck_assert_int_eq(elements("{\"a\":[]}"), JSON_WRONG_KIND);
	ck_assert_int_eq(members("[1,]"), JSON_SYNTAX);
	ck_assert_uint_eq(at, 3);
	ck_assert_int_eq(members(""), JSON_SYNTAX);
	ck_assert_int_eq(json_members(NULL, 0, note, NULL, &at), JSON_SYNTAX);
	ck_assert_str_eq(buf_text(&seen), "");
}
END_TEST

/* `depth` containers in one another: arrays, objects, or one in the other. */
static const char *
nest(int kind, size_t depth, const char *core)
{
	char closing[2 * JSON_DEPTH_MAX] = "";

	buf_reset(&made);
	for (size_t i = 0; i < depth; i++) {
		bool object = kind == 1 || (kind == 2 && i % 2 == 0);

		buf_puts(&made, object ? "{\"a\":" : "[");
		closing[depth - 1 - i] = object ? '}' : ']';
	}
	buf_printf(&made, "%s%s", core, closing);
	return made.data;
}

START_TEST(j2_depth_32_is_accepted_and_33_is_not)
{
	enum json_result (*const scan)(const char *) =
	    _i == 0 ? elements : members;

	ck_assert_int_eq(scan(nest(_i, JSON_DEPTH_MAX - 1, "0")), JSON_OK);
	ck_assert_int_eq(scan(nest(_i, JSON_DEPTH_MAX, "0")), JSON_OK);
	ck_assert_int_eq(check(made.data, made.len), JSON_OK);
	ck_assert_int_eq(scan(nest(_i, JSON_DEPTH_MAX + 1, "0")),
	    JSON_TOO_DEEP);
	ck_assert_int_eq(check(made.data, made.len), JSON_TOO_DEEP);
	/* An empty container is one level as any other. */
	ck_assert_int_eq(scan(nest(_i, JSON_DEPTH_MAX - 1, "[]")), JSON_OK);
	ck_assert_int_eq(scan(nest(_i, JSON_DEPTH_MAX, "{}")), JSON_TOO_DEEP);
}
END_TEST

START_TEST(j2_a_million_open_brackets_cost_nothing)
{
	repeat("[[[[[[[[[[[[[[[[", 65536);
	ck_assert_int_eq(check(made.data, made.len), JSON_TOO_DEEP);
	ck_assert_uint_eq(at, JSON_DEPTH_MAX);
}
END_TEST

START_TEST(what_was_closed_does_not_count_as_depth)
{
	buf_puts(&made, "[");
	repeat("[[],{\"a\":[]}],", 100);
	buf_puts(&made, "0]");
	ck_assert_int_eq(check(made.data, made.len), JSON_OK);
}
END_TEST

/* An array of n zeros; n + 1 values in all. */
static const char *
zeros(size_t n)
{
	buf_reset(&made);
	buf_puts(&made, "[0");
	repeat(",0", n - 1);
	buf_puts(&made, "]");
	return made.data;
}

START_TEST(j3_4096_values_are_accepted_and_4097_are_not)
{
	ck_assert_int_eq(elements(zeros(JSON_VALUES_MAX - 2)), JSON_OK);
	ck_assert_int_eq(elements(zeros(JSON_VALUES_MAX - 1)), JSON_OK);
	ck_assert_int_eq(check(made.data, made.len), JSON_OK);
	ck_assert_int_eq(elements(zeros(JSON_VALUES_MAX)), JSON_TOO_MANY);
	ck_assert_int_eq(check(made.data, made.len), JSON_TOO_MANY);
	ck_assert_uint_eq(at, made.len - 2); /* the last zero */
}
END_TEST

START_TEST(j3_values_count_wherever_they_are_and_keys_do_not)
{
	/* Two outside, three for each element ({}, [], 0), and two more. */
	size_t n = (JSON_VALUES_MAX - 2) / 3;

	ck_assert_uint_eq(2 + 3 * n + 2, JSON_VALUES_MAX);
	for (size_t more = 0; more < 4; more++) {
		buf_reset(&made);
		buf_puts(&made, "{\"payload\":[");
		repeat("{\"a\":[0]},", n - 1);
		buf_puts(&made, "{\"a\":[0]}");
		repeat(",0", more);
		buf_puts(&made, "]}");
		ck_assert_int_eq(members(made.data),
		    more <= 2 ? JSON_OK : JSON_TOO_MANY);
	}
}
END_TEST

/* Strings between their quotes, and what they mean. */
static const struct decoding {
	const char *text;
	const char *means;
} decodings[] = {
	{ "", "" },
	{ "gr\xc3\xbc", "gr\xc3\xbc" },
	{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
	{ "a\\nb\\\\nc", "a\nb\\nc" },
	{ "\\u0001\\u007a\\u007A", "\x01zz" },
	{ "\\u007f\\u0080", "\x7f\xc2\x80" },
	{ "\\u07ff\\u0800", "\xdf\xbf\xe0\xa0\x80" },
	{ "\\uD7FF\\uE000", "\xed\x9f\xbf\xee\x80\x80" },
	{ "\\uffff", "\xef\xbf\xbf" },
	{ "\\ud800\\udc00", "\xf0\x90\x80\x80" },
	{ "\\uD83D\\uDE00", "\xf0\x9f\x98\x80" },
	{ "\\udbff\\udfff", "\xf4\x8f\xbf\xbf" },
	{ "x\\ud83d\\ude00y", "x\xf0\x9f\x98\x80y" },
	{ "\\\\ud800", "\\ud800" },
};

START_TEST(a_string_is_decoded_when_it_fits)
{
	const struct decoding *d = &decodings[_i];
	size_t want = strlen(d->means);
	size_t len;

	buf_printf(&made, "\"%s\"", d->text);
	for (size_t size = 0; size <= want + 1; size++) {
		char *out = malloc(size > 0 ? size : 1);

		if (json_decode(value_of(made.data), out, size, &len)) {
			ck_assert_uint_ge(size, want);
			ck_assert_uint_eq(len, want);
			ck_assert_mem_eq(out, d->means, want);
		} else {
			ck_assert_uint_lt(size, want);
		}
		free(out);
	}
}
END_TEST

/* J5: with a NUL in it a text is not what it seems.  J6: half a pair is no
 * character.  J9: not strings. */
static const char *const no_texts[] = { "\"\\u0000\"", "\"admin\\u0000x\"",
	"\"\\ud800\"", "\"\\udbff\"", "\"\\udc00\"", "\"\\udfff\"",
	"\"\\ud800x\"", "\"\\ud800\\n\"", "\"\\ud800\\ndc00\"",
	"\"\\udc00\\udc00\"", "\"\\ud800xudc00\"", "\"\\ud800\\u0041\"",
	"\"\\ud800\\ud800\"", "\"\\ud800\\ue000\"", "\"\\udc00\\ud800\"",
	"\"\\ud83d\\ude00\\ude00\"", "\"fine till here \\ud800\"", "7", "12",
	"12345", "null", "true", "[\"a\"]", "{}" };

START_TEST(j6_what_is_legal_but_no_text_is_not_decoded)
{
	char out[64];
	size_t len;

	for (size_t i = 0; i < N(no_texts); i++) {
		ck_assert_msg(!json_decode(value_of(no_texts[i]), out,
				  sizeof out, &len),
		    "%s", no_texts[i]);
	}
}
END_TEST

START_TEST(every_character_can_be_escaped)
{
	for (unsigned c = 1; c <= 0x10ffff; c += c < 0x10000 ? 1 : 251) {
		unsigned high = 0xd800 + ((c - 0x10000) >> 10);
		unsigned low = 0xdc00 + (c & 0x3ff);
		char text[16], out[4];
		unsigned back;
		size_t len;

		if (c >= 0xd800 && c <= 0xdfff) {
			continue;
		}
		snprintf(text, sizeof text,
		    c < 0x10000 ? "\"\\u%04x\"" : "\"\\u%04X\\u%04x\"",
		    c < 0x10000 ? c : high, low);
		ck_assert(json_decode(value_of(text), out, sizeof out, &len));
		ck_assert_uint_eq(utf8_char(out, len), len);
		back = (unsigned char)out[0] & (len == 1 ? 0x7f : 0xff >> len);
		for (size_t i = 1; i < len; i++) {
			back = back << 6 | ((unsigned char)out[i] & 0x3f);
		}
		ck_assert_uint_eq(back, c);
	}
}
END_TEST

START_TEST(a_string_of_64_kib_is_decoded_whole)
{
	static const struct decoding pieces[] = {
		{ "0123456789abcdef", "0123456789abcdef" },
		{ "\\\"\\\\\\n\\t\\b\\f\\r\\/01234567",
		    "\"\\\n\t\b\f\r/01234567" },
		{ "\\u00e4xx\\u00e4xx\\ud83d\\ude00zzzz",
		    "\xc3\xa4xx\xc3\xa4xx\xf0\x9f\x98\x80zzzz" },
	};
	char *out = malloc(65536);
	size_t len;

	buf_puts(&made, "\"");
	repeat(pieces[_i].text, 4096);
	buf_puts(&made, "\"");
	ck_assert_uint_eq(value_of(made.data)->len, made.len);
	ck_assert(json_decode(&value, out, 65536, &len));
	ck_assert_uint_eq(len, 65536);
	for (size_t i = 0; i < 65536; i += 16) {
		ck_assert_mem_eq(out + i, pieces[_i].means, 16);
	}
	ck_assert(!json_decode(&value, out, 65535, &len));
	free(out);
}
END_TEST

/* Keys that mean "type", and others that do not. */
static const char *const same_keys[] = { "\"type\"", "\"t\\u0079pe\"",
	"\"\\u0074\\u0079\\u0070\\u0065\"" };
static const char *const other_keys[] = { "\"\"", "\"typ\"", "\"types\"",
	"\"Type\"", "\"t\\u0079p\"", "\"t\\u0059pe\"", "\"type\\u0000\"",
	"\"type\\u0000x\"", "\"type\\ud800\"",
	("\"\\u0074ype0123456789012345678901234567890123456789012345678901234"
	 "567890123456789\"") };

static bool
is_type(const char *quoted)
{
	return json_key_is(quoted + 1, strlen(quoted) - 2,
	    strchr(quoted, '\\') != NULL, "type");
}

START_TEST(j5_a_key_is_compared_by_what_it_means)
{
	for (size_t i = 0; i < N(same_keys); i++) {
		ck_assert_msg(is_type(same_keys[i]), "%s", same_keys[i]);
	}
	for (size_t i = 0; i < N(other_keys); i++) {
		ck_assert_msg(!is_type(other_keys[i]), "%s", other_keys[i]);
	}
}
END_TEST

/* J7: up to the last that fits; and what is refused, never saturated. */
static const char *const integers[] = { "0", "7", "9007199254740993",
	"9223372036854775807", "9223372036854775808", "18446744073709551614",
	"18446744073709551615" };
static const char *const no_integers[] = { "18446744073709551616",
	"18446744073709551620", "19000000000000000000", "99999999999999999999",
	"100000000000000000000", "184467440737095516150", "-0", "-1", "1.0",
	"1e0", "1E3", "\"1\"", "null", "true", "[1]" };

START_TEST(j7_an_integer_is_exact_or_refused)
{
	uint64_t n = 0;

	for (size_t i = 0; i < N(integers); i++) {
		ck_assert_msg(json_u64(value_of(integers[i]), &n), "%s",
		    integers[i]);
		ck_assert_uint_eq(n, strtoull(integers[i], NULL, 10));
	}
	for (size_t i = 0; i < N(no_integers); i++) {
		ck_assert_msg(!json_u64(value_of(no_integers[i]), &n), "%s",
		    no_integers[i]);
	}
	ck_assert_uint_eq(n, UINT64_MAX); /* a refusal writes nothing */
}
END_TEST

START_TEST(every_result_has_words_of_its_own)
{
	for (int a = JSON_OK; a <= JSON_STOPPED; a++) {
		ck_assert_uint_gt(strlen(json_strerror(a)), 0);
		for (int b = JSON_OK; b < a; b++) {
			ck_assert_str_ne(json_strerror(a), json_strerror(b));
		}
	}
}
END_TEST

/* Numbers that look random and are the same in each run. */
static uint32_t dice_state;

static uint32_t
dice(uint32_t sides)
{
	dice_state = dice_state * 1664525u + 1013904223u;
	return (dice_state >> 8) % sides;
}

static void
make_blanks(void)
{
	repeat(&"\n \t \r "[dice(6)], dice(4) == 0);
}

static void
make_string(uint32_t unique)
{
	static const char *const pieces[] = { "", "a", " ", "plain text",
		"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\\n", "\\\"",
		"\\\\", "\\/", "\\u00e4", "\\uD83D\\ude00", "{", "]", ",", ":",
		"/*" };

	buf_printf(&made, "\"%u", unique);
	for (uint32_t n = dice(6); n > 0; n--) {
		buf_puts(&made, pieces[dice(N(pieces))]);
	}
	buf_puts(&made, "\"");
}

static void make_container(unsigned depth, bool object);

static void
make_value(unsigned depth)
{
	static const char *const words[] = { "null", "true", "false", "0", "-1",
		"4711", "1.5", "-0.25e+3", "12E-2", "[]", "{ }" };
	uint32_t kind = dice(depth < 6 ? 5 : 2);

	make_blanks();
	if (kind == 0) {
		make_string(dice(9));
	} else if (kind == 1) {
		buf_puts(&made, words[dice(N(words))]);
	} else {
		make_container(depth + 1, kind == 2);
	}
	make_blanks();
}

static void
make_container(unsigned depth, bool object)
{
	buf_puts(&made, object ? "{" : "[");
	for (uint32_t n = dice(4), i = 0; i <= n; i++) {
		buf_puts(&made, i > 0 ? "," : "");
		if (object) {
			make_blanks();
			make_string(i);
			make_blanks();
			buf_puts(&made, ":");
		}
		make_value(depth);
	}
	buf_puts(&made, object ? "}" : "]");
}

/* json-c is more lenient: NULL when even that refuses the text, which holds
 * more than null. */
static struct json_object *
read_by_json_c(const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new_ex(2 * JSON_DEPTH_MAX);
	char *ended = strndup(text, len); /* so that a number has an end */
	struct json_object *o;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(tok, ended, (int)len + 1);
	json_tokener_free(tok);
	free(ended);
	return o;
}

/* Is this member what json-c has found under its key? */
static bool
compare_member(void *whole, const char *key, size_t len, bool escaped,
    const struct json_value *v)
{
	struct json_value quoted = { JSON_STRING, escaped, key - 1, len + 2 };
	struct json_object *o = read_by_json_c(v->text, v->len);
	struct json_object *same;
	char plain[256] = "";

	ck_assert(json_decode(&quoted, plain, sizeof plain - 1, &len));
	ck_assert(json_key_is(key, quoted.len - 2, escaped, plain));
	ck_assert(json_object_object_get_ex(whole, plain, &same));
	ck_assert(json_object_equal(o, same));
	ck_assert_int_eq(json_object_is_type(o, json_type_string),
	    v->type == JSON_STRING);
	if (v->type == JSON_STRING) {
		ck_assert(json_decode(v, plain, sizeof plain, &len));
		ck_assert_uint_eq(len, (size_t)json_object_get_string_len(o));
		ck_assert_mem_eq(plain, json_object_get_string(o), len);
	}
	json_object_put(o);
	return true;
}

/* What is accepted of a text in which one byte is another. */
static void
damage_and_compare(void)
{
	static const char damage[] = "{}[]\",:\\0-.eE+ \n\t'n/u9";
	size_t place = dice((uint32_t)made.len);
	char old = made.data[place];
	struct json_object *o;

	made.data[place] = damage[dice(sizeof damage - 1)];
	if (utf8_valid(made.data, made.len) &&
	    check(made.data, made.len) == JSON_OK) {
		o = read_by_json_c(made.data, made.len);
		ck_assert_msg(o != NULL, "%s", made.data);
		json_object_put(o);
	}
	made.data[place] = old;
}

START_TEST(json_c_accepts_what_is_accepted_and_reads_the_same)
{
	for (uint32_t seed = 0; seed < 400; seed++) {
		struct json_object *o;

		dice_state = seed;
		buf_reset(&made);
		make_container(0, true);
		o = read_by_json_c(made.data, made.len);
		ck_assert_msg(o != NULL, "%s", made.data);
		ck_assert_int_eq(json_members(made.data, made.len,
				     compare_member, o, &at),
		    JSON_OK);
		json_object_put(o);
		for (int i = 0; i < 40; i++) {
			damage_and_compare();
		}
	}
}
END_TEST

static void
add_scanning(TCase *t)
{
	tcase_add_loop_test(t, what_rfc_8259_allows_is_accepted, 0,
	    N(accepted));
	tcase_add_test(t, j5_what_rfc_8259_forbids_is_refused_where_it_stands);
	tcase_add_test(t, j5_what_is_refused_alone_is_refused_in_an_envelope);
	tcase_add_test(t, j5_a_nul_byte_is_no_end_and_no_blank);
	tcase_add_test(t, a_string_is_read_right_wherever_its_bytes_fall);
	tcase_add_test(t, the_members_of_an_object_are_told_in_order);
	tcase_add_test(t, the_elements_of_an_array_are_told_in_order);
	tcase_add_test(t, whoever_listens_can_end_the_scan);
	tcase_add_test(t, a_member_is_told_only_once_it_is_valid);
	tcase_add_test(t, what_is_wanted_is_taken_and_all_else_passed_over);
	tcase_add_test(t, another_kind_of_value_is_told_from_broken_json);
	tcase_add_loop_test(t, j2_depth_32_is_accepted_and_33_is_not, 0, 3);
	tcase_add_test(t, j2_a_million_open_brackets_cost_nothing);
	tcase_add_test(t, what_was_closed_does_not_count_as_depth);
	tcase_add_test(t, j3_4096_values_are_accepted_and_4097_are_not);
	tcase_add_test(t, j3_values_count_wherever_they_are_and_keys_do_not);
}

static void
add_decoding(TCase *t)
{
	tcase_add_loop_test(t, a_string_is_decoded_when_it_fits, 0,
	    N(decodings));
	tcase_add_test(t, j6_what_is_legal_but_no_text_is_not_decoded);
	tcase_add_test(t, every_character_can_be_escaped);
	tcase_add_loop_test(t, a_string_of_64_kib_is_decoded_whole, 0, 3);
	tcase_add_test(t, j5_a_key_is_compared_by_what_it_means);
	tcase_add_test(t, j7_an_integer_is_exact_or_refused);
	tcase_add_test(t, every_result_has_words_of_its_own);
	tcase_add_test(t, json_c_accepts_what_is_accepted_and_reads_the_same);
}

int
main(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("json");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	add_scanning(t);
	add_decoding(t);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

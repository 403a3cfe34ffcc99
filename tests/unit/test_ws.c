/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proto/ws.h"

#define N(table) (sizeof(table) / sizeof(table)[0])
#define FIN 0x80
#define RSV1 0x40
#define MASKED 0x80
#define LIMIT 65536u

static struct buf wire; /* what the peer sends */
static struct buf seen; /* what the reader made of it */
static struct ws_reader reader;
static struct ws_item item; /* the last one */

static void
setup(void)
{
	memset(&wire, 0, sizeof wire);
	memset(&seen, 0, sizeof seen);
	memset(&reader, 0, sizeof reader);
	reader.max_message = LIMIT;
}

static void
teardown(void)
{
	buf_fini(&wire);
	buf_fini(&seen);
}

/* The head of a masked frame in a given form: 0, 16 or 64 bits of length;
 * the mask is one that no two bytes of which are alike. */
static void
put_head(uint8_t first, int form, uint64_t len)
{
	buf_putc(&wire, (char)first);
	if (form == 0) {
		buf_putc(&wire, (char)(MASKED | len));
	} else {
		buf_putc(&wire, (char)(MASKED | (form == 16 ? 126 : 127)));
		for (int shift = form - 8; shift >= 0; shift -= 8) {
			buf_putc(&wire, (char)(len >> shift));
		}
	}
	buf_add(&wire, "\x37\xfa\x21\x3d", 4);
}

/* A masked frame in the shortest form. */
static void
put(uint8_t first, const void *payload, size_t len)
{
	static const char mask[] = "\x37\xfa\x21\x3d";
	const char *p = payload;

	put_head(first, len < 126 ? 0 : len <= UINT16_MAX ? 16 : 64, len);
	for (size_t i = 0; i < len; i++) {
		buf_putc(&wire, (char)(p[i] ^ mask[i % 4]));
	}
}

static void
put_text(uint8_t first, const char *payload)
{
	put(first, payload, strlen(payload));
}

static void
put_close(unsigned code, const char *reason)
{
	char payload[125] = { (char)(code >> 8), (char)code };

	memcpy(payload + 2, reason, strlen(reason));
	put(FIN | WS_CLOSE, payload, 2 + strlen(reason));
}

/* Note an item as "text<>[abc] ": "<" is on the first piece, ">" on the
 * last, "~" on all of a compressed message. */
static void
note(void)
{
	static const char *const names[] = { [WS_TEXT] = "text",
		[WS_BINARY] = "binary",
		[WS_CLOSE] = "close",
		[WS_PING] = "ping",
		[WS_PONG] = "pong" };

	if (item.event == WS_FAIL) {
		buf_printf(&seen, "fail %u %s", item.code, item.reason);
		return;
	}
	buf_puts(&seen, names[item.opcode]);
	buf_puts(&seen, item.compressed ? "~" : "");
	buf_puts(&seen, item.first ? "<" : "");
	buf_puts(&seen, item.last ? ">" : "");
	if (item.opcode == WS_CLOSE) {
		buf_printf(&seen, "%u", item.code);
	}
	buf_putc(&seen, '[');
	buf_add(&seen, item.data, item.len);
	buf_puts(&seen, "] ");
}

/* One call, on memory that ends where the bytes do, so that a sanitizer sees
 * a look behind them. */
static size_t
read_one(const char *data, size_t len)
{
	uint8_t *exact = malloc(len > 0 ? len : 1);
	size_t used;

	if (len > 0) {
		memcpy(exact, data, len);
	}
	used = ws_read(&reader, exact, len, &item);
	if (item.event == WS_MORE) {
		ck_assert_uint_eq(used, 0);
		ck_assert_uint_gt(item.need, len);
		ck_assert(len == 0 || memcmp(exact, data, len) == 0);
	} else {
		ck_assert((used == 0) == (item.event == WS_FAIL));
		note();
	}
	free(exact);
	return used;
}

/* Read the wire as it comes in pieces of `step` bytes; what came of it. */
static const char *
read_in_steps(size_t step)
{
	size_t used = 0;
	size_t have = 0;

	buf_reset(&seen);
	while (have < wire.len) {
		have = have + step < wire.len ? have + step : wire.len;
		do {
			used += read_one(wire.data + used, have - used);
		} while (item.event != WS_MORE && item.event != WS_FAIL);
		if (item.event == WS_FAIL) {
			break;
		}
	}
	return buf_text(&seen);
}

/* Read the wire at once, and forget it. */
static const char *
understood(void)
{
	const char *text = read_in_steps(wire.len);

	buf_reset(&wire);
	return text;
}

static const size_t lengths[] = { 0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33,
	124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536 };

START_TEST(a_frame_of_any_length_is_unmasked_where_it_is)
{
	size_t len = lengths[_i];
	char *want = malloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		want[i] = (char)('a' + i % 23);
	}
	put(FIN | WS_TEXT, want, len);

	ck_assert_uint_eq(ws_read(&reader, (uint8_t *)wire.data, wire.len,
			      &item),
	    wire.len);
	ck_assert_int_eq(item.event, WS_DATA);
	ck_assert_uint_eq(item.opcode, WS_TEXT);
	ck_assert(item.first && item.last);
	ck_assert_uint_eq(item.len, len);
	ck_assert_ptr_eq(item.data, wire.data + wire.len - len);
	ck_assert(memcmp(item.data, want, len) == 0);
	free(want);
}
END_TEST

START_TEST(a_mask_of_zeros_and_an_odd_place_are_as_good)
{
	char text[64] = "";

	for (size_t shift = 0; shift < 9; shift++) {
		memcpy(text + shift, "\x81\x94\0\0\0\0twenty bytes of text",
		    26);
		ck_assert_uint_eq(ws_read(&reader, (uint8_t *)text + shift, 26,
				      &item),
		    26);
		ck_assert(memcmp(item.data, "twenty bytes of text", 20) == 0);
	}
}
END_TEST

/* W1 to W5: two bytes or the head show it.  The mask is left out of the
 * first ones, so they are judged by two bytes alone. */
static const struct violation {
	const char *bytes;
	size_t len;
	const char *says;
} violations[] = {
	{ "\x81\x00", 2, "frame is not masked" },
	{ "\x89\x00", 2, "frame is not masked" },
	{ "\x88\x02", 2, "frame is not masked" },
	{ "\xc1\x80", 2, "a reserved bit is set" },
	{ "\xa1\x80", 2, "a reserved bit is set" },
	{ "\x91\x80", 2, "a reserved bit is set" },
	{ "\xf1\x80", 2, "a reserved bit is set" },
	{ "\xc9\x80", 2, "a reserved bit is set" },
	{ "\x89\xfe", 2, "control frame is longer than 125 bytes" },
	{ "\x8a\xff", 2, "control frame is longer than 125 bytes" },
	{ "\x88\xfe", 2, "control frame is longer than 125 bytes" },
	{ "\x09\x80", 2, "control frame is fragmented" },
	{ "\x0a\x80", 2, "control frame is fragmented" },
	{ "\x08\x82", 2, "control frame is fragmented" },
	{ "\x80\x80", 2, "continuation without a start" },
	{ "\x00\x80", 2, "continuation without a start" },
};

START_TEST(w1_w2_w4_w8_a_broken_rule_is_seen_in_two_bytes)
{
	const struct violation *v = &violations[_i];
	char want[80];

	buf_add(&wire, v->bytes, v->len);
	snprintf(want, sizeof want, "fail 1002 %s", v->says);
	ck_assert_str_eq(understood(), want);
}
END_TEST

START_TEST(w3_reserved_opcodes_are_refused)
{
	for (unsigned opcode = 0; opcode < 16; opcode++) {
		bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);

		setup();
		put_head((uint8_t)(FIN | opcode), 0, 0);
		understood();
		ck_assert_msg((strstr(buf_text(&seen), "reserved opcode") ==
				  NULL) == known,
		    "%u: %s", opcode, buf_text(&seen));
		teardown();
	}
	setup();
}
END_TEST

static const struct written {
	int form;
	uint64_t len;
	const char *says; /* NULL: it is the shortest form */
} writings[] = {
	{ 16, 0, "length is not in its shortest form" },
	{ 16, 125, "length is not in its shortest form" },
	{ 16, 126, NULL },
	{ 16, 65535, NULL },
	{ 64, 0, "length is not in its shortest form" },
	{ 64, 125, "length is not in its shortest form" },
	{ 64, 126, "length is not in its shortest form" },
	{ 64, 65535, "length is not in its shortest form" },
	{ 64, 65536, NULL },
	{ 64, 1ull << 63, "length has its top bit set" },
	{ 64, UINT64_MAX, "length has its top bit set" },
};

START_TEST(w5_a_length_has_one_way_to_be_written)
{
	const struct written *w = &writings[_i];

	put_head(FIN | WS_BINARY, w->form, w->len);
	read_one(wire.data, wire.len);
	if (w->says == NULL) {
		ck_assert_int_eq(item.event, WS_MORE);
		ck_assert_uint_eq(item.need, wire.len + w->len);
		return;
	}
	ck_assert_int_eq(item.event, WS_FAIL);
	ck_assert_uint_eq(item.code, 1002);
	ck_assert_str_eq(item.reason, w->says);
}
END_TEST

/* W6: each limit with what is under, at, and over it. */
static const struct bound {
	uint32_t limit;
	int form;
	uint64_t len;
	bool fits;
} bounds[] = {
	{ 100, 0, 99, true },
	{ 100, 0, 100, true },
	{ 100, 0, 101, false },
	{ 1000, 16, 999, true },
	{ 1000, 16, 1000, true },
	{ 1000, 16, 1001, false },
	{ LIMIT, 16, LIMIT - 1, true },
	{ LIMIT, 64, LIMIT, true },
	{ LIMIT, 64, LIMIT + 1, false },
	{ LIMIT, 64, 1ull << 32, false },
	{ LIMIT, 64, (1ull << 32) + 1, false },
	{ LIMIT, 64, INT64_MAX, false },
	{ UINT32_MAX, 64, INT64_MAX, false },
};

START_TEST(w6_a_message_over_the_limit_is_refused_by_its_head)
{
	const struct bound *b = &bounds[_i];

	reader.max_message = b->limit;
	put_head(FIN | WS_TEXT, b->form, b->len);
	read_one(wire.data, wire.len);
	if (b->fits) {
		ck_assert_int_eq(item.event, WS_MORE);
		ck_assert_uint_eq(item.need, wire.len + b->len);
		return;
	}
	ck_assert_str_eq(buf_text(&seen), "fail 1009 message is too big");
	ck_assert_uint_eq(item.need, b->len);
}
END_TEST

START_TEST(w6_control_frames_do_not_count_as_messages)
{
	reader.max_message = 4;
	put_text(WS_TEXT, "ab");
	put_text(FIN | WS_PING, "are you there");
	put_text(FIN | WS_CONTINUATION, "cd");
	ck_assert_str_eq(understood(),
	    "text<[ab] ping[are you there] text>[cd] ");
}
END_TEST

START_TEST(w7_fragments_count_together_against_the_limit)
{
	for (unsigned over = 0; over < 2; over++) {
		reader = (struct ws_reader){ .max_message = 8 };
		put_text(WS_TEXT, "abc");
		put_text(WS_CONTINUATION, "def");
		put_head(FIN | WS_CONTINUATION, 0, 2 + over);
		understood();
		ck_assert_int_eq(item.event, over ? WS_FAIL : WS_MORE);
	}
	ck_assert_str_eq(buf_text(&seen),
	    "text<[abc] text[def] fail 1009 message is too big");
	ck_assert_uint_eq(item.need, 3);
}
END_TEST

START_TEST(w7_the_next_message_has_the_whole_limit_again)
{
	reader.max_message = 4;
	for (int i = 0; i < 3; i++) {
		put_text(WS_TEXT, "abc");
		put_text(FIN | WS_CONTINUATION, "d");
		put_text(FIN | WS_TEXT, "efgh");
	}
	understood();
	ck_assert_int_eq(item.event, WS_MORE);
	ck_assert_uint_eq(strlen(buf_text(&seen)),
	    3 * strlen("text<[abc] text>[d] text<>[efgh] "));
}
END_TEST

START_TEST(w7_64_fragments_are_a_message_and_65_are_not)
{
	for (int n = 63; n <= 65; n++) {
		reader = (struct ws_reader){ .max_message = LIMIT };
		put_text(WS_TEXT, "");
		for (int i = 2; i < n; i++) {
			put_text(WS_CONTINUATION, "");
		}
		put_text(FIN | WS_CONTINUATION, "x");
		understood();
		ck_assert_int_eq(item.event, n <= 64 ? WS_MORE : WS_FAIL);
	}
	ck_assert_uint_eq(item.code, 1009);
	ck_assert_str_eq(item.reason, "message has more than 64 fragments");
	/* The size is not at fault, so no size is told. */
	ck_assert_uint_eq(item.need, 0);
}
END_TEST

START_TEST(w7_the_fragments_of_one_message_do_not_count_in_the_next)
{
	for (int i = 0; i < 200; i++) {
		put_text(WS_BINARY, "a");
		put_text(FIN | WS_CONTINUATION, "b");
	}
	understood();
	ck_assert_int_eq(item.event, WS_MORE);
}
END_TEST

START_TEST(w8_a_new_message_may_not_begin_inside_another)
{
	static const uint8_t firsts[] = { WS_TEXT, WS_BINARY, FIN | WS_TEXT,
		FIN | WS_BINARY };

	put_text(WS_TEXT, "a");
	put_text(firsts[_i], "b");
	ck_assert_str_eq(understood(),
	    "text<[a] fail 1002 new message inside a fragmented one");
}
END_TEST

START_TEST(w8_after_its_end_a_message_cannot_be_continued)
{
	put_text(WS_TEXT, "a");
	put_text(FIN | WS_CONTINUATION, "b");
	put_text(FIN | WS_CONTINUATION, "c");
	ck_assert_str_eq(understood(),
	    "text<[a] text>[b] fail 1002 continuation without a start");
}
END_TEST

START_TEST(control_frames_come_between_fragments)
{
	put_text(WS_BINARY, "a");
	put_text(FIN | WS_PONG, "");
	put_text(WS_CONTINUATION, "b");
	put_text(FIN | WS_PING, "p");
	put_text(FIN | WS_CONTINUATION, "");
	put_close(1000, "");
	ck_assert_str_eq(understood(),
	    "binary<[a] pong[] binary[b] ping[p] binary>[] close1000[\x03\xe8] ");
}
END_TEST

static const char *const not_utf8[] = { "\xff", "\x80", "ab\xc0\xaf",
	"\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80",
	"eight by\xfets", "\xe2\x82", "\xf0\x9f\x98", "ok \xc3" };

START_TEST(w9_text_that_is_not_utf8_is_refused)
{
	put_text(FIN | WS_TEXT, not_utf8[_i]);
	ck_assert_str_eq(understood(), "fail 1007 text is not UTF-8");
}
END_TEST

START_TEST(w9_binary_may_hold_anything)
{
	put_text(FIN | WS_BINARY, not_utf8[_i]);
	understood();
	ck_assert_int_eq(item.event, WS_MORE);
	ck_assert_uint_eq(strncmp(buf_text(&seen), "binary<>[", 9), 0);
}
END_TEST

START_TEST(w9_a_character_may_be_split_anywhere_between_fragments)
{
	const char *text = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z";
	size_t len = strlen(text);

	for (size_t i = 0; i <= len; i++) {
		for (size_t k = i; k <= len; k++) {
			put(WS_TEXT, text, i);
			put_text(FIN | WS_PING, "\xff"); /* no text */
			put(WS_CONTINUATION, text + i, k - i);
			put(FIN | WS_CONTINUATION, text + k, len - k);
			understood();
			ck_assert_int_eq(item.event, WS_MORE);
		}
	}
}
END_TEST

START_TEST(w9_a_fragment_is_refused_as_soon_as_it_cannot_be_right)
{
	put_text(WS_TEXT, "\xf0\x9f");
	put_text(WS_CONTINUATION, "x");
	put_text(FIN | WS_CONTINUATION, "");
	ck_assert_str_eq(understood(),
	    "text<[\xf0\x9f] fail 1007 text is not UTF-8");
}
END_TEST

START_TEST(w9_a_message_that_ends_inside_a_character_is_refused)
{
	put_text(WS_TEXT, "\xe2\x82");
	put_text(FIN | WS_CONTINUATION, "");
	ck_assert_str_eq(understood(),
	    "text<[\xe2\x82] fail 1007 text is not UTF-8");
}
END_TEST

/* The list of RFC 6455, 7.4, and of what IANA has added to it. */
static bool
is_close_code(unsigned code)
{
	static const unsigned codes[] = { 1000, 1001, 1002, 1003, 1007, 1008,
		1009, 1010, 1011, 1012, 1013, 1014 };

	for (size_t i = 0; i < N(codes); i++) {
		if (code == codes[i]) {
			return true;
		}
	}
	return code >= 3000 && code < 5000;
}

START_TEST(w11_only_codes_that_may_be_sent_are_taken)
{
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		ck_assert_uint_eq(ws_close_code_valid((uint16_t)code),
		    is_close_code(code));
		buf_reset(&wire);
		buf_reset(&seen);
		put_close(code, "bye");
		read_one(wire.data, wire.len);
		ck_assert_uint_eq(item.event,
		    is_close_code(code) ? WS_CONTROL : WS_FAIL);
		ck_assert_uint_eq(item.code, is_close_code(code) ? code : 1002);
	}
}
END_TEST

START_TEST(w11_a_close_says_its_code_and_reason)
{
	put_close(4008, "too slow, \xe2\x82\xac");
	read_one(wire.data, wire.len);
	ck_assert_int_eq(item.event, WS_CONTROL);
	ck_assert_uint_eq(item.code, 4008);
	ck_assert_uint_eq(item.len, 2 + 13);
}
END_TEST

START_TEST(w11_a_close_may_say_nothing)
{
	put(FIN | WS_CLOSE, "", 0);
	ck_assert_str_eq(understood(), "close1005[] ");
}
END_TEST

START_TEST(w11_half_a_code_is_refused)
{
	put(FIN | WS_CLOSE, "\x03", 1);
	ck_assert_str_eq(understood(), "fail 1002 close with half a code");
}
END_TEST

START_TEST(w11_a_close_of_125_bytes_is_the_longest)
{
	char reason[124] = "";

	memset(reason, 'r', sizeof reason - 1);
	put_close(1000, reason);
	understood();
	ck_assert_uint_eq(item.event, WS_MORE);
	ck_assert_uint_eq(strncmp(buf_text(&seen), "close1000[", 10), 0);
}
END_TEST

START_TEST(w9_a_close_reason_is_text)
{
	put_close(1000, "\xff");
	put_close(1000, "\xe2\x82");
	ck_assert_str_eq(understood(), "fail 1007 close reason is not UTF-8");
}
END_TEST

static void
put_conversation(void)
{
	char large[300];

	memset(large, 'L', sizeof large);
	put_text(FIN | WS_TEXT, "one");
	put(FIN | WS_TEXT, large, sizeof large);
	put_text(WS_TEXT, "t\xe2");
	put_text(FIN | WS_PING, "now");
	put_text(WS_CONTINUATION, "\x82\xac");
	put_text(FIN | WS_CONTINUATION, "");
	put(FIN | WS_BINARY, large, 126);
	put_text(FIN | WS_PONG, "");
	put_close(1000, "bye");
}

START_TEST(w14_bytes_in_any_pieces_make_the_same_frames)
{
	char *want;

	put_conversation();
	want = strdup(read_in_steps(wire.len));
	ck_assert(strstr(want, "text>[] binary<>[LLL") != NULL);
	for (size_t step = 1; step < 130; step++) {
		reader = (struct ws_reader){ .max_message = LIMIT };
		ck_assert_str_eq(read_in_steps(step), want);
	}
	free(want);
}
END_TEST

START_TEST(w14_bytes_in_any_pieces_fail_the_same)
{
	static const char *const ends[] = { "\x81\x00", "\x81\xfe\0\0----",
		"\x88\x81----x", "\x80\x80----", "\x81\x81\0\0\0\0\xff" };
	static const size_t sizes[] = { 2, 8, 7, 6, 7 };
	char *want;

	put_conversation();
	buf_add(&wire, ends[_i], sizes[_i]);
	want = strdup(read_in_steps(wire.len));
	ck_assert(strstr(want, "fail 100") != NULL);
	for (size_t step = 1; step < 20; step++) {
		reader = (struct ws_reader){ .max_message = LIMIT };
		ck_assert_str_eq(read_in_steps(step), want);
	}
	free(want);
}
END_TEST

START_TEST(w14_a_thousand_frames_come_in_one_piece)
{
	struct buf want = { 0 };

	for (int i = 0; i < 1000; i++) {
		char text[16];

		snprintf(text, sizeof text, "%d", i);
		put_text(FIN | WS_TEXT, text);
		buf_printf(&want, "text<>[%d] ", i);
	}
	ck_assert_str_eq(understood(), buf_text(&want));
	buf_fini(&want);
}
END_TEST

START_TEST(what_is_missing_is_told_as_soon_as_it_is_known)
{
	put_head(FIN | WS_TEXT, 16, 1000);
	for (size_t have = 0; have <= wire.len; have++) {
		read_one(wire.data, have);
		ck_assert_uint_eq(item.need,
		    have < 2              ? 2
			: have < wire.len ? wire.len
					  : wire.len + 1000);
	}
}
END_TEST

START_TEST(our_own_frames_have_the_shortest_head)
{
	static const struct {
		uint64_t len;
		const char *head;
		size_t size;
	} heads[] = {
		{ 0, "\x81\x00", 2 },
		{ 125, "\x81\x7d", 2 },
		{ 126, "\x81\x7e\x00\x7e", 4 },
		{ 65535, "\x81\x7e\xff\xff", 4 },
		{ 65536, "\x81\x7f\0\0\0\0\0\x01\0\0", 10 },
		{ 0x123456789aull, "\x81\x7f\0\0\0\x12\x34\x56\x78\x9a", 10 },
	};

	for (size_t i = 0; i < N(heads); i++) {
		uint8_t out[WS_HEAD_MAX];
		size_t n = ws_head(out, WS_TEXT, heads[i].len);

		ck_assert_uint_eq(n, heads[i].size);
		ck_assert_mem_eq(out, heads[i].head, n);
		ck_assert_uint_eq(ws_frame_len(out, n), n + heads[i].len);
	}
}
END_TEST

START_TEST(a_compressed_message_is_told_from_a_plain_one)
{
	reader.deflate = true;
	put_text(FIN | RSV1 | WS_TEXT, "abc");
	put_text(FIN | WS_TEXT, "def");
	put_text(FIN | RSV1 | WS_BINARY, "");
	put_text(FIN | WS_BINARY, "ghi");
	ck_assert_str_eq(understood(),
	    "text~<>[abc] text<>[def] binary~<>[] binary<>[ghi] ");
}
END_TEST

START_TEST(only_the_first_frame_says_that_a_message_is_compressed)
{
	reader.deflate = true;
	put_text(RSV1 | WS_TEXT, "a");
	put_text(FIN | WS_PING, "p");
	put_text(WS_CONTINUATION, "b");
	put_text(FIN | WS_CONTINUATION, "c");
	put_text(WS_TEXT, "d");
	put_text(FIN | WS_CONTINUATION, "e");
	ck_assert_str_eq(understood(),
	    "text~<[a] ping[p] text~[b] text~>[c] text<[d] text>[e] ");

	put_text(RSV1 | WS_TEXT, "a");
	put_text(FIN | RSV1 | WS_CONTINUATION, "b");
	ck_assert_str_eq(understood(),
	    "text~<[a] fail 1002 a reserved bit is set");
}
END_TEST

START_TEST(a_reserved_bit_stays_wrong_where_nothing_can_be_compressed)
{
	static const uint8_t firsts[] = { FIN | RSV1 | WS_PING,
		FIN | RSV1 | WS_PONG, FIN | RSV1 | WS_CLOSE,
		FIN | RSV1 | WS_CONTINUATION, FIN | RSV1 | 3, FIN | RSV1 | 11,
		FIN | 0x20 | WS_TEXT, FIN | 0x10 | WS_TEXT,
		FIN | RSV1 | 0x20 | WS_TEXT, FIN | RSV1 | 0x10 | WS_BINARY,
		FIN | 0x70 | WS_TEXT };

	for (size_t i = 0; i < N(firsts); i++) {
		reader =
		    (struct ws_reader){ .max_message = LIMIT, .deflate = true };
		put_text(firsts[i], "");
		ck_assert_str_eq(understood(),
		    "fail 1002 a reserved bit is set");
	}
}
END_TEST

START_TEST(compressed_text_is_not_looked_at_and_plain_text_still_is)
{
	reader.deflate = true;
	put_text(FIN | RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07");
	put_text(RSV1 | WS_TEXT, "\xff");
	put_text(FIN | WS_CONTINUATION, "\xe2\x82");
	put_text(WS_TEXT, "\xe2");
	put_text(FIN | WS_CONTINUATION, "\x82\xac");
	put_text(FIN | WS_TEXT, "\xff");
	ck_assert_str_eq(understood(),
	    "text~<>[\xf2\x48\xcd\xc9\xc9\x07] text~<[\xff] "
	    "text~>[\xe2\x82] text<[\xe2] text>[\x82\xac] "
	    "fail 1007 text is not UTF-8");
}
END_TEST

/* What does not compress gets longer: an eighth and 64 bytes are allowed. */
START_TEST(a_compressed_message_is_limited_as_it_comes)
{
	for (unsigned over = 0; over < 2; over++) {
		reader =
		    (struct ws_reader){ .max_message = 16, .deflate = true };
		put_head(FIN | RSV1 | WS_BINARY, 0, 16 + 2 + 64 + over);
		understood();
		ck_assert_int_eq(item.event, over ? WS_FAIL : WS_MORE);
	}
	ck_assert_str_eq(buf_text(&seen), "fail 1009 message is too big");
	ck_assert_uint_eq(item.need, 16 + 2 + 64 + 1);
}
END_TEST

START_TEST(the_fragments_of_a_compressed_message_have_its_limit)
{
	for (unsigned over = 0; over < 2; over++) {
		reader =
		    (struct ws_reader){ .max_message = 4, .deflate = true };
		put_text(FIN | RSV1 | WS_TEXT, "abcdef");
		put_text(RSV1 | WS_TEXT, "abcdefg");
		put_head(FIN | WS_CONTINUATION, 0, 4 + 64 - 7 + over);
		understood();
		ck_assert_int_eq(item.event, over ? WS_FAIL : WS_MORE);
	}
	reader = (struct ws_reader){ .max_message = 4, .deflate = true };
	put_head(FIN | WS_TEXT, 0, 5);
	understood();
	ck_assert_int_eq(item.event, WS_FAIL);
}
END_TEST

START_TEST(compressed_frames_are_the_same_in_whatever_pieces)
{
	static const char *const want =
	    "text~<>[\xf2\x48\xcd\xc9\xc9\x07z] "
	    "text~<[\xf2\x48\xcd] text~>[\xc9\xc9\x07z] ";

	put_text(FIN | RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07z");
	put_text(RSV1 | WS_TEXT, "\xf2\x48\xcd");
	put_text(FIN | WS_CONTINUATION, "\xc9\xc9\x07z");
	for (size_t step = 1; step <= wire.len; step++) {
		reader =
		    (struct ws_reader){ .max_message = LIMIT, .deflate = true };
		ck_assert_str_eq(read_in_steps(step), want);
	}
}
END_TEST

START_TEST(our_own_compressed_frames_say_so)
{
	static const size_t sizes[] = { 0, 125, 126, 65535, 65536 };

	for (size_t i = 0; i < N(sizes); i++) {
		uint8_t plain[WS_HEAD_MAX], out[WS_HEAD_MAX];
		size_t n = ws_head(plain, WS_BINARY, sizes[i]);

		ck_assert_uint_eq(ws_head_compressed(out, WS_BINARY, sizes[i]),
		    n);
		ck_assert_uint_eq(out[0], FIN | RSV1 | WS_BINARY);
		ck_assert_mem_eq(out + 1, plain + 1, n - 1);
		ck_assert_uint_eq(ws_frame_len(out, n), n + sizes[i]);
	}
}
END_TEST

START_TEST(a_reader_is_small_for_every_connection_has_one)
{
	ck_assert_uint_le(sizeof(struct ws_reader), 16);
}
END_TEST

START_TEST(every_opcode_is_written_as_a_final_frame)
{
	static const enum ws_opcode opcodes[] = { WS_TEXT, WS_BINARY, WS_CLOSE,
		WS_PING, WS_PONG };
	uint8_t out[WS_HEAD_MAX];

	for (size_t i = 0; i < N(opcodes); i++) {
		ws_head(out, opcodes[i], 5);
		ck_assert_uint_eq(out[0], FIN | opcodes[i]);
	}
}
END_TEST

START_TEST(h1_a_key_is_accepted_as_the_rfc_shows)
{
	char accept[WS_ACCEPT_SIZE];

	ws_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
	ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

static void
add_frames(TCase *t)
{
	tcase_add_loop_test(t, a_frame_of_any_length_is_unmasked_where_it_is, 0,
	    N(lengths));
	tcase_add_test(t, a_mask_of_zeros_and_an_odd_place_are_as_good);
	tcase_add_loop_test(t, w1_w2_w4_w8_a_broken_rule_is_seen_in_two_bytes,
	    0, N(violations));
	tcase_add_test(t, w3_reserved_opcodes_are_refused);
	tcase_add_loop_test(t, w5_a_length_has_one_way_to_be_written, 0,
	    N(writings));
	tcase_add_loop_test(t,
	    w6_a_message_over_the_limit_is_refused_by_its_head, 0, N(bounds));
	tcase_add_test(t, w6_control_frames_do_not_count_as_messages);
	tcase_add_test(t, w14_bytes_in_any_pieces_make_the_same_frames);
	tcase_add_loop_test(t, w14_bytes_in_any_pieces_fail_the_same, 0, 5);
	tcase_add_test(t, w14_a_thousand_frames_come_in_one_piece);
	tcase_add_test(t, what_is_missing_is_told_as_soon_as_it_is_known);
	tcase_add_test(t, our_own_frames_have_the_shortest_head);
	tcase_add_test(t, every_opcode_is_written_as_a_final_frame);
	tcase_add_test(t, h1_a_key_is_accepted_as_the_rfc_shows);
}

static void
add_compressed(TCase *t)
{
	tcase_add_test(t, a_compressed_message_is_told_from_a_plain_one);
	tcase_add_test(t,
	    only_the_first_frame_says_that_a_message_is_compressed);
	tcase_add_test(t,
	    a_reserved_bit_stays_wrong_where_nothing_can_be_compressed);
	tcase_add_test(t,
	    compressed_text_is_not_looked_at_and_plain_text_still_is);
	tcase_add_test(t, a_compressed_message_is_limited_as_it_comes);
	tcase_add_test(t, the_fragments_of_a_compressed_message_have_its_limit);
	tcase_add_test(t, compressed_frames_are_the_same_in_whatever_pieces);
	tcase_add_test(t, our_own_compressed_frames_say_so);
	tcase_add_test(t, a_reader_is_small_for_every_connection_has_one);
}

static void
add_messages(TCase *t)
{
	tcase_add_test(t, w7_fragments_count_together_against_the_limit);
	tcase_add_test(t, w7_the_next_message_has_the_whole_limit_again);
	tcase_add_test(t, w7_64_fragments_are_a_message_and_65_are_not);
	tcase_add_test(t,
	    w7_the_fragments_of_one_message_do_not_count_in_the_next);
	tcase_add_loop_test(t, w8_a_new_message_may_not_begin_inside_another, 0,
	    4);
	tcase_add_test(t, w8_after_its_end_a_message_cannot_be_continued);
	tcase_add_test(t, control_frames_come_between_fragments);
	tcase_add_loop_test(t, w9_text_that_is_not_utf8_is_refused, 0,
	    N(not_utf8));
	tcase_add_loop_test(t, w9_binary_may_hold_anything, 0, N(not_utf8));
	tcase_add_test(t,
	    w9_a_character_may_be_split_anywhere_between_fragments);
	tcase_add_test(t,
	    w9_a_fragment_is_refused_as_soon_as_it_cannot_be_right);
	tcase_add_test(t, w9_a_message_that_ends_inside_a_character_is_refused);
	tcase_add_test(t, w11_only_codes_that_may_be_sent_are_taken);
	tcase_add_test(t, w11_a_close_says_its_code_and_reason);
	tcase_add_test(t, w11_a_close_may_say_nothing);
	tcase_add_test(t, w11_half_a_code_is_refused);
	tcase_add_test(t, w11_a_close_of_125_bytes_is_the_longest);
	tcase_add_test(t, w9_a_close_reason_is_text);
}

int
main(void)
{
	Suite *s = suite_create("ws");
	TCase *t = tcase_create("ws");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	add_frames(t);
	add_messages(t);
	add_compressed(t);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/buf.h"
#include "proto/deflate.h"

#define N(table) (sizeof(table) / sizeof(table)[0])
#define LIMIT 65536u
#define LONG_LEN 200000u

#define ANSWER                                             \
	"permessage-deflate; server_no_context_takeover; " \
	"client_no_context_takeover"
#define ANSWER_WINDOW ANSWER "; server_max_window_bits=15"
#define PMD "permessage-deflate"

static struct deflater *deflater;
static struct inflater *inflater;
static struct buf payload;
static struct buf message;

static void
setup(void)
{
	deflater = deflater_new(6, 8);
	inflater = inflater_new();
	memset(&payload, 0, sizeof payload);
	memset(&message, 0, sizeof message);
}

static void
teardown(void)
{
	deflater_free(&deflater);
	inflater_free(&inflater);
	buf_fini(&payload);
	buf_fini(&message);
}

/* Memory that ends where the bytes do, so that a sanitizer sees a look behind
 * them; free() it. */
static char *
exactly(const void *data, size_t len)
{
	char *exact = malloc(len > 0 ? len : 1);

	if (len > 0) {
		memcpy(exact, data, len);
	}
	return exact;
}

/* Inflate into `message`. */
static enum inflate_result
inflate_within(const void *data, size_t len, size_t limit)
{
	char *exact = exactly(data, len);
	enum inflate_result result =
	    inflater_run(inflater, exact, len, limit, &message);

	free(exact);
	ck_assert_uint_le(message.len, limit);
	ck_assert(result == INFLATE_OK || message.len == 0);
	return result;
}

static void
assert_message(const void *want, size_t len)
{
	ck_assert_uint_eq(message.len, len);
	ck_assert(len == 0 || memcmp(message.data, want, len) == 0);
}

/* Compress as any peer might, whose window is of `bits`, flushing every
 * `piece` bytes in this way; the payload is what goes over the wire. */
static void
compress_as_peer(const char *data, size_t len, int level, int bits, int how,
    size_t piece)
{
	z_stream z = { .zalloc = NULL };
	char *out = malloc(len + len / piece * 16 + 1024);

	ck_assert_int_eq(deflateInit2(&z, level, Z_DEFLATED, -bits, 8,
			     Z_DEFAULT_STRATEGY),
	    Z_OK);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)(len + len / piece * 16 + 1024);
	for (size_t done = 0; done < len; done += piece) {
		z.next_in = (Bytef *)(uintptr_t)(data + done);
		z.avail_in = (uInt)(len - done < piece ? len - done : piece);
		ck_assert_int_eq(deflate(&z, how), Z_OK);
	}
	/* Without this it would not flush twice in a row. */
	deflate(&z, Z_NO_FLUSH);
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert(z.avail_out > 0 && z.total_out > 4);
	ck_assert_mem_eq(out + z.total_out - 4, "\0\0\xff\xff", 4);
	buf_reset(&payload);
	buf_add(&payload, out, z.total_out - 4);
	deflateEnd(&z);
	free(out);
}

/* Inflate what we have made with zlib itself, and a window of 32 KiB. */
static void
inflate_as_peer(char *out, size_t len)
{
	z_stream z = { .zalloc = NULL };

	buf_add(&payload, "\0\0\xff\xff", 4);
	ck_assert_int_eq(inflateInit2(&z, -15), Z_OK);
	z.next_in = (Bytef *)payload.data;
	z.avail_in = (uInt)payload.len;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)len + 1;
	ck_assert_int_eq(inflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert_uint_eq(z.avail_in, 0);
	ck_assert_uint_eq(z.total_out, len);
	inflateEnd(&z);
}

/* Text of some length that compresses as text does; free() it. */
static char *
make_text(size_t len)
{
	static const char *const words[] = { "room ", "channel ", "message ",
		"{\"id\":", "},", "position ", "a ", "0.25 " };
	char *text = malloc(len + 16);
	uint32_t dice = 12345;
	size_t n = 0;

	while (n < len) {
		const char *word;

		dice = dice * 1664525u + 1013904223u;
		word = words[dice >> 29];
		memcpy(text + n, word, strlen(word));
		n += strlen(word);
	}
	return text;
}

/* Bytes that do not compress. */
static void
make_noise(char *out, size_t len)
{
	uint32_t dice = 54321;

	for (size_t i = 0; i < len; i++) {
		dice = dice * 1664525u + 1013904223u;
		out[i] = (char)(dice >> 24);
	}
}

static const struct offers {
	const char *text;
	const char *answer;
} offers[] = {
	/* The examples of RFC 7692, 7.1.3 and 7.1.2. */
	{ PMD, ANSWER },
	{ PMD "; client_max_window_bits; server_max_window_bits=10", NULL },
	{ PMD "; client_max_window_bits; server_max_window_bits=10, " PMD
	      "; client_max_window_bits",
	    ANSWER },
	{ PMD "; server_max_window_bits=\"10\"", NULL },
	{ PMD "; client_max_window_bits=10", ANSWER },

	/* What browsers and libraries send. */
	{ PMD "; client_max_window_bits", ANSWER },
	{ PMD "; client_no_context_takeover; client_max_window_bits", ANSWER },
	{ PMD "; server_no_context_takeover; client_no_context_takeover",
	    ANSWER },
	{ PMD "; client_no_context_takeover; server_no_context_takeover; "
	      "server_max_window_bits=15; client_max_window_bits=15",
	    ANSWER_WINDOW },
	{ "x-webkit-deflate-frame", NULL },

	/* The window of the server. */
	{ PMD "; server_max_window_bits=15", ANSWER_WINDOW },
	{ PMD "; server_max_window_bits=\"15\"", ANSWER_WINDOW },
	{ PMD "; server_max_window_bits=\"1\\5\"", ANSWER_WINDOW },
	{ PMD "; server_max_window_bits=14", NULL },
	{ PMD "; server_max_window_bits=9", NULL },
	{ PMD "; server_max_window_bits=8", NULL },
	{ PMD "; server_max_window_bits=7", NULL },
	{ PMD "; server_max_window_bits=16", NULL },
	{ PMD "; server_max_window_bits", NULL },
	{ PMD "; server_max_window_bits=", NULL },
	{ PMD "; server_max_window_bits=\"\"", NULL },
	{ PMD "; server_max_window_bits=015", NULL },
	{ PMD "; server_max_window_bits=+15", NULL },
	{ PMD "; server_max_window_bits=150", NULL },
	{ PMD "; server_max_window_bits=15.0", NULL },
	{ PMD "; server_max_window_bits=\" 15\"", NULL },
	{ PMD "; server_max_window_bits='15'", NULL },
	{ PMD "; server_max_window_bits=1 5", NULL },

	/* The window of the client. */
	{ PMD "; client_max_window_bits=8", ANSWER },
	{ PMD "; client_max_window_bits=9", ANSWER },
	{ PMD "; client_max_window_bits=15", ANSWER },
	{ PMD "; client_max_window_bits=\"12\"", ANSWER },
	{ PMD "; client_max_window_bits=7", NULL },
	{ PMD "; client_max_window_bits=16", NULL },
	{ PMD "; client_max_window_bits=0", NULL },
	{ PMD "; client_max_window_bits=08", NULL },
	{ PMD "; client_max_window_bits=1", NULL },
	{ PMD "; client_max_window_bits=20", NULL },
	{ PMD "; client_max_window_bits=80", NULL },
	{ PMD "; client_max_window_bits=9x", NULL },
	{ PMD "; client_max_window_bits=", NULL },
	{ PMD "; client_max_window_bits=x", NULL },
	{ PMD "; client_max_window_bits=\"\"", NULL },

	/* Values where none belong, names given twice, names unknown. */
	{ PMD "; server_no_context_takeover=1", NULL },
	{ PMD "; server_no_context_takeover=\"\"", NULL },
	{ PMD "; client_no_context_takeover=true", NULL },
	{ PMD "; client_no_context_takeover; client_no_context_takeover",
	    NULL },
	{ PMD "; server_no_context_takeover; server_no_context_takeover",
	    NULL },
	{ PMD "; client_max_window_bits; client_max_window_bits=15", NULL },
	{ PMD "; server_max_window_bits=15; server_max_window_bits=15", NULL },
	{ PMD "; mystery", NULL },
	{ PMD "; mystery=\"a,b;c\"", NULL },
	{ PMD "; client_max_window_bit", NULL },
	{ PMD "; client_max_window_bits_", NULL },
	{ PMD "; Client_Max_Window_Bits", NULL },
	{ "Permessage-Deflate", NULL },
	{ "permessage-deflate2", NULL },
	{ "xpermessage-deflate", NULL },
	{ "permessage", NULL },

	/* Lists. */
	{ "", NULL },
	{ " \t ", NULL },
	{ ",", NULL },
	{ ",, ," PMD ",,", ANSWER },
	{ "\t" PMD "\t;\tclient_max_window_bits\t=\t15\t", ANSWER },
	{ PMD ";client_max_window_bits;server_no_context_takeover", ANSWER },
	{ "foo, bar; x=1, " PMD, ANSWER },
	{ "foo; a=\"x, " PMD "\"", NULL },
	{ "foo; a=\"x\\\", " PMD "\"", NULL },
	{ "foo; a=\"x, " PMD ", y\"", NULL },
	{ "foo; a=\"x\\\", " PMD ", y\"", NULL },
	{ "foo; a=\"x\\\\\", " PMD, ANSWER },
	{ PMD "; mystery=\"a,b\", " PMD, ANSWER },
	{ PMD "; server_max_window_bits=10, " PMD "; server_max_window_bits=15",
	    ANSWER_WINDOW },
	{ PMD ", " PMD "; server_max_window_bits=15", ANSWER },
	{ PMD "; server_max_window_bits=12, foo", NULL },

	/* What breaks the grammar is passed over too. */
	{ PMD ";", NULL },
	{ PMD "; ;client_max_window_bits", NULL },
	{ PMD "; =15", NULL },
	{ PMD " client_max_window_bits", NULL },
	{ PMD "; client_max_window_bits=15 15", NULL },
	{ PMD "; client_max_window_bits=\"15", NULL },
	{ PMD "; client_max_window_bits=\"15\\", NULL },
	{ PMD "; client_max_window_bits=\"15\"x", NULL },
	{ PMD "=1", NULL },
	{ "\"" PMD "\"", NULL },
	{ "\"" PMD, NULL },
	{ "\"a, b\", " PMD, ANSWER },
	{ "a=b;;;\"x\\\",\" y, " PMD, ANSWER },
	{ PMD ";, " PMD, ANSWER },
	{ PMD "/1.0, " PMD "; client_max_window_bits", ANSWER },
	{ PMD "; client_max_window_bits=\"9, " PMD, NULL },
};

START_TEST(the_first_offer_that_we_can_keep_is_accepted)
{
	const struct offers *o = &offers[_i];
	size_t len = strlen(o->text);
	char *exact = exactly(o->text, len);
	const char *answer =
	    deflate_negotiate((struct aqb_slice){ exact, len });

	free(exact);
	ck_assert_msg((answer == NULL) == (o->answer == NULL) &&
		(answer == NULL || strcmp(answer, o->answer) == 0),
	    "\"%s\" to \"%s\"", answer == NULL ? "nothing" : answer, o->text);
}
END_TEST

START_TEST(no_offer_is_declined)
{
	ck_assert_ptr_null(deflate_negotiate((struct aqb_slice){ NULL, 0 }));
}
END_TEST

/* The payloads of RFC 7692, 7.2.3, whole. */
static const struct example {
	const char *bytes;
	size_t len;
	const char *text;
} examples[] = {
	/* 7.2.3.1: one block. */
	{ "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello" },
	/* 7.2.3.3: a block without compression. */
	{ "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello" },
	/* 7.2.3.4: a block with BFINAL set. */
	{ "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello" },
	/* 7.2.3.5: two blocks. */
	{ "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello" },
	/* 7.2.3.6: nothing. */
	{ "\x00", 1, "" },

	/* What the text of 7.2.1 allows besides: final blocks in between, each
	 * padded to a byte, and empty blocks of all kinds. */
	{ "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00", 14,
	    "HelloHello" },
	{ "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 15,
	    "HelloHello" },
	/* The second refers to the first. */
	{ "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", 12,
	    "HelloHello" },
	{ "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x00\x11\x00\x00", 12,
	    "HelloHello" },
	{ "\x03\x00\x03\x00\x00", 5, "" },
	{ "\x01\x00\x00\xff\xff\x00", 6, "" },
	{ "\x00\x00\x00\xff\xff\x00\x00\x00\xff\xff\x00", 11, "" },
	{ "\x02\x00", 2, "" },
};

START_TEST(the_examples_of_the_rfc_are_understood)
{
	const struct example *e = &examples[_i];

	ck_assert_int_eq(inflate_within(e->bytes, e->len, LIMIT), INFLATE_OK);
	assert_message(e->text, strlen(e->text));
}
END_TEST

START_TEST(hello_is_compressed_as_the_rfc_shows)
{
	static const char hello[] = "Hello, Hello, Hello";

	ck_assert(!deflater_run(deflater, "Hello", 5, &payload));
	ck_assert_str_eq(buf_text(&payload), "");
	ck_assert(deflater_run(deflater, hello, sizeof hello - 1, &payload));
	/* The same five literals in one block of the same kind. */
	ck_assert_mem_eq(payload.data, "\xf2\x48\xcd\xc9\xc9", 5);
	compress_as_peer("Hello", 5, 6, 15, Z_NO_FLUSH, 5);
	ck_assert_uint_eq(payload.len, 7);
	ck_assert_mem_eq(payload.data, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
}
END_TEST

START_TEST(the_fragments_of_the_rfc_are_one_payload)
{
	buf_add(&payload, "\xf2\x48\xcd", 3);
	buf_add(&payload, "\xc9\xc9\x07\x00", 4);
	ck_assert_int_eq(inflate_within(payload.data, payload.len, LIMIT),
	    INFLATE_OK);
	assert_message("Hello", 5);
}
END_TEST

START_TEST(a_message_that_leans_on_the_one_before_is_broken)
{
	/* RFC 7692, 7.2.3.2: the second "Hello" of a shared window. */
	ck_assert_int_eq(inflate_within("\xf2\x48\xcd\xc9\xc9\x07\x00", 7,
			     LIMIT),
	    INFLATE_OK);
	ck_assert_int_eq(inflate_within("\xf2\x00\x11\x00\x00", 5, LIMIT),
	    INFLATE_BROKEN);
}
END_TEST

static const struct broken {
	const char *what;
	const char *bytes;
	size_t len;
} brokens[] = {
	{ "nothing at all: the algorithm leaves a byte", "", 0 },
	{ "a reserved kind of block", "\x06", 1 },
	{ "a reserved kind of block, later",
	    "\xf2\x48\x05\x00\x00\x00\xff\xff\x06", 9 },
	{ "lengths that do not match", "\x00\x05\x00\xfa\xfe\x48", 6 },
	{ "a block shorter than it says", "\x00\x05\x00\xfa\xff\x48\x65", 7 },
	{ "a final block, and no empty one", "\xf3\x48\xcd\xc9\xc9\x07\x00",
	    7 },
	{ "a flush that was not cut",
	    "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11 },
	{ "half of the flush left", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00", 9 },
	{ "garbage at the end", "\xf2\x48\xcd\xc9\xc9\x07\x00oops", 11 },
	{ "garbage behind a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00oops",
	    11 },
	{ "a zlib header", "\x78\x9c\xf2\x48\xcd\xc9\xc9\x07\x00", 9 },
	{ "a gzip header", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10 },
	{ "no compression at all", "{\"type\":\"ping\"}", 15 },
	{ "too many codes", "\xfc\xff\xff\xff\xff\xff\xff\xff", 8 },
};

START_TEST(what_is_not_deflate_is_broken)
{
	const struct broken *b = &brokens[_i];

	ck_assert_msg(inflate_within(b->bytes, b->len, LIMIT) == INFLATE_BROKEN,
	    "%s", b->what);
	/* It does not last. */
	ck_assert_int_eq(inflate_within("\xf2\x48\xcd\xc9\xc9\x07\x00", 7,
			     LIMIT),
	    INFLATE_OK);
	assert_message("Hello", 5);
}
END_TEST

/* Every proper part of the payload in `payload` is broken. */
static void
assert_no_cut_passes(void)
{
	for (size_t n = 0; n < payload.len; n++) {
		ck_assert_msg(inflate_within(payload.data, n, LIMIT) ==
			INFLATE_BROKEN,
		    "%zu of %zu bytes", n, payload.len);
	}
	ck_assert_int_eq(inflate_within(payload.data, payload.len, LIMIT),
	    INFLATE_OK);
}

START_TEST(a_message_cut_anywhere_is_broken)
{
	char *text = make_text(3000);

	for (int level = 1; level <= 9; level += 4) {
		compress_as_peer(text, 3000, level, 15, Z_NO_FLUSH, 3000);
		assert_no_cut_passes();
		assert_message(text, 3000);
	}
	free(text);
}
END_TEST

/* Cut between its blocks it is a shorter message, and nothing else is. */
START_TEST(a_message_of_blocks_ends_only_where_one_does)
{
	char *text = make_text(1000);
	unsigned ends = 0;

	compress_as_peer(text, 1000, 6, 15, Z_SYNC_FLUSH, 100);
	for (size_t n = 0; n <= payload.len; n++) {
		if (inflate_within(payload.data, n, LIMIT) != INFLATE_OK) {
			continue;
		}
		ck_assert_uint_eq(message.len % 100, 0);
		assert_message(text, message.len);
		ends++;
	}
	/* After each piece, before what the flush adds; and the last flush. */
	ck_assert_uint_ge(ends, 10);
	ck_assert_uint_le(ends, 11);
	assert_message(text, 1000);
	free(text);
}
END_TEST

/* Lengths around those at which zlib or our buffer changes its ways. */
static const size_t lengths[] = { 0, 1, 2, 5, 100, 1023, 1024, 1025, 2047, 2048,
	2049, 4096, 32767, 32768, 32769, 65535, 65536, 65537, 131072,
	LONG_LEN };

START_TEST(what_any_peer_compresses_comes_out_as_it_was)
{
	static const int hows[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH,
		Z_PARTIAL_FLUSH, Z_BLOCK };
	size_t len = lengths[_i];
	char *text = make_text(len);

	for (size_t h = 0; h < N(hows); h++) {
		for (int bits = 9; bits <= 15; bits += 6) {
			for (int level = 0; level <= 8; level += 4) {
				compress_as_peer(text, len, level, bits,
				    hows[h], 7000);
				ck_assert_int_eq(inflate_within(payload.data,
						     payload.len, len),
				    INFLATE_OK);
				assert_message(text, len);
			}
		}
	}
	free(text);
}
END_TEST

START_TEST(what_we_compress_any_peer_understands)
{
	size_t len = lengths[_i];
	char *text = make_text(len);
	char *back = malloc(len + 1);

	for (int level = 1; level <= 9; level++) {
		struct deflater *one = deflater_new(level, level);

		if (deflater_run(one, text, len, &payload)) {
			ck_assert_uint_lt(payload.len, len);
			ck_assert_int_eq(inflate_within(payload.data,
					     payload.len, len),
			    INFLATE_OK);
			assert_message(text, len);
			inflate_as_peer(back, len);
			ck_assert(memcmp(back, text, len) == 0);
		} else {
			ck_assert_uint_le(len, 100);
			ck_assert_uint_eq(payload.len, 0);
		}
		deflater_free(&one);
	}
	free(back);
	free(text);
}
END_TEST

START_TEST(one_message_does_not_depend_on_the_one_before)
{
	char *text = make_text(2000);
	struct buf first = { 0 };

	ck_assert(deflater_run(deflater, text, 1000, &first));
	ck_assert(deflater_run(deflater, text + 500, 1500, &payload));
	ck_assert(deflater_run(deflater, text, 1000, &payload));
	ck_assert_uint_eq(payload.len, first.len);
	ck_assert_mem_eq(payload.data, first.data, first.len);
	buf_fini(&first);
	free(text);
}
END_TEST

START_TEST(what_does_not_get_smaller_is_not_compressed)
{
	char noise[5000];

	make_noise(noise, sizeof noise);
	buf_puts(&payload, "of the message before");
	ck_assert(!deflater_run(deflater, noise, sizeof noise, &payload));
	ck_assert_uint_eq(payload.len, 0);
	ck_assert_str_eq(buf_text(&payload), "");
	ck_assert(!deflater_run(deflater, "", 0, &payload));
	ck_assert(!deflater_run(deflater, NULL, 0, &payload));

	/* And the deflater is none the worse for it. */
	memset(noise, 'n', sizeof noise);
	ck_assert(deflater_run(deflater, noise, sizeof noise, &payload));
	ck_assert_int_eq(inflate_within(payload.data, payload.len,
			     sizeof noise),
	    INFLATE_OK);
	assert_message(noise, sizeof noise);
}
END_TEST

/* Each length of a run of one letter, from those that do not shrink on. */
START_TEST(smaller_by_one_byte_is_smaller)
{
	char run[64];
	bool shrunk = false;

	memset(run, 'r', sizeof run);
	for (size_t len = 0; len <= sizeof run; len++) {
		bool now;

		compress_as_peer(run, len, 6, 15, Z_NO_FLUSH, sizeof run);
		now = payload.len < len;
		ck_assert(now || !shrunk);
		shrunk = now;
		ck_assert_int_eq(deflater_run(deflater, run, len, &message),
		    now);
		ck_assert_uint_eq(message.len, now ? payload.len : 0);
	}
	ck_assert(shrunk);
}
END_TEST

START_TEST(a_bomb_is_left_alone_at_the_limit)
{
	size_t len = 10u << 20;
	char *zeros = calloc(1, len);

	ck_assert(deflater_run(deflater, zeros, len, &payload));
	ck_assert_uint_lt(payload.len, 16384);
	ck_assert_int_eq(inflate_within(payload.data, payload.len, LIMIT),
	    INFLATE_TOO_BIG);
	ck_assert_uint_le(message.cap, 2 * LIMIT);

	ck_assert_int_eq(inflate_within(payload.data, payload.len, len - 1),
	    INFLATE_TOO_BIG);
	ck_assert_int_eq(inflate_within(payload.data, payload.len, len),
	    INFLATE_OK);
	assert_message(zeros, len);
	free(zeros);
}
END_TEST

START_TEST(the_limit_is_exact)
{
	size_t len = lengths[_i];
	char *text = make_text(len);
	size_t pieces[] = { len + 1, 100 };

	for (size_t p = 0; p < N(pieces); p++) {
		compress_as_peer(text, len, 6, 15, Z_SYNC_FLUSH, pieces[p]);
		ck_assert_int_eq(inflate_within(payload.data, payload.len,
				     len + 1),
		    INFLATE_OK);
		ck_assert_int_eq(inflate_within(payload.data, payload.len, len),
		    INFLATE_OK);
		assert_message(text, len);
		ck_assert(len == 0 ||
		    inflate_within(payload.data, payload.len, len - 1) ==
			INFLATE_TOO_BIG);
		ck_assert(len == 0 ||
		    inflate_within(payload.data, payload.len, 0) ==
			INFLATE_TOO_BIG);
	}
	free(text);
}
END_TEST

/* A stored block of which all four bytes are those that the RFC has us
 * append: by its word, they are the message. */
START_TEST(the_appended_bytes_are_like_all_others)
{
	ck_assert_int_eq(inflate_within("\x00\x04\x00\xfb\xff", 5, LIMIT),
	    INFLATE_OK);
	assert_message("\0\0\xff\xff", 4);
	ck_assert_int_eq(inflate_within("\x00\x04\x00\xfb\xff", 5, 4),
	    INFLATE_OK);
	ck_assert_int_eq(inflate_within("\x00\x04\x00\xfb\xff", 5, 3),
	    INFLATE_TOO_BIG);
}
END_TEST

/*
 * A block whose codes are such that the sixteen zeros and sixteen ones are
 * eight A, a copy of 162 bytes, and the end of the block in the very last
 * bits.  The room of 1 KiB ends within the copy, with all bytes read.
 */
START_TEST(a_block_may_end_in_the_last_bit_with_much_still_to_write)
{
	static const char head[] = "\xd4\xcf\x01\x01\x00\x00\x00\x82\xa0"
				   "\x6d\xf6\x7f\x54\x37\x94\x07\x0c";
	char want[1160];

	buf_add(&payload, head, sizeof head - 1);
	for (int i = 0; i < 247; i++) {
		buf_putc(&payload, '\0'); /* AAAA */
	}
	memset(want, 'A', sizeof want);
	want[0] = 'B';
	for (size_t limit = sizeof want; limit < 2000; limit += 100) {
		ck_assert_int_eq(inflate_within(payload.data, payload.len,
				     limit),
		    INFLATE_OK);
		assert_message(want, sizeof want);
	}
	ck_assert_int_eq(inflate_within(payload.data, payload.len,
			     sizeof want - 1),
	    INFLATE_TOO_BIG);
}
END_TEST

START_TEST(no_memory_is_an_answer)
{
	char *text = make_text(5000);

	compress_as_peer(text, 5000, 6, 15, Z_NO_FLUSH, 5000);
	for (size_t max = 1; max < 5000; max += 499) {
		message.max = max;
		ck_assert_int_eq(inflate_within(payload.data, payload.len,
				     LIMIT),
		    INFLATE_NO_MEMORY);
		ck_assert(!deflater_run(deflater, text, 5000, &message));
		ck_assert_uint_eq(message.len, 0);
	}
	message.max = 0;
	ck_assert_int_eq(inflate_within(payload.data, payload.len, LIMIT),
	    INFLATE_OK);
	assert_message(text, 5000);
	free(text);
}
END_TEST

START_TEST(freeing_nothing_is_fine)
{
	struct deflater *d = NULL;
	struct inflater *i = NULL;

	deflater_free(&d);
	inflater_free(&i);
	deflater_free(&deflater);
	inflater_free(&inflater);
	ck_assert(deflater == NULL && inflater == NULL);
}
END_TEST

static void
add_inflating(TCase *t)
{
	tcase_add_loop_test(t, the_examples_of_the_rfc_are_understood, 0,
	    N(examples));
	tcase_add_test(t, the_fragments_of_the_rfc_are_one_payload);
	tcase_add_test(t, a_message_that_leans_on_the_one_before_is_broken);
	tcase_add_loop_test(t, what_is_not_deflate_is_broken, 0, N(brokens));
	tcase_add_test(t, a_message_cut_anywhere_is_broken);
	tcase_add_test(t, a_message_of_blocks_ends_only_where_one_does);
	tcase_add_loop_test(t, what_any_peer_compresses_comes_out_as_it_was, 0,
	    N(lengths));
	tcase_add_test(t, a_bomb_is_left_alone_at_the_limit);
	tcase_add_loop_test(t, the_limit_is_exact, 0, N(lengths));
	tcase_add_test(t, the_appended_bytes_are_like_all_others);
	tcase_add_test(t,
	    a_block_may_end_in_the_last_bit_with_much_still_to_write);
	tcase_add_test(t, no_memory_is_an_answer);
}

static void
add_deflating(TCase *t)
{
	tcase_add_test(t, hello_is_compressed_as_the_rfc_shows);
	tcase_add_loop_test(t, what_we_compress_any_peer_understands, 0,
	    N(lengths));
	tcase_add_test(t, one_message_does_not_depend_on_the_one_before);
	tcase_add_test(t, what_does_not_get_smaller_is_not_compressed);
	tcase_add_test(t, smaller_by_one_byte_is_smaller);
	tcase_add_test(t, freeing_nothing_is_fine);
}

int
main(void)
{
	Suite *s = suite_create("deflate");
	TCase *t = tcase_create("deflate");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, the_first_offer_that_we_can_keep_is_accepted, 0,
	    N(offers));
	tcase_add_test(t, no_offer_is_declined);
	add_inflating(t);
	add_deflating(t);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

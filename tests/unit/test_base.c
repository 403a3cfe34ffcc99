/* SPDX-License-Identifier: Apache-2.0 */

/* The small things that everything stands on. */

#include <check.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bucket.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/hist.h"
#include "base/rand.h"
#include "base/spare.h"
#include "base/utf8.h"
#include "base/why.h"

START_TEST(siphash_is_siphash_1_3)
{
	/* Key and text are 00 01 02 ..; the vectors of the reference. */
	static const uint64_t key[2] = { 0x0706050403020100u,
		0x0f0e0d0c0b0a0908u };
	static const uint64_t want[] = { 0xabac0158050fc4dcu,
		0xc9f49bf37d57ca93u, 0x82cb9b024dc7d44du, 0x8bf80ab8e7ddf7fbu,
		0xcf75576088d38328u, 0xdef9d52f49533b67u, 0xc50d2b50c59f22a7u,
		0xd3927d989bb11140u, 0x369095118d299a8eu, 0x25a48eb36c063de4u };
	uint8_t text[16];

	for (uint8_t i = 0; i < sizeof text; i++) {
		text[i] = i;
	}
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		ck_assert_uint_eq(hash_siphash13(key, text, i), want[i]);
	}
}
END_TEST

START_TEST(a_bucket_gives_its_burst_and_then_its_rate)
{
	struct bucket b;

	bucket_init(&b, 5, 1000);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(bucket_take(&b, 10, 5, 1, 1000), 0);
	}
	ck_assert_uint_eq(bucket_take(&b, 10, 5, 1, 1000), 100);
	ck_assert_uint_eq(bucket_take(&b, 10, 5, 1, 1060), 40);
	ck_assert_uint_eq(bucket_take(&b, 10, 5, 1, 1100), 0);
	ck_assert_uint_eq(bucket_take(&b, 10, 5, 5, 60000), 0); /* no more */
	ck_assert_uint_gt(bucket_take(&b, 10, 5, 1, 60000), 0);
}
END_TEST

START_TEST(what_exceeds_the_burst_waits_for_a_full_bucket)
{
	struct bucket b;

	bucket_init(&b, 5, 0);
	ck_assert_uint_eq(bucket_take(&b, 1, 5, 100, 0), 0);
	ck_assert_uint_eq(bucket_take(&b, 1, 5, 100, 0), 5000);
}
END_TEST

START_TEST(no_rate_is_no_limit)
{
	struct bucket b;

	bucket_init(&b, 0, 0);
	ck_assert_uint_eq(bucket_take(&b, 0, 0, 1000000, 0), 0);
}
END_TEST

START_TEST(a_quantile_is_right_to_six_percent)
{
	struct hist h = { 0 };

	ck_assert_uint_eq(hist_quantile(&h, 0.5), 0);
	for (uint64_t us = 1; us <= 10000; us++) {
		hist_add(&h, us);
	}
	ck_assert_uint_eq(h.count, 10000);
	for (int percent = 10; percent <= 100; percent += 10) {
		uint64_t got = hist_quantile(&h, percent / 100.0);
		uint64_t want = (uint64_t)percent * 100;

		ck_assert_uint_ge(got * 100, want * 94);
		ck_assert_uint_le(got * 100, want * 107);
	}
	ck_assert_uint_eq(hist_under(&h, 1023), 1023);
	ck_assert_uint_eq(hist_under(&h, 1u << 20), 10000);
}
END_TEST

START_TEST(a_histogram_takes_any_duration)
{
	struct hist h = { 0 };

	hist_add(&h, 0);
	hist_add(&h, UINT64_MAX);
	ck_assert_uint_eq(h.count, 2);
	ck_assert_uint_gt(hist_quantile(&h, 1.0), 3600000000u);
}
END_TEST

/* RFC 3629; the forms of Markus Kuhn's stress test. */
static const struct {
	const char *text;
	size_t len;
	bool valid;
} utf8s[] = {
	{ "", 0, true },
	{ "\0", 1, true },
	{ "\x7f", 1, true },
	{ "\xc2\x80", 2, true },
	{ "\xdf\xbf", 2, true },
	{ "\xe0\xa0\x80", 3, true },
	{ "\xed\x9f\xbf", 3, true },
	{ "\xee\x80\x80", 3, true },
	{ "\xef\xbf\xbf", 3, true },
	{ "\xf0\x90\x80\x80", 4, true },
	{ "\xf4\x8f\xbf\xbf", 4, true },
	{ "\x80", 1, false },             /* alone */
	{ "\xbf", 1, false },             /* alone */
	{ "\xc0\x80", 2, false },         /* overlong */
	{ "\xc1\xbf", 2, false },         /* overlong */
	{ "\xe0\x80\x80", 3, false },     /* overlong */
	{ "\xe0\x9f\xbf", 3, false },     /* overlong */
	{ "\xf0\x80\x80\x80", 4, false }, /* overlong */
	{ "\xf0\x8f\xbf\xbf", 4, false }, /* overlong */
	{ "\xed\xa0\x80", 3, false },     /* a surrogate */
	{ "\xed\xbf\xbf", 3, false },     /* a surrogate */
	{ "\xf4\x90\x80\x80", 4, false }, /* above U+10FFFF */
	{ "\xf5\x80\x80\x80", 4, false },
	{ "\xfe", 1, false },
	{ "\xff", 1, false },
	{ "\xc2", 1, false }, /* cut */
	{ "\xe0\xa0", 2, false },
	{ "\xf0\x90\x80", 3, false },
	{ "\xc2 ", 2, false },
	{ "a\xe2\x82\xac\xf0\x9d\x84\x9ez", 9, true },
};

START_TEST(a_cut_leaves_whole_characters)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t whole[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };

	for (size_t len = 0; len < sizeof whole / sizeof whole[0]; len++) {
		ck_assert_uint_eq(utf8_whole(text, len), whole[len]);
	}
}
END_TEST

START_TEST(utf8_is_judged_whole_and_in_pieces)
{
	const char *text = utf8s[_i].text;
	size_t len = utf8s[_i].len;
	struct utf8 u = { 0 };
	bool good = true;

	ck_assert_int_eq(utf8_valid(text, len), utf8s[_i].valid);
	for (size_t i = 0; i < len && good; i++) {
		good = utf8_feed(&u, text + i, 1);
	}
	ck_assert_int_eq(good && utf8_done(&u), utf8s[_i].valid);
}
END_TEST

static const struct {
	const char *text;
	int64_t ms; /* negative: is not one */
} times[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "2026-11-23T15:58:56.123Z", 1795449536123 },
	{ "2026-11-23t15:58:56.123456789z", 1795449536123 },
	{ "2026-11-23T16:58:56+01:00", 1795449536000 },
	{ "2026-11-23T10:28:56-05:30", 1795449536000 },
	{ "2024-02-29T00:00:00Z", 1709164800000 },
	{ "2000-02-29T00:00:00Z", 951782400000 },
	{ "2023-02-29T00:00:00Z", -1 },
	{ "1900-02-29T00:00:00Z", -1 },
	{ "2026-13-01T00:00:00Z", -1 },
	{ "2026-00-01T00:00:00Z", -1 },
	{ "2026-01-32T00:00:00Z", -1 },
	{ "2026-01-01T24:00:00Z", -1 },
	{ "2026-01-01T00:60:00Z", -1 },
	{ "2026-01-01T00:00:00", -1 },
	{ "2026-01-01", -1 },
	{ "2026-01-01T00:00:00+0100", -1 },
	{ "2026-01-01T00:00:00.Z", -1 },
	{ "2026-01-01T00:00:00Zx", -1 },
	{ "", -1 },
};

START_TEST(timestamps_are_rfc_3339)
{
	int64_t got = -2;
	bool good = clock_parse(times[_i].text, strlen(times[_i].text), &got);

	ck_assert_int_eq(good, times[_i].ms >= 0);
	if (good) {
		ck_assert_int_eq(got, times[_i].ms);
	}
}
END_TEST

START_TEST(a_time_that_is_written_is_read_back)
{
	static const int64_t some[] = { 0, 999, 951782399999, 1709164800000,
		1795449536123, 4102444800000, 253402300799999 };
	char text[CLOCK_TEXT_SIZE];
	int64_t got;

	for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
		clock_format(some[i], text);
		ck_assert_uint_eq(strlen(text), CLOCK_TEXT_SIZE - 1);
		ck_assert(clock_parse(text, strlen(text), &got));
		ck_assert_int_eq(got, some[i]);
	}
	clock_format(1795449536123, text);
	ck_assert_str_eq(text, "2026-11-23T15:58:56.123Z");
}
END_TEST

START_TEST(a_buffer_grows_and_stays_a_text)
{
	struct buf b = { 0 };
	size_t len;
	char *text;

	ck_assert_str_eq(buf_text(&b), "");
	for (int i = 0; i < 1000; i++) {
		buf_printf(&b, "%03d", i);
	}
	ck_assert_uint_eq(b.len, 3000);
	ck_assert_uint_eq(strlen(buf_text(&b)), 3000);
	buf_u64(&b, UINT64_MAX);
	text = buf_take(&b, &len);
	ck_assert_str_eq(text + 3000, "18446744073709551615");
	ck_assert_uint_eq(len, 3020);
	free(text);
}
END_TEST

START_TEST(a_buffer_over_its_limit_has_failed_for_good)
{
	struct buf b = { .max = 8 };
	size_t len;

	buf_puts(&b, "12345678");
	ck_assert(!b.failed);
	buf_putc(&b, '9');
	ck_assert(b.failed);
	buf_puts(&b, "");
	ck_assert_ptr_null(buf_take(&b, &len));
	buf_fini(&b);
}
END_TEST

START_TEST(json_strings_are_escaped)
{
	struct buf b = { 0 };

	buf_json(&b, "a\"\\\b\f\n\r\t\x01\x7f\xe2\x82\xac\xff/", 15);
	buf_json_str(&b, NULL);
	ck_assert_str_eq(buf_text(&b),
	    "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u007f\xe2\x82\xac\xef\xbf\xbd/\""
	    "null");
	buf_fini(&b);
}
END_TEST

START_TEST(hex_is_lower_case_and_new_each_time)
{
	char one[33], two[33];

	rand_hex(one, 16);
	rand_hex(two, 16);
	ck_assert_uint_eq(strspn(one, "0123456789abcdef"), 32);
	ck_assert_uint_eq(strlen(one), 32);
	ck_assert_str_ne(one, two);
}
END_TEST

START_TEST(a_reason_too_long_is_cut)
{
	struct aqb_why why;
	char text[400];

	memset(text, 'x', sizeof text - 1);
	text[399] = '\0';
	ck_assert_int_eq(reject(&why, AQB_CODE_BUSY, "field", "%s", text),
	    AQB_CODE_BUSY);
	ck_assert_uint_eq(strlen(why.text), sizeof why.text - 1);
	ck_assert_str_eq(why.field, "field");
	ck_assert_uint_eq(why.retry_after_ms, 0);
	reject_until(&why, AQB_CODE_BUSY, UINT64_MAX, "later");
	ck_assert_uint_eq(why.retry_after_ms, UINT32_MAX);
	ck_assert_ptr_null(why.field);
	ck_assert_int_eq(refuse(NULL, AQB_EPERM, "nobody asked"), AQB_EPERM);
}
END_TEST

START_TEST(every_code_has_its_name)
{
	for (int code = AQB_CODE_INVALID_JSON; code <= AQB_CODE_INTERNAL;
	     code++) {
		const char *name = code_name((enum aqb_code)code);

		ck_assert_uint_gt(strlen(name), 3);
		for (int other = code + 1; other <= AQB_CODE_INTERNAL;
		     other++) {
			ck_assert_str_ne(name, code_name((enum aqb_code)other));
		}
	}
}
END_TEST

static void
use_spares(size_t count)
{
	unsigned char **block = calloc(count, sizeof *block);

	for (size_t i = 0; i < count; i++) {
		size_t size = i % 3000;

		block[i] = spare_new(size);
		ck_assert_ptr_nonnull(block[i]);
		memset(block[i], (int)(i % 251), size);
	}
	for (size_t i = 0; i < count; i++) {
		size_t size = i % 3000;

		if (size > 0) {
			ck_assert_uint_eq(block[i][0], i % 251);
			ck_assert_uint_eq(block[i][size - 1], i % 251);
		}
		spare_free(block[i], size);
	}
	free(block);
}

static void *
use_spares_once(void *arg)
{
	use_spares(*(const size_t *)arg);
	return NULL;
}

START_TEST(spares_are_used_again_and_hold_what_they_are_given)
{
	for (int round = 0; round < 3; round++) {
		use_spares(9000);
	}
	spare_free(NULL, 100);
}
END_TEST

START_TEST(a_thread_keeps_so_much_and_gives_it_back_at_its_end)
{
	size_t count = 30000, before, after;
	pthread_t thread;

	use_spares(count);
	before = mallinfo2().uordblks;
	use_spares(count);
	after = mallinfo2().uordblks;
	ck_assert_uint_le(after, before + 4096); /* its limits were reached */
	ck_assert_uint_lt(after, 16u << 20);     /* of some 45 MB */

	pthread_create(&thread, NULL, use_spares_once, &count);
	pthread_join(thread, NULL);
	ck_assert_uint_le(mallinfo2().uordblks, after + 4096);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("base");
	TCase *t = tcase_create("base");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, siphash_is_siphash_1_3);
	tcase_add_test(t, a_bucket_gives_its_burst_and_then_its_rate);
	tcase_add_test(t, what_exceeds_the_burst_waits_for_a_full_bucket);
	tcase_add_test(t, no_rate_is_no_limit);
	tcase_add_test(t, a_quantile_is_right_to_six_percent);
	tcase_add_test(t, a_histogram_takes_any_duration);
	tcase_add_test(t, a_cut_leaves_whole_characters);
	tcase_add_loop_test(t, utf8_is_judged_whole_and_in_pieces, 0,
	    sizeof utf8s / sizeof utf8s[0]);
	tcase_add_loop_test(t, timestamps_are_rfc_3339, 0,
	    sizeof times / sizeof times[0]);
	tcase_add_test(t, a_time_that_is_written_is_read_back);
	tcase_add_test(t, a_buffer_grows_and_stays_a_text);
	tcase_add_test(t, a_buffer_over_its_limit_has_failed_for_good);
	tcase_add_test(t, json_strings_are_escaped);
	tcase_add_test(t, hex_is_lower_case_and_new_each_time);
	tcase_add_test(t, a_reason_too_long_is_cut);
	tcase_add_test(t, every_code_has_its_name);
	tcase_add_test(t, spares_are_used_again_and_hold_what_they_are_given);
	tcase_add_test(t, a_thread_keeps_so_much_and_gives_it_back_at_its_end);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_stamp.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "bench_proc.h"

#define MARK "\"payload\":\""
#define MARK_LEN (sizeof MARK - 1)
#define STREAM_DIGITS 6
#define NUMBER_DIGITS 8
#define DIGITS (STREAM_DIGITS + NUMBER_DIGITS)

void
bench_text_wrap(struct bench_text *t, const struct buf *before, size_t size,
    const struct buf *behind)
{
	struct buf b = { 0 };

	if (size < BENCH_SIZE_MIN || size > BENCH_SIZE_MAX) {
		bench_die("a payload has %d to %d bytes, not %zu",
		    BENCH_SIZE_MIN, BENCH_SIZE_MAX, size);
	}
	buf_add(&b, buf_text(before), before->len);
	buf_putc(&b, '"');
	for (size_t i = strlen("\"\""); i < size; i++) {
		buf_putc(&b, 'x');
	}
	buf_putc(&b, '"');
	buf_add(&b, buf_text(behind), behind->len);
	t->data = buf_take(&b, &t->len);
	if (t->data == NULL || before->failed || behind->failed) {
		bench_die("out of memory");
	}
	t->stamp = t->data + before->len + 1;
}

void
bench_text_init(struct bench_text *t, const char *address, size_t size)
{
	struct buf before = { 0 };
	struct buf behind = { 0 };

	buf_printf(&before, "{%s,\"payload\":", address);
	buf_putc(&behind, '}');
	bench_text_wrap(t, &before, size, &behind);
	buf_fini(&before);
	buf_fini(&behind);
}

void
bench_text_fini(struct bench_text *t)
{
	free(t->data);
	*t = (struct bench_text){ 0 };
}

static void
put_hex(char *p, int digits, uint32_t n)
{
	for (int i = digits - 1; i >= 0; i--) {
		p[i] = "0123456789abcdef"[n & 15];
		n >>= 4;
	}
}

/* Eight digits at once, for every delivery pays for this; that they are digits
 * the marker vouches for. */
static uint32_t
get_hex(const char *p)
{
	const uint64_t low = UINT64_C(0x0f0f0f0f0f0f0f0f);
	const uint64_t one = UINT64_C(0x0101010101010101);
	uint64_t n;

	memcpy(&n, p, sizeof n);
	n = be64toh(n);
	n = (n & low) + (n >> 6 & one) * 9;
	n = (n | n >> 4) & UINT64_C(0x00ff00ff00ff00ff);
	n = (n | n >> 8) & UINT64_C(0x0000ffff0000ffff);
	return (uint32_t)(n | n >> 16);
}

void
bench_text_stamp(struct bench_text *t, const struct bench_stamp *stamp)
{
	put_hex(t->stamp, STREAM_DIGITS, stamp->stream);
	put_hex(t->stamp + STREAM_DIGITS, NUMBER_DIGITS, stamp->n);
}

/* The stream's digits are read together with some of the number's, which are
 * then cut off. */
static void
get_stamp(const char *p, struct bench_stamp *stampp)
{
	stampp->stream = get_hex(p) >> 4 * (8 - STREAM_DIGITS);
	stampp->n = get_hex(p + STREAM_DIGITS);
}

const char *
bench_stamp_next(const char *p, const char *end, struct bench_stamp *stampp)
{
	p = memmem(p, (size_t)(end - p), MARK, MARK_LEN);
	if (p == NULL || (size_t)(end - p) < MARK_LEN + DIGITS) {
		return NULL;
	}
	get_stamp(p + MARK_LEN, stampp);
	return p + MARK_LEN + DIGITS;
}

/* Looking where the last one stood spares the search. */
static bool
find(struct bench_score *score, const char *text, size_t len,
    struct bench_stamp *stampp)
{
	const char *end = text + len, *p;

	if (score->bare) {
		if (len < BENCH_SIZE_MIN || text[0] != '"') {
			return false;
		}
		get_stamp(text + 1, stampp);
		return true;
	}
	if (score->hint > 0 && score->hint <= len) {
		p = end - score->hint;
		if (memcmp(p, MARK, MARK_LEN) == 0) {
			get_stamp(p + MARK_LEN, stampp);
			return true;
		}
	}
	p = bench_stamp_next(text, end, stampp);
	if (p == NULL) {
		return false;
	}
	score->hint = (size_t)(end - p) + MARK_LEN + DIGITS;
	return true;
}

static uint32_t
add(struct bench_score *score, struct bench_order *order,
    const struct bench_stamp *stamp)
{
	uint32_t by;

	if (stamp->stream != order->stream) {
		score->astray++;
		return 0;
	}
	score->received++;
	if (stamp->n < order->next) {
		score->repeated++;
		return 0;
	}
	by = stamp->n - order->next + 1;
	score->skipped += by - 1;
	order->next = stamp->n + 1;
	return by;
}

uint32_t
bench_score_text(struct bench_score *score, struct bench_order *order,
    const char *text, size_t len, struct bench_stamp *stampp)
{
	if (!find(score, text, len, stampp)) {
		return 0; /* a welcome or a reply */
	}
	score->wire = len;
	return add(score, order, stampp);
}

void
bench_score_end(struct bench_score *score, const struct bench_order *order,
    uint32_t sent)
{
	score->missing += sent - order->next;
}

bool
bench_score_good(const struct bench_score *score)
{
	return score->received > 0 && score->skipped == 0 &&
	    score->repeated == 0 && score->astray == 0 && score->missing == 0 &&
	    score->silent == 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_stamp.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "bench_proc.h"

#define MARK "\"bench\":\""
#define MARK_LEN (sizeof MARK - 1)
#define DIGITS 32 /* 8 of the stream, 8 of the number, 16 of the time */

void
bench_text_init(struct bench_text *t, const char *address, size_t size)
{
	struct buf b = { 0 };
	size_t at, fill;

	if (size < BENCH_SIZE_MIN || size > BENCH_SIZE_MAX) {
		bench_die("a payload has %d to %d bytes, not %zu",
		    BENCH_SIZE_MIN, BENCH_SIZE_MAX, size);
	}
	buf_printf(&b, "{%s,\"payload\":{" MARK, address);
	at = b.len;
	fill = size - strlen("{" MARK "\"}") - DIGITS;
	buf_printf(&b, "%0*d\"", DIGITS, 0);
	/* A filler needs its own member, or blanks where it is too short. */
	if (fill >= strlen(",\"x\":\"\"")) {
		fill -= strlen(",\"x\":\"\"");
		buf_puts(&b, ",\"x\":\"");
		while (fill-- > 0) {
			buf_putc(&b, 'x');
		}
		buf_putc(&b, '"');
	} else {
		buf_printf(&b, "%*s", (int)fill, "");
	}
	buf_puts(&b, "}}");
	t->data = buf_take(&b, &t->len);
	if (t->data == NULL) {
		bench_die("out of memory");
	}
	t->stamp = t->data + at;
}

void
bench_text_fini(struct bench_text *t)
{
	free(t->data);
	*t = (struct bench_text){ 0 };
}

static void
put_hex(char *p, int digits, uint64_t n)
{
	for (int i = digits - 1; i >= 0; i--) {
		p[i] = "0123456789abcdef"[n & 15];
		n >>= 4;
	}
}

/* Eight digits at once, for every delivery pays for this; that they are digits
 * the marker vouches for. */
static uint64_t
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
	return (n | n >> 16) & UINT32_MAX;
}

void
bench_text_stamp(struct bench_text *t, const struct bench_stamp *stamp)
{
	put_hex(t->stamp, 8, stamp->stream);
	put_hex(t->stamp + 8, 8, stamp->n);
	put_hex(t->stamp + 16, 16, stamp->due);
}

bool
bench_stamp_find(const char *text, size_t len, size_t *hintp,
    struct bench_stamp *stampp)
{
	const size_t least = MARK_LEN + DIGITS;
	const char *p = NULL;

	if (*hintp >= least && *hintp <= len) {
		p = text + len - *hintp;
	}
	if (p == NULL || memcmp(p, MARK, MARK_LEN) != 0) {
		p = memmem(text, len, MARK, MARK_LEN);
		if (p == NULL || (size_t)(text + len - p) < least) {
			return false;
		}
		*hintp = (size_t)(text + len - p);
	}
	p += MARK_LEN;
	stampp->stream = (uint32_t)get_hex(p);
	stampp->n = (uint32_t)get_hex(p + 8);
	stampp->due = get_hex(p + 16) << 32 | get_hex(p + 24);
	return true;
}

uint32_t
bench_score_add(struct bench_score *score, struct bench_order *order,
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
	    score->repeated == 0 && score->astray == 0 && score->missing == 0;
}

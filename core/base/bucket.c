/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bucket.h"

void
bucket_init(struct bucket *b, uint64_t burst, uint64_t now)
{
	b->level = burst * 1000;
	b->last = now;
}

uint64_t
bucket_take(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t n,
    uint64_t now)
{
	uint64_t full = burst * 1000;
	uint64_t want = n < burst ? n * 1000 : full;
	uint64_t flown;

	if (rate == 0) {
		return 0;
	}
	/* Units a second are thousandths of a unit a millisecond. */
	flown = now - b->last;
	b->last = now;
	if (flown >= full / rate + 1) {
		b->level = full;
	} else {
		b->level += flown * rate;
	}
	if (b->level > full) {
		b->level = full;
	}
	if (b->level < want) {
		return (want - b->level + rate - 1) / rate;
	}
	b->level -= want;
	return 0;
}

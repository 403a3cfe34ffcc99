/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any text may be an offer, and what is accepted, is so among others too.  Any
 * bytes may be a payload; what is inflated keeps to the limit, needs all of
 * it, and survives being deflated.
 */

#include <stdlib.h>
#include <string.h>

#include "proto/deflate.h"

#define LIMIT 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
negotiate(const uint8_t *data, size_t size)
{
	struct aqb_slice offers = { (const char *)data, size };
	const char *answer = deflate_negotiate(offers);
	struct buf list = { 0 };

	buf_puts(&list, "x; y=\"\\\",\", ,permessage-deflate;,");
	buf_add(&list, data, size);
	if (deflate_negotiate((struct aqb_slice){ list.data, list.len }) !=
	    answer) {
		abort();
	}
	buf_fini(&list);
}

static void
inflate(const uint8_t *data, size_t size)
{
	struct inflater *i = inflater_new();
	struct deflater *d = deflater_new(1, 8);
	struct buf first = { 0 };
	struct buf again = { 0 };
	struct buf small = { 0 };

	if (inflater_run(i, data, size, LIMIT, &first) == INFLATE_OK) {
		size_t len = first.len;

		if (len > LIMIT ||
		    inflater_run(i, data, size, len, &again) != INFLATE_OK ||
		    (len > 0 &&
			inflater_run(i, data, size, len - 1, &again) !=
			    INFLATE_TOO_BIG)) {
			abort();
		}
		if (deflater_run(d, first.data, len, &small) &&
		    (small.len >= len ||
			inflater_run(i, small.data, small.len, len, &again) !=
			    INFLATE_OK ||
			again.len != len ||
			memcmp(again.data, first.data, len) != 0)) {
			abort();
		}
	} else if (first.len != 0) {
		abort();
	}
	buf_fini(&first);
	buf_fini(&again);
	buf_fini(&small);
	deflater_free(&d);
	inflater_free(&i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	negotiate(data, size);
	inflate(data, size);
	return 0;
}

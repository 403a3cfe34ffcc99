/* SPDX-License-Identifier: Apache-2.0 */

/* Frames are the same in whatever pieces their bytes come, nothing outside of
 * them is touched, and text that is passed on is UTF-8. */

#include <stdlib.h>
#include <string.h>

#include "proto/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t
fold(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		sum = (sum ^ p[i]) * 0x100000001b3u;
	}
	return sum;
}

static uint64_t
fold_item(uint64_t sum, const struct ws_item *item)
{
	uint8_t head[] = { (uint8_t)item->event, item->opcode, item->first,
		item->last, (uint8_t)(item->code >> 8), (uint8_t)item->code };

	if (item->event == WS_FAIL) {
		if (item->reason == NULL) {
			abort();
		}
		return fold(fold(sum, head, sizeof head), item->reason,
		    strlen(item->reason));
	}
	if (item->event == WS_DATA && item->opcode == WS_TEXT && item->first &&
	    item->last && !item->compressed &&
	    !utf8_valid((const char *)item->data, item->len)) {
		abort();
	}
	sum = fold(sum, head, sizeof head);
	return fold(sum, item->data, item->len);
}

/* One frame off the bytes, in memory of exactly their size. */
static size_t
read_one(struct ws_reader *r, const uint8_t *data, size_t len, uint64_t *sump,
    struct ws_item *item)
{
	uint8_t *exact = malloc(len + (len == 0));
	size_t used;

	memcpy(exact, data, len);
	used = ws_read(r, exact, len, item);
	if (item->event == WS_MORE) {
		if (used != 0 || item->need <= len ||
		    memcmp(exact, data, len) != 0) {
			abort();
		}
	} else {
		*sump = fold_item(*sump, item);
	}
	free(exact);
	return used;
}

/* All frames, as bytes come `step` at a time; a sum of what they were. */
static uint64_t
read_in_steps(const uint8_t *data, size_t size, size_t step, bool deflate)
{
	struct ws_reader r = { .max_message = 4096, .deflate = deflate };
	struct ws_item item = { .event = WS_MORE };
	uint64_t sum = 0xcbf29ce484222325u;
	size_t used = 0;
	size_t have = 0;

	while (have < size && item.event != WS_FAIL) {
		have = size - have < step ? size : have + step;
		do {
			used +=
			    read_one(&r, data + used, have - used, &sum, &item);
		} while (item.event != WS_MORE && item.event != WS_FAIL);
	}
	return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int deflate = 0; size > 0 && deflate < 2; deflate++) {
		size_t step = 1 + data[size - 1] % 16;

		if (read_in_steps(data, size, step, deflate) !=
		    read_in_steps(data, size, size, deflate)) {
			abort();
		}
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "proto/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All frames of the bytes, in a buffer of exactly their size. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_reader r = { .max_message = 4096 };
	uint8_t *copy = malloc(size > 0 ? size : 1);
	size_t used = 0;

	memcpy(copy, data, size);
	while (used < size) {
		struct ws_item item;
		size_t n = ws_read(&r, copy + used, size - used, &item);

		if (n == 0) {
			break;
		}
		used += n;
	}
	free(copy);
	return 0;
}

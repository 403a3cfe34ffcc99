/* SPDX-License-Identifier: Apache-2.0 */
#include "net/inbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct inbox *
inbox_get(struct inbox **inp, uint64_t now)
{
	if (*inp == NULL) {
		*inp = try_new(sizeof **inp);
		if (*inp != NULL) {
			(*inp)->since = now;
		}
	}
	return *inp;
}

void
inbox_free(struct inbox **inp)
{
	struct inbox *in = *inp;

	*inp = NULL;
	if (in == NULL) {
		return;
	}
	free(in->data);
	free(in->part);
	free(in);
}

static bool
append(uint8_t **bufp, size_t *lenp, size_t *capp, const uint8_t *data,
    size_t len)
{
	if (!try_grow(bufp, capp, *lenp + len, 1)) {
		return false;
	}
	if (len > 0) {
		memcpy(*bufp + *lenp, data, len);
	}
	*lenp += len;
	return true;
}

bool
inbox_add(struct inbox *in, const uint8_t *data, size_t len)
{
	return append(&in->data, &in->len, &in->cap, data, len);
}

bool
inbox_reserve(struct inbox *in, size_t need)
{
	if (in->off > 0) {
		memmove(in->data, in->data + in->off, in->len - in->off);
		in->len -= in->off;
		in->off = 0;
	}
	in->need = need;
	return try_grow(&in->data, &in->cap, need, 1);
}

bool
inbox_add_part(struct inbox *in, const uint8_t *data, size_t len)
{
	return append(&in->part, &in->part_len, &in->part_cap, data, len);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/utf8.h"
#include "proto/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
decode(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	char out[64];
	uint64_t n;
	size_t got;

	(void)arg;
	json_key_is(key, len, escaped, "key");
	json_u64(value, &n);
	if (value->type == JSON_STRING &&
	    json_decode(value, out, sizeof out, &got) &&
	    !utf8_valid(out, got)) {
		abort();
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_value v;
	size_t at;

	if (!utf8_valid((const char *)data, size)) {
		return 0;
	}
	json_check((const char *)data, size, &v, &at);
	json_members((const char *)data, size, decode, NULL, &at);
	return 0;
}

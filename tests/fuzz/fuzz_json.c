/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any text is JSON for all scans or for none; what they tell lies inside the
 * text and is JSON itself; and what is decoded is UTF-8.
 */

#include <assert.h>

#include "base/utf8.h"
#include "proto/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
element(void *arg, const struct json_value *value)
{
	const struct json_value *whole = arg;
	struct json_value again;
	char out[64];
	uint64_t n;
	size_t got;

	assert(value->text > whole->text && value->len < whole->len &&
	    value->text + value->len <= whole->text + whole->len);
	assert(json_check(value->text, value->len, &again, &got) == JSON_OK &&
	    again.type == value->type && again.escaped == value->escaped &&
	    again.len == value->len && got == value->len);
	json_u64(value, &n);
	assert(!json_decode(value, out, sizeof out, &got) ||
	    (got <= sizeof out && utf8_valid(out, got)));
	return true;
}

static bool
member(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	json_key_is(key, len, escaped, "key");
	return element(arg, value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct json_value whole = { JSON_NULL, false, text, size };
	struct json_value v;
	enum json_result valid, as_object, as_array;
	size_t at;

	if (!utf8_valid(text, size)) {
		return 0;
	}
	valid = json_check(text, size, &v, &at);
	assert(at <= size && (valid != JSON_OK || at == size));
	as_object = json_members(text, size, member, &whole, &at);
	as_array = json_elements(text, size, element, &whole, &at);
	if (valid == JSON_OK) {
		assert((as_object == JSON_OK) == (v.type == JSON_OBJECT));
		assert((as_array == JSON_OK) == (v.type == JSON_ARRAY));
	} else {
		assert(as_object == valid && as_array == valid);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

/*
 * Strict JSON (RFC 8259) in one pass, without allocating: every text that a
 * peer sends is validated here before anything else looks at it.  Nesting is
 * bounded to 32 and the number of values to 4,096, so that a small text
 * cannot cost much.  The input is UTF-8 already; the frame layer checks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32
#define JSON_VALUES_MAX 4096

enum json_kind {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* A value: its text in the input, of a string with its quotes. */
struct json_value {
	enum json_kind type;
	bool escaped; /* a string with a backslash in it */
	const char *text;
	size_t len; /* 0: there is none */
};

enum json_result {
	JSON_OK = 0,
	JSON_SYNTAX,
	JSON_TOO_DEEP,
	JSON_TOO_MANY,
	JSON_WRONG_KIND, /* valid so far, but not an object (or an array) */
	JSON_STOPPED,    /* the callback said so */
};

/* A few words for an error message, which live for ever. */
const char *json_strerror(enum json_result result);

/* Called for each member of the outermost object, its value validated.  The
 * key is what stands between its quotes.  Both borrow the text.  A key that
 * comes twice is told twice.  False stops the scan. */
typedef bool json_member_f(void *arg, const char *key, size_t key_len,
    bool key_escaped, const struct json_value *value);

/*
 * Validate the whole text as one object and tell its members in order; those
 * before an error are told before it is found.  *atp is the offset where it
 * went wrong, len when the text ended too early.
 */
enum json_result json_members(const char *text, size_t len, json_member_f *each,
    void *arg, size_t *atp);

/* A member that is wanted, and where its value goes. */
struct json_place {
	const char *key;
	struct json_value *valuep;
};

/*
 * The same, putting the values of `n` members where they belong.  What is not
 * in the text stays as it was; what is wanted by nobody is passed over, for a
 * later version may say more; of a key that comes twice the last one counts.
 */
enum json_result json_take(const char *text, size_t len,
    const struct json_place *places, size_t n, size_t *atp);

/* The same of an array. */
typedef bool json_element_f(void *arg, const struct json_value *value);
enum json_result json_elements(const char *text, size_t len,
    json_element_f *each, void *arg, size_t *atp);

/* The same of any value, telling nothing.  *valuep counts only if it is
 * valid. */
enum json_result json_check(const char *text, size_t len,
    struct json_value *valuep, size_t *atp);

/*
 * Decode a string value into out, without a NUL.  False when it is no string,
 * is longer than size, or holds a lone surrogate escape or an escaped NUL:
 * legal JSON both, but no text.
 */
bool json_decode(const struct json_value *value, char *out, size_t size,
    size_t *lenp);

/* Is this key, once its escapes are decoded, the wanted one? */
bool json_key_is(const char *key, size_t len, bool escaped, const char *want);

/* An unsigned integer in plain digits.  False for fractions, exponents, signs
 * and what does not fit: nothing is rounded or saturated. */
bool json_u64(const struct json_value *value, uint64_t *np);

#endif

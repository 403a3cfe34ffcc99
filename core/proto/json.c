/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * The scan keeps one bit for each open bracket: object or array.  Values of
 * the outermost container are told as they end; what is inside them is only
 * validated.
 */
struct scan {
	const char *start;
	const char *p;
	const char *end;
	uint32_t values;
	uint32_t depth;
	uint64_t objects; /* bit n: the container at depth n is an object */
	enum json_result result;
};

const char *
json_strerror(enum json_result result)
{
	switch (result) {
	case JSON_OK:
		return "valid JSON";
	case JSON_SYNTAX:
		return "not valid JSON";
	case JSON_TOO_DEEP:
		return "JSON nested deeper than 32";
	case JSON_TOO_MANY:
		return "JSON of more than 4096 values";
	case JSON_WRONG_KIND:
		return "JSON of another kind than expected";
	case JSON_STOPPED:
		return "refused";
	}
	return "not valid JSON";
}

static bool
fail(struct scan *s, enum json_result result)
{
	if (s->result == JSON_OK) {
		s->result = result;
	}
	return false;
}

static void
skip_space(struct scan *s)
{
	while (s->p < s->end &&
	    (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) {
		s->p++;
	}
}

/* The first byte at or after p that ends a run of plain string characters: a
 * quote, a backslash, or a control character. */
static const char *
skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i slash = _mm_set1_epi8('\\');
	const __m128i last_control = _mm_set1_epi8(0x1f);

	while (end - p >= 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* min(x, 0x1f) == x, unsigned: a control character. */
		__m128i bad =
		    _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote),
				     _mm_cmpeq_epi8(x, slash)),
			_mm_cmpeq_epi8(_mm_min_epu8(x, last_control), x));
		int mask = _mm_movemask_epi8(bad);

		if (mask != 0) {
			return p + __builtin_ctz((unsigned)mask);
		}
		p += 16;
	}
#endif
	while (p < end && *p != '"' && *p != '\\' &&
	    (unsigned char)*p >= 0x20) {
		p++;
	}
	return p;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash. */
static bool
scan_escape(struct scan *s)
{
	if (s->p == s->end) {
		return fail(s, JSON_SYNTAX);
	}
	if (*s->p != 'u') {
		if (*s->p == '\0' || strchr("\"\\/bfnrt", *s->p) == NULL) {
			return fail(s, JSON_SYNTAX);
		}
		s->p++;
		return true;
	}
	s->p++;
	for (int i = 0; i < 4; i++) {
		if (s->p == s->end || hex_digit(*s->p) < 0) {
			return fail(s, JSON_SYNTAX);
		}
		s->p++;
	}
	return true;
}

/* A string, the opening quote being next. */
static bool
scan_string(struct scan *s, bool *escapedp)
{
	*escapedp = false;
	s->p++;
	for (;;) {
		s->p = skip_plain(s->p, s->end);
		if (s->p == s->end || (unsigned char)*s->p < 0x20) {
			return fail(s, JSON_SYNTAX);
		}
		if (*s->p++ == '"') {
			return true;
		}
		*escapedp = true;
		if (!scan_escape(s)) {
			return false;
		}
	}
}

static bool
scan_digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
		s->p++;
	}
	return s->p > from || fail(s, JSON_SYNTAX);
}

static bool
scan_number(struct scan *s)
{
	if (*s->p == '-') {
		s->p++;
	}
	if (s->p < s->end && *s->p == '0') {
		s->p++; /* nothing but a point or an exponent may follow */
	} else if (!scan_digits(s)) {
		return false;
	}
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!scan_digits(s)) {
			return false;
		}
	}
	if (s->p < s->end && (*s->p | 0x20) == 'e') {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
			s->p++;
		}
		return scan_digits(s);
	}
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0) {
		return fail(s, JSON_SYNTAX);
	}
	s->p += len;
	return true;
}

/* A value that holds no others. */
static bool
scan_scalar(struct scan *s, struct json_value *v)
{
	switch (*s->p) {
	case '"':
		v->type = JSON_STRING;
		return scan_string(s, &v->escaped);
	case 't':
		v->type = JSON_TRUE;
		return scan_word(s, "true");
	case 'f':
		v->type = JSON_FALSE;
		return scan_word(s, "false");
	case 'n':
		v->type = JSON_NULL;
		return scan_word(s, "null");
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		v->type = JSON_NUMBER;
		return scan_number(s);
	default:
		return fail(s, JSON_SYNTAX);
	}
}

static bool
open_container(struct scan *s)
{
	if (s->depth == JSON_DEPTH_MAX) {
		return fail(s, JSON_TOO_DEEP);
	}
	s->depth++;
	s->objects &= ~((uint64_t)1 << s->depth);
	s->objects |= (uint64_t)(*s->p == '{') << s->depth;
	s->p++;
	return true;
}

static bool
in_object(const struct scan *s)
{
	return s->objects >> s->depth & 1;
}

/* A key and its colon, the value being next. */
static bool
scan_key(struct scan *s, const char **keyp, size_t *lenp, bool *escapedp)
{
	skip_space(s);
	if (s->p == s->end || *s->p != '"') {
		return fail(s, JSON_SYNTAX);
	}
	*keyp = s->p + 1;
	if (!scan_string(s, escapedp)) {
		return false;
	}
	*lenp = (size_t)(s->p - 1 - *keyp);
	skip_space(s);
	if (s->p == s->end || *s->p != ':') {
		return fail(s, JSON_SYNTAX);
	}
	s->p++;
	return true;
}

/* Is the container that was just opened closed again at once? */
static bool
is_closed(struct scan *s)
{
	skip_space(s);
	if (s->p < s->end && *s->p == (in_object(s) ? '}' : ']')) {
		s->p++;
		s->depth--;
		return true;
	}
	return false;
}

/*
 * After a value inside a container deeper than `floor`: close what ends here.
 * True when the value at `floor` is over, with *donep set; or when another
 * value follows a comma.
 */
static bool
after_value(struct scan *s, uint32_t floor, bool *donep)
{
	*donep = false;
	while (s->depth > floor) {
		skip_space(s);
		if (s->p == s->end) {
			return fail(s, JSON_SYNTAX);
		}
		if (*s->p == ',') {
			s->p++;
			return true;
		}
		if (*s->p != (in_object(s) ? '}' : ']')) {
			return fail(s, JSON_SYNTAX);
		}
		s->p++;
		s->depth--;
	}
	*donep = true;
	return true;
}

/* One whole value, whatever is in it. */
static bool
scan_value(struct scan *s, struct json_value *v)
{
	uint32_t floor = s->depth;
	struct json_value inner;
	bool outermost = true;
	bool done = false;

	skip_space(s);
	v->text = s->p;
	v->escaped = false;
	while (!done) {
		struct json_value *now = outermost ? v : &inner;
		const char *key;
		size_t len;
		bool escaped;

		if (s->depth > floor && in_object(s) &&
		    !scan_key(s, &key, &len, &escaped)) {
			return false;
		}
		skip_space(s);
		if (s->p == s->end) {
			return fail(s, JSON_SYNTAX);
		}
		if (++s->values > JSON_VALUES_MAX) {
			return fail(s, JSON_TOO_MANY);
		}
		outermost = false;
		if (*s->p == '{' || *s->p == '[') {
			now->type = *s->p == '{' ? JSON_OBJECT : JSON_ARRAY;
			if (!open_container(s)) {
				return false;
			}
			if (!is_closed(s)) {
				continue;
			}
		} else if (!scan_scalar(s, now)) {
			return false;
		}
		if (!after_value(s, floor, &done)) {
			return false;
		}
	}
	v->len = (size_t)(s->p - v->text);
	return true;
}

static void
scan_init(struct scan *s, const char *text, size_t len)
{
	*s = (struct scan){ .start = text, .p = text, .end = text + len };
}

/* Nothing but blanks may follow the outermost value. */
static enum json_result
finish(struct scan *s, size_t *atp)
{
	if (s->result == JSON_OK) {
		skip_space(s);
		if (s->p != s->end) {
			s->result = JSON_SYNTAX;
		}
	}
	*atp = (size_t)(s->p - s->start);
	return s->result;
}

/* The opening bracket of the outermost container. */
static bool
enter(struct scan *s, char open)
{
	struct json_value v;

	skip_space(s);
	if (s->p == s->end) {
		return fail(s, JSON_SYNTAX);
	}
	if (*s->p != open) {
		/* Broken JSON is one thing, another kind of value is
		 * another. */
		if (scan_value(s, &v) && finish(s, &(size_t){ 0 }) == JSON_OK) {
			fail(s, JSON_WRONG_KIND);
		}
		return false;
	}
	s->values = 1;
	return open_container(s);
}

enum json_result
json_members(const char *text, size_t len, json_member_f *each, void *arg,
    size_t *atp)
{
	struct scan s;
	bool done = false;

	scan_init(&s, text, len);
	if (!enter(&s, '{')) {
		return finish(&s, atp);
	}
	done = is_closed(&s);
	while (!done) {
		struct json_value v;
		const char *key;
		size_t key_len;
		bool escaped;

		if (!scan_key(&s, &key, &key_len, &escaped) ||
		    !scan_value(&s, &v)) {
			break;
		}
		if (!each(arg, key, key_len, escaped, &v)) {
			fail(&s, JSON_STOPPED);
			break;
		}
		if (!after_value(&s, 0, &done)) {
			break;
		}
	}
	return finish(&s, atp);
}

enum json_result
json_elements(const char *text, size_t len, json_element_f *each, void *arg,
    size_t *atp)
{
	struct scan s;
	bool done = false;

	scan_init(&s, text, len);
	if (!enter(&s, '[')) {
		return finish(&s, atp);
	}
	done = is_closed(&s);
	while (!done) {
		struct json_value v;

		if (!scan_value(&s, &v)) {
			break;
		}
		if (!each(arg, &v)) {
			fail(&s, JSON_STOPPED);
			break;
		}
		if (!after_value(&s, 0, &done)) {
			break;
		}
	}
	return finish(&s, atp);
}

enum json_result
json_check(const char *text, size_t len, struct json_value *valuep, size_t *atp)
{
	struct scan s;

	scan_init(&s, text, len);
	scan_value(&s, valuep);
	return finish(&s, atp);
}

/* The code unit of "\uXXXX", p being at the first digit. */
static uint32_t
code_unit(const char *p)
{
	uint32_t u = 0;

	for (int i = 0; i < 4; i++) {
		u = u << 4 | (uint32_t)hex_digit(p[i]);
	}
	return u;
}

static size_t
put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Decode the \u escape whose digits begin at *pp, a pair of surrogates
 * together.  0 for what is no character. */
static uint32_t
decode_unicode(const char **pp, const char *end)
{
	uint32_t high = code_unit(*pp);
	uint32_t low;

	*pp += 4;
	if (high < 0xd800 || high > 0xdfff) {
		return high;
	}
	if (high > 0xdbff || end - *pp < 6 || (*pp)[0] != '\\' ||
	    (*pp)[1] != 'u') {
		return 0;
	}
	low = code_unit(*pp + 2);
	if (low < 0xdc00 || low > 0xdfff) {
		return 0;
	}
	*pp += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static char
decode_short(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

bool
json_decode(const struct json_value *value, char *out, size_t size,
    size_t *lenp)
{
	const char *p = value->text + 1;
	const char *end = value->text + value->len - 1;
	size_t n = 0;

	if (!value->escaped) {
		if ((size_t)(end - p) > size) {
			return false;
		}
		memcpy(out, p, (size_t)(end - p));
		*lenp = (size_t)(end - p);
		return true;
	}
	while (p < end) {
		char piece[4];
		size_t len = 1;

		piece[0] = *p++;
		if (piece[0] == '\\') {
			char c = *p++;

			if (c == 'u') {
				uint32_t u = decode_unicode(&p, end);

				if (u == 0) {
					return false;
				}
				len = put_utf8(u, piece);
			} else {
				piece[0] = decode_short(c);
			}
		}
		if (len > size - n) {
			return false;
		}
		memcpy(out + n, piece, len);
		n += len;
	}
	*lenp = n;
	return true;
}

bool
json_key_is(const char *key, size_t len, bool escaped, const char *want)
{
	size_t want_len = strlen(want);
	struct json_value quoted = { JSON_STRING, true, key - 1, len + 2 };
	char plain[64];

	if (!escaped) {
		return len == want_len && memcmp(key, want, len) == 0;
	}
	return json_decode(&quoted, plain, sizeof plain, &len) &&
	    len == want_len && memcmp(plain, want, len) == 0;
}

bool
json_u64(const struct json_value *value, uint64_t *np)
{
	uint64_t n = 0;

	if (value->type != JSON_NUMBER || value->len > 20) {
		return false;
	}
	for (size_t i = 0; i < value->len; i++) {
		unsigned digit = (unsigned)(value->text[i] - '0');

		if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
			return false;
		}
		n = n * 10 + digit;
	}
	*np = n;
	return true;
}

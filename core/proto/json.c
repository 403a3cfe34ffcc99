/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/hex.h"

/*
 * How far the scan is travels in a register from function to function: each
 * is given where to go on and returns where it ended, or NULL once fail() has
 * noted what is wrong and where.  The rest of its state is here, one bit for
 * each open bracket: object or array.
 */
struct scan {
	const char *start;
	const char *end;
	const char *at;   /* of what went wrong */
	uint64_t objects; /* bit n: the container at depth n is an object */
	uint32_t depth;
	uint32_t values;
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

static const char *
fail(struct scan *s, const char *at, enum json_result result)
{
	s->at = at;
	s->result = result;
	return NULL;
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end &&
	    (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
		p++;
	}
	return p;
}

#ifdef __SSE2__
/* How many plain characters there are before what ends the run, 16 for all,
 * in the 16 bytes at p. */
static inline unsigned
plain_of_16(const char *p)
{
	const __m128i last_control = _mm_set1_epi8(0x1f);
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
	/* min(x, 0x1f) == x, unsigned: a control character. */
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, last_control), x);
	__m128i ends = _mm_or_si128(_mm_or_si128(quote, slash), control);

	return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(ends) |
	    0x10000u);
}
#else
/* Every byte the same. */
#define EACH(byte) (UINT64_MAX / 255 * (byte))

/* Not 0 when one of the 8 bytes is below n, which is at most 128. */
static inline uint64_t
below(uint64_t x, uint64_t n)
{
	return (x - EACH(n)) & ~x & EACH(0x80);
}

/* Are the 8 bytes at p plain characters? */
static inline bool
all_plain(const char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof x);
	return (below(x, 0x20) | below(x ^ EACH('"'), 1) |
		   below(x ^ EACH('\\'), 1)) == 0;
}
#endif

/* The first byte at or after p that ends a run of plain string characters: a
 * quote, a backslash, or a control character. */
static inline const char *
skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	while (end - p >= 16) {
		unsigned n = plain_of_16(p);

		p += n;
		if (n < 16) {
			return p;
		}
	}
#else
	while (end - p >= 8 && all_plain(p)) {
		p += 8;
	}
#endif
	while (p < end && *p != '"' && *p != '\\' &&
	    (unsigned char)*p >= 0x20) {
		p++;
	}
	return p;
}

/* What follows a backslash. */
static const char *
scan_escape(struct scan *s, const char *p)
{
	const char *end = s->end;

	if (p == end) {
		return fail(s, p, JSON_SYNTAX);
	}
	if (*p != 'u') {
		if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
			return fail(s, p, JSON_SYNTAX);
		}
		return p + 1;
	}
	p++;
	for (int i = 0; i < 4; i++, p++) {
		if (p == end || hex_digit(*p) < 0) {
			return fail(s, p, JSON_SYNTAX);
		}
	}
	return p;
}

/* A string from its first backslash on, or to what is wrong with it. */
static const char *
scan_escaped(struct scan *s, const char *p)
{
	while (p < s->end && *p == '\\') {
		p = scan_escape(s, p + 1);
		if (p == NULL) {
			return NULL;
		}
		p = skip_plain(p, s->end);
	}
	if (p == s->end || *p != '"') {
		return fail(s, p, JSON_SYNTAX);
	}
	return p + 1;
}

/* A string, its opening quote being at p. */
static inline const char *
scan_string(struct scan *s, const char *p, bool *escapedp)
{
	p = skip_plain(p + 1, s->end);
	if (p < s->end && *p == '"') {
		*escapedp = false;
		return p + 1;
	}
	*escapedp = true;
	return scan_escaped(s, p);
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One digit or more. */
static inline const char *
scan_digits(struct scan *s, const char *p)
{
	if (p == s->end || !is_digit(*p)) {
		return fail(s, p, JSON_SYNTAX);
	}
	do {
		p++;
	} while (p < s->end && is_digit(*p));
	return p;
}

static const char *
scan_number(struct scan *s, const char *p)
{
	const char *end = s->end;

	if (*p == '-') {
		p++;
	}
	if (p < end && *p == '0') {
		p++; /* nothing but a point or an exponent may follow */
	} else {
		p = scan_digits(s, p);
	}
	if (p != NULL && p < end && *p == '.') {
		p = scan_digits(s, p + 1);
	}
	if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-')) {
			p++;
		}
		p = scan_digits(s, p);
	}
	return p;
}

static inline const char *
scan_word(struct scan *s, const char *p, const char *word, size_t len)
{
	if ((size_t)(s->end - p) < len || memcmp(p, word, len) != 0) {
		return fail(s, p, JSON_SYNTAX);
	}
	return p + len;
}

/* A value that holds no others. */
static inline const char *
scan_scalar(struct scan *s, const char *p, struct json_value *v)
{
	v->escaped = false;
	switch (*p) {
	case '"':
		v->type = JSON_STRING;
		return scan_string(s, p, &v->escaped);
	case 't':
		v->type = JSON_TRUE;
		return scan_word(s, p, "true", 4);
	case 'f':
		v->type = JSON_FALSE;
		return scan_word(s, p, "false", 5);
	case 'n':
		v->type = JSON_NULL;
		return scan_word(s, p, "null", 4);
	default:
		v->type = JSON_NUMBER;
		return scan_number(s, p);
	}
}

static inline bool
in_object(const struct scan *s)
{
	return s->objects >> s->depth & 1;
}

/* The bracket that closes the innermost container. */
static inline char
closing(const struct scan *s)
{
	return in_object(s) ? '}' : ']';
}

/* The opening bracket at p and, of an empty container, the closing one too:
 * then the value is over. */
static inline const char *
open_container(struct scan *s, const char *p, bool *overp)
{
	if (s->depth == JSON_DEPTH_MAX) {
		return fail(s, p, JSON_TOO_DEEP);
	}
	s->depth++;
	s->objects &= ~((uint64_t)1 << s->depth);
	s->objects |= (uint64_t)(*p == '{') << s->depth;
	p = skip_space(p + 1, s->end);
	*overp = p < s->end && *p == closing(s);
	if (*overp) {
		s->depth--;
		p++;
	}
	return p;
}

/* A key and its colon, the value being next. */
static inline const char *
scan_key(struct scan *s, const char *p, struct json_value *key)
{
	p = skip_space(p, s->end);
	if (p == s->end || *p != '"') {
		return fail(s, p, JSON_SYNTAX);
	}
	key->text = p + 1;
	p = scan_string(s, p, &key->escaped);
	if (p == NULL) {
		return NULL;
	}
	key->len = (size_t)(p - 1 - key->text);
	p = skip_space(p, s->end);
	if (p == s->end || *p != ':') {
		return fail(s, p, JSON_SYNTAX);
	}
	return p + 1;
}

/* To where the next value begins, and count it. */
static inline const char *
next_value(struct scan *s, const char *p)
{
	p = skip_space(p, s->end);
	if (p == s->end) {
		return fail(s, p, JSON_SYNTAX);
	}
	if (++s->values > JSON_VALUES_MAX) {
		return fail(s, p, JSON_TOO_MANY);
	}
	return p;
}

/*
 * After a value inside a container deeper than `floor`: close what ends here.
 * Done when the value at `floor` is over; else another one follows a comma.
 */
static inline const char *
after_value(struct scan *s, const char *p, uint32_t floor, bool *donep)
{
	*donep = false;
	while (s->depth > floor) {
		p = skip_space(p, s->end);
		if (p < s->end && *p == ',') {
			return p + 1;
		}
		if (p == s->end || *p != closing(s)) {
			return fail(s, p, JSON_SYNTAX);
		}
		s->depth--;
		p++;
	}
	*donep = true;
	return p;
}

/* A container, its opening bracket being at p, and all that is in it. */
static const char *
scan_container(struct scan *s, const char *p)
{
	uint32_t floor = s->depth;
	struct json_value ignored;
	bool over;

	p = open_container(s, p, &over);
	while (p != NULL) {
		if (over) {
			p = after_value(s, p, floor, &over);
			if (p == NULL || over) {
				return p;
			}
		}
		if (in_object(s)) {
			p = scan_key(s, p, &ignored);
			if (p == NULL) {
				return NULL;
			}
		}
		p = next_value(s, p);
		if (p == NULL) {
			return NULL;
		}
		if (*p == '{' || *p == '[') {
			p = open_container(s, p, &over);
		} else {
			p = scan_scalar(s, p, &ignored);
			over = true;
		}
	}
	return NULL;
}

/* One whole value, whatever is in it. */
static inline const char *
scan_value(struct scan *s, const char *p, struct json_value *v)
{
	p = next_value(s, p);
	if (p == NULL) {
		return NULL;
	}
	v->text = p;
	if (*p == '{' || *p == '[') {
		v->type = *p == '{' ? JSON_OBJECT : JSON_ARRAY;
		v->escaped = false;
		p = scan_container(s, p);
	} else {
		p = scan_scalar(s, p, v);
	}
	if (p != NULL) {
		v->len = (size_t)(p - v->text);
	}
	return p;
}

/* Nothing but blanks may follow the outermost value, which ended at p. */
static enum json_result
finish(struct scan *s, const char *p, size_t *atp)
{
	if (p != NULL) {
		p = skip_space(p, s->end);
		s->at = p;
		if (p != s->end) {
			s->result = JSON_SYNTAX;
		}
	}
	*atp = (size_t)(s->at - s->start);
	return s->result;
}

/* Who wants to be told of what is in the outermost container. */
struct audience {
	json_member_f *member; /* NULL: it is an array */
	json_element_f *element;
	void *arg;
};

/* A value of the outermost container and, in an object, its key; then what
 * stands behind it. */
static inline const char *
tell_value(struct scan *s, const char *p, const struct audience *to,
    bool *donep)
{
	struct json_value key, value;
	bool more;

	if (to->member != NULL) {
		p = scan_key(s, p, &key);
		if (p == NULL) {
			return NULL;
		}
		p = scan_value(s, p, &value);
		more = p != NULL &&
		    to->member(to->arg, key.text, key.len, key.escaped, &value);
	} else {
		p = scan_value(s, p, &value);
		more = p != NULL && to->element(to->arg, &value);
	}
	if (p == NULL) {
		return NULL;
	}
	if (!more) {
		return fail(s, value.text, JSON_STOPPED);
	}
	return after_value(s, p, 0, donep);
}

/* Everything in the container whose opening bracket is at p. */
static const char *
tell_values(struct scan *s, const char *p, const struct audience *to)
{
	bool done = false;

	s->values = 1;
	p = open_container(s, p, &done);
	while (p != NULL && !done) {
		p = tell_value(s, p, to, &done);
	}
	return p;
}

/* An empty slice may have no data: no pointer to add even 0 to. */
static struct scan
scan_of(const char *text, size_t len)
{
	const char *start = len > 0 ? text : "";

	return (struct scan){ .start = start, .end = start + len };
}

static enum json_result
scan_text(const char *text, size_t len, const struct audience *to, size_t *atp)
{
	struct scan s = scan_of(text, len);
	const char *p = skip_space(s.start, s.end);
	char open = to->member != NULL ? '{' : '[';
	struct json_value other;
	enum json_result result;

	if (p < s.end && *p == open) {
		return finish(&s, tell_values(&s, p, to), atp);
	}
	/* Broken JSON is one thing, another kind of value is another. */
	result = finish(&s, scan_value(&s, p, &other), atp);
	if (result != JSON_OK) {
		return result;
	}
	*atp = (size_t)(p - s.start);
	return JSON_WRONG_KIND;
}

enum json_result
json_members(const char *text, size_t len, json_member_f *each, void *arg,
    size_t *atp)
{
	return scan_text(text, len,
	    &(struct audience){ .member = each, .arg = arg }, atp);
}

struct taking {
	const struct json_place *places;
	size_t n;
};

static bool
take(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	const struct taking *t = arg;

	for (size_t i = 0; i < t->n; i++) {
		if (json_key_is(key, len, escaped, t->places[i].key)) {
			*t->places[i].valuep = *value;
		}
	}
	return true;
}

enum json_result
json_take(const char *text, size_t len, const struct json_place *places,
    size_t n, size_t *atp)
{
	struct taking t = { places, n };

	return json_members(text, len, take, &t, atp);
}

enum json_result
json_elements(const char *text, size_t len, json_element_f *each, void *arg,
    size_t *atp)
{
	return scan_text(text, len,
	    &(struct audience){ .element = each, .arg = arg }, atp);
}

enum json_result
json_check(const char *text, size_t len, struct json_value *valuep, size_t *atp)
{
	struct scan s = scan_of(text, len);

	return finish(&s, scan_value(&s, s.start, valuep), atp);
}

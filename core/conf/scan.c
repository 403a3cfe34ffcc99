/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "base/why.h"

/*
 * The text is copied once and cut in place: every string of an item points
 * into the copy, so that no line needs memory of its own.
 */
struct scan {
	const char *file;
	scan_item_f *item;
	void *arg;
	struct aqb_why *why;
	const char *section;
	const char *name;
	unsigned line;
	char origin[SCAN_ORIGIN_SIZE];
};

#define WORD_CHARS                   \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789_-"

bool
scan_is_word(const char *text)
{
	return text[0] != '\0' && text[strspn(text, WORD_CHARS)] == '\0';
}

void
scan_origin(char origin[SCAN_ORIGIN_SIZE], const char *file, unsigned line)
{
	const int most = SCAN_ORIGIN_SIZE - 16; /* the number, dots and NUL */
	size_t len = strlen(file);

	if (len > (size_t)most) {
		snprintf(origin, SCAN_ORIGIN_SIZE, "...%.*s:%u", most,
		    file + len - (size_t)most, line);
		return;
	}
	snprintf(origin, SCAN_ORIGIN_SIZE, "%.*s:%u", most, file, line);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *
skip_blanks(char *p)
{
	while (is_blank(*p)) {
		p++;
	}
	return p;
}

/* Cut the blanks off the end of the text from `start` to `end`. */
static void
cut_blanks(char *start, char *end)
{
	while (end > start && is_blank(end[-1])) {
		end--;
	}
	*end = '\0';
}

/* Nothing, or a comment. */
static bool
is_rest(const char *p)
{
	return *p == '\0' || *p == '#' || *p == ';';
}

static int
emit(struct scan *s, const char *key, const char *value)
{
	struct scan_item item = {
		.section = s->section,
		.name = s->name,
		.key = key,
		.value = value,
		.line = s->line,
		.origin = s->origin,
	};

	return s->item(s->arg, &item, s->why);
}

/* What is between the brackets: `name`, or `plugin NAME`. */
static int
scan_section(struct scan *s, char *p)
{
	char *end = strchr(p, ']');
	char *name;

	if (end == NULL) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: section: no \"]\" at its end; write [name]",
		    s->origin);
	}
	if (!is_rest(skip_blanks(end + 1))) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: section: more text after \"]\"; write it on a line of its own",
		    s->origin);
	}
	p = skip_blanks(p);
	cut_blanks(p, end);
	name = p + strcspn(p, " \t");
	if (*name != '\0') {
		*name = '\0';
		name = skip_blanks(name + 1);
	}
	if (!scan_is_word(p) || (*name != '\0' && !scan_is_word(name))) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: section: not a name; write [name] or [plugin NAME]",
		    s->origin);
	}
	s->section = p;
	s->name = name;
	return emit(s, NULL, NULL);
}

/* Take the quotes and escapes out of a value in place. */
static int
unquote(struct scan *s, char *p, const char *key, char **valuep)
{
	char *out = p;

	*valuep = out;
	p++;
	while (*p != '"' && *p != '\0') {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\')) {
			p++;
		}
		*out++ = *p++;
	}
	if (*p == '\0') {
		return refuse(s->why, AQB_EINVAL,
		    "%s: %.60s: the quotes are not closed; end the value with \"",
		    s->origin, key);
	}
	p++;
	*out = '\0';
	if (!is_rest(skip_blanks(p))) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: %.60s: more text after the quotes; write \\\" for a quote inside",
		    s->origin, key);
	}
	return AQB_OK;
}

/* Cut an unquoted value where a comment begins. */
static void
cut_comment(char *value)
{
	char *p = value;

	while (*p != '\0' &&
	    !((*p == '#' || *p == ';') && (p == value || is_blank(p[-1])))) {
		p++;
	}
	cut_blanks(value, p);
}

static int
scan_value(struct scan *s, char *p)
{
	char *equals = strchr(p, '=');
	char *value;
	int err;

	if (equals == NULL) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: \"%.60s\": no \"=\"; write key = value, or # before a comment",
		    s->origin, p);
	}
	cut_blanks(p, equals);
	if (!scan_is_word(p)) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: \"%.60s\": not a key; use letters, digits, _ and -",
		    s->origin, p);
	}
	value = skip_blanks(equals + 1);
	if (*value != '"') {
		cut_comment(value);
		return emit(s, p, value);
	}
	err = unquote(s, value, p, &value);
	if (err != AQB_OK) {
		return err;
	}
	return emit(s, p, value);
}

static int
scan_line(struct scan *s, char *p, size_t len)
{
	s->line++;
	scan_origin(s->origin, s->file, s->line);
	if (len > 0 && p[len - 1] == '\r') {
		p[--len] = '\0';
	}
	if (!utf8_valid(p, len)) {
		return refuse(s->why, AQB_EINVAL,
		    "%s: text: not UTF-8; save the file as UTF-8", s->origin);
	}
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)p[i] < ' ' && p[i] != '\t') ||
		    p[i] == 0x7f) {
			return refuse(s->why, AQB_EINVAL,
			    "%s: text: control character 0x%02x; remove it",
			    s->origin, (unsigned)p[i]);
		}
	}
	p = skip_blanks(p);
	if (is_rest(p)) {
		return AQB_OK;
	}
	if (*p == '[') {
		return scan_section(s, p + 1);
	}
	return scan_value(s, p);
}

static int
scan_lines(struct scan *s, char *p, char *end)
{
	int err = AQB_OK;

	/* Some editors begin a file with a byte order mark. */
	if (end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;
	}
	while (p < end && err == AQB_OK) {
		char *eol = memchr(p, '\n', (size_t)(end - p));

		if (eol == NULL) {
			eol = end;
		}
		*eol = '\0';
		err = scan_line(s, p, (size_t)(eol - p));
		p = eol + 1;
	}
	return err;
}

int
scan_text(const char *file, const char *text, size_t len, scan_item_f *item,
    void *arg, struct aqb_why *why)
{
	struct scan s = {
		.file = file,
		.item = item,
		.arg = arg,
		.why = why,
		.section = "",
		.name = "",
	};
	char *copy;
	int err;

	if (len > SCAN_MAX) {
		return refuse(why, AQB_EINVAL,
		    "%.100s: %zu bytes are over the limit of %u; is it a configuration file?",
		    file, len, SCAN_MAX);
	}
	copy = xnew(len + 1);
	if (len > 0) {
		memcpy(copy, text, len);
	}
	err = scan_lines(&s, copy, copy + len);

	/* A value may have been a secret. */
	explicit_bzero(copy, len);
	free(copy);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/option.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "base/why.h"
#include "conf/nearest.h"
#include "conf/unit.h"

/* Where a value comes from and what it is for, while it is being read. */
struct reading {
	const struct aqb_option *option;
	const char *origin;
	void *member;
	struct aqb_why *why;
};

static void *
member_of(const struct aqb_option *option, void *conf)
{
	return (char *)conf + option->offset;
}

static uint64_t
number_of(const struct aqb_option *option, const void *conf)
{
	const char *member = (const char *)conf + option->offset;

	switch (option->type) {
	case AQB_OPT_BOOL:
		return *(const bool *)(const void *)member;
	case AQB_OPT_SIZE:
	case AQB_OPT_DURATION:
		return *(const uint64_t *)(const void *)member;
	default:
		return *(const uint32_t *)(const void *)member;
	}
}

static const char *
string_of(const struct aqb_option *option, const void *conf)
{
	const char *member = (const char *)conf + option->offset;
	const char *text = *(const char *const *)(const void *)member;

	return text == NULL ? "" : text;
}

static bool
is_string(const struct aqb_option *option)
{
	return option->type == AQB_OPT_STRING || option->type == AQB_OPT_SECRET;
}

static int __attribute__((format(printf, 2, 3)))
wrong(const struct reading *r, const char *fmt, ...)
{
	char fact[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fact, sizeof fact, fmt, ap);
	va_end(ap);
	if (r->origin == NULL || r->origin[0] == '\0') {
		return refuse(r->why, AQB_EINVAL, "%s: %s", r->option->name,
		    fact);
	}
	return refuse(r->why, AQB_EINVAL, "%s: %s: %s", r->origin,
	    r->option->name, fact);
}

/* A number in the unit that its option is written in. */
static const char *
unit_text(const struct aqb_option *option, uint64_t n, char text[UNIT_SIZE])
{
	switch (option->type) {
	case AQB_OPT_SIZE:
		return unit_size_text(n, text);
	case AQB_OPT_DURATION:
		return unit_duration_text(n, text);
	default:
		snprintf(text, UNIT_SIZE, "%" PRIu64, n);
		return text;
	}
}

static int
check_range(const struct reading *r, uint64_t n)
{
	char text[UNIT_SIZE];
	char limit[UNIT_SIZE];
	const struct aqb_option *o = r->option;

	if (n < o->min) {
		return wrong(r, "%s is below %s", unit_text(o, n, text),
		    unit_text(o, o->min, limit));
	}
	if (n > o->max) {
		return wrong(r, "%s is above %s", unit_text(o, n, text),
		    unit_text(o, o->max, limit));
	}
	return AQB_OK;
}

static int
parse_number(const struct reading *r, const char *value)
{
	uint64_t n;
	const char *fault = NULL;
	int err;

	switch (r->option->type) {
	case AQB_OPT_SIZE:
		fault = unit_parse_size(value, &n);
		break;
	case AQB_OPT_DURATION:
		fault = unit_parse_duration(value, &n);
		break;
	default:
		fault = unit_parse_count(value, &n);
		break;
	}
	if (fault != NULL) {
		return wrong(r, "\"%.40s\" %s", value, fault);
	}
	err = check_range(r, n);
	if (err != AQB_OK) {
		return err;
	}
	if (r->option->type == AQB_OPT_U32) {
		if (n > UINT32_MAX) {
			return wrong(r, "%" PRIu64 " is above %" PRIu32, n,
			    UINT32_MAX);
		}
		*(uint32_t *)r->member = (uint32_t)n;
		return AQB_OK;
	}
	*(uint64_t *)r->member = n;
	return AQB_OK;
}

static int
parse_bool(const struct reading *r, const char *value)
{
	static const char *const words[] = { "no", "yes", "false", "true",
		"off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcasecmp(value, words[i]) == 0) {
			*(bool *)r->member = i % 2 == 1;
			return AQB_OK;
		}
	}
	return wrong(r, "\"%.40s\" is neither; write yes or no", value);
}

/* The length of the word at the start of "one|two|three". */
static size_t
word_len(const char *names)
{
	return strcspn(names, "|");
}

static const char *
next_word(const char *names)
{
	names += word_len(names);
	return *names == '|' ? names + 1 : NULL;
}

static int
parse_enum(const struct reading *r, const char *value)
{
	struct buf words = { .max = 4096 };
	uint32_t i = 0;
	int err;

	for (const char *w = r->option->names; w != NULL; w = next_word(w)) {
		if (strlen(value) == word_len(w) &&
		    strncmp(value, w, word_len(w)) == 0) {
			*(uint32_t *)r->member = i;
			return AQB_OK;
		}
		i++;
	}
	option_print_range(r->option, &words);
	err = wrong(r, "\"%.40s\" is not known; write %.80s", value,
	    buf_text(&words));
	buf_fini(&words);
	return err;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if (((unsigned char)*text < ' ' && *text != '\t') ||
		    *text == 0x7f) {
			return true;
		}
	}
	return false;
}

static void
wipe(char *text)
{
	if (text != NULL) {
		explicit_bzero(text, strlen(text));
		free(text);
	}
}

static int
parse_string(const struct reading *r, const char *value)
{
	char **textp = r->member;
	size_t len = strlen(value);

	if (len > r->option->max) {
		return wrong(r, "%zu bytes are above the limit of %" PRIu64,
		    len, r->option->max);
	}
	if (!utf8_valid(value, len)) {
		return wrong(r, "the value is not UTF-8");
	}
	/* What no file can hold could not be printed and read back. */
	if (has_control(value)) {
		return wrong(r, "the value has a control character");
	}
	wipe(*textp);
	*textp = xstrdup(value);
	return AQB_OK;
}

int
option_parse(const struct aqb_option *option, const char *value,
    const char *origin, void *conf, struct aqb_why *why)
{
	const struct reading r = {
		.option = option,
		.origin = origin,
		.member = member_of(option, conf),
		.why = why,
	};

	switch (option->type) {
	case AQB_OPT_U32:
	case AQB_OPT_SIZE:
	case AQB_OPT_DURATION:
		return parse_number(&r, value);
	case AQB_OPT_BOOL:
		return parse_bool(&r, value);
	case AQB_OPT_ENUM:
		return parse_enum(&r, value);
	case AQB_OPT_STRING:
	case AQB_OPT_SECRET:
		return parse_string(&r, value);
	default:
		return wrong(&r,
		    "its type %" PRIu32 " is unknown; "
		    "rebuild the plugin",
		    option->type);
	}
}

const struct aqb_option *
option_find(const struct aqb_option *table, const char *name)
{
	for (; table != NULL && table->type != AQB_OPT_END; table++) {
		if (strcmp(table->name, name) == 0) {
			return table;
		}
	}
	return NULL;
}

int
option_set(const struct aqb_option *table, const char *name, const char *value,
    const char *origin, void *conf, struct aqb_why *why)
{
	const struct aqb_option *option = option_find(table, name);
	struct nearest near = { .want = name };
	char hint[NEAREST_SIZE];

	if (option != NULL) {
		return option_parse(option, value, origin, conf, why);
	}
	for (; table != NULL && table->type != AQB_OPT_END; table++) {
		nearest_offer(&near, table->name);
	}
	return refuse(why, AQB_ENOENT, "%s: %.60s: unknown option%s",
	    origin == NULL ? "options" : origin, name,
	    nearest_text(&near, hint));
}

int
option_defaults(const struct aqb_option *table, void *conf, struct aqb_why *why)
{
	for (; table != NULL && table->type != AQB_OPT_END; table++) {
		const char *dflt = table->dflt == NULL ? "" : table->dflt;
		int err = option_parse(table, dflt, "default", conf, why);

		if (err != AQB_OK) {
			return err;
		}
	}
	return AQB_OK;
}

void
option_fini(const struct aqb_option *table, void *conf)
{
	for (; table != NULL && table->type != AQB_OPT_END; table++) {
		if (is_string(table)) {
			char **textp = member_of(table, conf);

			wipe(*textp);
			*textp = NULL;
		}
	}
}

bool
option_has_secret(const struct aqb_option *option, const void *conf)
{
	return option->type == AQB_OPT_SECRET &&
	    string_of(option, conf)[0] != '\0';
}

/* The value as bare text; quotes are for whoever needs them. */
static void
print_bare(const struct aqb_option *option, const void *conf, struct buf *out)
{
	char text[UNIT_SIZE];
	uint64_t n;
	const char *w;

	switch (option->type) {
	case AQB_OPT_STRING:
		buf_puts(out, string_of(option, conf));
		return;
	case AQB_OPT_SECRET:
		buf_puts(out, option_has_secret(option, conf) ? "***" : "");
		return;
	case AQB_OPT_BOOL:
		buf_puts(out, number_of(option, conf) != 0 ? "yes" : "no");
		return;
	case AQB_OPT_ENUM:
		w = option->names;
		for (n = number_of(option, conf); n > 0; n--) {
			w = next_word(w);
		}
		buf_add(out, w, word_len(w));
		return;
	default:
		n = number_of(option, conf);
		buf_puts(out, unit_text(option, n, text));
		return;
	}
}

void
option_print(const struct aqb_option *option, const void *conf, struct buf *out)
{
	if (option->type == AQB_OPT_STRING) {
		option_quote(string_of(option, conf), out);
		return;
	}
	print_bare(option, conf, out);
}

void
option_print_json(const struct aqb_option *option, const void *conf,
    struct buf *out)
{
	struct buf text = { .max = 0 };

	if (option->type == AQB_OPT_BOOL) {
		buf_puts(out, number_of(option, conf) != 0 ? "true" : "false");
		return;
	}
	print_bare(option, conf, &text);
	if (option->type == AQB_OPT_U32) {
		buf_puts(out, buf_text(&text));
	} else {
		buf_json(out, buf_text(&text), text.len);
	}
	buf_fini(&text);
}

static void
print_words(const char *names, struct buf *out)
{
	for (const char *w = names; w != NULL; w = next_word(w)) {
		if (w != names) {
			buf_puts(out, next_word(w) == NULL ? " or " : ", ");
		}
		buf_add(out, w, word_len(w));
	}
}

void
option_print_range(const struct aqb_option *option, struct buf *out)
{
	char least[UNIT_SIZE];
	char most[UNIT_SIZE];

	switch (option->type) {
	case AQB_OPT_U32:
	case AQB_OPT_SIZE:
	case AQB_OPT_DURATION:
		buf_printf(out, "%s to %s",
		    unit_text(option, option->min, least),
		    unit_text(option, option->max, most));
		return;
	case AQB_OPT_BOOL:
		buf_puts(out, "yes or no");
		return;
	case AQB_OPT_ENUM:
		print_words(option->names, out);
		return;
	default:
		return;
	}
}

void
option_quote(const char *value, struct buf *out)
{
	size_t len = strlen(value);

	if (len > 0 && value[0] != '"' && strpbrk(value, "#;\t\\") == NULL &&
	    value[0] != ' ' && value[len - 1] != ' ') {
		buf_puts(out, value);
		return;
	}
	buf_putc(out, '"');
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\') {
			buf_putc(out, '\\');
		}
		buf_putc(out, *value);
	}
	buf_putc(out, '"');
}

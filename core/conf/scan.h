/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

/*
 * Reads the INI files of the broker: `[name]` and `[plugin NAME]` sections,
 * `key = value` lines, comments that begin with `#` or `;`.  After a value a
 * comment needs a blank before it.  A value in double quotes keeps everything;
 * inside, \" and \\ stand for the two.  What the keys mean is no business of
 * the scanner.
 */

#include <stdbool.h>
#include <stddef.h>

#include <arqonbus/error.h>

/* The longest text that is read, in bytes.  Lines have no limit of their own. */
#define SCAN_MAX (1u << 20)

/* Room for "FILE:LINE", NUL included. */
#define SCAN_ORIGIN_SIZE 128

/* One line that says something.  The strings live for the call. */
struct scan_item {
	const char *section; /* "" before the first section */
	const char *name;    /* of [plugin NAME], else "" */
	const char *key;     /* NULL: the section has just begun */
	const char *value;
	unsigned line;      /* 1 is the first */
	const char *origin; /* "FILE:LINE", what a refusal begins with */
};

/* Look at one item.  Anything but AQB_OK ends the scan and is its result. */
typedef int scan_item_f(void *arg, const struct scan_item *item,
    struct aqb_why *why);

/*
 * Read a text and show its items in order.  `file` is what it is called in
 * refusals.  Fails with AQB_EINVAL when the text is malformed, or with what
 * the function returned.  The text is borrowed and not changed.
 */
int scan_text(const char *file, const char *text, size_t len, scan_item_f *item,
    void *arg, struct aqb_why *why);

/* Write "FILE:LINE"; a long path keeps its end, which tells most. */
void scan_origin(char origin[SCAN_ORIGIN_SIZE], const char *file,
    unsigned line);

/* Is this the spelling of a key, a section or a plugin: letters, digits, `_`
 * and `-`? */
bool scan_is_word(const char *text);

#endif

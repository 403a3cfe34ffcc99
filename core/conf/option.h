/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H

/*
 * Values and the tables that describe them: struct aqb_option of
 * <arqonbus/plugin.h>, used for plugins and for the daemon itself.  One
 * parser, one printer; what is printed reads back as the same value.
 *
 * `conf` is the struct that a table's offsets point into.  It begins zeroed;
 * its strings belong to it and are replaced and freed here only.
 */

#include <stdbool.h>
#include <stddef.h>

#include <arqonbus/plugin.h>

#include "base/buf.h"

/*
 * Read one value into its member.  Refuses with AQB_EINVAL and a sentence
 * that begins with `origin` ("FILE:LINE", a flag, a variable; NULL is none)
 * and the option's name; the member is then unchanged.  A secret's value is
 * never part of the sentence.
 */
int option_parse(const struct aqb_option *option, const char *value,
    const char *origin, void *conf, struct aqb_why *why);

/* The same by name.  Refuses a name that the table does not know, with the
 * nearest one that it does. */
int option_set(const struct aqb_option *table, const char *name,
    const char *value, const char *origin, void *conf, struct aqb_why *why);

/* Give every member its default.  Fails when a default does not fit its own
 * option, which is a bug of the table. */
int option_defaults(const struct aqb_option *table, void *conf,
    struct aqb_why *why);

/* Free the strings of a struct, wiping secrets.  The struct itself is the
 * caller's. */
void option_fini(const struct aqb_option *table, void *conf);

/* The option of this name, or NULL. */
const struct aqb_option *option_find(const struct aqb_option *table,
    const char *name);

/* Write the value as a file would have it, with the largest unit that says
 * it exactly: 64KiB, 25s, yes.  Secrets become `***`, or nothing if empty. */
void option_print(const struct aqb_option *option, const void *conf,
    struct buf *out);

/* The same as a JSON value: numbers and booleans bare, the rest strings. */
void option_print_json(const struct aqb_option *option, const void *conf,
    struct buf *out);

/* Write the range, or the words, that the option allows: "1 to 1000000",
 * "debug, info, warning or error".  Nothing where anything goes. */
void option_print_range(const struct aqb_option *option, struct buf *out);

/* Add a value, in quotes where the scanner would otherwise cut it. */
void option_quote(const char *value, struct buf *out);

/* Does this option hold a secret that is not empty? */
bool option_has_secret(const struct aqb_option *option, const void *conf);

#endif

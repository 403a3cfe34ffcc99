/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_TABLE_H
#define CONF_CONF_TABLE_H

/* The daemon's own options: one table for the file, the environment, the
 * flags, the dump and the manual. */

#include <stdbool.h>

#include <arqonbus/plugin.h>

struct conf_row {
	const char *section;
	struct aqb_option option; /* offsets into struct conf */
	const char *flag;         /* the long flag without `--`, or NULL */
	const char *shown;        /* the default as the manual has it, where it
				   * depends on how the broker was built */
	bool own;                 /* never forwarded to a plugin */
};

/* Ends with a row whose section is NULL.  Rows of a section follow each
 * other. */
extern const struct conf_row conf_table[];

/* What a section is for: one sentence for the manual; NULL when there is no
 * such section. */
const char *conf_section_help(const char *section);

/* NULL when there is no such option. */
const struct conf_row *conf_row_find(const char *section, const char *key);

/*
 * The same, or a refusal that begins with `origin` and names the nearest
 * section or key.
 */
int conf_row_get(const char *section, const char *key, const char *origin,
    const struct conf_row **rowp, struct aqb_why *why);

/* Refuse a section that does not exist. */
int conf_section_check(const char *section, const char *origin,
    struct aqb_why *why);

#endif

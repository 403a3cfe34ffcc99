/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_PARAMS_H
#define HOST_PARAMS_H

/* The little language in which a command declares its arguments; see
 * <arqonbus/command.h>. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARAM_NAME_SIZE 32

struct param {
	char name[PARAM_NAME_SIZE];
	bool optional;
	bool ranged;
	char type;
	uint64_t min;
	uint64_t max;
	const char *dflt; /* into the text, or NULL */
	size_t dflt_len;
};

/* Read the next one off *textp and move on.  False at the end, or where the
 * text is not right; then **textp is not NUL. */
bool param_next(const char **textp, struct param *paramp);

/* Where the text is not right; NULL when all of it is. */
const char *params_wrong(const char *text);

/* Does the text declare this name? */
bool params_have(const char *text, const char *name, struct param *paramp);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/params.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool
read_name(const char **pp, struct param *param)
{
	const char *p = *pp;
	size_t n = 0;

	while (islower((unsigned char)*p) || *p == '_') {
		if (n == sizeof param->name - 1) {
			return false;
		}
		param->name[n++] = *p++;
	}
	param->name[n] = '\0';
	if (*p == '?') {
		param->optional = true;
		p++;
	}
	*pp = p;
	return n > 0;
}

/* "(min..max)" */
static bool
read_range(const char **pp, struct param *param)
{
	char *end;

	param->ranged = true;
	param->min = strtoull(*pp + 1, &end, 10);
	if (end == *pp + 1 || strncmp(end, "..", 2) != 0) {
		return false;
	}
	*pp = end + 2;
	param->max = strtoull(*pp, &end, 10);
	if (end == *pp || *end != ')') {
		return false;
	}
	*pp = end + 1;
	return param->min <= param->max;
}

bool
param_next(const char **textp, struct param *param)
{
	const char *p = *textp;

	*param = (struct param){ .max = UINT64_MAX };
	p += strspn(p, " ");
	*textp = p;
	if (*p == '\0' || !read_name(&p, param) || *p != ':') {
		return false;
	}
	param->type = p[1];
	if (param->type == '\0' || strchr("nsuboatj", param->type) == NULL) {
		return false;
	}
	p += 2;
	if (*p == '(' && !read_range(&p, param)) {
		return false;
	}
	if (*p == '=') {
		param->dflt = ++p;
		param->dflt_len = strcspn(p, " ");
		param->optional = true;
		p += param->dflt_len;
	}
	if (*p != ' ' && *p != '\0') {
		return false;
	}
	*textp = p;
	return true;
}

const char *
params_wrong(const char *text)
{
	struct param param;

	while (param_next(&text, &param)) {
	}
	return *text == '\0' ? NULL : text;
}

bool
params_have(const char *text, const char *name, struct param *paramp)
{
	while (param_next(&text, paramp)) {
		if (strcmp(paramp->name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <stdlib.h>
#include <string.h>

/* Where a name is among n, or n. */
static size_t
find(const struct filter_name *names, size_t n, const char *text)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(names[i].text, text) == 0) {
			break;
		}
	}
	return i;
}

void
filter_init(struct filter *f)
{
	*f = (struct filter){ .all = true };
}

void
filter_fini(struct filter *f)
{
	free(f->names);
	*f = (struct filter){ .all = true };
}

static int
add(struct filter *f, const struct filter_name *names, size_t n)
{
	size_t want = f->n;
	size_t i;

	for (i = 0; i < n; i++) {
		want += find(f->names, f->n, names[i].text) == f->n &&
		    find(names, i, names[i].text) == i;
	}
	if (want > FILTER_MAX) {
		return (int)want;
	}
	if (f->names == NULL) {
		f->names = calloc(FILTER_MAX, sizeof f->names[0]);
		if (f->names == NULL) {
			return -1;
		}
	}
	for (i = 0; i < n; i++) {
		if (find(f->names, f->n, names[i].text) == f->n) {
			f->names[f->n++] = names[i];
		}
	}
	return 0;
}

static int
take_out(struct filter *f, const struct filter_name *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		size_t at = find(f->names, f->n, names[i].text);

		if (at < f->n) {
			f->names[at] = f->names[--f->n];
		}
	}
	return 0;
}

int
filter_subscribe(struct filter *f, const struct filter_name *names, size_t n)
{
	size_t before;
	int err;

	if (find(names, n, "*") < n) {
		f->all = true;
		f->n = 0;
		return 0;
	}
	if (f->all) {
		/* What was not wanted so far is not in the list of what is. */
		before = f->n;
		f->n = 0;
		err = add(f, names, n);
		f->all = err != 0;
		f->n = err != 0 ? before : f->n;
		return err;
	}
	return add(f, names, n);
}

int
filter_unsubscribe(struct filter *f, const struct filter_name *names, size_t n)
{
	if (find(names, n, "*") < n) {
		f->all = false;
		f->n = 0;
		return 0;
	}
	return f->all ? add(f, names, n) : take_out(f, names, n);
}

bool
filter_wants(const struct filter *f, const char *type)
{
	bool named = find(f->names, f->n, type) < f->n;

	return named != f->all;
}

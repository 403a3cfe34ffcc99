/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
or_die(void *p, size_t size)
{
	if (p == NULL) {
		fprintf(stderr, "out of memory: %zu bytes\n", size);
		abort();
	}
	return p;
}

void *
xnew(size_t size)
{
	return or_die(calloc(1, size), size);
}

char *
xstrdup(const char *text)
{
	return or_die(strdup(text), strlen(text) + 1);
}

char *
xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
	}
	va_end(ap);
	return or_die(text, 0);
}

void *
try_new(size_t size)
{
	return calloc(1, size);
}

char *
try_strndup(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL) {
		return NULL;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

bool
try_grow(void *ap, size_t *capp, size_t want, size_t size)
{
	size_t cap = *capp;
	void *old;
	void *p;

	if (want <= cap) {
		return true;
	}
	cap += cap / 2;
	if (cap < want) {
		cap = want;
	}
	if (cap > SIZE_MAX / size) {
		return false;
	}
	memcpy(&old, ap, sizeof old); /* any pointer type may be behind ap */
	p = realloc(old, cap * size);
	if (p == NULL) {
		return false;
	}
	memcpy(ap, &p, sizeof p);
	*capp = cap;
	/* cppcheck-suppress memleak; it went into *ap */
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any text is read or refused with a sentence, as arqonbus.conf and as a file
 * of plugins.d; and what is read prints as a file that reads back the same.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/why.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Nothing but the text: includes must not wander about the disk. */
static int
fetch(const char *path, struct file_text *filep, struct aqb_why *why)
{
	(void)filep;
	return refuse(why, AQB_ENOENT, "%.60s: cannot be read", path);
}

/* A new struct conf out of the text, or NULL when it is refused. */
static struct conf *
read_conf(const char *text, size_t len)
{
	struct conf *c = conf_new();
	struct aqb_why why = { .text = "" };

	c->fetch = fetch;
	if (conf_read(c, "c/a.conf", text, len, 0100600, &why) != AQB_OK ||
	    conf_apply(c, &why) != AQB_OK) {
		assert(why.text[0] != '\0');
		conf_free(&c);
	}
	return c;
}

static char *
print(const struct conf *c, size_t *lenp)
{
	char *text;
	FILE *f = open_memstream(&text, lenp);

	assert(f != NULL);
	conf_print(c, f);
	fclose(f);
	return text;
}

static void
as_main_file(const char *text, size_t len)
{
	struct conf *c = read_conf(text, len);
	struct conf *again;
	char *first;
	char *second;
	size_t first_len;
	size_t second_len;

	if (c == NULL) {
		return;
	}
	/* Secrets are not printed, so they cannot come back. */
	if (c->auth.admin_token[0] == '\0' && c->telemetry.token[0] == '\0') {
		first = print(c, &first_len);
		again = read_conf(first, first_len);
		assert(again != NULL);
		second = print(again, &second_len);
		assert(strcmp(first, second) == 0);
		free(first);
		free(second);
		conf_free(&again);
	}
	conf_free(&c);
}

static void
as_dropin(const char *text, size_t len)
{
	struct dropins list = TAILQ_HEAD_INITIALIZER(list);
	struct aqb_why why = { .text = "" };

	if (dropin_parse(&list, "p/a.conf", text, len, 0, &why) == AQB_OK) {
		assert(strchr(TAILQ_FIRST(&list)->load, '/') == NULL);
	} else {
		assert(why.text[0] != '\0');
	}
	dropins_fini(&list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	as_main_file((const char *)data, len);
	as_dropin((const char *)data, len);
	return 0;
}

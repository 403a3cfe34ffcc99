/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <assert.h>
#include <string.h>

#include "digits.h"

void
words_init(struct words *w)
{
	w->n = w->numbers = 0;
}

void
words_add_bytes(struct words *w, const char *text, size_t len)
{
	assert(w->n < WORDS_MAX);
	w->text[w->n] = text;
	w->len[w->n++] = len;
}

void
words_add(struct words *w, const char *text)
{
	words_add_bytes(w, text, strlen(text));
}

void
words_add_number(struct words *w, uint64_t n)
{
	char *text = w->number[w->numbers++];

	assert(w->numbers <= WORDS_NUMBERS);
	words_add_bytes(w, text, (size_t)(put_digits(text, n) - text));
}

static void
add_field(struct words *w, const char *name, struct aqb_slice value)
{
	words_add(w, name);
	words_add_bytes(w, value.data, value.len);
}

void
words_add_message(struct words *w, const struct aqb_msg_view *v)
{
	add_field(w, "id", v->id);
	add_field(w, "type", v->type);
	add_field(w, "from", v->from);
	words_add(w, "time");
	words_add_number(w, (uint64_t)v->timestamp);
	add_field(w, "payload", v->payload);
	if (v->metadata.len > 0) {
		add_field(w, "metadata", v->metadata);
	}
	if ((v->flags & AQB_MSG_BINARY) != 0) {
		words_add(w, "encoding");
		words_add(w, "base64");
	}
	if ((v->flags & AQB_MSG_GIVEN_ID) != 0) {
		words_add(w, "given");
		words_add(w, "1");
	}
}

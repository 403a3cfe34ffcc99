/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_WORDS_H
#define REDIS_WORDS_H

/* The words of a command that is put together piece by piece.  They are
 * borrowed until it is sent. */

#include <stddef.h>

#include <arqonbus/message.h>

#include "digits.h"

#define WORDS_MAX 48
#define WORDS_NUMBERS 12

struct words {
	int n;
	int numbers;
	const char *text[WORDS_MAX];
	size_t len[WORDS_MAX];
	char number[WORDS_NUMBERS][DIGITS_MAX];
};

/* It is long, and only what is added to it is looked at. */
void words_init(struct words *w);

void words_add(struct words *w, const char *text);
void words_add_bytes(struct words *w, const char *text, size_t len);
void words_add_number(struct words *w, uint64_t n);

/* What is kept of a message: entry.h reads it again. */
void words_add_message(struct words *w, const struct aqb_msg_view *v);

#endif

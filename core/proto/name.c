/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/name.h"

#include <stdio.h>
#include <string.h>

#include "base/why.h"

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* The first byte that may not be in a name, len when all may. */
static size_t
first_bad(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && is_name_char(text[i])) {
		i++;
	}
	return i;
}

bool
name_valid(const char *text, size_t len)
{
	return len >= 1 && len <= AQB_NAME_MAX && text[0] != '.' &&
	    first_bad(text, len) == len;
}

bool
alias_valid(const char *text, size_t len)
{
	return name_valid(text, len) &&
	    (len < 4 || memcmp(text, "arq_", 4) != 0);
}

enum aqb_code
name_check(const char *text, size_t len, const char *field, struct aqb_why *why)
{
	size_t bad;

	if (len == 0) {
		return reject(why, AQB_CODE_INVALID_NAME, field,
		    "%s: empty; a name has 1 to %d characters", field,
		    AQB_NAME_MAX);
	}
	if (len > AQB_NAME_MAX) {
		return reject(why, AQB_CODE_INVALID_NAME, field,
		    "%s: %zu bytes are over the limit of %d", field, len,
		    AQB_NAME_MAX);
	}
	bad = first_bad(text, len);
	if (bad < len) {
		unsigned char c = (unsigned char)text[bad];
		char shown[8];

		snprintf(shown, sizeof shown,
		    c > ' ' && c < 0x7f ? "'%c'" : "0x%02x", c);
		return reject(why, AQB_CODE_INVALID_NAME, field,
		    "%s: %s at byte %zu; a name is of A-Z a-z 0-9 _ . -", field,
		    shown, bad);
	}
	if (text[0] == '.') {
		return reject(why, AQB_CODE_INVALID_NAME, field,
		    "%s: must not begin with a dot", field);
	}
	return AQB_CODE_OK;
}

bool
address_split(const char *text, size_t len, struct aqb_slice *roomp,
    struct aqb_slice *channelp)
{
	/* An empty slice may have no data, which memchr must not be given. */
	const char *colon = len > 0 ? memchr(text, ':', len) : NULL;
	size_t room_len;

	if (colon == NULL) {
		return false;
	}
	room_len = (size_t)(colon - text);
	if (memchr(colon + 1, ':', len - room_len - 1) != NULL) {
		return false;
	}
	*roomp = (struct aqb_slice){ text, room_len };
	*channelp = (struct aqb_slice){ colon + 1, len - room_len - 1 };
	return true;
}

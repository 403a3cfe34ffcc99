/* SPDX-License-Identifier: Apache-2.0 */

/* A head has one answer, however much of it and of what follows is there; and
 * whatever was read can be asked for everything. */

#include <stdlib.h>
#include <string.h>

#include "proto/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of exactly that size; the request's slices are not to be used. */
static int
read_exactly(const uint8_t *data, size_t len)
{
	char *exact = malloc(len + (len == 0));
	struct http_request req;
	const char *reason;
	int n;

	memcpy(exact, data, len);
	n = http_read(exact, len, &req, &reason);
	if (n > (int)len || n > HTTP_HEAD_MAX || (n < 0 && reason[0] == '\0')) {
		abort();
	}
	free(exact);
	return n;
}

static void
ask_everything(const char *data, size_t size)
{
	struct http_request req;
	char accept[WS_ACCEPT_SIZE];
	char value[64];
	const char *reason;
	size_t len;

	http_read(data, size, &req, &reason);
	if (http_upgrade(&req, accept, &reason) == 101 &&
	    strlen(accept) != WS_ACCEPT_SIZE - 1) {
		abort();
	}
	http_keeps_alive(&req);
	http_has_subprotocol(req.protocol);
	if (http_param(req.query, "token", value, sizeof value, &len) &&
	    (len > sizeof value || memchr(value, '\0', len) != NULL)) {
		abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int whole = read_exactly(data, size);
	size_t step = size < 64 ? 1 : size / 32;

	for (size_t n = 0; n < size; n += step) {
		int part = read_exactly(data, n);

		if (part != 0 && part != whole) {
			abort();
		}
		if (whole > 0 && (part > 0) != (n >= (size_t)whole)) {
			abort();
		}
	}
	if (whole > 0) {
		ask_everything((const char *)data, size);
	}
	return 0;
}

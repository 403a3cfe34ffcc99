/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "proto/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A head must read the same however much of what follows is there. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request req;
	char accept[WS_ACCEPT_SIZE];
	char value[64];
	const char *reason;
	size_t len;
	int n = http_read((const char *)data, size, &req, &reason);

	if (n <= 0) {
		return 0;
	}
	http_upgrade(&req, accept, &reason);
	http_param(req.query, "token", value, sizeof value, &len);
	if (http_read((const char *)data, (size_t)n, &req, &reason) != n) {
		abort();
	}
	return 0;
}

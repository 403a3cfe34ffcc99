/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

socklen_t
address_read(const char *host, uint16_t port, union address *ap)
{
	*ap = (union address){ .any = { .sa_family = AF_UNSPEC } };
	if (strcmp(host, "localhost") == 0) {
		host = "127.0.0.1";
	}
	if (inet_pton(AF_INET, host, &ap->v4.sin_addr) == 1) {
		ap->v4.sin_family = AF_INET;
		ap->v4.sin_port = htons(port);
		return sizeof ap->v4;
	}
	if (inet_pton(AF_INET6, host, &ap->v6.sin6_addr) == 1) {
		ap->v6.sin6_family = AF_INET6;
		ap->v6.sin6_port = htons(port);
		return sizeof ap->v6;
	}
	return 0;
}

bool
address_is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET) {
		return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
	}
	return a->any.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

bool
token_matches(const char *given, const char *token)
{
	size_t given_len = strlen(given);
	size_t len = strlen(token);
	volatile unsigned char differs = given_len != len;
	size_t i;

	for (i = 0; i < given_len; i++) {
		differs |= (unsigned char)(given[i] ^ token[i % len]);
	}
	return differs == 0;
}

static bool
bearer_matches(struct lws *wsi, const char *token)
{
	static const char scheme[] = "Bearer ";
	char text[sizeof scheme + TOKEN_MAX + 1];
	int n =
	    lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_AUTHORIZATION);

	return n > 0 && strncasecmp(text, scheme, sizeof scheme - 1) == 0 &&
	    token_matches(text + sizeof scheme - 1, token);
}

static bool
query_matches(struct lws *wsi, const char *token)
{
	char text[sizeof "token=" + TOKEN_MAX + 1];
	const char *given;

	given = lws_get_urlarg_by_name(wsi, "token=", text, sizeof text);
	return given != NULL && token_matches(given, token);
}

bool
access_allows(struct lws *wsi, const char *token)
{
	return token == NULL || token[0] == '\0' ||
	    bearer_matches(wsi, token) || query_matches(wsi, token);
}

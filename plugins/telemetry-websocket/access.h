/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_ACCESS_H
#define TELEMETRY_ACCESS_H

/* Who may look: where the port listens, and the token. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <libwebsockets.h>

/* The longest token in bytes. */
#define TOKEN_MAX 1024

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Read an IPv4 or IPv6 address, or "localhost".  Returns its size, or 0 when
 * it is neither: names are not looked up, that could take long. */
socklen_t address_read(const char *host, uint16_t port,
    union address *addressp);

/* Is it reachable from this machine only? */
bool address_is_loopback(const union address *address);

/* Does this request show the token, as a bearer or in the query?  True when
 * no token is set. */
bool access_allows(struct lws *wsi, const char *token);

/* Compare in a time that does not depend on where they differ. */
bool token_matches(const char *given, const char *token);

#endif

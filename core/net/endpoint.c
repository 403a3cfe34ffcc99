/* SPDX-License-Identifier: Apache-2.0 */
#include "net/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void
write_v4(const void *ip, in_port_t port, char text[PORT_ADDRESS_SIZE],
    bool *loopbackp)
{
	char name[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, ip, name, sizeof name);
	*loopbackp = *(const uint8_t *)ip == 127;
	snprintf(text, PORT_ADDRESS_SIZE, "%s:%u", name, ntohs(port));
}

static void
write_v6(const struct sockaddr_in6 *in, char text[PORT_ADDRESS_SIZE],
    bool *loopbackp)
{
	char name[INET6_ADDRSTRLEN] = "";

	if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
		write_v4(in->sin6_addr.s6_addr + 12, in->sin6_port, text,
		    loopbackp);
		return;
	}
	inet_ntop(AF_INET6, &in->sin6_addr, name, sizeof name);
	*loopbackp = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
	snprintf(text, PORT_ADDRESS_SIZE, "[%s]:%u", name,
	    ntohs(in->sin6_port));
}

void
endpoint_text(const struct sockaddr *address, char text[PORT_ADDRESS_SIZE],
    bool *loopbackp)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (address->sa_family) {
	case AF_INET:
		memcpy(&in, address, sizeof in);
		write_v4(&in.sin_addr, in.sin_port, text, loopbackp);
		break;
	case AF_INET6:
		memcpy(&in6, address, sizeof in6);
		write_v6(&in6, text, loopbackp);
		break;
	default:
		*loopbackp = address->sa_family == AF_UNIX;
		snprintf(text, PORT_ADDRESS_SIZE, "local");
	}
}

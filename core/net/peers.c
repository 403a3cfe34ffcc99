/* SPDX-License-Identifier: Apache-2.0 */
#include "net/peers.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* One address, without its port; IPv4 as in ::ffff:1.2.3.4. */
struct peer {
	uint8_t ip[16];
	uint32_t connections;
	UT_hash_handle hh;
};

/* Shared by all workers and touched once for a connection's life each way. */
static struct {
	pthread_mutex_t lock;
	struct peer *by_ip;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
ip_of(const struct sockaddr *address, uint8_t ip[16])
{
	memset(ip, 0, 16);
	if (address->sa_family == AF_INET6) {
		memcpy(ip,
		    &((const struct sockaddr_in6 *)(const void *)address)
			 ->sin6_addr,
		    16);
	} else if (address->sa_family == AF_INET) {
		ip[10] = ip[11] = 0xff;
		memcpy(ip + 12,
		    &((const struct sockaddr_in *)(const void *)address)
			 ->sin_addr,
		    4);
	}
}

static struct peer *
get(const uint8_t ip[16])
{
	struct peer *p;

	HASH_FIND(hh, table.by_ip, ip, 16, p);
	if (p != NULL) {
		return p;
	}
	p = try_new(sizeof *p);
	if (p == NULL) {
		return NULL;
	}
	memcpy(p->ip, ip, 16);
	HASH_ADD(hh, table.by_ip, ip, 16, p);
	if (!HASH_WAS_ADDED(p)) {
		free(p);
		return NULL;
	}
	return p;
}

bool
peers_enter(const struct sockaddr *address, uint32_t limit, struct peer **peerp)
{
	uint8_t ip[16];
	struct peer *p;
	bool may = true;

	*peerp = NULL;
	if (limit == 0) {
		return true;
	}
	ip_of(address, ip);
	pthread_mutex_lock(&table.lock);
	p = get(ip);
	if (p != NULL && p->connections >= limit) {
		may = false;
	} else if (p != NULL) {
		p->connections++;
		*peerp = p;
	}
	pthread_mutex_unlock(&table.lock);
	return may;
}

void
peers_leave(struct peer **peerp)
{
	struct peer *p = *peerp;

	*peerp = NULL;
	if (p == NULL) {
		return;
	}
	pthread_mutex_lock(&table.lock);
	if (--p->connections == 0) {
		HASH_DEL(table.by_ip, p);
		free(p);
	}
	pthread_mutex_unlock(&table.lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_NET_H
#define NET_NET_H

/* What all of net shares: settings, counters, and the pages it serves. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/abi.h>

#include "base/count.h"
#include "bus/port.h"

struct buf;

/* Durations in milliseconds, sizes in bytes; 0 turns a limit off where that
 * makes sense. */
struct net_conf {
	bool binary;  /* clients may send binary messages */
	bool deflate; /* permessage-deflate is agreed to */
	uint32_t deflate_level;
	uint64_t deflate_min;
	uint32_t max_message;
	uint64_t outbox_limit;
	uint64_t ping_interval;
	uint64_t ping_timeout;
	uint64_t handshake_timeout;
	uint64_t close_timeout;
	uint64_t message_timeout;
	uint64_t write_timeout;
	uint32_t max_connections;
	uint32_t max_half_open;
	uint32_t connections_per_address;
	uint64_t accepts_per_second;
	uint64_t accepts_burst;

	/* What GET of a path answers: the HTTP status, 404 when there is no
	 * such page.  From any worker. */
	int (*page)(void *arg, struct aqb_slice path, bool loopback,
	    const char *address, struct buf *body, const char **typep);
	void *page_arg;
};

/* What has happened: of one worker, or of the listener; see count.h. */
struct net_counters {
	atomic_uint_fast64_t accepted;
	atomic_uint_fast64_t accept_errors;
	atomic_uint_fast64_t refused; /* over a limit, or short of memory */
	atomic_uint_fast64_t handshakes_failed;
	atomic_uint_fast64_t bytes_in;
	atomic_uint_fast64_t bytes_out;
	atomic_uint_fast64_t messages_in;
	atomic_uint_fast64_t pings_sent;
	atomic_uint_fast64_t protocol_errors;
	atomic_uint_fast64_t slow_consumers;
	atomic_uint_fast64_t dropped[SLOW_POLICIES]; /* messages */
	atomic_uint_fast64_t timeouts;
	atomic_uint_fast64_t http_requests;
	atomic_uint_fast64_t deflate_in;  /* bytes before compressing */
	atomic_uint_fast64_t deflate_out; /* and after */
	atomic_uint_fast64_t inflate_in;  /* bytes before decompressing */
	atomic_uint_fast64_t inflate_out; /* and after */
};

#endif

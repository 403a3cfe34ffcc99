/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_DIAL_H
#define BENCH_DIAL_H

/* How connections begin: from the first packet to the server's 101. */

#include <stdbool.h>
#include <stdint.h>

#include "bench_conn.h"

/*
 * Begin to connect to a port of this machine and put the request for a path
 * and a subprotocol, or NULL, into what is to be sent.  A tiny connection takes a few KiB at a time, in
 * packets as small as a network's.  False when the system refuses, errno says
 * why; ends the program when there is no descriptor left.
 */
bool bench_dial(struct bench_conn *c, uint16_t port, const char *path,
    const char *protocol, bool tiny);

enum bench_shake {
	BENCH_SHAKING, /* call again when the socket is readable, or writable
			* while something is to be sent */
	BENCH_OPEN,
	BENCH_REFUSED, /* by an answer other than 101 */
	BENCH_BROKEN,  /* errno says how; 0: the server hung up */
};

/* Go on with the handshake, checking the accept key (RFC 6455, 4.1).  Ends the
 * program when compression was offered and is not accepted.  Never waits.  *statusp becomes that of the answer, once there is one. */
enum bench_shake bench_shake(struct bench_conn *c, int *statusp);

/* Connect and shake hands.  Waits until that is done; ends the program when it
 * fails or takes longer than 10 s. */
void bench_open(struct bench_conn *c, uint16_t port, const char *path);

#endif

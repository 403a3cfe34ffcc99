/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_READ_H
#define NET_READ_H

/* From bytes to requests: what a connection's peer says. */

#include <stddef.h>
#include <stdint.h>

struct conn;

/* The socket has something; what conn_ready() calls. */
void read_socket(struct conn *conn);

/* Frames that came behind the request that opened the connection. */
void read_opened(struct conn *conn, uint8_t *data, size_t len);

/* Go on with bytes that wait, and then read the socket again. */
void read_pending(struct conn *conn);

#endif

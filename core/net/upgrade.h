/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

/* What comes before frames: a request for a page, or the upgrade. */

#include <stddef.h>
#include <stdint.h>

struct conn;

/* Bytes of a connection that is not open yet. */
void upgrade_read(struct conn *conn, uint8_t *data, size_t len);

/* What was answered is out: on to the next request, if it is there. */
void upgrade_go_on(struct conn *conn);

/* Queue an HTTP answer with a JSON error, and end the connection after it. */
void upgrade_refuse(struct conn *conn, int status, const char *reason);

#endif

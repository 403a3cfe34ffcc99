/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/port.h"

#include <stdlib.h>
#include <string.h>

#include "loop/mailbox.h"
#include "proto/msg.h"

struct port_down *
port_post(struct port_conn *conn, enum port_down_kind kind)
{
	struct port_down *d = mailbox_add(conn->port->down);

	d->kind = kind;
	d->conn = conn;
	return d;
}

void
port_init(struct port *port)
{
	memset(port, 0, sizeof *port);
	port->up = mailbox_new(sizeof(struct port_up));
	port->down = mailbox_new(sizeof(struct port_down));
}

/* What nobody will take any more is freed here. */
void
port_fini(struct port *port)
{
	struct port_up *up;
	struct port_down *down;

	while ((up = mailbox_take(port->up)) != NULL) {
		port_hello_free(&up->hello);
		msg_unref(&up->msg);
		free(up->why);
	}
	while ((down = mailbox_take(port->down)) != NULL) {
		msg_unref(&down->msg);
		free(down->reason);
	}
	mailbox_free(&port->up);
	mailbox_free(&port->down);
}

void
port_hello_free(struct port_hello **hellop)
{
	struct port_hello *hello = *hellop;

	*hellop = NULL;
	if (hello == NULL) {
		return;
	}
	free(hello->query);
	free(hello->token);
	free(hello);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/port.h"

#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "loop/mailbox.h"
#include "proto/msg.h"

struct port_down *
port_add(struct port *port, enum port_down_kind kind)
{
	struct port_down *d = mailbox_add(port->down);

	d->kind = kind;
	return d;
}

struct port_down *
port_post(struct port_conn *conn, enum port_down_kind kind)
{
	struct port_down *d = port_add(conn->port, kind);

	d->conn = conn;
	return d;
}

void
port_load(struct port *port, struct port_down *d, struct aqb_msg *msg)
{
	d->msg = msg_ref(msg);
	port->bytes_posted += msg_frame(msg).len;
}

void
port_unload(struct port *port, struct port_down *d)
{
	if (d->msg != NULL) {
		count_add(&port->bytes_down, msg_frame(d->msg).len);
	}
	msg_unref(&d->msg);
	free(d->reason);
	d->reason = NULL;
}

uint64_t
port_waiting(const struct port *port)
{
	return port->bytes_posted - count_get(&port->bytes_down);
}

void
port_end_bus_turn(struct port *port)
{
	bool wake = mailbox_post(port->down);

	if (port->worker == NULL) {
		return;
	}
	if (atomic_exchange(&port->is_full, false) || wake) {
		loop_wake(port->worker);
	}
}

void
port_end_worker_turn(struct port *port)
{
	if (mailbox_post(port->up) && port->bus != NULL) {
		loop_wake(port->bus);
	}
}

void
port_weigh(struct port *port, struct port_up *up, size_t bytes)
{
	up->bytes = (uint32_t)bytes;
	port->bytes_brought += bytes;
}

void
port_took(struct port *port, const struct port_up *up)
{
	count_add(&port->bytes_up, up->bytes);
}

static bool
is_roomy(const struct port *port)
{
	return mailbox_count(port->up) < PORT_UP_MAX &&
	    port->bytes_brought - atomic_load(&port->bytes_up) < PORT_UP_BYTES;
}

/* First say that it is full, then look again: the bus may just have emptied
 * it, and then either saw that or left room. */
bool
port_has_room(struct port *port)
{
	if (is_roomy(port)) {
		return true;
	}
	atomic_store(&port->is_full, true);
	return is_roomy(port);
}

void
port_init(struct port *port)
{
	memset(port, 0, sizeof *port);
	port->up = mailbox_new(sizeof(struct port_up));
	port->down = mailbox_new(sizeof(struct port_down));
}

void
port_share(struct port *port, struct loop *bus, struct loop *worker)
{
	port->bus = bus;
	port->worker = worker;
	mailbox_share(port->up);
	mailbox_share(port->down);
}

/* What nobody will take any more is freed here. */
void
port_fini(struct port *port)
{
	struct port_up *up;
	struct port_down *down;

	mailbox_post(port->up);
	mailbox_post(port->down);
	while ((up = mailbox_take(port->up)) != NULL) {
		port_hello_free(&up->hello);
		msg_unref(&up->msg);
		free(up->why);
		free(up->slow);
	}
	while ((down = mailbox_take(port->down)) != NULL) {
		port_unload(port, down);
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

const char *
slow_policy_name(enum slow_policy policy)
{
	static const char *const names[] = { "disconnect", "drop_oldest",
		"conflate" };

	return names[policy];
}

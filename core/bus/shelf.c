/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bus/client.h"
#include "proto/msg.h"

void
shelf_fini(struct shelf *s)
{
	while (s->taken < s->n) {
		msg_unref(&s->msg[s->taken++]);
	}
	free(s->msg);
	memset(s, 0, sizeof *s);
}

bool
shelf_add(struct shelf *s, struct aqb_msg *msg)
{
	if (!try_grow(&s->msg, &s->cap, s->n + 1, sizeof(struct aqb_msg *))) {
		return false;
	}
	s->msg[s->n++] = msg_ref(msg);
	s->bytes += msg_json(msg).len;
	return true;
}

struct aqb_msg *
shelf_take(struct shelf *s)
{
	struct aqb_msg *msg;

	if (s->taken == s->n) {
		return NULL;
	}
	msg = s->msg[s->taken++];
	s->bytes -= msg_json(msg).len;
	return msg;
}

bool
shelf_send(struct shelf *s, struct client *client, size_t bytes)
{
	size_t sent = 0;

	while (s->taken < s->n && sent < bytes) {
		struct aqb_msg *msg = shelf_take(s);

		sent += msg_json(msg).len;
		bus_send(client, msg);
		msg_unref(&msg);
	}
	return s->taken == s->n;
}

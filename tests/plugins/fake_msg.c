/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "fake_host.h"

struct aqb_msg {
	atomic_uint refs;
	struct aqb_msg_view view;
	struct aqb_slice json;
	char *text; /* of the envelope and of everything the view shows */
};

static atomic_size_t msgs_alive;

static struct aqb_slice
piece(const char **textp, const char *text)
{
	struct aqb_slice s = { *textp, text == NULL ? 0 : strlen(text) };

	*textp += s.len + 1;
	return s;
}

static void
put_member(struct buf *b, const char *name, const char *text)
{
	if (text != NULL) {
		buf_printf(b, ",\"%s\":\"%s\"", name, text);
	}
}

struct aqb_msg *
fake_msg(const struct fake_text *t)
{
	const char *payload = t->payload == NULL ? "{}" : t->payload;
	const char *part[] = { t->id, t->type, t->room, t->channel, t->from,
		payload, t->metadata };
	struct aqb_msg *msg = xnew(sizeof *msg);
	struct aqb_slice *const place[] = { &msg->view.id, &msg->view.type,
		&msg->view.room, &msg->view.channel, &msg->view.from,
		&msg->view.payload, &msg->view.metadata };
	struct buf b = { 0 };
	const char *p;
	size_t len;

	for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
		buf_add(&b, part[i] == NULL ? "" : part[i],
		    (part[i] == NULL ? 0 : strlen(part[i])) + 1);
	}
	msg->json.len = b.len;
	buf_puts(&b, "{\"version\":\"1.0\"");
	put_member(&b, "id", t->id);
	put_member(&b, "type", t->type);
	put_member(&b, "room", t->room);
	put_member(&b, "channel", t->channel);
	put_member(&b, "from", t->from);
	buf_printf(&b, ",\"seq\":%llu,\"payload\":%s}",
	    (unsigned long long)t->seq, payload);
	msg->view.size = sizeof msg->view;
	msg->view.bytes = (uint32_t)(sizeof *msg + b.len);
	msg->view.timestamp = t->timestamp;
	msg->view.seq = t->seq;
	msg->text = buf_take(&b, &len);
	ck_assert_ptr_nonnull(msg->text);
	msg->json.data = msg->text + msg->json.len;
	msg->json.len = strlen(msg->json.data);
	p = msg->text;
	for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
		*place[i] = piece(&p, part[i]);
	}
	atomic_init(&msg->refs, 1);
	atomic_fetch_add(&msgs_alive, 1);
	return msg;
}

struct aqb_msg *
fake_msg_ref(struct aqb_msg *msg)
{
	ck_assert_uint_gt(atomic_fetch_add(&msg->refs, 1), 0);
	return msg;
}

void
fake_msg_unref(struct aqb_msg **msgp)
{
	struct aqb_msg *msg = *msgp;

	*msgp = NULL;
	if (msg != NULL && atomic_fetch_sub(&msg->refs, 1) == 1) {
		free(msg->text);
		free(msg);
		atomic_fetch_sub(&msgs_alive, 1);
	}
}

size_t
fake_msgs_alive(void)
{
	return atomic_load(&msgs_alive);
}

void
fake_msg_view(const struct aqb_msg *msg, struct aqb_msg_view *view)
{
	*view = msg->view;
}

struct aqb_slice
fake_msg_json(const struct aqb_msg *msg)
{
	return msg->json;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/private.h"

#include <string.h>

#include "base/buf.h"
#include "base/why.h"
#include "bus/notice.h"
#include "bus/publish.h"
#include "bus/remote.h"
#include "bus/text.h"
#include "host/metric.h"
#include "proto/msg.h"

/* What is going on while the receivers are told one by one. */
struct sending {
	struct bus *bus;
	struct aqb_msg *msg;
	uint64_t mark; /* so that naming one twice sends once */
	uint32_t delivered;
	struct buf missing;
	/* On other nodes: so many, by these ids, named so by the sender. */
	uint32_t far;
	struct buf far_ids;
	struct buf far_names;
};

static void
add(struct buf *list, const char *text, size_t len)
{
	if (list->len > 0) {
		buf_putc(list, ',');
	}
	buf_add(list, text, len);
}

static void
note_far(struct sending *s, struct remote *r, const struct json_value *value)
{
	if (r->mark == s->mark) {
		return;
	}
	r->mark = s->mark;
	s->far++;
	if (s->far_ids.len > 0) {
		buf_putc(&s->far_ids, ',');
	}
	buf_json_str(&s->far_ids, r->id);
	add(&s->far_names, value->text, value->len);
}

static bool
send_to_one(void *arg, const struct json_value *value)
{
	struct sending *s = arg;
	char name[AQB_CLIENT_ID_MAX];
	struct client *client = NULL;
	struct remote *remote = NULL;
	size_t len;

	if (json_decode(value, name, sizeof name, &len)) {
		client = client_find_any(s->bus, name, len);
		if (client == NULL) {
			remote = remote_find_any(s->bus, name, len);
		}
	}
	if (remote != NULL) {
		note_far(s, remote, value);
		return true;
	}
	if (client == NULL || client->dropped) {
		add(&s->missing, value->text, value->len);
		return true;
	}
	if (client->private_mark != s->mark) {
		client->private_mark = s->mark;
		bus_send(client, s->msg);
		s->delivered++;
	}
	return true;
}

void
private_ack(struct client *client, struct aqb_slice request_id,
    struct aqb_slice id, uint32_t delivered, const struct buf *missing)
{
	struct buf b = { 0 };

	text_begin(&b, client->bus, "ack");
	text_request_id(&b, request_id);
	buf_puts(&b, ",\"payload\":{\"id\":\"");
	buf_add(&b, id.data, id.len);
	buf_printf(&b, "\",\"delivered\":%u,\"missing\":[", delivered);
	buf_puts(&b, missing == NULL ? "" : buf_text(missing));
	buf_puts(&b, "],\"stored\":\"none\"}}");
	bus_send_text(client, &b);
	buf_fini(&b);
}

static void
send_to_all(struct sending *s, const struct json_value *to)
{
	size_t at;

	if (to->type == JSON_ARRAY) {
		json_elements(to->text, to->len, send_to_one, s, &at);
	} else {
		send_to_one(s, to);
	}
}

/* Those on other nodes, with one notice for all; or they count as missing. */
static int
send_far(struct sending *s, const struct json_value *to)
{
	int err;

	if (s->far == 0) {
		return AQB_OK;
	}
	err = notice_private(s->bus, s->msg, &s->far_ids, to);
	if (err == AQB_OK) {
		s->delivered += s->far;
	} else {
		add(&s->missing, buf_text(&s->far_names), s->far_names.len);
	}
	return err;
}

/* All who could be reached are elsewhere, and that is cut off. */
static void
refuse_far(struct client *client, const struct envelope *env,
    struct sighting *seen)
{
	dedupe_drop(client->bus->dedupe, &seen);
	client_storage_error(client, env->id, "false",
	    "storage: the other nodes cannot be reached now; repeating it "
	    "with the same id is safe");
}

/* Tell the sender, and remember the outcome for a repetition. */
static void
conclude(struct client *client, const struct envelope *env,
    const struct sending *s, struct sighting *seen)
{
	struct aqb_msg_view v;
	struct aqb_why why;

	if (s->delivered == 0) {
		dedupe_drop(client->bus->dedupe, &seen);
		reject(&why, AQB_CODE_TARGET_NOT_FOUND, "to",
		    "to: nobody by that name is here");
		client_error(client, env->id, AQB_CODE_TARGET_NOT_FOUND, &why);
		return;
	}
	metric_add(METRIC_PRIVATE_TOTAL, s->delivered - s->far);
	if (seen != NULL) {
		seen->delivered = s->delivered;
	}
	if (env->ack) {
		msg_view(s->msg, &v);
		private_ack(client, env->id, v.id, s->delivered, &s->missing);
	}
}

void
private_send(struct client *client, const struct envelope *env,
    struct aqb_msg **msgp)
{
	struct bus *bus = client->bus;
	struct sending s = { .bus = bus, .msg = *msgp };
	struct sighting *seen;
	bool cut_off = false;

	if (publish_is_repeated(client, "", env, &seen)) {
		msg_unref(msgp);
		return;
	}
	bus_seal(bus, s.msg,
	    &(struct msg_fields){
		.id = env->id,
		.type = slice_of("private"),
		.from = slice_of(client->id),
		.to = { env->to.text, env->to.len },
	    });
	msg_stamp(s.msg, NULL);
	s.mark = ++bus->mark;
	send_to_all(&s, &env->to);
	if (send_far(&s, &env->to) != AQB_OK) {
		s.far = 0;
		cut_off = s.delivered == 0;
	}
	if (cut_off) {
		refuse_far(client, env, seen);
	} else {
		conclude(client, env, &s, seen);
	}
	buf_fini(&s.missing);
	buf_fini(&s.far_ids);
	buf_fini(&s.far_names);
	msg_unref(msgp);
}

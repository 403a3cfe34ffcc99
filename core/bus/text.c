/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/text.h"

#include "base/clock.h"
#include "base/why.h"
#include "bus/channel.h"
#include "proto/msg.h"

#define USUAL_TEXT 500 /* bytes, of an answer: so that it need not grow */

void
text_begin(struct buf *b, struct bus *bus, const char *type)
{
	char id[BUS_ID_SIZE];
	char when[CLOCK_TEXT_SIZE];

	buf_reserve(b, USUAL_TEXT);
	bus_make_id(bus, id);
	clock_format(bus->wall, when);
	buf_puts(b, "{\"version\":\"1.0\",\"id\":\"");
	buf_puts(b, id);
	buf_puts(b, "\",\"type\":\"");
	buf_puts(b, type);
	buf_puts(b, "\",\"from\":\"arqonbus\",\"timestamp\":\"");
	buf_puts(b, when);
	buf_putc(b, '"');
}

void
text_request_id(struct buf *b, struct aqb_slice id)
{
	if (id.len == 0) {
		buf_puts(b, ",\"request_id\":null");
		return;
	}
	buf_puts(b, ",\"request_id\":\"");
	buf_add(b, id.data, id.len);
	buf_putc(b, '"');
}

void
text_error(struct buf *b, enum aqb_code code, const struct aqb_why *why)
{
	buf_puts(b, ",\"payload\":");
	text_error_body(b, code, why);
}

void
text_error_body(struct buf *b, enum aqb_code code, const struct aqb_why *why)
{
	buf_puts(b, "{\"code\":\"");
	buf_puts(b, code_name(code));
	buf_puts(b, "\",\"message\":");
	buf_json_str(b, why == NULL ? code_name(code) : why->text);
	if (why != NULL && why->field != NULL) {
		buf_puts(b, ",\"field\":");
		buf_json_str(b, why->field);
	}
	if (why != NULL && why->retry_after_ms > 0) {
		buf_printf(b, ",\"retry_after_ms\":%u", why->retry_after_ms);
	}
	buf_putc(b, '}');
}

static void
put_address(struct buf *b, const char *room, const char *channel)
{
	buf_printf(b, ",\"room\":\"%s\",\"channel\":\"%s\"", room, channel);
}

void
text_address(struct buf *b, const struct channel *ch)
{
	put_address(b, ch->room->name, ch->name);
}

struct aqb_msg *
text_gap(struct bus *bus, const char *room, const char *channel,
    const char *epoch, uint64_t from, uint64_t to, const char *reason)
{
	struct aqb_msg *msg;
	struct buf b = { 0 };

	text_begin(&b, bus, "gap");
	put_address(&b, room, channel);
	buf_puts(&b, ",\"payload\":{\"from_seq\":");
	if (from == 0) {
		buf_puts(&b, "null");
	} else {
		buf_u64(&b, from);
	}
	buf_puts(&b, ",\"to_seq\":");
	buf_u64(&b, to);
	buf_printf(&b, ",\"epoch\":\"%s\",\"reason\":\"%s\"}}", epoch, reason);
	msg = b.failed ? NULL : msg_text(b.data, b.len);
	buf_fini(&b);
	return msg;
}

struct aqb_msg *
text_gap_of(const struct channel *ch, const char *epoch, uint64_t from,
    uint64_t to, const char *reason)
{
	return text_gap(ch->bus, ch->room->name, ch->name, epoch, from, to,
	    reason);
}

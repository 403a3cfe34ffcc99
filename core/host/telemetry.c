/* SPDX-License-Identifier: Apache-2.0 */
#include "host/telemetry.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/metric.h"

#define SINKS 8

static struct {
	const struct aqb_telemetry_ops *ops;
	void *self;
} sink[SINKS];
static size_t sinks;
static uint64_t last_seq;
static const char *node_name = "";
static struct buf scratch; /* kept from event to event */

void
telemetry_set_node(const char *node)
{
	node_name = node;
}

bool
telemetry_wanted(void)
{
	return sinks > 0;
}

void
telemetry_add_sink(const struct aqb_telemetry_ops *ops, void *self)
{
	if (sinks == SINKS) {
		LOG(AQB_ERROR, "too many telemetry sinks; one hears nothing",
		    FN("limit", SINKS));
		return;
	}
	sink[sinks].ops = ops;
	sink[sinks].self = self;
	sinks++;
}

void
telemetry_remove_sink(const struct aqb_telemetry_ops *ops, const void *self)
{
	for (size_t i = 0; i < sinks; i++) {
		if (sink[i].ops == ops && sink[i].self == self) {
			sink[i] = sink[--sinks];
			break;
		}
	}
	if (sinks == 0) {
		buf_fini(&scratch);
	}
}

static void
put_text(struct buf *b, const char *key, const char *text)
{
	if (text != NULL) {
		buf_printf(b, ",\"%s\":", key);
		buf_json_str(b, text);
	}
}

static void
hand_out(struct aqb_event *event)
{
	if (scratch.failed) {
		return;
	}
	event->json = (struct aqb_slice){ scratch.data, scratch.len };
	for (size_t i = 0; i < sinks; i++) {
		sink[i].ops->emit(sink[i].self, event);
	}
}

static void
emit(const char *type, enum aqb_level severity,
    const struct telemetry_fields *f, struct aqb_slice metadata)
{
	struct aqb_event event = {
		.size = sizeof event,
		.severity = severity,
		.seq = ++last_seq,
		.type = type,
	};
	char when[CLOCK_TEXT_SIZE];
	struct buf *b = &scratch;

	metric_add(METRIC_TELEMETRY_TOTAL, 1);
	if (sinks == 0) {
		return;
	}
	event.timestamp = clock_wall_ms();
	clock_format(event.timestamp, when);
	buf_reset(b);
	buf_puts(b, "{\"seq\":");
	buf_u64(b, event.seq);
	put_text(b, "event_type", type);
	buf_printf(b, ",\"timestamp\":\"%s\",\"severity\":\"%s\"", when,
	    log_level_name(severity));
	put_text(b, "node", node_name);
	put_text(b, "client_id", f->client_id);
	put_text(b, "room", f->room);
	put_text(b, "channel", f->channel);
	put_text(b, "message_id", f->message_id);
	buf_puts(b, ",\"metadata\":");
	if (metadata.len == 0) {
		buf_puts(b, "{}");
	} else {
		buf_add(b, metadata.data, metadata.len);
	}
	buf_putc(b, '}');
	hand_out(&event);
}

void
telemetry_emit(const char *type, enum aqb_level severity,
    const struct telemetry_fields *f)
{
	const char *metadata = f->metadata == NULL ? "{}" : f->metadata;

	emit(type, severity, f,
	    (struct aqb_slice){ metadata, strlen(metadata) });
}

void
telemetry_emit_from_client(const char *type, const char *client_id,
    struct aqb_slice payload)
{
	const struct telemetry_fields f = { .client_id = client_id };

	emit(type, AQB_INFO, &f, payload);
}

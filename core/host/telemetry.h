/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_TELEMETRY_H
#define HOST_TELEMETRY_H

/* Telemetry events, numbered here and handed to every sink.  Core thread. */

#include <stdbool.h>

#include <arqonbus/host.h>
#include <arqonbus/telemetry.h>

/* What an event is about; NULL where it does not apply. */
struct telemetry_fields {
	const char *client_id;
	const char *room;
	const char *channel;
	const char *message_id;
	const char *metadata; /* a JSON object as text */
};

/* Number an event and hand it to every sink, as one JSON object made once. */
void telemetry_emit(const char *type, enum aqb_level severity,
    const struct telemetry_fields *fields);

/* A client's own event; its payload, a JSON object, is the metadata. */
void telemetry_emit_from_client(const char *type, const char *client_id,
    struct aqb_slice payload);

/* Is there a sink at all?  If not, an event only advances the number. */
bool telemetry_wanted(void);

/* The node's name in events; lives for ever. */
void telemetry_set_node(const char *node);

/* Sinks, at most eight; `self` is the plugin's. */
void telemetry_add_sink(const struct aqb_telemetry_ops *ops, void *self);
void telemetry_remove_sink(const struct aqb_telemetry_ops *ops,
    const void *self);

#endif

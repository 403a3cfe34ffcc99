/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_TELEMETRY_H
#define ARQONBUS_TELEMETRY_H

/*
 * A telemetry sink hears what happens on the bus: one event at a time, in
 * order, numbered without holes.
 */

#include <arqonbus/abi.h>

/*
 * One event.  Borrowed for the call.  Names that do not apply are NULL.
 * `json` is the whole event as one JSON object, made once for all sinks.
 */
struct aqb_event {
	uint32_t size;
	uint32_t severity; /* enum aqb_level */
	uint64_t seq;      /* 1, 2, 3 .. since the broker started */
	int64_t timestamp; /* milliseconds since 1970, UTC */
	const char *type;
	struct aqb_slice json;
	/* ABI 1.0 ends here.  Add below this line only. */
};

/*
 * Runs on the core thread; may neither block nor fail.  A sink with a thread
 * of its own copies the event into a bounded queue and counts what it drops.
 */
typedef void aqb_telemetry_emit_f(void *self, const struct aqb_event *event);

struct aqb_telemetry_ops {
	uint32_t size;
	aqb_telemetry_emit_f *emit;
	/* ABI 1.0 ends here.  Add below this line only. */
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_FRAME_H
#define TELEMETRY_FRAME_H

/* What a viewer may say: one JSON object a frame. */

#include <arqonbus/error.h>

#include "filter.h"

/* The longest frame in bytes. */
#define FRAME_MAX 4096

/* How many names one frame may hold. */
#define FRAME_EVENTS_MAX 64

enum frame_type {
	FRAME_PING,
	FRAME_SUBSCRIBE,
	FRAME_UNSUBSCRIBE,
};

struct frame {
	enum frame_type type;
	bool has_since;
	uint64_t since;
	size_t n;
	struct filter_name events[FRAME_EVENTS_MAX];
};

/*
 * Read a frame.  There must be room for one byte behind it, and the text is
 * changed.  Anything else than 0 is the code of the error that its sender is
 * told, with the sentence in *why; then *framep means nothing.
 */
enum aqb_code frame_read(char *text, size_t len, struct frame *framep,
    struct aqb_why *why);

/* Write the sentence and return the code, so that a refusal is one statement.
 */
enum aqb_code frame_reject(struct aqb_why *why, enum aqb_code code,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif

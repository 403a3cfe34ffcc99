/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SMOKE_H
#define BENCH_SMOKE_H

/*
 * What the smoke run does beside the messages, on threads of its own so that
 * the generator's work does not count as the server's latency.
 */

#include <stdint.h>

#include "base/buf.h"
#include "bench_hist.h"

struct smoke_side {
	uint16_t port;
	uint16_t telemetry_port; /* 0: pages come from the data port alone */
	int requests;            /* of pages, over the seconds */
	double seconds;
	struct smoke_commands *commands;
	struct smoke_pages *pages;
};

/* Begin to call every command in turn, and to ask for pages at an even pace.
 * Borrows the side until smoke_side_stop(). */
void smoke_side_start(struct smoke_side *side);

/* Let the pages that are due come, then end both. */
void smoke_side_stop(struct smoke_side *side);

/* Every command was answered with success, and 99.9 % of the pages came. */
bool smoke_side_good(const struct smoke_side *side);

void smoke_side_print(const struct smoke_side *side);

/* Add "commands":{..},"pages":{..}. */
void smoke_side_json(const struct smoke_side *side, struct buf *b);

void smoke_side_free(struct smoke_side *side);

#endif

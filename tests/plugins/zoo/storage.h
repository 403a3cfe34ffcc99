/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZOO_STORAGE_H
#define ZOO_STORAGE_H

/* A storage that counts and keeps nothing. */

#include <string.h>

#include "zoo.h"

static inline int
zoo_append(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp)
{
	static uint64_t seq;

	(void)self;
	(void)ticket;
	(void)stream;
	(void)limits;
	(void)msg;
	posp->seq = ++seq;
	strcpy(posp->epoch, "zoo");
	return AQB_DONE;
}

static inline int
zoo_tail(void *self, aqb_ticket ticket, const char *stream,
    struct aqb_answer *answerp)
{
	(void)self;
	(void)ticket;
	(void)stream;
	strcpy(answerp->pos.epoch, "zoo");
	answerp->first = 1;
	return AQB_DONE;
}

static inline void
zoo_history(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_range *range)
{
	(void)self;
	(void)stream;
	(void)range;
	zoo_host->answer(zoo_host, ticket, AQB_OK, NULL);
}

static inline void
zoo_forget(void *self, aqb_ticket ticket, const char *stream)
{
	(void)self;
	(void)stream;
	zoo_host->answer(zoo_host, ticket, AQB_OK, NULL);
}

static inline void
zoo_usage(void *self, uint64_t *messagesp, uint64_t *bytesp)
{
	(void)self;
	*messagesp = *bytesp = 0;
}

static const struct aqb_storage_ops zoo_storage = {
	.size = sizeof zoo_storage,
	.stored = AQB_STORED_MEMORY,
	.append = zoo_append,
	.tail = zoo_tail,
	.history = zoo_history,
	.forget = zoo_forget,
	.usage = zoo_usage,
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_METRIC_H
#define HOST_METRIC_H

/*
 * Numbers about the broker, in the Prometheus text format 0.0.4.  Counters
 * and gauges may be changed from any thread.  No label ever holds a name
 * that a client chose, so that the page stays small whatever they do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/error.h>

struct buf;
struct hist;

/* The broker's own. */
enum metric {
	METRIC_CLIENTS_TOTAL,
	METRIC_DUPLICATES_TOTAL,
	METRIC_PRIVATE_TOTAL,
	METRIC_PAUSED_TOTAL,
	METRIC_REJECTED_TOTAL, /* by code */
	METRIC_STRAY_ANSWERS_TOTAL,
	METRIC_GARBAGE_TOTAL,
	METRIC_TELEMETRY_TOTAL,
	METRIC_GROUP_DELIVERED_TOTAL,
	METRIC_GROUP_REDELIVERED_TOTAL,
	METRIC_GROUP_ACKED_TOTAL,
	METRIC_GROUP_REFUSED_TOTAL,
	METRIC_GROUP_EXPIRED_TOTAL,
	METRIC_GROUP_DEAD_TOTAL,
	METRIC_GROUP_LOST_TOTAL,
	METRIC_NOTICES_SENT_TOTAL,
	METRIC_NOTICES_RECEIVED_TOTAL,
	METRIC_CLUSTER_DROPPED_TOTAL,
	METRIC_COUNT,
};

void metric_add(enum metric metric, uint64_t n);

/* Count an answer with this error code. */
void metric_add_code(enum metric metric, enum aqb_code code);

/* Count a command, which the registry knows, and how it ended. */
void metric_add_command(const char *command, bool success);

/*
 * A plugin's: a handle, or 0 when the name is taken or not right, or there
 * are 128 already.  Names are `arqonbus_` and lower case letters, digits and
 * `_`, those of counters end in `_total`; help is one line.  Both are copied.
 * Core thread; the next two from any.
 */
uint32_t metric_register(const char *name, const char *help, bool gauge);
void metric_plugin_add(uint32_t handle, uint64_t n);
void metric_plugin_set(uint32_t handle, uint64_t n);

/* Who knows a number at the time of asking writes it then.  At most 16. */
typedef void metric_source_f(void *arg, struct buf *b);
void metric_add_source(metric_source_f *fn, void *arg);

/* One metric with its help, for sources.  `type` is "counter" or "gauge". */
void metric_put(struct buf *b, const char *name, const char *help,
    const char *type, uint64_t value);
/* Only the head, for one with labels. */
void metric_put_head(struct buf *b, const char *name, const char *help,
    const char *type);
/* A histogram of microseconds, in seconds. */
void metric_put_hist(struct buf *b, const char *name, const char *help,
    const struct hist *h);

/* Make the page anew; core thread. */
void metric_snapshot_make(void);

/* The page as it was made last, with arqonbus_core_stalled at its end: a new
 * string for free(), NULL without memory.  From any thread. */
char *metric_snapshot(size_t *lenp);

/* Forget everything, between tests and at the end. */
void metric_reset(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_SERIES_H
#define NET_SERIES_H

/*
 * A series: messages of one channel and epoch that went to a lane one after
 * the other, without a hole.  Who was in the lane all the time got all of
 * them, but its own; so two of a series that stand side by side in an outbox
 * had nothing between them that could have been sent.
 *
 * Only channels have them whose messages may be dropped.  One worker's;
 * counts are plain integers.
 */

#include "base/hash.h"
#include "bus/port.h"

struct aqb_msg_view;
struct mark;

struct series {
	uint32_t refs;
	uint32_t lane;
	enum slow_policy policy;
	bool is_over;  /* what comes next begins another */
	bool is_holed; /* not every frame has its mark, for want of memory */
	uint64_t last; /* seq */
	/* One of the channel's in this lane, which knows for all of them what
	 * is newest; a reference, if it is another. */
	struct series *first;
	/* For whoever looks through an outbox, while it does; see shed.c. */
	uint64_t round; /* in which `newest` was found: of a first */
	const struct mark *newest;
	uint64_t lost_round; /* in which `place` is that of its losses */
	size_t place;
	char room[AQB_NAME_MAX + 1];
	char channel[AQB_NAME_MAX + 1];
	char epoch[AQB_EPOCH_SIZE];
	UT_hash_handle hh; /* by lane, until the next */
};

/* The series that this message goes on, or begins; a reference, or NULL
 * without memory. */
struct series *series_go_on(struct series **table, uint32_t lane,
    enum slow_policy policy, const struct aqb_msg_view *view);

/* What comes next in the lane begins a series of its own. */
void series_end(struct series **table, uint32_t lane);

/* The lane is empty, and may be another channel's. */
void series_drop(struct series **table, uint32_t lane);
void series_drop_all(struct series **table);

struct series *series_ref(struct series *series);
void series_unref(struct series **seriesp);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/series.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <arqonbus/message.h>

#include "base/mem.h"
#include "proto/slice.h"

struct series *
series_ref(struct series *s)
{
	s->refs++;
	return s;
}

void
series_unref(struct series **seriesp)
{
	struct series *s = *seriesp;

	*seriesp = NULL;
	if (s == NULL) {
		return;
	}
	assert(s->refs > 0);
	if (--s->refs > 0) {
		return;
	}
	if (s->first != s) {
		series_unref(&s->first); /* which has none but itself */
	}
	free(s);
}

static bool
is_next(const struct series *s, enum slow_policy policy,
    const struct aqb_msg_view *v)
{
	return !s->is_over && s->policy == policy && v->seq == s->last + 1 &&
	    slice_is(v->epoch, s->epoch) && slice_is(v->channel, s->channel) &&
	    slice_is(v->room, s->room);
}

/* A name of a message, which is never longer than there is room. */
static void
copy(char *to, size_t size, struct aqb_slice from)
{
	assert(from.len < size);
	memcpy(to, from.data, from.len); /* zeroed: the NUL is there */
}

static struct series *
make(uint32_t lane, enum slow_policy policy, const struct aqb_msg_view *v)
{
	struct series *s = try_new(sizeof *s);

	if (s == NULL) {
		return NULL;
	}
	s->refs = 1;
	s->first = s;
	s->lane = lane;
	s->policy = policy;
	copy(s->room, sizeof s->room, v->room);
	copy(s->channel, sizeof s->channel, v->channel);
	copy(s->epoch, sizeof s->epoch, v->epoch);
	return s;
}

/* Another in the place of the one before, if there was one. */
static struct series *
begin(struct series **table, struct series *before, uint32_t lane,
    enum slow_policy policy, const struct aqb_msg_view *v)
{
	struct series *s = make(lane, policy, v);

	if (s == NULL) {
		return NULL;
	}
	if (before != NULL) {
		if (slice_is(v->channel, before->channel) &&
		    slice_is(v->room, before->room)) {
			s->first = series_ref(before->first);
		}
		HASH_DEL(*table, before);
		series_unref(&before);
	}
	HASH_ADD(hh, *table, lane, sizeof s->lane, s);
	if (!HASH_WAS_ADDED(s)) {
		series_unref(&s);
	}
	return s;
}

struct series *
series_go_on(struct series **table, uint32_t lane, enum slow_policy policy,
    const struct aqb_msg_view *v)
{
	struct series *s;

	HASH_FIND(hh, *table, &lane, sizeof lane, s);
	if (s == NULL || !is_next(s, policy, v)) {
		if (s != NULL) {
			s->is_over = true; /* even if there is no other */
		}
		s = begin(table, s, lane, policy, v);
	}
	if (s == NULL) {
		return NULL;
	}
	s->last = v->seq;
	return series_ref(s);
}

void
series_end(struct series **table, uint32_t lane)
{
	struct series *s;

	HASH_FIND(hh, *table, &lane, sizeof lane, s);
	if (s != NULL) {
		s->is_over = true;
	}
}

void
series_drop(struct series **table, uint32_t lane)
{
	struct series *s;

	HASH_FIND(hh, *table, &lane, sizeof lane, s);
	if (s != NULL) {
		HASH_DEL(*table, s);
		series_unref(&s);
	}
}

void
series_drop_all(struct series **table)
{
	struct series *s, *next;

	HASH_ITER(hh, *table, s, next)
	{
		HASH_DEL(*table, s);
		series_unref(&s);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * The event with number n is in slot n % size.  `first` to `last` are held,
 * none when last + 1 == first.  A slot without an event is a hole: a number
 * that was given away but could not be kept.
 */
struct slot {
	struct ring_event *event;
	uint64_t at; /* bytes pushed before this one, since the start */
};

struct ring {
	pthread_mutex_t lock;
	uint64_t size;
	uint64_t bytes;
	uint64_t begin; /* the first number ever pushed, 0 before */
	uint64_t first, last;
	uint64_t total; /* bytes pushed since the start */
	struct slot slots[];
};

struct ring *
ring_new(uint32_t events, uint64_t bytes)
{
	struct ring *r;

	r = calloc(1, sizeof *r + (size_t)events * sizeof r->slots[0]);
	if (r == NULL) {
		return NULL;
	}
	pthread_mutex_init(&r->lock, NULL);
	r->size = events;
	r->bytes = bytes;
	r->first = 1;
	return r;
}

static struct slot *
slot_of(struct ring *r, uint64_t seq)
{
	return &r->slots[seq % r->size];
}

/* The offset at which the event with this number begins, or would. */
static uint64_t
offset_of(struct ring *r, uint64_t seq)
{
	return seq > r->last ? r->total : slot_of(r, seq)->at;
}

/* Let the oldest go, onto a list to be freed without the lock. */
static void
pop(struct ring *r, struct ring_event **oldp)
{
	struct slot *s = slot_of(r, r->first);

	if (s->event != NULL) {
		s->event->next = *oldp;
		*oldp = s->event;
		s->event = NULL;
	}
	r->first++;
}

static void
put(struct ring *r, struct ring_event *event, struct ring_event **oldp)
{
	struct slot *s;
	uint64_t len = event == NULL ? 0 : event->len;

	while (r->first <= r->last &&
	    (r->last - r->first + 1 >= r->size ||
		r->total - offset_of(r, r->first) + len > r->bytes)) {
		pop(r, oldp);
	}
	r->last++;
	s = slot_of(r, r->last);
	s->event = event;
	s->at = r->total;
	r->total += len;
}

/* Make `seq` the number that comes next, leaving holes where some are missing.
 */
static void
skip_to(struct ring *r, uint64_t seq, struct ring_event **oldp)
{
	if (r->begin == 0) {
		r->begin = seq;
	}
	if (r->last == 0 || seq - r->last > r->size) {
		while (r->first <= r->last) {
			pop(r, oldp);
		}
		r->first = seq;
		r->last = seq - 1;
	}
	while (r->last + 1 < seq) {
		put(r, NULL, oldp);
	}
}

static struct ring_event *
event_new(const struct aqb_event *from, uint64_t most)
{
	size_t type_size = strlen(from->type) + 1;
	size_t len = from->json.len;
	struct ring_event *e;

	if (len > most) {
		return NULL;
	}
	e = malloc(sizeof *e + RING_HEADROOM + len + type_size);
	if (e == NULL) {
		return NULL;
	}
	atomic_init(&e->refs, 1);
	e->seq = from->seq;
	e->len = len;
	e->next = NULL;
	memcpy(ring_event_text(e), from->json.data, len);
	memcpy(ring_event_text(e) + len, from->type, type_size);
	e->type = (const char *)ring_event_text(e) + len;
	return e;
}

void
ring_event_unref(struct ring_event **eventp)
{
	struct ring_event *e = *eventp;

	*eventp = NULL;
	if (e != NULL && atomic_fetch_sub(&e->refs, 1) == 1) {
		free(e);
	}
}

static void
unref_all(struct ring_event *e)
{
	while (e != NULL) {
		struct ring_event *next = e->next;

		ring_event_unref(&e);
		e = next;
	}
}

bool
ring_push(struct ring *r, const struct aqb_event *event)
{
	struct ring_event *e = event_new(event, r->bytes);
	struct ring_event *old = NULL;
	bool kept = false;

	pthread_mutex_lock(&r->lock);
	if (event->seq > r->last) {
		skip_to(r, event->seq, &old);
		put(r, e, &old);
		kept = e != NULL;
	}
	pthread_mutex_unlock(&r->lock);

	if (!kept) {
		ring_event_unref(&e);
	}
	unref_all(old);
	return kept;
}

uint64_t
ring_last(struct ring *r)
{
	uint64_t last;

	pthread_mutex_lock(&r->lock);
	last = r->last;
	pthread_mutex_unlock(&r->lock);
	return last;
}

uint64_t
ring_begin(struct ring *r)
{
	uint64_t begin;

	pthread_mutex_lock(&r->lock);
	begin = r->begin;
	pthread_mutex_unlock(&r->lock);
	return begin;
}

size_t
ring_read(struct ring *r, uint64_t *fromp, struct ring_event *events[],
    size_t max)
{
	uint64_t seq = *fromp;
	size_t n = 0;

	pthread_mutex_lock(&r->lock);
	if (seq < r->first) {
		seq = r->first;
	}
	while (seq <= r->last && slot_of(r, seq)->event == NULL) {
		seq++;
	}
	*fromp = seq;
	for (; n < max && seq <= r->last; seq++) {
		struct ring_event *e = slot_of(r, seq)->event;

		if (e == NULL) {
			break;
		}
		atomic_fetch_add(&e->refs, 1);
		events[n++] = e;
	}
	pthread_mutex_unlock(&r->lock);
	return n;
}

uint64_t
ring_bytes(struct ring *r, uint64_t from)
{
	uint64_t bytes;

	pthread_mutex_lock(&r->lock);
	if (from < r->first) {
		from = r->first;
	}
	bytes = r->total - offset_of(r, from);
	pthread_mutex_unlock(&r->lock);
	return bytes;
}

uint64_t
ring_seek(struct ring *r, uint64_t from, uint64_t bytes)
{
	uint64_t low, high;

	pthread_mutex_lock(&r->lock);
	low = from < r->first ? r->first : from;
	high = r->last + 1 < low ? low : r->last + 1;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (r->total - offset_of(r, middle) > bytes) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	pthread_mutex_unlock(&r->lock);
	return low;
}

void
ring_free(struct ring **rp)
{
	struct ring *r = *rp;
	struct ring_event *old = NULL;

	*rp = NULL;
	if (r == NULL) {
		return;
	}
	while (r->first <= r->last) {
		pop(r, &old);
	}
	unref_all(old);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "viewer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "ring.h"
#include "say.h"

_Static_assert(RING_HEADROOM >= LWS_PRE, "no room for the head of a frame");

/* One turn sends at most so much to one viewer, to be fair to the others. */
#define TURN_READ 32
#define TURN_BYTES (256u * 1024)

/* Replies that wait before its frames are left unread. */
#define REPLIES_MAX 8

#define CLOSING "the broker is stopping"

/* What became of a write. */
enum sent {
	SENT,
	SENT_STUCK, /* taken, but the socket is full now */
	SENT_FAILED,
};

static enum sent
send_text(struct viewer *v, unsigned char *text, size_t len)
{
	if (lws_write(v->wsi, text, len, LWS_WRITE_TEXT) < 0) {
		return SENT_FAILED;
	}
	/* What the socket did not take is kept by the library: one frame. */
	return lws_partial_buffered(v->wsi) ? SENT_STUCK : SENT;
}

int
viewer_open(struct viewer *v, struct audience *audience, struct lws *wsi)
{
	const struct plane *plane = audience->plane;
	struct reply *hello;
	uint64_t last = ring_last(plane->ring);

	*v = (struct viewer){ .audience = audience, .wsi = wsi };
	v->next = last == 0 ? 0 : last + 1;
	filter_init(&v->filter);
	STAILQ_INIT(&v->replies);
	LIST_INSERT_HEAD(&audience->viewers, v, link);
	audience->n++;
	plane_gauge(plane, plane->viewers, audience->n);

	hello = say_hello(last, plane->node);
	if (hello == NULL) {
		viewer_close(v);
		return -1;
	}
	STAILQ_INSERT_TAIL(&v->replies, hello, link);
	v->nreplies++;
	lws_callback_on_writable(wsi);
	return 0;
}

void
viewer_close(struct viewer *v)
{
	struct audience *a = v->audience;

	if (a == NULL) {
		return;
	}
	LIST_REMOVE(v, link);
	a->n--;
	plane_gauge(a->plane, a->plane->viewers, a->n);
	while (!STAILQ_EMPTY(&v->replies)) {
		struct reply *reply = STAILQ_FIRST(&v->replies);

		STAILQ_REMOVE_HEAD(&v->replies, link);
		free(reply);
	}
	filter_fini(&v->filter);
	free(v->text);
	*v = (struct viewer){ .audience = NULL };
}

/* Put a reply behind the others.  A peer that asks and does not listen is not
 * read from until it has taken what it was told. */
static void
answer(struct viewer *v, struct reply *reply)
{
	if (reply == NULL) {
		return; /* no memory: this one is not told */
	}
	STAILQ_INSERT_TAIL(&v->replies, reply, link);
	v->nreplies++;
	if (v->nreplies >= REPLIES_MAX && !v->is_paused) {
		v->is_paused = true;
		lws_rx_flow_control(v->wsi, 0);
	}
	lws_callback_on_writable(v->wsi);
}

static void
refuse(struct viewer *v, enum aqb_code code, const struct aqb_why *why)
{
	const struct aqb_host *host = v->audience->plane->host;

	answer(v, say_error(host->code_name(code), why->text));
}

/*
 * Look again from the event after `since`.  What the broker was told to keep
 * no longer is a gap, even where the ring happens to have it still.
 */
static void
rewind_to(struct viewer *v, uint64_t since, uint64_t last)
{
	uint32_t buffer = v->audience->plane->conf->buffer;
	uint64_t kept = last > buffer ? last - buffer + 1 : 1;

	v->missed = 0;
	v->next = since + 1;
	v->replay = last;
	if (v->next < kept) {
		v->missed = v->next;
		v->next = kept;
	}
}

static enum aqb_code
subscribe(struct viewer *v, const struct frame *f, struct aqb_why *why)
{
	uint64_t last = ring_last(v->audience->plane->ring);
	int n;

	if (f->has_since && f->since > last) {
		return frame_reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "since: above the last event, %llu",
		    (unsigned long long)last);
	}
	n = f->type == FRAME_SUBSCRIBE
	    ? filter_subscribe(&v->filter, f->events, f->n)
	    : filter_unsubscribe(&v->filter, f->events, f->n);
	if (n > 0) {
		return frame_reject(why, AQB_CODE_LIMIT_REACHED,
		    "events: %d names with those before; at most %d", n,
		    FILTER_MAX);
	}
	if (n < 0) {
		return frame_reject(why, AQB_CODE_INTERNAL, "no memory");
	}
	if (f->has_since) {
		rewind_to(v, f->since, last);
	}
	lws_callback_on_writable(v->wsi);
	return AQB_CODE_OK;
}

static void
handle(struct viewer *v)
{
	struct aqb_why why = { .field = NULL };
	struct frame f;
	enum aqb_code code;

	if (v->is_binary) {
		code = frame_reject(&why, AQB_CODE_INVALID_JSON,
		    "frame: binary; send text");
	} else if (v->is_too_long) {
		code = frame_reject(&why, AQB_CODE_MESSAGE_TOO_LARGE,
		    "frame: over %d bytes, the most a viewer may send",
		    FRAME_MAX);
	} else {
		code = frame_read(v->text, v->len, &f, &why);
	}
	if (code == AQB_CODE_OK) {
		if (f.type == FRAME_PING) {
			answer(v, say_pong());
			return;
		}
		code = subscribe(v, &f, &why);
	}
	if (code != AQB_CODE_OK) {
		refuse(v, code, &why);
	}
}

int
viewer_receive(struct viewer *v, const void *data, size_t len)
{
	if (v->text == NULL) {
		v->text = malloc(FRAME_MAX + 1);
		if (v->text == NULL) {
			return -1;
		}
	}
	if (len > FRAME_MAX - v->len) {
		v->is_too_long = true; /* the rest is read and thrown away */
	} else if (!v->is_too_long && len > 0) {
		memcpy(v->text + v->len, data, len);
		v->len += len;
	}
	v->is_binary |= lws_frame_is_binary(v->wsi) != 0;
	if (lws_is_final_fragment(v->wsi)) {
		handle(v);
		/* Most viewers speak once: keep nothing for the silent. */
		free(v->text);
		v->text = NULL;
		v->len = 0;
		v->is_too_long = false;
		v->is_binary = false;
	}
	return 0;
}

/* Count what this viewer lost against its will, up to before `to`. */
static void
count_lost(const struct viewer *v, uint64_t to)
{
	const struct plane *plane = v->audience->plane;
	uint64_t from = v->next > v->replay ? v->next : v->replay + 1;

	if (to > from) {
		plane_count(plane, plane->dropped, to - from);
	}
}

/* Go on at `to`, and remember that what is before it was not sent. */
static void
miss(struct viewer *v, uint64_t to)
{
	if (to == v->next) {
		return;
	}
	count_lost(v, to);
	if (v->missed == 0) {
		v->missed = v->next;
	}
	v->next = to;
}

/*
 * A socket that was full all the while has more than viewer_buffer waiting:
 * go on with the newest half of that, so that a viewer which stays too slow
 * is told one large gap and not a thousand small ones.  What it asked to have
 * replayed does not count.
 */
static void
fall_behind(struct viewer *v)
{
	const struct plane *plane = v->audience->plane;
	uint64_t most = plane->conf->viewer_buffer;
	uint64_t from = v->next > v->replay ? v->next : v->replay + 1;

	if (ring_bytes(plane->ring, from) > most) {
		miss(v, ring_seek(plane->ring, from, most / 2));
	}
}

static enum sent
send_replies(struct viewer *v)
{
	enum sent sent = SENT;

	while (!STAILQ_EMPTY(&v->replies) && sent == SENT) {
		struct reply *reply = STAILQ_FIRST(&v->replies);

		STAILQ_REMOVE_HEAD(&v->replies, link);
		v->nreplies--;
		sent = send_text(v, reply_text(reply), reply->len);
		free(reply);
	}
	if (v->nreplies == 0 && v->is_paused && sent != SENT_FAILED) {
		v->is_paused = false;
		lws_rx_flow_control(v->wsi, 1);
	}
	return sent;
}

static enum sent
send_gap(struct viewer *v)
{
	unsigned char room[LWS_PRE + SAY_GAP_SIZE];
	size_t len;

	if (v->missed == 0) {
		return SENT;
	}
	len = say_gap((char *)room + LWS_PRE, v->missed, v->next - 1);
	v->missed = 0;
	return send_text(v, room + LWS_PRE, len);
}

/* Send those of the events that are wanted, until the socket is full. */
static enum sent
send_some(struct viewer *v, struct ring_event *events[], size_t n,
    size_t *bytesp)
{
	enum sent sent = SENT;
	size_t i;

	for (i = 0; i < n && sent == SENT; i++) {
		struct ring_event *e = events[i];

		v->next = e->seq + 1;
		if (filter_wants(&v->filter, e->type)) {
			sent = send_text(v, ring_event_text(e), e->len);
			*bytesp += e->len;
		}
	}
	return sent;
}

/* Everything there is, or a turn's worth: then *morep says that there may be
 * more. */
static enum sent
send_events(struct viewer *v, bool *morep)
{
	struct ring *ring = v->audience->plane->ring;
	struct ring_event *events[TURN_READ];
	size_t bytes = 0;
	enum sent sent;

	do {
		uint64_t from = v->next;
		size_t i, n;

		n = ring_read(ring, &from, events, TURN_READ);
		miss(v, from);
		sent = send_gap(v);
		if (sent == SENT) {
			sent = send_some(v, events, n, &bytes);
		}
		for (i = 0; i < n; i++) {
			ring_event_unref(&events[i]);
		}
		*morep = n > 0;
	} while (*morep && sent == SENT && bytes < TURN_BYTES);
	return sent;
}

int
viewer_write(struct viewer *v)
{
	bool more = false;
	enum sent sent;

	if (v->next == 0) {
		v->next = ring_begin(v->audience->plane->ring);
	}
	if (v->is_stuck && v->next != 0) {
		fall_behind(v);
	}
	sent = send_replies(v);
	if (sent == SENT && v->next != 0) {
		sent = send_events(v, &more);
	}
	if (sent == SENT_FAILED) {
		return -1;
	}
	/* A full socket is mostly one that took the last write whole. */
	v->is_stuck = lws_send_pipe_choked(v->wsi) != 0;
	if (sent == SENT_STUCK || more) {
		lws_callback_on_writable(v->wsi);
	} else if (v->audience->is_closing) {
		lws_close_reason(v->wsi, LWS_CLOSE_STATUS_GOINGAWAY,
		    (unsigned char *)CLOSING, sizeof CLOSING - 1);
		return -1;
	}
	return 0;
}

void
audience_wake(struct audience *a)
{
	struct viewer *v;

	LIST_FOREACH (v, &a->viewers, link) {
		lws_callback_on_writable(v->wsi);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "host/store.h"
#include "proto/msg.h"

#define READING_MAGIC 0x62ea95c0u
#define ROOM_CHANNELS_MAX 256 /* read for one question about a room */

/*
 * One question.  Of a room it asks each of its channels the same, and merges
 * the answers by time as they come.
 */
struct reading {
	uint32_t magic;
	struct bus *bus;
	char client_id[CLIENT_ID_SIZE]; /* "": it was not counted */
	aqb_ticket call;
	aqb_read_f *done;
	void *arg;
	struct aqb_range range;
	char from[AQB_CLIENT_ID_MAX + 1];
	/* Of one channel. */
	char room[AQB_NAME_MAX + 1];
	char channel[AQB_NAME_MAX + 1];
	char stream[2 * AQB_NAME_MAX + 2];
	bool was_known; /* it was there when it was asked for */
	size_t open;    /* answers to come, and one while still asking */
	enum aqb_err err;
	bool more;
	struct aqb_msg **msg; /* of a room: in order, at most `limit` */
	size_t n;
};

static void
reading_free(struct reading **rp)
{
	struct reading *r;
	struct client *client;

	OBJ_TAKE(r, rp, READING_MAGIC);
	client = client_find(r->bus, r->client_id, strlen(r->client_id));
	if (client != NULL && client->reads > 0) {
		client->reads--;
	}
	for (size_t i = 0; i < r->n; i++) {
		msg_unref(&r->msg[i]);
	}
	free(r->msg);
	r->magic = 0;
	free(r);
}

static void
fail(struct reading *r, enum aqb_code code, const char *field, const char *text)
{
	struct aqb_why why;

	reject(&why, code, field, "%s", text);
	r->done(r->arg, r->call, code, NULL, &why);
}

/* By time; what came in the same millisecond by channel, then by seq. */
static int
by_time(const struct aqb_msg *a, const struct aqb_msg *b)
{
	struct aqb_msg_view x, y;
	int order;

	msg_view(a, &x);
	msg_view(b, &y);
	if (x.timestamp != y.timestamp) {
		return x.timestamp < y.timestamp ? -1 : 1;
	}
	order = memcmp(x.channel.data, y.channel.data,
	    x.channel.len < y.channel.len ? x.channel.len : y.channel.len);
	if (order != 0 || x.channel.len != y.channel.len) {
		return order != 0                   ? order
		    : x.channel.len < y.channel.len ? -1
						    : 1;
	}
	return x.seq < y.seq ? -1 : x.seq > y.seq;
}

/* Let go of all but the first or the last `limit`. */
static void
trim(struct reading *r)
{
	size_t limit = r->range.limit;
	bool last = (r->range.flags & AQB_RANGE_LAST) != 0;
	size_t over;

	if (r->n <= limit) {
		return;
	}
	over = r->n - limit;
	for (size_t i = 0; i < over; i++) {
		msg_unref(&r->msg[last ? i : limit + i]);
	}
	if (last) {
		memmove(r->msg, r->msg + over, limit * sizeof(r->msg[0]));
	}
	r->n = limit;
	r->more = true;
}

/* Merge one channel's messages, which are in order, with what there is.  Never
 * more than twice the limit is held, however many channels the room has. */
static bool
merge(struct reading *r, const struct aqb_answer *answer)
{
	size_t i = 0, j = 0, n = 0;
	struct aqb_msg **all;

	if (answer->n == 0) {
		return true;
	}
	all = try_new((r->n + answer->n) * sizeof(struct aqb_msg *));
	if (all == NULL) {
		return false;
	}
	while (i < r->n || j < answer->n) {
		bool old = j == answer->n ||
		    (i < r->n && by_time(r->msg[i], answer->msgs[j]) <= 0);

		all[n++] = old ? r->msg[i++] : msg_ref(answer->msgs[j++]);
	}
	free(r->msg);
	r->msg = all;
	r->n = n;
	trim(r);
	return true;
}

/* As many of the merged messages, from the first or the last, as fit. */
static void
cut(struct reading *r, size_t *firstp, size_t *np)
{
	bool last = (r->range.flags & AQB_RANGE_LAST) != 0;
	size_t bytes = 0;
	size_t fit = 0;

	while (fit < r->n) {
		size_t i = last ? r->n - 1 - fit : fit;

		bytes += msg_json(r->msg[i]).len + 1;
		if (r->range.bytes != 0 && bytes > r->range.bytes) {
			break;
		}
		fit++;
	}
	r->more = r->more || fit < r->n;
	*np = fit;
	*firstp = last ? r->n - fit : 0;
}

static void
room_done(struct reading *r)
{
	struct aqb_answer answer = { .size = sizeof answer };
	size_t first;

	if (r->err != AQB_OK) {
		fail(r, AQB_CODE_STORAGE_UNAVAILABLE, NULL,
		    aqb_strerror(r->err));
		return;
	}
	cut(r, &first, &answer.n);
	answer.msgs = r->msg + first;
	answer.more = r->more;
	r->done(r->arg, r->call, AQB_CODE_OK, &answer, NULL);
}

static void
one_answered(struct reading *r)
{
	if (--r->open == 0) {
		room_done(r);
		reading_free(&r);
	}
}

static void
on_room_read(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct reading *r;

	OBJ_CAST(r, arg, READING_MAGIC);
	if (err != AQB_OK) {
		r->err = err;
	} else if (!merge(r, answer)) {
		r->err = AQB_ENOMEM;
	} else {
		r->more = r->more || answer->more;
	}
	one_answered(r);
}

static void
channel_done(struct reading *r, enum aqb_err err,
    const struct aqb_answer *answer)
{
	if (err != AQB_OK) {
		fail(r, AQB_CODE_STORAGE_UNAVAILABLE, NULL, aqb_strerror(err));
	} else if (!r->was_known && answer->pos.seq == 0) {
		fail(r, AQB_CODE_CHANNEL_NOT_FOUND, "channel",
		    "channel: there is none by that name");
	} else {
		r->done(r->arg, r->call, AQB_CODE_OK, answer, NULL);
	}
	reading_free(&r);
}

static void
on_tail(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct reading *r;

	OBJ_CAST(r, arg, READING_MAGIC);
	channel_done(r, err, answer);
}

static void
on_channel_read(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct aqb_answer tail = { .size = sizeof tail };
	struct reading *r;
	int when;

	OBJ_CAST(r, arg, READING_MAGIC);
	if (err != AQB_OK || answer->pos.epoch[0] != '\0' ||
	    channel_find(r->bus, r->room, r->channel) == NULL) {
		channel_done(r, err, answer);
		return;
	}
	/* Nobody has used the channel yet.  Asking for its tail begins its
	 * stream, so that the epoch told is that of its first message. */
	when = store_tail(r->bus->store, r->stream, &tail, on_tail, r);
	if (when != AQB_PENDING) {
		on_tail(r, when < 0 ? (enum aqb_err)when : AQB_OK, &tail);
	}
}

static void
read_room(struct reading *r, const char *name)
{
	struct room *room = room_find(r->bus, name);
	struct channel *ch;
	size_t n = 0;

	if (room == NULL) {
		fail(r, AQB_CODE_ROOM_NOT_FOUND, "room",
		    "room: there is none by that name");
		reading_free(&r);
		return;
	}
	TAILQ_FOREACH (ch, &room->channels, room_link) {
		if (++n > ROOM_CHANNELS_MAX) {
			break;
		}
	}
	if (n > ROOM_CHANNELS_MAX) {
		fail(r, AQB_CODE_LIMIT_REACHED, "channel",
		    "room: it has more than 256 channels; ask for one of "
		    "them");
		reading_free(&r);
		return;
	}
	r->open = 1; /* until all are asked */
	TAILQ_FOREACH (ch, &room->channels, room_link) {
		r->open++;
		store_history(r->bus->store, ch->stream, &r->range,
		    on_room_read, r);
	}
	one_answered(r);
}

static void
read_channel(struct reading *r, const char *room, const char *channel)
{
	snprintf(r->room, sizeof r->room, "%s", room);
	snprintf(r->channel, sizeof r->channel, "%s", channel);
	snprintf(r->stream, sizeof r->stream, "%s:%s", room, channel);
	r->was_known = channel_find(r->bus, room, channel) != NULL;
	store_history(r->bus->store, r->stream, &r->range, on_channel_read, r);
}

void
history_read(struct client *client, aqb_ticket call, const char *room,
    const char *channel, const struct aqb_range *range, aqb_read_f *done,
    void *arg)
{
	struct reading *r = xnew(sizeof *r);

	r->magic = READING_MAGIC;
	r->bus = client->bus;
	r->call = call;
	r->done = done;
	r->arg = arg;
	r->range = *range;
	if (range->from != NULL) {
		snprintf(r->from, sizeof r->from, "%s", range->from);
		r->range.from = r->from;
	}
	if (range->limit > 0) {
		if (client->reads > 0) {
			fail(r, AQB_CODE_BUSY, NULL,
			    "history: one read of yours is under way");
			reading_free(&r);
			return;
		}
		client->reads++;
		strcpy(r->client_id, client->id);
	}
	if (channel == NULL) {
		read_room(r, room);
		return;
	}
	read_channel(r, room, channel);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

/*
 * A message is one WebSocket text frame, built once and shared by everyone
 * who sends or keeps it.  One that came as binary is text, too, its payload in
 * base64: that is how it is kept, and msg_put_binary() turns it back for those
 * who want bytes.
 *
 * A message of a channel is made in three steps.  msg_new() copies what the
 * peer sent to where it will stay.  msg_seal() writes the envelope's fixed
 * part in front of the payload, growing towards the front.  When the storage
 * has given a position, msg_stamp() puts that and the frame's head before it.
 * From then on nothing changes, and a send to a thousand members copies no
 * byte of it.
 *
 * The count of references is atomic: messages cross from thread to thread.
 * The rest belongs to the thread that holds the only reference, until it is
 * stamped.
 */

#include <stdbool.h>

#include <arqonbus/message.h>

struct buf;

/*
 * What the peer sent.  `keep` is copied beside the message for whoever
 * decides what becomes of it (see msg_kept); `reserve` is how many bytes
 * seal's variable fields will need at most: id, room, channel, from, to.
 */
struct msg_draft {
	struct aqb_slice payload;  /* JSON text; empty becomes {} */
	bool is_binary;            /* the payload is any bytes instead */
	struct aqb_slice metadata; /* JSON text; may be empty */
	size_t keep;
	size_t reserve;
};

/* One reference; NULL when there is no memory: the sizes are a peer's. */
struct aqb_msg *msg_new(const struct msg_draft *draft);

/* The draft's `keep` bytes, to be filled in by the caller. */
char *msg_kept(struct aqb_msg *msg);

/* The envelope around the payload.  Texts are JSON without quotes: names, ids
 * and client ids need no escapes, and `to` is a whole JSON value. */
struct msg_fields {
	struct aqb_slice id;
	struct aqb_slice type;
	struct aqb_slice room;    /* empty: none */
	struct aqb_slice channel; /* empty: none */
	struct aqb_slice from;
	struct aqb_slice to; /* a JSON value with its quotes; empty: none */
	int64_t timestamp;   /* wall clock, milliseconds */
	bool id_is_given;    /* by the sender */
};

void msg_seal(struct aqb_msg *msg, const struct msg_fields *fields);

/* Give it its place: no position (NULL) for what belongs to no channel. */
void msg_stamp(struct aqb_msg *msg, const struct aqb_position *pos);
bool msg_is_stamped(const struct aqb_msg *msg);

/* A message that is ready to send: this text, whatever it is. */
struct aqb_msg *msg_text(const char *text, size_t len);

/*
 * The same once more: a stamped message with `"delivery_count":count` in its
 * envelope.  NULL without memory.
 */
struct aqb_msg *msg_again(const struct aqb_msg *msg, uint32_t count);

/* A message to be sealed that has another's payload and metadata; `reserve`
 * as in the draft.  NULL without memory. */
struct aqb_msg *msg_copy(const struct aqb_msg *msg, size_t reserve);

/*
 * When it was received, in monotonic microseconds, for who measures how long
 * it takes; 0 is not known.  Only what is less than an hour ago can be told.
 */
void msg_set_received(struct aqb_msg *msg, uint64_t received_us);
uint64_t msg_received(const struct aqb_msg *msg, uint64_t now_us);

struct aqb_msg *msg_ref(struct aqb_msg *msg);

/* Give a reference back and clear the pointer.  NULL is fine. */
void msg_unref(struct aqb_msg **msgp);

/* The frame as it goes over the wire, and the envelope inside it.  Only once
 * stamped. */
struct aqb_slice msg_frame(const struct aqb_msg *msg);
struct aqb_slice msg_json(const struct aqb_msg *msg);

/* Did it come as binary? */
bool msg_is_binary(const struct aqb_msg *msg);

/*
 * Add a binary message as it goes to those who take them: the length of its
 * header in two bytes, big endian, the header, and the payload's bytes.  The
 * header is the envelope without its payload.
 */
void msg_put_binary(const struct aqb_msg *msg, struct buf *out);

void msg_view(const struct aqb_msg *msg, struct aqb_msg_view *view);

/* See aqb_host.msg_make: all three steps at once, of what a storage kept. */
struct aqb_msg *msg_make(const struct aqb_msg_view *view,
    const struct aqb_position *pos);

/* The same of what belongs to no channel and has no position; `to` is a JSON
 * value, or empty. */
struct aqb_msg *msg_make_unplaced(const struct aqb_msg_view *view,
    struct aqb_slice to);

/* How many messages there are in this process, for tests and metrics. */
uint64_t msg_alive(void);

#endif

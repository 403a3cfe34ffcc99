/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_WS_H
#define PROTO_WS_H

/*
 * The WebSocket frame codec of a server (RFC 6455): bytes in, frames out.  It
 * accepts what the RFC allows and nothing else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

#define WS_FRAGMENTS_MAX 64

/* What is known of one peer from frame to frame.  Zeroed, with max_message
 * and deflate set, is the start.  What does not compress gets longer by it; only
 * inflater_run() sees how long a compressed message is. */
struct ws_reader {
	uint32_t max_message; /* a compressed one may be an eighth longer */
	uint32_t size;        /* of the message so far */
	uint16_t fragments;   /* of the message so far */
	uint8_t opcode;       /* of the message being assembled; 0: none */
	struct utf8 utf8;
	bool deflate;    /* permessage-deflate was agreed on */
	bool compressed; /* the message being assembled is */
};

enum ws_event {
	WS_MORE,    /* no whole frame: `need` bytes from its start are wanted */
	WS_DATA,    /* a message, or a piece of one */
	WS_CONTROL, /* a ping, pong or close */
	WS_FAIL,    /* close with `code`, read no more; `reason` is the rule */
};

struct ws_item {
	enum ws_event event;
	uint8_t opcode;
	bool first; /* both first and last: a whole message */
	bool last;
	/* Of every piece of a message whose pieces, put together, want
	 * inflater_run().  Only then can it be seen whether a text is UTF-8;
	 * of all other texts this was seen to here. */
	bool compressed;
	uint8_t *data; /* the payload, unmasked where it was */
	size_t len;
	/* WS_MORE: the length of the head, or of the frame once that is known.
	 * Of a message that is too big: what this frame would have added; 0
	 * of every other failure. */
	size_t need;
	uint16_t code; /* of a close: the peer's, 1005 when it gave none */
	const char *reason;
};

/*
 * Take the next frame off the bytes.  Returns how many were consumed, 0 for
 * WS_MORE and WS_FAIL.  Sizes are judged by the frame's head, before any of
 * its payload is asked for.
 */
size_t ws_read(struct ws_reader *r, uint8_t *data, size_t len,
    struct ws_item *itemp);

/* Mask a payload where it is, or unmask it, with these four bytes (RFC 6455,
 * 5.3). */
void ws_mask(uint8_t *data, size_t len, const uint8_t *mask);

#define WS_HEAD_MAX 10

/* Write the head of an unmasked, final frame; returns its length. */
size_t ws_head(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode, uint64_t len);

/* The same, of a message that deflater_run() has made (RFC 7692, 6). */
size_t ws_head_compressed(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode,
    uint64_t len);

/* The length, head and payload, of the first of our own frames at data. */
size_t ws_frame_len(const uint8_t *data, size_t len);

/* May a peer send this code (RFC 6455, 7.4)? */
bool ws_close_code_valid(uint16_t code);

#define WS_KEY_LEN 24
#define WS_ACCEPT_SIZE 29

/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2). */
void ws_accept(const char key[WS_KEY_LEN], char out[WS_ACCEPT_SIZE]);

#endif

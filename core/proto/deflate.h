/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_DEFLATE_H
#define PROTO_DEFLATE_H

/*
 * permessage-deflate (RFC 7692), without any state of a connection: neither
 * side keeps its window from one message to the next.  So one compressed
 * message serves all its receivers, and one deflater and one inflater serve
 * all the connections of a thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include <arqonbus/abi.h>

#include "base/buf.h"

/*
 * What to answer to the value of a Sec-WebSocket-Extensions header: the value
 * of ours, a constant, for the first offer in it that can be accepted; NULL
 * for none.  An offer that RFC 7692 wants declined, or that asks for a smaller
 * window than deflater_run() uses, is passed over; so are other extensions and
 * what breaks the grammar, up to the next comma.
 */
const char *deflate_negotiate(struct aqb_slice offers);

/* Compresses messages.  One for each thread. */
struct deflater;

/* Level and memory as zlib understands them, both from 1 to 9: memory is
 * 128 KiB and 512 bytes << mem_level. */
struct deflater *deflater_new(int level, int mem_level);
void deflater_free(struct deflater **dp);

/*
 * Replace what is in `out` by the payload of one compressed message.  False
 * when it would not be smaller than the message, or there is no memory for
 * it: then the message goes as it is, and nothing is in `out`.
 */
bool deflater_run(struct deflater *d, const void *data, size_t len,
    struct buf *out);

enum inflate_result {
	INFLATE_OK,
	INFLATE_TOO_BIG,   /* close with 1009 */
	INFLATE_BROKEN,    /* close with 1002 */
	INFLATE_NO_MEMORY, /* close with 1011 */
};

/* Decompresses messages.  One for each thread: 40 KiB. */
struct inflater;

struct inflater *inflater_new(void);
void inflater_free(struct inflater **ip);

/*
 * Replace what is in `out` by the message of a compressed payload, which is
 * that of all its fragments together.  It stops at the first byte over the
 * limit and never puts more than that many into `out`; unless all is well
 * nothing is in it.  Whether a text is UTF-8 is for the caller to ask.
 *
 * For bytes that are not DEFLATE the RFC has no close code.  They break the
 * protocol that was agreed on, which is 1002, as Python's websockets answers;
 * 1007, which some give, tells of content that does not suit its type, and is
 * said here of text alone.
 */
enum inflate_result inflater_run(struct inflater *i, const void *data,
    size_t len, size_t limit, struct buf *out);

#endif

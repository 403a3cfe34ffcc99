/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

/*
 * The languages of the servers that can be measured: how a connection joins a
 * channel, how a payload is published to one, and where the messages are in
 * what comes.  All servers get the same payloads over WebSocket.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "bench_conn.h"

struct bench_address;

/* The path of the handshake, of one who joins the channel or does not. */
typedef void peer_path_f(const struct bench_address *a, bool joins, char *path,
    size_t size);

/* Put what is said first after the handshake.  Leaves in c->awaits how many
 * answers must come before the connection stands and is surely joined. */
typedef void peer_hello_f(struct bench_conn *c, const struct bench_address *a,
    bool joins);

/* A text came while answers are awaited: count it, and put what is to be said
 * to it.  Ends the program when it is a refusal. */
typedef void peer_reply_f(struct bench_conn *c, const struct bench_address *a,
    bool joins, const char *text, size_t len);

/* Add what stands before and behind a payload of `size` bytes, to make it a
 * publish to a channel. */
typedef void peer_wrap_f(const struct bench_address *a, size_t size,
    struct buf *before, struct buf *behind);

struct peer_dialect {
	const char *name;
	const char *protocol; /* Sec-WebSocket-Protocol; NULL: none */
	bool binary;          /* what is sent goes in binary frames */
	bool echoes;          /* a client gets its own messages, too */
	bool bare;            /* messages come as payloads, in no envelope */

	peer_path_f *path;
	peer_hello_f *hello;
	peer_reply_f *reply;    /* NULL: texts are no answers */
	bench_stream_f *stream; /* NULL: each text frame is a message */
	peer_wrap_f *wrap;
};

/* Returns a borrowed pointer to a constant.  Ends the program, telling all
 * names, when there is none of this name. */
const struct peer_dialect *peer_find(const char *name);

#endif

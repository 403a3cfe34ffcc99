/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

/*
 * Client connections for a generator that must cost far less than the server
 * it measures.  Sockets never block; what a connection receives goes through
 * one large buffer of the thread, and only the beginning of a frame is kept.
 * Each connection belongs to one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* How long to wait for an answer, in nanoseconds; --patience says it. */
extern uint64_t bench_patience;

struct bench_conn;

/* Told a message; it is borrowed for the call. */
typedef void bench_text_f(void *arg, const char *text, size_t len);

/*
 * Tell each message that is complete in what came, which begins with the
 * first that was not.  Returns how many bytes need not be told again.  Ends
 * the program when it is none of its language.
 */
typedef size_t bench_stream_f(struct bench_conn *c, const char *data,
    size_t len, bench_text_f *each, void *arg);

struct bench_conn {
	int fd;
	uint8_t mask[4];
	uint16_t close_code; /* what the server said when it closed */
	struct buf held;     /* the beginning of what came and is not whole */
	struct buf out;      /* frames to send */
	size_t sent;         /* so much of them */

	/* How it speaks: texts, each of them a message, unless there is a
	 * stream, which finds messages in the contents of all frames. */
	bool binary; /* what is put goes in binary frames */
	bench_stream_f *stream;
	size_t joined; /* so much of what is held is content of frames */
	size_t wire;   /* length of its last message as it came: of a text
			  * without the frame's head, else with its own */
	uint64_t
	    astray;    /* frames that are no whole texts where all should be */
	uint64_t rest; /* content of the last frame that has not come */
	unsigned awaits; /* answers to come before it stands; a pong is one */
};

void bench_close(struct bench_conn *c);

/* Put a text, or a packet, into what is to be sent, as one masked frame.  Ends the program
 * when the server has long taken less than it is sent. */
void bench_put(struct bench_conn *c, const char *text, size_t len);

/* Put a ping. */
void bench_ping(struct bench_conn *c);

/* Send what the socket takes; the rest stays for the next time.  False when
 * the peer is gone. */
bool bench_flush(struct bench_conn *c);

/* Wait until the socket is ready for these events of poll(), or the time has
 * come. */
void bench_wait(const struct bench_conn *c, short events, uint64_t until);

/*
 * Read once and tell each message that is complete.  Pings are answered.
 * False when the peer is gone or has closed.
 */
bool bench_read(struct bench_conn *c, bench_text_f *each, void *arg);

/*
 * Wait up to 10 s for a text that contains `want`, sending what is to be sent
 * meanwhile; the text is copied to *replyp unless that is NULL.  Texts that
 * came with it but later are lost.  False when it does not come.
 */
bool bench_await(struct bench_conn *c, const char *want, struct buf *replyp);

/* Send a text and wait for what contains `want`; ends the program when it
 * does not come, or comes without "success". */
void bench_ask(struct bench_conn *c, const char *text, size_t len,
    const char *want);

#endif

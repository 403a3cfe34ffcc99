/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_CONN_H
#define NET_CONN_H

/*
 * One connection, from accept to close.  It belongs to its worker.  Small,
 * for there may be very many that say nothing: whatever only some have is a
 * separate allocation.
 */

#include <sys/queue.h>

#include "base/bucket.h"
#include "bus/port.h"
#include "loop/timer.h"
#include "net/outq.h"
#include "proto/ws.h"

#define CONN_MAGIC 0x3fd2a86eu

/* Control frames that a peer may send. */
#define CONTROLS_PER_SECOND 20
#define CONTROLS_BURST 40

#define CONN_LANES 2 /* everybody's, and one channel's */

enum conn_state {
	CONN_HTTP,    /* a request's head is awaited */
	CONN_OPEN,    /* frames go both ways */
	CONN_CLOSING, /* our close frame is queued; the peer's is awaited */
	CONN_ENDING,  /* nothing more is read; what is queued goes out */
	CONN_GONE,    /* no socket any more */
};

struct inbox;
struct peer;
struct worker;

/* A lane that a connection is in, and where. */
struct lane_ref {
	uint32_t lane;
	uint32_t index;
};

struct conn {
	struct port_conn port; /* first: it is what the bus knows */
	uint32_t magic;
	int fd;
	enum conn_state state;
	bool opened : 1;  /* the bus was told */
	bool dirty : 1;   /* on the worker's list of what to flush */
	bool blocked : 1; /* the socket takes no more: wait for it */
	bool paused : 1;
	bool reading : 1;     /* bytes are wanted */
	bool ready : 1;       /* on the worker's list: bytes are waiting */
	bool slow : 1;        /* over its budget: judged at the turn's end */
	bool slow_alone : 1;  /* but only by what nobody else gets */
	bool lost : 1;        /* something it should have got is lost */
	bool starved : 1;     /* for want of memory */
	bool sheds : 1;       /* its outbox may hold what may be dropped */
	bool owes : 1;        /* and did: the bus is to be told */
	bool tell : 1;        /* the bus waits for PORT_READY */
	bool peer_closed : 1; /* its close frame came */
	bool close_after : 1; /* HTTP: close when the answer is out */
	bool lanes_many : 1;
	bool ponging : 1;    /* on the worker's list of pings to be answered */
	uint16_t close_code; /* as PORT_CLOSED will say it */
	uint16_t budget;     /* messages it may still send in this turn */
	uint16_t watched;    /* EPOLLIN, EPOLLOUT: what is waited for */
	uint16_t lane_count;
	uint8_t form; /* FORM_*: how messages go to it */
	struct worker *worker;
	uint64_t mark; /* of the last delivery that bears one */
	struct outq out;
	/* So far what every delivery touches. */
	const char *close_reason;
	struct timer timer; /* the nearest of its deadlines */
	struct ws_reader reader;
	struct inbox *in; /* what was read and not used, or NULL */
	/* The lanes it is in: in place while they are few, as they mostly
	 * are, and apart when they are many. */
	union {
		struct lane_ref few[CONN_LANES];
		struct {
			struct lane_ref *ref;
			uint32_t cap;
		} many;
	} lane;
	struct bucket controls; /* how many control frames it may send */
	struct peer *peer;      /* counts connections of its address */
	uint64_t heard;         /* when bytes came, monotonic ms */
	uint64_t since;         /* in the state: accepted, or closing, ms */
	uint64_t pinged;        /* when; 0: no pong is awaited */
	uint64_t progress;      /* when the blocked socket last took a byte */
	TAILQ_ENTRY(conn) link;
};

/* Its socket is ready; a sockets_ready_f. */
void conn_ready(void *conn, unsigned what);

/* Take an accepted socket over, and its peer; NULL without memory, and both
 * are still the caller's. */
struct conn *conn_new(struct worker *w, int fd, struct peer *peer);

/* Answer this status and go: over a limit. */
void conn_refuse(struct conn *conn, int status, const char *reason);

/* Queue a piece, and flush at the turn's end.  `limit`: how much may wait. */
void conn_push(struct conn *conn, struct piece piece, uint64_t limit);

/* There is no memory for what it should get: it is closed at the turn's end,
 * for it must not go on as if nothing were missing. */
void conn_starve(struct conn *conn);

/* Have it flushed at the turn's end. */
void conn_make_dirty(struct conn *conn);

/* Write what waits, as far as the socket takes it. */
void conn_flush(struct conn *conn);

/* Close with this code after what is queued.  The reason is copied. */
void conn_close(struct conn *conn, uint16_t code, const char *reason);

/* The peer broke the rules: say so, hear nothing more, and go. */
void conn_fail(struct conn *conn, uint16_t code, const char *reason);

/* The connection is over; nothing more is sent. */
void conn_gone(struct conn *conn, uint16_t code, const char *reason);

/* Drop it for its outbox; `stuck`: ms in which it took nothing, or 0. */
void conn_drop_slow(struct conn *conn, uint64_t stuck, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Read from the socket again, or stop. */
void conn_read_on(struct conn *conn);
void conn_read_off(struct conn *conn);

/* Set the timer to the nearest deadline. */
void conn_arm(struct conn *conn);

/* It is no half-open handshake any more. */
void conn_leave_handshake(struct conn *conn);

void conn_free(struct conn **connp);

/* Where the peer is; see endpoint.h. */
void conn_address(const struct conn *conn, char text[PORT_ADDRESS_SIZE],
    bool *loopbackp);

#endif

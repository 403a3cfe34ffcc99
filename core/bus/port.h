/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_PORT_H
#define BUS_PORT_H

/*
 * How the bus and its connections reach each other: through values in two
 * mailboxes, never by calling.  Connections live on an I/O worker, which may
 * be a thread of its own; the bus lives on the core.
 *
 * The order in the box down is the order on the wire.  A connection's memory
 * lives until the bus, having been told PORT_CLOSED, answers PORT_FORGET; so
 * whatever is still in the boxes may name it safely.
 *
 * A lane is a list of connections that the worker keeps for the bus: one for
 * each channel, named by a number.  Lane 0 holds every connection that the
 * bus knows.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/error.h>
#include <arqonbus/message.h>

#include "base/count.h"
#include "proto/envelope.h"

struct aqb_msg;
struct loop;
struct mailbox;

/* What both sides know of a worker. */
struct port {
	struct mailbox *up;   /* struct port_up, to the bus */
	struct mailbox *down; /* struct port_down, to the worker */
	struct loop *bus;     /* of either side; NULL while it is one */
	struct loop *worker;
	uint32_t number; /* among the bus's ports */

	/* Written by the worker, read by anyone. */
	atomic_uint_fast64_t outbox_bytes; /* memory that waits to be sent */
	atomic_uint_fast64_t delivered;    /* messages put into outboxes */
	atomic_uint_fast64_t bytes_down;   /* of messages taken from `down` */
	uint64_t bytes_brought;            /* of requests; its own */

	/* The worker reads nothing more until the bus has taken from `up`. */
	atomic_bool is_full;

	/* Written by the bus. */
	uint64_t bytes_posted;         /* of messages */
	atomic_uint_fast64_t bytes_up; /* of requests taken from `up` */
};

/* The head of every connection. */
struct port_conn {
	struct port *port;
	void *client; /* the bus's own; only the core looks */
};

#define PORT_ADDRESS_SIZE 56

/* What a connection said when it came.  One allocation each, free() it. */
struct port_hello {
	char address[PORT_ADDRESS_SIZE]; /* "127.0.0.1:40000" */
	char *query; /* of the request's target, as sent; "" if none */
	char *token; /* from the Authorization header, or NULL */
};
void port_hello_free(struct port_hello **hellop);

/* What becomes of a channel's messages that wait for a client whose outbox is
 * over its limit. */
enum slow_policy {
	SLOW_DISCONNECT,  /* they wait; it is closed with 4008 */
	SLOW_DROP_OLDEST, /* the oldest go */
	SLOW_CONFLATE,    /* all but the newest go */
	SLOW_POLICIES,
};

const char *slow_policy_name(enum slow_policy policy);

/* Messages of a channel, from one seq to another, that a client will not
 * get. */
struct port_loss {
	uint64_t from;
	uint64_t to;
	char epoch[AQB_EPOCH_SIZE];
	char room[AQB_NAME_MAX + 1];
	char channel[AQB_NAME_MAX + 1];
};

/*
 * What a client lost by being slow; dropped and bytes count from the last one
 * that was news, which is at most one a second.  One allocation, free() it.
 */
struct port_slow {
	bool is_news;
	bool is_end;                     /* it is being closed */
	uint64_t dropped[SLOW_POLICIES]; /* messages */
	uint64_t bytes[SLOW_POLICIES];   /* DISCONNECT: all that waited */
	uint64_t limit;                  /* of the outbox, bytes */
	uint64_t stuck;                  /* ms in which it took nothing, or 0 */
	size_t n;
	struct port_loss loss[];
};

enum port_up_kind {
	PORT_OPENED,  /* hello */
	PORT_REQUEST, /* env, msg: a good envelope */
	PORT_REJECT,  /* code, why, env.id in msg: a bad one */
	PORT_READY,   /* the answer to PORT_TELL */
	PORT_SLOW,    /* slow: it lost something, or is about to be closed */
	PORT_CLOSED,  /* code, reason: it is gone, of itself or as told */
};

struct port_up {
	enum port_up_kind kind;
	uint16_t close_code; /* CLOSED: as sent or received; 1006: lost */
	enum aqb_code code;  /* REJECT */
	uint32_t bytes;      /* REQUEST, REJECT: length of the text */
	struct port_conn *conn;
	struct port_hello *hello; /* OPENED: taken */
	struct aqb_msg *msg;      /* REQUEST: taken; REJECT: taken or NULL */
	struct aqb_why *why;      /* REJECT: taken (free), or NULL */
	struct port_slow *slow;   /* SLOW: taken */
	const char *reason;       /* CLOSED: lives for ever */
	uint64_t received_us;     /* REQUEST: when the bytes were read */
	struct envelope env;
};

enum port_down_kind {
	PORT_JOIN,    /* conn, lane: put it in; once in it stays once */
	PORT_LEAVE,   /* conn, lane */
	PORT_DELIVER, /* lane, msg, conn: to all of the lane but conn, which
		       * is NULL where the sender is not this worker's */
	PORT_SEND,    /* conn, msg */
	PORT_CLOSE,   /* conn, code, reason: after what was sent before */
	PORT_FORGET,  /* conn: the answer to PORT_CLOSED */
	PORT_PAUSE,   /* conn: read no more from it */
	PORT_RESUME,  /* conn */
	PORT_BINARY,  /* conn: binary messages go to it as they came */
	PORT_TEXT,    /* conn: as text, which is how it begins */
	PORT_CUT,     /* bytes: close who has the fullest outboxes, until so
		       * much memory is free */
	PORT_TELL,    /* conn: answer PORT_READY, once, as soon as its outbox
		       * is under half of what it may hold */
};

struct port_down {
	enum port_down_kind kind;
	uint16_t code;
	uint8_t policy; /* DELIVER: enum slow_policy, of what has a seq */
	uint32_t lane;
	struct port_conn *conn;
	struct aqb_msg *msg; /* taken */
	char *reason;        /* taken (free), or NULL; at most 123 bytes */
	uint64_t bytes;      /* CUT */
	/* DELIVER: not 0: to each connection once for each mark. */
	uint64_t mark;
	uint64_t received_us; /* DELIVER: of the request, 0 if of none */
};

#define PORT_LANE_ALL 0u

/* Post to the worker of a connection; the caller fills in the rest. */
struct port_down *port_post(struct port_conn *conn, enum port_down_kind kind);

/* The same, about no connection in particular. */
struct port_down *port_add(struct port *port, enum port_down_kind kind);

/* Give an entry a message; takes a reference of its own. */
void port_load(struct port *port, struct port_down *d, struct aqb_msg *msg);

/* The worker is done with an entry: let go of all that it carries. */
void port_unload(struct port *port, struct port_down *d);

/* How many bytes of messages wait in the box down.  For the bus. */
uint64_t port_waiting(const struct port *port);

/* The bus has taken what it takes of the box up in a turn: show the worker what
 * it posted, wake it if there is anything or if it waited for room. */
void port_end_bus_turn(struct port *port);

/* Show the bus what has come up, and wake it. */
void port_end_worker_turn(struct port *port);

/* How much waits at most, before a worker reads no more: one message more, for
 * it may be longer than all of that. */
#define PORT_UP_MAX 4096
#define PORT_UP_BYTES (16u * 1024u * 1024u)

/* An entry for the bus is a message of so many bytes; the bus is done with
 * it. */
void port_weigh(struct port *port, struct port_up *up, size_t bytes);
void port_took(struct port *port, const struct port_up *up);

/* May the worker put in another?  If not, it will be woken. */
bool port_has_room(struct port *port);

/* Make and unmake the boxes, of a worker on the bus's own loop; or, shared,
 * of one with a thread and a loop of its own. */
void port_init(struct port *port);
void port_share(struct port *port, struct loop *bus, struct loop *worker);
void port_fini(struct port *port);

#endif

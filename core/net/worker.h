/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

/*
 * One I/O worker: a loop's connections, their lanes, and what a turn has
 * gathered to be written.  It meets the bus only in its port's mailboxes.
 *
 * What has no comment on threads belongs to the thread that runs the loop.
 */

#include "base/hist.h"
#include "net/conn.h"
#include "net/form.h"
#include "net/net.h"

struct loop;
struct loss;
struct mailbox;
struct series;
struct sockets;

#define WORKER_MAGIC 0xb5470e9cu
#define WORKER_BUFFER (256u * 1024u) /* what one read takes */
#define TURN_MESSAGES 64             /* of one connection in a turn */

/* Connections that hear the same. */
struct lane {
	struct conn **conn;
	uint32_t n;
	uint32_t cap;
};

/* A growing list of connections. */
struct conn_vector {
	struct conn **conn;
	size_t n;
	size_t cap;
};

/* Messages to the same lane, but one, in the order in which they came; and
 * what they became in each form that has receivers. */
#define BATCH_MAX 64

struct pieces {
	bool is_placed;
	bool is_short; /* of some, for want of memory */
	size_t n;
	struct piece piece[BATCH_MAX];
};

struct batch {
	uint32_t lane;
	const struct port_conn *except;
	uint64_t mark;
	size_t n;
	bool sheds; /* some may be dropped: those that have a series */
	struct aqb_msg *msg[BATCH_MAX];
	struct series *series[BATCH_MAX];
	struct pieces form[FORMS];
};

/* A ping that is to be answered at the end of the turn. */
struct pong {
	struct conn *conn;
	uint8_t len;
	uint8_t data[125];
};

/* A socket that was accepted, on its way to its worker. */
struct newcomer {
	int fd;
	int status; /* 0: welcome; else the HTTP status it is refused with */
	char reason[96];
	struct peer *peer; /* taken; or NULL */
};

struct worker {
	uint32_t magic;
	struct loop *loop;
	struct sockets *sockets;
	struct net_conf conf;
	struct port port;
	struct mailbox *newcomers;
	bool is_closed; /* to new clients: the broker stops */

	/* For any thread to read. */
	struct net_counters count;
	atomic_uint_fast64_t connections; /* newcomers, too */
	atomic_uint_fast64_t half_open;
	_Atomic(const char *) refusal; /* why nobody may come in, or NULL */
	struct hist routing;

	TAILQ_HEAD(conn_list, conn) conns; /* oldest first */
	TAILQ_HEAD(handshake_list, conn) handshakes;

	struct lane *lane;
	size_t lane_cap;

	struct pool pool;
	struct batch batch;
	struct former former;
	struct run shared[FORMS]; /* deliveries, in each form */
	struct run solo;          /* what goes to one connection only */

	struct series *series; /* by lane, the last of each */
	struct loss *losses;   /* by connection; see shed.c */
	uint64_t shed_round;

	struct conn_vector dirty; /* to be flushed */
	struct conn_vector ready; /* with bytes that wait for another turn */
	struct conn_vector slow;  /* over their budget */
	struct conn_vector dead;  /* gone, and unknown to the bus */

	struct pong *pong;
	size_t pong_count;
	size_t pong_cap;

	/* When each message delivered in this turn was received. */
	uint64_t *received;
	size_t received_n;
	size_t received_cap;

	struct inflater *inflater; /* or NULL */
	struct buf inflated;

	uint8_t buffer[WORKER_BUFFER];
};

/* A worker on the loop that the bus runs on. */
struct worker *worker_new(struct loop *loop, const struct net_conf *conf);

/* It gets a thread of its own, for its loop is not the bus's.  Before anything
 * else. */
void worker_share(struct worker *w, struct loop *bus);

/* Hand a socket over; from the listener's thread. */
void worker_offer(struct worker *w, const struct newcomer *newcomer);

/* All connections must be gone, or the bus too: they are closed hard. */
void worker_free(struct worker **workerp);

/* Do what the bus has posted and write what that made; a loop_turn_end_f. */
bool worker_turn_end(void *worker);

/* Has anything come from other threads?  A loop_has_work_f. */
bool worker_has_work(void *worker);

/* Drop every connection that the bus does not know. */
void worker_drop_strangers(struct worker *w);

/* For conn's files. */
void worker_add(struct conn_vector *v, struct conn *conn);
void worker_strike(struct conn_vector *v, const struct conn *conn);
void lane_join(struct worker *w, struct conn *conn, uint32_t lane);
void lane_leave(struct worker *w, struct conn *conn, uint32_t lane);
void lane_leave_all(struct worker *w, struct conn *conn);
struct pong *worker_pong(struct conn *conn); /* NULL without memory */
void deliver(struct worker *w, struct port_down *d);
void deliver_batch(struct worker *w); /* before anything but a deliver */
void deliver_one(struct worker *w, struct conn *conn, struct aqb_msg *msg);
/* Write what the turn has gathered. */
void deliver_end_turn(struct worker *w);
struct port_up *worker_up(struct conn *conn, enum port_up_kind kind);

#endif

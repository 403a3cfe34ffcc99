/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_BUS_FAKE_H
#define UNIT_BUS_FAKE_H

/*
 * A bus without sockets, storage or time.  Peers say and hear texts; the
 * worker behind the port, the storage and the clock do what the test says.
 * Whatever is said has had all its consequences when the call returns, but
 * for what waits for the storage or for time to pass.
 */

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/bus.h>

#include "bus/bus.h"
#include "bus/port.h"

/* As the bus is made by bus_setup(); change it and call bus_remake(). */
extern struct bus_conf settings;
extern struct bus *bus;

/* What the bus wants freed of outboxes. */
extern uint64_t cut_bytes;
/* What outboxes are said to hold. */
void outboxes_hold(uint64_t bytes);

void bus_setup(void);
void bus_remake(void);

/* Make it again as so many nodes, at most three, that are one bus: "test",
 * "other" and "third".  `bus` and those who come are at the first until
 * be_at() says otherwise. */
void bus_make_cluster(size_t nodes);
void be_at(size_t node);
/* Also sees that nothing is left behind. */
void bus_teardown(void);

void time_passes(uint64_t ms);
/* Only the time of day. */
void day_jumps(int64_t ms);

/* Somebody who is connected. */
struct peer {
	struct port_conn conn; /* first */
	char id[64];
	char session[128];
	bool is_paused;
	bool is_binary;
	bool is_full; /* does not answer PORT_TELL until it has room */
	bool is_closed;
	uint16_t close_code;
	char close_reason[124];
};

/* Connect, with this query; its welcome is heard. */
struct peer *come(const char *query);
struct peer *come_with_token(const char *query, const char *token);
/* Its connection is lost. */
void go(struct peer *peer);
/* It reads again: PORT_READY, if the bus asked. */
void has_room(struct peer *peer);

/* It lost what room:channel said from one seq to the other: PORT_SLOW. */
void loses(struct peer *peer, const char *channel, uint64_t from, uint64_t to);
void loses_this(struct peer *peer, const struct port_loss *loss);
void loses_and_goes(struct peer *peer, const char *channel, uint64_t from,
    uint64_t to);

/* The same `times` over before the bus looks: how many entries of its worker
 * it leaves for its next turn. */
size_t has_room_often(struct peer *peer, size_t times);

/* Say one envelope.  `fmt` may use ' for ". */
void say(struct peer *peer, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The next text that it hears holds all of these, again with ' for "; the
 * text is good until the next call. */
const char *hears_all(struct peer *peer, ...);
#define hears(peer, ...) hears_all(peer, __VA_ARGS__, (const char *)NULL)
void hears_nothing(struct peer *peer);
/* How many wait to be heard; and forget them. */
size_t heard(struct peer *peer);
size_t skip(struct peer *peer);

/* The number under a key, anywhere in a text. */
uint64_t number_in(const char *text, const char *key);

/* Join, and what came of it. */
struct joined {
	bool is_answered;
	enum aqb_code code;
	struct aqb_joined result;
	char message[256];
};
struct joined join(struct peer *peer, const char *room, const char *channel);
struct joined join_as(struct peer *peer, const struct aqb_join *how);
/* The answer to the last join that had to wait. */
struct joined late_join(void);
enum aqb_code leave(struct peer *peer, const char *room, const char *channel);
enum aqb_code identify(struct peer *peer, const struct aqb_identity *who);

/* How the storage behaves. */
enum backend_mode {
	BACKEND_NOW,   /* stores, and says so in the call */
	BACKEND_LATER, /* says nothing until backend_answers() */
	BACKEND_EARLY, /* gives the position at once, and answers later */
	BACKEND_REFUSES,
};
extern struct backend {
	enum backend_mode mode;
	enum aqb_err error;     /* of BACKEND_REFUSES, and of broken reads */
	bool tail_fails;        /* tail is refused with `error` */
	bool reads_fail;        /* history is */
	bool reads_wait;        /* until backend_reads() */
	size_t keeps;           /* messages a stream */
	size_t page;            /* at most so many in one answer; 0: no limit */
	uint64_t bytes;         /* what usage says */
	uint32_t backlog;       /* hundredths */
	bool resolves;          /* every epoch counts on in the next */
	bool resolve_fails;     /* with `error` */
	size_t appends, forgot; /* how often it was asked */
} backend;

/* The nth message that waits, counted from 0, is stored, or is not. */
void backend_answers(size_t nth, enum aqb_err err);
/* It may be delivered now, and waits on; counted alike. */
void backend_lets_go(size_t nth);
/* It was stored before, as seq of its stream. */
void backend_has(size_t nth, uint64_t seq);
/* The stream goes on as if so many more had been stored. */
void backend_skips(const char *stream, uint64_t n);
/* The stream counts on in a new epoch, and keeps what it has. */
void backend_begins_again(const char *stream);
/* Answer the reads that wait. */
void backend_reads(void);
/* A new epoch for every stream, nothing kept. */
void backend_loses_all(void);

/* How the nodes hear of each other: at once, in one order. */
extern struct cluster_fake {
	bool holds;      /* nothing is told */
	bool is_cut_off; /* notices are refused */
	bool shares_fail;
	size_t notices, shares; /* how often */
} cluster_fake;

/* Another node, that is not here, says something; ' stands for ". */
void node_shares(const char *node, const char *key, const char *value);
void node_notices(const char *node, const char *text);
void node_goes(const char *node);
/* One of ours is gone without a word, and hears nothing more. */
void node_dies(size_t node);
/* A record of all nodes is lost, and nobody is told. */
void common_record_goes(const char *key);
/* All records are told again; those of a node that was lost silently are not.
 */
void cluster_loses(const char *node);
void cluster_syncs(void);
/* A message of another broker comes, or one that was given before. */
void stream_tells(const char *stream, struct aqb_msg *msg, uint64_t seq,
    const char *epoch, uint32_t flags);
/* The same, made up; and the news that a stream was dropped. */
void stream_says(const char *stream, uint64_t seq, const char *epoch);
void stream_forgets(const char *stream);
/* The record as it was shared last; NULL: there is none. */
const char *record_of_node(const char *node, const char *key);
/* This node's records are lost, and it is told so. */
void cluster_asks_again(size_t node);

/* Is there such a channel? */
bool is_there(const char *room, const char *channel);
struct aqb_channel_info channel_now(const char *room, const char *channel);

#endif

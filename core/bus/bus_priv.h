/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_BUS_PRIV_H
#define BUS_BUS_PRIV_H

/* The bus as its own files see it. */

#include <string.h>
#include <sys/queue.h>

#include "base/bucket.h"
#include "base/hash.h"
#include "bus/bus.h"
#include "bus/port.h"
#include "loop/timer.h"
#include "proto/slice.h"

#define BUS_PORTS 64

struct activity;
struct channel;
struct client;
struct cluster;
struct dedupe;
struct drain;
struct member;
struct presence;
struct remote_member;
struct session;

TAILQ_HEAD(channel_list, channel);
TAILQ_HEAD(client_list, client);
TAILQ_HEAD(member_list, member);
TAILQ_HEAD(remote_member_list, remote_member);

enum memory_state {
	MEMORY_PLENTY, /* nothing is done; see overload.h */
	MEMORY_TIGHT,  /* publishers are paused */
	MEMORY_SHORT,  /* and publishes and connections refused */
	MEMORY_FULL,   /* and consumers cut */
};

struct bus {
	uint32_t magic;
	struct loop *loop;
	struct store *store;
	struct bus_conf conf;
	struct bus_hooks hooks;

	struct port *port[BUS_PORTS];
	const struct hist *routing[BUS_PORTS];
	size_t ports;

	/* Clients by id and in order of arrival; aliases. */
	struct client *clients_by_id;
	struct client_list clients;
	struct client_list leaving; /* detached; their connections remain */
	struct alias *aliases;
	size_t client_count;

	struct room *rooms;
	size_t room_count;
	struct channel_list channels; /* oldest first */
	size_t channel_count;

	/* Lanes: a channel's number to its workers. */
	struct channel **lane;
	size_t lane_cap;
	uint32_t lane_top; /* the lowest number never used */
	uint32_t *lane_free;
	size_t lane_free_count;
	size_t lane_free_cap;

	LIST_HEAD(open_list, publish) publishes; /* not decided yet */
	struct dedupe *dedupe;
	struct drain *drain; /* NULL until the end begins */
	struct session *session;
	struct activity *activity;
	struct cluster *cluster; /* NULL: this broker is the bus */
	struct absent *absents;  /* left by lost connections, in their grace */

	enum memory_state memory;
	bool is_behind;    /* the storage */
	uint32_t admitted; /* publishes */
	uint64_t cut_at;   /* when consumers were last cut, monotonic ms */
	uint32_t busy;     /* beats in a row with long turns */

	/* What groups keep, and what they have given out. */
	uint64_t group_messages, group_bytes, group_given;
	size_t group_count;

	uint64_t serial; /* of clients, channels and members, as they come */
	uint64_t mark;   /* of deliveries that must not double */
	uint64_t id_prefix, id_next; /* of ids that we make */
	int64_t wall;                /* wall clock of this turn, ms */
	int64_t started;
	uint64_t started_mono;

	uint64_t received; /* messages from clients */
	uint64_t sampled;
	uint64_t received_before; /* at the last tick */
	double per_second;
};

#define BUS_MAGIC 0x7b16d9e2u

/* Post to the worker of a connection.  A message is referenced, not taken. */
void bus_send(struct client *client, struct aqb_msg *msg);
void bus_close(struct client *client, uint16_t code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* To all in a lane but one client (or NULL); mark: see port.h. */
void bus_deliver(struct bus *bus, uint32_t lane, struct aqb_msg *msg,
    const struct client *except, uint64_t mark, uint64_t received_us);

/* Read nothing more from a client until memory is there again. */
void bus_pause(struct client *client);
/* Read again, whatever is short: it has to say something that frees some. */
void bus_resume(struct client *client);

/* Send a text of our own making, and count its failure to be made. */
struct buf;
void bus_send_text(struct client *client, struct buf *text);

/* A fresh message id. */
#define BUS_ID_SIZE 40
void bus_make_id(struct bus *bus, char id[BUS_ID_SIZE]);

/* Seal a message, now, with an id of ours if it has none. */
struct msg_fields;
void bus_seal(struct bus *bus, struct aqb_msg *msg,
    const struct msg_fields *fields);

#endif

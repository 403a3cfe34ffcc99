/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_CLIENT_H
#define BUS_CLIENT_H

/*
 * A client: one connection that finished its handshake, and who is behind
 * it.  Small, for there may be a million; what only some have is allocated
 * when it is first needed.
 */

#include "bus/bus_priv.h"

#define CLIENT_MAGIC 0xe2940c7bu
#define CLIENT_ID_SIZE 44 /* "arq_client_", 32 hex digits, NUL */
#define CLIENT_ID_PREFIX "arq_client_"

enum client_type {
	CLIENT_UNKNOWN,
	CLIENT_HUMAN,
	CLIENT_AI_AGENT,
	CLIENT_DASHBOARD,
	CLIENT_SERVICE,
	CLIENT_TYPES,
};

/* What a client said about itself; NULL where it did not. */
struct profile {
	char *screen_name;
	char *avatar;
	char *personality;
	char *alias;
};

/* What one client may still do, where rates are limited. */
struct allowance {
	struct bucket messages, bytes, commands, channels;
};

struct calls; /* of the command layer */
struct card;

struct client {
	uint32_t magic;
	enum client_type type;
	bool admin : 1;
	bool binary : 1; /* takes binary messages as they came */
	bool resumed : 1;
	bool dropped : 1;  /* its connection is being closed by us */
	bool detached : 1; /* out of all tables; waits for its connection */
	bool paused : 1;
	bool asked : 1;      /* PORT_TELL is on its way: PORT_READY will come */
	bool is_leaving : 1; /* it was told that the broker stops */
	uint16_t recent;     /* messages since the last beat that was busy */
	char id[CLIENT_ID_SIZE];
	uint16_t violations;
	uint32_t channel_count;
	struct bus *bus;
	struct port_conn *conn;
	struct profile *profile;
	struct allowance *allowance;
	struct calls *calls;
	struct activity_entry *activity;
	struct card *card; /* in a cluster: what other nodes know of it */
	struct member_list members; /* most recently joined first */
	LIST_HEAD(publish_list, publish) publishes;
	uint64_t violations_since; /* monotonic ms */
	uint64_t serial;
	uint64_t received;
	uint64_t private_mark; /* of the last private message to it */
	uint32_t reads;        /* of history, in flight */
	uint32_t posted;       /* bytes, see client_posted */
	int64_t connected_at;
	int64_t last_activity;
	TAILQ_ENTRY(client) link;
	UT_hash_handle hh;
	char address[]; /* where it came from, for the log */
};

/* Take a connection in, or close it; greets it. */
void client_open(struct bus *bus, struct port_conn *conn,
    struct port_hello *hello);

/* Its connection is gone. */
void client_gone(struct client *client, uint16_t code, const char *reason);

struct client *client_find(struct bus *bus, const char *id, size_t len);
/* By id, or else by alias. */
struct client *client_find_any(struct bus *bus, const char *name, size_t len);

const char *client_type_name(enum client_type type); /* NULL: unknown */
bool client_type_parse(const char *name, enum client_type *typep);
const char *client_alias(const struct client *client); /* or NULL */

/* Change what it is; its channels count their members by type. */
void client_retype(struct client *client, enum client_type type);

/* Change what it says about itself, be somebody who was here before, or show
 * a token.  On a refusal nothing is changed. */
enum aqb_code client_identify(struct client *client,
    const struct aqb_identity *identity, struct aqb_why *why);

/*
 * How much the outbox of a client still takes, without looking at it.  Who
 * posts much tells how much; after each eighth of an outbox the worker is
 * asked to say when less than half of it is full, and at two eighths without
 * its word there is no room.
 */
bool client_has_room(const struct client *client);
void client_posted(struct client *client, size_t bytes);

/* Have client_ready() called when there is room in its outbox. */
void client_ask(struct client *client);
void client_ready(struct client *client);

/* Somebody came with its session: close it, and let it not be found. */
void client_replace(struct client *client);

/* Let telemetry know who it is, after a change. */
void client_tell_identity(const struct client *client);

void client_info(const struct client *client, struct aqb_client_info *infop);

/* Its record as a JSON object, as presence shows it. */
void client_record(const struct aqb_client_info *who, struct buf *text);

/* Answer outside of commands. */
void client_error(struct client *client, struct aqb_slice request_id,
    enum aqb_code code, const struct aqb_why *why);

/* STORAGE_UNAVAILABLE: `stored` is the JSON value false or "unknown". */
void client_storage_error(struct client *client, struct aqb_slice request_id,
    const char *stored, const char *message);

/* Bad input again, or what it must not do: after too many in a minute the connection is closed. */
void client_violation(struct client *client);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

/*
 * The bus: who is there, who hears what, and what becomes of a message.  It
 * knows no sockets (port.h brings what clients say) and no commands (hooks
 * hand them on).  Core thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/bus.h>

struct aqb_msg;
struct bus;
struct client;
struct envelope;
struct hist;
struct loop;
struct port;
struct store;

/* A token bucket's measure; a rate of 0 is no limit. */
struct bus_rate {
	uint64_t rate; /* a second */
	uint64_t burst;
};

/* How a bus behaves.  Strings are borrowed for as long as the bus lives.
 * Durations are milliseconds. */
struct bus_conf {
	const char *node;
	const char *version;
	const char *default_room;
	const char *bootstrap;   /* "room:channel,room:channel" */
	const char *admin_token; /* "": none */
	bool auto_create;
	bool require_membership;
	uint32_t max_channels;
	uint32_t max_channels_per_client;
	uint32_t dedupe_size; /* entries */
	uint32_t max_message_size;
	uint32_t history_size;
	uint32_t max_violations; /* a minute; 0: never */
	uint8_t slow_policy;     /* of channels that were given none */
	uint32_t sample;         /* one message_published event in so many */
	uint64_t history_ttl;
	uint64_t dedupe_window;
	uint64_t presence_grace;
	uint64_t presence_interval;
	uint64_t channel_idle;
	uint64_t ping_interval; /* told to clients */
	uint64_t idle_after;    /* of agent_activity */
	uint64_t memory_limit;  /* bytes: outboxes and history */
	uint64_t outbox_limit;  /* bytes, of one client */
	/* Groups: see core/bus/group.h and arqonbus.conf(5). */
	uint64_t group_ack_wait;
	uint64_t group_linger;
	uint32_t group_max_deliveries;
	uint32_t group_max_pending; /* messages not acked, of a member */
	uint32_t group_backlog;     /* messages that wait in memory */
	struct bus_rate messages, bytes, commands, channels;
};

/* What the bus hands on.  Set before anything is drained. */
struct bus_hooks {
	/* A command came: env's slices live in msg, which is taken. */
	void (*command)(void *arg, struct client *client,
	    const struct envelope *env, struct aqb_msg *msg);
	/* Who made this call?  NULL when the client or the call is gone. */
	struct client *(*caller)(void *arg, aqb_ticket call);
	/* The client is going: whatever waits for it is void. */
	void (*client_gone)(void *arg, struct client *client);
	/* Does it wait for the reply to a command?  NULL: never. */
	bool (*has_calls)(void *arg, const struct client *client);
	void *arg;
};

struct bus *bus_new(struct loop *loop, struct store *store,
    const struct bus_conf *conf);
void bus_free(struct bus **busp);
void bus_set_hooks(struct bus *bus, const struct bus_hooks *hooks);

/* Be one bus with all brokers on this storage: once it runs, and before
 * anything else.  AQB_OK, or a refusal with a sentence. */
int bus_follow(struct bus *bus, struct aqb_why *why);

/* Make the bootstrap channels: once the storage runs.  False, with the
 * reason, when the list is not right. */
bool bus_bootstrap(struct bus *bus, struct aqb_why *why);

/* A worker's boxes, before there is any channel.  `routing` is its latency
 * histogram. */
void bus_add_port(struct bus *bus, struct port *port,
    const struct hist *routing);

/* Route what has come up, as much as a turn may take; a loop_turn_end_f. */
bool bus_turn_end(void *bus);

/* Has anything come up?  A loop_has_work_f. */
bool bus_has_work(void *bus);

/* The end: forget every client without a word to its worker, which is about
 * to go; and then the workers. */
void bus_drop_all(struct bus *bus);
void bus_forget_ports(struct bus *bus);

/* Once a second: rates, memory, the `stats` event. */
void bus_tick(struct bus *bus, uint64_t elapsed_ms);

/* The table for plugins that work on this bus. */
const struct aqb_bus *bus_api(struct bus *bus);

/* Does it know who else is there?  A bus by itself does. */
bool bus_knows_all(const struct bus *bus);

/* How many messages groups keep: waiting in memory, or not acked. */
uint64_t bus_group_messages(const struct bus *bus);

/* Who is here; and how many clients on how many other nodes there are. */
uint64_t bus_clients(const struct bus *bus);
uint64_t bus_remote_clients(const struct bus *bus);
uint64_t bus_nodes(const struct bus *bus);

/* Do outboxes and history fill so much of the memory limit that publishers are
 * paused? */
bool bus_is_short_of_memory(const struct bus *bus);

/* Of so many ms, so many went by in long turns; twice a second. */
void bus_note_load(struct bus *bus, uint64_t elapsed, uint64_t lagged);
bool bus_is_busy(const struct bus *bus);

/* Why nobody may come in now, for ever the same text; NULL: all may. */
const char *bus_refusal(const struct bus *bus);

#endif

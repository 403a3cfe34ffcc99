/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_BUS_H
#define ARQONBUS_BUS_H

/*
 * The bus as commands see it: look at clients and channels, and change them.
 * Core thread only.  Strings in the info structs are borrowed until the
 * visitor or the caller returns to the loop.  Times are milliseconds since
 * 1970, UTC.
 *
 * Whatever can be refused returns enum aqb_code, 0 for success, and writes
 * the sentence for the client into *why.
 *
 * Whoever makes a struct sets its size.  Into one of the caller's (statsp,
 * infop) the broker writes as much as both know, and says in size how much
 * that was; what visitors get has the broker's own size.  So look with
 * AQB_HAS before you read a member that was added later.
 */

#include <arqonbus/abi.h>
#include <arqonbus/command.h>
#include <arqonbus/error.h>
#include <arqonbus/message.h>
#include <arqonbus/storage.h>

struct aqb_host;

/* Room for a cursor, NUL included: opaque text, good for the next page. */
#define AQB_CURSOR_SIZE 48

struct aqb_stats {
	uint32_t size;
	const char *name;    /* "ArqonBus" */
	const char *version; /* "0.1.0" */
	const char *node;
	uint64_t uptime; /* seconds */
	uint64_t clients, rooms, channels;
	uint64_t received, delivered; /* messages since the start */
	double per_second;            /* received, over the last second */
	const char *storage_backend;
	const char *storage_state; /* "ok", "degraded", "failed" */
	/* Routing, receipt to the last write of the turn, milliseconds. */
	double p50, p90, p99;
	/* ABI 1.0 ends here.  Add below this line only. */
};

/* What becomes of a channel's messages that wait for a client whose outbox is
 * full: it is closed, or they are dropped and it is told of the gap. */
enum aqb_slow_policy {
	AQB_SLOW_DEFAULT,     /* as the broker is configured */
	AQB_SLOW_DISCONNECT,  /* the client is closed with 4008 */
	AQB_SLOW_DROP_OLDEST, /* the oldest messages are dropped */
	AQB_SLOW_CONFLATE,    /* all but the newest message are dropped */
};

struct aqb_channel_spec {
	uint32_t size;
	const char *room, *channel;
	const char *description;   /* or NULL */
	struct aqb_slice metadata; /* a JSON object, may be empty */
	int64_t history_size;      /* negative: the default */
	int64_t history_ttl;       /* milliseconds; negative: the default */
	/* ABI 1.0 ends here.  Add below this line only. */
	uint32_t durability;  /* enum aqb_durability */
	uint32_t slow_policy; /* enum aqb_slow_policy */
};

struct aqb_channel_info {
	uint32_t size;
	const char *room, *channel;
	const char *description;   /* or NULL */
	struct aqb_slice metadata; /* a JSON object, or empty */
	uint64_t member_count, message_count;
	int64_t created_at, last_activity;
	bool is_protected;
	uint64_t history_size, history_ttl; /* messages, milliseconds */
	/* ABI 1.0 ends here.  Add below this line only. */
	uint32_t durability;  /* enum aqb_durability */
	uint32_t slow_policy; /* enum aqb_slow_policy */
};

/* What a client has not said is NULL. */
struct aqb_client_info {
	uint32_t size;
	const char *client_id, *alias, *client_type;
	const char *screen_name, *avatar, *personality;
	const char *address; /* of the peer, "127.0.0.1:40000" */
	const char *session; /* only from identify, for the client itself */
	int64_t connected_at, last_activity;
	int64_t joined_at; /* only of members of a channel */
	uint64_t channels; /* how many it has joined */
	uint64_t received; /* messages it has sent us */
	bool admin, binary, resumed;
	/* ABI 1.0 ends here.  Add below this line only. */
	const char *node; /* where it is, in a cluster; else NULL */
};

/* What identify changes; NULL leaves as it is, "" takes away. */
struct aqb_identity {
	uint32_t size;
	const char *client_type, *screen_name, *avatar, *personality, *alias;
	const char *token, *session;
	int binary; /* 0, 1; negative leaves as it is */
		    /* ABI 1.0 ends here.  Add below this line only. */
};

struct aqb_join {
	uint32_t size;
	const char *room, *channel;
	bool echo, presence;
	bool has_since;
	struct aqb_position since;
	/* ABI 1.0 ends here.  Add below this line only. */
	const char *group; /* be a member of this queue group, or NULL */
	bool group_manual; /* and ack what it gives */
};

struct aqb_joined {
	uint32_t size;
	const char *room, *channel;
	uint64_t member_count;
	struct aqb_position pos; /* of the last message */
	bool was_recovering, recovered;
	/* ABI 1.0 ends here.  Add below this line only. */
};

/* A queue group of a channel. */
struct aqb_group_info {
	uint32_t size;
	const char *name;
	uint64_t members;
	uint64_t waiting; /* messages that nobody has */
	uint64_t unacked; /* messages that a member has and has not acked */
};

/* Which page of a list. */
struct aqb_page {
	uint32_t size;
	uint32_t limit;
	const char *cursor; /* from the page before, or NULL */
			    /* ABI 1.0 ends here.  Add below this line only. */
};

typedef bool aqb_channel_visit_f(void *arg,
    const struct aqb_channel_info *info);
typedef bool aqb_client_visit_f(void *arg, const struct aqb_client_info *info);
typedef bool aqb_group_visit_f(void *arg, const struct aqb_group_info *info);

/* code 0: *joined is borrowed for the call.  The client is told nothing yet:
 * reply to the call, and what it missed follows the reply. */
typedef void aqb_joined_f(void *arg, aqb_ticket call, enum aqb_code code,
    const struct aqb_joined *joined, const struct aqb_why *why);

/* code 0: *answer is borrowed for the call. */
typedef void aqb_read_f(void *arg, aqb_ticket call, enum aqb_code code,
    const struct aqb_answer *answer, const struct aqb_why *why);

struct aqb_bus {
	uint32_t size;

	void (*stats)(const struct aqb_host *host, struct aqb_stats *statsp);

	/* Channels. */
	enum aqb_code (*channel_create)(const struct aqb_host *host,
	    const char *client_id, const struct aqb_channel_spec *spec,
	    struct aqb_why *why);
	enum aqb_code (*channel_delete)(const struct aqb_host *host,
	    const char *client_id, const char *room, const char *channel,
	    bool force, struct aqb_why *why);
	enum aqb_code (*channel_get)(const struct aqb_host *host,
	    const char *room, const char *channel,
	    struct aqb_channel_info *infop, struct aqb_why *why);

	/*
	 * List channels, of one room or of all (NULL), with members of one
	 * client type or any (NULL).  nextp is "" after the last page.  A page
	 * may hold less than limit, for a call looks at a bounded number.
	 */
	enum aqb_code (*channels)(const struct aqb_host *host, const char *room,
	    const char *client_type, const struct aqb_page *page,
	    aqb_channel_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
	    struct aqb_why *why);
	enum aqb_code (*members)(const struct aqb_host *host, const char *room,
	    const char *channel, const struct aqb_page *page,
	    aqb_client_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
	    struct aqb_why *why);

	/* Membership.  join answers through done, once, now or later. */
	void (*join)(const struct aqb_host *host, aqb_ticket call,
	    const struct aqb_join *join, aqb_joined_f *done, void *arg);
	enum aqb_code (*leave)(const struct aqb_host *host,
	    const char *client_id, const char *room, const char *channel,
	    struct aqb_why *why);

	/*
	 * Read history of a channel, or of all channels of a room merged by
	 * time (channel NULL; then the answer has no ends).  A limit of 0 asks
	 * for the ends only.  A second read with messages of one caller while
	 * the first is pending is refused with BUSY.  done is called once.
	 */
	void (*read)(const struct aqb_host *host, aqb_ticket call,
	    const char *room, const char *channel,
	    const struct aqb_range *range, aqb_read_f *done, void *arg);

	/* Clients: by id or by alias. */
	enum aqb_code (*client_get)(const struct aqb_host *host,
	    const char *id_or_alias, struct aqb_client_info *infop,
	    struct aqb_why *why);
	enum aqb_code (*clients)(const struct aqb_host *host,
	    const char *client_type, const struct aqb_page *page,
	    aqb_client_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
	    struct aqb_why *why);
	/* Change who the caller is; *infop is its record afterwards. */
	enum aqb_code (*identify)(const struct aqb_host *host, aqb_ticket call,
	    const struct aqb_identity *identity, struct aqb_client_info *infop,
	    struct aqb_why *why);
	/* Close its connection with 1008 and this reason. */
	enum aqb_code (*kick)(const struct aqb_host *host,
	    const char *id_or_alias, const char *reason, struct aqb_why *why);

	/* A system message from the broker to a channel, a room (channel
	 * NULL), or everybody (room NULL).  payload is JSON text; *deliveredp
	 * says to how many connections it goes. */
	enum aqb_code (*broadcast)(const struct aqb_host *host,
	    const char *room, const char *channel, struct aqb_slice payload,
	    uint64_t *deliveredp, struct aqb_why *why);
	/* ABI 1.0 ends here.  Add below this line only. */

	/* The queue groups of a channel, oldest first; at most 100. */
	enum aqb_code (*groups)(const struct aqb_host *host, const char *room,
	    const char *channel, aqb_group_visit_f *visit, void *arg,
	    struct aqb_why *why);
};

#endif

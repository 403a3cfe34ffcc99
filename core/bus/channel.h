/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_CHANNEL_H
#define BUS_CHANNEL_H

/* Rooms, the channels in them, and who is a member of which. */

#include "bus/bus_priv.h"
#include "bus/client.h"

#define ROOM_MAGIC 0x58e1a33du
#define CHANNEL_MAGIC 0xa9d40f16u
#define MEMBER_MAGIC 0x0cb7725fu

struct room {
	uint32_t magic;
	char name[AQB_NAME_MAX + 1];
	struct channel *channels_by_name;
	struct channel_list channels; /* oldest first */
	struct channel_list heard;    /* those with members */
	UT_hash_handle hh;
};

struct channel {
	uint32_t magic;
	uint32_t lane;
	struct bus *bus;
	struct room *room;
	char *stream; /* "room:channel", also its address in the storage */
	const char *name;
	bool is_protected;          /* from `bootstrap` */
	bool has_settings;          /* from create_channel */
	uint8_t slow_policy;        /* enum slow_policy */
	struct member_list members; /* oldest first */
	uint32_t member_count;
	uint32_t by_type[CLIENT_TYPES]; /* those on other nodes, too */
	struct remote_member_list remote_members; /* likewise oldest first */
	uint32_t remote_count;
	uint32_t settings_round;   /* in which its settings were told last */
	uint32_t presence_count;   /* members that want presence */
	uint32_t held_count;       /* members that are still catching up */
	uint32_t ahead_count;      /* members that are ahead of `last` */
	uint32_t absent_count;     /* members in their grace */
	struct presence *presence; /* or NULL */
	char *description;         /* or NULL */
	char *metadata;            /* a JSON object, or NULL */
	struct aqb_limits limits;  /* what it asks of the storage */
	struct aqb_position last;  /* delivered; seq 0: none yet */
	bool in_doubt;             /* something may be stored that nobody got */
	uint64_t message_count;
	uint64_t serial;
	int64_t created_at;
	int64_t last_activity;
	uint64_t used; /* the same, monotonic ms */
	/* Waiting for the storage, in order: first those that are out
	 * already, then, from `held_back`, those that are not. */
	TAILQ_HEAD(pending_list, publish) pending;
	struct publish *held_back;
	TAILQ_HEAD(group_list, group) groups; /* see group.h; oldest first */
	uint32_t group_count;
	struct timer idle;
	TAILQ_ENTRY(channel) room_link;
	TAILQ_ENTRY(channel) heard_link;
	TAILQ_ENTRY(channel) link;
	UT_hash_handle hh;
	uint32_t listeners[]; /* in the lane, on each of the bus's ports */
};

/* What a member was sent again, or will be, because it asked for that when it
 * joined: all of this epoch behind `after`, up to `to`. */
struct again {
	uint64_t after;
	uint64_t to;
	char epoch[AQB_EPOCH_SIZE];
};

struct catchup;
struct taker;

struct member {
	uint32_t magic;
	bool echo;
	bool presence;
	bool listens; /* in the channel's lane */
	struct client *client;
	struct channel *channel;
	struct catchup *catchup; /* not NULL: live messages wait in it */
	struct taker *taker;     /* not NULL: it is in a group, see group.h */
	struct again *again;     /* or NULL */
	uint64_t serial;
	uint64_t ahead; /* it has read all up to this seq, of which the others
			 * were not told; 0: it knows what they do */
	int64_t joined_at;
	TAILQ_ENTRY(member) client_link;
	TAILQ_ENTRY(member) channel_link;
};

struct room *room_find(struct bus *bus, const char *name);
struct channel *channel_find(struct bus *bus, const char *room,
    const char *channel);

/* A new one; NULL when there is no memory. */
struct channel *channel_new(struct bus *bus, const char *room,
    const char *channel);
/* Remove it: members leave, the storage forgets when `forget`. */
void channel_free(struct channel **chp, bool forget);

/* The channel, made if `auto_create` lets it; else the refusal. */
enum aqb_code channel_get_or_create(struct client *client, const char *room,
    const char *channel, struct channel **chp, struct aqb_why *why);

/* Members of it anywhere. */
static inline uint32_t
channel_members(const struct channel *ch)
{
	return ch->member_count + ch->remote_count;
}

/* Nothing is in it, or on its way to it. */
bool channel_is_unused(const struct channel *ch);

/* Somebody left, or something: begin to wait whether it is used again, if
 * nothing holds it. */
void channel_rest(struct channel *ch);

/* May this client make another channel now? */
enum aqb_code channel_may_create(struct client *client, struct aqb_why *why);

void channel_info(const struct channel *ch, struct aqb_channel_info *infop);

struct member *member_find(const struct client *client,
    const struct channel *ch);
/* A new member, not in the lane yet; NULL when there is no memory. */
struct member *member_new(struct client *client, struct channel *ch);
void member_free(struct member **memberp);

/* The client, and when it joined. */
void member_info(const struct member *member, struct aqb_client_info *infop);

/* Begin or stop hearing the channel's lane. */
void member_listen(struct member *member);
void member_unlisten(struct member *member);

/* Leave: told to presence, and to telemetry.  `lost`: its connection broke,
 * so that presence waits whether it comes back. */
void member_leave(struct member **memberp, bool lost);

/* Where a client means when it names only one of the two: fills in room by
 * the rules of arqonbus-protocol(7), "ADDRESSING". */
void channel_resolve(const struct client *client, struct address *address);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/card.h"
#include "bus/claim.h"
#include "bus/client.h"
#include "bus/group.h"
#include "bus/notice.h"
#include "bus/publish.h"
#include "bus/remote.h"
#include "bus/settings.h"
#include "host/metric.h"
#include "host/store.h"
#include "proto/address.h"
#include "proto/name.h"

static void
on_message(void *arg, const struct address *where, struct aqb_msg *msg,
    const struct aqb_position *pos, uint32_t flags)
{
	struct cluster *c;
	struct channel *ch;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	ch = cluster_channel(c, where->room, where->channel);
	if (ch == NULL) {
		return;
	}
	if ((flags & AQB_FOLLOW_LOST) != 0) {
		ch->in_doubt = true; /* the jump is a gap, whatever the epoch */
	}
	if ((flags & AQB_FOLLOW_REPEATED) != 0) {
		publish_passed_over(ch, pos);
	} else {
		publish_told(ch, msg, pos);
	}
}

/* The next message begins another epoch: nothing of the old one compares.  A
 * channel that came back with a late message of the old one goes again. */
static void
on_forgotten(void *arg, const struct address *where)
{
	struct cluster *c;
	struct channel *ch;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	ch = channel_find(c->bus, where->room, where->channel);
	if (ch == NULL) {
		return;
	}
	ch->last = (struct aqb_position){ .seq = 0 };
	if (channel_is_unused(ch)) {
		channel_free(&ch, false);
	}
}

static void
drop(const char *what, const char *node, const char *key)
{
	metric_add(METRIC_CLUSTER_DROPPED_TOTAL, 1);
	LOG(AQB_WARNING, "what another node says makes no sense",
	    F("what", what), F("node", node), F("key", key));
}

static bool
is_own(const struct cluster *c, const char *node)
{
	return strcmp(node, c->bus->conf.node) == 0;
}

static void
on_notice(void *arg, const char *node, struct aqb_slice notice)
{
	struct cluster *c;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	if (is_own(c, node)) {
		notice_came(c->bus, notice);
	} else if (!notice_read(c->bus, node, notice)) {
		drop("notice", node, "");
	}
}

static bool
is_client_id(const char *id)
{
	size_t len = strlen(id);

	return len < CLIENT_ID_SIZE && name_valid(id, len) &&
	    strncmp(id, CLIENT_ID_PREFIX, strlen(CLIENT_ID_PREFIX)) == 0;
}

/* A client of this broker's, as all hear it.  What is left of an earlier life
 * is taken away. */
static bool
own_client(struct cluster *c, const char *key, struct aqb_slice value)
{
	const char *id = key + 2;

	if (c->syncing && value.len > 0 &&
	    client_find(c->bus, id, strlen(id)) == NULL) {
		store_share(c->bus->store, key, (struct aqb_slice){ NULL, 0 },
		    0);
		return true;
	}
	return remote_own_record(c, id, value);
}

/* One of a node's own records. */
static bool
node_record(struct cluster *c, const char *node, const char *key,
    struct aqb_slice value)
{
	bool is_client = strncmp(key, "c:", 2) == 0;

	if (is_client && !is_client_id(key + 2)) {
		return false;
	}
	if (is_client) {
		return is_own(c, node) ? own_client(c, key, value)
				       : remote_record(c, node, key + 2, value);
	}
	/* That it is there, or what a later version says. */
	if (!is_own(c, node) && value.len > 0 && node_get(c, node) == NULL) {
		return false;
	}
	return strncmp(key, "gp:", 3) != 0 ||
	    group_done_record(c, node, key + 3, value);
}

static bool
common_record(struct cluster *c, const char *key, struct aqb_slice value)
{
	const struct aqb_slice nothing = { NULL, 0 };
	struct aqb_slice name = slice_of(key);
	struct address where;

	if (strncmp(key, "g:", 2) == 0) {
		return group_lead_record(c, key + 2, value);
	}
	if (strncmp(key, "ch:", 3) != 0) {
		return true;
	}
	name.data += 3;
	name.len -= 3;
	return address_read(name, nothing, AQB_CODE_INVALID_NAME, &where,
		   NULL) == AQB_CODE_OK &&
	    where.channel[0] != '\0' && settings_record(c, &where, value);
}

static void
on_record(void *arg, const char *node, const char *key, struct aqb_slice value)
{
	struct cluster *c;
	bool ok;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	ok = *node == '\0' ? common_record(c, key, value)
			   : node_record(c, node, key, value);
	if (!ok) {
		drop("record", node, key);
	}
}

static void
on_node_gone(void *arg, const char *node)
{
	struct cluster *c;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	claims_withdraw_all(c->claims, node);
	node_gone(c, node);
	group_node_gone(c, node);
}

static void
on_syncing(void *arg)
{
	struct cluster *c;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	c->syncing = true;
	c->round++;
}

static void
on_synced(void *arg)
{
	struct cluster *c;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	if (!c->syncing) {
		return;
	}
	c->syncing = false;
	c->knows_all = true;
	node_sweep(c);
	claims_sweep(c->claims, c->round);
	settings_sweep(c);
	group_sweep(c);
}

/* This node is here, whether it has clients or not. */
static void
share_node(struct cluster *c)
{
	char text[160];
	int len = snprintf(text, sizeof text,
	    "{\"version\":\"%.64s\",\"started_at\":%lld}", c->bus->conf.version,
	    (long long)c->bus->started);

	store_share(c->bus->store, "node",
	    (struct aqb_slice){ text, (size_t)len }, 0);
}

static void
on_share_again(void *arg)
{
	struct cluster *c;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	/* Who was called like one of ours meanwhile stays so. */
	claims_withdraw_all(c->claims, c->bus->conf.node);
	share_node(c);
	settings_share_all(c);
	card_share_all(c);
	group_share_all(c);
}

struct channel *
cluster_channel(struct cluster *c, const char *room, const char *name)
{
	struct bus *bus = c->bus;
	struct channel *ch = channel_find(bus, room, name);

	if (ch != NULL) {
		return ch;
	}
	/* Each node sees to its own clients' limit; all together they may be
	 * over it for a moment, and what somebody else writes there is none
	 * of ours. */
	if (bus->channel_count < 2 * (size_t)bus->conf.max_channels) {
		ch = channel_new(bus, room, name);
	}
	if (ch == NULL) {
		metric_add(METRIC_CLUSTER_DROPPED_TOTAL, 1);
		LOG(AQB_WARNING, "no room for a channel of another node",
		    F("room", room), F("channel", name));
	}
	return ch;
}

int64_t
cluster_take_over(struct client *client)
{
	return client->bus->cluster == NULL ? 0 : remote_take_over(client);
}

void
cluster_renamed(struct client *client, const char *old_id, int64_t above)
{
	if (client->bus->cluster != NULL) {
		card_renamed(client, old_id, above);
	}
}

void
cluster_free(struct cluster **clusterp)
{
	struct cluster *c;

	if (*clusterp == NULL) {
		return;
	}
	OBJ_TAKE(c, clusterp, CLUSTER_MAGIC);
	timer_stop(&c->flush);
	remote_forget_all(c);
	group_forget_leads(c);
	claims_free(&c->claims);
	c->magic = 0;
	free(c);
}

int
bus_follow(struct bus *bus, struct aqb_why *why)
{
	struct cluster *c = xnew(sizeof *c);
	const struct store_follower follower = {
		.node = bus->conf.node,
		.arg = c,
		.message = on_message,
		.forgotten = on_forgotten,
		.notice = on_notice,
		.record = on_record,
		.node_gone = on_node_gone,
		.syncing = on_syncing,
		.synced = on_synced,
		.share_again = on_share_again,
	};
	int err;

	c->magic = CLUSTER_MAGIC;
	c->bus = bus;
	c->claims = claims_new();
	card_init(c);
	bus->cluster = c;
	err = store_follow(bus->store, &follower, why);
	if (err != AQB_OK) {
		cluster_free(&bus->cluster);
		return err;
	}
	share_node(c);
	return AQB_OK;
}

uint64_t
bus_clients(const struct bus *bus)
{
	return bus->client_count;
}

uint64_t
bus_remote_clients(const struct bus *bus)
{
	return cluster_remotes(bus);
}

uint64_t
bus_nodes(const struct bus *bus)
{
	return bus->cluster == NULL ? 0 : node_count(bus->cluster);
}

bool
bus_knows_all(const struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	return bus->cluster == NULL || bus->cluster->knows_all;
}

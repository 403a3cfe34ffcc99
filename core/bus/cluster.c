/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/publish.h"
#include "host/metric.h"
#include "host/store.h"
#include "proto/msg.h"

static void
on_message(void *arg, const struct address *where, struct aqb_msg *msg,
    const struct aqb_position *pos, bool repeated)
{
	struct cluster *c;
	struct channel *ch;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	ch = cluster_channel(c, where->room, where->channel);
	if (ch == NULL) {
		return;
	}
	if (repeated) {
		publish_passed_over(ch, pos);
	} else {
		publish_told(ch, msg, pos);
	}
}

/* The next message begins another epoch: nothing of the old one compares. */
static void
on_forgotten(void *arg, const struct address *where)
{
	struct cluster *c;
	struct channel *ch;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	ch = channel_find(c->bus, where->room, where->channel);
	if (ch != NULL) {
		ch->last = (struct aqb_position){ .seq = 0 };
	}
}

static void
on_notice(void *arg, const char *node, struct aqb_slice notice)
{
	(void)arg;
	(void)node;
	(void)notice;
}

static void
on_record(void *arg, const char *node, const char *key, struct aqb_slice value)
{
	(void)arg;
	(void)node;
	(void)key;
	(void)value;
}

static void
on_node_gone(void *arg, const char *node)
{
	(void)arg;
	(void)node;
}

static void
on_syncing(void *arg)
{
	(void)arg;
}

static void
on_synced(void *arg)
{
	(void)arg;
}

static void
on_share_again(void *arg)
{
	(void)arg;
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

void
cluster_free(struct cluster **clusterp)
{
	struct cluster *c;

	if (*clusterp == NULL) {
		return;
	}
	OBJ_TAKE(c, clusterp, CLUSTER_MAGIC);
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
	bus->cluster = c;
	err = store_follow(bus->store, &follower, why);
	if (err != AQB_OK) {
		cluster_free(&bus->cluster);
	}
	return err;
}

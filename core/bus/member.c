/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/obj.h"
#include "bus/channel.h"
#include "bus/cluster.h"
#include "bus/group.h"
#include "bus/join.h"
#include "bus/presence.h"
#include "host/telemetry.h"
#include "loop/loop.h"

struct member *
member_find(const struct client *client, const struct channel *ch)
{
	struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		if (m->channel == ch) {
			return m;
		}
	}
	return NULL;
}

struct member *
member_new(struct client *client, struct channel *ch)
{
	struct member *m = try_new(sizeof *m);

	if (m == NULL) {
		return NULL;
	}
	m->magic = MEMBER_MAGIC;
	m->client = client;
	m->channel = ch;
	m->serial = ++client->bus->serial;
	m->joined_at = client->bus->wall;
	TAILQ_INSERT_HEAD(&client->members, m, client_link);
	TAILQ_INSERT_TAIL(&ch->members, m, channel_link);
	client->channel_count++;
	if (ch->member_count++ == 0) {
		TAILQ_INSERT_TAIL(&ch->room->heard, ch, heard_link);
	}
	ch->by_type[client->type]++;
	timer_stop(&ch->idle);
	cluster_touch(client);
	return m;
}

void
member_info(const struct member *m, struct aqb_client_info *infop)
{
	client_info(m->client, infop);
	infop->joined_at = m->joined_at;
}

void
member_free(struct member **memberp)
{
	struct member *m;
	struct channel *ch;

	OBJ_TAKE(m, memberp, MEMBER_MAGIC);
	ch = m->channel;
	group_leave(m);
	TAILQ_REMOVE(&m->client->members, m, client_link);
	TAILQ_REMOVE(&ch->members, m, channel_link);
	ch->ahead_count -= m->ahead > 0;
	m->client->channel_count--;
	if (--ch->member_count == 0) {
		TAILQ_REMOVE(&ch->room->heard, ch, heard_link);
	}
	ch->by_type[m->client->type]--;
	if (m->presence) {
		ch->presence_count--;
	}
	join_forget(m);
	free(m->again);
	cluster_touch(m->client);
	channel_rest(ch);
	m->magic = 0;
	free(m);
}

void
member_listen(struct member *m)
{
	struct port_conn *conn = m->client->conn;

	OBJ_CHECK(m, MEMBER_MAGIC);
	if (!m->listens) {
		m->listens = true;
		m->channel->listeners[conn->port->number]++;
		port_post(conn, PORT_JOIN)->lane = m->channel->lane;
	}
}

void
member_unlisten(struct member *m)
{
	struct port_conn *conn = m->client->conn;

	OBJ_CHECK(m, MEMBER_MAGIC);
	if (m->listens) {
		m->listens = false;
		m->channel->listeners[conn->port->number]--;
		port_post(conn, PORT_LEAVE)->lane = m->channel->lane;
	}
}

void
member_leave(struct member **memberp, bool lost)
{
	struct member *m = *memberp;

	OBJ_CHECK(m, MEMBER_MAGIC);
	telemetry_emit("client_left_channel", AQB_INFO,
	    &(struct telemetry_fields){ .client_id = m->client->id,
		.room = m->channel->room->name,
		.channel = m->channel->name });
	member_unlisten(m);
	presence_left(m->channel, m->client->id, m->presence, lost);
	member_free(memberp);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/remote.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/claim.h"
#include "bus/client.h"
#include "bus/group.h"
#include "bus/presence.h"
#include "bus/profile.h"
#include "bus/session.h"

struct remote *
remote_find(const struct bus *bus, const char *id, size_t len)
{
	struct remote *r = NULL;

	if (bus->cluster != NULL) {
		HASH_FIND(hh, bus->cluster->remotes, id, len, r);
	}
	return r;
}

struct remote *
remote_find_alias(const struct bus *bus, const char *alias, size_t len)
{
	const char *id = NULL;

	if (bus->cluster != NULL) {
		id = claims_holder(bus->cluster->claims, alias, len);
	}
	return id == NULL ? NULL : remote_find(bus, id, strlen(id));
}

struct remote *
remote_find_any(const struct bus *bus, const char *name, size_t len)
{
	struct remote *r = remote_find(bus, name, len);

	return r != NULL ? r : remote_find_alias(bus, name, len);
}

const char *
remote_alias(const struct remote *r)
{
	const struct claims *claims = r->node->cluster->claims;
	const char *alias = r->profile == NULL ? NULL : r->profile->alias;
	const char *holder;

	if (alias == NULL) {
		return NULL;
	}
	holder = claims_holder(claims, alias, strlen(alias));
	return holder != NULL && strcmp(holder, r->id) == 0 ? alias : NULL;
}

void
remote_info(const struct remote *r, struct aqb_client_info *infop)
{
	static const struct profile nothing;
	const struct profile *p = r->profile == NULL ? &nothing : r->profile;

	*infop = (struct aqb_client_info){
		.size = sizeof *infop,
		.client_id = r->id,
		.alias = remote_alias(r),
		.client_type = client_type_name(r->type),
		.screen_name = p->screen_name,
		.avatar = p->avatar,
		.personality = p->personality,
		.connected_at = r->connected_at,
		.last_activity = r->last_activity,
		.channels = r->channel_count,
		.admin = r->admin,
		.resumed = r->resumed,
		.node = r->node->name,
	};
}

void
remote_member_info(const struct remote_member *m, struct aqb_client_info *infop)
{
	remote_info(m->remote, infop);
	infop->joined_at = m->joined_at;
}

struct remote_member *
remote_member_find(const struct remote *r, const struct channel *ch)
{
	struct remote_member *m;

	TAILQ_FOREACH (m, &r->members, remote_link) {
		if (m->channel == ch) {
			return m;
		}
	}
	return NULL;
}

struct remote_member *
remote_member_new(struct remote *r, struct channel *ch, int64_t joined_at)
{
	struct remote_member *m = try_new(sizeof *m);
	struct aqb_client_info who;

	if (m == NULL) {
		return NULL;
	}
	m->remote = r;
	m->channel = ch;
	m->joined_at = joined_at;
	m->serial = ++ch->bus->serial;
	TAILQ_INSERT_TAIL(&r->members, m, remote_link);
	TAILQ_INSERT_TAIL(&ch->remote_members, m, channel_link);
	r->channel_count++;
	ch->remote_count++;
	ch->by_type[r->type]++;
	timer_stop(&ch->idle);
	remote_member_info(m, &who);
	presence_joined(ch, &who);
	return m;
}

static void
forget_member(struct remote_member *m)
{
	struct remote *r = m->remote;
	struct channel *ch = m->channel;

	group_far_leave(m);
	TAILQ_REMOVE(&r->members, m, remote_link);
	TAILQ_REMOVE(&ch->remote_members, m, channel_link);
	r->channel_count--;
	ch->remote_count--;
	ch->by_type[r->type]--;
	free(m);
}

void
remote_member_leave(struct remote_member *m, bool lost)
{
	struct channel *ch = m->channel;

	presence_left(ch, m->remote->id, false, lost);
	forget_member(m);
	channel_rest(ch);
}

void
remote_channel_gone(struct channel *ch)
{
	struct remote_member *m;

	while ((m = TAILQ_FIRST(&ch->remote_members)) != NULL) {
		forget_member(m);
	}
}

void
remote_retype(struct remote *r, enum client_type type)
{
	struct remote_member *m;

	TAILQ_FOREACH (m, &r->members, remote_link) {
		m->channel->by_type[r->type]--;
		m->channel->by_type[type]++;
	}
	r->type = type;
}

struct remote *
remote_new(struct node *node, const char *id)
{
	struct cluster *c = node->cluster;
	struct remote *r = try_new(sizeof *r);

	if (r == NULL) {
		return NULL;
	}
	r->magic = REMOTE_MAGIC;
	r->node = node;
	memcpy(r->id, id, strlen(id) + 1);
	TAILQ_INIT(&r->members);
	HASH_ADD(hh, c->remotes, id, strlen(id), r);
	if (!HASH_WAS_ADDED(r)) {
		free(r);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&node->remotes, r, link);
	c->remote_count++;
	return r;
}

void
remote_move(struct remote *r, struct node *to)
{
	if (r->node != to) {
		TAILQ_REMOVE(&r->node->remotes, r, link);
		TAILQ_INSERT_TAIL(&to->remotes, r, link);
		r->node = to;
	}
}

/* Its members have left by now. */
static void
remote_free(struct remote *r)
{
	struct cluster *c = r->node->cluster;

	OBJ_CHECK(r, REMOTE_MAGIC);
	HASH_DEL(c->remotes, r);
	TAILQ_REMOVE(&r->node->remotes, r, link);
	c->remote_count--;
	profile_free(&r->profile);
	r->magic = 0;
	free(r);
}

static void
leave_all(struct remote *r)
{
	struct remote_member *m;

	while ((m = TAILQ_FIRST(&r->members)) != NULL) {
		remote_member_leave(m, true);
	}
}

void
remote_lost(struct remote *r)
{
	struct session *session = r->node->cluster->bus->session;

	leave_all(r);
	session_keep(session, r->id, &r->profile, r->type);
	remote_free(r);
}

/* The claim stays: it is of the id, whatever node that is on. */
int64_t
remote_take_over(struct client *client)
{
	struct bus *bus = client->bus;
	struct remote *r = remote_find(bus, client->id, strlen(client->id));
	int64_t since;

	if (r == NULL) {
		return 0;
	}
	since = r->since;
	leave_all(r);
	session_keep(bus->session, r->id, &r->profile, r->type);
	remote_free(r);
	return since;
}

uint64_t
remote_count_room(const struct room *room, uint64_t mark)
{
	const struct channel *ch;
	const struct remote_member *m;
	uint64_t n = 0;

	TAILQ_FOREACH (ch, &room->channels, room_link) {
		TAILQ_FOREACH (m, &ch->remote_members, channel_link) {
			n += m->remote->mark != mark ? 1 : 0;
			m->remote->mark = mark;
		}
	}
	return n;
}

struct node *
node_get(struct cluster *c, const char *name)
{
	struct node *node;

	HASH_FIND(hh, c->nodes, name, strlen(name), node);
	if (node == NULL) {
		node = xnew(sizeof *node);
		node->magic = NODE_MAGIC;
		node->cluster = c;
		memcpy(node->name, name, strlen(name) + 1);
		TAILQ_INIT(&node->remotes);
		HASH_ADD(hh, c->nodes, name, strlen(name), node);
		if (!HASH_WAS_ADDED(node)) {
			free(node);
			return NULL;
		}
		LOG(AQB_INFO, "another node is on the bus", F("node", name));
	}
	node->round = c->round;
	return node;
}

static void
node_free(struct node *node)
{
	struct cluster *c = node->cluster;
	struct remote *r;

	OBJ_CHECK(node, NODE_MAGIC);
	node->is_gone = true;
	while ((r = TAILQ_FIRST(&node->remotes)) != NULL) {
		remote_lost(r);
	}
	LOG(AQB_INFO, "a node is gone", F("node", node->name));
	HASH_DEL(c->nodes, node);
	node->magic = 0;
	free(node);
}

void
node_gone(struct cluster *c, const char *name)
{
	struct node *node;

	HASH_FIND(hh, c->nodes, name, strlen(name), node);
	if (node != NULL) {
		node_free(node);
	}
}

size_t
node_count(const struct cluster *c)
{
	return HASH_COUNT(c->nodes);
}

void
node_sweep(struct cluster *c)
{
	struct remote *r, *next_r;
	struct node *node, *next;

	HASH_ITER(hh, c->remotes, r, next_r)
	{
		if (r->round != c->round) {
			remote_lost(r);
		}
	}
	HASH_ITER(hh, c->nodes, node, next)
	{
		if (node->round != c->round) {
			node_free(node);
		}
	}
}

void
remote_forget_all(struct cluster *c)
{
	struct node *node, *next;
	struct remote *r;
	struct remote_member *m;

	HASH_ITER(hh, c->nodes, node, next)
	{
		while ((r = TAILQ_FIRST(&node->remotes)) != NULL) {
			while ((m = TAILQ_FIRST(&r->members)) != NULL) {
				forget_member(m);
			}
			remote_free(r);
		}
		HASH_DEL(c->nodes, node);
		free(node);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What another node says of one of its clients: read, and compared with what
 * it said before. */

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/card.h"
#include "bus/claim.h"
#include "bus/group.h"
#include "bus/profile.h"
#include "bus/remote.h"
#include "proto/json.h"
#include "proto/name.h"

#define TEXT_MAX 1024

/* A record, its texts not decoded yet. */
struct said {
	struct json_value type, alias, screen_name, avatar, personality;
	struct json_value resumed, admin, channels;
	struct json_value since, connected_at;
};

static bool
read_time(const struct json_value *value, int64_t *timep)
{
	uint64_t n;

	if (!json_u64(value, &n) || n > (uint64_t)CLOCK_WALL_MAX) {
		return false;
	}
	*timep = (int64_t)n;
	return true;
}

/* One member of `channels`. */
struct membership {
	struct address where;
	int64_t joined_at;
	char group[AQB_NAME_MAX + 1]; /* "": of none */
	bool manual, echo;
	uint64_t mark;
	unsigned n; /* of its values that were read */
};

static bool
read_element(void *arg, const struct json_value *value)
{
	struct membership *m = arg;
	size_t len = 0;

	switch (m->n++) {
	case 0:
		return read_time(value, &m->joined_at);
	case 1:
		if (!json_decode(value, m->group, sizeof m->group - 1, &len)) {
			return false;
		}
		m->group[len] = '\0';
		return name_valid(m->group, len);
	case 2:
		m->manual = value->type == JSON_TRUE;
		return true;
	case 3:
		m->echo = value->type == JSON_TRUE;
		return true;
	case 4:
		return json_u64(value, &m->mark);
	default:
		return true; /* later versions may say more */
	}
}

/* "room:channel", and when it was joined; of who is in a group an array, see
 * group_put(). */
static bool
read_membership(const char *key, size_t len, const struct json_value *value,
    struct membership *m)
{
	struct aqb_slice room, channel;
	size_t at;

	*m = (struct membership){ .n = 0 };
	if (!address_split(key, len, &room, &channel) ||
	    !name_valid(room.data, room.len) ||
	    !name_valid(channel.data, channel.len)) {
		return false;
	}
	memcpy(m->where.room, room.data, room.len);
	m->where.room[room.len] = '\0';
	memcpy(m->where.channel, channel.data, channel.len);
	m->where.channel[channel.len] = '\0';
	if (value->type != JSON_ARRAY) {
		return read_time(value, &m->joined_at);
	}
	return json_elements(value->text, value->len, read_element, m, &at) ==
	    JSON_OK &&
	    m->n >= 2;
}

static bool
check_membership(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	struct membership m;

	(void)arg;
	(void)escaped;
	return read_membership(key, len, value, &m);
}

/* Absent is fine. */
static bool
read_text(const struct json_value *value, char text[TEXT_MAX + 1])
{
	size_t len = 0;

	if (value->len > 0 && !json_decode(value, text, TEXT_MAX, &len)) {
		return false;
	}
	text[len] = '\0';
	return true;
}

static bool
set_text(const struct json_value *value, char **place)
{
	char text[TEXT_MAX + 1];

	if (!read_text(value, text)) {
		return false;
	}
	if (*text != '\0') {
		*place = try_strndup(text, strlen(text));
		return *place != NULL;
	}
	return true;
}

static bool
read_alias(const struct said *s, struct profile *p)
{
	return set_text(&s->alias, &p->alias) &&
	    (p->alias == NULL || alias_valid(p->alias, strlen(p->alias)));
}

/* Everything in it but where it is and since when. */
struct description {
	enum client_type type;
	int64_t since, connected_at;
	struct profile *profile;
};

static bool
describe(const struct said *s, struct description *d)
{
	char type[TEXT_MAX + 1];

	d->profile = try_new(sizeof *d->profile);
	return d->profile != NULL && read_text(&s->type, type) &&
	    (*type == '\0' || client_type_parse(type, &d->type)) &&
	    read_time(&s->since, &d->since) &&
	    read_time(&s->connected_at, &d->connected_at) &&
	    read_alias(s, d->profile) &&
	    set_text(&s->screen_name, &d->profile->screen_name) &&
	    set_text(&s->avatar, &d->profile->avatar) &&
	    set_text(&s->personality, &d->profile->personality);
}

static bool
read_record(struct aqb_slice value, struct said *s, struct description *d)
{
	const struct json_place places[] = {
		{ "since", &s->since },
		{ "connected_at", &s->connected_at },
		{ "type", &s->type },
		{ "alias", &s->alias },
		{ "screen_name", &s->screen_name },
		{ "avatar", &s->avatar },
		{ "personality", &s->personality },
		{ "resumed", &s->resumed },
		{ "admin", &s->admin },
		{ "channels", &s->channels },
	};
	size_t at;

	memset(s, 0, sizeof *s);
	memset(d, 0, sizeof *d);
	if (json_take(value.data, value.len, places,
		sizeof places / sizeof places[0], &at) == JSON_OK &&
	    s->channels.type == JSON_OBJECT &&
	    json_members(s->channels.text, s->channels.len, check_membership,
		NULL, &at) == JSON_OK &&
	    describe(s, d)) {
		return true;
	}
	profile_free(&d->profile);
	return false;
}

/* While the memberships of one record are gone through.  Both are in the same
 * order but for what has changed: `next` is where to look first. */
struct walk {
	struct cluster *cluster;
	struct remote *remote;
	struct remote_member *next;
	uint32_t round;
	bool moved;
};

static struct remote_member *
find_from(const struct walk *w, const struct channel *ch)
{
	struct remote_member *m = w->next;

	while (m != NULL && m->channel != ch) {
		m = TAILQ_NEXT(m, remote_link);
	}
	return m != NULL ? m : remote_member_find(w->remote, ch);
}

/* What it had on the node that it left it has no more. */
static void
see_group(const struct walk *w, struct remote_member *m,
    const struct membership *said)
{
	if (w->moved || said->group[0] == '\0') {
		group_far_leave(m);
	}
	if (said->group[0] != '\0') {
		group_far_join(m, said->group, said->manual, said->echo,
		    said->mark);
	}
}

static bool
see_membership(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	struct walk *w = arg;
	struct remote_member *m = NULL;
	struct membership said;
	struct channel *ch;

	(void)escaped;
	read_membership(key, len, value, &said);
	ch = cluster_channel(w->cluster, said.where.room, said.where.channel);
	if (ch == NULL) {
		return true; /* said so */
	}
	m = find_from(w, ch);
	if (m == NULL) {
		m = remote_member_new(w->remote, ch, said.joined_at);
	}
	if (m != NULL) {
		see_group(w, m, &said);
		m->seen = w->round;
		w->next = TAILQ_NEXT(m, remote_link);
	}
	return true;
}

/* `moved`: what is missing is because it just came to another node. */
static void
compare_channels(struct cluster *c, struct remote *r,
    const struct json_value *channels, bool moved)
{
	struct walk w = {
		.cluster = c,
		.remote = r,
		.next = TAILQ_FIRST(&r->members),
		.round = ++c->walks,
		.moved = moved,
	};
	struct remote_member *m, *next;
	size_t at;

	json_members(channels->text, channels->len, see_membership, &w, &at);
	for (m = TAILQ_FIRST(&r->members); m != NULL; m = next) {
		next = TAILQ_NEXT(m, remote_link);
		if (m->seen != w.round) {
			remote_member_leave(m, moved);
		}
	}
}

static void
apply(struct node *node, struct remote *r, const struct said *s,
    struct description *d)
{
	struct cluster *c = node->cluster;
	bool moved = r->node != node;

	remote_move(r, node);
	r->by_itself = !moved;
	r->round = c->round;
	r->since = d->since;
	r->connected_at = d->connected_at;
	r->last_activity = c->bus->wall;
	r->resumed = s->resumed.type == JSON_TRUE;
	r->admin = s->admin.type == JSON_TRUE;
	profile_free(&r->profile);
	r->profile = d->profile;
	d->profile = NULL;
	remote_retype(r, d->type);
	compare_channels(c, r, &s->channels, moved);
	r->by_itself = false;
}

/* Does the node have it, as far as this broker knows? */
static bool
has_it(struct cluster *c, const char *node, const char *id, int64_t since)
{
	struct client *client = client_find(c->bus, id, strlen(id));
	struct remote *r = remote_find(c->bus, id, strlen(id));

	if (client != NULL) {
		if (!claim_is_newer(since, node, card_since(client),
			c->bus->conf.node)) {
			return false;
		}
		client_replace(client);
	}
	return r == NULL || strcmp(r->node->name, node) == 0 ||
	    claim_is_newer(since, node, r->since, r->node->name);
}

/* The claims of all nodes, this one's too, are taken in the order in which all
 * hear them; nothing else counts. */
static bool
claim(struct cluster *c, const char *node, const char *id,
    const struct description *d)
{
	return claims_say(c->claims,
	    &(struct claim_said){
		.id = id,
		.node = node,
		.since = d->since,
		.alias = d->profile->alias,
		.round = c->round,
	    });
}

static void
withdrawn(struct cluster *c, const char *node, const char *id)
{
	struct remote *r = remote_find(c->bus, id, strlen(id));

	claims_withdraw(c->claims, id, node);
	if (r != NULL && strcmp(r->node->name, node) == 0) {
		r->by_itself = true;
		remote_lost(r);
	}
}

bool
remote_record(struct cluster *c, const char *node_name, const char *id,
    struct aqb_slice value)
{
	struct node *node;
	struct description d;
	struct said s;
	struct remote *r;

	if (value.len == 0) {
		withdrawn(c, node_name, id);
		return true;
	}
	node = node_get(c, node_name);
	if (node == NULL || !read_record(value, &s, &d)) {
		return false;
	}
	claim(c, node_name, id, &d);
	if (has_it(c, node_name, id, d.since)) {
		r = remote_find(c->bus, id, strlen(id));
		if (r == NULL) {
			r = remote_new(node, id);
		}
		if (r != NULL) {
			apply(node, r, &s, &d);
		}
	}
	profile_free(&d.profile);
	return true;
}

bool
remote_own_record(struct cluster *c, const char *id, struct aqb_slice value)
{
	struct client *client = client_find(c->bus, id, strlen(id));
	const char *alias;
	struct description d;
	struct said s;

	if (value.len == 0) {
		claims_withdraw(c->claims, id, c->bus->conf.node);
		return true;
	}
	if (!read_record(value, &s, &d)) {
		return false;
	}
	alias = d.profile->alias;
	if (!claim(c, c->bus->conf.node, id, &d) && client != NULL &&
	    client_alias(client) != NULL &&
	    strcmp(client_alias(client), alias) == 0) {
		profile_lose_alias(client);
	}
	profile_free(&d.profile);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/why.h"
#include "bus/remote.h"

/* How many things one call looks at, shown or not. */
#define LOOKS_MAX 10000

/*
 * A cursor is "<serial>.<key>": the serial of the last thing looked at, which
 * only ever grows along a list, and a key that finds it again if it is still
 * there (a channel's lane, the end of a client's id).  If it is gone the list
 * is walked from its start to the first with a larger serial.
 */
static bool
cursor_read(const char *cursor, uint64_t *serialp, const char **keyp)
{
	char *end;

	if (*cursor < '0' || *cursor > '9') {
		return false; /* nor a sign or a blank, which strtoull takes */
	}
	*serialp = strtoull(cursor, &end, 10);
	*keyp = end + 1;
	return *end == '.';
}

static enum aqb_code
bad_cursor(struct aqb_why *why)
{
	return reject(why, AQB_CODE_INVALID_ARGUMENT, "cursor",
	    "cursor: not one that this list gave");
}

static enum aqb_code
type_filter(const char *name, enum client_type *typep, struct aqb_why *why)
{
	*typep = CLIENT_UNKNOWN;
	if (name != NULL && !client_type_parse(name, typep)) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, "client_type",
		    "client_type: none of human, ai-agent, dashboard, "
		    "service");
	}
	return AQB_CODE_OK;
}

static struct channel *
next_channel(struct channel *ch, const struct room *room)
{
	return room != NULL ? TAILQ_NEXT(ch, room_link) : TAILQ_NEXT(ch, link);
}

/* The first channel after the cursor. */
static struct channel *
channel_from(struct bus *bus, const struct room *room, uint64_t serial,
    const char *key)
{
	struct channel *ch;
	unsigned lane = 0;

	if (sscanf(key, "%u", &lane) == 1 && lane > 0 &&
	    lane <= bus->lane_top && bus->lane[lane] != NULL &&
	    bus->lane[lane]->serial == serial &&
	    (room == NULL || bus->lane[lane]->room == room)) {
		return next_channel(bus->lane[lane], room);
	}
	ch = room != NULL ? TAILQ_FIRST(&room->channels)
			  : TAILQ_FIRST(&bus->channels);
	while (ch != NULL && ch->serial <= serial) {
		ch = next_channel(ch, room);
	}
	return ch;
}

enum aqb_code
list_channels(struct bus *bus, const char *room_name, const char *client_type,
    const struct aqb_page *page, aqb_channel_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	struct room *room = NULL;
	enum client_type type;
	struct channel *ch, *last = NULL;
	uint64_t serial = 0;
	const char *key = "";
	uint32_t shown = 0, looked = 0;

	nextp[0] = '\0';
	if (room_name != NULL && (room = room_find(bus, room_name)) == NULL) {
		return reject(why, AQB_CODE_ROOM_NOT_FOUND, "room",
		    "room: there is no %s", room_name);
	}
	if (page->cursor != NULL && !cursor_read(page->cursor, &serial, &key)) {
		return bad_cursor(why);
	}
	if (type_filter(client_type, &type, why) != AQB_CODE_OK) {
		return AQB_CODE_INVALID_ARGUMENT;
	}
	for (ch = channel_from(bus, room, serial, key); ch != NULL;
	     ch = next_channel(ch, room)) {
		struct aqb_channel_info info;

		if (shown == page->limit || looked++ == LOOKS_MAX) {
			break;
		}
		if (type == CLIENT_UNKNOWN || ch->by_type[type] > 0) {
			channel_info(ch, &info);
			if (!visit(arg, &info)) {
				break;
			}
			shown++;
		}
		last = ch;
	}
	if (ch != NULL && last != NULL) {
		snprintf(nextp, AQB_CURSOR_SIZE, "%" PRIu64 ".%u", last->serial,
		    last->lane);
	}
	return AQB_CODE_OK;
}

static void
client_cursor(char next[AQB_CURSOR_SIZE], uint64_t serial,
    const struct client *client)
{
	snprintf(next, AQB_CURSOR_SIZE, "%" PRIu64 ".%s", serial,
	    client->id + strlen(CLIENT_ID_PREFIX));
}

static struct client *
client_of(struct bus *bus, const char *key)
{
	char id[CLIENT_ID_SIZE];

	snprintf(id, sizeof id, CLIENT_ID_PREFIX "%s", key);
	return client_find(bus, id, strlen(id));
}

/* The first member after the cursor. */
static struct member *
member_from(struct channel *ch, uint64_t serial, const char *key)
{
	struct client *client = client_of(ch->bus, key);
	struct member *m = client == NULL ? NULL : member_find(client, ch);

	if (m != NULL && m->serial == serial) {
		return TAILQ_NEXT(m, channel_link);
	}
	m = TAILQ_FIRST(&ch->members);
	while (m != NULL && m->serial <= serial) {
		m = TAILQ_NEXT(m, channel_link);
	}
	return m;
}

/* Those of other nodes come behind them; their cursors say so. */
#define REMOTE_KEY 'r'

static struct remote_member *
remote_from(struct channel *ch, uint64_t serial, const char *key)
{
	char id[CLIENT_ID_SIZE];
	struct remote_member *m = NULL;
	struct remote *r;

	if (*key != REMOTE_KEY) {
		return TAILQ_FIRST(&ch->remote_members);
	}
	snprintf(id, sizeof id, CLIENT_ID_PREFIX "%s", key + 1);
	r = remote_find(ch->bus, id, strlen(id));
	if (r != NULL) {
		m = remote_member_find(r, ch);
	}
	if (m != NULL && m->serial == serial) {
		return TAILQ_NEXT(m, channel_link);
	}
	m = TAILQ_FIRST(&ch->remote_members);
	while (m != NULL && m->serial <= serial) {
		m = TAILQ_NEXT(m, channel_link);
	}
	return m;
}

/* One list being shown. */
struct showing {
	uint32_t left;
	aqb_client_visit_f *visit;
	void *arg;
	char *next; /* the cursor behind what was shown last */
};

/* False: no more. */
static bool
show(struct showing *s, const struct aqb_client_info *info, uint64_t serial,
    const char *key)
{
	if (s->left == 0 || !s->visit(s->arg, info)) {
		return false;
	}
	s->left--;
	snprintf(s->next, AQB_CURSOR_SIZE, "%" PRIu64 ".%s%s", serial, key,
	    info->client_id + strlen(CLIENT_ID_PREFIX));
	return true;
}

enum aqb_code
list_members(struct channel *ch, const struct aqb_page *page,
    aqb_client_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
    struct aqb_why *why)
{
	static const char far[] = { REMOTE_KEY, '\0' };
	struct showing s = { page->limit, visit, arg, nextp };
	struct aqb_client_info info;
	struct remote_member *r;
	struct member *m = NULL;
	const char *key = "";
	uint64_t serial = 0;

	nextp[0] = '\0';
	if (page->cursor != NULL && !cursor_read(page->cursor, &serial, &key)) {
		return bad_cursor(why);
	}
	if (*key != REMOTE_KEY) {
		m = member_from(ch, serial, key);
	}
	for (; m != NULL; m = TAILQ_NEXT(m, channel_link)) {
		member_info(m, &info);
		if (!show(&s, &info, m->serial, "")) {
			return AQB_CODE_OK;
		}
	}
	for (r = remote_from(ch, serial, key); r != NULL;
	     r = TAILQ_NEXT(r, channel_link)) {
		remote_member_info(r, &info);
		if (!show(&s, &info, r->serial, far)) {
			return AQB_CODE_OK;
		}
	}
	nextp[0] = '\0';
	return AQB_CODE_OK;
}

/* The first client after the cursor. */
static struct client *
client_from(struct bus *bus, uint64_t serial, const char *key)
{
	struct client *client = client_of(bus, key);

	if (client != NULL && client->serial == serial) {
		return TAILQ_NEXT(client, link);
	}
	client = TAILQ_FIRST(&bus->clients);
	while (client != NULL && client->serial <= serial) {
		client = TAILQ_NEXT(client, link);
	}
	return client;
}

enum aqb_code
list_clients(struct bus *bus, const char *client_type,
    const struct aqb_page *page, aqb_client_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	struct client *client, *last = NULL;
	enum client_type type;
	const char *key = "";
	uint64_t serial = 0;
	uint32_t shown = 0, looked = 0;

	nextp[0] = '\0';
	if (page->cursor != NULL && !cursor_read(page->cursor, &serial, &key)) {
		return bad_cursor(why);
	}
	if (type_filter(client_type, &type, why) != AQB_CODE_OK) {
		return AQB_CODE_INVALID_ARGUMENT;
	}
	for (client = client_from(bus, serial, key); client != NULL;
	     client = TAILQ_NEXT(client, link)) {
		struct aqb_client_info info;

		if (shown == page->limit || looked++ == LOOKS_MAX) {
			break;
		}
		if (type == CLIENT_UNKNOWN || client->type == type) {
			client_info(client, &info);
			if (!visit(arg, &info)) {
				break;
			}
			shown++;
		}
		last = client;
	}
	if (client != NULL && last != NULL) {
		client_cursor(nextp, last->serial, last);
	}
	return AQB_CODE_OK;
}

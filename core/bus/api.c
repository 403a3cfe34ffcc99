/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The bus as plugins see it: the table of <arqonbus/bus.h>.  A plugin passes
 * its own host, which says nothing about which bus; a process has one.
 */

#include <stdio.h>
#include <string.h>

#include "base/obj.h"
#include "base/why.h"
#include "bus/bus_priv.h"
#include "bus/channel.h"
#include "bus/client.h"
#include "bus/group.h"
#include "bus/history.h"
#include "bus/join.h"
#include "bus/list.h"
#include "bus/notice.h"
#include "bus/remote.h"
#include "bus/router.h"
#include "bus/session.h"
#include "bus/settings.h"
#include "bus/stats.h"
#include "host/store.h"

static struct bus *the_bus;

static enum aqb_code
no_channel(const char *room, const char *name, struct aqb_why *why)
{
	return reject(why, AQB_CODE_CHANNEL_NOT_FOUND, "channel",
	    "channel: there is no %s:%s", room, name);
}

static enum aqb_code
no_client(const char *name, struct aqb_why *why)
{
	return reject(why, AQB_CODE_TARGET_NOT_FOUND, "client_id",
	    "client_id: nobody by the name %.64s is here", name);
}

static struct client *
find(const char *name)
{
	return client_find_any(the_bus, name, strlen(name));
}

/* Who made this call; NULL when it is gone. */
static struct client *
caller(aqb_ticket call)
{
	return the_bus->hooks.caller(the_bus->hooks.arg, call);
}

/* Fill a caller's struct as far as both know it; both begin with their size. */
static void
hand_out(void *outp, const void *mine, uint32_t size)
{
	uint32_t theirs;

	memcpy(&theirs, outp, sizeof theirs);
	if (theirs < size) {
		size = theirs;
	}
	memcpy(outp, mine, size);
	memcpy(outp, &size, sizeof size);
}

static void
api_stats(const struct aqb_host *host, struct aqb_stats *statsp)
{
	struct aqb_stats mine;

	(void)host;
	stats_fill(the_bus, &mine);
	hand_out(statsp, &mine, sizeof mine);
}

/* Can the storage keep what the channel asks it to keep? */
static enum aqb_code
check_durability(const struct aqb_channel_spec *spec, struct aqb_why *why)
{
	struct aqb_why reason = { 0 };
	const struct aqb_limits limits = {
		.size = sizeof limits,
		.durability = spec->durability,
	};

	if (spec->durability == AQB_DURABLE_EPHEMERAL &&
	    spec->history_size > 0) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, "history.size",
		    "history.size: %lld; an ephemeral channel keeps nothing",
		    (long long)spec->history_size);
	}
	if (store_accept(the_bus->store, &limits, &reason) != AQB_OK) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, "durability",
		    "%s", reason.text);
	}
	return AQB_CODE_OK;
}

static enum aqb_code
api_channel_create(const struct aqb_host *host, const char *client_id,
    const struct aqb_channel_spec *theirs, struct aqb_why *why)
{
	struct client *client = find(client_id);
	struct aqb_channel_spec mine = { .size = 0 };
	const struct aqb_channel_spec *spec = &mine;
	struct channel *ch;
	enum aqb_code code;

	(void)host;
	memcpy(&mine, theirs,
	    theirs->size < sizeof mine ? theirs->size : sizeof mine);
	if (channel_find(the_bus, spec->room, spec->channel) != NULL) {
		return reject(why, AQB_CODE_CHANNEL_EXISTS, "channel",
		    "channel: %s:%s is there already", spec->room,
		    spec->channel);
	}
	if (client == NULL) {
		return no_client(client_id, why);
	}
	code = check_durability(spec, why);
	if (code == AQB_CODE_OK && spec->slow_policy > AQB_SLOW_CONFLATE) {
		code = reject(why, AQB_CODE_INVALID_ARGUMENT, "slow_policy",
		    "slow_policy: there is no policy %u", spec->slow_policy);
	}
	if (code == AQB_CODE_OK) {
		code = channel_may_create(client, why);
	}
	if (code != AQB_CODE_OK) {
		return code;
	}
	ch = channel_new(the_bus, spec->room, spec->channel);
	if (ch == NULL || !settings_set(ch, spec)) {
		if (ch != NULL) {
			channel_free(&ch, false);
		}
		return reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
	}
	settings_share(ch);
	return AQB_CODE_OK;
}

static enum aqb_code
not_now(struct aqb_why *why)
{
	return reject(why, AQB_CODE_STORAGE_UNAVAILABLE, NULL,
	    "storage: the other nodes cannot be told now; nothing was done");
}

static enum aqb_code
api_channel_delete(const struct aqb_host *host, const char *client_id,
    const char *room, const char *name, bool force, struct aqb_why *why)
{
	struct channel *ch = channel_find(the_bus, room, name);
	struct client *client = find(client_id);
	uint32_t others;

	(void)host;
	if (ch == NULL) {
		return no_channel(room, name, why);
	}
	if (ch->is_protected) {
		return reject(why, AQB_CODE_CHANNEL_PROTECTED, "channel",
		    "channel: %s:%s is pre-configured and stays", room, name);
	}
	others = channel_members(ch);
	if (client != NULL && member_find(client, ch) != NULL) {
		others--;
	}
	if (others > 0 && !force) {
		return reject(why, AQB_CODE_CHANNEL_NOT_EMPTY, "channel",
		    "channel: %u others are in %s:%s; use force to delete it "
		    "all the same",
		    others, room, name);
	}
	if (notice_delete(ch, client_id) != AQB_OK) {
		return not_now(why);
	}
	if (ch->has_settings) {
		settings_withdraw(ch);
	}
	settings_delete(&ch, client_id, true);
	return AQB_CODE_OK;
}

static enum aqb_code
api_channel_get(const struct aqb_host *host, const char *room, const char *name,
    struct aqb_channel_info *infop, struct aqb_why *why)
{
	struct channel *ch = channel_find(the_bus, room, name);
	struct aqb_channel_info mine;

	(void)host;
	if (ch == NULL) {
		return no_channel(room, name, why);
	}
	channel_info(ch, &mine);
	hand_out(infop, &mine, sizeof mine);
	return AQB_CODE_OK;
}

static enum aqb_code
api_channels(const struct aqb_host *host, const char *room,
    const char *client_type, const struct aqb_page *page,
    aqb_channel_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
    struct aqb_why *why)
{
	(void)host;
	return list_channels(the_bus, room, client_type, page, visit, arg,
	    nextp, why);
}

static enum aqb_code
api_members(const struct aqb_host *host, const char *room, const char *name,
    const struct aqb_page *page, aqb_client_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	struct channel *ch = channel_find(the_bus, room, name);

	(void)host;
	if (ch == NULL) {
		return no_channel(room, name, why);
	}
	return list_members(ch, page, visit, arg, nextp, why);
}

static void
api_join(const struct aqb_host *host, aqb_ticket call,
    const struct aqb_join *join, aqb_joined_f *done, void *arg)
{
	struct client *client = caller(call);
	struct aqb_join mine = { .size = 0 };
	struct aqb_why why;

	(void)host;
	if (client == NULL) {
		reject(&why, AQB_CODE_TARGET_NOT_FOUND, NULL,
		    "the caller is gone");
		done(arg, call, AQB_CODE_TARGET_NOT_FOUND, NULL, &why);
		return;
	}
	memcpy(&mine, join,
	    join->size < sizeof mine ? join->size : sizeof mine);
	join_begin(client, call, &mine, done, arg);
}

static enum aqb_code
api_leave(const struct aqb_host *host, const char *client_id, const char *room,
    const char *name, struct aqb_why *why)
{
	struct client *client = find(client_id);
	struct channel *ch = channel_find(the_bus, room, name);
	struct member *m = NULL;

	(void)host;
	if (client == NULL) {
		return no_client(client_id, why);
	}
	if (ch != NULL) {
		m = member_find(client, ch);
	}
	if (m == NULL) {
		return reject(why, AQB_CODE_NOT_A_MEMBER, "channel",
		    "channel: not a member of %s:%s", room, name);
	}
	member_leave(&m, false);
	return AQB_CODE_OK;
}

static void
api_read(const struct aqb_host *host, aqb_ticket call, const char *room,
    const char *channel, const struct aqb_range *range, aqb_read_f *done,
    void *arg)
{
	struct client *client = caller(call);
	struct aqb_why why;

	(void)host;
	if (client == NULL) {
		reject(&why, AQB_CODE_TARGET_NOT_FOUND, NULL,
		    "the caller is gone");
		done(arg, call, AQB_CODE_TARGET_NOT_FOUND, NULL, &why);
		return;
	}
	history_read(client, call, room, channel, range, done, arg);
}

static enum aqb_code
api_client_get(const struct aqb_host *host, const char *name,
    struct aqb_client_info *infop, struct aqb_why *why)
{
	struct client *client = find(name);
	struct remote *remote = remote_find_any(the_bus, name, strlen(name));
	struct aqb_client_info mine;

	(void)host;
	if (client != NULL) {
		client_info(client, &mine);
	} else if (remote != NULL) {
		remote_info(remote, &mine);
	} else {
		return no_client(name, why);
	}
	hand_out(infop, &mine, sizeof mine);
	return AQB_CODE_OK;
}

static enum aqb_code
api_clients(const struct aqb_host *host, const char *client_type,
    const struct aqb_page *page, aqb_client_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	(void)host;
	return list_clients(the_bus, client_type, page, visit, arg, nextp, why);
}

static enum aqb_code
api_identify(const struct aqb_host *host, aqb_ticket call,
    const struct aqb_identity *identity, struct aqb_client_info *infop,
    struct aqb_why *why)
{
	static char token[SESSION_TOKEN_SIZE]; /* borrowed by *infop */
	struct client *client = caller(call);
	struct aqb_client_info mine;
	enum aqb_code code;

	(void)host;
	if (client == NULL) {
		return reject(why, AQB_CODE_TARGET_NOT_FOUND, NULL,
		    "the caller is gone");
	}
	code = client_identify(client, identity, why);
	if (code != AQB_CODE_OK) {
		return code;
	}
	client_tell_identity(client);
	client_info(client, &mine);
	session_token(the_bus->session, client->id, token);
	mine.session = token;
	hand_out(infop, &mine, sizeof mine);
	return AQB_CODE_OK;
}

static enum aqb_code
api_kick(const struct aqb_host *host, const char *name, const char *reason,
    struct aqb_why *why)
{
	struct client *client = find(name);
	struct remote *remote = remote_find_any(the_bus, name, strlen(name));

	(void)host;
	if (reason == NULL || *reason == '\0') {
		reason = "kicked";
	}
	if (client != NULL) {
		bus_close(client, 1008, "%s", reason);
	} else if (remote == NULL) {
		return no_client(name, why);
	} else if (notice_kick(the_bus, remote->id, reason) != AQB_OK) {
		return not_now(why);
	}
	return AQB_CODE_OK;
}

static enum aqb_code
api_broadcast(const struct aqb_host *host, const char *room,
    const char *channel, struct aqb_slice payload, uint64_t *deliveredp,
    struct aqb_why *why)
{
	(void)host;
	return router_broadcast(the_bus, room, channel, payload, deliveredp,
	    why);
}

static enum aqb_code
api_groups(const struct aqb_host *host, const char *room, const char *name,
    aqb_group_visit_f *visit, void *arg, struct aqb_why *why)
{
	struct channel *ch = channel_find(the_bus, room, name);

	(void)host;
	if (ch == NULL) {
		return no_channel(room, name, why);
	}
	group_show(ch, visit, arg);
	return AQB_CODE_OK;
}

static const struct aqb_bus table = {
	.size = sizeof table,
	.stats = api_stats,
	.channel_create = api_channel_create,
	.channel_delete = api_channel_delete,
	.channel_get = api_channel_get,
	.channels = api_channels,
	.members = api_members,
	.join = api_join,
	.leave = api_leave,
	.read = api_read,
	.client_get = api_client_get,
	.clients = api_clients,
	.identify = api_identify,
	.kick = api_kick,
	.broadcast = api_broadcast,
	.groups = api_groups,
};

const struct aqb_bus *
bus_api(struct bus *bus)
{
	OBJ_CHECK(bus, BUS_MAGIC);
	the_bus = bus;
	return &table;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/rand.h"
#include "base/why.h"
#include "bus/activity.h"
#include "bus/alias.h"
#include "bus/card.h"
#include "bus/channel.h"
#include "bus/cluster.h"
#include "bus/greet.h"
#include "bus/group.h"
#include "bus/join.h"
#include "bus/profile.h"
#include "bus/router.h"
#include "bus/session.h"
#include "bus/text.h"
#include "host/metric.h"
#include "host/telemetry.h"
#include "loop/loop.h"

#define VIOLATION_WINDOW 60000 /* ms */

struct client *
client_find(struct bus *bus, const char *id, size_t len)
{
	struct client *client;

	HASH_FIND(hh, bus->clients_by_id, id, len, client);
	return client;
}

struct client *
client_find_any(struct bus *bus, const char *name, size_t len)
{
	struct client *client = client_find(bus, name, len);

	return client != NULL ? client : alias_find(bus, name, len);
}

const char *
client_alias(const struct client *client)
{
	return client->profile == NULL ? NULL : client->profile->alias;
}

void
client_retype(struct client *client, enum client_type type)
{
	struct member *m;

	TAILQ_FOREACH (m, &client->members, client_link) {
		m->channel->by_type[client->type]--;
		m->channel->by_type[type]++;
	}
	client->type = type;
}

static bool
add_to_tables(struct client *client)
{
	struct bus *bus = client->bus;

	HASH_ADD(hh, bus->clients_by_id, id, strlen(client->id), client);
	if (!HASH_WAS_ADDED(client)) {
		return false;
	}
	TAILQ_INSERT_TAIL(&bus->clients, client, link);
	bus->client_count++;
	return true;
}

static void
init_allowance(struct client *client)
{
	const struct bus_conf *c = &client->bus->conf;
	uint64_t now = loop_now(client->bus->loop);
	struct allowance *a;

	if (c->messages.rate == 0 && c->bytes.rate == 0 &&
	    c->commands.rate == 0 && c->channels.rate == 0) {
		return;
	}
	a = xnew(sizeof *a);
	bucket_init(&a->messages, c->messages.burst, now);
	bucket_init(&a->bytes, c->bytes.burst, now);
	bucket_init(&a->commands, c->commands.burst, now);
	bucket_init(&a->channels, c->channels.burst, now);
	client->allowance = a;
}

static void
client_free(struct client **clientp)
{
	struct client *client;

	OBJ_TAKE(client, clientp, CLIENT_MAGIC);
	card_close(client);
	profile_free(&client->profile);
	free(client->allowance);
	client->magic = 0;
	free(client);
}

static struct client *
client_new(struct bus *bus, struct port_conn *conn, const char *address)
{
	size_t len = strlen(address);
	struct client *client = try_new(sizeof *client + len + 1);

	if (client == NULL) {
		return NULL;
	}
	client->magic = CLIENT_MAGIC;
	client->bus = bus;
	client->conn = conn;
	client->serial = ++bus->serial;
	client->connected_at = bus->wall;
	client->last_activity = bus->wall;
	TAILQ_INIT(&client->members);
	LIST_INIT(&client->publishes);
	memcpy(client->id, "arq_client_", 11);
	rand_hex(client->id + 11, 16);
	memcpy(client->address, address, len + 1);
	if (!add_to_tables(client)) {
		client_free(&client);
		return NULL;
	}
	init_allowance(client);
	return client;
}

void
client_open(struct bus *bus, struct port_conn *conn, struct port_hello *hello)
{
	struct client *client = client_new(bus, conn, hello->address);

	if (client == NULL) {
		port_post(conn, PORT_CLOSE)->code = 1011;
		port_hello_free(&hello);
		return;
	}
	conn->client = client;
	greet(client, hello);
	if (!client->dropped) {
		port_post(conn, PORT_JOIN)->lane = PORT_LANE_ALL;
	}
	cluster_touch(client);
	metric_add(METRIC_CLIENTS_TOTAL, 1);
	LOG(AQB_INFO, "client connected", F("client", client->id),
	    F("address", client->address), FN("resumed", client->resumed));
	telemetry_emit("client_connected", AQB_INFO,
	    &(struct telemetry_fields){ .client_id = client->id });
	if (client->profile != NULL || client->type != CLIENT_UNKNOWN ||
	    client->resumed || client->admin) {
		client_tell_identity(client);
	}
	port_hello_free(&hello);
}

/*
 * Take a client out of everything where others could find it.  What remains
 * is a struct that waits for its connection to be gone.
 */
static void
detach(struct client *client)
{
	struct bus *bus = client->bus;
	struct member *m;

	if (client->detached) {
		return;
	}
	client->detached = true;
	client->dropped = true;
	while ((m = TAILQ_FIRST(&client->members)) != NULL) {
		member_leave(&m, true);
	}
	router_client_gone(client);
	if (bus->hooks.client_gone != NULL) {
		bus->hooks.client_gone(bus->hooks.arg, client);
	}
	activity_forget(client);
	if (client_alias(client) != NULL) {
		alias_remove(bus, client_alias(client));
	}
	session_remember(bus->session, client);
	card_close(client);
	HASH_DEL(bus->clients_by_id, client);
	TAILQ_REMOVE(&bus->clients, client, link);
	TAILQ_INSERT_TAIL(&bus->leaving, client, link);
	bus->client_count--;
}

void
client_replace(struct client *client)
{
	bus_close(client, 4010, "replaced by a newer session");
	detach(client);
}

/* The last that telemetry hears of a client. */
static void
tell_end(const struct client *client, uint16_t code, const char *reason)
{
	struct buf b = { 0 };
	struct telemetry_fields about = { .client_id = client->id };

	buf_printf(&b, "{\"code\":%u,\"reason\":", code);
	buf_json_str(&b, reason);
	buf_putc(&b, '}');
	if (!b.failed) {
		about.metadata = buf_text(&b);
	}
	telemetry_emit("client_disconnected", AQB_INFO, &about);
	buf_fini(&b);
}

void
client_gone(struct client *client, uint16_t code, const char *reason)
{
	struct port_conn *conn = client->conn;

	OBJ_CHECK(client, CLIENT_MAGIC);
	LOG(AQB_INFO, "client disconnected", F("client", client->id),
	    F("address", client->address), FN("code", code),
	    F("reason", reason));
	tell_end(client, code, reason);
	detach(client);
	TAILQ_REMOVE(&client->bus->leaving, client, link);
	conn->client = NULL;
	port_post(conn, PORT_FORGET);
	client_free(&client);
}

/* Be the client of this id from now on: the one that had it, if it still
 * stands, is replaced. */
static enum aqb_code
become(struct client *client, const char *id, struct aqb_why *why)
{
	struct bus *bus = client->bus;
	struct client *old = client_find(bus, id, strlen(id));
	char old_id[CLIENT_ID_SIZE];
	int64_t above;

	if (old == client) {
		return AQB_CODE_OK;
	}
	if (old != NULL) {
		client_replace(old);
	}
	memcpy(old_id, client->id, sizeof old_id);
	HASH_DEL(bus->clients_by_id, client);
	memcpy(client->id, id, strlen(id) + 1);
	HASH_ADD(hh, bus->clients_by_id, id, strlen(id), client);
	if (!HASH_WAS_ADDED(client)) {
		/* It cannot be found, but it can be dropped. */
		TAILQ_REMOVE(&bus->clients, client, link);
		TAILQ_INSERT_TAIL(&bus->leaving, client, link);
		bus->client_count--;
		client->detached = true;
		bus_close(client, 1011, "out of memory");
		return reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
	}
	client->resumed = true;
	above = cluster_take_over(client);
	session_recall(bus->session, client);
	cluster_renamed(client, old_id, above);
	return AQB_CODE_OK;
}

static enum aqb_code
check_token(struct client *client, const char *token, struct aqb_why *why)
{
	const char *want = client->bus->conf.admin_token;
	size_t len = strlen(token);

	if (*want != '\0' && len == strlen(want) &&
	    CRYPTO_memcmp(token, want, len) == 0) {
		return AQB_CODE_OK;
	}
	telemetry_emit("auth_denied", AQB_WARNING,
	    &(struct telemetry_fields){ .client_id = client->id });
	LOG(AQB_WARNING, "token refused", F("client", client->id),
	    F("address", client->address));
	client_violation(client); /* nobody guesses for long */
	return reject(why, AQB_CODE_INVALID_ARGUMENT, "token",
	    "token: not the admin token, and this version knows no other");
}

enum aqb_code
client_identify(struct client *client, const struct aqb_identity *identity,
    struct aqb_why *why)
{
	char id[CLIENT_ID_SIZE];
	enum aqb_code code;

	if (identity->token != NULL &&
	    (code = check_token(client, identity->token, why)) != AQB_CODE_OK) {
		return code;
	}
	if (identity->session != NULL &&
	    session_check(client->bus->session, identity->session,
		strlen(identity->session), id)) {
		if (client->channel_count > 0 && strcmp(id, client->id) != 0) {
			return reject(why, AQB_CODE_INVALID_ARGUMENT, "session",
			    "session: must come before the first join");
		}
		code = become(client, id, why);
		if (code != AQB_CODE_OK) {
			return code;
		}
	}
	code = profile_set(client, identity, why);
	if (code != AQB_CODE_OK) {
		return code;
	}
	if (identity->token != NULL) {
		client->admin = true;
	}
	cluster_touch(client);
	if (identity->binary >= 0 && client->binary != identity->binary) {
		client->binary = identity->binary;
		port_post(client->conn,
		    client->binary ? PORT_BINARY : PORT_TEXT);
	}
	return AQB_CODE_OK;
}

bool
client_has_room(const struct client *client)
{
	uint64_t share = client->bus->conf.outbox_limit / 8;

	return !client->dropped && !(client->asked && client->posted > share);
}

void
client_posted(struct client *client, size_t bytes)
{
	client->posted += (uint32_t)bytes;
	if (client->posted > client->bus->conf.outbox_limit / 8) {
		client_ask(client);
	}
}

void
client_ask(struct client *client)
{
	if (!client->asked) {
		client->asked = true;
		client->posted = 0;
		port_post(client->conn, PORT_TELL);
	}
}

void
client_ready(struct client *client)
{
	client->asked = false;
	join_ready(client);
	group_ready(client);
	client_posted(client, 0);
}

void
client_tell_identity(const struct client *client)
{
	struct buf b = { 0 };

	buf_puts(&b, "{\"client_type\":");
	buf_json_str(&b, client_type_name(client->type));
	buf_puts(&b, ",\"alias\":");
	buf_json_str(&b, client_alias(client));
	buf_printf(&b, ",\"resumed\":%s,\"admin\":%s}",
	    client->resumed ? "true" : "false",
	    client->admin ? "true" : "false");
	telemetry_emit("client_identified", AQB_INFO,
	    &(struct telemetry_fields){
		.client_id = client->id,
		.metadata = b.failed ? NULL : buf_text(&b),
	    });
	buf_fini(&b);
}

void
client_info(const struct client *client, struct aqb_client_info *infop)
{
	const struct profile *p = client->profile;
	static const struct profile nothing;

	if (p == NULL) {
		p = &nothing;
	}
	*infop = (struct aqb_client_info){
		.size = sizeof *infop,
		.client_id = client->id,
		.alias = p->alias,
		.client_type = client_type_name(client->type),
		.screen_name = p->screen_name,
		.avatar = p->avatar,
		.personality = p->personality,
		.address = client->address,
		.connected_at = client->connected_at,
		.last_activity = client->last_activity,
		.channels = client->channel_count,
		.received = client->received,
		.admin = client->admin,
		.resumed = client->resumed,
		.binary = client->binary,
		.node = client->bus->cluster == NULL ? NULL
						     : client->bus->conf.node,
	};
}

void
client_record(const struct aqb_client_info *who, struct buf *b)
{
	const struct {
		const char *key;
		const char *text;
	} field[] = {
		{ "client_id", who->client_id },
		{ "alias", who->alias },
		{ "client_type", who->client_type },
		{ "screen_name", who->screen_name },
		{ "avatar", who->avatar },
		{ "personality", who->personality },
	};
	char when[CLOCK_TEXT_SIZE];

	for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
		buf_printf(b, "%c\"%s\":", i == 0 ? '{' : ',', field[i].key);
		buf_json_str(b, field[i].text);
	}
	clock_format(who->joined_at, when);
	buf_printf(b, ",\"joined_at\":\"%s\"", when);
	clock_format(who->last_activity, when);
	buf_printf(b, ",\"last_activity\":\"%s\"}", when);
}

/* `stored`: a JSON value that the payload says beside the error, or NULL. */
static void
answer_error(struct client *client, struct aqb_slice request_id,
    enum aqb_code code, const struct aqb_why *why, const char *stored)
{
	struct buf b = { 0 };
	char metadata[64];

	metric_add_code(METRIC_REJECTED_TOTAL, code);
	snprintf(metadata, sizeof metadata, "{\"code\":\"%s\"}",
	    code_name(code));
	telemetry_emit("message_rejected", AQB_WARNING,
	    &(struct telemetry_fields){
		.client_id = client->id,
		.metadata = metadata,
	    });
	text_begin(&b, client->bus, "error");
	text_request_id(&b, request_id);
	text_error(&b, code, why);
	if (stored != NULL) {
		b.len--; /* the brace: one field more */
		buf_printf(&b, ",\"stored\":%s}", stored);
	}
	buf_putc(&b, '}');
	bus_send_text(client, &b);
	buf_fini(&b);
}

void
client_error(struct client *client, struct aqb_slice request_id,
    enum aqb_code code, const struct aqb_why *why)
{
	answer_error(client, request_id, code, why, NULL);
}

void
client_storage_error(struct client *client, struct aqb_slice request_id,
    const char *stored, const char *message)
{
	const enum aqb_code code = AQB_CODE_STORAGE_UNAVAILABLE;
	struct aqb_why why;

	reject(&why, code, NULL, "%s", message);
	answer_error(client, request_id, code, &why, stored);
}

void
client_violation(struct client *client)
{
	uint64_t now = loop_now(client->bus->loop);
	uint32_t most = client->bus->conf.max_violations;

	if (most == 0) {
		return;
	}
	if (client->violations == 0 ||
	    now - client->violations_since >= VIOLATION_WINDOW) {
		client->violations = 0;
		client->violations_since = now;
	}
	if (++client->violations >= most) {
		bus_close(client, 4009, "%u violations in a minute, limit %u",
		    client->violations, most);
	}
}

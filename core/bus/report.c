/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/report.h"

#include <string.h>

#include "base/why.h"
#include "bus/publish.h"
#include "host/telemetry.h"
#include "proto/name.h"

/* What the broker itself says, or may one day.  Who watches relies on it: an
 * `auth_denied` or a `client_disconnected` must not be anybody's to write. */
static const char *const own_types[] = {
	"agent_activity",
	"auth_denied",
	"channel_created",
	"channel_deleted",
	"client_connected",
	"client_disconnected",
	"client_identified",
	"client_joined_channel",
	"client_left_channel",
	"command_executed",
	"command_failed",
	"config_reloaded",
	"gap",
	"group_message_dead",
	"group_messages_lost",
	"message_published",
	"message_rejected",
	"plugin_failed",
	"plugin_loaded",
	"rate_limited",
	"server_started",
	"server_stopping",
	"slow_consumer",
	"stats",
	"storage_degraded",
	"storage_recovered",
	"telemetry_connected",
};

static bool
is_own(const char *type)
{
	for (size_t i = 0; i < sizeof own_types / sizeof own_types[0]; i++) {
		if (strcmp(type, own_types[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool
find_type(void *arg, const char *key, size_t len, bool escaped,
    const struct json_value *value)
{
	if (json_key_is(key, len, escaped, "event_type") ||
	    json_key_is(key, len, escaped, "eventType")) {
		*(struct json_value *)arg = *value;
	}
	return true;
}

static enum aqb_code
read_type(const struct envelope *env, char type[AQB_NAME_MAX + 1],
    struct aqb_why *why)
{
	struct json_value value = { .len = 0 };
	size_t len, at;

	if (json_members(env->payload.data, env->payload.len, find_type, &value,
		&at) != JSON_OK ||
	    value.len == 0) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE,
		    "payload.event_type", "payload.event_type: is missing");
	}
	if (value.type != JSON_STRING ||
	    !json_decode(&value, type, AQB_NAME_MAX, &len) ||
	    !name_valid(type, len)) {
		return reject(why, AQB_CODE_INVALID_ENVELOPE,
		    "payload.event_type",
		    "payload.event_type: must be a name of 1 to %d of "
		    "A-Z a-z 0-9 _ . -",
		    AQB_NAME_MAX);
	}
	type[len] = '\0';
	if (is_own(type)) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT,
		    "payload.event_type",
		    "payload.event_type: %s is the broker's own; choose "
		    "another",
		    type);
	}
	return AQB_CODE_OK;
}

static void
ack(struct client *client, const struct envelope *env)
{
	const struct sighting none = { .stored = AQB_STORED_NONE };
	char made[BUS_ID_SIZE];
	struct aqb_slice id = env->id;

	if (id.len == 0) {
		bus_make_id(client->bus, made);
		id = slice_of(made);
	}
	publish_ack(client, env->id, id, &none);
}

enum aqb_code
report(struct client *client, const struct envelope *env, struct aqb_why *why)
{
	char type[AQB_NAME_MAX + 1];
	enum aqb_code code = read_type(env, type, why);

	if (code != AQB_CODE_OK) {
		return code;
	}
	telemetry_emit_from_client(type, client->id, env->payload);
	if (env->ack) {
		ack(client, env);
	}
	return AQB_CODE_OK;
}

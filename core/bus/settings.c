/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/settings.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/cluster.h"
#include "bus/router.h"
#include "bus/text.h"
#include "host/store.h"
#include "proto/json.h"
#include "proto/msg.h"

#define KEY_SIZE (3 + 2 * AQB_NAME_MAX + 2)

bool
settings_set(struct channel *ch, const struct aqb_channel_spec *spec)
{
	if (spec->description != NULL) {
		ch->description =
		    try_strndup(spec->description, strlen(spec->description));
		if (ch->description == NULL) {
			return false;
		}
	}
	if (spec->metadata.len > 0) {
		ch->metadata =
		    try_strndup(spec->metadata.data, spec->metadata.len);
		if (ch->metadata == NULL) {
			return false;
		}
	}
	if (spec->history_size >= 0) {
		ch->limits.history_size = (uint32_t)spec->history_size;
	}
	if (spec->history_ttl >= 0) {
		ch->limits.history_ttl = (uint64_t)spec->history_ttl;
	}
	if (spec->slow_policy != AQB_SLOW_DEFAULT) {
		ch->slow_policy =
		    (uint8_t)(spec->slow_policy - AQB_SLOW_DISCONNECT);
	}
	ch->limits.durability = spec->durability;
	if (spec->durability == AQB_DURABLE_EPHEMERAL) {
		ch->limits.history_size = 0;
	}
	ch->has_settings = true;
	timer_stop(&ch->idle);
	return true;
}

/* As if it never had any. */
static void
clear(struct channel *ch)
{
	const struct bus_conf *conf = &ch->bus->conf;

	free(ch->description);
	free(ch->metadata);
	ch->description = NULL;
	ch->metadata = NULL;
	ch->limits.history_size = conf->history_size;
	ch->limits.history_ttl = conf->history_ttl;
	ch->limits.durability = AQB_DURABLE_DEFAULT;
	ch->slow_policy = conf->slow_policy;
	ch->has_settings = false;
}

static void
make_key(const struct channel *ch, char key[KEY_SIZE])
{
	memcpy(key, "ch:", 3);
	memcpy(key + 3, ch->stream, strlen(ch->stream) + 1);
}

void
settings_share(const struct channel *ch)
{
	struct buf b = { 0 };
	char key[KEY_SIZE];

	if (ch->bus->cluster == NULL) {
		return;
	}
	make_key(ch, key);
	buf_printf(&b,
	    "{\"created_at\":%" PRId64 ",\"history_size\":%u,"
	    "\"history_ttl\":%" PRIu64 ",\"durability\":%u,"
	    "\"slow_policy\":%u,\"description\":",
	    ch->created_at, ch->limits.history_size, ch->limits.history_ttl,
	    ch->limits.durability, AQB_SLOW_DISCONNECT + ch->slow_policy);
	buf_json_str(&b, ch->description);
	buf_puts(&b, ",\"metadata\":");
	buf_puts(&b, ch->metadata == NULL ? "null" : ch->metadata);
	buf_putc(&b, '}');
	if (b.failed ||
	    store_share(ch->bus->store, key,
		(struct aqb_slice){ b.data, b.len },
		AQB_SHARE_COMMON) != AQB_OK) {
		LOG(AQB_ERROR, "the other nodes cannot be told of a channel",
		    F("channel", ch->stream));
	}
	buf_fini(&b);
}

void
settings_withdraw(const struct channel *ch)
{
	char key[KEY_SIZE];

	if (ch->bus->cluster != NULL) {
		make_key(ch, key);
		store_share(ch->bus->store, key, (struct aqb_slice){ NULL, 0 },
		    AQB_SHARE_COMMON);
	}
}

struct said {
	struct json_value created_at, history_size, history_ttl, durability,
	    slow_policy, description, metadata;
};

/* The description goes into `text`, which the caller frees. */
static bool
read_spec(struct aqb_slice value, struct aqb_channel_spec *spec,
    uint64_t *created_atp, char **textp)
{
	struct said s = { .metadata = { .len = 0 } };
	const struct json_place places[] = {
		{ "created_at", &s.created_at },
		{ "history_size", &s.history_size },
		{ "history_ttl", &s.history_ttl },
		{ "durability", &s.durability },
		{ "slow_policy", &s.slow_policy },
		{ "description", &s.description },
		{ "metadata", &s.metadata },
	};
	uint64_t size, ttl, durability, slow;
	size_t at, len;

	if (json_take(value.data, value.len, places,
		sizeof places / sizeof places[0], &at) != JSON_OK ||
	    !json_u64(&s.created_at, created_atp) || *created_atp > INT64_MAX ||
	    !json_u64(&s.history_size, &size) || size > UINT32_MAX ||
	    !json_u64(&s.history_ttl, &ttl) || ttl > INT64_MAX ||
	    !json_u64(&s.durability, &durability) ||
	    durability > AQB_DURABLE_REPLICATED ||
	    !json_u64(&s.slow_policy, &slow) || slow > AQB_SLOW_CONFLATE) {
		return false;
	}
	*spec = (struct aqb_channel_spec){
		.size = sizeof *spec,
		.history_size = (int64_t)size,
		.history_ttl = (int64_t)ttl,
		.durability = (uint32_t)durability,
		.slow_policy = (uint32_t)slow,
	};
	if (s.metadata.type == JSON_OBJECT) {
		spec->metadata =
		    (struct aqb_slice){ s.metadata.text, s.metadata.len };
	}
	if (s.description.type == JSON_STRING) {
		*textp = try_new(s.description.len);
		if (*textp == NULL ||
		    !json_decode(&s.description, *textp, s.description.len - 1,
			&len)) {
			return false;
		}
		spec->description = *textp;
	}
	return true;
}

/* The first who made it has set it; who did so at the same moment learns it
 * from this. */
static bool
apply(struct cluster *c, const struct address *where,
    const struct aqb_channel_spec *spec, uint64_t created_at)
{
	struct channel *ch = cluster_channel(c, where->room, where->channel);

	if (ch == NULL) {
		return true; /* said so */
	}
	clear(ch);
	ch->created_at = (int64_t)created_at;
	ch->settings_round = c->round;
	return settings_set(ch, spec);
}

static void
unset(struct channel *ch)
{
	if (ch->has_settings) {
		clear(ch);
		channel_rest(ch);
	}
}

bool
settings_record(struct cluster *c, const struct address *where,
    struct aqb_slice value)
{
	struct channel *ch = channel_find(c->bus, where->room, where->channel);
	struct aqb_channel_spec spec;
	uint64_t created_at;
	char *text = NULL;
	bool ok;

	if (value.len == 0) {
		if (ch != NULL) {
			unset(ch);
		}
		return true;
	}
	ok = read_spec(value, &spec, &created_at, &text) &&
	    apply(c, where, &spec, created_at);
	free(text);
	return ok;
}

void
settings_sweep(struct cluster *c)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &c->bus->channels, link) {
		if (ch->has_settings && ch->settings_round != c->round) {
			unset(ch);
		}
	}
}

void
settings_share_all(struct cluster *c)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &c->bus->channels, link) {
		if (ch->has_settings) {
			settings_share(ch);
		}
	}
}

static void
tell_deletion(struct channel *ch, const char *client_id)
{
	struct buf b = { 0 };
	struct aqb_msg *msg = NULL;

	text_begin(&b, ch->bus, "system");
	text_address(&b, ch);
	buf_puts(&b, ",\"payload\":{\"event\":\"channel_deleted\",\"room\":");
	buf_json_str(&b, ch->room->name);
	buf_puts(&b, ",\"channel\":");
	buf_json_str(&b, ch->name);
	buf_puts(&b, ",\"by\":");
	buf_json_str(&b, client_id);
	buf_puts(&b, "}}");
	if (!b.failed) {
		msg = msg_text(b.data, b.len);
	}
	if (msg != NULL) {
		router_deliver(ch, msg, NULL, 0);
	}
	msg_unref(&msg);
	buf_fini(&b);
}

void
settings_delete(struct channel **chp, const char *client_id, bool forget)
{
	tell_deletion(*chp, client_id);
	channel_free(chp, forget);
}

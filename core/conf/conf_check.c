/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_check.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/why.h"
#include "conf/conf.h"
#include "conf/conf_table.h"
#include "conf/option.h"

/* Where the value of an option came from, for a sentence. */
static const char *
origin_of(const struct conf *c, const char *section, const char *key)
{
	const struct conf_set *s = sets_find(&c->sets, section, key);

	return s == NULL ? "default" : s->origin;
}

static void
fill(uint64_t rate, uint64_t *burstp)
{
	if (*burstp == 0) {
		*burstp = rate;
	}
}

static void
fill32(uint32_t rate, uint32_t *burstp)
{
	if (*burstp == 0) {
		*burstp = rate;
	}
}

void
conf_fill_bursts(struct conf *c)
{
	struct conf_limits *l = &c->limits;

	fill32(l->messages_per_second, &l->messages_burst);
	fill(l->bytes_per_second, &l->bytes_burst);
	fill32(l->commands_per_second, &l->commands_burst);
	fill32(l->channels_per_second, &l->channels_burst);
	fill32(l->accepts_per_second, &l->accepts_burst);
}

/* A name of the protocol, arqonbus-protocol(7). */
static bool
is_name(const char *text, size_t len)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_.-";

	return len >= 1 && len <= AQB_NAME_MAX && text[0] != '.' &&
	    strspn(text, chars) >= len;
}

typedef bool item_f(const char *item, size_t len);

static bool
is_channel(const char *item, size_t len)
{
	const char *colon = memchr(item, ':', len);

	return colon != NULL && is_name(item, (size_t)(colon - item)) &&
	    is_name(colon + 1, len - (size_t)(colon + 1 - item));
}

static bool
is_address(const char *item, size_t len)
{
	char text[INET6_ADDRSTRLEN + 1];
	struct in6_addr addr;

	if (len >= sizeof text) {
		return false;
	}
	memcpy(text, item, len);
	text[len] = '\0';
	return inet_pton(AF_INET, text, &addr) == 1 ||
	    inet_pton(AF_INET6, text, &addr) == 1;
}

/* Check every item of a list with commas between; blanks around them do not
 * count. */
static int
check_list(const struct conf *c, const char *key, const char *list,
    item_f *is_good, const char *cure, struct aqb_why *why)
{
	while (*list != '\0') {
		size_t all = strcspn(list, ",");
		size_t skip = strspn(list, " \t");
		size_t len = all;

		while (len > skip &&
		    (list[len - 1] == ' ' || list[len - 1] == '\t')) {
			len--;
		}
		if (skip >= len || !is_good(list + skip, len - skip)) {
			return refuse(why, AQB_EINVAL,
			    "%s: %s: \"%.*s\" is wrong; write %s",
			    origin_of(c, "server", key), key,
			    (int)(all < 40 ? all : 40), list, cure);
		}
		list += all;
		if (*list == ',') {
			list++;
		}
	}
	return AQB_OK;
}

static int
check_host(const struct conf *c, const char *section, const char *host,
    struct aqb_why *why)
{
	if (host[0] != '\0') {
		return AQB_OK;
	}
	return refuse(why, AQB_EINVAL,
	    "%s: host: no address; write 127.0.0.1, or 0.0.0.0 for every address",
	    origin_of(c, section, "host"));
}

static int
check_names(const struct conf *c, struct aqb_why *why)
{
	const struct conf_server *s = &c->server;
	int err = check_host(c, "server", s->host, why);

	if (err == AQB_OK) {
		err = check_host(c, "telemetry", c->telemetry.host, why);
	}
	if (err == AQB_OK &&
	    !is_name(s->default_room, strlen(s->default_room))) {
		err = refuse(why, AQB_EINVAL,
		    "%s: default_room: \"%s\" is not a name; write letters, digits, _ . and -",
		    origin_of(c, "server", "default_room"), s->default_room);
	}
	if (err == AQB_OK) {
		err = check_list(c, "bootstrap", s->bootstrap, is_channel,
		    "room:channel,room:channel", why);
	}
	if (err == AQB_OK) {
		err = check_list(c, "metrics_allow", s->metrics_allow,
		    is_address, "numeric addresses with commas between", why);
	}
	return err;
}

/* The last value that was shown for one key. */
struct last {
	const char *key;
	const struct conf_set *set;
};

static int
keep_last(void *arg, const struct conf_set *set, struct aqb_why *why)
{
	struct last *last = arg;

	(void)why;
	if (strcmp(set->key, last->key) == 0) {
		last->set = set;
	}
	return AQB_OK;
}

/* What a plugin will be told for a key; NULL: the default. */
static const struct conf_set *
plugin_set(const struct conf *c, const char *plugin, const char *kind,
    const char *key)
{
	const struct aqb_option known[] = {
		{ .name = key, .type = AQB_OPT_STRING },
		AQB_OPTIONS_END,
	};
	struct last last = { .key = key };

	conf_plugin_values(c, plugin, kind, known, keep_last, &last, NULL);
	return last.set;
}

/* A storage that takes itself for one of several would not see that another
 * broker uses its streams, and the bus would know nothing of that one. */
static int
check_cluster(const struct conf *c, struct aqb_why *why)
{
	static const struct aqb_option options[] = {
		AQB_BOOL("cluster", struct conf_storage, cluster, "no", ""),
		AQB_OPTIONS_END,
	};
	const struct conf_set *set =
	    c->storage.backend != CONF_STORAGE_REDIS_STREAMS
	    ? NULL
	    : plugin_set(c, "storage-redis-streams", "storage", "cluster");
	struct conf_storage told = { .cluster = false };

	if (set == NULL || c->storage.cluster ||
	    option_set(options, set->key, set->value, set->origin, &told,
		why) != AQB_OK ||
	    !told.cluster) {
		return AQB_OK; /* what is no value is said where it is used */
	}
	return refuse(why, AQB_EINVAL,
	    "%s: cluster: yes for the storage alone; set cluster = yes in [storage] instead",
	    set->origin);
}

int
conf_check(const struct conf *c, struct aqb_why *why)
{
	const struct conf_server *s = &c->server;
	int err;

	/* A message grows on its way: its envelope, and base64 of bytes. */
	if (s->outbox_limit < 2 * s->max_message_size) {
		return refuse(why, AQB_EINVAL,
		    "%s: outbox_limit: below twice max_message_size, so that such a message might not be delivered; raise it",
		    origin_of(c, "server", "outbox_limit"));
	}
	if (c->telemetry.enabled && s->port != 0 &&
	    s->port == c->telemetry.port &&
	    strcmp(s->host, c->telemetry.host) == 0) {
		return refuse(why, AQB_EINVAL,
		    "%s: port: %u is the data port already; choose another",
		    origin_of(c, "telemetry", "port"), s->port);
	}
	err = check_cluster(c, why);
	return err != AQB_OK ? err : check_names(c, why);
}

static bool
is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(host, "localhost") == 0) {
		return true;
	}
	if (inet_pton(AF_INET, host, &v4) == 1) {
		return ntohl(v4.s_addr) >> 24 == 127;
	}
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int
check_telemetry(const struct conf *c, struct aqb_why *why)
{
	const char *plugin = "telemetry-websocket";
	const struct conf_set *host =
	    plugin_set(c, plugin, "telemetry", "host");
	const struct conf_set *token =
	    plugin_set(c, plugin, "telemetry", "token");

	if (!c->telemetry.enabled || host == NULL || is_loopback(host->value) ||
	    (token != NULL && token->value[0] != '\0')) {
		return AQB_OK;
	}
	return refuse(why, AQB_EPERM,
	    "%s: host: %.40s lets others watch the bus; set telemetry.token or stay on 127.0.0.1",
	    host->origin, host->value);
}

/* Plugins that decide who comes in are called auth-something. */
static bool
has_auth(const struct conf *c)
{
	const struct dropin *d;

	TAILQ_FOREACH (d, &c->dropins, link) {
		if (d->enabled && strncmp(d->plugin, "auth-", 5) == 0) {
			return true;
		}
	}
	return false;
}

int
conf_check_exposure(struct conf *c, struct aqb_why *why)
{
	const struct conf_set *s;

	if (!is_loopback(c->server.host) && !has_auth(c)) {
		conf_warn(c,
		    "%s: host: %.60s without authentication; everybody who reaches port %u may read and write all channels",
		    origin_of(c, "server", "host"), c->server.host,
		    c->server.port);
	}
	TAILQ_FOREACH (s, &c->sets, link) {
		const struct conf_row *row = conf_row_find(s->name, s->key);

		if (s->layer == CONF_FLAG && row != NULL &&
		    row->option.type == AQB_OPT_SECRET) {
			conf_warn(c,
			    "%s: everybody on this machine can see a secret among the flags; use the file or the environment",
			    s->origin);
		}
	}
	return check_telemetry(c, why);
}

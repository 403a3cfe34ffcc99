/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_table.h"

#include <string.h>

#include "base/why.h"
#include "conf/conf.h"
#include "conf/conf_path.h"
#include "conf/nearest.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECOND UINT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define MANY 10000000u

#define U32(s, name, lo, hi, dflt, text) \
	.section = #s,                   \
	.option = AQB_U32(#name, struct conf, s.name, lo, hi, dflt, text)
#define BOOL(s, name, dflt, text) \
	.section = #s,            \
	.option = AQB_BOOL(#name, struct conf, s.name, dflt, text)
#define BYTES(s, name, lo, hi, dflt, text) \
	.section = #s,                     \
	.option = AQB_SIZE(#name, struct conf, s.name, lo, hi, dflt, text)
#define TIME(s, name, lo, hi, dflt, text) \
	.section = #s,                    \
	.option = AQB_DURATION(#name, struct conf, s.name, lo, hi, dflt, text)
#define STRING(s, name, most, dflt, text) \
	.section = #s,                    \
	.option = AQB_STRING(#name, struct conf, s.name, most, dflt, text)
#define SECRET(s, name, most, text) \
	.section = #s,              \
	.option = AQB_SECRET(#name, struct conf, s.name, most, text)
#define ENUM(s, name, words, dflt, text) \
	.section = #s,                   \
	.option = AQB_ENUM(#name, struct conf, s.name, words, dflt, text)

#define BOOTSTRAP                                              \
	"science:general,science:explore,science:hypothesize," \
	"science:design,science:execute,science:interpret,"    \
	"science:share,general:general"

/* clang-format off */
const struct conf_row conf_table[] = {
	/* server: the data port and the bus behind it. */
	{ STRING(server, host, 255, "127.0.0.1",
	    "The address that clients connect to. 0.0.0.0 and :: are every "
	    "address of the machine."),
	  .flag = "host" },
	{ U32(server, port, 0, 65535, "9100",
	    "The port that clients connect to. 0 takes a free one, which the "
	    "log line \"listening\" names."),
	  .flag = "port" },
	{ U32(server, io_threads, 0, 64, "0",
	    "How many threads serve connections. The main thread routes; with "
	    "0 it does both, which costs the least for each message. Threads "
	    "pay off once one core is not enough."),
	  .flag = "io-threads" },
	{ U32(server, max_connections, 1, MANY, "10000",
	    "How many connections may stand at once. The limit of open files "
	    "is raised to fit, as far as the system allows.") },
	{ U32(server, max_half_open, 1, 1000000, "1024",
	    "How many connections may be in their handshake at once.") },
	{ BYTES(server, max_message_size, KIB, MIB, "64KiB",
	    "The longest message that a client may send.") },
	{ BOOL(server, binary, "yes",
	    "Whether clients may send binary messages. With no, one closes "
	    "its connection with 1003.") },
	{ BOOL(server, deflate, "no",
	    "Whether messages are compressed for clients that offer "
	    "permessage-deflate. It saves bytes and costs CPU, once for a "
	    "message and not for each receiver.") },
	{ U32(server, deflate_level, 1, 9, "1",
	    "How hard to compress, from fastest to smallest.") },
	{ BYTES(server, deflate_min_size, 0, MIB, "256",
	    "Shorter messages are not compressed.") },
	{ TIME(server, ping_interval, 0, DAY, "25s",
	    "How long a client may be silent before it is pinged. 0 never "
	    "pings.") },
	{ TIME(server, ping_timeout, 1, HOUR, "8s",
	    "How long a pinged client has to show a sign of life before it is "
	    "closed.") },
	{ TIME(server, handshake_timeout, 1, HOUR, "5s",
	    "How long the handshake may take in all.") },
	{ TIME(server, message_timeout, 1, HOUR, "10s",
	    "How long a message that has begun may remain unfinished.") },
	{ TIME(server, write_timeout, 1, HOUR, "10s",
	    "How long a client may take no byte of what waits for it before "
	    "it counts as slow.") },
	{ TIME(server, close_timeout, 1, HOUR, "1s",
	    "How long a client has to answer a close.") },
	{ TIME(server, drain_time, 0, HOUR, "30s",
	    "How long a stop may take to send its clients away.") },
	{ U32(server, drain_rate, 1, MANY, "500",
	    "How many clients it sends away a second, so that they do not "
	    "all come back at once; more, where drain_time is too short for "
	    "that.") },
	{ TIME(server, drain_wait, 0, HOUR, "5s",
	    "How long a stop then waits for messages that are being stored, "
	    "commands that are under way, and acks of group members.") },
	{ TIME(server, command_timeout, 1, HOUR, "10s",
	    "How long a command may take before its caller is told TIMEOUT.") },
	{ BYTES(server, outbox_limit, 16 * KIB, GIB, "1MiB",
	    "How much may wait for one client before it counts as slow. At "
	    "least twice max_message_size.") },
	{ ENUM(server, slow_policy, "disconnect|drop_oldest|conflate",
	    "disconnect",
	    "What happens to the messages of a channel that was given no "
	    "other policy when a client is slow. disconnect closes it, "
	    "drop_oldest drops the oldest messages that wait for it, and "
	    "conflate all but the newest.") },
	{ BYTES(server, memory_limit, MIB, 1024 * GIB, "1GiB",
	    "How much all waiting messages and the history may take together. "
	    "From 85 % on publishers have to wait, from 90 % on publishes and "
	    "connections are refused, and from 100 % on the slowest clients "
	    "are closed; below 80 % all is as before.") },
	{ TIME(server, lag_limit, 0, HOUR, "100ms",
	    "How long one turn of work may take. When turns take longer for a "
	    "second, connections are refused; when they go on so, the busiest "
	    "publishers have to wait. 0 never minds.") },
	{ STRING(server, default_room, 64, "general",
	    "The room of a channel that is named without one.") },
	{ STRING(server, bootstrap, 65535, BOOTSTRAP,
	    "The channels that always exist and cannot be deleted, as "
	    "room:channel with commas between.") },
	{ BOOL(server, auto_create, "yes",
	    "Whether a publish or a join makes a channel that does not "
	    "exist.") },
	{ BOOL(server, require_membership, "no",
	    "Whether only members of a channel may publish to it.") },
	{ U32(server, max_channels, 1, MANY, "100000",
	    "How many channels may exist.") },
	{ U32(server, max_channels_per_client, 1, 1000000, "1024",
	    "How many channels one client may be in. In a cluster at most "
	    "4000.") },
	{ TIME(server, channel_idle, 1, 365 * DAY, "60s",
	    "How long a channel nobody uses stays before it is collected.") },
	{ TIME(server, dedupe_window, 0, DAY, "120s",
	    "How long the id of a message is remembered, so that a repeat is "
	    "not delivered again. 0 remembers none.") },
	{ U32(server, dedupe_size, 0, MANY, "100000",
	    "How many ids are remembered at most.") },
	{ TIME(server, presence_grace, 0, HOUR, "10s",
	    "How long a client whose connection broke still counts as "
	    "present.") },
	{ TIME(server, presence_interval, 1, HOUR, "100ms",
	    "How often the presence of one channel is told at most.") },
	{ TIME(server, group_ack_wait, 1, DAY, "30s",
	    "How long a member of a group that acks may take for one message "
	    "before it is given to another.") },
	{ U32(server, group_max_deliveries, 1, 1000000, "5",
	    "How often a message is given out that nobody acks before it goes "
	    "to the channel of the dead.") },
	{ U32(server, group_max_pending, 1, 1000000, "1000",
	    "How many messages one member of a group may have that it has not "
	    "acked.") },
	{ U32(server, group_backlog, 0, MANY, "10000",
	    "How many messages wait in memory while nobody in their group has "
	    "room. What is older is read from the history again.") },
	{ TIME(server, group_linger, 0, DAY, "60s",
	    "How long a group stays, with what waits in it, after its last "
	    "member went.") },
	{ STRING(server, metrics_allow, 4096, "",
	    "The addresses, with commas between, that may read /metrics on "
	    "the data port besides this machine.") },
	{ STRING(server, node, 64, "",
	    "The name of this broker among others, which no other may have. "
	    "Empty takes the name of the machine; in a cluster with the "
	    "process number and four random digits behind it.") },

	/* storage: the history. */
	{ ENUM(storage, backend, "memory|redis-streams", "memory",
	    "Where messages are kept. It says which of the plugins "
	    "storage-memory and storage-redis-streams runs."),
	  .flag = "storage", .own = true },
	{ ENUM(storage, mode, "degraded|strict", "degraded",
	    "What happens while the backend is away. degraded delivers "
	    "messages before they are stored, strict never does.") },
	{ BOOL(storage, cluster, "no",
	    "Whether all brokers on this storage are one bus. It needs a "
	    "backend that several brokers can share, and never delivers what "
	    "is not stored.") },
	{ U32(storage, history_size, 0, 1000000, "500",
	    "How many messages of a channel are kept. 0 keeps none.") },
	{ TIME(storage, history_ttl, 0, 3650 * DAY, "0",
	    "How long a message is kept. 0 is for ever.") },
	{ BYTES(storage, memory_limit, MIB, 1024 * GIB, "256MiB",
	    "How much memory the history may take. Over it the oldest "
	    "messages of all channels go first.") },
	{ TIME(storage, probe_interval, 100, HOUR, "2s",
	    "How often a backend that can be away is asked to write something "
	    "and read it back. What comes of it is in /health."),
	  .own = true },
	{ TIME(storage, probe_timeout, 100, HOUR, "2s",
	    "How long that may take before the storage counts as degraded."),
	  .own = true },

	/* telemetry: the port to watch the bus from. */
	{ BOOL(telemetry, enabled, "yes",
	    "Whether there is a telemetry port at all."), .own = true },
	{ STRING(telemetry, host, 255, "127.0.0.1",
	    "The address of the telemetry port. Any but a loopback address "
	    "needs a token.") },
	{ U32(telemetry, port, 0, 65535, "9101",
	    "The telemetry port. 0 takes a free one."),
	  .flag = "telemetry-port" },
	{ SECRET(telemetry, token, 1024,
	    "What a viewer must show as bearer token. Empty asks for none.") },
	{ U32(telemetry, sample, 1, 1000000, "100",
	    "One message_published event is told in so many messages. 1 tells "
	    "every message.") },
	{ U32(telemetry, buffer, 0, MANY, "10000",
	    "How many events are kept for viewers that come back.") },
	{ BYTES(telemetry, viewer_buffer, 16 * KIB, GIB, "1MiB",
	    "How much may wait for one viewer before it misses events.") },
	{ TIME(telemetry, stats_interval, 1, HOUR, "1s",
	    "How often a stats event is told.") },
	{ TIME(telemetry, idle_after, 1, DAY, "30s",
	    "How long an agent must be silent to count as idle.") },

	/* log */
	{ ENUM(log, level, "debug|info|warning|error", "info",
	    "The least important lines that are written."),
	  .flag = "log-level" },
	{ ENUM(log, format, "logfmt|json", "logfmt",
	    "How a line is written.") },
	{ STRING(log, file, 4096, "",
	    "The file that lines are added to. Empty is standard error.") },

	/* limits: what one client may do.  All off. */
	{ U32(limits, messages_per_second, 0, MANY, "0",
	    "How many messages a client may send each second.") },
	{ U32(limits, messages_burst, 0, MANY, "0",
	    "How many messages it may send at once after a silence.") },
	{ BYTES(limits, bytes_per_second, 0, 1024 * GIB, "0",
	    "How many bytes a client may send each second.") },
	{ BYTES(limits, bytes_burst, 0, 1024 * GIB, "0",
	    "How many bytes it may send at once after a silence.") },
	{ U32(limits, commands_per_second, 0, MANY, "0",
	    "How many commands a client may give each second.") },
	{ U32(limits, commands_burst, 0, MANY, "0",
	    "How many commands it may give at once after a silence.") },
	{ U32(limits, channels_per_second, 0, MANY, "0",
	    "How many channels a client may create each second.") },
	{ U32(limits, channels_burst, 0, MANY, "0",
	    "How many channels it may create at once after a silence.") },
	{ U32(limits, connections_per_address, 0, MANY, "0",
	    "How many connections one address may have.") },
	{ U32(limits, accepts_per_second, 0, MANY, "0",
	    "How many new connections are accepted each second from all "
	    "addresses together.") },
	{ U32(limits, accepts_burst, 0, MANY, "0",
	    "How many new connections are accepted at once after a "
	    "silence.") },
	{ U32(limits, max_violations, 0, MANY, "10",
	    "How many refused messages in a minute close a connection.") },

	/* auth */
	{ SECRET(auth, admin_token, 1024,
	    "Who shows it may give admin commands. Empty: nobody may.") },

	/* plugins */
	{ STRING(plugins, dir, 4096, DEFAULT_PLUGINS_DIR,
	    "The folder with one file for each plugin."),
	  .flag = "plugins-dir", .shown = "SYSCONFDIR/arqonbus/plugins.d" },
	{ STRING(plugins, path, 16384, DEFAULT_PLUGIN_PATH,
	    "The folders of plugins, with colons between."),
	  .flag = "plugin-path", .shown = "LIBDIR/arqonbus:/usr/lib/arqonbus" },
	{ .section = NULL },
};
/* clang-format on */

static const struct {
	const char *name;
	const char *help;
} sections[] = {
	{ "server", "The data port and the bus behind it." },
	{ "storage",
	    "The history of channels. All keys but backend are handed to the storage plugin, which may have more in its own file." },
	{ "telemetry",
	    "The port to watch the bus from. All keys but enabled are handed to the telemetry plugins that know them." },
	{ "log", "The broker's own log." },
	{ "limits",
	    "What clients may do. 0 is no limit; a burst of 0 is as much as the rate. limits-public.conf holds values for a broker that everybody can reach." },
	{ "auth", "Who may do what." },
	{ "plugins", "Where plugins are found." },
};

#define NSECTIONS (sizeof sections / sizeof sections[0])

const char *
conf_section_help(const char *section)
{
	for (size_t i = 0; i < NSECTIONS; i++) {
		if (strcmp(sections[i].name, section) == 0) {
			return sections[i].help;
		}
	}
	return NULL;
}

int
conf_section_check(const char *section, const char *origin, struct aqb_why *why)
{
	struct nearest near = { .want = section };
	char hint[NEAREST_SIZE];

	if (conf_section_help(section) != NULL) {
		return AQB_OK;
	}
	for (size_t i = 0; i < NSECTIONS; i++) {
		nearest_offer(&near, sections[i].name);
	}
	return refuse(why, AQB_EINVAL, "%s: [%.60s]: unknown section%s", origin,
	    section, nearest_text(&near, hint));
}

const struct conf_row *
conf_row_find(const char *section, const char *key)
{
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		if (strcmp(r->section, section) == 0 &&
		    strcmp(r->option.name, key) == 0) {
			return r;
		}
	}
	return NULL;
}

int
conf_row_get(const char *section, const char *key, const char *origin,
    const struct conf_row **rowp, struct aqb_why *why)
{
	struct nearest near = { .want = key };
	char hint[NEAREST_SIZE];
	int err = conf_section_check(section, origin, why);

	if (err != AQB_OK) {
		return err;
	}
	*rowp = conf_row_find(section, key);
	if (*rowp != NULL) {
		return AQB_OK;
	}
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		if (strcmp(r->section, section) == 0) {
			nearest_offer(&near, r->option.name);
		}
	}
	return refuse(why, AQB_EINVAL, "%s: %.60s: unknown option of [%s]%s",
	    origin, key, section, nearest_text(&near, hint));
}

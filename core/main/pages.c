/* SPDX-License-Identifier: Apache-2.0 */
#include "main/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hist.h"
#include "bus/bus.h"
#include "bus/port.h"
#include "conf/conf.h"
#include "host/health.h"
#include "host/metric.h"
#include "host/plugins.h"
#include "host/store.h"
#include "main/version.h"
#include "net/crew.h"
#include "proto/msg.h"

#define ADDRESS_SEPARATORS " ,"

void
pages_version(char *text, size_t size)
{
	snprintf(text, size,
	    "{\"name\":\"ArqonBus\",\"version\":\"%s\",\"protocol\":\"1.0\","
	    "\"build\":{\"abi\":\"%d.%d\",\"compiler\":\"%s\"}}\n",
	    ARQONBUS_VERSION, AQB_ABI_MAJOR, AQB_ABI_MINOR, __VERSION__);
}

/* Is the peer one of `metrics_allow`?  Addresses come with their port. */
static bool
is_allowed(const char *list, const char *address)
{
	char ip[PORT_ADDRESS_SIZE];
	char *colon;

	snprintf(ip, sizeof ip, "%s", address + (*address == '['));
	colon = strrchr(ip, ':');
	if (colon != NULL) {
		*colon = '\0';
	}
	if (ip[0] != '\0' && ip[strlen(ip) - 1] == ']') {
		ip[strlen(ip) - 1] = '\0';
	}
	while (*list != '\0') {
		size_t len;

		list += strspn(list, ADDRESS_SEPARATORS);
		len = strcspn(list, ADDRESS_SEPARATORS);
		if (len > 0 && len == strlen(ip) &&
		    memcmp(list, ip, len) == 0) {
			return true;
		}
		list += len;
	}
	return false;
}

static int
get_metrics(const struct pages *pages, bool loopback, const char *address,
    struct buf *body, const char **typep)
{
	char *text;
	size_t len;

	if (!loopback &&
	    !is_allowed(pages->conf->server.metrics_allow, address)) {
		return 403;
	}
	text = metric_snapshot(&len);
	if (text == NULL) {
		return 503;
	}
	buf_add(body, text, len);
	free(text);
	*typep = "text/plain; version=0.0.4; charset=utf-8";
	return 200;
}

int
pages_get(void *arg, struct aqb_slice path, bool loopback, const char *address,
    struct buf *body, const char **typep)
{
	const struct pages *pages = arg;
	char name[32];
	char text[512];
	int status;

	if (path.len >= sizeof name) {
		return 404;
	}
	memcpy(name, path.data, path.len);
	name[path.len] = '\0';
	if (strcmp(name, "/metrics") == 0) {
		return get_metrics(pages, loopback, address, body, typep);
	}
	if (strcmp(name, "/version") == 0) {
		pages_version(text, sizeof text);
		buf_puts(body, text);
		return 200;
	}
	if (strcmp(name, "/health") != 0 &&
	    strcmp(name, "/health/ready") != 0 &&
	    strcmp(name, "/health/live") != 0) {
		return 404;
	}
	status =
	    health_text(strcmp(name, "/health/live") == 0, text, sizeof text);
	buf_puts(body, text);
	return status;
}

static void
put_bus(const struct pages *pages, struct buf *b)
{
	const struct aqb_bus *api = bus_api(pages->bus);
	struct aqb_stats s = { .size = sizeof s };

	api->stats(NULL, &s);
	metric_put(b, "arqonbus_clients", "Clients connected.", "gauge",
	    bus_clients(pages->bus));
	metric_put(b, "arqonbus_cluster_nodes", "Other nodes of the cluster.",
	    "gauge", bus_nodes(pages->bus));
	metric_put(b, "arqonbus_cluster_clients", "Clients of other nodes.",
	    "gauge", bus_remote_clients(pages->bus));
	metric_put(b, "arqonbus_rooms", "Rooms.", "gauge", s.rooms);
	metric_put(b, "arqonbus_channels", "Channels.", "gauge", s.channels);
	metric_put(b, "arqonbus_messages_received_total",
	    "Messages from clients.", "counter", s.received);
	metric_put(b, "arqonbus_messages_delivered_total",
	    "Messages put into outboxes, one for each receiver.", "counter",
	    s.delivered);
	metric_put(b, "arqonbus_uptime_seconds", "Seconds since the start.",
	    "gauge", s.uptime);
	metric_put(b, "process_start_time_seconds",
	    "When the process started, in seconds since 1970.", "gauge",
	    (uint64_t)pages->started / 1000);
	metric_put(b, "arqonbus_memory_short",
	    "1 while memory is short and publishers are paused.", "gauge",
	    bus_is_short_of_memory(pages->bus));
	metric_put(b, "arqonbus_busy",
	    "1 while turns are long and connections are refused.", "gauge",
	    bus_is_busy(pages->bus));
	metric_put(b, "arqonbus_group_messages",
	    "Messages that groups keep: waiting, or given and not acked.",
	    "gauge", bus_group_messages(pages->bus));
	metric_put(b, "arqonbus_messages_alive", "Messages in memory.", "gauge",
	    msg_alive());
}

static void
put_storage(const struct pages *pages, struct buf *b)
{
	uint64_t messages, bytes;

	store_usage(pages->store, &messages, &bytes);
	metric_put(b, "arqonbus_storage_messages", "Messages kept in memory.",
	    "gauge", messages);
	metric_put(b, "arqonbus_storage_bytes", "What they cost.", "gauge",
	    bytes);
	metric_put(b, "arqonbus_storage_up", "1 while the storage is ok.",
	    "gauge", strcmp(store_state(pages->store), "ok") == 0);
}

static void
put_workers(const struct pages *pages, struct buf *b)
{
	metric_put_head(b, "arqonbus_worker_connections",
	    "Connections of each I/O thread; of the main thread if there is "
	    "none.",
	    "gauge");
	for (uint32_t i = 0; i < pages->crew->size; i++) {
		buf_printf(b,
		    "arqonbus_worker_connections{worker=\"%u\"} %llu\n", i,
		    (unsigned long long)crew_connections_of(pages->crew, i));
	}
}

static void
put_dropped(const struct net_counters *n, struct buf *b)
{
	metric_put_head(b, "arqonbus_dropped_messages_total",
	    "Messages dropped because their receiver did not read; with "
	    "disconnect it was closed.",
	    "counter");
	for (int i = 0; i < SLOW_POLICIES; i++) {
		buf_printf(b,
		    "arqonbus_dropped_messages_total{policy=\"%s\"} %llu\n",
		    slow_policy_name((enum slow_policy)i),
		    (unsigned long long)count_get(&n->dropped[i]));
	}
}

static void
put_net(const struct pages *pages, struct buf *b)
{
	struct net_counters n = { 0 };
	struct hist routing = { 0 };
	const struct {
		const char *name;
		const char *help;
		const atomic_uint_fast64_t *value;
	} counter[] = {
		{ "arqonbus_connections_accepted_total",
		    "Connections accepted.", &n.accepted },
		{ "arqonbus_connections_refused_total",
		    "Connections refused: over a limit, or short of memory.",
		    &n.refused },
		{ "arqonbus_accept_errors_total", "Accepts that failed.",
		    &n.accept_errors },
		{ "arqonbus_handshakes_failed_total",
		    "Connections that ended before they were clients.",
		    &n.handshakes_failed },
		{ "arqonbus_bytes_received_total", "Bytes read.", &n.bytes_in },
		{ "arqonbus_bytes_sent_total", "Bytes written.", &n.bytes_out },
		{ "arqonbus_frames_received_total", "Text messages read.",
		    &n.messages_in },
		{ "arqonbus_pings_sent_total", "Pings sent.", &n.pings_sent },
		{ "arqonbus_protocol_errors_total",
		    "Connections closed for breaking RFC 6455.",
		    &n.protocol_errors },
		{ "arqonbus_slow_consumers_total",
		    "Connections closed for not reading.", &n.slow_consumers },
		{ "arqonbus_timeouts_total",
		    "Connections closed for being silent or unfinished.",
		    &n.timeouts },
		{ "arqonbus_http_requests_total",
		    "Requests for pages on the data port.", &n.http_requests },
		{ "arqonbus_deflate_input_bytes_total",
		    "Bytes of messages that were compressed, before.",
		    &n.deflate_in },
		{ "arqonbus_deflate_output_bytes_total",
		    "Bytes of messages that were compressed, after.",
		    &n.deflate_out },
		{ "arqonbus_inflate_input_bytes_total",
		    "Bytes of messages that came compressed, before.",
		    &n.inflate_in },
		{ "arqonbus_inflate_output_bytes_total",
		    "Bytes of messages that came compressed, after.",
		    &n.inflate_out },
	};

	crew_counters(pages->crew, &n);
	for (size_t i = 0; i < sizeof counter / sizeof counter[0]; i++) {
		metric_put(b, counter[i].name, counter[i].help, "counter",
		    count_get(counter[i].value));
	}
	put_dropped(&n, b);
	metric_put(b, "arqonbus_connections", "Connections open.", "gauge",
	    crew_connections(pages->crew));
	metric_put(b, "arqonbus_connections_half_open",
	    "Connections that are not clients yet.", "gauge",
	    crew_half_open(pages->crew));
	metric_put(b, "arqonbus_outbox_bytes", "Memory that waits to be sent.",
	    "gauge", crew_outbox_bytes(pages->crew));
	crew_routing(pages->crew, &routing);
	metric_put_hist(b, "arqonbus_routing_seconds",
	    "From reading a message to the last write of the turn.", &routing);
}

static bool
put_plugin(void *arg, const struct aqb_plugin_info *info)
{
	if (strcmp(info->state, "disabled") != 0) {
		buf_printf(arg, "arqonbus_plugin_up{plugin=\"%s\"} %d\n",
		    info->name, strcmp(info->state, "running") == 0);
	}
	return true;
}

static void
put_plugins(const struct pages *pages, struct buf *b)
{
	metric_put_head(b, "arqonbus_plugin_up",
	    "1 while an enabled plugin runs.", "gauge");
	plugins_visit(pages->plugins, put_plugin, b);
}

static void
write_metrics(void *arg, struct buf *b)
{
	const struct pages *pages = arg;

	put_bus(pages, b);
	put_storage(pages, b);
	put_net(pages, b);
	put_workers(pages, b);
	put_plugins(pages, b);
}

void
pages_add_metrics(struct pages *pages)
{
	metric_add_source(write_metrics, pages);
}

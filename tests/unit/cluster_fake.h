/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_CLUSTER_FAKE_H
#define UNIT_CLUSTER_FAKE_H

/* Two brokers on one storage that are one bus: "test", where Ada is, and
 * "other", where Bob is. */

#include "bus_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/metric.h"
#include "proto/msg.h"

#define FAR_ID "arq_client_00000000000000000000000000000001"

static struct peer *ada, *bob;

/* Long enough for the nodes to tell each other who is there. */
static inline void
all_know(void)
{
	time_passes(50);
}

static inline void
setup(void)
{
	bus_setup();
	bus_make_cluster(2);
	be_at(1);
	bob = come("");
	be_at(0);
	ada = come("");
	all_know();
}

static inline struct aqb_identity
nobody(void)
{
	return (struct aqb_identity){ .size = sizeof(struct aqb_identity),
		.binary = -1 };
}

static inline enum aqb_code
call_it(struct peer *peer, const char *alias)
{
	struct aqb_identity who = nobody();

	who.alias = alias;
	return identify(peer, &who);
}

static inline struct peer *
come_back(const struct peer *gone)
{
	char query[160];

	snprintf(query, sizeof query, "session=%s", gone->session);
	return come(query);
}

static inline void
watch(struct peer *peer, const char *room, const char *channel)
{
	const struct aqb_join how = { .size = sizeof how,
		.room = room,
		.channel = channel,
		.presence = true };

	ck_assert_int_eq(join_as(peer, &how).code, AQB_CODE_OK);
}

static inline uint64_t
clients_in_all(void)
{
	struct aqb_stats s = { .size = sizeof s };

	bus_api(bus)->stats(NULL, &s);
	return s.clients;
}

static inline bool
is_known(const char *name)
{
	struct aqb_client_info info = { .size = sizeof info };

	return bus_api(bus)->client_get(NULL, name, &info, NULL) == AQB_CODE_OK;
}

static inline struct aqb_client_info
record_of(const char *name)
{
	struct aqb_client_info info = { .size = sizeof info };

	ck_assert_int_eq(bus_api(bus)->client_get(NULL, name, &info, NULL),
	    AQB_CODE_OK);
	return info;
}

static inline enum aqb_code
create(const struct peer *peer, const char *room, const char *channel,
    const char *description)
{
	const struct aqb_channel_spec spec = { .size = sizeof spec,
		.room = room,
		.channel = channel,
		.description = description,
		.metadata = { "{\"a\":[1]}", 9 },
		.history_size = 7,
		.history_ttl = -1,
		.slow_policy = AQB_SLOW_CONFLATE };
	struct aqb_why why;
	enum aqb_code code =
	    bus_api(bus)->channel_create(NULL, peer->id, &spec, &why);

	time_passes(1);
	return code;
}

static inline enum aqb_code
remove_channel(const struct peer *peer, const char *room, const char *channel)
{
	struct aqb_why why;
	enum aqb_code code = bus_api(bus)->channel_delete(NULL, peer->id, room,
	    channel, true, &why);

	time_passes(1);
	return code;
}

/* A number in the page of metrics. */
static inline uint64_t
metric_now(const char *name)
{
	size_t len;
	char *page, *at;
	uint64_t n;

	metric_snapshot_make();
	page = metric_snapshot(&len);
	at = strstr(page, name);
	while (at != NULL && (at == page || at[-1] != '\n')) {
		at = strstr(at + 1, name);
	}
	ck_assert_msg(at != NULL, "no metric %s", name);
	n = strtoull(at + strlen(name), NULL, 10);
	free(page);
	return n;
}

static inline uint64_t
dropped(void)
{
	return metric_now("arqonbus_cluster_dropped_total");
}

#endif

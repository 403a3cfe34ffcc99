/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_GROUP_FAR_FAKE_H
#define UNIT_GROUP_FAR_FAKE_H

/* Groups over several brokers that are one bus: "test", "other" and "third". */

#include "group_fake.h"

#define LEAD "g:c:d:g"
#define DONE "gp:c:d:g"

/* Who works at which node; ada publishes at the first. */
static struct peer *ada, *bob, *cy, *dee;

static inline void
all_know(void)
{
	time_passes(50);
}

static inline struct peer *
come_at(size_t node)
{
	struct peer *peer;

	be_at(node);
	peer = come("");
	be_at(0);
	return peer;
}

static inline void
make(size_t nodes)
{
	bus_make_cluster(nodes);
	ada = come_at(0);
	bob = come_at(0);
	cy = come_at(1);
	dee = come_at(nodes - 1);
	cluster_syncs();
	all_know();
}

static inline void
setup(void)
{
	bus_setup();
	make(3);
}

static inline void
teardown(void)
{
	telemetry_remove_sink(&sink, NULL);
	bus_teardown();
}

static inline const char *
leader(void)
{
	return record_of_node("", LEAD);
}

/* Be of the group; who is on which node is known to all after this. */
static inline void
works(struct peer *peer, bool manual)
{
	work(peer, manual);
	all_know();
}

/* What it is given now, acked as it comes; how many. */
static inline unsigned
does_all(struct peer *peer, unsigned seen[100])
{
	char text[1024];
	unsigned n = 0;

	while (heard(peer) > 0) {
		snprintf(text, sizeof text, "%s", hears(peer, "'type':"));
		if (strstr(text, "\"error\"") != NULL) {
			continue; /* it came too late */
		}
		seen[number_in(text, "payload")]++;
		acks(peer, text);
		n++;
	}
	return n;
}

static inline struct group_now
group_at(size_t node)
{
	struct group_now now;

	be_at(node);
	now = group_now();
	be_at(0);
	return now;
}

#endif

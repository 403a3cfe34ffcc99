/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_GROUP_FAKE_H
#define UNIT_GROUP_FAKE_H

/* What tests of groups say and look at. */

#include "bus_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/metric.h"
#include "host/telemetry.h"

struct group_now {
	bool is_there;
	uint64_t members, waiting, unacked;
};

/* How often telemetry said this type of event, and the last one. */
static char told_type[64], told[1024];
static size_t told_count;

static inline void
on_event(void *self, const struct aqb_event *event)
{
	(void)self;
	if (strcmp(event->type, told_type) == 0) {
		told_count++;
		snprintf(told, sizeof told, "%.*s", (int)event->json.len,
		    event->json.data);
	}
}

static const struct aqb_telemetry_ops sink = { .size = sizeof sink,
	.emit = on_event };

static inline void
watch(const char *type)
{
	snprintf(told_type, sizeof told_type, "%s", type);
	told[0] = '\0';
	told_count = 0;
	telemetry_remove_sink(&sink, NULL);
	telemetry_add_sink(&sink, NULL);
}

static inline struct joined
work_as(struct peer *peer, const char *channel, const char *group, bool manual,
    bool echo)
{
	struct aqb_join how = { .size = sizeof how,
		.room = "c",
		.channel = channel,
		.echo = echo,
		.group = group,
		.group_manual = manual };

	return join_as(peer, &how);
}

/* Be of the group "g" of c:d. */
static inline void
work(struct peer *peer, bool manual)
{
	struct joined j = work_as(peer, "d", "g", manual, false);

	ck_assert_int_eq(j.code, AQB_CODE_OK);
}

static inline void
publish_to(struct peer *peer, const char *channel, int from, int to)
{
	for (int i = from; i <= to; i++) {
		say(peer, "{'type':'event','channel':'c:%s','payload':%d}",
		    channel, i);
	}
}

/* It hears this message of c:d next, given out that often; the text. */
static inline const char *
hears_work(struct peer *peer, int payload, unsigned count)
{
	char want[2][48];
	const char *text;

	snprintf(want[0], sizeof want[0], "'payload':%d}", payload);
	snprintf(want[1], sizeof want[1], "'delivery_count':%u,", count);
	text = hears(peer, want[0], count > 1 ? want[1] : "'seq':");
	ck_assert(count > 1 || strstr(text, "delivery_count") == NULL);
	return text;
}

/* An ack, whose id is a and the seq; b and the seq if it gives back. */
static inline void
say_ack(struct peer *peer, const char *text, const char *more)
{
	char epoch[64];
	uint64_t seq;
	const char *at = strstr(text, "\"epoch\":\"");

	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(sscanf(at, "\"epoch\":\"%63[^\"]", epoch), 1);
	seq = number_in(text, "seq");
	say(peer,
	    "{'type':'ack','id':'%c%llu','channel':'c:d','seq':%llu,"
	    "'epoch':'%s'%s}",
	    *more != 0 ? 'b' : 'a', (unsigned long long)seq,
	    (unsigned long long)seq, epoch, more);
}

#define acks(peer, text) say_ack(peer, text, "")
#define gives_back(peer, text) say_ack(peer, text, ",'ok':false")

static inline bool
see_group(void *arg, const struct aqb_group_info *info)
{
	if (strcmp(info->name, "g") == 0) {
		*(struct group_now *)arg = (struct group_now){ true,
			info->members, info->waiting, info->unacked };
	}
	return true;
}

/* The group "g" of c:d. */
static inline struct group_now
group_now(void)
{
	struct group_now now = { .is_there = false };

	bus_api(bus)->groups(NULL, "c", "d", see_group, &now, NULL);
	return now;
}

static inline uint64_t
metric_now(const char *name)
{
	char *page, *at, want[80];
	size_t len;
	uint64_t n;

	metric_snapshot_make();
	page = metric_snapshot(&len);
	snprintf(want, sizeof want, "\n%s ", name);
	at = strstr(page, want);
	ck_assert_msg(at != NULL, "no %s", name);
	n = strtoull(at + strlen(want), NULL, 10);
	free(page);
	return n;
}

#endif

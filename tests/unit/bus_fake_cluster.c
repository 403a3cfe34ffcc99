/* SPDX-License-Identifier: Apache-2.0 */
#include "bus_fake_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/msg.h"

/* The wire between the nodes of a cluster: what one says all are told, in one
 * order. */

#define EVENTS 4096
#define RECORDS 1024

struct cluster_fake cluster_fake;

enum event_kind {
	EVENT_MESSAGE,
	EVENT_FORGOTTEN,
	EVENT_NOTICE,
	EVENT_RECORD,
	EVENT_GONE,
	EVENT_SYNCING,
	EVENT_SYNCED,
	EVENT_AGAIN,
};

struct event {
	enum event_kind kind;
	int to; /* one node, or all: -1 */
	uint32_t flags;
	char node[AQB_NAME_MAX + 1];
	char name[160]; /* of a stream or a record */
	char *text;
	struct aqb_msg *msg;
	struct aqb_position pos;
};

struct record {
	char node[AQB_NAME_MAX + 1];
	char key[160];
	char *value;
};

static char selves[CLUSTER_NODES];
static const struct aqb_follower *follower[CLUSTER_NODES];
static bool dead[CLUSTER_NODES]; /* says and hears nothing */
static struct event events[EVENTS];
static size_t event_from, event_to;
static struct record records[RECORDS];
static size_t record_count;

void *
cluster_self(size_t node)
{
	return &selves[node];
}

static const char *
node_of(const void *self)
{
	return follower[(const char *)self - selves]->node;
}

bool
cluster_is_on(void)
{
	return follower[0] != NULL;
}

static bool
is_dead(const void *self)
{
	return dead[(const char *)self - selves];
}

static struct event *
push(enum event_kind kind, const char *node, const char *name, const char *text)
{
	struct event *e = &events[event_to++ % EVENTS];

	ck_assert_uint_le(event_to - event_from, EVENTS);
	*e = (struct event){ .kind = kind, .to = -1 };
	snprintf(e->node, sizeof e->node, "%s", node);
	snprintf(e->name, sizeof e->name, "%s", name);
	e->text = text == NULL ? NULL : xstrdup(text);
	return e;
}

void
cluster_message(const char *stream, struct aqb_msg *msg,
    const struct aqb_position *pos)
{
	if (cluster_is_on()) {
		struct event *e = push(EVENT_MESSAGE, "", stream, NULL);

		e->msg = msg_ref(msg);
		e->pos = *pos;
	}
}

void
cluster_forgotten(const char *stream)
{
	if (cluster_is_on()) {
		push(EVENT_FORGOTTEN, "", stream, NULL);
	}
}

int
cluster_follow(void *self, const struct aqb_follower *f, struct aqb_why *why)
{
	(void)why;
	follower[(char *)self - selves] = f;
	return AQB_OK;
}

static char *
text_of(struct aqb_slice slice)
{
	return slice.len == 0 ? NULL : strndup(slice.data, slice.len);
}

int
cluster_notify(void *self, struct aqb_slice notice)
{
	char *text;

	if (is_dead(self)) {
		return AQB_EUNAVAIL;
	}
	text = text_of(notice);
	if (!cluster_fake.is_cut_off) {
		cluster_fake.notices++;
		push(EVENT_NOTICE, node_of(self), "", text);
	}
	free(text);
	return cluster_fake.is_cut_off ? AQB_EUNAVAIL : AQB_OK;
}

static struct record *
record_find(const char *node, const char *key)
{
	for (size_t i = 0; i < record_count; i++) {
		if (strcmp(records[i].node, node) == 0 &&
		    strcmp(records[i].key, key) == 0) {
			return &records[i];
		}
	}
	return NULL;
}

static void
record_drop(struct record *r)
{
	free(r->value);
	*r = records[--record_count];
}

/* Keep it, and tell it. */
static void
record_set(const char *node, const char *key, const char *value)
{
	struct record *r = record_find(node, key);

	push(EVENT_RECORD, node, key, value);
	if (r != NULL) {
		record_drop(r);
	}
	if (value != NULL) {
		ck_assert_uint_lt(record_count, RECORDS);
		r = &records[record_count++];
		snprintf(r->node, sizeof r->node, "%s", node);
		snprintf(r->key, sizeof r->key, "%s", key);
		r->value = xstrdup(value);
	}
}

int
cluster_share(void *self, const char *key, struct aqb_slice value,
    uint32_t flags)
{
	bool is_common = (flags & AQB_SHARE_COMMON) != 0;
	const char *node = is_common ? "" : node_of(self);
	char *text;

	if (cluster_fake.shares_fail || is_dead(self)) {
		return AQB_EUNAVAIL;
	}
	cluster_fake.shares++;
	if (is_common && value.len > 0 && record_find(node, key) != NULL) {
		return AQB_OK; /* the first stays */
	}
	text = text_of(value);
	record_set(node, key, text);
	free(text);
	return AQB_OK;
}

void
common_record_goes(const char *key)
{
	struct record *r = record_find("", key);

	ck_assert_ptr_nonnull(r);
	record_drop(r);
}

static void
tell_one(const struct aqb_follower *f, struct event *e)
{
	struct aqb_slice text = { e->text,
		e->text == NULL ? 0 : strlen(e->text) };

	switch (e->kind) {
	case EVENT_MESSAGE:
		f->message(f->arg, e->name, e->msg, &e->pos, e->flags);
		break;
	case EVENT_FORGOTTEN:
		f->forgotten(f->arg, e->name);
		break;
	case EVENT_NOTICE:
		f->notice(f->arg, e->node, text);
		break;
	case EVENT_RECORD:
		f->record(f->arg, e->node, e->name, text);
		break;
	case EVENT_GONE:
		f->node_gone(f->arg, e->node);
		break;
	case EVENT_SYNCING:
		f->syncing(f->arg);
		break;
	case EVENT_SYNCED:
		f->synced(f->arg);
		break;
	case EVENT_AGAIN:
		f->share_again(f->arg);
		break;
	}
}

static void
event_fini(struct event *e)
{
	msg_unref(&e->msg);
	free(e->text);
}

void
cluster_tells(void)
{
	while (event_from < event_to && !cluster_fake.holds) {
		struct event e = events[event_from++ % EVENTS];

		for (int i = 0; i < CLUSTER_NODES; i++) {
			if (follower[i] != NULL && !dead[i] &&
			    (e.to < 0 || e.to == i)) {
				tell_one(follower[i], &e);
			}
		}
		event_fini(&e);
	}
}

void
cluster_ends(void)
{
	while (event_from < event_to) {
		event_fini(&events[event_from++ % EVENTS]);
	}
	while (record_count > 0) {
		record_drop(&records[0]);
	}
	memset(follower, 0, sizeof follower);
	memset(dead, 0, sizeof dead);
	cluster_fake = (struct cluster_fake){ .holds = false };
}

/* ---- what a test says ---- */

static char *
with_quotes(const char *text)
{
	char *copy = text == NULL ? NULL : xstrdup(text);

	for (char *p = copy; p != NULL && *p != '\0'; p++) {
		*p = *p == '\'' ? '"' : *p;
	}
	return copy;
}

void
node_shares(const char *node, const char *key, const char *value)
{
	char *text = with_quotes(value);

	record_set(node, key, text);
	free(text);
	settle();
}

void
node_notices(const char *node, const char *text)
{
	char *copy = with_quotes(text);

	push(EVENT_NOTICE, node, "", copy);
	free(copy);
	settle();
}

void
cluster_loses(const char *node)
{
	for (size_t i = 0; i < record_count;) {
		if (strcmp(records[i].node, node) == 0) {
			record_drop(&records[i]);
		} else {
			i++;
		}
	}
}

void
node_goes(const char *node)
{
	cluster_loses(node);
	push(EVENT_GONE, node, "", NULL);
	settle();
}

void
node_dies(size_t node)
{
	dead[node] = true;
	node_goes(follower[node]->node);
}

void
cluster_syncs(void)
{
	push(EVENT_SYNCING, "", "", NULL);
	for (size_t i = 0; i < record_count; i++) {
		push(EVENT_RECORD, records[i].node, records[i].key,
		    records[i].value);
	}
	push(EVENT_SYNCED, "", "", NULL);
	settle();
}

void
cluster_asks_again(size_t node)
{
	cluster_loses(follower[node]->node);
	push(EVENT_AGAIN, "", "", NULL)->to = (int)node;
	settle();
}

void
stream_tells(const char *stream, struct aqb_msg *msg, uint64_t seq,
    const char *epoch, uint32_t flags)
{
	struct event *e = push(EVENT_MESSAGE, "", stream, NULL);

	e->msg = msg == NULL ? NULL : msg_ref(msg);
	e->pos.seq = seq;
	snprintf(e->pos.epoch, sizeof e->pos.epoch, "%s", epoch);
	e->flags = flags;
	settle();
}

const char *
record_of_node(const char *node, const char *key)
{
	struct record *r = record_find(node, key);

	return r == NULL ? NULL : r->value;
}

void
stream_says(const char *stream, uint64_t seq, const char *epoch)
{
	const char *colon = strchr(stream, ':');
	struct aqb_position pos = { .seq = seq };
	struct aqb_msg_view v = {
		.size = sizeof v,
		.id = { "made-up", 7 },
		.type = { "event", 5 },
		.room = { stream, (size_t)(colon - stream) },
		.channel = { colon + 1, strlen(colon + 1) },
		.from = { "somebody", 8 },
		.payload = { "{}", 2 },
	};
	struct aqb_msg *msg;

	snprintf(pos.epoch, sizeof pos.epoch, "%s", epoch);
	msg = msg_make(&v, &pos);
	ck_assert_ptr_nonnull(msg);
	stream_tells(stream, msg, seq, epoch, 0);
	msg_unref(&msg);
}

void
stream_forgets(const char *stream)
{
	cluster_forgotten(stream);
	settle();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus_fake_priv.h"

#include <stdio.h>
#include <string.h>

#include "host/ask.h"
#include "proto/msg.h"

/* The storage that does what a test says. */

#define STREAMS 64
#define WAITING 256

struct backend backend;

struct stream {
	char name[160];
	char epoch[AQB_EPOCH_SIZE];
	struct aqb_msg *msg[1024];
	uint64_t first, last;
};

struct waiting {
	aqb_ticket ticket;
	struct stream *stream;
	struct aqb_msg *msg;
	struct aqb_position pos;
	struct aqb_range range; /* of a read */
	bool is_read;
};

static struct stream streams[STREAMS];
static size_t stream_count;
static struct waiting waiting[WAITING];
static size_t waiting_count;
static uint64_t epochs;
static char kept[64];
static size_t kept_len;

static struct stream *
stream_of(const char *name)
{
	struct stream *s;

	for (size_t i = 0; i < stream_count; i++) {
		if (strcmp(streams[i].name, name) == 0) {
			return &streams[i];
		}
	}
	ck_assert_uint_lt(stream_count, STREAMS);
	s = &streams[stream_count++];
	memset(s, 0, sizeof *s);
	snprintf(s->name, sizeof s->name, "%s", name);
	snprintf(s->epoch, sizeof s->epoch, "e%llu",
	    (unsigned long long)++epochs);
	s->first = 1;
	return s;
}

static void
drop_first(struct stream *s)
{
	msg_unref(&s->msg[s->first++ % 1024]);
}

static struct aqb_position
keep(struct stream *s, struct aqb_msg *msg)
{
	struct aqb_position pos = { .seq = ++s->last };

	memcpy(pos.epoch, s->epoch, sizeof pos.epoch);
	s->msg[s->last % 1024] = msg_ref(msg);
	while (s->last + 1 - s->first > backend.keeps) {
		drop_first(s);
	}
	cluster_message(s->name, msg, &pos);
	return pos;
}

static int
fake_append(void *self, aqb_ticket ticket, const char *name,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp)
{
	struct stream *s = stream_of(name);
	struct waiting *w;

	(void)self;
	(void)limits;
	backend.appends++;
	if (backend.mode == BACKEND_REFUSES) {
		return backend.error;
	}
	if (backend.mode == BACKEND_NOW) {
		*posp = keep(s, msg);
		return AQB_DONE;
	}
	ck_assert_uint_lt(waiting_count, WAITING);
	w = &waiting[waiting_count++];
	*w = (struct waiting){ .ticket = ticket, .stream = s };
	if (backend.mode == BACKEND_EARLY) {
		w->pos = *posp = keep(s, msg);
		return AQB_EARLY;
	}
	w->msg = msg_ref(msg);
	return AQB_PENDING;
}

static int
fake_tail(void *self, aqb_ticket ticket, const char *name,
    struct aqb_answer *answerp)
{
	struct stream *s = stream_of(name);

	(void)self;
	(void)ticket;
	if (backend.tail_fails) {
		return backend.error;
	}
	answerp->pos.seq = s->last;
	memcpy(answerp->pos.epoch, s->epoch, sizeof s->epoch);
	answerp->first = s->first;
	return AQB_DONE;
}

static bool
is_in(const struct aqb_range *r, const struct aqb_msg_view *v)
{
	return v->seq > r->after && (r->before == 0 || v->seq < r->before);
}

static void
answer_read(const struct waiting *w)
{
	struct stream *s = w->stream;
	struct aqb_msg *found[1024];
	struct aqb_answer a = { .size = sizeof a, .msgs = found };
	size_t most = w->range.limit;

	if (backend.page > 0 && most > backend.page) {
		most = backend.page;
	}
	for (uint64_t seq = s->first; seq <= s->last; seq++) {
		struct aqb_msg_view v;

		msg_view(s->msg[seq % 1024], &v);
		if (!is_in(&w->range, &v)) {
			continue;
		}
		if (a.n == most) {
			a.more = true;
			break;
		}
		found[a.n++] = s->msg[seq % 1024];
	}
	a.pos.seq = s->last;
	memcpy(a.pos.epoch, s->epoch, sizeof s->epoch);
	a.first = s->first;
	desk_answer(desk, w->ticket, AQB_OK, &a);
}

static void
fake_history(void *self, aqb_ticket ticket, const char *name,
    const struct aqb_range *range)
{
	struct waiting w = {
		.ticket = ticket,
		.stream = stream_of(name),
		.range = *range,
		.is_read = true,
	};

	(void)self;
	if (backend.reads_fail) {
		desk_answer(desk, ticket, backend.error, NULL);
	} else if (backend.reads_wait) {
		ck_assert_uint_lt(waiting_count, WAITING);
		waiting[waiting_count++] = w;
	} else {
		answer_read(&w);
	}
}

static void
fake_forget(void *self, aqb_ticket ticket, const char *name)
{
	struct stream *s = stream_of(name);
	struct aqb_answer a = { .size = sizeof a };

	(void)self;
	backend.forgot++;
	while (s->first <= s->last) {
		drop_first(s);
	}
	s->first = 1;
	s->last = 0;
	snprintf(s->epoch, sizeof s->epoch, "e%llu",
	    (unsigned long long)++epochs);
	memcpy(a.pos.epoch, s->epoch, sizeof s->epoch);
	cluster_forgotten(name);
	desk_answer(desk, ticket, AQB_OK, &a);
}

static void
fake_usage(void *self, uint64_t *messagesp, uint64_t *bytesp)
{
	(void)self;
	*messagesp = 0;
	*bytesp = backend.bytes;
}

static uint32_t
fake_backlog(void *self)
{
	(void)self;
	return backend.backlog;
}

static void
fake_resolve(void *self, aqb_ticket ticket, const char *name,
    const struct aqb_position *since)
{
	struct stream *s = stream_of(name);
	struct aqb_answer a = { .size = sizeof a, .pos.seq = since->seq };

	(void)self;
	if (backend.resolve_fails) {
		desk_answer(desk, ticket, backend.error, NULL);
		return;
	}
	memcpy(a.pos.epoch, s->epoch, sizeof s->epoch);
	desk_answer(desk, ticket, backend.resolves ? AQB_OK : AQB_ENOENT, &a);
}

/* One value is enough: the key of sessions. */
static void
fake_keep(void *self, aqb_ticket ticket, const char *key,
    struct aqb_slice value)
{
	struct aqb_answer a = { .size = sizeof a };

	(void)self;
	(void)key;
	if (kept_len == 0) {
		ck_assert_uint_le(value.len, sizeof kept);
		memcpy(kept, value.data, value.len);
		kept_len = value.len;
	}
	a.value = (struct aqb_slice){ kept, kept_len };
	desk_answer(desk, ticket, AQB_OK, &a);
}

const struct aqb_storage_ops backend_ops = {
	.size = sizeof backend_ops,
	.stored = AQB_STORED_MEMORY,
	.append = fake_append,
	.tail = fake_tail,
	.history = fake_history,
	.forget = fake_forget,
	.usage = fake_usage,
	.resolve = fake_resolve,
	.keep = fake_keep,
	.caps = AQB_STORE_SHARED,
	.follow = cluster_follow,
	.notify = cluster_notify,
	.share = cluster_share,
	.backlog = fake_backlog,
};

static void
take_waiting(size_t i)
{
	msg_unref(&waiting[i].msg);
	memmove(&waiting[i], &waiting[i + 1],
	    (--waiting_count - i) * sizeof waiting[0]);
}

void
backend_answers(size_t nth, enum aqb_err err)
{
	struct waiting *w = &waiting[nth];
	struct aqb_answer a = { .size = sizeof a, .stored = AQB_STORED_REDIS };

	ck_assert_uint_lt(nth, waiting_count);
	if (err == AQB_OK) {
		a.pos = w->msg == NULL ? w->pos : keep(w->stream, w->msg);
		a.first = w->stream->first;
	}
	desk_answer(desk, w->ticket, err, err == AQB_OK ? &a : NULL);
	take_waiting(nth);
	settle();
}

void
backend_lets_go(size_t nth)
{
	struct waiting *w = &waiting[nth];
	struct aqb_answer a = { .size = sizeof a, .flags = AQB_ANSWER_EARLY };

	ck_assert_uint_lt(nth, waiting_count);
	w->pos = a.pos = keep(w->stream, w->msg);
	msg_unref(&w->msg);
	a.first = w->stream->first;
	desk_answer(desk, w->ticket, AQB_OK, &a);
	settle();
}

void
backend_has(size_t nth, uint64_t seq)
{
	struct waiting *w = &waiting[nth];
	struct aqb_answer a = {
		.size = sizeof a,
		.stored = AQB_STORED_REDIS,
		.flags = AQB_ANSWER_REPEATED,
		.pos.seq = seq,
	};

	ck_assert_uint_lt(nth, waiting_count);
	memcpy(a.pos.epoch, w->stream->epoch, sizeof w->stream->epoch);
	desk_answer(desk, w->ticket, AQB_OK, &a);
	take_waiting(nth);
	settle();
}

void
backend_skips(const char *stream, uint64_t n)
{
	struct stream *s = stream_of(stream);

	while (s->first <= s->last) {
		drop_first(s);
	}
	s->last += n;
	s->first = s->last + 1;
}

void
backend_begins_again(const char *stream)
{
	struct stream *s = stream_of(stream);

	snprintf(s->epoch, sizeof s->epoch, "e%llu",
	    (unsigned long long)++epochs);
}

void
backend_reads(void)
{
	while (waiting_count > 0) {
		ck_assert(waiting[0].is_read);
		answer_read(&waiting[0]);
		take_waiting(0);
		settle();
	}
}

static void
empty_streams(void)
{
	for (size_t i = 0; i < stream_count; i++) {
		while (streams[i].first <= streams[i].last) {
			drop_first(&streams[i]);
		}
	}
}

void
backend_loses_all(void)
{
	empty_streams();
	stream_count = 0;
	kept_len = 0;
}

size_t
backend_waits(void)
{
	return waiting_count;
}

void
backend_ends(void)
{
	while (waiting_count > 0) {
		desk_answer(desk, waiting[0].ticket, AQB_EUNAVAIL, NULL);
		take_waiting(0);
	}
}

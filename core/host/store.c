/* SPDX-License-Identifier: Apache-2.0 */
#include "host/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "host/health.h"
#include "host/metric.h"
#include "host/store_priv.h"
#include "host/telemetry.h"

/* Say it where it is asked for; changes are told once. */
static void
set_state(struct store *s, enum health_state state)
{
	char metadata[128];

	if (s->state == state) {
		return;
	}
	snprintf(metadata, sizeof metadata, "{\"backend\":\"%s\"}", s->name);
	if (state == HEALTH_DEGRADED) {
		LOG(AQB_WARNING, "storage degraded", F("plugin", s->name));
		telemetry_emit("storage_degraded", AQB_WARNING,
		    &(struct telemetry_fields){ .metadata = metadata });
	} else if (s->state == HEALTH_DEGRADED && state == HEALTH_OK) {
		LOG(AQB_INFO, "storage recovered", F("plugin", s->name));
		telemetry_emit("storage_recovered", AQB_INFO,
		    &(struct telemetry_fields){ .metadata = metadata });
	}
	s->state = state;
	health_set_storage(state);
}

/*
 * What an answer says about the backend.  A refusal of one request says
 * nothing; neither does an answer of one that can be probed, for it may have
 * come from what it remembers.
 */
static void
take_note(struct store *s, int err)
{
	if (err >= AQB_OK) {
		if (s->ops == NULL || !AQB_HAS(s->ops, probe)) {
			set_state(s, HEALTH_OK);
		}
	} else if (err == AQB_EUNAVAIL || err == AQB_EUNCERTAIN ||
	    err == AQB_ETIMEDOUT) {
		set_state(s, HEALTH_DEGRADED);
	}
}

struct store *
store_new(struct desk *desk, const struct store_times *times)
{
	struct store *s = xnew(sizeof *s);

	s->magic = STORE_MAGIC;
	s->desk = desk;
	s->times = *times;
	s->name = "none";
	s->state = HEALTH_FAILED;
	health_set_storage(s->state);
	return s;
}

void
store_free(struct store **storep)
{
	struct store *s;

	if (*storep == NULL) {
		return;
	}
	OBJ_TAKE(s, storep, STORE_MAGIC);
	s->magic = 0;
	free(s);
}

void
store_bind(struct store *s, const struct aqb_storage_ops *ops, void *self,
    const char *name)
{
	OBJ_CHECK(s, STORE_MAGIC);
	assert(s->ops == NULL);
	s->ops = ops;
	s->self = self;
	s->name = name;
	set_state(s, HEALTH_OK);
}

void
store_unbind(struct store *s)
{
	OBJ_CHECK(s, STORE_MAGIC);
	set_state(s, HEALTH_FAILED);
	s->ops = NULL;
	s->self = NULL;
	s->name = "none";
}

/* The backend is wrong in itself: what it did cannot be known. */
static int
garbage(struct store *s, const char *what)
{
	metric_add(METRIC_GARBAGE_TOTAL, 1);
	LOG(AQB_ERROR, "the storage answered what it may not",
	    F("plugin", s->name), F("what", what));
	take_note(s, AQB_EUNCERTAIN);
	return AQB_EUNCERTAIN;
}

static bool
epoch_is_right(const struct aqb_position *pos)
{
	return memchr(pos->epoch, '\0', sizeof pos->epoch) != NULL &&
	    pos->epoch[0] != '\0';
}

static bool
position_is_right(const struct aqb_position *pos)
{
	return pos->seq > 0 && epoch_is_right(pos);
}

/* Where the stream ends: nothing is kept (first is last + 1), or first to
 * last.  A stream that was never begun has no epoch to tell. */
static bool
ends_are_right(const struct aqb_answer *answer)
{
	if (answer->pos.seq == 0 && answer->pos.epoch[0] == '\0') {
		return answer->n == 0;
	}
	return epoch_is_right(&answer->pos) && answer->first > 0 &&
	    answer->first <= answer->pos.seq + 1;
}

/* Of any question: an answer, or none in time. */
static enum aqb_err
check_any(struct store *s, aqb_ticket ticket, enum aqb_err err)
{
	if (s->ops == NULL) {
		return err; /* it has stopped since */
	}
	take_note(s, err);
	if (err == AQB_ETIMEDOUT && AQB_HAS(s->ops, cancel)) {
		s->ops->cancel(s->self, ticket);
	}
	return err;
}

static enum aqb_err
check_append(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct store *s;

	OBJ_CAST(s, arg, STORE_MAGIC);
	if (err == AQB_OK &&
	    (!position_is_right(&answer->pos) ||
		answer->stored > AQB_STORED_REPLICATED)) {
		return (enum aqb_err)garbage(s, "append: no position");
	}
	return check_any(s, ticket, err);
}

static enum aqb_err
check_read(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct store *s;

	OBJ_CAST(s, arg, STORE_MAGIC);
	if (err == AQB_OK && !ends_are_right(answer)) {
		return (enum aqb_err)garbage(s, "read: the ends make no sense");
	}
	return check_any(s, ticket, err);
}

static enum aqb_err
check_resolve(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct store *s;

	OBJ_CAST(s, arg, STORE_MAGIC);
	if (err == AQB_OK && !epoch_is_right(&answer->pos)) {
		return (enum aqb_err)garbage(s, "resolve: no position");
	}
	return check_any(s, ticket, err);
}

/* The probe tells of a backend that is not there yet, or not any more. */
static bool
is_for_the_probe(const struct store *s, enum aqb_err err)
{
	return err == AQB_EUNAVAIL && s->ops != NULL && AQB_HAS(s->ops, probe);
}

/* A value, of a keep; a probe has nothing to tell but that it went well. */
static enum aqb_err
check_keep(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct store *s;

	OBJ_CAST(s, arg, STORE_MAGIC);
	if (err == AQB_OK && answer->value.len == 0) {
		return (enum aqb_err)garbage(s, "keep: no value");
	}
	return is_for_the_probe(s, err) ? err : check_any(s, ticket, err);
}

static enum aqb_err
check_probe(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct store *s;

	(void)answer;
	OBJ_CAST(s, arg, STORE_MAGIC);
	s->probing = false;
	if (s->ops != NULL) {
		set_state(s, err == AQB_OK ? HEALTH_OK : HEALTH_DEGRADED);
	}
	return check_any(s, ticket, err);
}

static enum aqb_err
check_forget(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct store *s;

	(void)answer;
	OBJ_CAST(s, arg, STORE_MAGIC);
	return check_any(s, ticket, err);
}

static void
not_wanted(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	(void)arg;
	(void)err;
	(void)answer;
}

/*
 * What append returned, believed or not.  Without an answer in the call the
 * ticket stays open, and only then costs a timer; what was delivered early
 * may be stored as late as it likes.
 */
static int
judge_append(struct store *s, aqb_ticket ticket, int when,
    const struct aqb_position *posp)
{
	if (when == AQB_PENDING) {
		desk_set_deadline(s->desk, ticket, s->times.append);
		return when;
	}
	if (when == AQB_EARLY && position_is_right(posp)) {
		return when;
	}
	desk_end(s->desk, ticket);
	if (when < 0 && when >= AQB_ESYS) {
		take_note(s, when);
		return when;
	}
	if (when != AQB_DONE || !position_is_right(posp)) {
		return garbage(s, "append: no position, or no known answer");
	}
	take_note(s, AQB_OK);
	return when;
}

int
store_append(struct store *s, const char *stream,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp, ask_done_f *done, void *arg)
{
	aqb_ticket ticket;
	int when;

	OBJ_CHECK(s, STORE_MAGIC);
	if (s->ops == NULL) {
		return AQB_EUNAVAIL;
	}
	ticket = desk_ask_checked(s->desk, 0, check_append, s, done, arg);
	if (ticket == 0) {
		return AQB_EFULL;
	}
	*posp = (struct aqb_position){ .seq = 0 };
	when = s->ops->append(s->self, ticket, stream, limits, msg, posp);
	return judge_append(s, ticket, when, posp);
}

int
store_tail(struct store *s, const char *stream, struct aqb_answer *answerp,
    ask_done_f *done, void *arg)
{
	aqb_ticket ticket;
	int when;

	OBJ_CHECK(s, STORE_MAGIC);
	if (s->ops == NULL) {
		return AQB_EUNAVAIL;
	}
	ticket = desk_ask_checked(s->desk, s->times.read, check_read, s,
	    done == NULL ? not_wanted : done, arg);
	if (ticket == 0) {
		return AQB_EFULL;
	}
	*answerp = (struct aqb_answer){ .size = sizeof *answerp };
	when = s->ops->tail(s->self, ticket, stream, answerp);
	if (when == AQB_PENDING) {
		return when;
	}
	desk_end(s->desk, ticket);
	if (when < 0 && when >= AQB_ESYS) {
		take_note(s, when);
		return when;
	}
	if (when != AQB_DONE || !epoch_is_right(&answerp->pos) ||
	    !ends_are_right(answerp)) {
		return garbage(s, "tail: no known answer");
	}
	take_note(s, AQB_OK);
	return when;
}

void
store_history(struct store *s, const char *stream,
    const struct aqb_range *range, ask_done_f *done, void *arg)
{
	aqb_ticket ticket;

	OBJ_CHECK(s, STORE_MAGIC);
	ticket =
	    desk_ask_checked(s->desk, s->times.read, check_read, s, done, arg);
	if (ticket == 0) {
		/* A million questions are open: the process is lost anyway. */
		done(arg, AQB_EFULL, NULL);
		return;
	}
	if (s->ops == NULL) {
		desk_answer(s->desk, ticket, AQB_EUNAVAIL, NULL);
		return;
	}
	s->ops->history(s->self, ticket, stream, range);
}

void
store_forget(struct store *s, const char *stream, ask_done_f *done, void *arg)
{
	aqb_ticket ticket;

	OBJ_CHECK(s, STORE_MAGIC);
	ticket = desk_ask_checked(s->desk, s->times.read, check_forget, s,
	    done == NULL ? not_wanted : done, arg);
	if (ticket == 0) {
		return;
	}
	if (s->ops == NULL) {
		desk_answer(s->desk, ticket, AQB_EUNAVAIL, NULL);
		return;
	}
	s->ops->forget(s->self, ticket, stream);
}

int
store_accept(struct store *s, const struct aqb_limits *limits,
    struct aqb_why *why)
{
	OBJ_CHECK(s, STORE_MAGIC);
	if (s->ops != NULL && AQB_HAS(s->ops, accept)) {
		return s->ops->accept(s->self, limits, why);
	}
	if (limits->durability >= AQB_DURABLE_FSYNC ||
	    (limits->durability == AQB_DURABLE_STORED &&
		(store_caps(s) & AQB_STORE_DURABLE) == 0)) {
		return refuse(why, AQB_EINVAL,
		    "durability: %s keeps nothing that safe", s->name);
	}
	return AQB_OK;
}

void
store_resolve(struct store *s, const char *stream,
    const struct aqb_position *since, ask_done_f *done, void *arg)
{
	aqb_ticket ticket;

	OBJ_CHECK(s, STORE_MAGIC);
	ticket = desk_ask_checked(s->desk, s->times.read, check_resolve, s,
	    done, arg);
	if (ticket == 0) {
		done(arg, AQB_EFULL, NULL);
	} else if (s->ops == NULL) {
		desk_answer(s->desk, ticket, AQB_EUNAVAIL, NULL);
	} else if (!AQB_HAS(s->ops, resolve)) {
		desk_answer(s->desk, ticket, AQB_ENOENT, NULL);
	} else {
		s->ops->resolve(s->self, ticket, stream, since);
	}
}

bool
store_keep(struct store *s, const char *key, struct aqb_slice value,
    ask_done_f *done, void *arg)
{
	aqb_ticket ticket;

	OBJ_CHECK(s, STORE_MAGIC);
	if (s->ops == NULL || !AQB_HAS(s->ops, keep)) {
		return false;
	}
	ticket =
	    desk_ask_checked(s->desk, s->times.read, check_keep, s, done, arg);
	if (ticket == 0) {
		return false;
	}
	s->ops->keep(s->self, ticket, key, value);
	return true;
}

void
store_probe(struct store *s)
{
	aqb_ticket ticket;

	OBJ_CHECK(s, STORE_MAGIC);
	if (s->probing || s->ops == NULL || !AQB_HAS(s->ops, probe)) {
		return;
	}
	ticket = desk_ask_checked(s->desk, s->times.probe, check_probe, s,
	    not_wanted, NULL);
	if (ticket != 0) {
		s->probing = true;
		s->ops->probe(s->self, ticket);
	}
}

void
store_usage(const struct store *s, uint64_t *messagesp, uint64_t *bytesp)
{
	OBJ_CHECK(s, STORE_MAGIC);
	*messagesp = *bytesp = 0;
	if (s->ops != NULL) {
		s->ops->usage(s->self, messagesp, bytesp);
	}
}

uint32_t
store_backlog(const struct store *s)
{
	OBJ_CHECK(s, STORE_MAGIC);
	return s->ops != NULL && AQB_HAS(s->ops, backlog)
	    ? s->ops->backlog(s->self)
	    : 0;
}

enum aqb_stored
store_class(const struct store *s, const struct aqb_limits *limits)
{
	if (s->ops == NULL || limits->history_size == 0) {
		return AQB_STORED_NONE;
	}
	return (enum aqb_stored)s->ops->stored;
}

const char *
store_name(const struct store *s)
{
	OBJ_CHECK(s, STORE_MAGIC);
	return s->name;
}

const char *
store_state(const struct store *s)
{
	OBJ_CHECK(s, STORE_MAGIC);
	return health_state_name(s->state);
}

uint32_t
store_caps(const struct store *s)
{
	OBJ_CHECK(s, STORE_MAGIC);
	return s->ops == NULL ? 0 : s->ops->caps;
}

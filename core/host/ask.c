/* SPDX-License-Identifier: Apache-2.0 */
#include "host/ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "host/metric.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "proto/msg.h"

#define DESK_MAGIC 0xe65d13fau

/*
 * A ticket is a slot's number and how often the slot has been used.  When a
 * question ends its slot moves on, and every copy of the old ticket, in
 * whatever hands, has become a stray.
 */
#define SLOT_BITS 24
#define SLOT_MASK (((aqb_ticket)1 << SLOT_BITS) - 1)
#define USE_MASK (((aqb_ticket)1 << 39) - 1) /* the top bit is never set */

struct slot {
	struct desk *desk;
	uint64_t use; /* never 0, so that no ticket is */
	uint32_t index;
	bool busy;
	bool answered;
	bool forgotten; /* nobody is to be told */
	enum aqb_err err;
	struct aqb_answer answer;
	struct aqb_msg **msgs;
	char *value;
	ask_check_f *check; /* or NULL */
	void *check_arg;
	ask_done_f *done;
	void *arg;
	struct timer deadline;
	TAILQ_ENTRY(slot) link; /* free, or answered and to be told */
};

TAILQ_HEAD(slot_list, slot);

/* Slots are allocated one by one, for timers point into them. */
struct desk {
	uint32_t magic;
	struct loop *loop;
	struct slot **slot;
	size_t slots;
	size_t cap;
	size_t open;
	bool posted;        /* answers will be told soon */
	struct timer again; /* when there was no memory to post */
	struct slot_list free;
	struct slot_list answered;
};

static void tell_all(void *arg);

struct desk *
desk_new(struct loop *loop)
{
	struct desk *d = xnew(sizeof *d);

	d->magic = DESK_MAGIC;
	d->loop = loop;
	timer_init(&d->again, tell_all, d);
	TAILQ_INIT(&d->free);
	TAILQ_INIT(&d->answered);
	return d;
}

static void
drop_answer(struct slot *s)
{
	for (size_t i = 0; i < s->answer.n; i++) {
		msg_unref(&s->msgs[i]);
	}
	free(s->msgs);
	free(s->value);
	s->msgs = NULL;
	s->value = NULL;
	s->answer.n = 0;
}

void
desk_free(struct desk **deskp)
{
	struct desk *d;

	if (*deskp == NULL) {
		return;
	}
	OBJ_TAKE(d, deskp, DESK_MAGIC);
	timer_stop(&d->again);
	for (size_t i = 0; i < d->slots; i++) {
		timer_stop(&d->slot[i]->deadline);
		drop_answer(d->slot[i]);
		free(d->slot[i]);
	}
	free(d->slot);
	d->magic = 0;
	free(d);
}

static aqb_ticket
ticket_of(const struct slot *s)
{
	return s->use << SLOT_BITS | s->index;
}

/* The slot is free again, and its ticket a stray. */
static void
release(struct slot *s)
{
	timer_stop(&s->deadline);
	s->busy = false;
	s->answered = false;
	s->forgotten = false;
	s->use = s->use % USE_MASK + 1;
	s->desk->open--;
	TAILQ_INSERT_HEAD(&s->desk->free, s, link);
}

static bool
is_early(const struct slot *s)
{
	return (s->answer.flags & AQB_ANSWER_EARLY) != 0;
}

/* End a question, or only tell an early answer to it.  The slot is freed
 * first: done() may ask the next one. */
static void
finish(struct slot *s, enum aqb_err err)
{
	struct slot was = *s;
	aqb_ticket ticket = ticket_of(s);
	struct aqb_answer *answer;

	s->msgs = NULL;
	s->value = NULL;
	s->answer.n = 0;
	if (err == AQB_OK && is_early(&was)) {
		s->answered = false;
	} else {
		release(s);
	}
	was.answer.msgs = was.msgs;
	was.answer.value.data = was.value;
	answer = err == AQB_OK ? &was.answer : NULL;
	if (was.check != NULL) {
		err = was.check(was.check_arg, ticket, err, answer);
	}
	if (!was.forgotten) {
		was.done(was.arg, err, err == AQB_OK ? answer : NULL);
	}
	drop_answer(&was);
}

static void
on_deadline(void *arg)
{
	struct slot *s = arg;

	OBJ_CHECK(s->desk, DESK_MAGIC);
	assert(s->busy && !s->answered);
	s->answer = (struct aqb_answer){ .size = sizeof s->answer };
	finish(s, AQB_ETIMEDOUT);
}

static void
tell_all(void *arg)
{
	struct desk *d;
	struct slot_list now = TAILQ_HEAD_INITIALIZER(now);
	struct slot *s;

	OBJ_CAST(d, arg, DESK_MAGIC);
	d->posted = false;
	TAILQ_CONCAT(&now, &d->answered, link);
	while ((s = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, s, link);
		finish(s, s->err);
	}
}

static struct slot *
new_slot(struct desk *d)
{
	struct slot *s;

	if (d->slots == DESK_QUESTIONS_MAX ||
	    !try_grow(&d->slot, &d->cap, d->slots + 1, sizeof *d->slot)) {
		return NULL;
	}
	s = try_new(sizeof *s);
	if (s == NULL) {
		return NULL;
	}
	s->desk = d;
	s->use = 1;
	s->index = (uint32_t)d->slots;
	timer_init(&s->deadline, on_deadline, s);
	d->slot[d->slots++] = s;
	return s;
}

aqb_ticket
desk_ask(struct desk *d, uint64_t timeout, ask_done_f *done, void *arg)
{
	return desk_ask_checked(d, timeout, NULL, NULL, done, arg);
}

aqb_ticket
desk_ask_checked(struct desk *d, uint64_t timeout, ask_check_f *check,
    void *check_arg, ask_done_f *done, void *arg)
{
	struct slot *s;

	OBJ_CHECK(d, DESK_MAGIC);
	s = TAILQ_FIRST(&d->free);
	if (s != NULL) {
		TAILQ_REMOVE(&d->free, s, link);
	} else if ((s = new_slot(d)) == NULL) {
		return 0;
	}
	s->busy = true;
	s->check = check;
	s->check_arg = check_arg;
	s->done = done;
	s->arg = arg;
	d->open++;
	if (timeout > 0) {
		timer_set(d->loop, &s->deadline, timeout);
	}
	return ticket_of(s);
}

/* The question of this ticket, if it is open. */
static struct slot *
find(struct desk *d, aqb_ticket ticket)
{
	size_t i = ticket & SLOT_MASK;
	struct slot *s;

	if (i >= d->slots) {
		return NULL;
	}
	s = d->slot[i];
	return s->busy && s->use == ticket >> SLOT_BITS ? s : NULL;
}

void
desk_set_deadline(struct desk *d, aqb_ticket ticket, uint64_t timeout)
{
	struct slot *s;

	OBJ_CHECK(d, DESK_MAGIC);
	s = find(d, ticket);
	if (s != NULL && !s->answered) {
		timer_set(d->loop, &s->deadline, timeout);
	}
}

void
desk_end(struct desk *d, aqb_ticket ticket)
{
	struct slot *s;

	OBJ_CHECK(d, DESK_MAGIC);
	s = find(d, ticket);
	if (s == NULL) {
		return;
	}
	if (s->answered) {
		/* It was answered twice, and waits to be told: it cannot be
		 * released before. */
		metric_add(METRIC_STRAY_ANSWERS_TOTAL, 1);
		s->forgotten = true;
		s->check = NULL;
		s->answer.flags = 0;
		return;
	}
	release(s);
}

void
desk_forget(struct desk *d, aqb_ticket ticket)
{
	struct slot *s;

	OBJ_CHECK(d, DESK_MAGIC);
	s = find(d, ticket);
	if (s != NULL) {
		s->forgotten = true;
	}
}

/* Nothing here reads what the plugin says is not there. */
static bool
makes_sense(enum aqb_err err, const struct aqb_answer *answer)
{
	if (err > AQB_OK || err < AQB_ESYS) {
		return false;
	}
	if (answer == NULL) {
		return true;
	}
	if (answer->size < sizeof *answer || answer->n > DESK_MESSAGES_MAX ||
	    (answer->n > 0 && answer->msgs == NULL) ||
	    answer->value.len > DESK_VALUE_MAX ||
	    (answer->value.len > 0 && answer->value.data == NULL)) {
		return false;
	}
	for (size_t i = 0; i < answer->n; i++) {
		if (answer->msgs[i] == NULL) {
			return false;
		}
	}
	return true;
}

static bool
copy_value(struct slot *s, const struct aqb_answer *answer)
{
	s->answer.value = (struct aqb_slice){ NULL, 0 };
	if (answer->value.len == 0) {
		return true;
	}
	s->value = try_strndup(answer->value.data, answer->value.len);
	s->answer.value.len = s->value == NULL ? 0 : answer->value.len;
	return s->value != NULL;
}

static bool
copy_answer(struct slot *s, const struct aqb_answer *answer)
{
	s->answer = *answer;
	s->answer.n = 0;
	s->answer.msgs = NULL;
	if (!copy_value(s, answer)) {
		return false;
	}
	if (answer->n == 0) {
		return true;
	}
	s->msgs = try_new(answer->n * sizeof(struct aqb_msg *));
	if (s->msgs == NULL) {
		return false;
	}
	for (size_t i = 0; i < answer->n; i++) {
		s->msgs[i] = msg_ref(answer->msgs[i]);
	}
	s->answer.n = answer->n;
	return true;
}

/* Tell when the loop is back, all that has come till then at once. */
static void
tell_later(struct desk *d)
{
	if (d->posted) {
		return;
	}
	d->posted = true;
	if (!loop_post(d->loop, tell_all, d)) {
		timer_set(d->loop, &d->again, 1);
	}
}

enum desk_take
desk_answer(struct desk *d, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	static const struct aqb_answer nothing = { .size = sizeof nothing };
	enum desk_take take = DESK_TAKEN;
	bool replaces; /* an early answer that was not told yet */
	struct slot *s;

	OBJ_CHECK(d, DESK_MAGIC);
	s = find(d, ticket);
	replaces = s != NULL && s->answered && is_early(s);
	if (s == NULL || (s->answered && !replaces)) {
		metric_add(METRIC_STRAY_ANSWERS_TOTAL, 1);
		return DESK_STRAY;
	}
	if (!makes_sense(err, answer)) {
		metric_add(METRIC_GARBAGE_TOTAL, 1);
		take = DESK_GARBAGE;
		err = AQB_EUNCERTAIN;
	}
	if (err != AQB_OK || answer == NULL) {
		answer = &nothing;
	}
	if (replaces) {
		drop_answer(s);
	}
	s->err = copy_answer(s, answer) ? err : AQB_ENOMEM;
	s->answered = true;
	timer_stop(&s->deadline);
	if (!replaces) {
		TAILQ_INSERT_TAIL(&d->answered, s, link);
		tell_later(d);
	}
	return take;
}

size_t
desk_open(const struct desk *d)
{
	OBJ_CHECK(d, DESK_MAGIC);
	return d->open;
}

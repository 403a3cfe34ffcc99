/* SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <arqonbus/host.h>

#include "clock.h"
#include "stream.h"

/* Sanitizers are to see each come and go. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPARES_MAX 0
#else
#define SPARES_MAX 1024
#endif

void
spool_init(struct spool *s)
{
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->written);
	TAILQ_INIT(&s->held);
	TAILQ_INIT(&s->spare);
}

void
spool_fini(struct spool *s)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&s->spare)) != NULL) {
		TAILQ_REMOVE(&s->spare, e, link);
		free(e);
	}
	s->spares = 0;
}

/* Zeroed, as calloc's; they come and go many a second. */
static struct entry *
take_spare(struct spool *s)
{
	struct entry *e = TAILQ_FIRST(&s->spare);

	if (e == NULL) {
		return calloc(1, sizeof *e);
	}
	TAILQ_REMOVE(&s->spare, e, link);
	s->spares--;
	memset(e, 0, sizeof *e);
	return e;
}

static void
give_back(struct spool *s, struct entry *e)
{
	if (s->spares == SPARES_MAX) {
		free(e);
		return;
	}
	TAILQ_INSERT_HEAD(&s->spare, e, link);
	s->spares++;
}

uint32_t
spool_fill(const struct spool *s, uint64_t messages, uint64_t bytes)
{
	uint64_t of_messages =
	    (s->messages - s->excused_messages) * 100 / messages;
	uint64_t of_bytes = (s->bytes - s->excused_bytes) * 100 / bytes;

	return (uint32_t)(of_messages > of_bytes ? of_messages : of_bytes);
}

struct entry *
spool_add(struct spool *s, const struct aqb_host *host, struct stream *stream,
    struct aqb_msg *msg)
{
	struct entry *e = take_spare(s);
	struct aqb_msg_view view;

	if (e == NULL) {
		return NULL;
	}
	e->stream = stream;
	e->number = ++s->next;
	e->since = clock_ms();
	e->bytes = sizeof *e;
	if (msg != NULL) {
		e->msg = host->msg_ref(msg);
		host->msg_view(msg, &view);
		e->bytes += view.bytes;
	}
	s->messages++;
	s->bytes += e->bytes;
	TAILQ_INSERT_TAIL(&s->waiting, e, link);
	TAILQ_INSERT_TAIL(&stream->entries, e, stream_link);
	if (stream->next == NULL) {
		stream->next = e;
	}
	return e;
}

static void
leave_list(struct spool *s, struct entry *e)
{
	if (e->state == ENTRY_STORED) {
		TAILQ_REMOVE(&s->held, e, link);
		s->held_messages--;
		s->held_bytes -= e->bytes;
		return;
	}
	if (e->state == ENTRY_WRITTEN) {
		TAILQ_REMOVE(&s->written, e, link);
		s->written_messages--;
		e->stream->written--;
	} else {
		TAILQ_REMOVE(&s->waiting, e, link);
	}
	s->messages--;
	s->bytes -= e->bytes;
	if (e->is_excused) {
		e->is_excused = false;
		s->excused_messages--;
		s->excused_bytes -= e->bytes;
	}
}

void
spool_excuse(struct spool *s, struct entry *e)
{
	if (!e->is_excused) {
		e->is_excused = true;
		s->excused_messages++;
		s->excused_bytes += e->bytes;
	}
}

void
spool_await(struct spool *s, struct entry *e)
{
	assert(e->state == ENTRY_WAITING || e->state == ENTRY_SENT);
	leave_list(s, e);
	if (e->stream->next == e) {
		e->stream->next = spool_next(e);
	}
	e->state = ENTRY_WRITTEN;
	e->since = clock_ms();
	TAILQ_INSERT_TAIL(&s->written, e, link);
	s->written_messages++;
	e->stream->written++;
	s->messages++;
	s->bytes += e->bytes;
}

void
spool_hold(struct spool *s, struct entry *e)
{
	assert(e->state != ENTRY_STORED);
	leave_list(s, e);
	e->state = ENTRY_STORED;
	e->since = clock_ms();
	TAILQ_INSERT_TAIL(&s->held, e, link);
	s->held_messages++;
	s->held_bytes += e->bytes;
}

void
spool_unhold(struct spool *s, struct entry *e)
{
	bool is_waited_for = e->state == ENTRY_WRITTEN;

	assert(e->state == ENTRY_STORED || is_waited_for);
	leave_list(s, e);
	e->state = ENTRY_WAITING;
	if (is_waited_for) {
		TAILQ_INSERT_HEAD(&s->waiting, e, link); /* by their age */
	} else {
		TAILQ_INSERT_TAIL(&s->waiting, e, link);
		spool_excuse(s, e);
	}
	s->messages++;
	s->bytes += e->bytes;
}

struct entry *
spool_next(const struct entry *e)
{
	struct entry *next = TAILQ_NEXT(e, stream_link);

	while (next != NULL && next->state != ENTRY_WAITING) {
		next = TAILQ_NEXT(next, stream_link);
	}
	return next;
}

void
spool_drop(struct spool *s, const struct aqb_host *host, struct entry **ep)
{
	struct entry *e = *ep;

	*ep = NULL;
	leave_list(s, e);
	if (e->stream->next == e) {
		e->stream->next = spool_next(e);
	}
	TAILQ_REMOVE(&e->stream->entries, e, stream_link);
	host->msg_unref(&e->msg);
	give_back(s, e);
}

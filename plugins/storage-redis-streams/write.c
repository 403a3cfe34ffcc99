/* SPDX-License-Identifier: Apache-2.0 */
#include "write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "away.h"
#include "dedupe.h"
#include "digits.h"
#include "hold.h"
#include "redis.h"
#include "replica.h"
#include "words.h"

#define DUE_MAX 4096           /* replies */
#define BACKLOG_MAX (4u << 20) /* bytes not written yet */
#define AT_ONCE 64             /* of one stream, then another's turn */
#define ENTRY_ID_SIZE (2 * DIGITS_MAX + 2)

static redisCallbackFn on_stored;
static redisCallbackFn on_deleted;

void
write_work(struct redis *r, struct stream *s)
{
	if (!s->has_work && s->next != NULL) {
		s->has_work = true;
		TAILQ_INSERT_TAIL(&r->streams.working, s, work);
		write_pump(r);
	}
}

/* Give it the next place of its stream. */
static void
place(struct redis *r, struct entry *e)
{
	struct stream *s = e->stream;

	if (e->seq == 0) {
		s->era = s->is_provisional ? 0 : r->era;
		e->era = s->era;
		e->seq = ++s->seq;
		e->is_provisional = s->is_provisional;
		s->is_ahead = s->is_ahead || e->is_volatile;
	}
}

static void
answer(struct redis *r, struct entry *e, enum aqb_stored stored, uint32_t flags)
{
	struct aqb_answer a = {
		.size = sizeof a,
		.stored = stored,
		.flags = flags,
	};

	if (e->ticket == 0) {
		return;
	}
	stream_position(e->stream, e->era, e->seq, &a.pos);
	r->host->answer(r->host, e->ticket, AQB_OK, &a);
	if ((flags & AQB_ANSWER_EARLY) == 0) {
		e->ticket = 0;
	}
}

static void
drop(struct redis *r, struct entry **ep)
{
	spool_drop(&r->spool, r->host, ep);
}

/* May it be stored, as far as we know? */
static bool
is_uncertain(const struct entry *e)
{
	return e->is_in_doubt || e->was_stored || e->is_repeat;
}

/* What is to be said of one that is not stored from here. */
static enum aqb_err
refusal(struct redis *r, const struct entry *e)
{
	if (is_uncertain(e)) {
		dedupe_doubt(r, e);
		return AQB_EUNCERTAIN;
	}
	return e->was_looked_up
	    ? AQB_EUNAVAIL
	    : dedupe_refusal(r, e->stream->name, e->msg, e->dedupe_window);
}

/* It will not be stored. */
static void
refuse(struct redis *r, struct entry **ep, enum aqb_err err)
{
	struct entry *e = *ep;

	*ep = NULL;
	redis_fail(r, e->ticket, err);
	redis_add(r, r->metrics.refused, 1);
	drop(r, &e);
}

/* What was told is what may be read. */
static void
told(struct stream *s, const struct entry *e)
{
	if (e->life == s->life && e->seq > s->answered) {
		s->answered = e->seq;
	}
}

/* Let it go before it is stored. */
static void
go_early(struct redis *r, struct entry *e)
{
	place(r, e);
	e->is_early = true;
	told(e->stream, e);
}

/* A place is all it needs. */
static void
finish_volatile(struct redis *r, struct entry **ep)
{
	place(r, *ep);
	told((*ep)->stream, *ep);
	answer(r, *ep, AQB_STORED_NONE, 0);
	drop(r, ep);
}

static struct entry *
make_entry(struct redis *r, aqb_ticket ticket, struct stream *s,
    const struct aqb_limits *limits, struct aqb_msg *msg)
{
	struct entry *e = spool_add(&r->spool, r->host, s, msg);

	if (e == NULL) {
		return NULL;
	}
	e->ticket = ticket;
	e->life = s->life;
	e->history_size = limits->history_size;
	e->history_ttl = limits->history_ttl;
	e->dedupe_window = limits->dedupe_window;
	e->is_volatile = limits->history_size == 0 ||
	    limits->durability == AQB_DURABLE_EPHEMERAL;
	e->needs_replicas = limits->durability == AQB_DURABLE_REPLICATED &&
	    r->replicas.link != NULL && !e->is_volatile;
	e->was_looked_up =
	    !dedupe_must_look(r, s->name, msg, limits->dedupe_window);
	s->history_size = limits->history_size;
	s->history_ttl = limits->history_ttl;
	return e;
}

int
write_append(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp)
{
	struct stream *s = stream_get(r, name);
	struct entry *e;

	if (s == NULL) {
		return AQB_ENOMEM;
	}
	stream_open(r, s);
	if (r->is_ousted || s->state == STREAM_CONFLICT ||
	    redis_backlog(r) >= 100) {
		redis_add(r, r->metrics.refused, 1);
		return dedupe_refusal(r, name, msg, limits->dedupe_window);
	}
	e = make_entry(r, ticket, s, limits, msg);
	if (e == NULL) {
		return AQB_ENOMEM;
	}
	if (away_is_early(r)) {
		stream_improvise(r, s);
		go_early(r, e);
		stream_position(s, e->era, e->seq, posp);
		if (e->is_volatile) {
			drop(r, &e);
			return AQB_DONE;
		}
		write_work(r, s);
		return AQB_EARLY;
	}
	if (e->is_volatile && s->state == STREAM_OPEN && s->next == e &&
	    s->written == 0) {
		place(r, e);
		told(s, e);
		stream_position(s, e->era, e->seq, posp);
		drop(r, &e);
		return AQB_DONE;
	}
	write_work(r, s);
	return AQB_PENDING;
}

int
write_forget(struct redis *r, aqb_ticket ticket, const char *name)
{
	struct stream *s = stream_get(r, name);
	struct entry *e =
	    s == NULL ? NULL : spool_add(&r->spool, r->host, s, NULL);

	if (e == NULL) {
		return AQB_ENOMEM;
	}
	e->ticket = ticket;
	e->was_looked_up = true;
	stream_open(r, s);
	if (r->is_away) {
		/* It will be done; nobody need wait for it. */
		redis_fail(r, e->ticket, AQB_OK);
		e->ticket = 0;
	}
	write_work(r, s);
	return AQB_OK;
}

/*
 * XADD, and where the sender chose the id, SET of a key that says for a while
 * where its message is; both or neither.
 */
static const char publish_script[] =
    "local id "
    "if ARGV[4] == '1' then "
    "id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[2], "
    "ARGV[1], unpack(ARGV, 5)) "
    "else "
    "id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], ARGV[1], "
    "unpack(ARGV, 5)) "
    "end "
    "if id then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3]) end "
    "return id";

/* The id of a stream's entry: era-seq. */
static void
put_id(char id[ENTRY_ID_SIZE], const struct entry *e)
{
	char *p = put_digits(id, e->era);

	*p++ = '-';
	*put_digits(p, e->seq) = '\0';
}

static bool
send_append(struct redis *r, struct entry *e)
{
	struct stream *s = e->stream;
	struct aqb_msg_view v;
	struct words w;
	char id[ENTRY_ID_SIZE];
	char key[DEDUPE_KEY_SIZE];

	words_init(&w);
	r->host->msg_view(e->msg, &v);
	put_id(id, e);
	if ((v.flags & AQB_MSG_GIVEN_ID) != 0 && e->dedupe_window > 0) {
		words_add(&w, "EVAL");
		words_add_bytes(&w, publish_script, sizeof publish_script - 1);
		words_add(&w, "2");
		words_add(&w, s->key);
		words_add(&w, dedupe_key(r, s->name, &v, key));
		words_add(&w, id);
		words_add_number(&w, e->history_size);
		words_add_number(&w, e->dedupe_window);
		words_add(&w, s->exists ? "1" : "0");
	} else {
		words_add(&w, "XADD");
		words_add(&w, s->key);
		if (s->exists) {
			words_add(&w, "NOMKSTREAM");
		}
		words_add(&w, "MAXLEN");
		words_add(&w, "~");
		words_add_number(&w, e->history_size);
		words_add(&w, id);
	}
	words_add_message(&w, &v);
	return link_send(r->write, on_stored, e, w.n, w.text, w.len);
}

static bool
send_delete(struct redis *r, struct entry *e)
{
	struct stream *s = e->stream;
	const char *words[] = { "DEL", s->key, s->meta_key };
	struct entry *after = TAILQ_NEXT(e, stream_link);

	if (!link_say(r->write, on_deleted, e, 3, words)) {
		return false;
	}
	s->exists = s->is_confirmed = false;
	s->life++;
	hold_forget(r, s);
	for (; after != NULL; after = TAILQ_NEXT(after, stream_link)) {
		after->life = s->life;
		s->first = after->seq > 0 && s->first > after->seq ? after->seq
								   : s->first;
	}
	if (TAILQ_NEXT(e, stream_link) == NULL) {
		s->seq = s->answered = 0;
		s->first = 1;
	}
	stream_new_epoch(r, s);
	return true;
}

/* There is nothing to send, but it may have to wait for replicas. */
static void
wait_its_turn(struct redis *r, struct entry *e)
{
	if (!e->is_repeat) {
		place(r, e);
	}
	replica_await(r, e);
}

/* Send the next of a stream; false when that cannot be now. */
static bool
send_next(struct redis *r, struct stream *s)
{
	struct entry *e = s->next;
	bool sent;

	if (e->msg != NULL && e->is_volatile && s->written == 0) {
		finish_volatile(r, &e); /* moves s->next on */
		return true;
	}
	if ((e->msg != NULL && e->is_volatile) || e->is_repeat) {
		wait_its_turn(r, e); /* likewise */
		return true;
	}
	if (!e->was_looked_up) {
		s->looking = dedupe_look(r, e);
		return false;
	}
	if (e->msg == NULL) {
		sent = send_delete(r, e);
	} else {
		place(r, e);
		sent = send_append(r, e);
		if (sent) {
			stream_refresh(r, s);
		}
	}
	if (sent) {
		e->state = ENTRY_SENT;
		s->sent++;
		s->next = spool_next(e);
	}
	return sent;
}

/* May it send now, and has it what to? */
static bool
can_send(struct redis *r, struct stream *s)
{
	if (s->resend && s->sent > 0) {
		return false; /* first let the rest come back */
	}
	s->resend = false;
	if (s->state != STREAM_OPEN) {
		stream_open(r, s);
		return false;
	}
	return s->next != NULL && !s->looking;
}

void
write_pump(struct redis *r)
{
	struct stream *s;

	if (!redis_is_present(r) || r->busy_until > clock_ms()) {
		return;
	}
	while ((s = TAILQ_FIRST(&r->streams.working)) != NULL &&
	    link_due(r->write) < DUE_MAX &&
	    link_backlog(r->write) < BACKLOG_MAX) {
		bool more = true;

		TAILQ_REMOVE(&r->streams.working, s, work);
		s->has_work = false;
		for (int i = 0; more && i < AT_ONCE; i++) {
			more = can_send(r, s) && send_next(r, s);
		}
		if (more && s->next != NULL) {
			s->has_work = true;
			TAILQ_INSERT_TAIL(&r->streams.working, s, work);
		}
	}
}

/* It has to be sent once more. */
static void
rewind_to(struct entry *e)
{
	struct stream *s = e->stream;

	e->state = ENTRY_WAITING;
	if (s->next == NULL || e->number < s->next->number) {
		s->next = e;
	}
	s->resend = s->is_look_late = true;
}

static void
refused(struct redis *r, struct entry *e, const redisReply *reply,
    enum reply_class class)
{
	struct stream *s = e->stream;

	switch (class) {
	case REPLY_CONFLICT:
		s->state = STREAM_CONFLICT;
		r->host->log(r->host, AQB_ERROR, "%s: %.200s", s->key,
		    reply_text(reply));
		redis_add(r, r->metrics.foreign, 1);
		refuse(r, &e, AQB_EUNAVAIL);
		if (s->sent == 0) {
			write_refuse_all(r, s);
		}
		return;
	case REPLY_ELSEWHERE:
	case REPLY_FORBIDDEN:
		link_drop(r->write, class == REPLY_FORBIDDEN ? BUSY_MAX_MS : 0,
		    "%.150s", reply_text(reply));
		break;
	default:
		away_while_busy(r, reply);
	}
	e->was_refused = true;
	rewind_to(e);
}

/* The stream was deleted under us: what comes is of another. */
static void
stream_is_gone(struct redis *r, struct entry *e)
{
	struct stream *s = e->stream;

	if (s->exists) {
		s->exists = s->is_confirmed = false;
		r->host->log(r->host, AQB_WARNING,
		    "%s was deleted by somebody; it begins again", s->key);
		if (e->was_stored) {
			stream_write_epoch(r, s); /* all of it is held */
		} else {
			stream_new_epoch(r, s);
		}
		s->first = e->seq;
	}
	rewind_to(e);
}

/* What is answered here comes after all of its stream that came before it. */
static bool
must_wait(const struct entry *e)
{
	return e->life == e->stream->life &&
	    (e->stream->written > 0 || (e->needs_replicas && e->ticket != 0));
}

void
write_finish(struct redis *r, struct entry *e, enum aqb_stored stored)
{
	if (e->needs_replicas && e->ticket != 0 &&
	    stored != AQB_STORED_REPLICATED) {
		redis_fail(r, e->ticket, AQB_EUNCERTAIN);
		redis_add(r, r->metrics.unreplicated, 1);
		e->ticket = 0;
		dedupe_doubt(r, e);
	}
	if (e->is_repeat) {
		dedupe_tell(r, &e, stored);
		return;
	}
	told(e->stream, e);
	answer(r, e, e->is_volatile ? AQB_STORED_NONE : stored, 0);
	if (r->conf->hold == 0 || e->is_volatile ||
	    e->life != e->stream->life) {
		drop(r, &e);
	} else {
		hold_add(r, e);
	}
}

/* It is in Redis. */
static void
stored(struct redis *r, struct entry *e)
{
	struct stream *s = e->stream;

	if (r->busy_wait > 0) {
		r->busy_wait = 0;
		away_is_over(r); /* and will not be soon */
	}
	s->is_confirmed = s->exists;
	if (r->drain != 0 && e->number >= r->drain) {
		r->drain = 0;
	}
	if (!e->was_stored) {
		redis_add(r, r->metrics.appended, 1);
	}
	if (e->ticket == 0 && !e->was_stored) {
		dedupe_doubt(r, e);
	}
	e->was_refused = e->is_in_doubt = false;
	if (must_wait(e)) {
		replica_await(r, e);
	} else {
		write_finish(r, e, r->stored_class);
	}
}

/* There is something at this place already. */
static void
is_behind(struct redis *r, struct entry *e, const redisReply *reply)
{
	bool is_open = e->was_stored ? e->ticket != 0 : e->is_in_doubt;

	if (is_open && e->was_refused) {
		dedupe_doubt(r, e);
		refuse(r, &e, AQB_EUNCERTAIN); /* it, or another */
	} else if (e->was_stored || e->is_in_doubt) {
		stored(r, e); /* it is itself */
	} else if (e->was_refused) {
		refuse(r, &e, AQB_EUNAVAIL); /* others took its place */
	} else {
		refused(r, e, reply, REPLY_CONFLICT);
	}
}

static void
on_stored(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct entry *e = arg;
	struct stream *s = e->stream;
	enum reply_class class = reply_class(reply);

	s->sent--;
	if (reply == NULL) {
		e->is_in_doubt = true;
		rewind_to(e);
		return;
	}
	if (class == REPLY_BEHIND) {
		is_behind(r, e, reply);
	} else if (class != REPLY_FINE) {
		refused(r, e, reply, class);
	} else if (reply->type == REDIS_REPLY_NIL) {
		stream_is_gone(r, e);
	} else {
		if (e->was_stored) {
			redis_add(r, r->metrics.repaired, 1);
		}
		stored(r, e);
	}
	if (r->is_away && r->busy_wait == 0) {
		away_is_over(r);
	}
	write_work(r, s);
	write_pump(r);
}

static void
on_deleted(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct entry *e = arg;
	struct stream *s = e->stream;
	enum reply_class class = reply_class(reply);

	s->sent--;
	if (reply == NULL) {
		e->is_in_doubt = true;
		rewind_to(e);
		return;
	}
	if (class != REPLY_FINE) {
		refused(r, e, reply, class);
	} else {
		redis_fail(r, e->ticket, AQB_OK);
		drop(r, &e);
	}
	write_work(r, s);
	write_pump(r);
}

void
write_refuse_all(struct redis *r, struct stream *s)
{
	struct entry *e, *next;

	for (e = s->next; e != NULL; e = next) {
		next = TAILQ_NEXT(e, stream_link);
		if (e->state == ENTRY_WAITING) {
			refuse(r, &e, refusal(r, e));
		}
	}
}

void
write_refuse_everything(struct redis *r)
{
	struct stream *s;

	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		write_refuse_all(r, s);
	}
}

/* Redis has lost what it had said was stored, perhaps: again, from the
 * oldest that is held. */
static void
unhold_all(struct redis *r)
{
	struct entry *e;

	while ((e = TAILQ_LAST(&r->spool.written, entry_list)) != NULL ||
	    (e = TAILQ_FIRST(&r->spool.held)) != NULL) {
		spool_unhold(&r->spool, e);
		if (!e->is_repeat) {
			e->was_stored = true;
			redis_add(r, r->metrics.replayed, 1);
		}
		rewind_to(e);
	}
}

/* What was found before may be lost: it is looked for again. */
static void
forget_found(struct redis *r)
{
	struct entry *e;

	TAILQ_FOREACH (e, &r->spool.waiting, link) {
		if (e->is_repeat) {
			e->is_repeat = e->was_looked_up = false;
		}
	}
}

void
write_resume(struct redis *r, bool rolled_back)
{
	struct stream *s;

	if (rolled_back) {
		unhold_all(r);
	}
	forget_found(r);
	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		s->resend = false;
		s->looking = false;
		s->exists = s->is_confirmed;
		s->noted_size = 0; /* perhaps Redis has lost it */
	}
	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		if (!TAILQ_EMPTY(&s->questions)) {
			stream_open(r, s);
		}
		write_work(r, s);
	}
	write_pump(r);
}

void
write_go_early(struct redis *r)
{
	struct stream *s;

	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		struct entry *e, *next;

		if (s->next == NULL && s->sent == 0 && s->written == 0 &&
		    TAILQ_EMPTY(&s->questions)) {
			continue;
		}
		stream_improvise(r, s);
		stream_tell(r, s, AQB_OK);
		for (e = TAILQ_FIRST(&s->entries); e != NULL; e = next) {
			next = TAILQ_NEXT(e, stream_link);
			if (e->msg == NULL || e->state == ENTRY_STORED ||
			    e->is_early || (e->was_stored && e->ticket == 0)) {
				continue;
			}
			if (e->is_repeat) {
				write_finish(r, e, r->stored_class);
				continue;
			}
			if (e->is_volatile) {
				finish_volatile(r, &e);
				continue;
			}
			go_early(r, e);
			answer(r, e, AQB_STORED_NONE, AQB_ANSWER_EARLY);
		}
	}
}

/* Strict: whoever waits for Redis waits so long and no longer. */
static void
give_up_the_old(struct redis *r)
{
	uint64_t now = clock_ms();
	uint64_t patience = away_patience(r);
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&r->spool.waiting); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->since + patience > now) {
			if (e->was_stored && e->ticket != 0) {
				continue; /* it came before it was written */
			}
			break; /* the rest is younger, but for what is sent
				* again, which nobody waits for */
		}
		if (e->ticket == 0 || e->state == ENTRY_SENT || e->is_early) {
			continue;
		}
		if (is_uncertain(e)) {
			redis_fail(r, e->ticket, refusal(r, e));
			e->ticket = 0;
			spool_excuse(&r->spool, e);
		} else {
			refuse(r, &e, refusal(r, e));
		}
	}
}

void
write_tick(struct redis *r)
{
	if (r->mode == MODE_STRICT) {
		give_up_the_old(r);
	}
	hold_release(r, SIZE_MAX);
	write_pump(r);
}

void
write_fini(struct redis *r)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&r->spool.waiting)) != NULL ||
	    (e = TAILQ_FIRST(&r->spool.written)) != NULL ||
	    (e = TAILQ_FIRST(&r->spool.held)) != NULL) {
		drop(r, &e);
	}
	spool_fini(&r->spool);
}

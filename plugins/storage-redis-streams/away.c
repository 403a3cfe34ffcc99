/* SPDX-License-Identifier: Apache-2.0 */
#include "away.h"

#include <event2/event.h>

#include "redis.h"
#include "write.h"

#define BUSY_MIN_MS 50
#define BUSY_GIVE_UP_MS 10000

static void
refuse_questions(struct redis *r)
{
	struct stream *s;

	for (s = r->streams.by_name; s != NULL; s = s->hh.next) {
		stream_tell(r, s, AQB_EUNAVAIL);
	}
}

static void
on_away(evutil_socket_t fd, short what, void *arg)
{
	struct redis *r = arg;

	(void)fd;
	(void)what;
	if (r->is_away) {
		return;
	}
	r->is_away = true;
	redis_set(r, r->metrics.away, 1);
	if (r->mode == MODE_STRICT) {
		r->host->log(r->host, AQB_WARNING,
		    "Redis is away (%s); messages wait",
		    link_is_ready(r->write) ? "busy" : link_why(r->write));
		refuse_questions(r);
		return;
	}
	r->host->log(r->host, AQB_WARNING,
	    "Redis is away (%s); messages are delivered before they are "
	    "stored",
	    link_is_ready(r->write) ? "busy" : link_why(r->write));
	write_go_early(r);
}

int
away_init(struct redis *r)
{
	r->away_timer = evtimer_new(r->base, on_away, r);
	return r->away_timer == NULL ? AQB_ENOMEM : AQB_OK;
}

void
away_fini(struct redis *r)
{
	if (r->away_timer != NULL) {
		event_free(r->away_timer);
		r->away_timer = NULL;
	}
}

void
away_soon(struct redis *r)
{
	const struct timeval wait = {
		.tv_sec = (time_t)(r->conf->away_after / 1000),
		.tv_usec = (suseconds_t)(r->conf->away_after % 1000 * 1000),
	};

	if (!r->is_away && !evtimer_pending(r->away_timer, NULL)) {
		evtimer_add(r->away_timer, &wait);
	}
}

void
away_is_over(struct redis *r)
{
	size_t waiting;

	evtimer_del(r->away_timer);
	if (!r->is_away) {
		return;
	}
	r->is_away = false;
	waiting = r->spool.messages - r->spool.written_messages;
	r->drain = waiting > 0 ? r->spool.next : 0;
	redis_set(r, r->metrics.away, 0);
	r->host->log(r->host, AQB_INFO,
	    "Redis is back; %zu messages wait to be stored", waiting);
}

uint64_t
away_patience(const struct redis *r)
{
	return r->busy_wait > 0 && r->conf->spool_wait > BUSY_GIVE_UP_MS
	    ? BUSY_GIVE_UP_MS
	    : r->conf->spool_wait;
}

bool
away_is_early(const struct redis *r)
{
	return r->mode == MODE_DEGRADED && (r->is_away || r->drain != 0);
}

void
away_while_busy(struct redis *r, const redisReply *reply)
{
	r->busy_wait = r->busy_wait == 0 ? BUSY_MIN_MS : 2 * r->busy_wait;
	if (r->busy_wait > BUSY_MAX_MS) {
		r->busy_wait = BUSY_MAX_MS;
	}
	if (r->busy_until <= clock_ms()) {
		r->host->log(r->host, AQB_WARNING, "Redis refuses: %.200s",
		    reply_text(reply));
	}
	r->busy_until = clock_ms() + r->busy_wait;
	away_soon(r);
}

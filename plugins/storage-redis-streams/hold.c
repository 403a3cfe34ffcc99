/* SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include "redis.h"
#include "write.h"

#define RELEASED_AT_ONCE 2 /* for each that comes: all at once take long */

bool
hold_is_safe(const struct redis *r, uint64_t since)
{
	return r->conf->hold == 0 ||
	    (since + r->conf->hold <= clock_ms() &&
		(!r->has_aof || since < r->flushed));
}

void
hold_add(struct redis *r, struct entry *e)
{
	hold_release(r, RELEASED_AT_ONCE);
	spool_hold(&r->spool, e); /* for a while, whatever there is room for */
}

void
hold_release(struct redis *r, size_t most)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&r->spool.held)) != NULL) {
		bool is_safe = hold_is_safe(r, e->since);
		bool is_over = r->spool.held_bytes > r->conf->hold_size;

		if (!is_over && (!is_safe || most-- == 0)) {
			break;
		}
		if (!is_safe) {
			redis_add(r, r->metrics.hold_short, 1);
		}
		spool_drop(&r->spool, r->host, &e);
	}
}

void
hold_forget(struct redis *r, struct stream *s)
{
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&s->entries); e != NULL; e = next) {
		next = TAILQ_NEXT(e, stream_link);
		if (e->state == ENTRY_STORED) {
			spool_drop(&r->spool, r->host, &e);
		} else if (e->state == ENTRY_WRITTEN) {
			write_finish(r, e, r->stored_class);
		}
	}
}

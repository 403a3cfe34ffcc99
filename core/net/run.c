/* SPDX-License-Identifier: Apache-2.0 */
#include "net/run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/series.h"
#include "proto/msg.h"

#define CHUNK_CAP (64u * 1024u)
#define POOL_MAX 64 /* free chunks kept: 4 MiB */

static void
count(struct pool *pool, int64_t bytes)
{
	count_add(pool->bytes, (uint64_t)bytes);
}

struct chunk *
chunk_new(struct pool *pool, size_t cap)
{
	struct chunk *c = NULL;

	if (cap > UINT32_MAX) {
		return NULL;
	}
	if (cap == CHUNK_CAP && pool->free != NULL) {
		c = pool->free;
		pool->free = c->next;
		pool->free_count--;
	} else {
		c = malloc(sizeof *c + cap);
		if (c == NULL) {
			return NULL;
		}
	}
	c->refs = 1;
	c->len = 0;
	c->cap = (uint32_t)cap;
	c->marks = 0;
	c->mark = NULL;
	c->mark_cap = 0;
	c->pool = pool;
	c->next = NULL;
	c->msg = NULL;
	c->data = c->own;
	count(pool, c->cap);
	return c;
}

struct chunk *
chunk_of_msg(struct pool *pool, struct aqb_msg *msg)
{
	struct aqb_slice frame = msg_frame(msg);
	struct chunk *c = chunk_new(pool, 0);

	if (c == NULL) {
		return NULL;
	}
	c->msg = msg_ref(msg);
	c->data = frame.data;
	c->len = c->cap = (uint32_t)frame.len;
	count(pool, c->cap);
	return c;
}

bool
chunk_reserve_marks(struct chunk *c, size_t more)
{
	size_t before = c->mark_cap;

	if (!try_grow(&c->mark, &c->mark_cap, c->marks + more,
		sizeof *c->mark)) {
		return false;
	}
	count(c->pool, (int64_t)((c->mark_cap - before) * sizeof *c->mark));
	return true;
}

bool
chunk_mark(struct chunk *c, struct series *series, uint64_t seq, uint32_t off,
    uint32_t len)
{
	if (!chunk_reserve_marks(c, 1)) {
		return false;
	}
	c->mark[c->marks++] =
	    (struct mark){ series_ref(series), seq, off, len };
	return true;
}

/* The first mark at or behind an offset. */
static uint32_t
find_mark(const struct chunk *c, uint32_t off)
{
	uint32_t from = 0, to = c->marks;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (c->mark[middle].off < off) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

const struct mark *
piece_marks(const struct piece *p, size_t *np)
{
	uint32_t first;

	*np = 0;
	if (p->chunk->marks == 0) {
		return NULL;
	}
	first = find_mark(p->chunk, p->off);
	*np = find_mark(p->chunk, p->off + p->len) - first;
	return p->chunk->mark + first;
}

static void
forget_marks(struct chunk *c)
{
	while (c->marks > 0) {
		series_unref(&c->mark[--c->marks].series);
	}
	count(c->pool, -(int64_t)(c->mark_cap * sizeof *c->mark));
	free(c->mark);
	c->mark = NULL;
	c->mark_cap = 0;
}

void
chunk_unref(struct chunk **chunkp)
{
	struct chunk *c = *chunkp;
	struct pool *pool;

	*chunkp = NULL;
	if (c == NULL) {
		return;
	}
	assert(c->refs > 0);
	if (--c->refs > 0) {
		return;
	}
	if (c->mark != NULL) {
		forget_marks(c);
	}
	pool = c->pool;
	count(pool, -(int64_t)c->cap);
	if (c->msg == NULL && c->cap == CHUNK_CAP &&
	    pool->free_count < POOL_MAX) {
		c->next = pool->free;
		pool->free = c;
		pool->free_count++;
		return;
	}
	msg_unref(&c->msg);
	free(c);
}

void
pool_fini(struct pool *pool)
{
	while (pool->free != NULL) {
		struct chunk *c = pool->free;

		pool->free = c->next;
		free(c);
	}
	pool->free_count = 0;
}

struct piece
run_add(struct run *run, struct pool *pool, const void *data, size_t len)
{
	const struct piece nothing = { NULL, 0, 0 };
	struct chunk *c = run->chunk;
	struct piece piece;

	if (c == NULL || len > c->cap - c->len) {
		size_t cap = len > CHUNK_CAP ? len : CHUNK_CAP;

		chunk_unref(&run->chunk);
		c = run->chunk = chunk_new(pool, cap);
		if (c == NULL) {
			return nothing;
		}
	}
	piece = (struct piece){ c, c->len, (uint32_t)len };
	memcpy(c->own + c->len, data, len);
	c->len += (uint32_t)len;
	return piece;
}

void
run_rewind(struct run *run)
{
	struct chunk *c = run->chunk;

	if (c == NULL) {
		return;
	}
	if (c->cap != CHUNK_CAP) {
		chunk_unref(&run->chunk);
		return;
	}
	if (c->refs > 1) {
		return; /* somebody is slow */
	}
	c->len = 0;
	if (c->mark != NULL) {
		forget_marks(c);
	}
}

void
run_fini(struct run *run)
{
	chunk_unref(&run->chunk);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mem.h"
#include "net/series.h"
#include "proto/ws.h"

#define IOVECS 64
#define KEEP_CAP 8
#define MANY 16 /* pieces: worth asking what they keep alive */

static struct piece *
pieces(struct outq *q)
{
	return q->piece != NULL ? q->piece : &q->one;
}

static struct piece *
first(struct outq *q)
{
	return pieces(q) + q->head;
}

void
outq_fini(struct outq *q)
{
	for (uint32_t i = 0; i < q->n; i++) {
		chunk_unref(&first(q)[i].chunk);
	}
	free(q->piece);
	memset(q, 0, sizeof *q);
}

/* Room for one more piece at the end. */
static bool
make_room(struct outq *q)
{
	uint32_t cap = q->piece != NULL ? q->cap : 1;
	struct piece *p;

	if (q->head + q->n < cap) {
		return true;
	}
	if (q->n >= MANY) {
		outq_compact(q, first(q)->chunk->pool);
		if (q->n == 1) {
			return true;
		}
	}
	if (q->head > q->n) {
		memmove(pieces(q), first(q), q->n * sizeof *p);
		q->head = 0;
		return true;
	}
	p = realloc(q->piece, (size_t)cap * 2 * sizeof *p);
	if (p == NULL) {
		return false;
	}
	if (q->piece == NULL) {
		p[0] = q->one;
	}
	q->piece = p;
	q->cap = cap * 2;
	return true;
}

bool
outq_append(struct outq *q, struct piece piece)
{
	if (q->n == 0) {
		q->head = 0;
		q->border = piece.off;
	}
	if (!make_room(q)) {
		return false;
	}
	piece.chunk->refs++;
	first(q)[q->n++] = piece;
	q->bytes += piece.len;
	return true;
}

/* Find the border of the frame that the first unsent byte is in. */
static void
move_border(struct outq *q)
{
	const struct piece *p = first(q);

	if (q->raw) {
		q->border = p->off;
	}
	while (q->border < p->off) {
		size_t len =
		    ws_frame_len((const uint8_t *)p->chunk->data + q->border,
			p->off + p->len - q->border);

		if (q->border + len > p->off) {
			break;
		}
		q->border += (uint32_t)len;
	}
}

/* This many bytes are written. */
static void
advance(struct outq *q, size_t wrote)
{
	q->bytes -= wrote;
	while (wrote > 0) {
		struct piece *p = first(q);

		if (wrote < p->len) {
			p->off += (uint32_t)wrote;
			p->len -= (uint32_t)wrote;
			move_border(q);
			return;
		}
		wrote -= p->len;
		chunk_unref(&p->chunk);
		q->head++;
		q->n--;
		if (q->n > 0) {
			q->border = first(q)->off;
		}
	}
}

static ssize_t
write_some(struct outq *q, int fd)
{
	const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	const struct piece *p = first(q);
	struct iovec iov[IOVECS];
	struct msghdr msg = { .msg_iov = iov };

	if (q->n == 1) {
		return send(fd, p->chunk->data + p->off, p->len, flags);
	}
	while (msg.msg_iovlen < IOVECS && msg.msg_iovlen < q->n) {
		iov[msg.msg_iovlen].iov_base = (char *)p->chunk->data + p->off;
		iov[msg.msg_iovlen].iov_len = p->len;
		msg.msg_iovlen++;
		p++;
	}
	return sendmsg(fd, &msg, flags);
}

enum outq_result
outq_flush(struct outq *q, int fd, uint64_t *wrotep)
{
	while (q->n > 0) {
		uint64_t before = q->bytes;
		bool all = q->n <= IOVECS;
		ssize_t n = write_some(q, fd);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return errno == EAGAIN || errno == EWOULDBLOCK ||
				errno == ENOBUFS || errno == ENOMEM
			    ? OUTQ_BLOCKED
			    : OUTQ_BROKEN;
		}
		*wrotep += (uint64_t)n;
		advance(q, (size_t)n);
		if (all && (uint64_t)n < before) {
			return OUTQ_BLOCKED; /* another try would say so */
		}
	}
	if (q->cap > KEEP_CAP) {
		free(q->piece);
		q->piece = NULL;
		q->cap = 0;
	}
	q->head = 0;
	return OUTQ_EMPTY;
}

/* How many frames are in these pieces, which begin with one. */
static uint64_t
count_frames(const struct piece *p, uint32_t n)
{
	uint64_t frames = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t off = p[i].off, end = p[i].off + p[i].len;

		for (; off < end; frames++) {
			off += (uint32_t)
			    ws_frame_len((const uint8_t *)p[i].chunk->data +
				    off,
				end - off);
		}
	}
	return frames;
}

uint64_t
outq_drop_unsent(struct outq *q)
{
	struct piece *p = first(q);
	uint64_t dropped;
	size_t keep = 0;

	if (q->n == 0) {
		return 0;
	}
	if (q->border < p->off) {
		keep = q->border +
		    ws_frame_len((const uint8_t *)p->chunk->data + q->border,
			p->off + p->len - q->border) -
		    p->off;
	}
	p->off += (uint32_t)keep;
	p->len -= (uint32_t)keep;
	dropped = count_frames(p, q->n);
	p->off -= (uint32_t)keep;
	for (uint32_t i = keep > 0 ? 1 : 0; i < q->n; i++) {
		chunk_unref(&p[i].chunk);
	}
	q->n = keep > 0 ? 1 : 0;
	q->bytes = keep;
	if (keep > 0) {
		p->len = (uint32_t)keep;
	}
	return dropped;
}

/* Note the newest of each channel that is conflated; returns how many bytes the
 * others have. */
static uint64_t
find_newest(const struct outq *q, const struct piece *p, uint64_t round)
{
	uint64_t bytes = 0;

	for (uint32_t i = q->n; i > 0; i--) {
		size_t n;
		const struct mark *m = piece_marks(&p[i - 1], &n);

		while (n > 0) {
			struct series *s = m[--n].series->first;

			if (m[n].series->policy != SLOW_CONFLATE) {
				continue;
			}
			if (s->round == round) {
				bytes += m[n].len;
			} else {
				s->round = round;
				s->newest = &m[n];
			}
		}
	}
	return bytes;
}

/* What is left of an outbox. */
struct cut {
	struct piece *piece;
	size_t n;
	size_t cap;
	uint64_t bytes; /* of what was looked at */
	uint64_t left;  /* as things stand, all in all */
	uint64_t goal;
};

/* This part stays. */
static bool
keep(struct cut *cut, struct chunk *chunk, uint32_t from, uint32_t to)
{
	struct piece part = { chunk, from, to - from };

	if (part.len == 0) {
		return true;
	}
	cut->bytes += part.len;
	if (cut->n > 0 && piece_continues(&cut->piece[cut->n - 1], &part)) {
		cut->piece[cut->n - 1].len += part.len;
		return true;
	}
	if (!try_grow(&cut->piece, &cut->cap, cut->n + 1, sizeof part)) {
		return false;
	}
	chunk->refs++;
	cut->piece[cut->n++] = part;
	return true;
}

static bool
must_go(struct cut *cut, const struct mark *m)
{
	if (m->series->policy == SLOW_CONFLATE) {
		return m != m->series->first->newest;
	}
	if (cut->left < cut->goal) {
		return false;
	}
	cut->left -= m->len;
	return true;
}

static bool
cut_piece(struct cut *cut, const struct piece *p, outq_lost_f *lost, void *arg)
{
	uint32_t at = p->off;
	size_t n;
	const struct mark *m = piece_marks(p, &n);

	for (; n > 0; n--, m++) {
		if (!must_go(cut, m)) {
			continue;
		}
		if (!keep(cut, p->chunk, at, m->off)) {
			return false;
		}
		at = m->off + m->len;
		lost(arg, m);
	}
	return keep(cut, p->chunk, at, p->off + p->len);
}

static void
let_go(struct piece *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		chunk_unref(&p[i].chunk);
	}
}

/* The outbox is what was kept of it. */
static void
replace(struct outq *q, struct cut *cut)
{
	bool begun = q->border < first(q)->off;

	let_go(first(q), q->n);
	free(q->piece);
	q->piece = cut->piece;
	q->cap = (uint32_t)cut->cap;
	q->head = 0;
	q->n = (uint32_t)cut->n;
	q->bytes = cut->bytes;
	if (!begun && q->n > 0) {
		q->border = first(q)->off;
	}
}

bool
outq_shed(struct outq *q, uint64_t goal, uint64_t round, outq_lost_f *lost,
    void *arg)
{
	const struct piece *p = first(q);
	struct cut cut = { .goal = goal };

	if (q->n == 0) {
		return true;
	}
	cut.left = q->bytes - find_newest(q, p, round);
	for (uint32_t i = 0; i < q->n; i++) {
		if (!cut_piece(&cut, &p[i], lost, arg)) {
			let_go(cut.piece, cut.n);
			free(cut.piece);
			return false;
		}
	}
	replace(q, &cut);
	return true;
}

static size_t
count_marks(struct outq *q)
{
	size_t all = 0, n;

	for (uint32_t i = 0; i < q->n; i++) {
		piece_marks(&first(q)[i], &n);
		all += n;
	}
	return all;
}

/* A piece is about to be copied to the end of a chunk: mark the same frames
 * there.  There is room. */
static void
copy_marks(struct chunk *c, const struct piece *p)
{
	size_t n;
	const struct mark *m = piece_marks(p, &n);

	for (size_t i = 0; i < n; i++) {
		chunk_mark(c, m[i].series, m[i].seq,
		    c->len + (m[i].off - p->off), m[i].len);
	}
}

void
outq_compact(struct outq *q, struct pool *pool)
{
	struct piece *p = first(q);
	uint64_t kept_alive = 0;
	size_t begun;
	struct chunk *c;

	for (uint32_t i = 0; i < q->n; i++) {
		if (i == 0 || p[i].chunk != p[i - 1].chunk) {
			kept_alive += p[i].chunk->cap;
		}
	}
	begun = q->n == 0 ? 0 : p->off - q->border;
	if (kept_alive < 4 * (q->bytes + begun) || kept_alive < 16384) {
		return;
	}
	/* The frame that has begun to be sent comes whole, so that its border
	 * can still be found. */
	c = chunk_new(pool, begun + q->bytes);
	if (c == NULL || !chunk_reserve_marks(c, count_marks(q))) {
		chunk_unref(&c);
		return;
	}
	memcpy(c->own, p->chunk->data + q->border, begun);
	c->len = (uint32_t)begun;
	for (uint32_t i = 0; i < q->n; i++) {
		copy_marks(c, &p[i]);
		memcpy(c->own + c->len, p[i].chunk->data + p[i].off, p[i].len);
		c->len += p[i].len;
		chunk_unref(&p[i].chunk);
	}
	q->n = 1;
	q->border = 0;
	p[0] = (struct piece){ c, (uint32_t)begun, c->len - (uint32_t)begun };
}

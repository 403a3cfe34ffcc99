/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_inflate.h"
#include "bench_proc.h"
#include "proto/ws.h"

#define BUFFER (512 * 1024)
#define FRAME_MAX (1024 * 1024)
#define OUT_MAX (64 * 1024 * 1024)

uint64_t bench_patience = UINT64_C(10000000000);

enum {
	FIN = 0x80,
	COMPRESSED = 0x40,
	TEXT = 1,
	BINARY = 2,
	CLOSE = 8,
	PING = 9,
	PONG = 10,
};

void
bench_wait(const struct bench_conn *c, short events, uint64_t until)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	uint64_t now = bench_now();

	if (now < until) {
		poll(&p, 1, (int)((until - now) / 1000000) + 1);
	}
}

void
bench_close(struct bench_conn *c)
{
	close(c->fd);
	buf_fini(&c->held);
	buf_fini(&c->out);
	*c = (struct bench_conn){ .fd = -1 };
}

static void
put_frame(struct bench_conn *c, uint8_t opcode, const void *data, size_t len)
{
	uint8_t head[8] = { (uint8_t)(0x80 | opcode) };
	size_t n = 2;

	if (len > UINT16_MAX) {
		bench_die("a message of %zu bytes is too long", len);
	}
	head[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
	if (len >= 126) {
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
		n = 4;
	}
	if (c->out.len > OUT_MAX) {
		bench_die("the server takes less than it is sent: %zu bytes "
			  "wait",
		    c->out.len);
	}
	memcpy(head + n, c->mask, 4);
	buf_add(&c->out, head, n + 4);
	buf_add(&c->out, data, len);
	if (c->out.failed) {
		bench_die("out of memory");
	}
	ws_mask((uint8_t *)c->out.data + c->out.len - len, len, c->mask);
}

void
bench_put(struct bench_conn *c, const char *text, size_t len)
{
	put_frame(c, c->binary ? BINARY : TEXT, text, len);
}

void
bench_ping(struct bench_conn *c)
{
	put_frame(c, PING, "", 0);
}

bool
bench_flush(struct bench_conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent,
		    c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			break;
		}
		if (n < 0 && errno != EINTR) {
			return false;
		}
		c->sent += n < 0 ? 0 : (size_t)n;
	}
	/* Each byte is moved once at most, however much waits. */
	if (c->sent > c->out.len / 2) {
		c->out.len -= c->sent;
		memmove(c->out.data, c->out.data + c->sent, c->out.len);
		c->sent = 0;
	}
	return true;
}

/* The lengths of the head of a server's frame and of its content; false when
 * the head has not all come. */
static bool
frame_head(const uint8_t *f, size_t len, size_t *headp, uint64_t *contentp)
{
	uint64_t n;

	if (len < 2) {
		return false;
	}
	n = f[1];
	*headp = n < 126 ? 2 : n == 126 ? 4 : 10;
	if (n > 127) {
		bench_die("the server sends no proper frames");
	}
	if (len < *headp) {
		return false;
	}
	if (*headp > 2) {
		n = 0;
		for (size_t i = 2; i < *headp; i++) {
			n = n << 8 | f[i];
		}
	}
	*contentp = n;
	return true;
}

/* The length of a server's frame, head included, and of its head; 0 when it
 * has not all come. */
static size_t
frame_len(const uint8_t *f, size_t len, size_t *headp)
{
	uint64_t n;

	if (!frame_head(f, len, headp, &n)) {
		return 0;
	}
	if (n > FRAME_MAX) {
		bench_die("the server sends no proper frames");
	}
	return len < *headp + n ? 0 : *headp + (size_t)n;
}

/* False when it is a close. */
static bool
on_control(struct bench_conn *c, const uint8_t *f, size_t len)
{
	if ((f[0] & 15) == PING) {
		put_frame(c, PONG, f + 2, len - 2);
		return bench_flush(c);
	}
	if ((f[0] & 15) == PONG && c->awaits > 0) {
		c->awaits--;
	}
	if ((f[0] & 15) != CLOSE) {
		return true;
	}
	c->close_code = len < 4 ? 1005 : (uint16_t)(f[2] << 8 | f[3]);
	return false;
}

/* Keep what is not whole, for the next read. */
static void
hold(struct bench_conn *c, const uint8_t *data, size_t len)
{
	if (len > FRAME_MAX) {
		bench_die("the server sends a message over %d bytes",
		    FRAME_MAX);
	}
	buf_reset(&c->held);
	if (len > 0) {
		buf_add(&c->held, data, len);
	}
	if (c->held.failed) {
		bench_die("out of memory");
	}
}

static bool
read_texts(struct bench_conn *c, uint8_t *data, size_t len, bench_text_f *each,
    void *arg)
{
	size_t used = 0, head, n;

	while ((n = frame_len(data + used, len - used, &head)) > 0) {
		uint8_t *f = data + used;

		used += n;
		if ((f[0] & 15) >= CLOSE) {
			if (!on_control(c, f, n)) {
				return false;
			}
			continue;
		}
		if ((f[0] & (FIN | 15)) != (FIN | TEXT)) {
			c->astray++;
			continue;
		}
		c->wire = n - head;
		if ((f[0] & COMPRESSED) != 0) {
			struct aqb_slice text =
			    bench_inflate(f + head, n - head);

			each(arg, text.data, text.len);
		} else {
			each(arg, (const char *)f + head, n - head);
		}
	}
	hold(c, data + used, len - used);
	return true;
}

/*
 * A message may begin in one frame and end in another; then its beginning is
 * moved up, over the head between them:
 *
 *     | head | message, message, begin | head | ning, message ..
 *                         from ^        ^ used
 */
static bool
read_stream(struct bench_conn *c, uint8_t *data, size_t len, bench_text_f *each,
    void *arg)
{
	size_t from = 0, used = c->joined, head;

	for (;;) {
		uint8_t *f = data + used;
		uint64_t n = c->rest < len - used ? c->rest : len - used;

		if (n > 0) {
			used += (size_t)n;
			c->rest -= n;
			from += c->stream(c, (const char *)data + from,
			    used - from, each, arg);
			continue;
		}
		if (!frame_head(f, len - used, &head, &n)) {
			break;
		}
		if ((f[0] & 15) >= CLOSE) {
			if (len - used < head + n) {
				break;
			}
			head += (size_t)n;
			n = 0;
			if (!on_control(c, f, head)) {
				return false;
			}
		}
		memmove(data + from + head, data + from, used - from);
		from += head;
		used += head;
		c->rest = n;
	}
	c->joined = used - from;
	hold(c, data + from, len - from);
	return true;
}

bool
bench_read(struct bench_conn *c, bench_text_f *each, void *arg)
{
	static _Thread_local uint8_t buffer[FRAME_MAX + BUFFER];
	size_t len = c->held.len;
	ssize_t got;

	if (len > 0) {
		memcpy(buffer, c->held.data, len);
	}
	got = recv(c->fd, buffer + len, BUFFER, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return true;
	}
	if (got <= 0) {
		return false;
	}
	len += (size_t)got;
	return c->stream != NULL ? read_stream(c, buffer, len, each, arg)
				 : read_texts(c, buffer, len, each, arg);
}

struct awaited {
	const char *want;
	struct buf *replyp;
	bool came;
};

static void
look(void *arg, const char *text, size_t len)
{
	struct awaited *a = arg;

	if (a->came || memmem(text, len, a->want, strlen(a->want)) == NULL) {
		return;
	}
	a->came = true;
	if (a->replyp != NULL) {
		buf_reset(a->replyp);
		buf_add(a->replyp, text, len);
	}
}

bool
bench_await(struct bench_conn *c, const char *want, struct buf *replyp)
{
	struct awaited a = { want, replyp, false };
	uint64_t until = bench_now() + bench_patience;

	while (!a.came) {
		short events = c->out.len > 0 ? POLLIN | POLLOUT : POLLIN;

		if (bench_now() >= until) {
			return false;
		}
		bench_wait(c, events, until);
		if (!bench_flush(c) || !bench_read(c, look, &a)) {
			return a.came;
		}
	}
	return true;
}

void
bench_ask(struct bench_conn *c, const char *text, size_t len, const char *want)
{
	struct buf reply = { 0 };

	bench_put(c, text, len);
	if (!bench_await(c, want, &reply)) {
		bench_die("no answer came to %.*s", (int)len, text);
	}
	if (strstr(buf_text(&reply), "\"success\"") == NULL) {
		bench_die("refused: %.300s", buf_text(&reply));
	}
	buf_fini(&reply);
}

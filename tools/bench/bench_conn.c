/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rand.h"
#include "bench_proc.h"

#define BUFFER (512 * 1024)
#define PATIENCE_NS UINT64_C(10000000000)
#define FRAME_MAX (1024 * 1024)

/* RFC 6455 gives the answer to this key in its own example. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum {
	TEXT = 1,
	CLOSE = 8,
	PING = 9,
	PONG = 10,
};

static void
wait_for(struct bench_conn *c, short events, uint64_t until)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	uint64_t now = bench_now();

	if (now < until) {
		poll(&p, 1, (int)((until - now) / 1000000) + 1);
	}
}

static int
dial(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	sin.sin_port = htons(port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0) {
		bench_die("socket: %s", strerror(errno));
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0 &&
	    errno != EINPROGRESS) {
		bench_die("connect to port %u: %s", port, strerror(errno));
	}
	return fd;
}

/* Read the head of the answer byte by byte: frames may follow at once. */
static void
read_answer(struct bench_conn *c, uint64_t until)
{
	char head[2048] = "";
	size_t len = 0;

	while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
		ssize_t n = recv(c->fd, head + len, 1, 0);

		if (n == 1 && ++len < sizeof head - 1) {
			continue;
		}
		if (n >= 0 || (errno != EAGAIN && errno != EINTR) ||
		    bench_now() >= until) {
			bench_die("handshake: no whole answer came");
		}
		wait_for(c, POLLIN, until);
	}
	head[len] = '\0';
	if (strncmp(head, "HTTP/1.1 101 ", 13) != 0 ||
	    strstr(head, ACCEPT) == NULL) {
		bench_die("handshake: refused: %.60s", head);
	}
}

void
bench_open(struct bench_conn *c, uint16_t port, const char *path)
{
	uint64_t until = bench_now() + PATIENCE_NS;

	*c = (struct bench_conn){ .fd = dial(port) };
	rand_bytes(c->mask, sizeof c->mask);
	buf_printf(&c->out,
	    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n",
	    path);
	wait_for(c, POLLOUT, until);
	if (!bench_flush(c) || c->out.len > 0) {
		bench_die("handshake: %s", strerror(errno));
	}
	read_answer(c, until);
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
	char *p;

	if (len > UINT16_MAX) {
		bench_die("a message of %zu bytes is too long", len);
	}
	head[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
	if (len >= 126) {
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
		n = 4;
	}
	memcpy(head + n, c->mask, 4);
	buf_add(&c->out, head, n + 4);
	buf_add(&c->out, data, len);
	if (c->out.failed) {
		bench_die("out of memory");
	}
	p = c->out.data + c->out.len - len;
	for (size_t i = 0; i < len; i++) {
		p[i] = (char)((uint8_t)p[i] ^ c->mask[i & 3]);
	}
}

void
bench_put(struct bench_conn *c, const char *text, size_t len)
{
	put_frame(c, TEXT, text, len);
}

bool
bench_flush(struct bench_conn *c)
{
	size_t sent = 0;

	while (sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + sent, c->out.len - sent,
		    MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			break;
		}
		if (n < 0 && errno != EINTR) {
			return false;
		}
		sent += n < 0 ? 0 : (size_t)n;
	}
	if (sent > 0) {
		c->out.len -= sent;
		memmove(c->out.data, c->out.data + sent, c->out.len);
	}
	return true;
}

/* The length of a server's frame, head included, and of its head; 0 when it
 * has not all come. */
static size_t
frame_len(const uint8_t *f, size_t len, size_t *headp)
{
	size_t n;

	if (len < 2) {
		return 0;
	}
	n = f[1];
	*headp = 2;
	if (n == 126) {
		*headp = 4;
		n = len < 4 ? 0 : (size_t)f[2] << 8 | f[3];
	} else if (n > 126) {
		*headp = 10;
		n = 0;
		for (size_t i = 2; i < 10 && len >= 10; i++) {
			n = n << 8 | f[i];
		}
		if (f[1] > 127 || n > FRAME_MAX) {
			bench_die("the server sends no proper frames");
		}
	}
	return len < *headp + n ? 0 : *headp + n;
}

/* False when it is a close. */
static bool
on_control(struct bench_conn *c, const uint8_t *f, size_t len)
{
	if ((f[0] & 15) == PING) {
		put_frame(c, PONG, f + 2, len - 2);
		return bench_flush(c);
	}
	if ((f[0] & 15) != CLOSE) {
		return true;
	}
	c->close_code = len < 4 ? 1005 : (uint16_t)(f[2] << 8 | f[3]);
	return false;
}

static void
hold(struct bench_conn *c, const uint8_t *data, size_t len)
{
	buf_reset(&c->held);
	if (len > 0) {
		buf_add(&c->held, data, len);
	}
}

bool
bench_read(struct bench_conn *c, bench_text_f *each, void *arg)
{
	static _Thread_local uint8_t buffer[FRAME_MAX + BUFFER];
	size_t len = c->held.len, used = 0, head, n;
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
	while ((n = frame_len(buffer + used, len - used, &head)) > 0) {
		uint8_t *f = buffer + used;

		used += n;
		if ((f[0] & 15) == TEXT) {
			each(arg, (const char *)f + head, n - head);
		} else if (!on_control(c, f, n)) {
			return false;
		}
	}
	hold(c, buffer + used, len - used);
	return true;
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
	uint64_t until = bench_now() + PATIENCE_NS;

	while (!a.came) {
		short events = c->out.len > 0 ? POLLIN | POLLOUT : POLLIN;

		if (bench_now() >= until) {
			return false;
		}
		wait_for(c, events, until);
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

void
bench_join(struct bench_conn *c, const char *room, const char *channel)
{
	char text[256];
	int n = snprintf(text, sizeof text,
	    "{\"type\":\"command\",\"id\":\"j\",\"command\":\"join_channel\","
	    "\"room\":\"%s\",\"channel\":\"%s\"}",
	    room, channel);

	bench_ask(c, text, (size_t)n, "\"request_id\":\"j\"");
}

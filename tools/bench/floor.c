/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The floor: the least that any server must do to fan messages out.  One
 * thread on bare epoll; it unmasks each text it is sent, frames as many bytes
 * as the bus would send for it, and writes that to everybody else.  A turn's
 * frames are copied once into one run, and each socket gets its part of the
 * run in one send at the end of the turn.  No routing, no JSON, no limits.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/ws.h"

#define PEERS_MAX 20000
#define BUFFER (256 * 1024)
#define RUN_MAX (16 * 1024 * 1024)

struct peer {
	int fd;
	bool open;
	size_t own_from, own_to; /* the part it sent itself, and skips */
	uint8_t *held;           /* the beginning of a frame */
	size_t held_len;
};

static struct peer peers[PEERS_MAX];
static int top; /* peers[0..top) are in use */
static uint8_t *run;
static size_t run_len;
static size_t wire_length = 400;
static int epoll_fd;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0) {
			return; /* a peer that is gone */
		}
		data += n;
		len -= (size_t)n;
	}
}

static void
shake_hands(struct peer *p, char *data, size_t len)
{
	static const char field[] = "Sec-WebSocket-Key: ";
	char accept[WS_ACCEPT_SIZE];
	char answer[256];
	char *key;
	int n;

	data[len] = '\0';
	key = strstr(data, field);
	if (key == NULL) {
		close(p->fd);
		p->fd = -1;
		return;
	}
	ws_accept(key + strlen(field), accept);
	n = snprintf(answer, sizeof answer,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    accept);
	write_all(p->fd, (uint8_t *)answer, (size_t)n);
	p->open = true;
}

/* A frame of the wire length whose end is the end of what came. */
static void
frame(const uint8_t *data, size_t len)
{
	size_t tail = len < wire_length ? len : wire_length;

	if (run_len + WS_HEAD_MAX + wire_length > RUN_MAX) {
		fprintf(stderr, "floor: a turn of more than %d bytes\n",
		    RUN_MAX);
		exit(1);
	}
	run_len += ws_head(run + run_len, WS_TEXT, wire_length);
	memset(run + run_len, ' ', wire_length - tail);
	run_len += wire_length - tail;
	memcpy(run + run_len, data + len - tail, tail);
	run_len += tail;
}

/* Use the frames that came; the beginning of one is held. */
static void
take(struct peer *p, uint8_t *data, size_t len)
{
	size_t from = run_len;
	size_t used = 0;

	while (len - used >= 6) {
		uint8_t *f = data + used;
		size_t head = 2, n = f[1] & 0x7f;

		if (n == 126) {
			n = (size_t)f[2] << 8 | f[3];
			head = 4;
		}
		if (len - used < head + 4 + n) {
			break;
		}
		for (size_t i = 0; i < n; i++) {
			f[head + 4 + i] ^= f[head + i % 4];
		}
		if ((f[0] & 15) == WS_TEXT) {
			frame(f + head + 4, n);
		}
		used += head + 4 + n;
	}
	if (used < len) {
		p->held = realloc(p->held, len - used);
		memcpy(p->held, data + used, len - used);
	}
	p->held_len = len - used;
	if (p->own_from == p->own_to) {
		p->own_from = from;
	}
	p->own_to = run_len;
}

static void
on_readable(struct peer *p)
{
	static uint8_t buffer[2 * BUFFER];
	ssize_t n;

	if (p->held_len > 0) {
		memcpy(buffer, p->held, p->held_len);
	}
	n = recv(p->fd, buffer + p->held_len, BUFFER - 1, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close(p->fd);
		p->fd = -1;
		p->open = false;
		return;
	}
	if (n < 0) {
		return;
	}
	if (!p->open) {
		shake_hands(p, (char *)buffer, (size_t)n);
		return;
	}
	take(p, buffer, p->held_len + (size_t)n);
}

/* The end of the turn: one send for each socket. */
static void
flush(void)
{
	for (int i = 0; run_len > 0 && i < top; i++) {
		struct peer *p = &peers[i];

		if (!p->open) {
			continue;
		}
		if (p->own_from < p->own_to) {
			write_all(p->fd, run, p->own_from);
			write_all(p->fd, run + p->own_to, run_len - p->own_to);
		} else {
			write_all(p->fd, run, run_len);
		}
		p->own_from = p->own_to = 0;
	}
	run_len = 0;
}

static void
on_accept(int listener)
{
	const int on = 1;
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = accept(listener, NULL, NULL);

	if (fd < 0) {
		return;
	}
	if (top == PEERS_MAX) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	peers[top] = (struct peer){ .fd = fd };
	ev.data.ptr = &peers[top++];
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int
listen_on_loopback(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, 4096) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0) {
		die("listen");
	}
	fprintf(stderr, "floor listening port=%u\n", ntohs(sin.sin_port));
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int listener;

	if (argc == 3 && strcmp(argv[1], "--wire-length") == 0) {
		wire_length = strtoul(argv[2], NULL, 10);
	}
	run = malloc(RUN_MAX);
	epoll_fd = epoll_create1(0);
	if (run == NULL || epoll_fd < 0) {
		die("floor");
	}
	listener = listen_on_loopback();
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		struct epoll_event got[256];
		int n = epoll_wait(epoll_fd, got, 256, -1);

		for (int i = 0; i < n; i++) {
			if (got[i].data.ptr == NULL) {
				on_accept(listener);
			} else {
				on_readable(got[i].data.ptr);
			}
		}
		flush();
	}
}

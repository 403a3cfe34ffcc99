/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The floor: the least that any server must do to hand messages on.  One
 * thread on bare epoll; it unmasks each text that comes and frames as many
 * bytes as the bus would send for it.  A turn's frames are copied once into
 * one run, and at the end of the turn each socket gets its part of the run in
 * one send.  No routing, no JSON, no limits.
 *
 *            run: | frame | frame | frame | frame |
 *    a receiver:  sent ----^ gets all behind it ---^ run_len
 *    a publisher:                 own_from ^--------^ own_to is left out
 *
 * A socket that takes nothing is not read from either, until it has had all.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench_opt.h"
#include "bench_proc.h"
#include "proto/ws.h"

#define PEERS_MAX 20000
#define BUFFER (256 * 1024)
#define RUN_MAX (64 * 1024 * 1024)
#define FRAME_MAX (65536 + 16) /* the longest frame, and its head */

struct peer {
	int fd;
	int at;                  /* in peers */
	bool open;               /* has shaken hands */
	bool blocked;            /* took not all of it; waits for EPOLLOUT */
	size_t sent;             /* it has had the run up to here */
	size_t own_from, own_to; /* what it is not to get */
	uint8_t *held;           /* the beginning of a frame */
	size_t held_len;

	/* Of a pair. */
	int pair;
	struct peer *partner;
	size_t end; /* it gets the run from `sent` up to here */
};

static struct {
	int port;
	int wire_length;
	bool pairs;
	int drop_every, dup_every, swap_every;
} conf = { .wire_length = 400 };

static const struct bench_opt options[] = {
	{ "port", BENCH_NUMBER, &conf.port, 0, 65535, "0 takes a free one" },
	{ "wire-length", BENCH_NUMBER, &conf.wire_length, 1, 65500,
	    "bytes of the payload of each frame sent" },
	{ "pairs", BENCH_FLAG, &conf.pairs, 0, 0,
	    "hand on to the one that asked for the same path, not to all" },
	{ "drop-every", BENCH_NUMBER, &conf.drop_every, 0, 1000000000,
	    "lose one frame in N, to try the checks" },
	{ "dup-every", BENCH_NUMBER, &conf.dup_every, 0, 1000000000,
	    "double one frame in N" },
	{ "swap-every", BENCH_NUMBER, &conf.swap_every, 0, 1000000000,
	    "send one frame in N after the next" },
	{ 0 },
};

static struct peer *peers[PEERS_MAX];
static int count;
static int blocked;
static struct peer *dirty[PEERS_MAX]; /* those that a pair's turn is for */
static int dirty_count;
static uint8_t *run;
static size_t run_len;
static uint8_t *late; /* the frame that swap-every holds back */
static uint64_t frames;
static int epoll_fd;

static void
watch(struct peer *p, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = p };

	if (epoll_ctl(epoll_fd, op, p->fd, &ev) != 0) {
		bench_die("epoll: %s", strerror(errno));
	}
}

static void
drop(struct peer *p)
{
	blocked -= p->blocked;
	if (p->partner != NULL) {
		p->partner->partner = NULL;
	}
	for (int i = 0; i < dirty_count; i++) {
		if (dirty[i] == p) {
			dirty[i] = dirty[--dirty_count];
		}
	}
	peers[p->at] = peers[--count];
	peers[p->at]->at = p->at;
	close(p->fd);
	free(p->held);
	free(p);
}

static void
find_partner(struct peer *p, int pair)
{
	p->pair = pair;
	for (int i = 0; i < count; i++) {
		struct peer *other = peers[i];

		if (other != p && other->open && other->pair == pair &&
		    other->partner == NULL) {
			p->partner = other;
			other->partner = p;
			return;
		}
	}
}

/* The request comes in one piece, or not at all.  False: not what we serve. */
static bool
shake_hands(struct peer *p, char *data, size_t len)
{
	static const char field[] = "Sec-WebSocket-Key: ";
	char accept[WS_ACCEPT_SIZE];
	char answer[256];
	char *key;
	int n;

	data[len] = '\0';
	key = strstr(data, field);
	if (key == NULL || strncmp(data, "GET /", 5) != 0) {
		return false;
	}
	ws_accept(key + strlen(field), accept);
	n = snprintf(answer, sizeof answer,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    accept);
	p->open = true;
	p->sent = run_len;
	if (conf.pairs) {
		find_partner(p, atoi(data + 5));
	}
	return send(p->fd, answer, (size_t)n, MSG_NOSIGNAL) == n;
}

static void
append(const void *data, size_t len)
{
	memcpy(run + run_len, data, len);
	run_len += len;
}

/* Put a frame of the wire length into the run that begins with what came. */
static void
append_frame(const uint8_t *data, size_t len)
{
	size_t wire = (size_t)conf.wire_length;
	size_t kept = len < wire ? len : wire;

	run_len += ws_head(run + run_len, WS_TEXT, wire);
	memcpy(run + run_len, data, kept);
	memset(run + run_len + kept, ' ', wire - kept);
	run_len += wire;
}

/* Append it with the faults that were asked for. */
static void
append_badly(const uint8_t *data, size_t len)
{
	static size_t late_len;
	size_t from = run_len;

	if (conf.drop_every > 0 && frames % (uint64_t)conf.drop_every == 0) {
		return;
	}
	append_frame(data, len);
	if (conf.dup_every > 0 && frames % (uint64_t)conf.dup_every == 0) {
		append_frame(data, len);
	}
	if (late_len > 0) {
		append(late, late_len);
		late_len = 0;
	} else if (conf.swap_every > 0 &&
	    frames % (uint64_t)conf.swap_every == 0) {
		late_len = run_len - from;
		memcpy(late, run + from, late_len);
		run_len = from;
	}
}

static void
on_text(const uint8_t *data, size_t len)
{
	if (run_len + 4 * FRAME_MAX > RUN_MAX) {
		bench_die("floor: receivers are %d bytes behind", RUN_MAX);
	}
	frames++;
	if (late != NULL) {
		append_badly(data, len);
		return;
	}
	append_frame(data, len);
}

static void
unmask(uint8_t *data, size_t len, const uint8_t *mask)
{
	uint64_t word, key;
	size_t i = 0;

	memcpy(&key, mask, 4);
	memcpy((uint8_t *)&key + 4, mask, 4);
	for (; i + 8 <= len; i += 8) {
		memcpy(&word, data + i, 8);
		word ^= key;
		memcpy(data + i, &word, 8);
	}
	for (; i < len; i++) {
		data[i] ^= mask[i & 3];
	}
}

/* Use the frames that came; the beginning of one is held.  False on a close. */
static bool
take(struct peer *p, uint8_t *data, size_t len)
{
	size_t used = 0;

	while (len - used >= 6) {
		uint8_t *f = data + used;
		size_t head = 2, n = f[1] & 0x7f;

		if (n == 126) {
			n = (size_t)f[2] << 8 | f[3];
			head = 4;
		}
		if (n > 126 && head == 2) {
			return false;
		}
		if (len - used < head + 4 + n) {
			break;
		}
		unmask(f + head + 4, n, f + head);
		if ((f[0] & 15) == WS_TEXT) {
			on_text(f + head + 4, n);
		} else if ((f[0] & 15) == WS_CLOSE) {
			return false;
		}
		used += head + 4 + n;
	}
	p->held_len = len - used;
	if (used < len) {
		free(p->held);
		p->held = xnew(p->held_len);
		memcpy(p->held, data + used, p->held_len);
	}
	return true;
}

static void
on_readable(struct peer *p)
{
	static uint8_t buffer[FRAME_MAX + BUFFER];
	size_t from = run_len;
	ssize_t n;
	bool good;

	if (p->held_len > 0) {
		memcpy(buffer, p->held, p->held_len);
	}
	n = recv(p->fd, buffer + p->held_len, BUFFER - 1, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n > 0 && !p->open) {
		good = shake_hands(p, (char *)buffer, (size_t)n);
	} else {
		good = n > 0 && take(p, buffer, p->held_len + (size_t)n);
	}
	if (!good) {
		drop(p);
		return;
	}
	if (conf.pairs) {
		if (p->partner != NULL && run_len > from) {
			p->partner->sent = from;
			p->partner->end = run_len;
			dirty[dirty_count++] = p->partner;
		}
		return;
	}
	p->own_from = from;
	p->own_to = run_len;
}

/* Send what a peer lacks of the run, but its own.  A peer that is gone is
 * dropped when its end is read. */
static void
flush_peer(struct peer *p, size_t end)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	bool split = p->own_from < p->own_to && p->own_to > p->sent;
	size_t first = (split ? p->own_from : end) - p->sent;
	size_t second = split ? end - p->own_to : 0;
	ssize_t n = 0;

	if (first > 0 && second > 0) {
		iov[0] = (struct iovec){ run + p->sent, first };
		iov[1] = (struct iovec){ run + p->own_to, second };
		n = sendmsg(p->fd, &msg, MSG_NOSIGNAL);
	} else if (first > 0) {
		n = send(p->fd, run + p->sent, first, MSG_NOSIGNAL);
	} else if (second > 0) {
		n = send(p->fd, run + p->own_to, second, MSG_NOSIGNAL);
	}
	if (n < 0 && errno != EAGAIN) {
		n = (ssize_t)(first + second);
	}
	n = n < 0 ? 0 : n;
	if ((size_t)n == first + second) {
		p->sent = end;
		p->own_from = p->own_to = 0;
	} else if ((size_t)n < first) {
		p->sent += (size_t)n;
	} else {
		p->sent = p->own_to + (size_t)n - first;
		p->own_from = p->own_to = 0;
	}
}

static void
set_blocked(struct peer *p, bool is)
{
	if (p->blocked != is) {
		p->blocked = is;
		blocked += is ? 1 : -1;
		watch(p, EPOLL_CTL_MOD, is ? EPOLLOUT : EPOLLIN);
	}
}

/* The end of the turn, everybody to everybody. */
static void
flush_all(void)
{
	for (int i = 0; i < count; i++) {
		struct peer *p = peers[i];

		if (!p->open || p->sent == run_len) {
			continue;
		}
		if (!p->blocked) {
			flush_peer(p, run_len);
			set_blocked(p, p->sent < run_len);
		}
	}
	/* Once all have had all, the run begins anew. */
	if (blocked > 0 || run_len == 0) {
		return;
	}
	for (int i = 0; i < count; i++) {
		peers[i]->sent = peers[i]->own_from = peers[i]->own_to = 0;
	}
	run_len = 0;
}

/* The end of the turn, each to its partner. */
static void
flush_pairs(void)
{
	while (dirty_count > 0) {
		struct peer *p = dirty[--dirty_count];

		flush_peer(p, p->end);
		if (p->sent < p->end) {
			bench_die("floor: a partner takes nothing");
		}
	}
	run_len = 0;
}

static void
on_accept(int listener)
{
	const int on = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer *p;

	if (fd < 0) {
		return;
	}
	if (count == PEERS_MAX) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	p = xnew(sizeof *p);
	p->fd = fd;
	p->at = count;
	peers[count++] = p;
	watch(p, EPOLL_CTL_ADD, EPOLLIN);
}

static int
listen_on_loopback(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	sin.sin_port = htons((uint16_t)conf.port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, 4096) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		bench_die("listen: %s", strerror(errno));
	}
	fprintf(stderr, "floor listening port=%u\n", ntohs(sin.sin_port));
	return fd;
}

static void
on_event(const struct epoll_event *ev, int listener)
{
	struct peer *p = ev->data.ptr;

	if (p == NULL) {
		on_accept(listener);
	} else if (p->blocked && (ev->events & (EPOLLHUP | EPOLLERR)) != 0) {
		drop(p);
	} else if (p->blocked) {
		flush_peer(p, run_len);
		set_blocked(p, p->sent < run_len);
	} else {
		on_readable(p);
	}
}

int
main(int argc, char **argv)
{
	int listener;

	bench_options(options, argc, argv);
	bench_descriptors();
	run = xnew(RUN_MAX);
	if (conf.drop_every > 0 || conf.dup_every > 0 || conf.swap_every > 0) {
		late = xnew(FRAME_MAX);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_on_loopback();
	for (;;) {
		struct epoll_event got[256];
		int n = epoll_wait(epoll_fd, got, 256, -1);

		for (int i = 0; i < n; i++) {
			on_event(&got[i], listener);
		}
		if (conf.pairs) {
			flush_pairs();
		} else {
			flush_all();
		}
	}
}

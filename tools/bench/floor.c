/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The floor: the least that any server must do to hand messages on.  One
 * thread on bare epoll; it unmasks each text that comes and frames as many
 * bytes as the bus would send for it.  A turn's frames are copied once into
 * one run, and at the end of the turn each socket gets its part of the run in
 * one send.  No routing but by the number in the path of the request, which
 * names a group, no JSON, no limits.
 *
 * It greets who comes and answers what looks like a command with one frame, as
 * the bus does: whether a client has spoken decides how its kernel acknowledges
 * from then on, and on one machine the sender pays for that.
 *
 *            run: | frame | frame | frame | frame |
 *    a receiver:  sent ----^ gets all behind it ---^ run_len
 *    a publisher:                 own_from ^--------^ own_to is left out
 *
 * A socket that takes nothing is not read from either, until it has had all;
 * one that is too far behind is closed.
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
#define GROUPS_MAX PEERS_MAX
#define BUFFER (256 * 1024)
#define RUN_MAX (64 * 1024 * 1024)
#define FRAME_MAX (65536 + 16) /* the longest frame, and its head */

struct group {
	struct peer **peers;
	int count;
	int room; /* in peers */
	int blocked;
	bool dirty; /* there is something to send, or to begin anew */
	uint8_t *run;
	size_t run_len;
	size_t run_cap;
	uint8_t *late; /* the frame that swap-every holds back */
	size_t late_len;
	uint8_t *again; /* the frame that again-every sends once more */
	size_t again_len;
};

/* Tens of thousands of them lie idle: what each holds is kept small. */
struct peer {
	struct group *group; /* NULL until it has shaken hands */
	uint8_t *held;       /* the beginning of a frame */
	uint32_t held_len;
	int fd;
	int at;                    /* in the group's peers */
	uint32_t sent;             /* it has had the run up to here */
	uint32_t own_from, own_to; /* what it is not to get */
	bool blocked;              /* took not all of it; waits for EPOLLOUT */
};

static struct {
	int port;
	int wire_length;
	int behind;
	int drop_every, dup_every, swap_every, again_every;
} conf = { .wire_length = 400, .behind = RUN_MAX };

static const struct bench_opt options[] = {
	{ "port", BENCH_NUMBER, &conf.port, 0, 65535, "0 takes a free one" },
	{ "wire-length", BENCH_NUMBER, &conf.wire_length, 1, 65500,
	    "bytes of the payload of each frame sent" },
	{ "behind", BENCH_NUMBER, &conf.behind, 1, RUN_MAX,
	    "close who is so many bytes behind" },
	{ "drop-every", BENCH_NUMBER, &conf.drop_every, 0, 1000000000,
	    "lose one frame in N, to try the checks" },
	{ "dup-every", BENCH_NUMBER, &conf.dup_every, 0, 1000000000,
	    "double one frame in N" },
	{ "swap-every", BENCH_NUMBER, &conf.swap_every, 0, 1000000000,
	    "send one frame in N after the next" },
	{ "again-every", BENCH_NUMBER, &conf.again_every, 0, 1000000000,
	    "send one frame in N again when nothing comes any more" },
	{ 0 },
};

static struct group *groups[GROUPS_MAX];
static struct group *dirty[GROUPS_MAX];
static int dirty_count;
static int peer_count;
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
make_dirty(struct group *g)
{
	if (!g->dirty) {
		g->dirty = true;
		dirty[dirty_count++] = g;
	}
}

static void *
larger(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (p == NULL) {
		bench_die("out of memory");
	}
	return p;
}

static void
enter(struct peer *p, int number)
{
	struct group **gp = &groups[(unsigned)number % GROUPS_MAX];
	struct group *g = *gp;

	if (g == NULL) {
		g = *gp = xnew(sizeof *g);
	}
	if (g->count == g->room) {
		g->room = 2 * g->room + 2;
		g->peers =
		    larger(g->peers, (size_t)g->room * sizeof(struct peer *));
	}
	p->group = g;
	p->sent = (uint32_t)g->run_len;
	p->at = g->count;
	g->peers[g->count++] = p;
}

static void
drop(struct peer *p)
{
	struct group *g = p->group;

	if (g != NULL) {
		g->blocked -= p->blocked;
		g->peers[p->at] = g->peers[--g->count];
		g->peers[p->at]->at = p->at;
		make_dirty(g);
	}
	peer_count--;
	close(p->fd);
	free(p->held);
	free(p);
}

/* Send one frame of spaces to a peer alone. */
static bool
send_alone(const struct peer *p)
{
	static uint8_t frame[FRAME_MAX];
	size_t wire = (size_t)conf.wire_length;
	size_t head = ws_head(frame, WS_TEXT, wire);

	memset(frame + head, ' ', wire);
	return send(p->fd, frame, head + wire, MSG_NOSIGNAL) ==
	    (ssize_t)(head + wire);
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
	enter(p, atoi(data + 5));
	return send(p->fd, answer, (size_t)n, MSG_NOSIGNAL) == n &&
	    send_alone(p);
}

/* Room in a run for some frames. */
static void
reserve(struct group *g)
{
	size_t need = g->run_len + 4 * FRAME_MAX;

	if (need <= g->run_cap) {
		return;
	}
	if (need > RUN_MAX) {
		bench_die("floor: receivers are %zu bytes behind", g->run_len);
	}
	g->run_cap = need < RUN_MAX / 2 ? 2 * need : RUN_MAX;
	g->run = larger(g->run, g->run_cap);
}

/* Put a frame of the wire length into the run that begins with what came. */
static void
append_frame(struct group *g, const uint8_t *data, size_t len)
{
	size_t wire = (size_t)conf.wire_length;
	size_t kept = len < wire ? len : wire;

	g->run_len += ws_head(g->run + g->run_len, WS_TEXT, wire);
	memcpy(g->run + g->run_len, data, kept);
	memset(g->run + g->run_len + kept, ' ', wire - kept);
	g->run_len += wire;
}

/* Is this frame the one in so many? */
static bool
is_turn(int every)
{
	return every > 0 && frames % (uint64_t)every == 0;
}

/* Append it with the faults that were asked for. */
static void
append_badly(struct group *g, const uint8_t *data, size_t len)
{
	size_t from = g->run_len;

	if (is_turn(conf.drop_every)) {
		return;
	}
	append_frame(g, data, len);
	if (is_turn(conf.dup_every)) {
		append_frame(g, data, len);
	}
	if (is_turn(conf.again_every)) {
		g->again_len = g->run_len - from;
		g->again = larger(g->again, g->again_len);
		memcpy(g->again, g->run + from, g->again_len);
	}
	if (g->late_len > 0) {
		memcpy(g->run + g->run_len, g->late, g->late_len);
		g->run_len += g->late_len;
		g->late_len = 0;
	} else if (is_turn(conf.swap_every)) {
		g->late_len = g->run_len - from;
		g->late = larger(g->late, g->late_len);
		memcpy(g->late, g->run + from, g->late_len);
		g->run_len = from;
	}
}

/* Nothing has come for a while. */
static void
send_again(void)
{
	for (int i = 0; i < GROUPS_MAX; i++) {
		struct group *g = groups[i];

		if (g != NULL && g->again_len > 0) {
			reserve(g);
			memcpy(g->run + g->run_len, g->again, g->again_len);
			g->run_len += g->again_len;
			g->again_len = 0;
			make_dirty(g);
		}
	}
}

/* All before it was sent: else it would not have been read. */
static bool
on_ping(const struct peer *p, const uint8_t *data, size_t len)
{
	uint8_t frame[WS_HEAD_MAX + 125];
	size_t head = ws_head(frame, WS_PONG, len);

	if (len > 125) {
		return false;
	}
	memcpy(frame + head, data, len);
	return send(p->fd, frame, head + len, MSG_NOSIGNAL) ==
	    (ssize_t)(head + len);
}

/* False when the peer is gone. */
static bool
on_text(struct peer *p, const uint8_t *data, size_t len)
{
	static const char command[] = "{\"type\":\"command\"";

	if (len >= strlen(command) &&
	    memcmp(data, command, strlen(command)) == 0) {
		return send_alone(p);
	}
	reserve(p->group);
	frames++;
	append_badly(p->group, data, len);
	return true;
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
		ws_mask(f + head + 4, n, f + head);
		if ((f[0] & 15) == WS_TEXT) {
			if (!on_text(p, f + head + 4, n)) {
				return false;
			}
		} else if ((f[0] & 15) == WS_PING) {
			if (!on_ping(p, f + head + 4, n)) {
				return false;
			}
		} else if ((f[0] & 15) == WS_CLOSE) {
			return false;
		}
		used += head + 4 + n;
	}
	p->held_len = (uint32_t)(len - used);
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
	struct group *g = p->group;
	size_t from = g == NULL ? 0 : g->run_len;
	ssize_t n;
	bool good;

	if (p->held_len > 0) {
		memcpy(buffer, p->held, p->held_len);
	}
	n = recv(p->fd, buffer + p->held_len, BUFFER - 1, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n > 0 && g == NULL) {
		good = shake_hands(p, (char *)buffer, (size_t)n);
	} else {
		good = n > 0 && take(p, buffer, p->held_len + (size_t)n);
	}
	if (good && g != NULL && g->run_len > from) {
		p->own_from = (uint32_t)from;
		p->own_to = (uint32_t)g->run_len;
		make_dirty(g);
	}
	if (!good) {
		drop(p);
	}
}

/* Send what a peer lacks of the run, but its own.  A peer that is gone is
 * dropped when its end is read. */
static void
flush_peer(struct peer *p)
{
	const uint8_t *run = p->group->run;
	uint32_t end = (uint32_t)p->group->run_len;
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	bool split = p->own_from < p->own_to && p->own_to > p->sent;
	size_t first = (split ? p->own_from : end) - p->sent;
	size_t second = split ? end - p->own_to : 0;
	ssize_t n = 0;

	if (first > 0 && second > 0) {
		iov[0] = (struct iovec){ (void *)(run + p->sent), first };
		iov[1] = (struct iovec){ (void *)(run + p->own_to), second };
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
		p->sent += (uint32_t)n;
	} else {
		p->sent = p->own_to + (uint32_t)((size_t)n - first);
		p->own_from = p->own_to = 0;
	}
}

static void
set_blocked(struct peer *p, bool is)
{
	if (p->blocked != is) {
		p->blocked = is;
		p->group->blocked += is ? 1 : -1;
		watch(p, EPOLL_CTL_MOD, is ? EPOLLOUT : EPOLLIN);
	}
}

/* The end of the turn for a group: its run goes to all of it. */
static void
flush_group(struct group *g)
{
	for (int i = g->count - 1; i >= 0; i--) {
		struct peer *p = g->peers[i];

		if (p->sent == g->run_len) {
			continue;
		}
		if (!p->blocked) {
			flush_peer(p);
			set_blocked(p, p->sent < g->run_len);
		} else if (g->run_len - p->sent > (size_t)conf.behind) {
			drop(p);
		}
	}
	/* Once all have had all, the run begins anew. */
	if (g->blocked > 0) {
		return;
	}
	for (int i = 0; i < g->count; i++) {
		struct peer *p = g->peers[i];

		p->sent = p->own_from = p->own_to = 0;
	}
	g->run_len = 0;
}

static void
flush_dirty(void)
{
	for (int i = 0; i < dirty_count; i++) {
		flush_group(dirty[i]);
		/* Only now: to drop a peer makes a group dirty. */
		dirty[i]->dirty = false;
	}
	dirty_count = 0;
}

/* Take all who knock.  When there is no descriptor left it ends: it was asked
 * for what this machine cannot do. */
static void
on_accept(int listener)
{
	const int on = 1;
	struct peer *p;
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (peer_count == PEERS_MAX) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		p = xnew(sizeof *p);
		p->fd = fd;
		peer_count++;
		watch(p, EPOLL_CTL_ADD, EPOLLIN);
	}
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		bench_die("floor: accept: %s", strerror(errno));
	}
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
		flush_peer(p);
		set_blocked(p, p->sent < p->group->run_len);
		make_dirty(p->group);
	} else {
		on_readable(p);
	}
}

int
main(int argc, char **argv)
{
	int listener;

	bench_options(options, NULL, argc, argv);
	bench_descriptors();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_on_loopback();
	for (;;) {
		struct epoll_event got[256];
		int n = epoll_wait(epoll_fd, got, 256,
		    conf.again_every > 0 ? 20 : -1);

		for (int i = 0; i < n; i++) {
			on_event(&got[i], listener);
		}
		if (n == 0) {
			send_again();
		}
		flush_dirty();
	}
}

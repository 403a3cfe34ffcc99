/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rand.h"
#include "bench.h"
#include "bench_proc.h"

/* RFC 6455 gives the answer to this key in its own example. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define PORTS_EACH 4000

/* Loopback packets of 64 KiB would let megabytes wait in the kernel. */
static void
make_tiny(int fd)
{
	const int buffer = 4096, packet = 1448;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &packet, sizeof packet);
}

/*
 * Every so many connections come from another address of this machine: once
 * half the ports of one are in use, the kernel searches for a free one for
 * longer than all the rest takes.
 */
static bool
bind_source(int fd)
{
	static atomic_uint dialled;
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const int on = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK +
	    atomic_fetch_add(&dialled, 1) / PORTS_EACH % 250);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	return bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0;
}

bool
bench_dial(struct bench_conn *c, uint16_t port, const char *path,
    const char *protocol, bool tiny)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const int on = 1;

	*c = (struct bench_conn){ 0 };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		bench_die("socket: %s", strerror(errno));
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (tiny) {
		make_tiny(c->fd);
	}
	sin.sin_port = htons(port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rand_bytes(c->mask, sizeof c->mask);
	buf_printf(&c->out,
	    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
	    "Sec-WebSocket-Version: 13\r\n",
	    path);
	if (protocol != NULL) {
		buf_printf(&c->out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	}
	if (bench_target.deflate) {
		buf_puts(&c->out,
		    "Sec-WebSocket-Extensions: permessage-deflate; "
		    "server_no_context_takeover\r\n");
	}
	buf_puts(&c->out, "\r\n");
	return bind_source(c->fd) &&
	    (connect(c->fd, (struct sockaddr *)&sin, sizeof sin) == 0 ||
		errno == EINPROGRESS);
}

/* What was offered must be what is measured. */
static void
check_deflate(const char *head)
{
	if (bench_target.deflate &&
	    strcasestr(head,
		"\r\nsec-websocket-extensions: permessage-deflate") == NULL) {
		bench_die("--deflate: the server does not accept "
			  "permessage-deflate");
	}
}

enum bench_shake
bench_shake(struct bench_conn *c, int *statusp)
{
	char head[2048];
	const char *end;
	ssize_t n;

	if (!bench_flush(c)) {
		return BENCH_BROKEN;
	}
	if (c->out.len > 0) {
		return BENCH_SHAKING;
	}
	/* Frames may follow at once: look first, then take the head alone. */
	n = recv(c->fd, head, sizeof head - 1, MSG_PEEK);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? BENCH_SHAKING
							 : BENCH_BROKEN;
	}
	head[n] = '\0';
	end = strstr(head, "\r\n\r\n");
	errno = 0;
	if (end == NULL) {
		return n > 0 && n < (ssize_t)sizeof head - 1 ? BENCH_SHAKING
							     : BENCH_BROKEN;
	}
	n = recv(c->fd, head, (size_t)(end + 4 - head), 0);
	if (n < 0 || strncmp(head, "HTTP/1.1 ", 9) != 0) {
		return BENCH_BROKEN;
	}
	head[n] = '\0';
	*statusp = atoi(head + 9);
	if (*statusp != 101) {
		return BENCH_REFUSED;
	}
	if (strstr(head, ACCEPT) == NULL) {
		return BENCH_BROKEN;
	}
	check_deflate(head);
	return BENCH_OPEN;
}

void
bench_open(struct bench_conn *c, uint16_t port, const char *path)
{
	uint64_t until = bench_now() + bench_patience;
	enum bench_shake how = BENCH_BROKEN;
	int status = 0;

	if (bench_dial(c, port, path, NULL, false)) {
		how = bench_shake(c, &status);
	}
	while (how == BENCH_SHAKING && bench_now() < until) {
		bench_wait(c, c->out.len > 0 ? POLLOUT : POLLIN, until);
		how = bench_shake(c, &status);
	}
	if (how == BENCH_REFUSED) {
		bench_die("handshake: refused with status %d", status);
	}
	if (how != BENCH_OPEN) {
		bench_die("handshake: %s",
		    how == BENCH_SHAKING ? "no whole answer came"
			: errno != 0     ? strerror(errno)
					 : "the server hung up");
	}
}

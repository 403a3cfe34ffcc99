/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (512 * 1024)
#define PATIENCE_MS 10000

static void
die(const char *what)
{
	perror(what);
	exit(2);
}

static void
send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0) {
			die("send");
		}
		p += n;
		len -= (size_t)n;
	}
}

void
load_open(struct load_conn *c, uint16_t port)
{
	static const char request[] =
	    "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n";
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const int on = 1;
	char answer[4];
	int ends = 0;

	*c = (struct load_conn){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
	sin.sin_port = htons(port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof sin) != 0) {
		die("connect");
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	send_all(c->fd, request, sizeof request - 1);
	/* Byte by byte up to the blank line: frames may follow at once. */
	while (ends < 2) {
		if (recv(c->fd, answer, 1, 0) != 1) {
			die("handshake");
		}
		if (answer[0] == '\n') {
			ends++;
		} else if (answer[0] != '\r') {
			ends = 0;
		}
	}
}

void
load_close(struct load_conn *c)
{
	close(c->fd);
	free(c->held);
	*c = (struct load_conn){ .fd = -1 };
}

size_t
load_frame(uint8_t *out, const char *text, size_t len)
{
	/* A mask of zeros is a mask: the server has the same work. */
	size_t head = len < 126 ? 2 : 4;

	out[0] = 0x81;
	out[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
	if (head == 4) {
		out[2] = (uint8_t)(len >> 8);
		out[3] = (uint8_t)len;
	}
	memset(out + head, 0, 4);
	memcpy(out + head + 4, text, len);
	return head + 4 + len;
}

void
load_send_all(struct load_conn *c, const uint8_t *data, size_t len)
{
	send_all(c->fd, data, len);
}

void
load_send(struct load_conn *c, const char *text, size_t len)
{
	uint8_t frame[65536 + 8];

	send_all(c->fd, frame, load_frame(frame, text, len));
}

/* Tell each whole frame; returns what was used. */
static size_t
tell(const uint8_t *data, size_t len, load_text_f *each, void *arg)
{
	size_t used = 0;

	while (len - used >= 2) {
		const uint8_t *f = data + used;
		size_t head = 2, n = f[1];

		if (n == 126) {
			head = 4;
			n = len - used < 4 ? len : (size_t)f[2] << 8 | f[3];
		} else if (n == 127) {
			head = 10;
			n = 0;
			for (size_t i = 2; i < 10 && len - used >= 10; i++) {
				n = n << 8 | f[i];
			}
			n = len - used < 10 ? len : n;
		}
		if (len - used < head + n) {
			break;
		}
		if ((f[0] & 15) == 1) {
			each(arg, (const char *)f + head, n);
		}
		used += head + n;
	}
	return used;
}

static void
hold(struct load_conn *c, const uint8_t *data, size_t len)
{
	if (len > c->held_cap) {
		c->held_cap = len * 2;
		c->held = realloc(c->held, c->held_cap);
		if (c->held == NULL) {
			die("memory");
		}
	}
	memcpy(c->held, data, len);
	c->held_len = len;
}

bool
load_read(struct load_conn *c, load_text_f *each, void *arg)
{
	static _Thread_local uint8_t buffer[2 * BUFFER];
	size_t len, used;
	ssize_t n;

	if (c->held_len > 0) {
		memcpy(buffer, c->held, c->held_len);
	}
	n = recv(c->fd, buffer + c->held_len, BUFFER, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return true;
	}
	if (n <= 0) {
		return false;
	}
	len = c->held_len + (size_t)n;
	used = tell(buffer, len, each, arg);
	c->held_len = 0;
	if (used < len) {
		hold(c, buffer + used, len - used);
	}
	return true;
}

struct awaited {
	const char *want;
	bool came;
};

static void
look(void *arg, const char *text, size_t len)
{
	struct awaited *a = arg;

	a->came |= memmem(text, len, a->want, strlen(a->want)) != NULL;
}

void
load_await(struct load_conn *c, const char *want)
{
	struct awaited a = { want, false };
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	while (!a.came) {
		if (poll(&p, 1, PATIENCE_MS) != 1 || !load_read(c, look, &a)) {
			fprintf(stderr, "bench: no %s came\n", want);
			exit(2);
		}
	}
}

uint64_t
load_cpu_ns(int pid)
{
	struct timespec ts = { 0 };
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) == 0) {
		clock_gettime(id, &ts);
	}
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
load_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
load_rss(int pid)
{
	unsigned long long size, resident = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", pid);
	f = fopen(path, "re");
	if (f == NULL) {
		return 0;
	}
	if (fscanf(f, "%llu %llu", &size, &resident) != 2) {
		resident = 0;
	}
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

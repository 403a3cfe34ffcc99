/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_page.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"

#define USES_MAX 10
#define PAGE_MAX (16 * 1024 * 1024)

void
bench_page_close(struct bench_page *p)
{
	if (p->fd >= 0) {
		close(p->fd);
	}
	p->fd = -1;
	p->used = 0;
}

static bool
dial(struct bench_page *p)
{
	const struct timeval patience = { .tv_sec = 5 };
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_port = htons(p->port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0) {
		return false;
	}
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	return connect(p->fd, (struct sockaddr *)&sin, sizeof sin) == 0;
}

static bool
ask(struct bench_page *p, const char *path)
{
	char request[256];
	int n = snprintf(request, sizeof request,
	    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);

	return send(p->fd, request, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Read until the answer is whole.  False when it never is. */
static bool
read_answer(struct bench_page *p, struct buf *b)
{
	const char *end = NULL, *field;
	size_t whole = SIZE_MAX;

	while (b->len < whole) {
		char piece[65536];
		ssize_t n = recv(p->fd, piece, sizeof piece, 0);

		if (n <= 0) {
			return false;
		}
		buf_add(b, piece, (size_t)n);
		if (end != NULL || b->failed) {
			continue;
		}
		end = strstr(b->data, "\r\n\r\n");
		field = strcasestr(buf_text(b), "\r\ncontent-length:");
		if (end == NULL || field == NULL) {
			continue;
		}
		whole = (size_t)(end + 4 - b->data) +
		    strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
	}
	return !b->failed;
}

static bool
get(struct bench_page *p, const char *path, struct buf *b)
{
	return (p->fd >= 0 || dial(p)) && ask(p, path) && read_answer(p, b);
}

bool
bench_page_get(struct bench_page *p, const char *path)
{
	struct buf b = { .max = PAGE_MAX };
	bool good = get(p, path, &b);

	if (!good && p->used > 0 && b.len == 0) {
		/* A server may end a connection that it kept: once more. */
		bench_page_close(p);
		good = get(p, path, &b);
	}
	good = good && strncmp(b.data, "HTTP/1.1 200 ", 13) == 0;
	p->used++;
	if (!good || p->used == USES_MAX ||
	    strcasestr(b.data, "\r\nconnection: close\r\n") != NULL) {
		bench_page_close(p);
	}
	buf_fini(&b);
	return good;
}

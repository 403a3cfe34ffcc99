/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "access.h"

/* Connections taken in before the others get their turn. */
#define ACCEPT_MAX 32

/* What the kernel keeps for one viewer: by itself it would grow to megabytes,
 * all of it old news to who reads slowly. */
#define SEND_BUFFER (128 * 1024)

/* A peer that vanished is given up after so many milliseconds. */
#define PEER_TIMEOUT_MS 30000

static const char full[] =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n";

static int refuse(struct aqb_why *why, enum aqb_err err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
refuse(struct aqb_why *why, enum aqb_err err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	return err;
}

int
listen_open(const struct telemetry_conf *conf, uint16_t *portp,
    struct aqb_why *why)
{
	union address at;
	socklen_t len = address_read(conf->host, (uint16_t)conf->port, &at);
	int yes = 1;
	int fd;

	fd = socket(at.any.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return refuse(why, AQB_ESYS, "socket: %s", strerror(errno));
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (at.any.sa_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
	}
	if (bind(fd, &at.any, len) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, &at.any, &len) != 0) {
		refuse(why, AQB_ESYS,
		    "cannot listen on %.64s port %u: %s; choose another host "
		    "or port for telemetry",
		    conf->host, conf->port, strerror(errno));
		close(fd);
		return AQB_ESYS;
	}
	*portp = ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port
						    : at.v4.sin_port);
	return fd;
}

bool
listener_start(struct listener *l, const struct plane *plane,
    struct lws_vhost *vhost, int fd, uint32_t most)
{
	*l = (struct listener){
		.plane = plane,
		.vhost = vhost,
		.most = most,
	};
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	l->wsi = lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC,
	    (lws_sock_file_fd_type){ .filefd = fd }, TELEMETRY_PROTOCOL, NULL);
	return l->wsi != NULL;
}

void
listener_stop(struct listener *l)
{
	if (l->wsi != NULL) {
		lws_set_timeout(l->wsi, PENDING_TIMEOUT_USER_OK,
		    LWS_TO_KILL_ASYNC);
		l->wsi = NULL;
	}
}

void
listener_fini(struct listener *l)
{
	if (l->spare >= 0) {
		close(l->spare);
		l->spare = -1;
	}
}

/* Say that there is no room, to whom will have it. */
static void
turn_away(int fd)
{
	char drain[1024];

	/* Unread bytes would turn the answer into a reset. */
	while (recv(fd, drain, sizeof drain, MSG_DONTWAIT) > 0) {
	}
	(void)!send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/*
 * There are no descriptors left.  Knocking that is not answered would wake
 * this thread for ever, so one is taken in on the spare and shown out.
 */
static bool
shed(struct listener *l, int listening)
{
	int fd;

	if (!l->is_starved) {
		l->is_starved = true;
		l->plane->host->log(l->plane->host, AQB_WARNING,
		    "telemetry out of descriptors; connections are refused");
	}
	if (l->spare < 0) {
		return false;
	}
	close(l->spare);
	fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		turn_away(fd);
	}
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static void
prepare(int fd)
{
	int yes = 1;
	int size = SEND_BUFFER;
	unsigned timeout = PEER_TIMEOUT_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

static void
take_in(struct listener *l, int fd)
{
	struct lws *wsi;

	if (l->peers >= l->most) {
		turn_away(fd);
		return;
	}
	prepare(fd);
	wsi = lws_adopt_socket_vhost(l->vhost, fd);
	if (wsi == NULL) {
		return; /* the library has closed it */
	}
	lws_set_opaque_user_data(wsi, l);
	l->peers++;
}

void
listener_accept(struct listener *l, int listening)
{
	int i;

	for (i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(listening, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->is_starved = false;
			take_in(l, fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			if (!shed(l, listening)) {
				return;
			}
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

void
listener_forget(struct listener *l, struct lws *wsi)
{
	if (lws_get_opaque_user_data(wsi) == l) {
		lws_set_opaque_user_data(wsi, NULL);
		l->peers--;
	}
}

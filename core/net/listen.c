/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "loop/loop.h"
#include "net/crew.h"
#include "net/peers.h"
#include "net/worker.h"

#define LISTENER_MAGIC 0x7ce05d42u
#define BACKLOG 4096
#define ACCEPTS_A_TURN 64
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 1000

struct listener {
	uint32_t magic;
	int fd;
	int spare_fd; /* given up to accept one more when there are none */
	uint16_t port;
	struct loop *loop;
	struct net_conf conf;
	struct crew *crew;
	struct event *event;
	struct timer resume;
	uint64_t pause; /* ms; 0: descriptors are there */
	struct bucket accepts;
};

static int
open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Why it may not come in: a status and a reason.  0: it may. */
static int
judge(struct listener *l, const struct sockaddr *address, struct newcomer *n)
{
	const struct net_conf *c = &l->conf;

	if (crew_connections(l->crew) >= c->max_connections) {
		snprintf(n->reason, sizeof n->reason,
		    "the limit of %u connections is reached",
		    c->max_connections);
		return 503;
	}
	if (!peers_enter(address, c->connections_per_address, &n->peer)) {
		snprintf(n->reason, sizeof n->reason,
		    "the limit of %u connections of one address is reached",
		    c->connections_per_address);
		return 429;
	}
	if (bucket_take(&l->accepts, c->accepts_per_second, c->accepts_burst, 1,
		loop_now(l->loop)) > 0) {
		peers_leave(&n->peer);
		snprintf(n->reason, sizeof n->reason,
		    "too many new connections a second");
		return 503;
	}
	return 0;
}

static void
admit(struct listener *l, int fd, const struct sockaddr *address)
{
	struct newcomer newcomer = { .fd = fd };

	count_add(&l->crew->count.accepted, 1);
	newcomer.status = judge(l, address, &newcomer);
	worker_offer(crew_choose(l->crew), &newcomer);
}

static void
on_resume(void *arg)
{
	struct listener *l;

	OBJ_CAST(l, arg, LISTENER_MAGIC);
	event_add(l->event, NULL);
}

/* Without descriptors, or memory in the kernel, the socket stays readable and
 * the loop would spin: turn one peer away with the spare, then wait a
 * little. */
static void
out_of_descriptors(struct listener *l)
{
	static const char answer[] =
	    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n";
	const char *error = strerror(errno);
	int fd;

	if (l->spare_fd >= 0) {
		close(l->spare_fd);
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			(void)!send(fd, answer, sizeof answer - 1,
			    MSG_NOSIGNAL);
			close(fd);
			count_add(&l->crew->count.refused, 1);
		}
		l->spare_fd = open_spare();
	}
	if (l->pause == 0) {
		LOG(AQB_ERROR, "accepting is paused", F("error", error),
		    FN("connections", crew_connections(l->crew)));
		l->pause = PAUSE_FIRST_MS;
	}
	event_del(l->event);
	timer_set(l->loop, &l->resume, l->pause);
	l->pause = l->pause * 2 < PAUSE_MAX_MS ? l->pause * 2 : PAUSE_MAX_MS;
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct listener *l;

	(void)what;
	OBJ_CAST(l, arg, LISTENER_MAGIC);
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof ss;
		int fd = accept4((int)listen_fd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->pause = 0;
			admit(l, fd, (const struct sockaddr *)&ss);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		}
		count_add(&l->crew->count.accept_errors, 1);
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			out_of_descriptors(l);
			return;
		}
	}
}

static int
try_listen(const struct addrinfo *ai)
{
	const int on = 1;
	int fd = socket(ai->ai_family,
	    ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);

	if (fd < 0) {
		return -1;
	}
	/* What is accepted inherits TCP_NODELAY: nothing of ours is to wait for
	 * an acknowledgement, for a turn's frames are one write anyway. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/* A listening socket, or -1 with the reason. */
static int
open_socket(const char *host, uint16_t port, struct aqb_why *why)
{
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list = NULL;
	char service[8];
	int fd = -1;
	int err;

	snprintf(service, sizeof service, "%u", port);
	err = getaddrinfo(host, service, &hints, &list);
	if (err != 0) {
		refuse(why, AQB_EINVAL, "%s: %s", host, gai_strerror(err));
		return -1;
	}
	for (struct addrinfo *ai = list; ai != NULL && fd < 0;
	     ai = ai->ai_next) {
		fd = try_listen(ai);
	}
	if (fd < 0) {
		refuse(why, AQB_ESYS, "cannot listen on %s port %u: %s", host,
		    port, strerror(errno));
	}
	freeaddrinfo(list);
	return fd;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0) {
		return 0;
	}
	return ntohs(ss.ss_family == AF_INET6
		? ((struct sockaddr_in6 *)&ss)->sin6_port
		: ((struct sockaddr_in *)&ss)->sin_port);
}

struct listener *
listener_new(struct loop *loop, const char *host, uint16_t port,
    const struct net_conf *conf, struct crew *crew, struct aqb_why *why)
{
	struct listener *l;
	int fd = open_socket(host, port, why);

	if (fd < 0) {
		return NULL;
	}
	l = xnew(sizeof *l);
	l->magic = LISTENER_MAGIC;
	l->fd = fd;
	l->port = port_of(fd);
	l->loop = loop;
	l->conf = *conf;
	l->crew = crew;
	l->spare_fd = open_spare();
	bucket_init(&l->accepts, conf->accepts_burst, loop_now(loop));
	timer_init(&l->resume, on_resume, l);
	l->event =
	    event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_accept, l);
	assert(l->event != NULL && event_add(l->event, NULL) == 0);
	return l;
}

void
listener_free(struct listener **listenerp)
{
	struct listener *l;

	if (*listenerp == NULL) {
		return;
	}
	OBJ_TAKE(l, listenerp, LISTENER_MAGIC);
	event_free(l->event);
	timer_stop(&l->resume);
	close(l->fd);
	if (l->spare_fd >= 0) {
		close(l->spare_fd);
	}
	l->magic = 0;
	free(l);
}

void
listener_hold(struct listener *l, bool hold)
{
	OBJ_CHECK(l, LISTENER_MAGIC);
	if (hold) {
		event_del(l->event);
	} else {
		event_add(l->event, NULL);
	}
}

uint16_t
listener_port(const struct listener *l)
{
	OBJ_CHECK(l, LISTENER_MAGIC);
	return l->port;
}

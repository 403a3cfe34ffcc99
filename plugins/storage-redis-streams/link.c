/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <event2/event.h>

#include <arqonbus/host.h>

#include "attach.h"
#include "clock.h"
#include "digits.h"
#include "find.h"
#include "reply.h"

#define HEALTHY_MS 10000       /* a connection that stood so long was good */
#define WRONG_PASSWORD_MS 5000 /* nobody mends that in less */
#define KEEPALIVE_S 15
#define USER_TIMEOUT_MS 5000
#define TEXT_KEPT (64u << 10) /* bytes, of a command's text and of a batch */

enum state {
	LINK_DOWN,     /* waits for its next try */
	LINK_FINDING,  /* an address */
	LINK_GREETING, /* connecting, and saying who it is */
	LINK_READY,
	LINK_DROPPING, /* to be closed in a later turn */
};

struct link {
	const struct aqb_host *host;
	struct event_base *base;
	const struct url *url;
	const struct link_times *times;
	const char *name;
	struct link_events events;
	enum state state;
	bool was_ready;
	struct find *find;
	redisAsyncContext *ac;
	struct event *timer;
	uint64_t since;    /* of this state */
	uint64_t progress; /* when the last answer came, or the first is due */
	uint64_t retry;    /* the next wait */
	uint64_t wait;     /* at least, before the next try */
	size_t due;
	size_t held; /* bytes of an answer that is not whole, when last seen */
	char *text;  /* of the command that is being sent */
	size_t text_cap;
	char why[200];
};

static void set_timer(struct link *l, uint64_t ms);
static void on_timer(evutil_socket_t fd, short what, void *arg);

struct link *
link_new(const struct aqb_host *host, struct event_base *base,
    const struct url *url, const struct link_times *times, const char *name,
    const struct link_events *events)
{
	struct link *l = calloc(1, sizeof *l);

	if (l == NULL) {
		return NULL;
	}
	l->host = host;
	l->base = base;
	l->url = url;
	l->times = times;
	l->name = name;
	l->events = *events;
	l->retry = times->retry_min;
	l->timer = event_new(base, -1, 0, on_timer, l);
	l->find = find_new(base, url);
	if (l->timer == NULL || l->find == NULL) {
		link_free(&l);
	}
	return l;
}

static void
close_connection(struct link *l)
{
	redisAsyncContext *ac = l->ac;

	l->ac = NULL; /* so that it is known who closed it */
	if (ac != NULL) {
		redisAsyncFree(ac); /* calls back everything that is due */
	}
	l->due = 0;
}

void
link_free(struct link **linkp)
{
	struct link *l = *linkp;

	*linkp = NULL;
	if (l == NULL) {
		return;
	}
	l->events.ready = l->events.lost = l->events.failed = NULL;
	l->state = LINK_DROPPING;
	close_connection(l);
	find_free(&l->find);
	if (l->timer != NULL) {
		event_free(l->timer);
	}
	free(l->text);
	free(l);
}

static void
enter(struct link *l, enum state state, uint64_t timer_ms)
{
	l->state = state;
	l->since = clock_ms();
	set_timer(l, timer_ms);
}

static void
set_timer(struct link *l, uint64_t ms)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	event_add(l->timer, &tv);
}

/* Between half and one and a half of it, so that many do not come at once. */
static uint64_t
with_jitter(uint64_t ms)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != sizeof r) {
		r = (uint32_t)clock_ms();
	}
	return ms / 2 + (ms == 0 ? 0 : r % (ms + 1));
}

/* The connection is gone, or never was. */
static void
go_down(struct link *l)
{
	uint64_t wait;

	if (l->was_ready && clock_ms() - l->since >= HEALTHY_MS) {
		l->retry = l->times->retry_min;
	}
	wait = with_jitter(l->retry);
	l->retry = l->retry * 2 > l->times->retry_max ? l->times->retry_max
						      : l->retry * 2;
	if (wait < l->wait) {
		wait = l->wait;
	}
	l->wait = 0;
	enter(l, LINK_DOWN, wait);
	if (l->was_ready) {
		l->was_ready = false;
		l->host->log(l->host, AQB_WARNING, "%s connection lost: %s",
		    l->name, l->why);
		if (l->events.lost != NULL) {
			l->events.lost(l->events.arg);
		}
	} else if (l->events.failed != NULL) {
		l->events.failed(l->events.arg);
	}
}

void
link_drop(struct link *l, uint64_t wait, const char *fmt, ...)
{
	va_list ap;

	if (l->state == LINK_DOWN || l->state == LINK_DROPPING) {
		return;
	}
	va_start(ap, fmt);
	vsnprintf(l->why, sizeof l->why, fmt, ap);
	va_end(ap);
	l->wait = wait > l->wait ? wait : l->wait;
	l->state = LINK_DROPPING; /* keeps `since`, for go_down() */
	set_timer(l, 0);
}

/* AUTH, SELECT and PING must go well; hiredis keeps the order. */
static bool
is_welcome(redisAsyncContext *ac, void *rep)
{
	const redisReply *reply = link_reply(ac, rep);
	struct link *l = ac->data;

	if (reply == NULL || l->state != LINK_GREETING) {
		return false;
	}
	if (reply_class(reply) == REPLY_FINE) {
		return true;
	}
	link_drop(l,
	    reply_class(reply) == REPLY_FORBIDDEN ? WRONG_PASSWORD_MS : 0,
	    "%.150s", reply_text(reply));
	return false;
}

static void
on_step(redisAsyncContext *ac, void *rep, void *arg)
{
	(void)arg;
	is_welcome(ac, rep);
}

/* A name is nice to have. */
static void
on_named(redisAsyncContext *ac, void *rep, void *arg)
{
	(void)arg;
	link_reply(ac, rep);
}

static void
on_pong(redisAsyncContext *ac, void *rep, void *arg)
{
	struct link *l = ac->data;

	(void)arg;
	if (is_welcome(ac, rep)) {
		l->was_ready = true;
		enter(l, LINK_READY, l->times->answer / 4);
		l->events.ready(l->events.arg);
	}
}

static void
say_hello(struct link *l)
{
	const struct url *u = l->url;
	char database[16];
	const char *auth[] = { "AUTH", u->user, u->password };
	const char *select[] = { "SELECT", database };
	const char *name[] = { "CLIENT", "SETNAME", l->name };
	const char *ping[] = { "PING" };

	snprintf(database, sizeof database, "%u", u->database);
	if (u->password[0] != '\0' && u->user[0] != '\0') {
		link_say(l, on_step, NULL, 3, auth);
	} else if (u->password[0] != '\0') {
		auth[1] = u->password;
		link_say(l, on_step, NULL, 2, auth);
	}
	if (u->database != 0) {
		link_say(l, on_step, NULL, 2, select);
	}
	link_say(l, on_named, NULL, 3, name);
	link_say(l, on_pong, NULL, 1, ping);
}

static void
set_options(int fd)
{
	const int on = 1, idle = KEEPALIVE_S, timeout = USER_TIMEOUT_MS;

	/* A unix socket takes none of these, and needs none. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

static void
on_connected(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;

	if (status == REDIS_OK) {
		set_options(ac->c.fd);
		return;
	}
	/* hiredis frees it when this returns, and says no more of it. */
	l->ac = NULL;
	l->due = 0;
	snprintf(l->why, sizeof l->why, "connect: %s", ac->errstr);
	go_down(l);
}

static void
on_disconnected(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;

	if (l->ac == NULL) {
		return; /* it is us who close it */
	}
	l->ac = NULL;
	l->due = 0;
	if (l->state != LINK_DROPPING) {
		snprintf(l->why, sizeof l->why, "%s",
		    status == REDIS_OK ? "closed" : ac->errstr);
	}
	go_down(l);
}

static redisAsyncContext *
open_socket(const struct link *l, const struct url_node *node)
{
	return l->url->path[0] != '\0'
	    ? redisAsyncConnectUnix(l->url->path)
	    : redisAsyncConnect(node->host, node->port);
}

/* The address is known, or it is not. */
static void
on_found(void *arg, const struct url_node *node, const char *why)
{
	struct link *l = arg;
	redisAsyncContext *ac;

	if (node == NULL) {
		snprintf(l->why, sizeof l->why, "%s", why);
		go_down(l);
		return;
	}
	ac = open_socket(l, node);
	if (ac == NULL || ac->err != 0 || !attach(ac, l->base)) {
		snprintf(l->why, sizeof l->why, "connect: %s",
		    ac == NULL || ac->err == 0 ? "out of memory" : ac->errstr);
		if (ac != NULL) {
			redisAsyncFree(ac);
		}
		go_down(l);
		return;
	}
	ac->data = l;
	l->ac = ac;
	reply_bound(ac->c.reader, &l->due);
	redisAsyncSetConnectCallback(ac, on_connected);
	redisAsyncSetDisconnectCallback(ac, on_disconnected);
	enter(l, LINK_GREETING, l->times->connect);
	say_hello(l);
}

static void
connect_now(struct link *l)
{
	enter(l, LINK_FINDING, l->times->connect);
	find_start(l->find, on_found, l);
}

void
link_start(struct link *l)
{
	connect_now(l);
}

/* An answer that is long comes piece by piece. */
static void
note_bytes(struct link *l)
{
	size_t held = l->ac->c.reader->len;

	if (held != l->held) {
		l->held = held;
		l->progress = clock_ms();
	}
}

static void
give_up(struct link *l)
{
	find_stop(l->find);
	l->state = LINK_DROPPING;
	close_connection(l);
	go_down(l);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	(void)fd;
	(void)what;
	switch (l->state) {
	case LINK_DOWN:
		connect_now(l);
		return;
	case LINK_FINDING:
	case LINK_GREETING:
		snprintf(l->why, sizeof l->why, "connect: no answer in %llu ms",
		    (unsigned long long)l->times->connect);
		give_up(l);
		return;
	case LINK_DROPPING:
		give_up(l);
		return;
	case LINK_READY:
		break;
	}
	note_bytes(l);
	if (l->due > 0 && clock_ms() - l->progress >= l->times->answer) {
		snprintf(l->why, sizeof l->why,
		    "no answer in %llu ms, %zu are due",
		    (unsigned long long)l->times->answer, l->due);
		give_up(l);
		return;
	}
	set_timer(l, l->times->answer / 4);
}

void *
link_owner(const struct link *l)
{
	return l->events.arg;
}

bool
link_is_ready(const struct link *l)
{
	return l->state == LINK_READY;
}

const char *
link_why(const struct link *l)
{
	return l->why;
}

/* A line of RESP: what comes, and how many or how long. */
static char *
put_count(char *p, char what, size_t n)
{
	*p++ = what;
	p = put_digits(p, n);
	*p++ = '\r';
	*p++ = '\n';
	return p;
}

/* The command as it goes over the wire, in l->text; 0 without memory. */
static size_t
put_command(struct link *l, int argc, const char **argv, const size_t *lens)
{
	const size_t count_max = sizeof "$18446744073709551615\r\n\r\n";
	size_t most = count_max;
	char *p;

	for (int i = 0; i < argc; i++) {
		most += lens[i] + count_max;
	}
	if (most > l->text_cap) {
		p = realloc(l->text, most);
		if (p == NULL) {
			return 0;
		}
		l->text = p;
		l->text_cap = most;
	}
	p = put_count(l->text, '*', (size_t)argc);
	for (int i = 0; i < argc; i++) {
		p = put_count(p, '$', lens[i]);
		memcpy(p, argv[i], lens[i]);
		p += lens[i];
		*p++ = '\r';
		*p++ = '\n';
	}
	return (size_t)(p - l->text);
}

/* hiredis throws its buffer away each time it is empty. */
static void
make_room(redisContext *c)
{
	if (sdslen(c->obuf) == 0) {
		sds roomy = sdsMakeRoomFor(c->obuf, TEXT_KEPT);

		c->obuf = roomy == NULL ? c->obuf : roomy;
	}
}

/* hiredis could put the words together itself, at a third of what a message
 * costs. */
static bool
send_text(struct link *l, redisCallbackFn *fn, void *arg, int argc,
    const char **argv, const size_t *lens)
{
	size_t len = put_command(l, argc, argv, lens);
	bool sent;

	make_room(&l->ac->c);
	sent = len > 0 &&
	    redisAsyncFormattedCommand(l->ac, fn, arg, l->text, len) ==
		REDIS_OK;
	if (l->text_cap > TEXT_KEPT) {
		free(l->text);
		l->text = NULL;
		l->text_cap = 0;
	}
	return sent;
}

bool
link_send(struct link *l, redisCallbackFn *fn, void *arg, int argc,
    const char **argv, const size_t *lens)
{
	if (l->ac == NULL ||
	    (l->state != LINK_READY && l->state != LINK_GREETING) ||
	    !send_text(l, fn, arg, argc, argv, lens)) {
		return false;
	}
	if (l->due++ == 0) {
		l->progress = clock_ms();
	}
	return true;
}

bool
link_say(struct link *l, redisCallbackFn *fn, void *arg, int argc,
    const char **argv)
{
	size_t lens[16];

	assert(argc <= 16);
	for (int i = 0; i < argc; i++) {
		lens[i] = strlen(argv[i]);
	}
	return link_send(l, fn, arg, argc, argv, lens);
}

const redisReply *
link_reply(redisAsyncContext *ac, void *reply)
{
	struct link *l = ac->data;

	if (reply != NULL) {
		l->due--;
		l->progress = clock_ms();
	}
	return reply;
}

size_t
link_backlog(const struct link *l)
{
	return l->ac == NULL ? 0 : sdslen(l->ac->c.obuf);
}

size_t
link_due(const struct link *l)
{
	return l->due;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "find.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <hiredis/async.h>

#include "attach.h"
#include "reply.h"

#define SENTINEL_MS 300 /* one that says nothing for so long is passed over */

/* A name being looked up.  libevent tells its end whenever it likes, so it
 * may outlive the question. */
struct lookup {
	struct find *find; /* NULL: nobody waits */
	uint16_t port;
};

struct find {
	struct event_base *base;
	const struct url *url;
	struct evdns_base *dns; /* from the first name on */
	struct lookup *lookup;
	struct evdns_getaddrinfo_request *request;
	redisAsyncContext *sentinel;
	size_t due; /* answers of it */
	struct event *timer;
	find_done_f *done; /* NULL: nobody asks */
	void *arg;
	size_t first, tried; /* among the Sentinels */
	bool is_master;      /* node is what a Sentinel said */
	struct url_node node;
	char why[160];
};

static void ask_next_sentinel(struct find *f);
static void on_timer(evutil_socket_t fd, short what, void *arg);

struct find *
find_new(struct event_base *base, const struct url *url)
{
	struct find *f = calloc(1, sizeof *f);

	if (f == NULL) {
		return NULL;
	}
	f->base = base;
	f->url = url;
	f->timer = evtimer_new(base, on_timer, f);
	if (f->timer == NULL) {
		free(f);
		return NULL;
	}
	return f;
}

static void
leave_sentinel(struct find *f)
{
	redisAsyncContext *ac = f->sentinel;

	f->sentinel = NULL;
	if (ac != NULL) {
		redisAsyncFree(ac);
	}
}

void
find_stop(struct find *f)
{
	if (f->done != NULL && f->tried > 0) {
		/* There was no time for more: next time the others come
		 * first, else they never would. */
		f->first = (f->first + f->tried) % f->url->nodes;
	}
	f->done = NULL;
	if (f->lookup != NULL) {
		f->lookup->find = NULL;
		f->lookup = NULL;
		if (f->request != NULL) {
			evdns_getaddrinfo_cancel(f->request);
		}
		f->request = NULL;
	}
	event_del(f->timer);
	leave_sentinel(f);
}

void
find_free(struct find **findp)
{
	struct find *f = *findp;

	*findp = NULL;
	if (f == NULL) {
		return;
	}
	find_stop(f);
	event_free(f->timer);
	if (f->dns != NULL) {
		evdns_base_free(f->dns, 1);
	}
	free(f);
}

static void
conclude(struct find *f, const struct url_node *node)
{
	find_done_f *done = f->done;

	f->done = NULL;
	event_del(f->timer);
	if (done != NULL) {
		done(f->arg, node, f->why);
	}
}

/* This way leads nowhere. */
static void
fail(struct find *f)
{
	if (f->url->master[0] != '\0') {
		ask_next_sentinel(f);
	} else {
		conclude(f, NULL);
	}
}

static void connect_to_sentinel(struct find *f);

/* f->node is numeric. */
static void
node_is_known(struct find *f)
{
	if (f->url->master[0] == '\0' || f->is_master) {
		conclude(f, &f->node);
	} else {
		connect_to_sentinel(f);
	}
}

static void
on_looked_up(int result, struct evutil_addrinfo *found, void *arg)
{
	struct lookup *lookup = arg;
	struct find *f = lookup->find;
	int err = result;

	free(lookup);
	if (f != NULL) {
		f->lookup = NULL;
		f->request = NULL;
		if (err == 0) {
			err = getnameinfo(found->ai_addr, found->ai_addrlen,
			    f->node.host, sizeof f->node.host, NULL, 0,
			    NI_NUMERICHOST);
		}
	}
	if (found != NULL) {
		evutil_freeaddrinfo(found);
	}
	if (f == NULL) {
		return;
	}
	if (err != 0) {
		snprintf(f->why, sizeof f->why, "%.100s: %s", f->node.host,
		    evutil_gai_strerror(err));
		fail(f);
		return;
	}
	node_is_known(f);
}

static bool
is_numeric(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 ||
	    inet_pton(AF_INET6, host, address) == 1;
}

/* Make f->node numeric. */
static void
look_up(struct find *f)
{
	const struct evutil_addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
	};
	struct evdns_getaddrinfo_request *request;
	struct lookup *lookup;

	if (is_numeric(f->node.host)) {
		node_is_known(f);
		return;
	}
	if (f->dns == NULL) {
		f->dns = evdns_base_new(f->base,
		    EVDNS_BASE_INITIALIZE_NAMESERVERS |
			EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	}
	lookup = f->dns == NULL ? NULL : calloc(1, sizeof *lookup);
	if (lookup == NULL) {
		snprintf(f->why, sizeof f->why,
		    "%.100s: names cannot be looked up", f->node.host);
		fail(f);
		return;
	}
	lookup->find = f;
	f->lookup = lookup;
	request = evdns_getaddrinfo(f->dns, f->node.host, NULL, &hints,
	    on_looked_up, lookup);
	if (f->lookup == lookup) {
		f->request = request; /* else it was known at once */
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct find *f = arg;

	(void)fd;
	(void)what;
	if (f->is_master) {
		leave_sentinel(f);
		look_up(f);
		return;
	}
	if (f->why[0] == '\0') {
		snprintf(f->why, sizeof f->why,
		    "Sentinel %.100s: no answer in %d ms", f->node.host,
		    SENTINEL_MS);
	}
	leave_sentinel(f);
	ask_next_sentinel(f);
}

/* Never go on from within hiredis: the timer does, at once. */
static void
go_on_later(struct find *f)
{
	const struct timeval now = { 0, 0 };

	event_add(f->timer, &now);
}

static void
on_sentinel(redisAsyncContext *ac, void *r, void *arg)
{
	const redisReply *reply = r;
	struct find *f = ac->data;
	int port;

	(void)arg;
	if (f->sentinel != ac) {
		return; /* we are closing it */
	}
	f->due = 0;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING ||
	    reply->element[0]->len >= sizeof f->node.host ||
	    (port = atoi(reply->element[1]->str)) <= 0 || port > 65535) {
		snprintf(f->why, sizeof f->why, "Sentinel %.60s: %.80s",
		    f->node.host,
		    reply != NULL && reply->type == REDIS_REPLY_ERROR
			? reply->str
			: "it does not know the master");
		go_on_later(f);
		return;
	}
	strcpy(f->node.host, reply->element[0]->str);
	f->node.port = (uint16_t)port;
	f->is_master = true;
	f->first = (f->first + f->tried - 1) % f->url->nodes;
	go_on_later(f);
}

static void
on_sentinel_connected(const redisAsyncContext *ac, int status)
{
	struct find *f = ac->data;

	if (status == REDIS_OK || f->sentinel != ac) {
		return;
	}
	f->sentinel = NULL; /* hiredis frees it */
	snprintf(f->why, sizeof f->why, "Sentinel %.60s: %.80s", f->node.host,
	    ac->errstr);
	go_on_later(f);
}

static void
on_sentinel_gone(const redisAsyncContext *ac, int status)
{
	struct find *f = ac->data;

	(void)status;
	if (f->sentinel == ac) {
		f->sentinel = NULL;
	}
}

static void
connect_to_sentinel(struct find *f)
{
	const char *ask[] = { "SENTINEL", "get-master-addr-by-name",
		f->url->master };
	const struct timeval patience = { .tv_usec = SENTINEL_MS * 1000 };
	redisAsyncContext *ac = redisAsyncConnect(f->node.host, f->node.port);

	if (ac == NULL || ac->err != 0 || !attach(ac, f->base)) {
		snprintf(f->why, sizeof f->why, "Sentinel %.60s: %.80s",
		    f->node.host,
		    ac == NULL || ac->err == 0 ? "out of memory" : ac->errstr);
		if (ac != NULL) {
			redisAsyncFree(ac);
		}
		go_on_later(f);
		return;
	}
	ac->data = f;
	f->sentinel = ac;
	f->due = 1;
	reply_bound(ac->c.reader, &f->due);
	redisAsyncSetConnectCallback(ac, on_sentinel_connected);
	redisAsyncSetDisconnectCallback(ac, on_sentinel_gone);
	redisAsyncCommandArgv(ac, on_sentinel, NULL, 3, ask, NULL);
	event_add(f->timer, &patience);
}

static void
ask_next_sentinel(struct find *f)
{
	if (f->tried == f->url->nodes) {
		conclude(f, NULL);
		return;
	}
	f->node = f->url->node[(f->first + f->tried) % f->url->nodes];
	f->tried++;
	f->is_master = false;
	f->why[0] = '\0';
	look_up(f);
}

void
find_start(struct find *f, find_done_f *done, void *arg)
{
	find_stop(f);
	f->done = done;
	f->arg = arg;
	f->tried = 0;
	f->is_master = false;
	f->why[0] = '\0';
	if (f->url->path[0] != '\0') {
		conclude(f, &f->node);
	} else if (f->url->master[0] != '\0') {
		ask_next_sentinel(f);
	} else {
		f->node = f->url->node[0];
		look_up(f);
	}
}

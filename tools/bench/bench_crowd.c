/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client waits until it is due, then goes from stage to stage as its socket
 * becomes ready:
 *
 *   LATER -> SHAKING -> GREETING -> STANDING
 *                 \---------\-------> OVER: refused, or failed
 */

#include "bench_crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_dial.h"
#include "peer.h"

#define AT_A_TIME 256 /* where the pace is theirs */
#define SPARE 32      /* descriptors for all but connections */

enum stage {
	LATER,
	SHAKING,
	GREETING,
	STANDING,
	OVER,
};

struct entry {
	enum stage stage;
	uint64_t due;
};

/* One crowd is opened at a time. */
static struct bench_crowd *crowd;
static struct bench_loop *loop;
static struct entry *entries;
static uint64_t begun;  /* dialled so far */
static uint64_t ended;  /* established, refused or failed */
static uint64_t begin;  /* when the first was due */
static uint64_t change; /* when one last ended */

static struct entry *
entry_of(const struct bench_client *client)
{
	return &entries[client - crowd->clients];
}

static void
end(struct bench_client *client, enum stage stage)
{
	entry_of(client)->stage = stage;
	ended++;
	change = loop->now;
	if (stage == OVER) {
		bench_close(&client->conn);
	}
}

static void
fail(struct bench_client *client, const char *why)
{
	if (!crowd->lenient) {
		bench_die("connection %llu of %llu: %s",
		    (unsigned long long)(client - crowd->clients) + 1,
		    (unsigned long long)crowd->count, why);
	}
	if (crowd->failed++ == 0) {
		snprintf(crowd->why, sizeof crowd->why, "%s", why);
	}
	end(client, OVER);
}

static void
fail_by(struct bench_client *client, int error)
{
	fail(client, error == 0 ? "the server hung up" : strerror(error));
}

static void
refuse(struct bench_client *client, int status)
{
	char why[64];

	if (!crowd->lenient) {
		snprintf(why, sizeof why, "refused with status %d", status);
		fail(client, why);
	}
	crowd->refused++;
	crowd->statuses[status > 0 && status < BENCH_STATUS_MAX ? status : 0]++;
	end(client, OVER);
}

static void
establish(struct bench_client *client)
{
	bench_hist_add(&crowd->latency, loop->now - entry_of(client)->due);
	crowd->established++;
	crowd->took = loop->now - begin;
	end(client, STANDING);
}

static void
address_of(const struct bench_client *client, struct bench_address *address)
{
	*address = (struct bench_address){ .path = "/" };
	if (crowd->address != NULL) {
		crowd->address(client->order.stream, address);
	}
}

static void
dial(struct bench_client *client, uint64_t due)
{
	const struct peer_dialect *dialect = bench_target.dialect;
	struct bench_address address;
	char path[400];

	begun++;
	*entry_of(client) = (struct entry){ SHAKING, due };
	address_of(client, &address);
	dialect->path(&address, crowd->join, path, sizeof path);
	if (!bench_dial(&client->conn, (uint16_t)bench_target.port, path,
		dialect->protocol, crowd->tiny)) {
		fail_by(client, errno);
		return;
	}
	client->conn.binary = dialect->binary;
	client->conn.stream = dialect->stream;
	bench_loop_add(loop, client, EPOLLOUT);
}

/* Dial those that are due. */
static void
dial_some(void)
{
	while (begun < crowd->count) {
		uint64_t due = loop->now;

		if (crowd->over == 0 && begun - ended >= AT_A_TIME) {
			return;
		}
		if (crowd->over > 0) {
			due = begin +
			    (uint64_t)((double)crowd->over * (double)begun /
				(double)crowd->count);
			if (due > loop->now) {
				return;
			}
		}
		dial(&crowd->clients[begun], due);
		loop->now = bench_now();
	}
}

/* A text came before its client stands, or for one that stands. */
static void
on_text(void *arg, const char *text, size_t len)
{
	struct bench_client *client = arg;
	struct bench_address address;

	if (client->conn.awaits > 0 && bench_target.dialect->reply != NULL) {
		address_of(client, &address);
		bench_target.dialect->reply(&client->conn, &address,
		    crowd->join, text, len);
	}
}

/* The handshake is done. */
static void
greet(struct bench_client *client)
{
	struct bench_address address;

	address_of(client, &address);
	bench_target.dialect->hello(&client->conn, &address, crowd->join);
	if (!bench_flush(&client->conn)) {
		fail_by(client, errno);
		return;
	}
	bench_loop_change(loop, client, EPOLLIN);
	entry_of(client)->stage = GREETING;
	if (client->conn.awaits == 0) {
		establish(client);
	}
}

static void
shake(struct bench_client *client)
{
	int status = 0;

	switch (bench_shake(&client->conn, &status)) {
	case BENCH_SHAKING:
		if (client->conn.out.len == 0) {
			bench_loop_change(loop, client, EPOLLIN);
		}
		break;
	case BENCH_OPEN:
		greet(client);
		break;
	case BENCH_REFUSED:
		refuse(client, status);
		break;
	case BENCH_BROKEN:
		fail_by(client, errno);
		break;
	}
}

/* A client that stood already went: it is none of the established any more. */
static void
lose(struct bench_client *client)
{
	if (!crowd->lenient) {
		bench_dropped(&client->conn);
	}
	if (entry_of(client)->stage == STANDING) {
		crowd->established--;
		ended--;
	}
	fail(client, "the server ended the connection");
}

static void
serve(struct bench_client *client)
{
	if (client < crowd->clients ||
	    client >= crowd->clients + crowd->count) {
		/* Of another crowd, opened before. */
		if (!bench_read(&client->conn, loop->came, client)) {
			bench_dropped(&client->conn);
		}
		return;
	}
	if (entry_of(client)->stage == SHAKING) {
		shake(client);
		return;
	}
	if (!bench_read(&client->conn, on_text, client) ||
	    !bench_flush(&client->conn)) {
		lose(client);
	} else if (entry_of(client)->stage == GREETING &&
	    client->conn.awaits == 0) {
		establish(client);
	}
}

static void
turn(void)
{
	bool spin = crowd->over > 0 && begun < crowd->count;
	struct epoll_event got[256];
	int n = epoll_wait(loop->epoll_fd, got, 256, spin ? 0 : 100);

	loop->now = bench_now();
	for (int i = 0; i < n; i++) {
		serve(got[i].data.ptr);
		loop->now = bench_now();
	}
	bench_loop_told(loop);
}

void
bench_crowd_open(struct bench_crowd *c, struct bench_loop *l)
{
	crowd = c;
	loop = l;
	entries = xnew(crowd->count * sizeof *entries);
	for (uint64_t i = 0; i < c->count; i++) {
		c->clients[i].conn.fd = -1;
	}
	begun = ended = 0;
	begin = change = loop->now = bench_now();
	bench_loop_tell(loop, "connections", &crowd->established,
	    &crowd->latency);
	while (ended < crowd->count) {
		dial_some();
		turn();
		if (begun < crowd->count && crowd->over > 0) {
			change = loop->now;
		}
		if (loop->now - change >= bench_patience) {
			break;
		}
	}
	for (uint64_t i = 0; i < crowd->count; i++) {
		if (entries[i].stage < STANDING) {
			fail(&crowd->clients[i], "no answer in time");
		}
	}
	free(entries);
	loop->what = NULL;
	loop->moved = loop->now;
}

struct bench_client *
bench_crowd_new(struct bench_loop *l, uint64_t count, uint32_t streams,
    bench_address_f *address, bool join_too)
{
	struct bench_crowd c = {
		.count = count, .address = address, .join = join_too
	};

	c.clients = xnew(count * sizeof *c.clients);
	for (uint64_t i = 0; i < count; i++) {
		c.clients[i].order.stream = (uint32_t)(i % streams);
	}
	bench_crowd_open(&c, l);
	for (uint64_t i = 0; i < count && !join_too; i++) {
		c.clients[i].order.stream = BENCH_NO_STREAM;
	}
	return c.clients;
}

void
bench_crowd_text(struct bench_text *t, bench_address_f *address,
    uint32_t stream, int size)
{
	struct bench_address a = { 0 };
	struct buf before = { 0 };
	struct buf behind = { 0 };

	address(stream, &a);
	bench_target.dialect->wrap(&a, (size_t)size, &before, &behind);
	bench_text_wrap(t, &before, (size_t)size, &behind);
	buf_fini(&before);
	buf_fini(&behind);
}

void
bench_crowd_fits(uint64_t count)
{
	uint64_t may = bench_descriptors();
	uint64_t need = count + SPARE;

	if (need > may) {
		bench_die("%llu connections need %llu descriptors, and this "
			  "process may have %llu",
		    (unsigned long long)count, (unsigned long long)need,
		    (unsigned long long)may);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net_fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../plugins/fake_clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "proto/msg.h"
#include "proto/ws.h"

#define ENDS 64
#define TURNS 8
#define STEP_MS 25
#define GOT_MAX (1024 * 1024)

#define SHAKE                                                     \
	"GET /?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" \
	"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"    \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

struct net_conf settings;
struct worker *worker;
bool bus_is_behind;
static struct loop *loop;
static struct end *ends[ENDS];
static size_t end_count;
static struct port_conn *newest;

static struct end *
end_of(const struct port_conn *conn)
{
	for (size_t i = 0; i < end_count; i++) {
		if (ends[i]->conn == conn) {
			return ends[i];
		}
	}
	ck_abort_msg("a connection that nobody knows");
}

static void
note_request(struct end *e, const struct port_up *up)
{
	size_t len = up->env.payload.len;

	ck_assert_uint_lt(len, sizeof e->requests[0]);
	memcpy(e->requests[e->request_count++ % 64], up->env.payload.data, len);
}

static void
note_slow(struct end *e, const struct port_slow *slow)
{
	for (size_t i = 0; i < slow->n; i++) {
		ck_assert_uint_lt(e->loss_count, 64);
		e->losses[e->loss_count++] = slow->loss[i];
	}
	e->news += slow->is_news;
	for (int i = 0; i < SLOW_POLICIES; i++) {
		e->dropped[i] += slow->dropped[i];
	}
}

static void
note(struct port_up *up)
{
	struct end *e = up->kind == PORT_OPENED ? NULL : end_of(up->conn);

	switch (up->kind) {
	case PORT_OPENED:
		ck_assert_str_eq(up->hello->query, "a=b");
		newest = up->conn;
		port_post(newest, PORT_JOIN)->lane = PORT_LANE_ALL;
		break;
	case PORT_REQUEST:
		note_request(e, up);
		break;
	case PORT_REJECT:
		e->rejects++;
		break;
	case PORT_READY:
		e->readies++;
		break;
	case PORT_SLOW:
		note_slow(e, up->slow);
		break;
	case PORT_CLOSED:
		e->is_closed = true;
		e->close_code = up->close_code;
		e->close_reason = up->reason;
		port_post(up->conn, PORT_FORGET);
		e->conn = NULL; /* another may come to lie there */
		break;
	}
	port_hello_free(&up->hello);
	msg_unref(&up->msg);
	free(up->why);
	free(up->slow);
}

static bool
bus_turn(void *arg)
{
	struct port_up *up;

	(void)arg;
	while (!bus_is_behind && (up = mailbox_take(worker->port.up)) != NULL) {
		note(up);
		port_took(&worker->port, up);
	}
	port_end_bus_turn(&worker->port);
	return false;
}

void
turn(void)
{
	loop_turn(loop, false);
}

void
settle(void)
{
	for (int i = 0; i < TURNS; i++) {
		turn();
	}
}

void
time_passes(uint64_t ms)
{
	while (ms > 0) {
		uint64_t step = ms < STEP_MS ? ms : STEP_MS;

		passed += (int64_t)step;
		ms -= step;
		turn();
	}
	settle();
}

static struct end *
dial_with(int send_buffer)
{
	struct end *e = xnew(sizeof *e);
	int fd[2];

	ck_assert_uint_lt(end_count, ENDS);
	/* A packet goes whole or not at all: what is to block is a stream. */
	ck_assert_int_eq(socketpair(AF_UNIX,
			     (send_buffer > 0 ? SOCK_STREAM : SOCK_SEQPACKET) |
				 SOCK_NONBLOCK | SOCK_CLOEXEC,
			     0, fd),
	    0);
	if (send_buffer > 0) {
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &send_buffer,
		    sizeof send_buffer);
	}
	worker_offer(worker, &(struct newcomer){ .fd = fd[0] });
	turn();
	e->fd = fd[1];
	e->got = xnew(GOT_MAX);
	ends[end_count++] = e;
	return e;
}

struct end *
dial(void)
{
	return dial_with(0);
}

struct end *
meet_narrow(int bytes)
{
	struct end *e = dial_with(bytes);
	char answer[512];
	ssize_t n;

	say_bytes(e, SHAKE, strlen(SHAKE));
	n = recv(e->fd, answer, sizeof answer - 1, 0);
	ck_assert_int_gt(n, 0);
	answer[n] = '\0';
	ck_assert_ptr_nonnull(strstr(answer, " 101 "));
	ck_assert_ptr_nonnull(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	ck_assert_ptr_nonnull(newest);
	e->conn = newest;
	newest = NULL;
	return e;
}

struct end *
meet(void)
{
	return meet_narrow(0);
}

void
say_bytes(struct end *e, const void *data, size_t len)
{
	ck_assert_int_eq(send(e->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
	settle();
}

static size_t
masked(uint8_t *out, int opcode, bool fin, const void *data, size_t len)
{
	size_t head = ws_head(out, (enum ws_opcode)opcode, len);

	out[0] = (uint8_t)((fin ? 0x80 : 0) | opcode);
	out[1] |= 0x80;
	memset(out + head, 0, 4); /* a mask of zeros changes nothing */
	memcpy(out + head + 4, data, len);
	return head + 4 + len;
}

void
say_frame(struct end *e, int opcode, bool fin, const void *data, size_t len)
{
	uint8_t *out = xnew(len + 16);

	say_bytes(e, out, masked(out, opcode, fin, data, len));
	free(out);
}

void
say_event(struct end *e, int payload)
{
	char text[128];

	snprintf(text, sizeof text,
	    "{\"type\":\"event\",\"room\":\"a:b\",\"payload\":%d}", payload);
	say_frame(e, WS_TEXT, true, text, strlen(text));
}

void
hang_up(struct end *e)
{
	close(e->fd);
	e->fd = -1;
	settle();
}

/* Read all that has come; false once the other side has hung up. */
static bool
listen_to(struct end *e)
{
	for (;;) {
		ssize_t n = recv(e->fd, e->got + e->len, GOT_MAX - e->len, 0);

		if (n < 0 && errno == EAGAIN) {
			return true;
		}
		if (n <= 0) {
			return false;
		}
		e->packets++;
		e->len += (size_t)n;
		settle(); /* there is room for more */
	}
}

static void
take(struct end *e, size_t n)
{
	memmove(e->got, e->got + n, e->len - n);
	e->len -= n;
}

void
hears_frame(struct end *e, int opcode, const void *data, size_t len)
{
	size_t all;

	listen_to(e);
	ck_assert_uint_gt(e->len, 1);
	ck_assert_uint_eq(e->got[0], 0x80 | opcode);
	all = ws_frame_len(e->got, e->len);
	ck_assert_uint_le(all, e->len);
	if (data != NULL) {
		ck_assert_uint_gt(all, len);
		ck_assert_mem_eq(e->got + all - len, data, len);
	}
	take(e, all);
}

bool
is_next(struct end *e, int opcode)
{
	listen_to(e);
	return e->len > 0 && e->got[0] == (0x80 | opcode);
}

void
hears_text(struct end *e, const char *text)
{
	hears_frame(e, WS_TEXT, text, strlen(text));
}

void
hears_close(struct end *e, uint16_t code, const char *reason)
{
	size_t all;

	listen_to(e);
	ck_assert_uint_ge(e->len, 4);
	ck_assert_uint_eq(e->got[0], 0x80 | WS_CLOSE);
	ck_assert_uint_eq(e->got[2] << 8 | e->got[3], code);
	all = ws_frame_len(e->got, e->len);
	ck_assert_msg(memmem(e->got + 4, all - 4, reason, strlen(reason)) !=
		NULL,
	    "\"%.*s\" does not say \"%s\"", (int)all - 4, e->got + 4, reason);
	take(e, all);
}

void
hears_nothing(struct end *e)
{
	ck_assert(listen_to(e));
	ck_assert_uint_eq(e->len, 0);
}

void
hears_the_end(struct end *e)
{
	ck_assert(!listen_to(e));
	ck_assert_uint_eq(e->len, 0);
}

struct port_down *
bus_posts(struct end *e, enum port_down_kind kind)
{
	return port_post(e->conn, kind);
}

static struct aqb_msg *
message(const char *text)
{
	struct aqb_msg *msg = msg_text(text, strlen(text));

	ck_assert_ptr_nonnull(msg);
	return msg;
}

void
bus_sends(struct end *e, const char *text)
{
	struct aqb_msg *msg = message(text);

	port_load(&worker->port, bus_posts(e, PORT_SEND), msg);
	msg_unref(&msg);
}

void
bus_closes(struct end *e, uint16_t code, const char *reason)
{
	struct port_down *d = bus_posts(e, PORT_CLOSE);

	d->code = code;
	d->reason = xstrdup(reason);
}

void
bus_delivers(uint32_t lane, const char *text, struct end *but, uint64_t mark)
{
	struct port_down *d = port_add(&worker->port, PORT_DELIVER);
	struct aqb_msg *msg = message(text);

	d->lane = lane;
	d->conn = but == NULL ? NULL : but->conn;
	d->mark = mark;
	port_load(&worker->port, d, msg);
	msg_unref(&msg);
}

void
bus_publishes(uint32_t lane, enum slow_policy policy, uint64_t seq, size_t size,
    struct end *but)
{
	struct port_down *d = port_add(&worker->port, PORT_DELIVER);
	char *payload = xnew(size + 1);
	struct aqb_position pos = { seq, "e1" };
	struct aqb_msg *msg;

	memset(payload, '7', size);
	msg = msg_new(&(struct msg_draft){
	    .payload = { payload, size }, .reserve = 64 });
	msg_seal(msg,
	    &(struct msg_fields){
		.id = { "id", 2 },
		.type = { "event", 5 },
		.room = { "r", 1 },
		.channel = { &"abcdefgh"[lane % 8], 1 },
		.from = { "me", 2 },
	    });
	msg_stamp(msg, &pos);
	d->lane = lane;
	d->policy = (uint8_t)policy;
	d->conn = but == NULL ? NULL : but->conn;
	port_load(&worker->port, d, msg);
	msg_unref(&msg);
	free(payload);
}

uint64_t
hears_seq(struct end *e)
{
	static const char key[] = "\"seq\":";
	const char *at;
	uint64_t seq;
	size_t all;

	listen_to(e);
	if (e->len < 2 || e->got[0] != (0x80 | WS_TEXT)) {
		return 0;
	}
	all = ws_frame_len(e->got, e->len);
	ck_assert_uint_le(all, e->len);
	at = memmem(e->got, all, key, strlen(key));
	if (at == NULL) {
		return 0;
	}
	seq = strtoull(at + strlen(key), NULL, 10);
	take(e, all);
	return seq;
}

void
sips(struct end *e, size_t most)
{
	ssize_t n = recv(e->fd, e->got + e->len, most, 0);

	ck_assert_int_gt(n, 0);
	e->len += (size_t)n;
	settle();
}

static void
drop_line(enum aqb_level level, const char *line)
{
	(void)level;
	(void)line;
}

void
net_setup(void)
{
	settings = (struct net_conf){
		.max_message = 65536,
		.outbox_limit = 1024 * 1024,
		.ping_interval = 25000,
		.ping_timeout = 8000,
		.handshake_timeout = 5000,
		.close_timeout = 1000,
		.message_timeout = 10000,
		.write_timeout = 10000,
		.max_connections = 100,
	};
	bus_is_behind = false;
	freeze_time();
	log_tap(drop_line);
	hash_init();
	loop = loop_new();
	worker = worker_new(loop, &settings);
	loop_at_turn_end(loop, bus_turn, NULL);
	loop_at_turn_end(loop, worker_turn_end, worker);
}

void
net_teardown(void)
{
	for (size_t i = 0; i < end_count; i++) {
		if (ends[i]->fd >= 0) {
			close(ends[i]->fd);
		}
	}
	settle();
	for (size_t i = 0; i < end_count; i++) {
		free(ends[i]->got);
		free(ends[i]);
	}
	end_count = 0;
	ck_assert_uint_eq(count_get(&worker->connections), 0);
	ck_assert_uint_eq(count_get(&worker->half_open), 0);
	for (unsigned form = 0; form < FORMS; form++) {
		run_fini(&worker->shared[form]);
	}
	run_fini(&worker->solo);
	ck_assert_uint_eq(atomic_load(&worker->port.outbox_bytes), 0);
	ck_assert_uint_eq(msg_alive(), 0);
	worker_free(&worker);
	loop_free(&loop);
	log_tap(NULL);
}

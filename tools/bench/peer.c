/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bench_crowd.h"
#include "bench_proc.h"

static void
root_path(const struct bench_address *a, bool joins, char *path, size_t size)
{
	(void)a;
	(void)joins;
	snprintf(path, size, "/");
}

/* ArqonBus: a welcome comes, then the reply to a join. */

#define JOIN_ID "\"request_id\":\"j\""

/* Is it the reply to a join?  Ends the program when that was refused. */
static bool
is_joined(const char *text, size_t len)
{
	if (memmem(text, len, JOIN_ID, strlen(JOIN_ID)) == NULL) {
		return false;
	}
	if (memmem(text, len, "\"success\"", 9) == NULL) {
		bench_die("refused: %.*s", (int)len, text);
	}
	return true;
}

static void
bus_hello(struct bench_conn *c, const struct bench_address *a, bool joins)
{
	(void)a;
	c->awaits = joins ? 2 : 1;
}

static void
bus_join(struct bench_conn *c, const struct bench_address *a)
{
	char text[300];
	int n = snprintf(text, sizeof text,
	    "{\"type\":\"command\",\"id\":\"j\",\"command\":\"join_channel\","
	    "\"room\":\"%s\",\"channel\":\"%s\"}",
	    a->room, a->channel);

	bench_put(c, text, (size_t)n);
}

static void
bus_reply(struct bench_conn *c, const struct bench_address *a, bool joins,
    const char *text, size_t len)
{
	if (joins && c->awaits == 1 && !is_joined(text, len)) {
		return;
	}
	if (--c->awaits > 0) {
		bus_join(c, a);
	}
}

static void
bus_wrap(const struct bench_address *a, size_t size, struct buf *before,
    struct buf *behind)
{
	(void)size;
	buf_printf(before,
	    "{\"type\":\"event\",\"room\":\"%s\",\"channel\":\"%s\","
	    "\"payload\":",
	    a->room, a->channel);
	buf_putc(behind, '}');
}

/* The floor: the same texts, but it reads none; its path says who belongs
 * together. */

static void
plain_path(const struct bench_address *a, bool joins, char *path, size_t size)
{
	(void)joins;
	snprintf(path, size, "%s", a->path);
}

static void
plain_reply(struct bench_conn *c, const struct bench_address *a, bool joins,
    const char *text, size_t len)
{
	(void)joins;
	(void)text;
	(void)len;
	if (--c->awaits > 0) {
		bus_join(c, a);
	}
}

/*
 * MQTT 3.1.1 at QoS 0, without keep-alive: each packet is a byte of type and
 * flags, the length of the rest in up to four bytes of seven bits, the least
 * first, and that rest.
 */

enum {
	MQTT_CONNECT = 0x10,
	MQTT_CONNACK = 0x20,
	MQTT_PUBLISH = 0x30,
	MQTT_SUBSCRIBE = 0x82,
	MQTT_SUBACK = 0x90,
};

static void
mqtt_head(struct buf *b, uint8_t type, size_t rest)
{
	buf_putc(b, (char)type);
	for (; rest > 127; rest >>= 7) {
		buf_putc(b, (char)(0x80 | (rest & 0x7f)));
	}
	buf_putc(b, (char)rest);
}

static void
mqtt_topic(struct buf *b, const struct bench_address *a)
{
	size_t len = strlen(a->room) + 1 + strlen(a->channel);

	buf_putc(b, (char)(len >> 8));
	buf_putc(b, (char)len);
	buf_printf(b, "%s/%s", a->room, a->channel);
}

static void
mqtt_hello(struct bench_conn *c, const struct bench_address *a, bool joins)
{
	/* Level 4, a clean session, no keep-alive, and the server may choose
	 * the client's id. */
	static const char connect[] = "\0\4MQTT\4\2\0\0\0\0";
	struct buf b = { 0 };
	struct buf topic = { 0 };

	mqtt_head(&b, MQTT_CONNECT, sizeof connect - 1);
	buf_add(&b, connect, sizeof connect - 1);
	if (joins) {
		mqtt_topic(&topic, a);
		mqtt_head(&b, MQTT_SUBSCRIBE, 2 + topic.len + 1);
		buf_add(&b, "\0\1", 2); /* the packet's id */
		buf_add(&b, topic.data, topic.len);
		buf_putc(&b, 0); /* QoS 0 */
	}
	bench_put(c, b.data, b.len);
	c->awaits = joins ? 2 : 1;
	buf_fini(&b);
	buf_fini(&topic);
}

/* The length of the packet, and of its head; 0 when it has not all come. */
static size_t
mqtt_packet(const uint8_t *p, size_t len, size_t *headp)
{
	size_t rest = 0;

	for (size_t i = 1; i < len && i <= 4; i++) {
		rest |= (size_t)(p[i] & 0x7f) << 7 * (i - 1);
		if (p[i] < 0x80) {
			*headp = i + 1;
			return len - i - 1 < rest ? 0 : i + 1 + rest;
		}
	}
	if (len > 4) {
		bench_die("the server sends no proper packets");
	}
	return 0;
}

/* An answer ends with whether it was granted: 0 in a CONNACK, a QoS in a
 * SUBACK. */
static void
mqtt_answer(struct bench_conn *c, const uint8_t *p, size_t len)
{
	if (p[0] != MQTT_CONNACK && p[0] != MQTT_SUBACK) {
		return;
	}
	if (p[len - 1] != 0) {
		bench_die("refused: packet of type %u, code %u", p[0],
		    p[len - 1]);
	}
	if (c->awaits > 0) {
		c->awaits--;
	}
}

/* Where the payload of a PUBLISH begins: its topic is before it. */
static size_t
mqtt_body(const uint8_t *p, size_t len, size_t head)
{
	size_t topic;

	if (len >= head + 2) {
		topic = (size_t)p[head] << 8 | p[head + 1];
		if (len - head - 2 >= topic) {
			return head + 2 + topic;
		}
	}
	bench_die("the server sends no proper packets");
}

static size_t
mqtt_stream(struct bench_conn *c, const char *data, size_t len,
    bench_text_f *each, void *arg)
{
	size_t used = 0, head, body, n;

	while ((n = mqtt_packet((const uint8_t *)data + used, len - used,
		    &head)) > 0) {
		const uint8_t *p = (const uint8_t *)data + used;

		used += n;
		if ((p[0] & 0xf0) != MQTT_PUBLISH) {
			mqtt_answer(c, p, n);
			continue;
		}
		body = mqtt_body(p, n, head);
		c->wire = n;
		each(arg, (const char *)p + body, n - body);
	}
	return used;
}

static void
mqtt_wrap(const struct bench_address *a, size_t size, struct buf *before,
    struct buf *behind)
{
	struct buf topic = { 0 };

	(void)behind;
	mqtt_topic(&topic, a);
	mqtt_head(before, MQTT_PUBLISH, topic.len + size);
	buf_add(before, topic.data, topic.len);
	buf_fini(&topic);
}

/*
 * NATS: lines; behind MSG, which ends with a length, come as many bytes and
 * another line's end.  The PONG to our PING says that all before it is done.
 */

static void
nats_hello(struct bench_conn *c, const struct bench_address *a, bool joins)
{
	struct buf b = { 0 };

	buf_puts(&b,
	    "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,"
	    "\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\n");
	if (joins) {
		buf_printf(&b, "SUB %s.%s 1\r\n", a->room, a->channel);
	}
	buf_puts(&b, "PING\r\n");
	bench_put(c, b.data, b.len);
	c->awaits = 1;
	buf_fini(&b);
}

static bool
begins(const char *line, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

/* A line other than MSG: answers, and the server's pings. */
static void
nats_line(struct bench_conn *c, const char *line, size_t len)
{
	static const char pong[] = "PONG\r\n";

	if (begins(line, len, "-ERR")) {
		bench_die("refused: %.*s", (int)len, line);
	}
	if (begins(line, len, "PING")) {
		/* One who is gone is noticed at the next read. */
		bench_put(c, pong, strlen(pong));
		bench_flush(c);
	} else if (begins(line, len, "PONG") && c->awaits > 0) {
		c->awaits--;
	}
}

/* The number at the end of a line, before "\r\n". */
static size_t
nats_number(const char *line, size_t len)
{
	size_t n = 0, unit = 1;

	for (size_t i = len - 2; i > 0; i--, unit *= 10) {
		char c = line[i - 1];

		if (c < '0' || c > '9') {
			break;
		}
		n += (size_t)(c - '0') * unit;
	}
	return n;
}

static size_t
nats_stream(struct bench_conn *c, const char *data, size_t len,
    bench_text_f *each, void *arg)
{
	size_t used = 0, size;
	const char *end;

	while ((end = memchr(data + used, '\n', len - used)) != NULL) {
		const char *line = data + used;
		size_t n = (size_t)(end + 1 - line);

		if (!begins(line, n, "MSG ")) {
			nats_line(c, line, n);
			used += n;
			continue;
		}
		size = nats_number(line, n);
		if (len - used - n < size + 2) {
			break;
		}
		n += size + 2;
		used += n;
		c->wire = n;
		each(arg, end + 1, size);
	}
	return used;
}

static void
nats_wrap(const struct bench_address *a, size_t size, struct buf *before,
    struct buf *behind)
{
	buf_printf(before, "PUB %s.%s %zu\r\n", a->room, a->channel, size);
	buf_puts(behind, "\r\n");
}

/*
 * nchan: the path says all, and a text is a payload.  A ping is answered when
 * the subscription is done; and so every client has spoken once, as those of
 * the others have, for that decides how its kernel acknowledges.
 */

static void
nchan_path(const struct bench_address *a, bool joins, char *path, size_t size)
{
	if (joins && a->to[0] != '\0') {
		snprintf(path, size, "/both/%s.%s/%s.%s", a->room, a->channel,
		    a->room, a->to);
		return;
	}
	snprintf(path, size, "/%s/%s.%s", joins ? "sub" : "pub", a->room,
	    a->channel);
}

static void
nchan_hello(struct bench_conn *c, const struct bench_address *a, bool joins)
{
	(void)a;
	(void)joins;
	bench_ping(c);
	c->awaits = 1;
}

static void
nchan_wrap(const struct bench_address *a, size_t size, struct buf *before,
    struct buf *behind)
{
	(void)a;
	(void)size;
	(void)before;
	(void)behind;
}

static const struct peer_dialect dialects[] = {
	{ .name = "arqonbus",
	    .path = root_path,
	    .hello = bus_hello,
	    .reply = bus_reply,
	    .wrap = bus_wrap },
	{ .name = "plain",
	    .path = plain_path,
	    .hello = bus_hello,
	    .reply = plain_reply,
	    .wrap = bus_wrap },
	{ .name = "mqtt",
	    .protocol = "mqtt",
	    .binary = true,
	    .echoes = true,
	    .bare = true,
	    .path = root_path,
	    .hello = mqtt_hello,
	    .stream = mqtt_stream,
	    .wrap = mqtt_wrap },
	{ .name = "nats",
	    .binary = true,
	    .bare = true,
	    .path = root_path,
	    .hello = nats_hello,
	    .stream = nats_stream,
	    .wrap = nats_wrap },
	{ .name = "nchan",
	    .echoes = true,
	    .bare = true,
	    .path = nchan_path,
	    .hello = nchan_hello,
	    .wrap = nchan_wrap },
};
#define DIALECTS (sizeof dialects / sizeof dialects[0])

const struct peer_dialect *
peer_find(const char *name)
{
	struct buf names = { 0 };

	for (size_t i = 0; i < DIALECTS; i++) {
		if (strcmp(dialects[i].name, name) == 0) {
			return &dialects[i];
		}
	}
	for (size_t i = 0; i < DIALECTS; i++) {
		buf_printf(&names, " %s", dialects[i].name);
	}
	bench_die("there is no dialect %s; only%s", name, buf_text(&names));
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The languages of the peers, on bytes as they sent them. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "bench_crowd.h"
#include "peer.h"

static const struct bench_address address = { .path = "/7",
	.room = "r",
	.channel = "c" };
static struct bench_conn conn;
static int server;
static struct buf seen;
static struct buf before, behind;

static void
setup(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     fds),
	    0);
	conn = (struct bench_conn){ .fd = fds[0] };
	server = fds[1];
}

static void
teardown(void)
{
	bench_close(&conn);
	close(server);
	buf_fini(&seen);
	buf_fini(&before);
	buf_fini(&behind);
}

/* Speak this language, and say hello. */
static const struct peer_dialect *
speak(const char *name, bool joins)
{
	const struct peer_dialect *d = peer_find(name);

	conn.binary = d->binary;
	conn.stream = d->stream;
	d->hello(&conn, &address, joins);
	return d;
}

static void
note(void *arg, const char *text, size_t len)
{
	(void)arg;
	buf_printf(&seen, "<%.*s>", (int)len, text);
}

static void
receive(const void *data, size_t len)
{
	ck_assert_int_eq(send(server, data, len, 0), (int)len);
	ck_assert(bench_read(&conn, note, NULL));
}

/* What the client has put or sent since the last look, unmasked; it must be
 * frames with this first byte, shorter than 126. */
static const char *
said(uint8_t first, size_t *lenp)
{
	static uint8_t data[1024];
	static char text[1024];
	size_t len = 0, used = 0;
	ssize_t n;

	ck_assert(bench_flush(&conn));
	n = recv(server, data, sizeof data, 0);
	while (n > 0 && used < (size_t)n) {
		const uint8_t *f = data + used;
		size_t size = f[1] & 0x7f;

		ck_assert_uint_eq(f[0], first);
		for (size_t i = 0; i < size; i++) {
			text[len++] = (char)(f[6 + i] ^ f[2 + i % 4]);
		}
		used += 6 + size;
	}
	*lenp = len;
	return text;
}

static void
assert_said(uint8_t first, const char *want, size_t want_len)
{
	size_t len;
	const char *text = said(first, &len);

	ck_assert_mem_eq(text, want, len < want_len ? len : want_len);
	ck_assert_uint_eq(len, want_len);
}
#define ASSERT_SAID(first, text) assert_said(first, text, sizeof text - 1)

/* Whatever pieces the bytes come in, the same messages must be found. */
static void
assert_found_in_pieces(const char *name, const void *data, size_t len,
    const char *want)
{
	for (size_t first = 0; first <= len; first++) {
		for (size_t second = first; second <= len; second++) {
			setup();
			speak(name, true);
			for (size_t i = 0; i < len;) {
				size_t end = i < first ? first
				    : i < second       ? second
						       : len;

				receive((const char *)data + i, end - i);
				i = end;
			}
			ck_assert_str_eq(buf_text(&seen), want);
			ck_assert_uint_eq(conn.held.len, 0);
			ck_assert_uint_eq(conn.awaits, 0);
			teardown();
		}
	}
	setup();
}

START_TEST(mqtt_connects_and_subscribes_at_once)
{
	speak("mqtt", true);
	ck_assert_uint_eq(conn.awaits, 2);
	ASSERT_SAID(0x82,
	    "\x10\x0c\0\4MQTT\4\2\0\0\0\0"
	    "\x82\x08\0\1\0\3r/c\0");
}
END_TEST

START_TEST(mqtt_publishers_only_connect)
{
	speak("mqtt", false);
	ck_assert_uint_eq(conn.awaits, 1);
	ASSERT_SAID(0x82, "\x10\x0c\0\4MQTT\4\2\0\0\0\0");
}
END_TEST

START_TEST(mqtt_finds_messages_in_any_pieces)
{
	/* CONNACK; SUBACK and a message and a half; a ping between frames; its
	 * end, and an empty frame. */
	static const char data[] = "\x82\4\x20\2\0\0"
				   "\x82\x13\x90\3\0\1\0"
				   "\x30\x06\0\3r/ca"
				   "\x30\x07\0\3r/"
				   "\x89\0"
				   "\x82\3cbc"
				   "\x82\0";

	assert_found_in_pieces("mqtt", data, sizeof data - 1, "<a><bc>");
}
END_TEST

START_TEST(mqtt_lengths_over_127_take_two_bytes)
{
	char data[4 + 2 + 1 + 2 + 5 + 200] = "\x82\x7e\0\xd0"
					     "\x30\xcd\1\0\3r/c";

	speak("mqtt", true);
	memset(data + 12, 'x', 200);
	receive(data, 12 + 200);
	ck_assert_uint_eq(seen.len, 202);
	ck_assert_uint_eq(conn.wire, 208);
	peer_find("mqtt")->wrap(&address, 200, &before, &behind);
	ck_assert_uint_eq(before.len, 8);
	ck_assert_mem_eq(before.data, "\x30\xcd\1\0\3r/c", 8);
	ck_assert_uint_eq(behind.len, 0);
}
END_TEST

START_TEST(nats_connects_and_subscribes_at_once)
{
	static const char end[] = "}\r\nSUB r.c 1\r\nPING\r\n";
	const char *text;
	size_t len;

	speak("nats", true);
	ck_assert_uint_eq(conn.awaits, 1);
	text = said(0x82, &len);
	ck_assert(memmem(text, len, "\"echo\":false", 12) != NULL);
	ck_assert(memmem(text, len, "\"verbose\":false", 15) != NULL);
	ck_assert(len > strlen(end));
	ck_assert_mem_eq(text + len - strlen(end), end, strlen(end));
}
END_TEST

START_TEST(nats_finds_messages_in_any_pieces)
{
	/* A message holds what looks like the end of a line. */
	static const char data[] = "\x82\x0cINFO {\"a\":1}"
				   "\x82\2\r\n"
				   "\x82\x18PONG\r\nMSG r.c 1 1\r\na\r\nMS"
				   "\x89\0"
				   "\x82\x11G r.c 1 4\r\nb\r\nc\r\n"
				   "\x82\0";

	assert_found_in_pieces("nats", data, sizeof data - 1, "<a><b\r\nc>");
}
END_TEST

START_TEST(nats_answers_pings)
{
	size_t len;

	speak("nats", false);
	said(0x82, &len);
	receive("\x82\6PING\r\n", 8);
	ASSERT_SAID(0x82, "PONG\r\n");
	ck_assert_uint_eq(conn.awaits, 1);
}
END_TEST

START_TEST(nats_names_the_length_of_what_it_publishes)
{
	peer_find("nats")->wrap(&address, 16, &before, &behind);
	ck_assert_str_eq(buf_text(&before), "PUB r.c 16\r\n");
	ck_assert_str_eq(buf_text(&behind), "\r\n");
}
END_TEST

START_TEST(nchan_subscribes_by_its_path)
{
	struct bench_address pair = address;
	const struct peer_dialect *d = peer_find("nchan");
	char path[100];

	d->path(&address, true, path, sizeof path);
	ck_assert_str_eq(path, "/sub/r.c");
	d->path(&address, false, path, sizeof path);
	ck_assert_str_eq(path, "/pub/r.c");
	strcpy(pair.to, "d");
	d->path(&pair, true, path, sizeof path);
	ck_assert_str_eq(path, "/both/r.c/r.d");
}
END_TEST

START_TEST(nchan_stands_when_its_ping_is_answered)
{
	speak("nchan", true);
	ck_assert_uint_eq(conn.awaits, 1);
	ASSERT_SAID(0x89, "");
	receive("\x81\1a\x8a\0", 5);
	ck_assert_str_eq(buf_text(&seen), "<a>");
	ck_assert_uint_eq(conn.awaits, 0);
}
END_TEST

START_TEST(the_bus_is_joined_after_its_welcome)
{
	static const char reply[] =
	    "{\"request_id\":\"j\",\"status\":\"success\"}";
	const struct peer_dialect *d = speak("arqonbus", true);
	size_t len;

	said(0x81, &len);
	ck_assert_uint_eq(len, 0);
	d->reply(&conn, &address, true, "{}", 2);
	ASSERT_SAID(0x81,
	    "{\"type\":\"command\",\"id\":\"j\","
	    "\"command\":\"join_channel\","
	    "\"room\":\"r\",\"channel\":\"c\"}");
	d->reply(&conn, &address, true, "{}", 2);
	ck_assert_uint_eq(conn.awaits, 1);
	d->reply(&conn, &address, true, reply, sizeof reply - 1);
	ck_assert_uint_eq(conn.awaits, 0);
}
END_TEST

START_TEST(an_answer_that_refuses_ends_the_program)
{
	speak("mqtt", false);
	receive("\x82\4\x20\2\0\5", 6);
}
END_TEST

START_TEST(an_error_of_nats_ends_the_program)
{
	speak("nats", false);
	receive("\x82\x0e-ERR 'no way'\n", 16);
}
END_TEST

START_TEST(an_unknown_dialect_ends_the_program)
{
	peer_find("klingon");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("peer");
	TCase *c = tcase_create("peer");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, mqtt_connects_and_subscribes_at_once);
	tcase_add_test(c, mqtt_publishers_only_connect);
	tcase_add_test(c, mqtt_finds_messages_in_any_pieces);
	tcase_add_test(c, mqtt_lengths_over_127_take_two_bytes);
	tcase_add_test(c, nats_connects_and_subscribes_at_once);
	tcase_add_test(c, nats_finds_messages_in_any_pieces);
	tcase_add_test(c, nats_answers_pings);
	tcase_add_test(c, nats_names_the_length_of_what_it_publishes);
	tcase_add_test(c, nchan_subscribes_by_its_path);
	tcase_add_test(c, nchan_stands_when_its_ping_is_answered);
	tcase_add_test(c, the_bus_is_joined_after_its_welcome);
	tcase_add_exit_test(c, an_answer_that_refuses_ends_the_program, 2);
	tcase_add_exit_test(c, an_error_of_nats_ends_the_program, 2);
	tcase_add_exit_test(c, an_unknown_dialect_ends_the_program, 2);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

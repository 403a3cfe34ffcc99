/* SPDX-License-Identifier: Apache-2.0 */

/* One connection's life on its worker. */

#include "net_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "loop/mailbox.h"
#include "net/endpoint.h"
#include "proto/ws.h"

START_TEST(what_a_peer_says_comes_up_in_order)
{
	struct end *ada = meet();

	for (int i = 0; i < 3; i++) {
		say_event(ada, i);
	}
	ck_assert_uint_eq(ada->request_count, 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(atoi(ada->requests[i]), i);
	}
}
END_TEST

START_TEST(a_bad_envelope_comes_up_as_a_reject)
{
	struct end *ada = meet();

	say_frame(ada, WS_TEXT, true, "{", 1);
	ck_assert_uint_eq(ada->rejects, 1);
	say_event(ada, 1);
	ck_assert_uint_eq(ada->request_count, 1);
}
END_TEST

START_TEST(of_two_pings_in_one_read_the_latest_is_answered)
{
	struct end *ada = meet();
	uint8_t both[64];

	memset(both, 0, sizeof both);
	both[0] = 0x80 | WS_PING;
	both[1] = 0x80;
	both[6] = 0x80 | WS_PING;
	both[7] = 0x81;
	both[12] = 'x';
	say_bytes(ada, both, 13);
	hears_frame(ada, WS_PONG, "x", 1);
	hears_nothing(ada);
	hears_nothing(ada);
}
END_TEST

START_TEST(a_message_in_pieces_is_one)
{
	static const char text[] = "{\"type\":\"event\",\"room\":\"a:b\","
				   "\"payload\":7}";
	struct end *ada = meet();

	say_frame(ada, WS_TEXT, false, text, 10);
	say_frame(ada, WS_PING, true, "", 0);
	say_frame(ada, WS_CONTINUATION, false, text + 10, 0);
	say_frame(ada, WS_CONTINUATION, true, text + 10, strlen(text) - 10);
	ck_assert_uint_eq(ada->request_count, 1);
	ck_assert_str_eq(ada->requests[0], "7");
}
END_TEST

START_TEST(w14_a_byte_at_a_time_is_the_same)
{
	static const char text[] = "{\"type\":\"event\",\"room\":\"a:b\","
				   "\"payload\":7}";
	struct end *ada = meet();
	char frame[64] = { (char)(0x80 | WS_TEXT),
		(char)(0x80 | (sizeof text - 1)) };

	memcpy(frame + 6, text, sizeof text - 1);
	for (size_t i = 0; i < 6 + sizeof text - 1; i++) {
		say_bytes(ada, frame + i, 1);
	}
	ck_assert_uint_eq(ada->request_count, 1);
	ck_assert_str_eq(ada->requests[0], "7");
}
END_TEST

START_TEST(a_turns_messages_go_out_in_one_write)
{
	struct end *ada = meet();

	for (int i = 0; i < 100; i++) {
		bus_sends(ada, "hello");
	}
	settle();
	for (int i = 0; i < 100; i++) {
		hears_text(ada, "hello");
	}
	ck_assert_uint_eq(ada->packets, 1);
	hears_nothing(ada);
}
END_TEST

START_TEST(large_messages_go_out_between_small_ones)
{
	struct end *ada = meet();
	char *large = xnew(100001);

	memset(large, 'x', 100000);
	bus_sends(ada, "before");
	bus_sends(ada, large);
	bus_sends(ada, "after");
	settle();
	hears_text(ada, "before");
	hears_text(ada, large);
	hears_text(ada, "after");
	ck_assert_uint_eq(ada->packets, 1);
	free(large);
}
END_TEST

START_TEST(a_lane_reaches_all_in_it_but_one)
{
	struct end *ada = meet(), *bob = meet(), *eve = meet();

	bus_posts(ada, PORT_JOIN)->lane = 7;
	bus_posts(bob, PORT_JOIN)->lane = 7;
	bus_posts(bob, PORT_JOIN)->lane = 7; /* once in stays once */
	bus_delivers(7, "one", ada, 0);
	bus_delivers(7, "two", NULL, 0);
	settle();
	hears_text(ada, "two");
	hears_text(bob, "one");
	hears_text(bob, "two");
	hears_nothing(bob);
	hears_nothing(eve);
	bus_posts(bob, PORT_LEAVE)->lane = 7;
	bus_delivers(7, "three", NULL, 0);
	settle();
	hears_text(ada, "three");
	hears_nothing(bob);
}
END_TEST

START_TEST(whom_the_bus_knows_is_in_lane_zero)
{
	struct end *ada = meet(), *bob = meet();

	bus_delivers(PORT_LANE_ALL, "all", NULL, 0);
	settle();
	hears_text(ada, "all");
	hears_text(bob, "all");
}
END_TEST

START_TEST(a_mark_delivers_once_over_several_lanes)
{
	struct end *ada = meet();

	bus_posts(ada, PORT_JOIN)->lane = 1;
	bus_posts(ada, PORT_JOIN)->lane = 2;
	bus_delivers(1, "x", NULL, 5);
	bus_delivers(2, "x", NULL, 5);
	bus_delivers(2, "y", NULL, 6);
	settle();
	hears_text(ada, "x");
	hears_text(ada, "y");
	hears_nothing(ada);
}
END_TEST

START_TEST(lanes_outlive_those_that_go)
{
	struct end *all[8];

	for (int i = 0; i < 8; i++) {
		all[i] = meet();
		bus_posts(all[i], PORT_JOIN)->lane = 3;
	}
	settle();
	for (int i = 0; i < 8; i += 2) {
		hang_up(all[i]);
	}
	bus_delivers(3, "x", NULL, 0);
	settle();
	for (int i = 1; i < 8; i += 2) {
		hears_text(all[i], "x");
	}
}
END_TEST

START_TEST(a_blocked_socket_gets_the_rest_when_it_reads)
{
	struct end *ada = meet_narrow(4096);
	char text[2001];

	memset(text, 'x', sizeof text - 1);
	text[2000] = '\0';
	for (int i = 0; i < 200; i++) {
		bus_sends(ada, text);
		settle();
	}
	for (int i = 0; i < 200; i++) {
		hears_text(ada, text);
	}
	hears_nothing(ada);
}
END_TEST

START_TEST(s1_over_its_budget_a_slow_consumer_is_dropped)
{
	struct end *ada = meet_narrow(4096), *bob = meet();
	char text[10001];

	memset(text, 'x', sizeof text - 1);
	text[10000] = '\0';
	bus_posts(ada, PORT_JOIN)->lane = 1;
	bus_posts(bob, PORT_JOIN)->lane = 1;
	for (int i = 0; i < 120; i++) {
		bus_delivers(1, text, NULL, 0);
		settle();
		hears_text(bob, text);
	}
	/* What had begun comes whole, and then the reason, nothing else. */
	for (int whole = 0; !is_next(ada, WS_CLOSE); whole++) {
		ck_assert_int_lt(whole, 110);
		hears_text(ada, text);
	}
	hears_close(ada, 4008, "limit 1048576");
	time_passes(1100);
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 4008);
	hears_nothing(bob);
}
END_TEST

/* Over the budget in the turn, and under it once the socket was asked. */
START_TEST(a_burst_that_the_socket_takes_is_no_slowness)
{
	struct end *ada = meet();
	char text[201];

	worker->conf.outbox_limit = 1000;
	memset(text, 'x', sizeof text - 1);
	text[200] = '\0';
	bus_posts(ada, PORT_JOIN)->lane = 1;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++) {
			bus_delivers(1, text, NULL, 0);
			bus_sends(ada, text);
		}
		settle();
		for (int i = 0; i < 40; i++) {
			hears_text(ada, text);
		}
		hears_nothing(ada);
	}
}
END_TEST

START_TEST(messages_to_the_same_are_one_piece_and_keep_their_order)
{
	struct end *ada = meet(), *bob = meet();
	size_t before;

	bus_posts(ada, PORT_JOIN)->lane = 1;
	bus_posts(bob, PORT_JOIN)->lane = 1;
	settle();
	before = ada->packets;
	bus_delivers(1, "one", NULL, 0);
	bus_delivers(1, "two", NULL, 0);
	bus_delivers(1, "not to bob", bob, 0);
	bus_sends(bob, "to bob");
	bus_delivers(1, "three", NULL, 0);
	settle();
	hears_text(ada, "one");
	hears_text(ada, "two");
	hears_text(ada, "not to bob");
	hears_text(ada, "three");
	ck_assert_uint_eq(ada->packets, before + 1);
	hears_text(bob, "one");
	hears_text(bob, "two");
	hears_text(bob, "to bob");
	hears_text(bob, "three");
	bus_posts(ada, PORT_LEAVE)->lane = 1;
	bus_delivers(1, "four", NULL, 0);
	settle();
	hears_nothing(ada);
	hears_text(bob, "four");
}
END_TEST

START_TEST(s1_who_takes_no_byte_for_long_is_dropped)
{
	struct end *ada = meet_narrow(4096);
	char text[10001];

	memset(text, 'x', sizeof text - 1);
	text[10000] = '\0';
	for (int i = 0; i < 20; i++) {
		bus_sends(ada, text);
	}
	settle();
	time_passes(9000);
	ck_assert(!ada->is_closed);
	time_passes(3000);
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 4008);
}
END_TEST

START_TEST(the_bus_hears_when_there_is_room)
{
	struct end *ada = meet_narrow(4096);
	char text[10001];

	bus_posts(ada, PORT_TELL);
	settle();
	ck_assert_uint_eq(ada->readies, 1);
	memset(text, 'x', sizeof text - 1);
	text[10000] = '\0';
	for (int i = 0; i < 60; i++) {
		bus_sends(ada, text);
	}
	bus_posts(ada, PORT_TELL);
	settle();
	ck_assert_uint_eq(ada->readies, 1);
	for (int i = 0; i < 60; i++) {
		hears_text(ada, text);
	}
	ck_assert_uint_eq(ada->readies, 2);
}
END_TEST

START_TEST(who_is_paused_is_not_read_and_not_idle)
{
	struct end *ada = meet();

	bus_posts(ada, PORT_PAUSE);
	settle();
	say_event(ada, 1);
	ck_assert_uint_eq(ada->request_count, 0);
	time_passes(60000);
	ck_assert(!ada->is_closed);
	bus_posts(ada, PORT_RESUME);
	settle();
	ck_assert_uint_eq(ada->request_count, 1);
}
END_TEST

/* S8: however long messages are. */
START_TEST(no_more_is_read_than_the_bus_is_to_have_waiting)
{
	struct end *ada = meet();
	size_t size = 60000, said = 0;
	char *text = xnew(size + 1);
	int n = sprintf(text,
	    "{\"type\":\"event\",\"room\":\"a:b\",\"payload\":1,"
	    "\"metadata\":{\"x\":\"");

	memset(text + n, 'x', size - (size_t)n - 3);
	memcpy(text + size - 3, "\"}}", 3);
	bus_is_behind = true;
	while (port_has_room(&worker->port) && said < 1000) {
		say_frame(ada, WS_TEXT, true, text, size);
		said++;
	}
	ck_assert_uint_eq(said, PORT_UP_BYTES / size + 1);
	say_frame(ada, WS_TEXT, true, text, size);
	ck_assert_uint_eq(mailbox_count(worker->port.up), said);
	bus_is_behind = false;
	settle();
	ck_assert_uint_eq(ada->request_count, said + 1);
	free(text);
}
END_TEST

START_TEST(a_turn_takes_only_so_many_messages_of_one)
{
	static const char event[] = "{\"type\":\"event\",\"room\":\"a:b\","
				    "\"payload\":1}";
	struct end *ada = meet();
	uint8_t all[200 * 64];
	size_t len = 0;

	for (int i = 0; i < 200; i++) {
		all[len++] = 0x80 | WS_TEXT;
		all[len++] = 0x80 | (sizeof event - 1);
		memset(all + len, 0, 4);
		memcpy(all + len + 4, event, sizeof event - 1);
		len += 4 + sizeof event - 1;
	}
	ck_assert_int_eq(send(ada->fd, all, len, 0), (ssize_t)len);
	turn();
	turn();
	ck_assert_uint_ge(ada->request_count, 1);
	ck_assert_uint_le(ada->request_count, 2 * TURN_MESSAGES);
	settle();
	ck_assert_uint_eq(ada->request_count, 200);
}
END_TEST

START_TEST(silence_is_pinged_and_then_ended)
{
	struct end *ada = meet(), *bob = meet();

	time_passes(25100);
	hears_frame(ada, WS_PING, "", 0);
	hears_frame(bob, WS_PING, "", 0);
	say_frame(bob, WS_PONG, true, "", 0);
	time_passes(8100);
	hears_close(ada, 1001, "nothing heard for");
	ck_assert(!bob->is_closed);
	time_passes(1100);
	ck_assert(ada->is_closed);
}
END_TEST

START_TEST(who_speaks_is_not_pinged)
{
	struct end *ada = meet();

	for (int i = 0; i < 10; i++) {
		time_passes(10000);
		say_event(ada, i);
	}
	hears_nothing(ada);
}
END_TEST

START_TEST(the_bus_closes_after_what_it_sent)
{
	struct end *ada = meet();

	bus_sends(ada, "bye");
	bus_closes(ada, 1008, "kicked");
	bus_sends(ada, "too late");
	settle();
	hears_text(ada, "bye");
	hears_close(ada, 1008, "kicked");
	say_frame(ada, WS_CLOSE, true, "\x03\xf0", 2);
	hears_the_end(ada);
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 1008);
}
END_TEST

START_TEST(who_does_not_answer_a_close_is_hung_up_on)
{
	struct end *ada = meet();

	bus_closes(ada, 1008, "kicked");
	settle();
	ck_assert(!ada->is_closed);
	time_passes(1100);
	ck_assert(ada->is_closed);
}
END_TEST

START_TEST(a_peers_close_is_answered)
{
	struct end *ada = meet();

	say_frame(ada, WS_CLOSE, true,
	    "\x03\xe8"
	    "done",
	    6);
	hears_close(ada, 1000, "");
	hears_the_end(ada);
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 1000);
}
END_TEST

START_TEST(w12_what_comes_after_a_close_is_ignored)
{
	struct end *ada = meet();

	bus_closes(ada, 1008, "kicked");
	settle();
	say_event(ada, 1);
	ck_assert_uint_eq(ada->request_count, 0);
}
END_TEST

START_TEST(w17_a_lost_peer_is_told_once)
{
	struct end *ada = meet();

	bus_sends(ada, "into the void");
	hang_up(ada);
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 1006);
}
END_TEST

START_TEST(a_broken_frame_ends_it_with_the_reason)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint16_t code;
	} table[] = {
		{ "\x81\x01x", 3, 1002 },            /* unmasked */
		{ "\xc1\x80\0\0\0\0", 6, 1002 },     /* RSV */
		{ "\x83\x80\0\0\0\0", 6, 1002 },     /* opcode */
		{ "\x82\x81\0\0\0\0x", 7, 1003 },    /* binary */
		{ "\x81\x81\0\0\0\0\xff", 7, 1007 }, /* no UTF-8 */
		{ "\x81\xff\0\0\0\0\0\1\0\1\0\0\0\0", 14, 1009 },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct end *ada = meet();

		say_bytes(ada, table[i].bytes, table[i].len);
		hears_close(ada, table[i].code, "");
		time_passes(1100);
		ck_assert(ada->is_closed);
		ck_assert_uint_eq(ada->close_code, table[i].code);
	}
}
END_TEST

START_TEST(w7_a_message_that_is_never_finished_ends_it)
{
	struct end *ada = meet();

	say_frame(ada, WS_TEXT, false, "{", 1);
	time_passes(9000);
	hears_nothing(ada);
	time_passes(2000);
	hears_close(ada, 1008, "10000 ms");
}
END_TEST

START_TEST(w13_a_flood_of_pings_ends_it)
{
	struct end *ada = meet();

	for (int i = 0; i < 40; i++) {
		say_frame(ada, WS_PING, true, "", 0);
		hears_frame(ada, WS_PONG, "", 0);
	}
	say_frame(ada, WS_PING, true, "", 0);
	hears_close(ada, 4009, "20 control frames");
}
END_TEST

START_TEST(h10_a_handshake_has_its_time)
{
	struct end *ada = dial();

	say_bytes(ada, "GET / ", 6);
	time_passes(4900);
	hears_nothing(ada);
	say_bytes(ada, "HTTP", 4);
	time_passes(200);
	hears_the_end(ada);
}
END_TEST

START_TEST(an_idle_connection_keeps_no_buffers)
{
	struct end *ada = meet();
	struct conn *conn = (struct conn *)ada->conn;

	say_event(ada, 1);
	bus_sends(ada, "hello");
	settle();
	hears_text(ada, "hello");
	ck_assert_ptr_null(conn->in);
	ck_assert_ptr_null(conn->out.piece);
	ck_assert_uint_eq(conn->out.n, 0);
}
END_TEST

static const struct {
	int family;
	const char *ip, *text;
	bool loopback;
} addresses[] = {
	{ AF_INET, "127.0.0.1", "127.0.0.1:9", true },
	{ AF_INET, "127.9.9.9", "127.9.9.9:9", true },
	{ AF_INET, "192.0.2.7", "192.0.2.7:9", false },
	{ AF_INET6, "::1", "[::1]:9", true },
	{ AF_INET6, "2001:db8::7", "[2001:db8::7]:9", false },
	{ AF_INET6, "::ffff:127.0.0.1", "127.0.0.1:9", true },
	{ AF_INET6, "::ffff:192.0.2.7", "192.0.2.7:9", false },
};

START_TEST(an_address_is_the_same_whichever_way_it_came)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(9) };
	bool is_v4 = addresses[_i].family == AF_INET, loopback;
	char text[PORT_ADDRESS_SIZE];

	ck_assert_int_eq(inet_pton(addresses[_i].family, addresses[_i].ip,
			     is_v4 ? (void *)&in.sin_addr
				   : (void *)&in6.sin6_addr),
	    1);
	endpoint_text(is_v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6,
	    text, &loopback);
	ck_assert_str_eq(text, addresses[_i].text);
	ck_assert_int_eq(loopback, addresses[_i].loopback);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("net");
	TCase *t = tcase_create("net");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, net_setup, net_teardown);
	tcase_add_test(t, what_a_peer_says_comes_up_in_order);
	tcase_add_test(t, a_bad_envelope_comes_up_as_a_reject);
	tcase_add_test(t, of_two_pings_in_one_read_the_latest_is_answered);
	tcase_add_test(t, a_message_in_pieces_is_one);
	tcase_add_test(t, w14_a_byte_at_a_time_is_the_same);
	tcase_add_test(t, a_turns_messages_go_out_in_one_write);
	tcase_add_test(t, large_messages_go_out_between_small_ones);
	tcase_add_test(t, a_lane_reaches_all_in_it_but_one);
	tcase_add_test(t, whom_the_bus_knows_is_in_lane_zero);
	tcase_add_test(t, a_mark_delivers_once_over_several_lanes);
	tcase_add_test(t, lanes_outlive_those_that_go);
	tcase_add_test(t, a_blocked_socket_gets_the_rest_when_it_reads);
	tcase_add_test(t, s1_over_its_budget_a_slow_consumer_is_dropped);
	tcase_add_test(t, a_burst_that_the_socket_takes_is_no_slowness);
	tcase_add_test(t,
	    messages_to_the_same_are_one_piece_and_keep_their_order);
	tcase_add_test(t, s1_who_takes_no_byte_for_long_is_dropped);
	tcase_add_test(t, the_bus_hears_when_there_is_room);
	tcase_add_test(t, who_is_paused_is_not_read_and_not_idle);
	tcase_add_test(t, no_more_is_read_than_the_bus_is_to_have_waiting);
	tcase_add_test(t, a_turn_takes_only_so_many_messages_of_one);
	tcase_add_test(t, silence_is_pinged_and_then_ended);
	tcase_add_test(t, who_speaks_is_not_pinged);
	tcase_add_test(t, the_bus_closes_after_what_it_sent);
	tcase_add_test(t, who_does_not_answer_a_close_is_hung_up_on);
	tcase_add_test(t, a_peers_close_is_answered);
	tcase_add_test(t, w12_what_comes_after_a_close_is_ignored);
	tcase_add_test(t, w17_a_lost_peer_is_told_once);
	tcase_add_test(t, a_broken_frame_ends_it_with_the_reason);
	tcase_add_test(t, w7_a_message_that_is_never_finished_ends_it);
	tcase_add_test(t, w13_a_flood_of_pings_ends_it);
	tcase_add_test(t, h10_a_handshake_has_its_time);
	tcase_add_test(t, an_idle_connection_keeps_no_buffers);
	tcase_add_loop_test(t, an_address_is_the_same_whichever_way_it_came, 0,
	    sizeof addresses / sizeof addresses[0]);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

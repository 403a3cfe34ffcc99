/* SPDX-License-Identifier: Apache-2.0 */

/* Connections that do not read as fast as they are sent. */

#include "net_fake.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "proto/ws.h"

#define SIZE 1000           /* of a payload */
#define LIMIT (64u * 1024u) /* of an outbox: some 50 messages */
#define NARROW 4096         /* what a socket takes */
#define LANE 1

/* There is no piece of memory any more that is larger; 0: any. */
static size_t largest;

/* All this is called before the sanitizers are ready. */
__attribute__((no_sanitize("thread", "address", "undefined"))) void *
malloc(size_t size)
{
	typedef void *malloc_f(size_t size);
	static malloc_f *real;

	if (real == NULL) {
		real = (malloc_f *)dlsym(RTLD_NEXT, "malloc");
	}
	return largest > 0 && size > largest ? NULL : real(size);
}

/* In the lanes 1 to n, and hardly reading. */
static struct end *
slow_one(uint32_t n)
{
	struct end *e = meet_narrow(NARROW);

	for (uint32_t lane = LANE; lane < LANE + n; lane++) {
		bus_posts(e, PORT_JOIN)->lane = lane;
	}
	settle();
	return e;
}

static void
publish(enum slow_policy policy, uint64_t from, uint64_t to, struct end *but)
{
	for (uint64_t seq = from; seq <= to; seq++) {
		bus_publishes(LANE, policy, seq, SIZE, but);
		settle();
	}
}

/* How many were dropped of anybody's. */
static uint64_t
dropped(enum slow_policy policy)
{
	return count_get(&worker->count.dropped[policy]);
}

/* It reads all there is, which is in order.  Marks what it heard. */
static void
hear(struct end *e, bool *heard, uint64_t all)
{
	uint64_t seq, last = 0;

	while ((seq = hears_seq(e)) != 0) {
		ck_assert_uint_gt(seq, last);
		ck_assert_uint_le(seq, all);
		ck_assert(!heard[seq]);
		heard[seq] = true;
		last = seq;
	}
}

/* Each of 1 to all was heard or is lost, and none is both. */
static void
assert_exact(struct end *e, uint64_t all)
{
	bool *heard = xnew(all + 1);
	bool *lost = xnew(all + 1);

	hear(e, heard, all);
	for (size_t i = 0; i < e->loss_count; i++) {
		const struct port_loss *l = &e->losses[i];

		ck_assert_str_eq(l->room, "r");
		ck_assert_str_eq(l->channel, "b");
		ck_assert_str_eq(l->epoch, "e1");
		ck_assert_uint_le(l->to, all);
		for (uint64_t seq = l->from; seq <= l->to; seq++) {
			ck_assert(!lost[seq]);
			lost[seq] = true;
		}
	}
	for (uint64_t seq = 1; seq <= all; seq++) {
		ck_assert_msg(heard[seq] != lost[seq], "%llu: heard %d lost %d",
		    (unsigned long long)seq, heard[seq], lost[seq]);
	}
	ck_assert(heard[all]);
	free(heard);
	free(lost);
}

static void
setup(void)
{
	net_setup();
	worker->conf.outbox_limit = LIMIT;
}

START_TEST(s1_the_oldest_go_and_each_loss_is_told_exactly)
{
	struct end *ada = slow_one(1), *bob = meet();

	bus_posts(bob, PORT_JOIN)->lane = LANE;
	for (uint64_t seq = 1; seq <= 500; seq++) {
		publish(SLOW_DROP_OLDEST, seq, seq, NULL);
		ck_assert_uint_eq(hears_seq(bob), seq);
		ck_assert_uint_le(((struct conn *)ada->conn)->out.bytes, LIMIT);
	}
	ck_assert_uint_gt(ada->loss_count, 1);
	assert_exact(ada, 500);
	ck_assert(!ada->is_closed);
	ck_assert_uint_eq(dropped(SLOW_CONFLATE), 0);
	ck_assert_uint_eq(bob->loss_count, 0);
}
END_TEST

START_TEST(who_reads_a_little_gets_what_it_reads_and_gaps)
{
	struct end *ada = slow_one(1);

	for (uint64_t seq = 1; seq <= 1000; seq++) {
		publish(SLOW_DROP_OLDEST, seq, seq, NULL);
		if (seq % 20 == 0) {
			sips(ada, 3000);
		}
	}
	assert_exact(ada, 1000);
}
END_TEST

START_TEST(all_but_the_newest_are_conflated)
{
	struct end *ada = slow_one(1);
	bool heard[101] = { false };
	uint64_t n = 0;

	publish(SLOW_CONFLATE, 1, 100, NULL);
	ck_assert_uint_gt(dropped(SLOW_CONFLATE), 0);
	hear(ada, heard, 100);
	ck_assert(heard[100]);
	for (int i = 1; i <= 100; i++) {
		n += heard[i];
	}
	ck_assert_uint_lt(n, 60);
	ck_assert(!ada->is_closed);
}
END_TEST

START_TEST(conflated_channels_keep_one_message_each)
{
	struct end *ada = slow_one(5);
	uint64_t last[8] = { 0 };
	uint64_t seq;

	for (seq = 1; seq <= 40; seq++) {
		for (uint32_t lane = LANE; lane < LANE + 5; lane++) {
			bus_publishes(lane, SLOW_CONFLATE, seq, SIZE, NULL);
		}
		settle();
	}
	while ((seq = hears_seq(ada)) != 0) {
		last[seq == 40 ? 1 : 0]++;
	}
	ck_assert_uint_eq(last[1], 5);
	ck_assert(!ada->is_closed);
}
END_TEST

/* Whatever others do, and however often: there is one newest of a channel. */
START_TEST(members_that_come_and_go_leave_a_conflated_channel_one_message)
{
	struct end *ada = slow_one(1), *bob = meet();
	uint64_t seq;

	for (seq = 1; seq <= 200; seq++) {
		bus_posts(bob, PORT_JOIN)->lane = LANE;
		bus_publishes(LANE, SLOW_CONFLATE, seq, SIZE, NULL);
		bus_posts(bob, PORT_LEAVE)->lane = LANE;
		settle();
		ck_assert_uint_eq(hears_seq(bob), seq);
	}
	ck_assert(!ada->is_closed);
	ck_assert_uint_gt(dropped(SLOW_CONFLATE), 100);
	assert_exact(ada, 200);
}
END_TEST

START_TEST(so_does_a_storage_that_loses_some)
{
	struct end *ada = slow_one(1);
	uint64_t seq, n = 0, last = 0;

	for (seq = 1; seq <= 399; seq += seq % 8 == 7 ? 2 : 1) {
		publish(SLOW_CONFLATE, seq, seq, NULL);
	}
	ck_assert(!ada->is_closed);
	while ((seq = hears_seq(ada)) != 0) {
		last = seq;
		n++;
	}
	ck_assert_uint_eq(last, 399);
	ck_assert_uint_eq(n + dropped(SLOW_CONFLATE), 399 - 49);
	ck_assert_uint_lt(n, 80);
}
END_TEST

START_TEST(conflating_comes_before_dropping)
{
	slow_one(2);
	publish(SLOW_CONFLATE, 1, 40, NULL);
	for (uint64_t seq = 1; seq <= 28; seq++) {
		bus_publishes(LANE + 1, SLOW_DROP_OLDEST, seq, SIZE, NULL);
		settle();
	}
	ck_assert_uint_gt(dropped(SLOW_CONFLATE), 0);
	ck_assert_uint_eq(dropped(SLOW_DROP_OLDEST), 0);
}
END_TEST

START_TEST(nothing_else_is_dropped_and_order_is_kept)
{
	struct end *ada = slow_one(2);
	char text[16];
	uint64_t seq, solo = 0, plain = 0, last = 0;

	for (seq = 1; seq <= 200; seq++) {
		bus_publishes(LANE, SLOW_DROP_OLDEST, seq, SIZE, NULL);
		if (seq % 10 == 0) {
			strcpy(text, "solo   ");
			text[5] = (char)('a' + seq / 10);
			bus_sends(ada, text);
			bus_delivers(LANE + 1, "ordinary", NULL, 0);
			bus_delivers(LANE, "no seq", NULL, 0);
		}
		settle();
	}
	while (is_next(ada, WS_TEXT)) {
		seq = hears_seq(ada);
		if (seq > 0) {
			ck_assert_uint_gt(seq, last);
			last = seq;
		} else if (solo == plain) {
			strcpy(text, "solo   ");
			text[5] = (char)('a' + ++solo);
			hears_text(ada, text);
		} else {
			hears_text(ada, "ordinary");
			hears_text(ada, "no seq");
			plain++;
		}
	}
	ck_assert_uint_eq(solo, 20);
	ck_assert_uint_eq(plain, 20);
	ck_assert_uint_eq(last, 200);
	ck_assert_uint_gt(dropped(SLOW_DROP_OLDEST), 0);
	ck_assert(!ada->is_closed);
}
END_TEST

/* What it said itself was never for it: a gap may reach over it. */
START_TEST(its_own_messages_make_no_gaps_of_their_own)
{
	struct end *ada = slow_one(1);

	for (uint64_t seq = 1; seq <= 160; seq++) {
		publish(SLOW_DROP_OLDEST, seq, seq, seq % 2 == 0 ? ada : NULL);
	}
	ck_assert_uint_eq(ada->loss_count, 1);
	ck_assert_uint_gt(dropped(SLOW_DROP_OLDEST), 1);
	ck_assert_uint_eq(ada->losses[0].to - ada->losses[0].from + 1,
	    2 * dropped(SLOW_DROP_OLDEST) - 1);
}
END_TEST

/* Between, it got what it missed in another way. */
START_TEST(a_gap_does_not_reach_over_an_absence)
{
	struct end *ada = slow_one(1), *bob = meet();

	bus_posts(bob, PORT_JOIN)->lane = LANE;
	publish(SLOW_DROP_OLDEST, 1, 10, NULL);
	bus_posts(ada, PORT_LEAVE)->lane = LANE;
	publish(SLOW_DROP_OLDEST, 11, 20, NULL);
	bus_posts(ada, PORT_JOIN)->lane = LANE;
	publish(SLOW_DROP_OLDEST, 21, 80, NULL);
	ck_assert_uint_eq(ada->loss_count, 2);
	ck_assert_uint_eq(ada->losses[0].to, 10);
	ck_assert_uint_eq(ada->losses[1].from, 21);
}
END_TEST

START_TEST(a_loss_is_told_even_if_the_channel_was_left)
{
	struct end *ada = slow_one(2);

	publish(SLOW_DROP_OLDEST, 1, 40, NULL);
	bus_posts(ada, PORT_LEAVE)->lane = LANE;
	for (int i = 0; i < 40; i++) {
		bus_publishes(LANE + 1, SLOW_DROP_OLDEST, (uint64_t)i + 1, SIZE,
		    NULL);
		settle();
	}
	ck_assert_uint_ge(ada->loss_count, 1);
	ck_assert_str_eq(ada->losses[0].channel, "b");
}
END_TEST

START_TEST(a_hole_that_the_channel_has_is_no_loss_of_the_reader)
{
	struct end *ada = slow_one(1);

	publish(SLOW_DROP_OLDEST, 1, 10, NULL);
	publish(SLOW_DROP_OLDEST, 12, 80, NULL); /* 11 is the storage's loss */
	ck_assert_uint_eq(ada->loss_count, 2);
	ck_assert_uint_eq(ada->losses[0].to, 10);
	ck_assert_uint_eq(ada->losses[1].from, 12);
}
END_TEST

/* Half an outbox of what cannot be dropped: the gap waits until it is out. */
START_TEST(a_loss_is_told_once_there_is_room_for_it)
{
	struct end *ada = slow_one(2);
	char text[1001];
	uint64_t lost;

	memset(text, 'x', sizeof text - 1);
	text[1000] = '\0';
	for (int i = 0; i < 40; i++) {
		bus_delivers(LANE + 1, text, NULL, 0);
		settle();
	}
	publish(SLOW_DROP_OLDEST, 1, 40, NULL);
	ck_assert(!ada->is_closed);
	ck_assert_uint_eq(ada->loss_count, 0);
	for (int i = 0; i < 40; i++) {
		hears_text(ada, text);
	}
	ck_assert_uint_eq(ada->loss_count, 1);
	lost = ada->losses[0].to;
	ck_assert_uint_eq(ada->losses[0].from, 1);
	ck_assert_uint_gt(lost, 1);
	for (uint64_t seq = lost + 1; seq <= 40; seq++) {
		ck_assert_uint_eq(hears_seq(ada), seq);
	}
	hears_nothing(ada);
}
END_TEST

START_TEST(who_is_over_by_what_may_not_be_dropped_is_closed)
{
	struct end *ada = slow_one(2);
	char text[1001];

	memset(text, 'x', sizeof text - 1);
	text[1000] = '\0';
	publish(SLOW_DROP_OLDEST, 1, 10, NULL);
	for (int i = 0; i < 80; i++) {
		bus_delivers(LANE + 1, text, NULL, 0);
		settle();
	}
	while (!is_next(ada, WS_CLOSE)) {
		hears_frame(ada, WS_TEXT, NULL, 0);
	}
	hears_close(ada, 4008, "limit 65536");
	ck_assert_uint_gt(dropped(SLOW_DISCONNECT), 0);
}
END_TEST

START_TEST(who_takes_no_byte_for_long_is_closed_whatever_the_policy)
{
	struct end *ada = slow_one(1);

	for (uint64_t seq = 1; seq <= 120; seq++) {
		publish(SLOW_CONFLATE, seq, seq, NULL);
		time_passes(100);
	}
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 4008);
}
END_TEST

START_TEST(it_is_news_once_a_second)
{
	struct end *ada = slow_one(1);

	publish(SLOW_DROP_OLDEST, 1, 300, NULL);
	ck_assert_uint_gt(ada->loss_count, 1);
	ck_assert_uint_eq(ada->news, 1);
	time_passes(1000);
	publish(SLOW_DROP_OLDEST, 301, 400, NULL);
	ck_assert_uint_eq(ada->news, 2);
	ck_assert_uint_gt(ada->dropped[SLOW_DROP_OLDEST], 0);
	ck_assert_uint_le(ada->dropped[SLOW_DROP_OLDEST],
	    dropped(SLOW_DROP_OLDEST));
	assert_exact(ada, 400);
}
END_TEST

/* An outbox that was all dropped is not one that waits from of old. */
START_TEST(who_lost_all_that_waited_has_its_time_as_before)
{
	struct end *ada;

	worker->conf.outbox_limit = 8192;
	worker->conf.ping_interval = 3000;
	worker->conf.ping_timeout = 60000;
	ada = slow_one(1);
	publish(SLOW_DROP_OLDEST, 1, 5, NULL);
	port_add(&worker->port, PORT_CUT)->bytes = 100000;
	settle();
	ck_assert_uint_eq(((struct conn *)ada->conn)->out.bytes, 0);
	publish(SLOW_DROP_OLDEST, 6, 6, NULL);
	time_passes(9000);
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 0);
	time_passes(1500);
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 1);
}
END_TEST

/* Nobody may go on as if nothing were missing. */
START_TEST(s7_who_is_sent_what_there_is_no_memory_for_is_closed)
{
	struct end *ada = meet(), *bob = meet(), *carl = meet();
	uint64_t seq = 0;

	bus_posts(ada, PORT_JOIN)->lane = LANE;
	bus_posts(bob, PORT_JOIN)->lane = LANE;
	bus_posts(carl, PORT_JOIN)->lane = LANE + 1;
	bus_sends(carl, "so that there is room for a goodbye");
	settle();
	hears_text(carl, "so that there is room for a goodbye");
	largest = 4096;
	while (!is_next(ada, WS_CLOSE) && seq < 100) {
		seq++;
		publish(SLOW_DISCONNECT, seq, seq, NULL);
		if (is_next(ada, WS_TEXT)) {
			ck_assert_uint_eq(hears_seq(ada), seq);
			ck_assert_uint_eq(hears_seq(bob), seq);
		}
	}
	largest = 0;
	hears_close(ada, 1011, "out of memory");
	hears_close(bob, 1011, "out of memory");
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 0);
	bus_publishes(LANE + 1, SLOW_DISCONNECT, 1, 10, NULL);
	settle();
	ck_assert_uint_eq(hears_seq(carl), 1);
}
END_TEST

START_TEST(the_end_is_news_of_all_that_was_not_told_before)
{
	struct end *ada = slow_one(1);
	uint64_t lost;

	publish(SLOW_DROP_OLDEST, 1, 300, NULL);
	lost = dropped(SLOW_DROP_OLDEST);
	ck_assert_uint_eq(ada->news, 1);
	ck_assert_uint_lt(ada->dropped[SLOW_DROP_OLDEST], lost);
	time_passes(10000);
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 1);
	ck_assert_uint_eq(ada->news, 2);
	ck_assert_uint_eq(ada->dropped[SLOW_DROP_OLDEST], lost);
}
END_TEST

/* Small messages, each in a turn of its own. */
START_TEST(s2_who_is_slow_keeps_alive_little_more_than_waits_for_it)
{
	struct end *ada = slow_one(1);
	struct end *bob = meet();

	bus_posts(bob, PORT_JOIN)->lane = LANE;
	for (uint64_t seq = 1; seq <= 500; seq++) {
		bus_publishes(LANE, SLOW_DISCONNECT, seq, 10, NULL);
		turn();
		hears_seq(bob);
	}
	ck_assert(!ada->is_closed);
	ck_assert_uint_le(count_get(&worker->port.outbox_bytes),
	    3 * 64u * 1024u);
	while (hears_seq(ada) != 0) {
	}
}
END_TEST

/* A little now and then, of much that goes to others. */
START_TEST(s2_nor_of_what_goes_to_others)
{
	struct end *ada = slow_one(1), *bob = meet();
	uint64_t heard = 0;

	bus_posts(bob, PORT_JOIN)->lane = LANE;
	bus_posts(bob, PORT_JOIN)->lane = LANE + 1;
	for (uint64_t seq = 1; seq <= 200; seq++) {
		bus_publishes(LANE, SLOW_DISCONNECT, seq, 100, NULL);
		for (uint64_t i = 0; i < 5; i++) {
			bus_publishes(LANE + 1, SLOW_DISCONNECT, seq, 15000,
			    NULL);
		}
		turn();
		while (hears_seq(bob) != 0) {
		}
		ck_assert_uint_le(count_get(&worker->port.outbox_bytes),
		    (4 + 16) * 64u * 1024u);
	}
	while (hears_seq(ada) == heard + 1) {
		heard++;
	}
	ck_assert_uint_eq(heard, 200);
}
END_TEST

START_TEST(s2_the_fullest_are_cut_first)
{
	struct end *e[3];
	uint64_t before;
	char text[20001];

	worker->conf.outbox_limit = 4 * LIMIT;
	memset(text, 'x', sizeof text - 1);
	text[20000] = '\0';
	for (int i = 0; i < 3; i++) {
		e[i] = slow_one(1);
		for (int n = 0; n < 2 * (i + 1); n++) {
			bus_sends(e[i], text);
			settle();
		}
	}
	before = count_get(&worker->port.outbox_bytes);
	port_add(&worker->port, PORT_CUT)->bytes = 30000;
	settle();
	ck_assert_uint_le(count_get(&worker->port.outbox_bytes),
	    before - 30000);
	while (!is_next(e[2], WS_CLOSE)) {
		hears_text(e[2], text);
	}
	hears_close(e[2], 4008, "memory is short");
	for (int i = 0; i < 2; i++) {
		for (int n = 0; n < 2 * (i + 1); n++) {
			hears_text(e[i], text);
		}
		hears_nothing(e[i]);
	}
}
END_TEST

START_TEST(s2_who_may_lose_messages_is_not_cut)
{
	struct end *ada = slow_one(1);

	publish(SLOW_DROP_OLDEST, 1, 50, NULL);
	ck_assert_uint_eq(ada->loss_count, 0);
	port_add(&worker->port, PORT_CUT)->bytes = 1000000;
	settle();
	assert_exact(ada, 50);
	ck_assert_uint_eq(ada->loss_count, 1);
	ck_assert(!ada->is_closed);
}
END_TEST

START_TEST(s2_nor_is_who_lost_enough_of_them)
{
	struct end *ada;

	worker->conf.outbox_limit = 4 * LIMIT;
	ada = slow_one(2);
	for (int i = 0; i < 20; i++) {
		bus_publishes(LANE + 1, SLOW_DISCONNECT, (uint64_t)i + 1, SIZE,
		    NULL);
		settle();
	}
	publish(SLOW_DROP_OLDEST, 1, 200, NULL);
	port_add(&worker->port, PORT_CUT)->bytes = 50000;
	settle();
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 0);
	ck_assert_uint_gt(dropped(SLOW_DROP_OLDEST), 0);
	port_add(&worker->port, PORT_CUT)->bytes = 1000000;
	settle();
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 1);
	while (!is_next(ada, WS_CLOSE)) {
		hears_frame(ada, WS_TEXT, NULL, 0);
	}
	hears_close(ada, 4008, "memory is short");
}
END_TEST

START_TEST(what_is_copied_together_can_still_be_dropped)
{
	struct end *ada = slow_one(2);

	for (uint64_t seq = 1; seq <= 300; seq++) {
		publish(SLOW_CONFLATE, seq, seq, NULL);
		if (seq % 7 == 0) {
			bus_publishes(LANE + 1, SLOW_CONFLATE, seq / 7, 10,
			    NULL);
		}
		if (seq % 50 == 0) {
			sips(ada, 1500);
		}
	}
	ck_assert(!ada->is_closed);
	ck_assert_uint_gt(dropped(SLOW_CONFLATE), 200);
}
END_TEST

#define READERS 3
#define LANES 3
#define STEPS 4000

/* What became of a message for one reader. */
struct page {
	bool is_due; /* sent while it was there */
	bool is_own; /* likewise, by itself */
	uint8_t heard;
	uint8_t lost;
};

/* What is known of the readers: of each, its messages by lane and seq. */
static struct book {
	struct end *e[READERS];
	bool is_in[READERS][LANES];
	struct page page[READERS][LANES][STEPS + 1];
	uint64_t last[LANES];
	enum slow_policy policy[LANES];
} book;

static size_t
lane_of(char channel)
{
	return (size_t)(channel - "abcdefgh"[LANE]);
}

static void
note_losses(size_t r)
{
	struct end *e = book.e[r];

	for (size_t i = 0; i < e->loss_count; i++) {
		const struct port_loss *l = &e->losses[i];

		ck_assert_uint_le(l->from, l->to);
		ck_assert_uint_le(l->to, book.last[lane_of(*l->channel)]);
		for (uint64_t seq = l->from; seq <= l->to; seq++) {
			book.page[r][lane_of(*l->channel)][seq].lost++;
		}
	}
	e->loss_count = 0;
}

/* The reader uses what it has read, and then reads all there is. */
static void
read_all(size_t r)
{
	static const char key[] = "\"channel\":\"";
	struct end *e = book.e[r];
	uint64_t last[LANES] = { 0 };

	settle(); /* there may be room since it sipped */
	while (is_next(e, WS_TEXT)) {
		size_t all = ws_frame_len(e->got, e->len);
		const char *at = memmem(e->got, all, key, strlen(key));
		size_t lane = at == NULL ? 0 : lane_of(at[strlen(key)]);
		uint64_t seq;

		if (at == NULL) {
			hears_text(e, "solo");
			continue;
		}
		seq = hears_seq(e);
		ck_assert_uint_gt(seq, last[lane]);
		last[lane] = seq;
		book.page[r][lane][seq].heard++;
		note_losses(r);
	}
}

static void
publish_one(size_t lane, struct end *but)
{
	uint64_t seq = ++book.last[lane];

	if (rand() % 40 == 0) {
		book.policy[lane] =
		    rand() % 2 == 0 ? SLOW_CONFLATE : SLOW_DROP_OLDEST;
	}
	bus_publishes((uint32_t)(LANE + lane), book.policy[lane], seq,
	    (size_t)(rand() % 8 == 0 ? 6000 : 10 + rand() % 1500), but);
	for (size_t r = 0; r < READERS; r++) {
		struct page *p = &book.page[r][lane][seq];

		p->is_own = book.is_in[r][lane] && book.e[r] == but;
		p->is_due = book.is_in[r][lane] && book.e[r] != but;
	}
}

static void
come_or_go(size_t r, size_t lane)
{
	bool *is_in = &book.is_in[r][lane];

	bus_posts(book.e[r], *is_in ? PORT_LEAVE : PORT_JOIN)->lane =
	    (uint32_t)(LANE + lane);
	*is_in = !*is_in;
}

static void
sip(struct end *e)
{
	ssize_t n = recv(e->fd, e->got + e->len, (size_t)(1 + rand() % 5000),
	    MSG_DONTWAIT);

	e->len += n > 0 ? (size_t)n : 0;
}

static void
do_something(void)
{
	size_t r = (size_t)rand() % READERS, lane = (size_t)rand() % LANES;
	int what = rand() % 1000;

	if (what < 700) {
		publish_one(lane, what < 100 ? book.e[r] : NULL);
	} else if (what < 740) {
		come_or_go(r, lane);
	} else if (what < 950) {
		sip(book.e[r]);
	} else if (what < 960) {
		bus_sends(book.e[r], "solo");
	} else if (what < 970) {
		port_add(&worker->port, PORT_CUT)->bytes =
		    (uint64_t)(rand() % 200000);
	} else if (what < 975) {
		read_all(r);
	}
	if (rand() % 3 == 0) {
		turn();
	}
	for (r = 0; r < READERS; r++) {
		note_losses(r);
	}
}

/* Whatever happens: each message is heard once, or is in one gap, and gaps
 * reach over nothing but what was lost or its own. */
START_TEST(s1_the_books_are_exact)
{
	memset(&book, 0, sizeof book);
	srand((unsigned)_i);
	worker->conf.outbox_limit = 8 * LIMIT;
	for (size_t r = 0; r < READERS; r++) {
		book.e[r] = slow_one(0);
	}
	for (size_t lane = 0; lane < LANES; lane++) {
		book.policy[lane] = SLOW_DROP_OLDEST;
	}
	for (int i = 0; i < STEPS; i++) {
		do_something();
	}
	settle();
	ck_assert_uint_eq(count_get(&worker->count.slow_consumers), 0);
	for (size_t r = 0; r < READERS; r++) {
		read_all(r);
		settle();
		note_losses(r);
		ck_assert(!book.e[r]->is_closed);
		for (size_t lane = 0; lane < LANES; lane++) {
			for (uint64_t seq = 1; seq <= book.last[lane]; seq++) {
				struct page *p = &book.page[r][lane][seq];

				ck_assert_msg(p->is_own
					? p->heard == 0 && p->lost <= 1
					: p->heard + p->lost == p->is_due,
				    "%zu/%zu/%llu: due %d own %d heard %u "
				    "lost %u",
				    r, lane, (unsigned long long)seq, p->is_due,
				    p->is_own, p->heard, p->lost);
			}
		}
	}
	ck_assert_uint_gt(dropped(SLOW_DROP_OLDEST), 0);
	ck_assert_uint_gt(dropped(SLOW_CONFLATE), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("net_slow");
	TCase *t = tcase_create("net_slow");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, net_teardown);
	tcase_add_test(t, s1_the_oldest_go_and_each_loss_is_told_exactly);
	tcase_add_test(t, who_reads_a_little_gets_what_it_reads_and_gaps);
	tcase_add_test(t, all_but_the_newest_are_conflated);
	tcase_add_test(t, conflated_channels_keep_one_message_each);
	tcase_add_test(t,
	    members_that_come_and_go_leave_a_conflated_channel_one_message);
	tcase_add_test(t, so_does_a_storage_that_loses_some);
	tcase_add_test(t, conflating_comes_before_dropping);
	tcase_add_test(t, nothing_else_is_dropped_and_order_is_kept);
	tcase_add_test(t, its_own_messages_make_no_gaps_of_their_own);
	tcase_add_test(t, a_gap_does_not_reach_over_an_absence);
	tcase_add_test(t, a_loss_is_told_even_if_the_channel_was_left);
	tcase_add_test(t, a_hole_that_the_channel_has_is_no_loss_of_the_reader);
	tcase_add_test(t, a_loss_is_told_once_there_is_room_for_it);
	tcase_add_test(t, who_is_over_by_what_may_not_be_dropped_is_closed);
	tcase_add_test(t,
	    who_takes_no_byte_for_long_is_closed_whatever_the_policy);
	tcase_add_test(t, who_lost_all_that_waited_has_its_time_as_before);
	tcase_add_test(t, s7_who_is_sent_what_there_is_no_memory_for_is_closed);
	tcase_add_test(t, it_is_news_once_a_second);
	tcase_add_test(t, the_end_is_news_of_all_that_was_not_told_before);
	tcase_add_test(t,
	    s2_who_is_slow_keeps_alive_little_more_than_waits_for_it);
	tcase_add_test(t, s2_nor_of_what_goes_to_others);
	tcase_add_test(t, s2_the_fullest_are_cut_first);
	tcase_add_test(t, s2_who_may_lose_messages_is_not_cut);
	tcase_add_test(t, s2_nor_is_who_lost_enough_of_them);
	tcase_add_test(t, what_is_copied_together_can_still_be_dropped);
	tcase_add_loop_test(t, s1_the_books_are_exact, 1, 9);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

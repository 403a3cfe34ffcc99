/* SPDX-License-Identifier: Apache-2.0 */

/* Channels as they come and go, and how much anybody may do. */

#include "bus_fake.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static struct peer *ada, *bob;

static void
meet_again(void)
{
	bus_remake();
	ada = come("");
	bob = come("");
}

static void
setup(void)
{
	bus_setup();
	ada = come("");
	bob = come("");
}

static void
publish(struct peer *peer, const char *place)
{
	say(peer, "{'type':'event','channel':'%s'}", place);
}

static enum aqb_code
create(struct peer *peer, const char *room, const char *channel)
{
	const struct aqb_channel_spec spec = { .size = sizeof spec,
		.room = room,
		.channel = channel,
		.description = "what for",
		.metadata = { "{\"a\":1}", 7 },
		.history_size = 7,
		.history_ttl = -1,
		.slow_policy = AQB_SLOW_CONFLATE };
	struct aqb_why why;

	return bus_api(bus)->channel_create(NULL, peer->id, &spec, &why);
}

static enum aqb_code
destroy(struct peer *peer, const char *room, const char *channel, bool force)
{
	struct aqb_why why;
	enum aqb_code code = bus_api(bus)->channel_delete(NULL, peer->id, room,
	    channel, force, &why);

	time_passes(1);
	return code;
}

START_TEST(an_unused_channel_is_collected)
{
	publish(ada, "c:d");
	backend.keeps = 0;
	time_passes(59000);
	ck_assert(is_there("c", "d"));
	time_passes(2000);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(a_publish_keeps_it_for_as_long_again_and_no_longer)
{
	publish(ada, "c:d");
	time_passes(50000);
	publish(ada, "c:d");
	time_passes(50000);
	ck_assert(is_there("c", "d"));
	time_passes(11000);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(o6_the_time_of_day_does_not_matter)
{
	publish(ada, "c:d");
	day_jumps(-3600000);
	time_passes(61000);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(a_member_keeps_it)
{
	join(ada, "c", "d");
	time_passes(130000);
	ck_assert(is_there("c", "d"));
	leave(ada, "c", "d");
	time_passes(61000);
	ck_assert(!is_there("c", "d"));
}
END_TEST

START_TEST(settings_keep_it_and_bootstrap_does)
{
	ck_assert_int_eq(create(ada, "c", "d"), AQB_CODE_OK);
	time_passes(130000);
	ck_assert(is_there("c", "d"));
	ck_assert(is_there("science", "explore"));
}
END_TEST

START_TEST(created_with_what_was_asked)
{
	struct aqb_channel_info info;

	create(ada, "c", "d");
	info = channel_now("c", "d");
	ck_assert_str_eq(info.description, "what for");
	ck_assert_uint_eq(info.metadata.len, 7);
	ck_assert_uint_eq(info.history_size, 7);
	ck_assert_uint_eq(info.history_ttl, 0);
	ck_assert_uint_eq(info.slow_policy, AQB_SLOW_CONFLATE);
	ck_assert_int_eq(create(bob, "c", "d"), AQB_CODE_CHANNEL_EXISTS);
}
END_TEST

START_TEST(protected_channels_are_not_deleted)
{
	ck_assert_int_eq(destroy(ada, "science", "explore", true),
	    AQB_CODE_CHANNEL_PROTECTED);
}
END_TEST

START_TEST(n6_a_channel_with_others_in_it_needs_force)
{
	join(ada, "c", "d");
	ck_assert_int_eq(destroy(ada, "c", "d", false), AQB_CODE_OK);
	join(ada, "c", "d");
	join(bob, "c", "d");
	skip(ada);
	ck_assert_int_eq(destroy(ada, "c", "d", false),
	    AQB_CODE_CHANNEL_NOT_EMPTY);
	ck_assert_int_eq(destroy(ada, "c", "d", true), AQB_CODE_OK);
	hears(bob, "'type':'system'", "'event':'channel_deleted'");
	hears_nothing(bob);
	ck_assert(!is_there("c", "d"));
	publish(ada, "c:d"); /* another of that name */
	hears_nothing(bob);
}
END_TEST

START_TEST(a_room_goes_with_its_last_channel)
{
	create(ada, "c", "d");
	destroy(ada, "c", "d", true);
	say(ada, "{'type':'event','room':'c'}");
	hears(ada, "ROOM_NOT_FOUND");
}
END_TEST

START_TEST(n4_there_are_only_so_many_channels)
{
	settings.max_channels = 4; /* two are there */
	meet_again();
	publish(ada, "c:one");
	publish(ada, "c:two");
	publish(ada, "c:three");
	hears(ada, "LIMIT_REACHED", "4");
	destroy(ada, "c", "one", true);
	publish(ada, "c:three");
	hears_nothing(ada);
}
END_TEST

START_TEST(channels_are_made_only_so_fast)
{
	settings.channels = (struct bus_rate){ .rate = 1, .burst = 2 };
	meet_again();
	publish(ada, "c:one");
	publish(ada, "c:two");
	publish(ada, "c:three");
	hears(ada, "RATE_LIMITED", "'retry_after_ms':");
	publish(bob, "c:four");
	hears_nothing(bob);
	time_passes(1100);
	publish(ada, "c:three");
	hears_nothing(ada);
}
END_TEST

START_TEST(messages_are_limited_and_the_wait_is_told)
{
	const char *text;

	settings.messages = (struct bus_rate){ .rate = 10, .burst = 5 };
	meet_again();
	for (int i = 0; i < 6; i++) {
		publish(ada, "c:d");
	}
	text = hears(ada, "'type':'error'", "RATE_LIMITED", "10");
	ck_assert_uint_gt(number_in(text, "retry_after_ms"), 0);
	ck_assert_uint_le(number_in(text, "retry_after_ms"), 100);
	ck_assert_uint_eq(backend.appends, 5);
	time_passes(150);
	publish(ada, "c:d");
	hears_nothing(ada);
}
END_TEST

START_TEST(bytes_are_limited)
{
	settings.bytes = (struct bus_rate){ .rate = 100, .burst = 300 };
	meet_again();
	say(ada, "{'type':'event','channel':'c:d','payload':'%*c'}", 200, 'x');
	hears_nothing(ada);
	say(ada, "{'type':'event','channel':'c:d','payload':'%*c'}", 200, 'x');
	hears(ada, "RATE_LIMITED", "bytes_per_second");
}
END_TEST

START_TEST(nonsense_is_no_way_around_the_limits)
{
	settings.messages = (struct bus_rate){ .rate = 1, .burst = 2 };
	meet_again();
	say(ada, "{'type':'event','room':'a b'}");
	hears(ada, "INVALID_NAME");
	say(ada, "{'type':'ping','id':7}");
	hears(ada, "INVALID_ENVELOPE");
	say(ada, "{'type':'event','room':'a b','id':'x'}");
	hears(ada, "RATE_LIMITED", "'request_id':'x'");
}
END_TEST

START_TEST(a_ping_costs_nothing)
{
	settings.messages = (struct bus_rate){ .rate = 1, .burst = 1 };
	meet_again();
	for (int i = 0; i < 20; i++) {
		say(ada, "{'type':'ping'}");
		hears(ada, "'type':'pong'");
	}
}
END_TEST

START_TEST(but_its_bytes_count)
{
	settings.bytes = (struct bus_rate){ .rate = 1, .burst = 100 };
	meet_again();
	for (int i = 0; i < 6; i++) {
		say(ada, "{'type':'ping'}"); /* 15 bytes */
		hears(ada, "'type':'pong'");
	}
	say(ada, "{'type':'ping'}");
	hears(ada, "RATE_LIMITED");
}
END_TEST

START_TEST(persistent_offenders_are_closed)
{
	settings.messages = (struct bus_rate){ .rate = 1, .burst = 1 };
	meet_again();
	publish(ada, "c:d");
	for (int i = 0; i < 9; i++) {
		publish(ada, "c:d");
	}
	ck_assert(!ada->is_closed);
	publish(ada, "c:d");
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 4009);
	ck_assert_ptr_nonnull(strstr(ada->close_reason, "10"));
	ck_assert(!bob->is_closed);
}
END_TEST

START_TEST(violations_are_forgiven_after_a_minute)
{
	settings.messages = (struct bus_rate){ .rate = 1, .burst = 1 };
	meet_again();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 9; i++) {
			publish(ada, "c:d");
		}
		time_passes(61000);
	}
	ck_assert(!ada->is_closed);
}
END_TEST

static bool
count(void *arg, const struct aqb_channel_info *info)
{
	(void)info;
	++*(size_t *)arg;
	return true;
}

START_TEST(pages_of_a_list_show_each_once)
{
	struct aqb_page page = { .size = sizeof page, .limit = 7 };
	char next[AQB_CURSOR_SIZE] = "";
	struct aqb_why why;
	size_t n = 0;

	for (int i = 0; i < 30; i++) {
		say(ada, "{'type':'event','channel':'c:d%d'}", i);
	}
	do {
		char from[AQB_CURSOR_SIZE];

		memcpy(from, next, sizeof from);
		page.cursor = from[0] == '\0' ? NULL : from;
		ck_assert_int_eq(bus_api(bus)->channels(NULL, "c", NULL, &page,
				     count, &n, next, &why),
		    AQB_CODE_OK);
	} while (next[0] != '\0');
	ck_assert_uint_eq(n, 30);
}
END_TEST

START_TEST(a_page_goes_on_where_what_it_ended_with_is_gone)
{
	struct aqb_page page = { .size = sizeof page, .limit = 10 };
	char next[AQB_CURSOR_SIZE], last[AQB_CURSOR_SIZE];
	struct aqb_why why;
	size_t n = 0;

	for (int i = 0; i < 20; i++) {
		say(ada, "{'type':'event','channel':'c:d%d'}", i);
	}
	bus_api(bus)->channels(NULL, "c", NULL, &page, count, &n, next, &why);
	for (int i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof name, "d%d", i);
		destroy(ada, "c", name, true);
	}
	page.cursor = next;
	page.limit = 100;
	ck_assert_msg(bus_api(bus)->channels(NULL, "c", NULL, &page, count, &n,
			  last, &why) == AQB_CODE_OK,
	    "%s", why.text);
	ck_assert_uint_eq(n, 20);
	ck_assert_str_eq(last, "");
}
END_TEST

static bool
see(void *arg, const struct aqb_client_info *info)
{
	buf_puts(arg, info->client_id);
	return true;
}

static unsigned
times(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Read a page of members and of clients; false when it was the last. */
static bool
turn_page(char members[AQB_CURSOR_SIZE], char clients[AQB_CURSOR_SIZE],
    struct buf *seen)
{
	struct aqb_page page = { .size = sizeof page, .limit = 3 };
	char next[AQB_CURSOR_SIZE];
	struct aqb_why why;

	page.cursor = members[0] == '\0' ? NULL : members;
	ck_assert_int_eq(bus_api(bus)->members(NULL, "c", "d", &page, see, seen,
			     next, &why),
	    AQB_CODE_OK);
	memcpy(members, next, sizeof next);
	page.cursor = clients[0] == '\0' ? NULL : clients;
	ck_assert_int_eq(bus_api(bus)->clients(NULL, NULL, &page, see, seen,
			     next, &why),
	    AQB_CODE_OK);
	memcpy(clients, next, sizeof next);
	return members[0] != '\0';
}

START_TEST(pages_of_people_show_each_once_though_some_go)
{
	char members[AQB_CURSOR_SIZE] = "", clients[AQB_CURSOR_SIZE] = "";
	struct peer *peer[10] = { ada, bob };
	struct buf seen = { 0 };

	for (int i = 0; i < 10; i++) {
		if (i > 1) {
			peer[i] = come("");
		}
		join(peer[i], "c", "d");
	}
	ck_assert(turn_page(members, clients, &seen));
	ck_assert(turn_page(members, clients, &seen));
	go(peer[5]); /* the last of the page */
	ck_assert(turn_page(members, clients, &seen));
	ck_assert(!turn_page(members, clients, &seen));
	ck_assert_str_eq(clients, "");
	for (int i = 0; i < 10; i++) {
		ck_assert_uint_eq(times(buf_text(&seen), peer[i]->id), 2);
	}
	buf_fini(&seen);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-limits");
	TCase *t = tcase_create("limits");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, an_unused_channel_is_collected);
	tcase_add_test(t, a_publish_keeps_it_for_as_long_again_and_no_longer);
	tcase_add_test(t, o6_the_time_of_day_does_not_matter);
	tcase_add_test(t, a_member_keeps_it);
	tcase_add_test(t, settings_keep_it_and_bootstrap_does);
	tcase_add_test(t, created_with_what_was_asked);
	tcase_add_test(t, protected_channels_are_not_deleted);
	tcase_add_test(t, n6_a_channel_with_others_in_it_needs_force);
	tcase_add_test(t, a_room_goes_with_its_last_channel);
	tcase_add_test(t, n4_there_are_only_so_many_channels);
	tcase_add_test(t, channels_are_made_only_so_fast);
	tcase_add_test(t, messages_are_limited_and_the_wait_is_told);
	tcase_add_test(t, bytes_are_limited);
	tcase_add_test(t, nonsense_is_no_way_around_the_limits);
	tcase_add_test(t, a_ping_costs_nothing);
	tcase_add_test(t, but_its_bytes_count);
	tcase_add_test(t, persistent_offenders_are_closed);
	tcase_add_test(t, violations_are_forgiven_after_a_minute);
	tcase_add_test(t, pages_of_a_list_show_each_once);
	tcase_add_test(t, pages_of_people_show_each_once_though_some_go);
	tcase_add_test(t, a_page_goes_on_where_what_it_ended_with_is_gone);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

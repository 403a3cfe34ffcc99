/* SPDX-License-Identifier: Apache-2.0 */

/* Who is who: ids, aliases, sessions, presence. */

#include "bus_fake.h"

#include <stdio.h>
#include <string.h>

static struct peer *ada, *bob;

static void
setup(void)
{
	bus_setup();
	ada = come("");
	bob = come("");
}

static struct aqb_identity
nobody(void)
{
	return (struct aqb_identity){ .size = sizeof(struct aqb_identity),
		.binary = -1 };
}

static enum aqb_code
call_it(struct peer *peer, const char *alias)
{
	struct aqb_identity who = nobody();

	who.alias = alias;
	return identify(peer, &who);
}

static struct peer *
come_back(const struct peer *gone)
{
	char query[160];

	snprintf(query, sizeof query, "session=%s", gone->session);
	return come(query);
}

static struct aqb_client_info
record_of(const char *name)
{
	struct aqb_client_info info = { .size = sizeof info };

	ck_assert_int_eq(bus_api(bus)->client_get(NULL, name, &info, NULL),
	    AQB_CODE_OK);
	return info;
}

static bool
is_known(const char *name)
{
	struct aqb_client_info info = { .size = sizeof info };

	return bus_api(bus)->client_get(NULL, name, &info, NULL) == AQB_CODE_OK;
}

static void
watch(struct peer *peer)
{
	const struct aqb_join how = { .size = sizeof how,
		.room = "c",
		.channel = "d",
		.presence = true };

	ck_assert_int_eq(join_as(peer, &how).code, AQB_CODE_OK);
}

START_TEST(an_id_is_32_hex_digits_and_nobody_elses)
{
	ck_assert_int_eq(strncmp(ada->id, "arq_client_", 11), 0);
	ck_assert_uint_eq(strspn(ada->id + 11, "0123456789abcdef"), 32);
	ck_assert_uint_eq(strlen(ada->id), 43);
	ck_assert_str_ne(ada->id, bob->id);
}
END_TEST

START_TEST(the_query_says_who_one_is)
{
	struct peer *eve = come("client_type=ai-agent&screen_name=Eve%20A&"
				"personality=curious&avatar=x&alias=eve");
	struct aqb_client_info info = record_of("eve");

	ck_assert_str_eq(info.client_id, eve->id);
	ck_assert_str_eq(info.client_type, "ai-agent");
	ck_assert_str_eq(info.screen_name, "Eve A");
	ck_assert_str_eq(info.personality, "curious");
	ck_assert_str_eq(info.avatar, "x");
	hears_nothing(eve);
}
END_TEST

START_TEST(what_is_wrong_in_the_query_does_not_undo_the_rest)
{
	struct peer *eve = come("client_type=robot&alias=eve");

	hears(eve, "'type':'error'", "INVALID_ARGUMENT", "client_type");
	ck_assert_str_eq(record_of("eve").client_id, eve->id);
	ck_assert_ptr_null(record_of("eve").client_type);
}
END_TEST

START_TEST(an_alias_is_one_clients)
{
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_OK);
	ck_assert_int_eq(call_it(bob, "pal"), AQB_CODE_ALIAS_TAKEN);
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_OK);
	ck_assert_str_eq(record_of("pal").client_id, ada->id);
}
END_TEST

START_TEST(an_alias_that_is_given_up_is_free)
{
	call_it(ada, "pal");
	ck_assert_int_eq(call_it(ada, "mate"), AQB_CODE_OK);
	ck_assert_int_eq(call_it(bob, "pal"), AQB_CODE_OK);
	ck_assert_int_eq(call_it(ada, ""), AQB_CODE_OK);
	ck_assert(!is_known("mate"));
	go(bob);
	ck_assert(!is_known("pal"));
}
END_TEST

START_TEST(no_alias_looks_like_an_id)
{
	static const char *const bad[] = { "arq_x", ".x", "a b", "a/b", "a:b",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aa" };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ck_assert_int_eq(call_it(ada, bad[i]), AQB_CODE_INVALID_NAME);
	}
}
END_TEST

START_TEST(a_refused_identify_changes_nothing)
{
	struct aqb_identity who = nobody();

	call_it(bob, "pal");
	who.screen_name = "Ada";
	who.alias = "pal";
	ck_assert_int_eq(identify(ada, &who), AQB_CODE_ALIAS_TAKEN);
	ck_assert_ptr_null(record_of(ada->id).screen_name);
}
END_TEST

START_TEST(who_comes_back_keeps_id_and_alias)
{
	struct peer *again;

	call_it(ada, "pal");
	go(ada);
	again = come_back(ada);
	ck_assert_str_eq(again->id, ada->id);
	ck_assert_str_eq(record_of("pal").client_id, ada->id);
	ck_assert(record_of("pal").resumed);
}
END_TEST

START_TEST(a_forged_session_is_a_stranger)
{
	char *last = &ada->session[strlen(ada->session) - 1];

	*last = *last == 'a' ? 'b' : 'a';
	go(ada);
	ck_assert_str_ne(come_back(ada)->id, ada->id);
}
END_TEST

START_TEST(n13_the_newer_connection_replaces_the_older)
{
	struct peer *again = come_back(ada);

	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 4010);
	ck_assert_str_eq(again->id, ada->id);
	say(bob, "{'type':'private','to':'%s'}", ada->id);
	hears(again, "'type':'private'");
	hears_nothing(ada);
}
END_TEST

START_TEST(a_session_comes_before_the_first_join)
{
	struct aqb_identity who = nobody();

	go(bob);
	who.session = bob->session;
	join(ada, "c", "d");
	ck_assert_int_eq(identify(ada, &who), AQB_CODE_INVALID_ARGUMENT);
	leave(ada, "c", "d");
	ck_assert_int_eq(identify(ada, &who), AQB_CODE_OK);
	ck_assert_str_eq(ada->id, bob->id);
}
END_TEST

START_TEST(only_the_admin_token_makes_an_admin)
{
	struct aqb_identity who = nobody();

	who.token = "open sesam";
	ck_assert_int_eq(identify(ada, &who), AQB_CODE_INVALID_ARGUMENT);
	ck_assert(!record_of(ada->id).admin);
	who.token = "open sesame";
	ck_assert_int_eq(identify(ada, &who), AQB_CODE_OK);
	ck_assert(record_of(ada->id).admin);
}
END_TEST

START_TEST(who_guesses_tokens_is_closed)
{
	struct aqb_identity who = nobody();

	who.token = "open barley";
	for (int i = 0; i < 9; i++) {
		identify(ada, &who);
	}
	time_passes(1);
	ck_assert(!ada->is_closed);
	identify(ada, &who);
	time_passes(1);
	ck_assert(ada->is_closed);
	ck_assert_uint_eq(ada->close_code, 4009);
}
END_TEST

START_TEST(n11_who_insists_on_what_is_forbidden_is_closed)
{
	for (int i = 0; i < 10; i++) {
		ck_assert(!ada->is_closed);
		say(ada, "{'type':'system','room':'*'}");
		hears(ada, "FORBIDDEN");
	}
	ck_assert_uint_eq(ada->close_code, 4009);
}
END_TEST

START_TEST(without_an_admin_token_nobody_is_admin)
{
	struct peer *eve;

	settings.admin_token = "";
	bus_remake();
	eve = come("token=");
	ck_assert(!record_of(eve->id).admin);
	eve = come_with_token("", "");
	ck_assert(!record_of(eve->id).admin);
}
END_TEST

START_TEST(comings_are_told_to_who_watches_and_never_ones_own)
{
	watch(ada);
	join(bob, "c", "d");
	hears_nothing(ada);
	time_passes(150);
	hears(ada, "'event':'presence'", "'joined':[{'client_id':", bob->id,
	    "'left':[]", "'member_count':2");
	hears_nothing(ada);
	hears_nothing(bob);
}
END_TEST

START_TEST(what_comes_together_is_told_in_one)
{
	struct peer *eve = come("");

	watch(ada);
	join(bob, "c", "d");
	join(eve, "c", "d");
	time_passes(150);
	hears(ada, bob->id, eve->id, "'member_count':3");
	hears_nothing(ada);
}
END_TEST

START_TEST(who_left_is_told_at_once_who_is_lost_after_its_grace)
{
	watch(ada);
	join(bob, "c", "d");
	time_passes(150);
	skip(ada);
	leave(bob, "c", "d");
	time_passes(150);
	hears(ada, "'joined':[]", "'left':['arq_client_", bob->id);
	join(bob, "c", "d");
	time_passes(150);
	skip(ada);
	go(bob);
	time_passes(9000);
	hears_nothing(ada);
	time_passes(1500);
	hears(ada, "'left':[", bob->id, "'member_count':1");
}
END_TEST

START_TEST(who_is_back_within_its_grace_never_left)
{
	struct peer *again;

	watch(ada);
	join(bob, "c", "d");
	time_passes(150);
	skip(ada);
	go(bob);
	time_passes(5000);
	again = come_back(bob);
	join(again, "c", "d");
	time_passes(20000);
	hears_nothing(ada);
}
END_TEST

START_TEST(coming_and_going_between_two_messages_cancel_out)
{
	watch(ada);
	join(bob, "c", "d");
	leave(bob, "c", "d");
	time_passes(300);
	hears_nothing(ada);
}
END_TEST

START_TEST(at_most_one_presence_message_in_the_interval)
{
	watch(ada);
	for (int i = 0; i < 8; i++) {
		join(come(""), "c", "d");
		time_passes(25);
	}
	ck_assert_uint_le(skip(ada), 3);
	time_passes(200);
	skip(ada);
	time_passes(500);
	hears_nothing(ada);
}
END_TEST

START_TEST(who_watches_next_is_told_nothing_that_is_no_longer_true)
{
	struct peer *eve = come("");

	watch(ada);
	join(bob, "c", "d");
	time_passes(150);
	skip(ada);
	leave(bob, "c", "d");
	leave(ada, "c", "d");
	join(bob, "c", "d");
	watch(eve);
	time_passes(150);
	while (heard(eve) > 0) {
		ck_assert_ptr_null(strstr(hears(eve, "'left':["), bob->id));
	}
	leave(bob, "c", "d");
	time_passes(150);
	hears(eve, "'left':['arq_client_", bob->id);
}
END_TEST

START_TEST(who_watches_and_comes_hears_of_the_others_that_came_with_it)
{
	struct peer *eve = come("");

	watch(ada);
	join(bob, "c", "d");
	watch(eve);
	leave(ada, "c", "d");
	time_passes(150);
	skip(ada);
	ck_assert_ptr_null(strstr(hears(eve, "'joined':[{'client_id':", bob->id,
				      "'member_count':2"),
	    eve->id));
	hears_nothing(eve);
}
END_TEST

START_TEST(a_presence_message_is_not_much_longer_than_a_client_may_send)
{
	char avatar[1010];
	char query[1100];

	memset(avatar, 'a', sizeof avatar - 1);
	avatar[sizeof avatar - 1] = '\0';
	snprintf(query, sizeof query, "avatar=%s", avatar);
	watch(ada);
	for (int i = 0; i < 100; i++) {
		join(come(query), "c", "d");
	}
	time_passes(150);
	ck_assert_uint_gt(heard(ada), 0);
	while (heard(ada) > 0) {
		ck_assert_uint_lt(strlen(hears(ada, "'event':'presence'")),
		    70000);
		time_passes(150);
	}
}
END_TEST

START_TEST(a_crowd_is_told_of_itself_in_small_portions)
{
	char avatar[1010];
	char query[1100];
	size_t messages;

	memset(avatar, 'a', sizeof avatar - 1);
	avatar[sizeof avatar - 1] = '\0';
	snprintf(query, sizeof query, "avatar=%s", avatar);
	watch(ada);
	for (int i = 0; i < 300; i++) {
		watch(come(query));
	}
	messages = skip(ada); /* told while the crowd was smaller */
	time_passes(150);
	ck_assert_uint_lt(strlen(hears(ada, "'event':'presence'")), 30000);
	messages++;
	for (int i = 0; i < 30; i++) {
		time_passes(150);
		messages += skip(ada);
	}
	ck_assert_uint_ge(messages, 8);
	ck_assert_uint_lt(messages, 20); /* and then all is told */
}
END_TEST

START_TEST(an_older_plugin_gets_no_more_than_it_has_room_for)
{
	struct {
		struct aqb_client_info info;
		char behind[8];
	} room = { .behind = "behind" };

	room.info.size = offsetof(struct aqb_client_info, channels);
	room.info.channels = 77;
	join(ada, "c", "d");
	ck_assert_int_eq(bus_api(bus)->client_get(NULL, ada->id, &room.info,
			     NULL),
	    AQB_CODE_OK);
	ck_assert_str_eq(room.info.client_id, ada->id);
	ck_assert_uint_eq(room.info.size,
	    offsetof(struct aqb_client_info, channels));
	ck_assert_uint_eq(room.info.channels, 77);
	room.info.size = sizeof room; /* a newer one gets less */
	bus_api(bus)->client_get(NULL, ada->id, &room.info, NULL);
	ck_assert_uint_eq(room.info.size, sizeof room.info);
	ck_assert_uint_eq(room.info.channels, 1);
	ck_assert_str_eq(room.behind, "behind");
}
END_TEST

START_TEST(a_record_is_told_as_it_is_when_the_client_joins)
{
	watch(ada);
	call_it(bob, "bobby");
	join(bob, "c", "d");
	time_passes(150);
	hears(ada, "'alias':'bobby'", "'client_type':null", "'joined_at':'20");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-people");
	TCase *t = tcase_create("people");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, an_id_is_32_hex_digits_and_nobody_elses);
	tcase_add_test(t, the_query_says_who_one_is);
	tcase_add_test(t, what_is_wrong_in_the_query_does_not_undo_the_rest);
	tcase_add_test(t, an_alias_is_one_clients);
	tcase_add_test(t, an_alias_that_is_given_up_is_free);
	tcase_add_test(t, no_alias_looks_like_an_id);
	tcase_add_test(t, a_refused_identify_changes_nothing);
	tcase_add_test(t, who_comes_back_keeps_id_and_alias);
	tcase_add_test(t, a_forged_session_is_a_stranger);
	tcase_add_test(t, n13_the_newer_connection_replaces_the_older);
	tcase_add_test(t, a_session_comes_before_the_first_join);
	tcase_add_test(t, only_the_admin_token_makes_an_admin);
	tcase_add_test(t, who_guesses_tokens_is_closed);
	tcase_add_test(t, n11_who_insists_on_what_is_forbidden_is_closed);
	tcase_add_test(t, without_an_admin_token_nobody_is_admin);
	tcase_add_test(t, comings_are_told_to_who_watches_and_never_ones_own);
	tcase_add_test(t, what_comes_together_is_told_in_one);
	tcase_add_test(t, who_left_is_told_at_once_who_is_lost_after_its_grace);
	tcase_add_test(t, who_is_back_within_its_grace_never_left);
	tcase_add_test(t, coming_and_going_between_two_messages_cancel_out);
	tcase_add_test(t, at_most_one_presence_message_in_the_interval);
	tcase_add_test(t,
	    who_watches_next_is_told_nothing_that_is_no_longer_true);
	tcase_add_test(t,
	    who_watches_and_comes_hears_of_the_others_that_came_with_it);
	tcase_add_test(t,
	    a_presence_message_is_not_much_longer_than_a_client_may_send);
	tcase_add_test(t, a_crowd_is_told_of_itself_in_small_portions);
	tcase_add_test(t, an_older_plugin_gets_no_more_than_it_has_room_for);
	tcase_add_test(t, a_record_is_told_as_it_is_when_the_client_joins);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

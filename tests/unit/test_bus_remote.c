/* SPDX-License-Identifier: Apache-2.0 */

/* Who is on which of two brokers, and what they are called. */

#include "cluster_fake.h"

/* ---- who is there ---- */

START_TEST(everybody_is_counted_everywhere)
{
	ck_assert_uint_eq(clients_in_all(), 2);
	join(ada, "c", "d");
	all_know();
	ck_assert_uint_eq(join(bob, "c", "d").result.member_count, 2);
	all_know();
	ck_assert_uint_eq(channel_now("c", "d").member_count, 2);
	be_at(1);
	ck_assert_uint_eq(clients_in_all(), 2);
	ck_assert_uint_eq(channel_now("c", "d").member_count, 2);
}
END_TEST

START_TEST(a_client_is_known_by_id_and_alias_on_every_node)
{
	call_it(bob, "bobby");
	all_know();
	ck_assert_str_eq(record_of("bobby").client_id, bob->id);
	ck_assert_str_eq(record_of(bob->id).alias, "bobby");
	ck_assert_str_eq(record_of(bob->id).node, "other");
	ck_assert_str_eq(record_of(ada->id).node, "test");
}
END_TEST

START_TEST(a_channel_with_members_elsewhere_is_not_collected)
{
	join(bob, "c", "d");
	all_know();
	ck_assert(is_there("c", "d"));
	time_passes(130000);
	ck_assert(is_there("c", "d"));
	leave(bob, "c", "d");
	time_passes(61000);
	ck_assert(!is_there("c", "d"));
	ck_assert_uint_eq(backend.forgot, 0);
}
END_TEST

START_TEST(many_joins_at_once_are_told_in_a_few_records)
{
	char name[16];
	size_t before = cluster_fake.shares;

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "d%d", i);
		join(bob, "c", name);
	}
	all_know();
	ck_assert_uint_le(cluster_fake.shares - before, 2);
	ck_assert_uint_eq(record_of(bob->id).channels, 50);
}
END_TEST

START_TEST(who_goes_is_known_nowhere)
{
	char key[80];

	snprintf(key, sizeof key, "c:%s", bob->id);
	ck_assert_ptr_nonnull(record_of_node("other", key));
	go(bob);
	ck_assert(!is_known(bob->id));
	ck_assert_ptr_null(record_of_node("other", key));
}
END_TEST

static bool
collect(void *arg, const struct aqb_client_info *info)
{
	strcat(arg, info->client_id);
	strcat(arg, " ");
	return true;
}

START_TEST(members_are_listed_page_by_page_over_all_nodes)
{
	struct peer *eve = come("");
	char next[AQB_CURSOR_SIZE] = "", cursor[AQB_CURSOR_SIZE];
	char all[512] = "";
	int pages = 0;

	be_at(1);
	join(bob, "c", "d");
	join(come(""), "c", "d");
	be_at(0);
	join(ada, "c", "d");
	join(eve, "c", "d");
	all_know();
	do {
		struct aqb_page page = { .size = sizeof page, .limit = 1 };

		memcpy(cursor, next, sizeof cursor);
		page.cursor = *cursor == '\0' ? NULL : cursor;
		ck_assert_int_eq(bus_api(bus)->members(NULL, "c", "d", &page,
				     collect, all, next, NULL),
		    AQB_CODE_OK);
		pages++;
	} while (*next != '\0');
	ck_assert_int_eq(pages, 4);
	ck_assert_uint_eq(strlen(all), 4 * 44);
	ck_assert_ptr_nonnull(strstr(all, ada->id));
	ck_assert_ptr_nonnull(strstr(all, bob->id));
}
END_TEST

static bool
count_one(void *arg, const struct aqb_channel_info *info)
{
	(void)info;
	++*(int *)arg;
	return true;
}

START_TEST(channels_are_found_by_the_type_of_members_elsewhere)
{
	const struct aqb_page page = { .size = sizeof page, .limit = 100 };
	struct aqb_identity who = nobody();
	char next[AQB_CURSOR_SIZE];
	int n = 0;

	join(bob, "c", "d");
	who.client_type = "ai-agent";
	identify(bob, &who);
	all_know();
	bus_api(bus)->channels(NULL, NULL, "ai-agent", &page, count_one, &n,
	    next, NULL);
	ck_assert_int_eq(n, 1);
	who.client_type = "human";
	identify(bob, &who);
	all_know();
	bus_api(bus)->channels(NULL, NULL, "ai-agent", &page, count_one, &n,
	    next, NULL);
	ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(presence_tells_of_those_on_other_nodes)
{
	watch(ada, "c", "d");
	join(bob, "c", "d");
	time_passes(200);
	hears(ada, "'event':'presence'", "'joined':[{'client_id':", bob->id,
	    "'member_count':2");
	leave(bob, "c", "d");
	time_passes(200);
	hears(ada, "'left':['arq_client_", bob->id, "'member_count':1");
	hears_nothing(ada);
}
END_TEST

START_TEST(who_is_lost_elsewhere_has_its_grace)
{
	watch(ada, "c", "d");
	join(bob, "c", "d");
	time_passes(200);
	skip(ada);
	go(bob);
	time_passes(9000);
	hears_nothing(ada);
	time_passes(1500);
	hears(ada, "'left':['arq_client_", bob->id);
}
END_TEST

START_TEST(a_node_that_goes_loses_its_clients)
{
	watch(ada, "c", "d");
	join(bob, "c", "d");
	time_passes(200);
	skip(ada);
	node_goes("other");
	ck_assert(!is_known(bob->id));
	ck_assert_uint_eq(clients_in_all(), 1);
	time_passes(9000);
	hears_nothing(ada);
	time_passes(1500);
	hears(ada, "'left':['arq_client_", bob->id);
}
END_TEST

START_TEST(nodes_are_known_without_clients_too)
{
	ck_assert_uint_eq(bus_nodes(bus), 1);
	go(bob);
	ck_assert_uint_eq(bus_nodes(bus), 1);
	ck_assert_uint_eq(bus_remote_clients(bus), 0);
	node_goes("other");
	ck_assert_uint_eq(bus_nodes(bus), 0);
}
END_TEST

/* ---- moving ---- */

START_TEST(who_comes_back_on_another_node_keeps_id_and_alias)
{
	struct peer *again;

	call_it(bob, "bobby");
	all_know();
	go(bob);
	again = come_back(bob);
	ck_assert_str_eq(again->id, bob->id);
	ck_assert_str_eq(record_of("bobby").client_id, bob->id);
	all_know();
	be_at(1);
	ck_assert_str_eq(record_of("bobby").node, "test");
}
END_TEST

START_TEST(the_newer_connection_replaces_the_older_on_another_node)
{
	struct peer *again;

	call_it(bob, "bobby");
	all_know();
	again = come_back(bob);
	ck_assert(bob->is_closed);
	ck_assert_uint_eq(bob->close_code, 4010);
	ck_assert_str_eq(record_of("bobby").client_id, again->id);
	ck_assert_uint_eq(clients_in_all(), 2);
	be_at(1);
	ck_assert_str_eq(record_of("bobby").node, "test");
	ck_assert_uint_eq(clients_in_all(), 2);
	say(ada, "{'type':'private','to':'bobby'}");
	hears(again, "'type':'private'");
}
END_TEST

START_TEST(who_comes_back_and_leaves_at_once_is_nowhere)
{
	go(come_back(bob));
	all_know();
	ck_assert(bob->is_closed);
	ck_assert(!is_known(bob->id));
	be_at(1);
	ck_assert(!is_known(bob->id));
	ck_assert_uint_eq(clients_in_all(), 1);
}
END_TEST

START_TEST(who_moves_within_its_grace_never_left)
{
	struct peer *again, *eve;

	be_at(1);
	eve = come("");
	watch(eve, "c", "d");
	be_at(0);
	watch(ada, "c", "d");
	join(bob, "c", "d");
	time_passes(200);
	skip(ada);
	skip(eve);
	again = come_back(bob);
	all_know();
	time_passes(3000);
	join(again, "c", "d");
	time_passes(20000);
	hears_nothing(ada);
	hears_nothing(eve);
	ck_assert_uint_eq(channel_now("c", "d").member_count, 3);
	be_at(1);
	ck_assert_uint_eq(channel_now("c", "d").member_count, 3);
}
END_TEST

START_TEST(the_old_node_cannot_take_back_or_remove_who_has_moved)
{
	char key[80];

	snprintf(key, sizeof key, "c:%s", FAR_ID);
	node_shares("x", key, "{'since':5,'connected_at':1,'channels':{}}");
	node_shares("y", key, "{'since':6,'connected_at':1,'channels':{}}");
	ck_assert_str_eq(record_of(FAR_ID).node, "y");
	node_shares("x", key,
	    "{'since':5,'connected_at':1,'channels':{'c:d':1}}");
	ck_assert_str_eq(record_of(FAR_ID).node, "y");
	node_shares("x", key, NULL);
	ck_assert(is_known(FAR_ID));
	node_goes("x");
	ck_assert(is_known(FAR_ID));
	node_shares("y", key, NULL);
	ck_assert(!is_known(FAR_ID));
}
END_TEST

START_TEST(an_older_claim_to_a_client_of_ours_is_ignored)
{
	char key[80];

	snprintf(key, sizeof key, "c:%s", ada->id);
	node_shares("x", key, "{'since':5,'connected_at':1,'channels':{}}");
	all_know();
	ck_assert(!ada->is_closed);
	ck_assert_str_eq(record_of(ada->id).node, "test");
}
END_TEST

START_TEST(who_was_on_a_node_that_went_gets_its_alias_back)
{
	call_it(bob, "bobby");
	all_know();
	node_goes("other");
	ck_assert(!is_known("bobby"));
	come_back(bob);
	ck_assert_str_eq(record_of("bobby").client_id, bob->id);
}
END_TEST

/* ---- aliases ---- */

START_TEST(an_alias_of_another_node_is_taken)
{
	call_it(bob, "pal");
	all_know();
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_ALIAS_TAKEN);
	call_it(bob, "");
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_OK);
}
END_TEST

START_TEST(an_alias_passes_from_one_to_another_of_a_node)
{
	struct peer *eve = come("");

	all_know();
	call_it(ada, "pal");
	all_know();
	join(eve, "c", "d"); /* to be told of before Ada is */
	call_it(ada, "mate");
	ck_assert_int_eq(call_it(eve, "pal"), AQB_CODE_OK);
	all_know();
	hears_nothing(eve);
	be_at(1);
	ck_assert_str_eq(record_of("pal").client_id, eve->id);
	ck_assert_str_eq(record_of("mate").client_id, ada->id);
}
END_TEST

START_TEST(of_two_at_the_same_moment_the_later_loses_its_alias)
{
	cluster_fake.holds = true;
	ck_assert_int_eq(call_it(bob, "pal"), AQB_CODE_OK);
	all_know();
	ck_assert_int_eq(call_it(ada, "pal"), AQB_CODE_OK);
	all_know();
	cluster_fake.holds = false;
	all_know();
	hears(ada, "'type':'error'", "'code':'ALIAS_TAKEN'", "'field':'alias'");
	hears_nothing(bob);
	ck_assert_str_eq(record_of("pal").client_id, bob->id);
	ck_assert_ptr_null(record_of(ada->id).alias);
	be_at(1);
	ck_assert_str_eq(record_of("pal").client_id, bob->id);
	ck_assert_ptr_null(record_of(ada->id).alias);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus-remote");
	TCase *t = tcase_create("cluster");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_add_test(t, everybody_is_counted_everywhere);
	tcase_add_test(t, a_client_is_known_by_id_and_alias_on_every_node);
	tcase_add_test(t, a_channel_with_members_elsewhere_is_not_collected);
	tcase_add_test(t, many_joins_at_once_are_told_in_a_few_records);
	tcase_add_test(t, who_goes_is_known_nowhere);
	tcase_add_test(t, members_are_listed_page_by_page_over_all_nodes);
	tcase_add_test(t, channels_are_found_by_the_type_of_members_elsewhere);
	tcase_add_test(t, presence_tells_of_those_on_other_nodes);
	tcase_add_test(t, who_is_lost_elsewhere_has_its_grace);
	tcase_add_test(t, a_node_that_goes_loses_its_clients);
	tcase_add_test(t, nodes_are_known_without_clients_too);
	tcase_add_test(t, who_comes_back_on_another_node_keeps_id_and_alias);
	tcase_add_test(t,
	    the_newer_connection_replaces_the_older_on_another_node);
	tcase_add_test(t, who_comes_back_and_leaves_at_once_is_nowhere);
	tcase_add_test(t, who_moves_within_its_grace_never_left);
	tcase_add_test(t,
	    the_old_node_cannot_take_back_or_remove_who_has_moved);
	tcase_add_test(t, an_older_claim_to_a_client_of_ours_is_ignored);
	tcase_add_test(t, who_was_on_a_node_that_went_gets_its_alias_back);
	tcase_add_test(t, an_alias_of_another_node_is_taken);
	tcase_add_test(t, an_alias_passes_from_one_to_another_of_a_node);
	tcase_add_test(t, of_two_at_the_same_moment_the_later_loses_its_alias);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

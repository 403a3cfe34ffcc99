/* SPDX-License-Identifier: Apache-2.0 */

/* What a backend tells of other brokers, and what is asked of it. */

#include "host_fake.h"

#include "base/why.h"
#include "host/store.h"

#define GARBAGE "arqonbus_garbage_answers_total"

static struct store *store;
static const struct aqb_follower *follower;
static int returns;
static char heard[256];

static int
fake_follow(void *self, const struct aqb_follower *f, struct aqb_why *why)
{
	(void)self;
	follower = f;
	return returns == AQB_OK ? AQB_OK
	    : returns < 0        ? refuse(why, returns, "no log here")
				 : returns;
}

static int
fake_notify(void *self, struct aqb_slice notice)
{
	(void)self;
	(void)notice;
	return returns;
}

static int
fake_share(void *self, const char *key, struct aqb_slice value, uint32_t flags)
{
	(void)self;
	(void)key;
	(void)value;
	(void)flags;
	return returns;
}

static struct aqb_storage_ops ops;

static void
hear(const char *what, const char *a, const char *b)
{
	snprintf(heard, sizeof heard, "%s %s %s", what, a, b);
}

static void
on_message(void *arg, const struct address *where, struct aqb_msg *msg,
    const struct aqb_position *pos, uint32_t flags)
{
	(void)arg;
	(void)msg;
	(void)pos;
	hear((flags & AQB_FOLLOW_REPEATED) != 0 ? "repeated" : "message",
	    where->room, where->channel);
}

static void
on_forgotten(void *arg, const struct address *where)
{
	(void)arg;
	hear("forgotten", where->room, where->channel);
}

static void
on_notice(void *arg, const char *node, struct aqb_slice notice)
{
	(void)arg;
	(void)notice;
	hear("notice", node, "");
}

static void
on_record(void *arg, const char *node, const char *key, struct aqb_slice value)
{
	(void)arg;
	(void)value;
	hear("record", node, key);
}

static void
on_node_gone(void *arg, const char *node)
{
	(void)arg;
	hear("gone", node, "");
}

static void
on_sync(void *arg)
{
	(void)arg;
	hear("sync", "", "");
}

static const struct store_follower us = {
	.node = "here",
	.message = on_message,
	.forgotten = on_forgotten,
	.notice = on_notice,
	.record = on_record,
	.node_gone = on_node_gone,
	.syncing = on_sync,
	.synced = on_sync,
	.share_again = on_sync,
};

static void
setup(void)
{
	host_setup();
	returns = AQB_OK;
	follower = NULL;
	heard[0] = '\0';
	ops = (struct aqb_storage_ops){
		.size = sizeof ops,
		.caps = AQB_STORE_SHARED,
		.follow = fake_follow,
		.notify = fake_notify,
		.share = fake_share,
	};
	store = store_new(desk, &(struct store_times){ 100, 100, 100 });
	store_bind(store, &ops, NULL, "fake");
}

static void
teardown(void)
{
	store_free(&store);
	host_teardown();
}

static void
follow(void)
{
	ck_assert_int_eq(store_follow(store, &us, NULL), AQB_OK);
}

static struct aqb_slice
text(const char *t)
{
	return (struct aqb_slice){ t, strlen(t) };
}

/* It was heard, once; or nothing was, and that was counted. */
static void
was_heard(const char *what)
{
	ck_assert_str_eq(heard, what);
	heard[0] = '\0';
}

static void
was_dropped(uint64_t garbage)
{
	ck_assert_str_eq(heard, "");
	ck_assert_uint_eq(metric_value(GARBAGE), garbage);
}

START_TEST(who_cannot_be_shared_cannot_be_followed)
{
	struct aqb_why why;

	ops.caps = 0;
	ck_assert_int_eq(store_follow(store, &us, &why), AQB_EINVAL);
	ck_assert_str_eq(why.text,
	    "storage.cluster: several brokers cannot share fake");
	ops.caps = AQB_STORE_SHARED;
	ops.size = offsetof(struct aqb_storage_ops, share);
	ck_assert_int_eq(store_follow(store, &us, &why), AQB_EINVAL);
	ck_assert_ptr_null(follower);
}
END_TEST

START_TEST(a_refusal_is_the_backends_sentence)
{
	struct aqb_why why;

	returns = AQB_EUNAVAIL;
	ck_assert_int_eq(store_follow(store, &us, &why), AQB_EUNAVAIL);
	ck_assert_str_eq(why.text, "no log here");
	returns = 7;
	ck_assert_int_eq(store_follow(store, &us, &why), AQB_EUNCERTAIN);
}
END_TEST

START_TEST(what_is_right_is_handed_on)
{
	const struct aqb_position pos = { .seq = 1, .epoch = "e" };

	follow();
	ck_assert_str_eq(follower->node, "here");
	follower->message(follower->arg, "c:d", NULL, &pos,
	    AQB_FOLLOW_REPEATED);
	was_heard("repeated c d");
	follower->forgotten(follower->arg, "c:d");
	was_heard("forgotten c d");
	follower->notice(follower->arg, "there", text("x"));
	was_heard("notice there ");
	follower->record(follower->arg, "", "k:1", text(""));
	was_heard("record  k:1");
	follower->node_gone(follower->arg, "there");
	was_heard("gone there ");
	follower->syncing(follower->arg);
	was_heard("sync  ");
	follower->synced(follower->arg);
	was_heard("sync  ");
	follower->share_again(follower->arg);
	was_heard("sync  ");
	ck_assert_uint_eq(metric_value(GARBAGE), 0);
}
END_TEST

START_TEST(what_is_wrong_is_counted_and_dropped)
{
	const struct aqb_position nowhere = { .seq = 0, .epoch = "e" };
	struct aqb_position no_end = { .seq = 1 };
	static char long_key[300];

	memset(no_end.epoch, 'e', sizeof no_end.epoch);
	memset(long_key, 'k', sizeof long_key - 1);
	follow();
	follower->message(follower->arg, "c:d", NULL, &nowhere,
	    AQB_FOLLOW_REPEATED);
	was_dropped(1);
	follower->message(follower->arg, "c:d", NULL, &no_end,
	    AQB_FOLLOW_REPEATED);
	was_dropped(2);
	follower->forgotten(follower->arg, "c:d:e");
	was_dropped(3);
	follower->forgotten(follower->arg, NULL);
	was_dropped(4);
	follower->notice(follower->arg, "a b", text("x"));
	was_dropped(5);
	follower->notice(follower->arg, "there", text(""));
	was_dropped(6);
	follower->notice(follower->arg, "there", text("\xff"));
	was_dropped(7);
	follower->record(follower->arg, "there", "a b", text("x"));
	was_dropped(8);
	follower->record(follower->arg, "there", long_key, text("x"));
	was_dropped(9);
	follower->record(follower->arg, "there", "k", text("\xff"));
	was_dropped(10);
	follower->node_gone(follower->arg, "");
	was_dropped(11);
}
END_TEST

START_TEST(a_message_of_another_channel_or_position_is_dropped)
{
	const struct aqb_position one = { .seq = 1, .epoch = "e" };
	const struct aqb_position two = { .seq = 2, .epoch = "e" };
	const struct aqb_msg_view v = {
		.size = sizeof v,
		.id = { "i", 1 },
		.type = { "event", 5 },
		.room = { "c", 1 },
		.channel = { "d", 1 },
		.from = { "f", 1 },
		.payload = { "1", 1 },
	};
	struct aqb_msg *msg = msg_make(&v, &one);

	follow();
	follower->message(follower->arg, "c:e", msg, &one, 0);
	was_dropped(1);
	follower->message(follower->arg, "c:d", msg, &two, 0);
	was_dropped(2);
	follower->message(follower->arg, "c:d", NULL, &one, 0);
	was_dropped(3);
	follower->message(follower->arg, "c:d", msg, &one, 0);
	was_heard("message c d");
	msg_unref(&msg);
}
END_TEST

START_TEST(a_backend_that_has_stopped_is_not_heard)
{
	follow();
	store_unbind(store);
	follower->forgotten(follower->arg, "c:d");
	follower->notice(follower->arg, "there", text("x"));
	follower->node_gone(follower->arg, "");
	was_dropped(0);
	ck_assert_int_eq(store_notify(store, text("x")), AQB_EUNAVAIL);
	ck_assert_int_eq(store_share(store, "k", text("x"), 0), AQB_EUNAVAIL);
}
END_TEST

START_TEST(what_is_said_and_shared_is_of_a_size)
{
	const struct aqb_slice much = { "", (size_t)STORE_NOTICE_MAX + 1 };

	follow();
	ck_assert_int_eq(store_notify(store, text("x")), AQB_OK);
	ck_assert_int_eq(store_notify(store, text("")), AQB_EINVAL);
	ck_assert_int_eq(store_notify(store, much), AQB_EINVAL);
	ck_assert_int_eq(store_share(store, "k", text("x"), 0), AQB_OK);
	ck_assert_int_eq(store_share(store, "", text("x"), 0), AQB_EINVAL);
	ck_assert_int_eq(store_share(store, "k", much, 0), AQB_EINVAL);
	returns = AQB_EUNAVAIL;
	ck_assert_int_eq(store_notify(store, text("x")), AQB_EUNAVAIL);
	returns = 3;
	ck_assert_int_eq(store_notify(store, text("x")), AQB_EUNCERTAIN);
	was_dropped(1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("store-follow");
	TCase *t = tcase_create("follow");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, who_cannot_be_shared_cannot_be_followed);
	tcase_add_test(t, a_refusal_is_the_backends_sentence);
	tcase_add_test(t, what_is_right_is_handed_on);
	tcase_add_test(t, what_is_wrong_is_counted_and_dropped);
	tcase_add_test(t, a_message_of_another_channel_or_position_is_dropped);
	tcase_add_test(t, a_backend_that_has_stopped_is_not_heard);
	tcase_add_test(t, what_is_said_and_shared_is_of_a_size);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

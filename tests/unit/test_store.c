/* SPDX-License-Identifier: Apache-2.0 */
#include "host_fake.h"

#include "host/store.h"
#include "host/telemetry.h"

#define DEADLINE_MS 30
#define GARBAGE "arqonbus_garbage_answers_total"

static struct store *store;
static struct aqb_msg *msg;
static const struct aqb_limits limits = {
	.size = sizeof limits,
	.history_size = 10,
};

/* The backend does what it was told to. */
static struct backend {
	int returns;
	struct aqb_position pos;
	uint64_t first;
	aqb_ticket ticket;    /* of the last question */
	aqb_ticket cancelled; /* the last */
	int accepts;
	unsigned probes;
	char key[32]; /* of the last keep */
} backend;

static struct told {
	bool told;
	enum aqb_err err;
	struct aqb_position pos;
	char value[16];
} told;

static aqb_store_append_f fake_append;
static aqb_store_tail_f fake_tail;
static aqb_store_history_f fake_history;
static aqb_store_forget_f fake_forget;
static aqb_store_usage_f fake_usage;
static aqb_store_cancel_f fake_cancel;

static int
fake_append(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_limits *l, struct aqb_msg *m, struct aqb_position *posp)
{
	struct backend *b = self;

	ck_assert_str_eq(stream, "science:explore");
	ck_assert_uint_eq(l->history_size, 10);
	ck_assert_ptr_eq(m, msg);
	b->ticket = ticket;
	*posp = b->pos;
	return b->returns;
}

static int
fake_tail(void *self, aqb_ticket ticket, const char *stream,
    struct aqb_answer *answerp)
{
	struct backend *b = self;

	ck_assert_str_eq(stream, "science:explore");
	b->ticket = ticket;
	answerp->pos = b->pos;
	answerp->first = b->first;
	return b->returns;
}

static void
fake_history(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_range *range)
{
	struct backend *b = self;

	(void)stream;
	(void)range;
	b->ticket = ticket;
}

static void
fake_forget(void *self, aqb_ticket ticket, const char *stream)
{
	struct backend *b = self;

	(void)stream;
	b->ticket = ticket;
}

static void
fake_usage(void *self, uint64_t *messagesp, uint64_t *bytesp)
{
	(void)self;
	*messagesp = 3;
	*bytesp = 300;
}

static void
fake_cancel(void *self, aqb_ticket ticket)
{
	struct backend *b = self;

	b->cancelled = ticket;
}

static int
fake_accept(void *self, const struct aqb_limits *l, struct aqb_why *why)
{
	(void)l;
	(void)why;
	return ((struct backend *)self)->accepts;
}

static void
fake_resolve(void *self, aqb_ticket ticket, const char *stream,
    const struct aqb_position *since)
{
	struct backend *b = self;

	ck_assert_str_eq(stream, "science:explore");
	ck_assert_str_eq(since->epoch, "old");
	b->ticket = ticket;
}

static void
fake_probe(void *self, aqb_ticket ticket)
{
	struct backend *b = self;

	b->probes++;
	b->ticket = ticket;
}

static void
fake_keep(void *self, aqb_ticket ticket, const char *key,
    struct aqb_slice value)
{
	struct backend *b = self;

	(void)value;
	snprintf(b->key, sizeof b->key, "%s", key);
	b->ticket = ticket;
}

/* One that can be away, and says so when it is probed. */
static const struct aqb_storage_ops far_ops = {
	.size = sizeof far_ops,
	.stored = AQB_STORED_REDIS,
	.append = fake_append,
	.tail = fake_tail,
	.history = fake_history,
	.forget = fake_forget,
	.usage = fake_usage,
	.cancel = fake_cancel,
	.accept = fake_accept,
	.resolve = fake_resolve,
	.probe = fake_probe,
	.keep = fake_keep,
};

static const struct aqb_storage_ops ops = {
	.size = sizeof ops,
	.caps = AQB_STORE_DURABLE,
	.stored = AQB_STORED_MEMORY,
	.append = fake_append,
	.tail = fake_tail,
	.history = fake_history,
	.forget = fake_forget,
	.usage = fake_usage,
	.cancel = fake_cancel,
};

static void
on_done(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct told *t = arg;

	ck_assert(!t->told);
	t->told = true;
	t->err = err;
	if (answer != NULL) {
		t->pos = answer->pos;
		snprintf(t->value, sizeof t->value, "%.*s",
		    (int)answer->value.len,
		    answer->value.len == 0 ? "" : answer->value.data);
	}
}

static void
setup(void)
{
	host_setup();
	store = store_new(desk,
	    &(struct store_times){ DEADLINE_MS, DEADLINE_MS, DEADLINE_MS });
	store_bind(store, &ops, &backend, "fake");
	msg = make_msg("{}");
	backend = (struct backend){
		.returns = AQB_DONE,
		.pos = { .seq = 5, .epoch = "e1" },
		.first = 1,
	};
	memset(&told, 0, sizeof told);
}

static void
teardown(void)
{
	msg_unref(&msg);
	store_free(&store);
	host_teardown();
}

static int
append(struct aqb_position *posp)
{
	return store_append(store, "science:explore", &limits, msg, posp,
	    on_done, &told);
}

static int
tail(struct aqb_answer *answerp)
{
	return store_tail(store, "science:explore", answerp, on_done, &told);
}

static void
history(void)
{
	const struct aqb_range range = { .size = sizeof range, .limit = 10 };

	store_history(store, "science:explore", &range, on_done, &told);
}

/* The backend answers its last question. */
static void
answer(enum aqb_err err, uint64_t first, uint64_t seq, const char *epoch)
{
	struct aqb_answer a = {
		.size = sizeof a,
		.stored = AQB_STORED_MEMORY,
		.first = first,
		.pos.seq = seq,
	};

	strcpy(a.pos.epoch, epoch);
	desk_answer(desk, backend.ticket, err, &a);
	turn_until(&told.told);
}

START_TEST(an_append_that_is_done_at_once_leaves_no_question)
{
	struct aqb_position pos;

	ck_assert_int_eq(append(&pos), AQB_DONE);
	ck_assert_uint_eq(pos.seq, 5);
	ck_assert_str_eq(pos.epoch, "e1");
	ck_assert_uint_eq(desk_open(desk), 0);
	turn_once();
	ck_assert(!told.told);
}
END_TEST

START_TEST(a_pending_append_is_told_its_position_later)
{
	struct aqb_position pos;

	backend.returns = AQB_PENDING;
	ck_assert_int_eq(append(&pos), AQB_PENDING);
	answer(AQB_OK, 0, 6, "e1");
	ck_assert_int_eq(told.err, AQB_OK);
	ck_assert_uint_eq(told.pos.seq, 6);
}
END_TEST

START_TEST(an_early_append_has_its_position_and_is_told_when_it_is_stored)
{
	struct aqb_position pos;

	backend.returns = AQB_EARLY;
	ck_assert_int_eq(append(&pos), AQB_EARLY);
	ck_assert_uint_eq(pos.seq, 5);
	ck_assert_uint_eq(desk_open(desk), 1);
	answer(AQB_OK, 0, 5, "e1");
	ck_assert_int_eq(told.err, AQB_OK);
}
END_TEST

START_TEST(a_pending_append_ends_at_the_deadline_and_is_cancelled)
{
	struct aqb_position pos;

	backend.returns = AQB_PENDING;
	append(&pos);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_ETIMEDOUT);
	ck_assert_uint_ne(backend.ticket, 0);
	ck_assert_uint_eq(backend.cancelled, backend.ticket);
}
END_TEST

static bool past;

static void
on_past(void *arg, enum aqb_err err, const struct aqb_answer *a)
{
	(void)arg;
	(void)err;
	(void)a;
	past = true;
}

START_TEST(an_early_append_may_be_stored_as_late_as_it_likes)
{
	struct aqb_position pos;

	backend.returns = AQB_EARLY;
	append(&pos);
	past = false;
	desk_ask(desk, (uint64_t)DEADLINE_MS * 3, on_past, NULL);
	turn_until(&past);
	ck_assert(!told.told);
	answer(AQB_OK, 0, 5, "e1");
	ck_assert_int_eq(told.err, AQB_OK);
}
END_TEST

START_TEST(a_refusal_is_passed_on)
{
	struct aqb_position pos;

	backend.returns = AQB_EFULL;
	ck_assert_int_eq(append(&pos), AQB_EFULL);
	ck_assert_uint_eq(desk_open(desk), 0);
	ck_assert_str_eq(store_state(store), "ok");
}
END_TEST

static const struct nonsense {
	const char *what;
	int returns;
	uint64_t seq;
	char fill; /* of the epoch; 0: a proper one */
} nonsense[] = {
	{ "an unknown answer", 17, 5, 0 },
	{ "no answer", 0, 5, 0 },
	{ "an unknown error", -99, 5, 0 },
	{ "no seq", AQB_DONE, 0, 0 },
	{ "no seq, early", AQB_EARLY, 0, 0 },
	{ "an epoch without end", AQB_DONE, 5, 'x' },
	{ "an epoch without end, early", AQB_EARLY, 5, 'x' },
};

START_TEST(p8_an_append_that_makes_no_sense_is_uncertain)
{
	const struct nonsense *n = &nonsense[_i];
	struct aqb_position pos;

	backend.returns = n->returns;
	backend.pos.seq = n->seq;
	if (n->fill != 0) {
		memset(backend.pos.epoch, n->fill, sizeof backend.pos.epoch);
	}
	ck_assert_msg(append(&pos) == AQB_EUNCERTAIN, "%s", n->what);
	ck_assert_uint_eq(desk_open(desk), 0);
	ck_assert_uint_eq(metric_value(GARBAGE), 1);
	ck_assert_msg(was_logged("plugin=fake"), "%s", buf_text(&logged));
	turn_once();
	ck_assert(!told.told);
}
END_TEST

START_TEST(p8_a_late_position_that_makes_no_sense_is_uncertain)
{
	struct aqb_position pos;

	backend.returns = AQB_PENDING;
	append(&pos);
	answer(AQB_OK, 0, 0, "e1");
	ck_assert_int_eq(told.err, AQB_EUNCERTAIN);
	ck_assert_uint_eq(metric_value(GARBAGE), 1);
}
END_TEST

START_TEST(p8_a_tail_that_makes_no_sense_is_uncertain)
{
	struct aqb_answer a;

	backend.first = 9; /* after last + 1 */
	ck_assert_int_eq(tail(&a), AQB_EUNCERTAIN);
	backend.first = 1;
	backend.pos.epoch[0] = '\0';
	ck_assert_int_eq(tail(&a), AQB_EUNCERTAIN);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(p8_a_history_that_makes_no_sense_is_uncertain)
{
	history();
	answer(AQB_OK, 9, 5, "e1");
	ck_assert_int_eq(told.err, AQB_EUNCERTAIN);
}
END_TEST

START_TEST(a_backend_that_answers_in_both_ways_is_believed_once)
{
	struct aqb_position pos;

	ck_assert_int_eq(append(&pos), AQB_DONE);
	desk_answer(desk, backend.ticket, AQB_OK, NULL);
	turn_once();
	ck_assert(!told.told);
	ck_assert_uint_eq(metric_value("arqonbus_stray_answers_total"), 1);
}
END_TEST

START_TEST(the_tail_of_an_empty_stream_has_an_epoch)
{
	struct aqb_answer a;

	backend.pos.seq = 0;
	ck_assert_int_eq(tail(&a), AQB_DONE);
	ck_assert_str_eq(a.pos.epoch, "e1");
}
END_TEST

START_TEST(a_history_is_always_told_later)
{
	history();
	ck_assert(!told.told);
	answer(AQB_OK, 1, 5, "e1");
	ck_assert_int_eq(told.err, AQB_OK);
}
END_TEST

START_TEST(the_history_of_a_stream_never_begun_is_empty)
{
	history();
	answer(AQB_OK, 0, 0, "");
	ck_assert_int_eq(told.err, AQB_OK);
}
END_TEST

START_TEST(what_is_forgotten_need_not_be_told)
{
	store_forget(store, "science:explore", NULL, NULL);
	ck_assert_uint_eq(desk_open(desk), 1);
	desk_answer(desk, backend.ticket, AQB_OK, NULL);
	turn_once();
	turn_once();
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

START_TEST(without_a_backend_nothing_is_available)
{
	struct aqb_position pos;
	struct aqb_answer a;
	uint64_t messages, bytes;

	store_unbind(store);
	ck_assert_int_eq(append(&pos), AQB_EUNAVAIL);
	ck_assert_int_eq(tail(&a), AQB_EUNAVAIL);
	history();
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_EUNAVAIL);
	store_usage(store, &messages, &bytes);
	ck_assert_uint_eq(messages + bytes, 0);
	ck_assert_str_eq(store_name(store), "none");
	ck_assert_str_eq(store_state(store), "failed");
	ck_assert_uint_eq(store_caps(store), 0);
	ck_assert_int_eq(store_class(store, &limits), AQB_STORED_NONE);
}
END_TEST

START_TEST(a_backend_that_stops_with_questions_open_is_not_called_again)
{
	struct aqb_position pos;

	backend.returns = AQB_PENDING;
	append(&pos);
	store_unbind(store);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_ETIMEDOUT);
	ck_assert_uint_eq(backend.cancelled, 0);
	ck_assert_str_eq(store_state(store), "failed");
}
END_TEST

START_TEST(what_is_reached_depends_on_the_channel)
{
	const struct aqb_limits none = { .size = sizeof none };

	ck_assert_int_eq(store_class(store, &limits), AQB_STORED_MEMORY);
	ck_assert_int_eq(store_class(store, &none), AQB_STORED_NONE);
	ck_assert_uint_eq(store_caps(store), AQB_STORE_DURABLE);
}
END_TEST

START_TEST(a_backend_that_is_away_degrades_health_until_it_is_back)
{
	struct aqb_position pos;
	char text[256];

	ck_assert_str_eq(store_state(store), "ok");
	backend.returns = AQB_EUNAVAIL;
	append(&pos);
	append(&pos);
	ck_assert_str_eq(store_state(store), "degraded");
	ck_assert_int_eq(health_text(false, text, sizeof text), 200);
	ck_assert(strstr(text, "\"storage\":\"degraded\"") != NULL);
	ck_assert_uint_eq(times(buf_text(&logged), "storage degraded"), 1);
	backend.returns = AQB_DONE;
	append(&pos);
	ck_assert_str_eq(store_state(store), "ok");
	ck_assert_uint_eq(times(buf_text(&logged), "storage recovered"), 1);
	health_text(false, text, sizeof text);
	ck_assert(strstr(text, "\"status\":\"ok\"") != NULL);
}
END_TEST

static void
go_far(void)
{
	store_unbind(store);
	store_bind(store, &far_ops, &backend, "far");
}

START_TEST(a_probe_alone_says_that_the_storage_is_back)
{
	struct aqb_position pos;

	go_far();
	backend.returns = AQB_EUNAVAIL;
	append(&pos);
	ck_assert_str_eq(store_state(store), "degraded");
	backend.returns = AQB_DONE;
	append(&pos); /* it may have remembered */
	ck_assert_str_eq(store_state(store), "degraded");
	store_probe(store);
	store_probe(store); /* one at a time */
	ck_assert_uint_eq(backend.probes, 1);
	desk_answer(desk, backend.ticket, AQB_OK, NULL);
	turn_once();
	ck_assert_str_eq(store_state(store), "ok");
}
END_TEST

START_TEST(a_probe_that_fails_or_is_silent_degrades)
{
	go_far();
	store_probe(store);
	desk_answer(desk, backend.ticket, AQB_EUNAVAIL, NULL);
	turn_once();
	ck_assert_str_eq(store_state(store), "degraded");
	store_probe(store);
	desk_answer(desk, backend.ticket, AQB_OK, NULL);
	turn_once();
	ck_assert_str_eq(store_state(store), "ok");
	store_probe(store);
	history(); /* ends at its deadline, which is the same */
	turn_until(&told.told);
	ck_assert_str_eq(store_state(store), "degraded");
}
END_TEST

START_TEST(a_backend_without_a_probe_is_not_asked)
{
	store_probe(store);
	ck_assert_uint_eq(backend.probes, 0);
	ck_assert_uint_eq(desk_open(desk), 0);
}
END_TEST

static const struct aqb_position old = { .seq = 3, .epoch = "old" };

START_TEST(a_position_of_another_epoch_may_be_known)
{
	go_far();
	store_resolve(store, "science:explore", &old, on_done, &told);
	answer(AQB_OK, 1, 3, "e2");
	ck_assert_int_eq(told.err, AQB_OK);
	ck_assert_uint_eq(told.pos.seq, 3);
	ck_assert_str_eq(told.pos.epoch, "e2");
}
END_TEST

START_TEST(a_backend_that_cannot_resolve_knows_none)
{
	store_resolve(store, "science:explore", &old, on_done, &told);
	ck_assert(!told.told);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_ENOENT);
	ck_assert_str_eq(store_state(store), "ok");
}
END_TEST

START_TEST(p8_a_resolved_position_that_makes_no_sense_is_uncertain)
{
	go_far();
	store_resolve(store, "science:explore", &old, on_done, &told);
	answer(AQB_OK, 1, 3, "");
	ck_assert_int_eq(told.err, AQB_EUNCERTAIN);
	ck_assert_uint_eq(metric_value(GARBAGE), 1);
}
END_TEST

START_TEST(only_a_backend_that_can_promises_more_than_stored)
{
	struct aqb_limits safe = limits;
	struct aqb_why why = { 0 };

	ck_assert_int_eq(store_accept(store, &safe, &why), AQB_OK);
	safe.durability = AQB_DURABLE_EPHEMERAL;
	ck_assert_int_eq(store_accept(store, &safe, &why), AQB_OK);
	safe.durability = AQB_DURABLE_STORED;
	ck_assert_int_eq(store_accept(store, &safe, &why), AQB_OK);
	safe.durability = AQB_DURABLE_FSYNC;
	ck_assert_int_eq(store_accept(store, &safe, &why), AQB_EINVAL);
	ck_assert_str_eq(why.text, "durability: fake keeps nothing that safe");
	go_far();
	ck_assert_int_eq(store_accept(store, &safe, &why), AQB_OK);
	backend.accepts = AQB_EINVAL;
	ck_assert_int_eq(store_accept(store, &safe, &why), AQB_EINVAL);
}
END_TEST

START_TEST(a_small_value_is_kept_by_who_can)
{
	const struct aqb_slice value = { "secret", 6 };
	struct aqb_answer a = { .size = sizeof a, .value = { "other", 5 } };

	ck_assert(!store_keep(store, "key", value, on_done, &told));
	go_far();
	ck_assert(store_keep(store, "key", value, on_done, &told));
	ck_assert_str_eq(backend.key, "key");
	desk_answer(desk, backend.ticket, AQB_OK, &a);
	turn_until(&told.told);
	ck_assert_int_eq(told.err, AQB_OK);
	ck_assert_str_eq(told.value, "other");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("store");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_append_that_is_done_at_once_leaves_no_question);
	tcase_add_test(t, a_pending_append_is_told_its_position_later);
	tcase_add_test(t,
	    an_early_append_has_its_position_and_is_told_when_it_is_stored);
	tcase_add_test(t,
	    a_pending_append_ends_at_the_deadline_and_is_cancelled);
	tcase_add_test(t, an_early_append_may_be_stored_as_late_as_it_likes);
	tcase_add_test(t, a_refusal_is_passed_on);
	tcase_add_loop_test(t, p8_an_append_that_makes_no_sense_is_uncertain, 0,
	    sizeof nonsense / sizeof nonsense[0]);
	tcase_add_test(t, p8_a_late_position_that_makes_no_sense_is_uncertain);
	tcase_add_test(t, p8_a_tail_that_makes_no_sense_is_uncertain);
	tcase_add_test(t, p8_a_history_that_makes_no_sense_is_uncertain);
	tcase_add_test(t, a_backend_that_answers_in_both_ways_is_believed_once);
	tcase_add_test(t, the_tail_of_an_empty_stream_has_an_epoch);
	tcase_add_test(t, a_history_is_always_told_later);
	tcase_add_test(t, the_history_of_a_stream_never_begun_is_empty);
	tcase_add_test(t, what_is_forgotten_need_not_be_told);
	tcase_add_test(t, without_a_backend_nothing_is_available);
	tcase_add_test(t,
	    a_backend_that_stops_with_questions_open_is_not_called_again);
	tcase_add_test(t, what_is_reached_depends_on_the_channel);
	tcase_add_test(t,
	    a_backend_that_is_away_degrades_health_until_it_is_back);
	tcase_add_test(t, a_probe_alone_says_that_the_storage_is_back);
	tcase_add_test(t, a_probe_that_fails_or_is_silent_degrades);
	tcase_add_test(t, a_backend_without_a_probe_is_not_asked);
	tcase_add_test(t, a_position_of_another_epoch_may_be_known);
	tcase_add_test(t, a_backend_that_cannot_resolve_knows_none);
	tcase_add_test(t,
	    p8_a_resolved_position_that_makes_no_sense_is_uncertain);
	tcase_add_test(t, only_a_backend_that_can_promises_more_than_stored);
	tcase_add_test(t, a_small_value_is_kept_by_who_can);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

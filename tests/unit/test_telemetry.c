/* SPDX-License-Identifier: Apache-2.0 */
#include "host_fake.h"

#include <json-c/json.h>

#include "host/telemetry.h"

/* What one sink heard. */
struct sink {
	unsigned events;
	uint64_t seq;
	uint32_t severity;
	int64_t timestamp;
	char json[1024];
};

static struct sink one, two;

static aqb_telemetry_emit_f hear;

static void
hear(void *self, const struct aqb_event *event)
{
	struct sink *s = self;

	ck_assert_uint_eq(event->size, sizeof *event);
	ck_assert_uint_lt(event->json.len, sizeof s->json);
	memcpy(s->json, event->json.data, event->json.len);
	s->json[event->json.len] = '\0';
	s->events++;
	s->seq = event->seq;
	s->severity = event->severity;
	s->timestamp = event->timestamp;
}

static const struct aqb_telemetry_ops ops = {
	.size = sizeof ops,
	.emit = hear,
};

static const struct telemetry_fields nothing;

static void
setup(void)
{
	host_setup();
	memset(&one, 0, sizeof one);
	memset(&two, 0, sizeof two);
	telemetry_set_node("n1");
	telemetry_add_sink(&ops, &one);
}

static void
teardown(void)
{
	telemetry_remove_sink(&ops, &one);
	telemetry_remove_sink(&ops, &two);
	ck_assert(!telemetry_wanted());
	host_teardown();
}

/* A field of the last event as JSON text; "" when it is not there. */
static const char *
field(const char *key)
{
	static char text[256];
	struct json_object *event = json_tokener_parse(one.json);
	struct json_object *value = NULL;

	ck_assert_msg(event != NULL, "no JSON: %s", one.json);
	text[0] = '\0';
	if (json_object_object_get_ex(event, key, &value)) {
		snprintf(text, sizeof text, "%s",
		    json_object_to_json_string_ext(value,
			JSON_C_TO_STRING_PLAIN |
			    JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	json_object_put(event);
	return text;
}

START_TEST(an_event_has_every_field_of_the_protocol)
{
	char when[CLOCK_TEXT_SIZE + 2];
	const struct telemetry_fields f = {
		.client_id = "c1",
		.room = "science",
		.channel = "explore",
		.message_id = "m1",
		.metadata = "{\"a\":1}",
	};

	telemetry_emit("message_published", AQB_DEBUG, &f);
	ck_assert_str_eq(field("event_type"), "\"message_published\"");
	ck_assert_str_eq(field("severity"), "\"debug\"");
	ck_assert_str_eq(field("node"), "\"n1\"");
	ck_assert_str_eq(field("client_id"), "\"c1\"");
	ck_assert_str_eq(field("room"), "\"science\"");
	ck_assert_str_eq(field("channel"), "\"explore\"");
	ck_assert_str_eq(field("message_id"), "\"m1\"");
	ck_assert_str_eq(field("metadata"), "{\"a\":1}");
	ck_assert_uint_eq(strtoull(field("seq"), NULL, 10), one.seq);
	clock_format(one.timestamp, when + 1);
	when[0] = '"';
	strcat(when, "\"");
	ck_assert_str_eq(field("timestamp"), when);
}
END_TEST

START_TEST(what_does_not_apply_is_left_out)
{
	telemetry_emit("server_started", AQB_INFO, &nothing);
	ck_assert_str_eq(field("client_id"), "");
	ck_assert_str_eq(field("room"), "");
	ck_assert_str_eq(field("channel"), "");
	ck_assert_str_eq(field("message_id"), "");
	ck_assert_str_eq(field("metadata"), "{}");
	ck_assert_uint_eq(one.severity, AQB_INFO);
}
END_TEST

START_TEST(events_are_numbered_without_holes_also_when_nobody_listens)
{
	uint64_t before;

	telemetry_emit("a", AQB_INFO, &nothing);
	before = one.seq;
	telemetry_emit("b", AQB_INFO, &nothing);
	ck_assert_uint_eq(one.seq, before + 1);
	telemetry_remove_sink(&ops, &one);
	telemetry_emit("c", AQB_INFO, &nothing);
	telemetry_add_sink(&ops, &one);
	telemetry_emit("d", AQB_INFO, &nothing);
	ck_assert_uint_eq(one.seq, before + 3);
	ck_assert_uint_eq(one.events, 3);
	ck_assert_uint_eq(metric_value("arqonbus_telemetry_emitted_total"), 4);
}
END_TEST

START_TEST(every_sink_hears_the_same)
{
	telemetry_add_sink(&ops, &two);
	telemetry_emit("a", AQB_INFO, &nothing);
	ck_assert_uint_eq(two.events, 1);
	ck_assert_str_eq(one.json, two.json);
	telemetry_remove_sink(&ops, &one);
	ck_assert(telemetry_wanted());
	telemetry_emit("b", AQB_INFO, &nothing);
	ck_assert_uint_eq(one.events, 1);
	ck_assert_uint_eq(two.events, 2);
}
END_TEST

START_TEST(a_clients_event_is_stamped_with_its_id_and_cannot_break_the_json)
{
	static const char payload[] = "{\"tool\":\"x\"}";

	telemetry_emit_from_client("a\",\"node\":\"evil\n", "c7",
	    (struct aqb_slice){ payload, sizeof payload - 1 });
	ck_assert_str_eq(field("event_type"),
	    "\"a\\\",\\\"node\\\":\\\"evil\\n\"");
	ck_assert_str_eq(field("node"), "\"n1\"");
	ck_assert_str_eq(field("client_id"), "\"c7\"");
	ck_assert_str_eq(field("metadata"), "{\"tool\":\"x\"}");
}
END_TEST

START_TEST(a_clients_event_without_payload_is_whole)
{
	telemetry_emit_from_client("a", "c7", (struct aqb_slice){ NULL, 0 });
	ck_assert_str_eq(field("metadata"), "{}");
}
END_TEST

START_TEST(a_ninth_sink_is_refused_in_the_log)
{
	for (int i = 0; i < 7; i++) {
		telemetry_add_sink(&ops, &two);
	}
	ck_assert(!was_logged("too many telemetry sinks"));
	telemetry_add_sink(&ops, &two);
	ck_assert(was_logged("too many telemetry sinks"));
	for (int i = 0; i < 7; i++) {
		telemetry_remove_sink(&ops, &two);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("telemetry");
	TCase *t = tcase_create("telemetry");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_event_has_every_field_of_the_protocol);
	tcase_add_test(t, what_does_not_apply_is_left_out);
	tcase_add_test(t,
	    events_are_numbered_without_holes_also_when_nobody_listens);
	tcase_add_test(t, every_sink_hears_the_same);
	tcase_add_test(t,
	    a_clients_event_is_stamped_with_its_id_and_cannot_break_the_json);
	tcase_add_test(t, a_clients_event_without_payload_is_whole);
	tcase_add_test(t, a_ninth_sink_is_refused_in_the_log);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

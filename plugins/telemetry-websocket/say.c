/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "ring.h"

/* RFC 3339 in UTC with milliseconds. */
struct stamp {
	char text[32];
};

static struct stamp
now(void)
{
	struct stamp stamp;
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(stamp.text, sizeof stamp.text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp.text + n, sizeof stamp.text - n, ".%03uZ",
	    (unsigned)(ts.tv_nsec / 1000000) % 1000);
	return stamp;
}

unsigned char *
reply_text(struct reply *reply)
{
	return reply->bytes + RING_HEADROOM;
}

static struct reply *reply_new(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

static struct reply *
reply_new(const char *fmt, ...)
{
	struct reply *reply;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	reply = malloc(sizeof *reply + RING_HEADROOM + (size_t)len + 1);
	if (reply == NULL) {
		return NULL;
	}
	reply->len = (size_t)len;
	va_start(ap, fmt);
	vsnprintf((char *)reply_text(reply), (size_t)len + 1, fmt, ap);
	va_end(ap);
	return reply;
}

struct reply *
say_hello(uint64_t last, const char *node)
{
	return reply_new("{\"event_type\":\"telemetry_connected\","
			 "\"timestamp\":\"%s\",\"seq\":%" PRIu64 "%s%s}",
	    now().text, last,
	    node == NULL ? "" : ",\"node\":", node == NULL ? "" : node);
}

struct reply *
say_pong(void)
{
	return reply_new("{\"event_type\":\"pong\",\"timestamp\":\"%s\"}",
	    now().text);
}

struct reply *
say_error(const char *code, const char *message)
{
	struct json_object *text = json_object_new_string(message);
	struct reply *reply;

	if (text == NULL) {
		return NULL;
	}
	reply = reply_new("{\"event_type\":\"error\",\"code\":\"%s\","
			  "\"message\":%s}",
	    code, json_object_to_json_string_ext(text, JSON_C_TO_STRING_PLAIN));
	json_object_put(text);
	return reply;
}

size_t
say_gap(char text[SAY_GAP_SIZE], uint64_t from, uint64_t to)
{
	return (size_t)snprintf(text, SAY_GAP_SIZE,
	    "{\"event_type\":\"gap\",\"from\":%" PRIu64 ",\"to\":%" PRIu64 "}",
	    from, to);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../common/render.h"
#include "builtin.h"

static aqb_command_f history;

const struct aqb_command cmd_history = {
	.size = sizeof cmd_history,
	.name = "history",
	.params = "room:n channel?:n limit:u(1..1000)=50 since?:t until?:t "
		  "after?:u before?:u client_id?:s(1..64)",
	.summary = "what was said in a channel, or in a room",
	.exec = history,
};

/* One question under way. */
struct reading {
	const struct aqb_host *host;
	bool of_room;
	bool last;
};

/* The broker has checked that it is a timestamp: date, time, maybe a
 * fraction, and Z or an offset. */
static int64_t
to_ms(const char *text)
{
	struct tm tm = { 0 };
	const char *rest;
	int64_t ms = 0;
	int hours = 0, minutes = 0, weight = 100;

	if (text == NULL) {
		return 0;
	}
	tm.tm_year = atoi(text) - 1900;
	tm.tm_mon = atoi(text + 5) - 1;
	tm.tm_mday = atoi(text + 8);
	tm.tm_hour = atoi(text + 11);
	tm.tm_min = atoi(text + 14);
	tm.tm_sec = atoi(text + 17);
	rest = text + 19;
	if (*rest == '.') {
		for (rest++; *rest >= '0' && *rest <= '9'; rest++) {
			ms += (*rest - '0') * weight;
			weight /= 10;
		}
	}
	if (*rest == '+' || *rest == '-') {
		hours = atoi(rest + 1);
		minutes = hours * 60 + atoi(rest + 4);
		minutes = *rest == '-' ? -minutes : minutes;
	}
	return ((int64_t)timegm(&tm) - minutes * 60) * 1000 + ms;
}

static uint64_t
seq_of(const struct aqb_host *host, const struct aqb_msg *msg)
{
	struct aqb_msg_view view = { .size = sizeof view };

	host->msg_view(msg, &view);
	return view.seq;
}

/* Where to go on: after the last shown, or before the first. */
static void
put_next(FILE *out, const struct reading *r, const struct aqb_answer *answer)
{
	if (!answer->more || answer->n == 0 || r->of_room) {
		return;
	}
	fprintf(out, ",\"next\":%llu",
	    (unsigned long long)seq_of(r->host,
		r->last ? answer->msgs[0] : answer->msgs[answer->n - 1]));
}

/* Messages are shown as they were sent, byte for byte. */
static void
put_messages(FILE *out, const struct aqb_host *host,
    const struct aqb_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++) {
		struct aqb_slice json = host->msg_json(answer->msgs[i]);

		if (i > 0) {
			fputc(',', out);
		}
		fwrite(json.data, 1, json.len, out);
	}
}

static void
on_read(void *arg, aqb_ticket ticket, enum aqb_code code,
    const struct aqb_answer *answer, const struct aqb_why *why)
{
	struct reading r = *(struct reading *)arg;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	free(arg);
	if (code != AQB_CODE_OK) {
		r.host->fail(r.host, ticket, code, why);
		return;
	}
	out = open_memstream(&text, &len);
	if (out == NULL) {
		r.host->fail(r.host, ticket, AQB_CODE_INTERNAL, NULL);
		return;
	}
	fputs("{\"messages\":[", out);
	put_messages(out, r.host, answer);
	if (r.of_room) {
		fputs("],\"first_seq\":null,\"last_seq\":null,\"epoch\":null",
		    out);
	} else {
		fprintf(out,
		    "],\"first_seq\":%llu,\"last_seq\":%llu,\"epoch\":\"%s\"",
		    (unsigned long long)answer->first,
		    (unsigned long long)answer->pos.seq, answer->pos.epoch);
	}
	fprintf(out, ",\"truncated\":%s", answer->more ? "true" : "false");
	put_next(out, &r, answer);
	fputc('}', out);
	if (fclose(out) == 0) {
		r.host->reply(r.host, ticket, text, len);
	} else {
		r.host->fail(r.host, ticket, AQB_CODE_INTERNAL, NULL);
	}
	free(text);
}

static void
history(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	struct aqb_range range = {
		.size = sizeof range,
		.limit = (uint32_t)arg_u64(call, "limit"),
		.bytes = REPLY_ROOM,
		.after = arg_u64(call, "after"),
		.before = arg_u64(call, "before"),
		.since = to_ms(arg_string(call, "since")),
		.until = to_ms(arg_string(call, "until")),
		.from = arg_string(call, "client_id"),
	};
	struct reading *r;

	if (call->channel == NULL &&
	    (arg_given(call, "after") || arg_given(call, "before"))) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    arg_given(call, "after") ? "after" : "before",
		    "after, before: positions are a channel's; name one");
		return;
	}
	if (range.since != 0 && range.until != 0 && range.since > range.until) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, "until",
		    "until: lies before since");
		return;
	}
	if (arg_given(call, "after") && arg_given(call, "before") &&
	    range.after >= range.before) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, "before",
		    "before: %llu is not above after, %llu",
		    (unsigned long long)range.before,
		    (unsigned long long)range.after);
		return;
	}
	if (!arg_given(call, "after") && range.since == 0) {
		range.flags |= AQB_RANGE_LAST;
	}
	r = calloc(1, sizeof *r);
	if (r == NULL) {
		host->fail(host, ticket, AQB_CODE_INTERNAL, NULL);
		return;
	}
	r->host = host;
	r->of_room = call->channel == NULL;
	r->last = (range.flags & AQB_RANGE_LAST) != 0;
	host->bus->read(host, ticket, call->room, call->channel, &range,
	    on_read, r);
}

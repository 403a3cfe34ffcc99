/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "../common/render.h"
#include "builtin.h"

/* What is left for the messages: the rest is for the envelope, which repeats
 * the request's id, and for what follows the messages. */
#define MESSAGES_ROOM (REPLY_MAX - 4096u)

static aqb_command_f history;

const struct aqb_command cmd_history = {
	.size = sizeof cmd_history,
	.name = "history",
	.params = "room:n channel?:n limit:u(1..1000)=50 since?:t until?:t "
		  "after?:u before?:u(1..9007199254740992) "
		  "client_id?:s(1..64)",
	.summary = "what was said in a channel, or in a room",
	.exec = history,
};

/* One question under way. */
struct reading {
	const struct aqb_host *host;
	bool of_room;
	bool last;
	uint64_t after;
	uint64_t before;
};

/* The messages of an answer that a reply shows. */
struct shown {
	size_t first;
	size_t n;
};

/* A bound of time.  0 would be none, so that the first millisecond of 1970
 * is taken for the one before it: nothing is as old as either. */
static int64_t
arg_time(const struct aqb_call *call, const char *name)
{
	struct json_object *v = arg_json(call, name);
	int64_t ms = v == NULL ? 0 : json_object_get_int64(v);

	return v != NULL && ms == 0 ? -1 : ms;
}

static uint64_t
seq_of(const struct aqb_host *host, const struct aqb_msg *msg)
{
	struct aqb_msg_view view = { .size = sizeof view };

	host->msg_view(msg, &view);
	return view.seq;
}

/* As many as there is room for, from the end that was asked for.  The storage
 * was told how much that is; not every one counts alike. */
static struct shown
fitting(const struct reading *r, const struct aqb_answer *answer)
{
	struct shown s = { .first = 0 };
	size_t bytes = 0;

	while (s.n < answer->n) {
		size_t i = r->last ? answer->n - 1 - s.n : s.n;

		bytes += r->host->msg_json(answer->msgs[i]).len + 1;
		if (bytes > MESSAGES_ROOM) {
			break;
		}
		s.n++;
	}
	if (r->last) {
		s.first = answer->n - s.n;
	}
	return s;
}

/*
 * Where to go on: `after` the last shown, or `before` the first.  Where none
 * is shown the next message of the range is too long for any reply, and is
 * passed over.
 */
static uint64_t
next_of(const struct reading *r, const struct aqb_answer *answer,
    struct shown s)
{
	if (s.n > 0) {
		return seq_of(r->host,
		    answer->msgs[r->last ? s.first : s.first + s.n - 1]);
	}
	if (r->last) {
		return r->before != 0 && r->before <= answer->pos.seq
		    ? r->before - 1
		    : answer->pos.seq;
	}
	return r->after >= answer->first ? r->after + 1 : answer->first;
}

/* What follows the messages, as one object. */
static struct json_object *
render_rest(const struct reading *r, const struct aqb_answer *answer,
    struct shown s)
{
	struct json_object *o = json_object_new_object();
	bool more = answer->more || s.n < answer->n;
	bool ends = !r->of_room; /* a room has many, and no positions */

	json_object_object_add(o, "first_seq",
	    ends ? json_object_new_uint64(answer->first) : NULL);
	json_object_object_add(o, "last_seq",
	    ends ? json_object_new_uint64(answer->pos.seq) : NULL);
	json_object_object_add(o, "epoch",
	    ends ? render_text(answer->pos.epoch) : NULL);
	json_object_object_add(o, "truncated", json_object_new_boolean(more));
	if (more && ends) {
		json_object_object_add(o, "next",
		    json_object_new_uint64(next_of(r, answer, s)));
	}
	return o;
}

/* Messages are shown as they were sent, byte for byte, so that they are put
 * between the braces of the rest instead of being read and made again.  False
 * when there is no memory. */
static bool
put_answer(FILE *out, const struct reading *r, const struct aqb_answer *answer)
{
	struct shown s = fitting(r, answer);
	struct json_object *rest = render_rest(r, answer, s);
	struct aqb_slice text = render_json(rest);

	if (text.data == NULL) {
		json_object_put(rest);
		return false;
	}
	fputs("{\"messages\":[", out);
	for (size_t i = 0; i < s.n; i++) {
		struct aqb_slice json =
		    r->host->msg_json(answer->msgs[s.first + i]);

		if (i > 0) {
			fputc(',', out);
		}
		fwrite(json.data, 1, json.len, out);
	}
	fputs("],", out);
	fwrite(text.data + 1, 1, text.len - 1, out);
	json_object_put(rest);
	return ferror(out) == 0;
}

static void
on_read(void *arg, aqb_ticket ticket, enum aqb_code code,
    const struct aqb_answer *answer, const struct aqb_why *why)
{
	struct reading r = *(struct reading *)arg;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	bool done;

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
	done = put_answer(out, &r, answer);
	if (fclose(out) == 0 && done) {
		r.host->reply(r.host, ticket, text, len);
	} else {
		r.host->fail(r.host, ticket, AQB_CODE_INTERNAL, NULL);
	}
	free(text);
}

/* Do the bounds make sense together?  False, and answered, when not. */
static bool
check_range(const struct aqb_host *host, aqb_ticket ticket,
    const struct aqb_call *call, const struct aqb_range *range)
{
	bool after = arg_given(call, "after");
	bool before = arg_given(call, "before");

	if (call->channel == NULL && (after || before)) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT,
		    after ? "after" : "before",
		    "%s: positions are a channel's; name one",
		    after ? "after" : "before");
		return false;
	}
	if (after && before && range->after >= range->before) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, "before",
		    "before: %llu is not above after, %llu",
		    (unsigned long long)range->before,
		    (unsigned long long)range->after);
		return false;
	}
	if (range->since != 0 && range->until != 0 &&
	    range->since > range->until) {
		refuse_call(host, ticket, AQB_CODE_INVALID_ARGUMENT, "until",
		    "until: lies before since");
		return false;
	}
	return true;
}

static void
history(void *self, aqb_ticket ticket, const struct aqb_call *call)
{
	const struct aqb_host *host = ((struct builtin *)self)->host;
	bool first = arg_given(call, "after") || arg_given(call, "since");
	const struct aqb_range range = {
		.size = sizeof range,
		.flags = first ? 0 : AQB_RANGE_LAST,
		.limit = (uint32_t)arg_u64(call, "limit"),
		.bytes = MESSAGES_ROOM,
		.after = arg_u64(call, "after"),
		.before = arg_u64(call, "before"),
		.since = arg_time(call, "since"),
		.until = arg_time(call, "until"),
		.from = arg_string(call, "client_id"),
	};
	struct reading *r;

	if (!check_range(host, ticket, call, &range)) {
		return;
	}
	r = calloc(1, sizeof *r);
	if (r == NULL) {
		host->fail(host, ticket, AQB_CODE_INTERNAL, NULL);
		return;
	}
	*r = (struct reading){
		.host = host,
		.of_room = call->channel == NULL,
		.last = !first,
		.after = range.after,
		.before = range.before,
	};
	host->bus->read(host, ticket, call->room, call->channel, &range,
	    on_read, r);
}

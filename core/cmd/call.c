/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/why.h"
#include "bus/client.h"
#include "bus/join.h"
#include "bus/text.h"
#include "cmd/args.h"
#include "host/metric.h"
#include "host/plugins.h"
#include "host/telemetry.h"
#include "loop/loop.h"
#include "proto/envelope.h"
#include "proto/msg.h"

#define CALL_MAGIC 0x2b8df015u
#define CALL_BIT ((aqb_ticket)1 << 63) /* told from the desk's tickets */
#define PENDING_MAX 2048               /* calls of one client */
#define REPLY_MAX (512u * 1024u)

struct call {
	uint32_t magic;
	bool known; /* the command is one of the registry's */
	bool answered;
	aqb_ticket ticket;
	struct client *client; /* NULL: gone, nobody wants the answer */
	char command[AQB_NAME_MAX + 1];
	struct aqb_msg *request; /* holds the id */
	struct aqb_slice request_id;
	struct aqb_msg *reply; /* once answered */
	struct timer deadline;
	TAILQ_ENTRY(call) link; /* of its client, oldest first */
	UT_hash_handle hh;
};

TAILQ_HEAD(call_list, call);

/* The calls of one client that wait. */
struct calls {
	struct call_list list;
	size_t n;
};

static struct {
	struct calls_env env;
	struct call *open; /* by ticket */
	uint64_t last;
} desk;

static struct call *
find(aqb_ticket ticket)
{
	struct call *call;

	HASH_FIND(hh, desk.open, &ticket, sizeof ticket, call);
	return call;
}

static void
call_free(struct call **callp)
{
	struct call *call;

	OBJ_TAKE(call, callp, CALL_MAGIC);
	timer_stop(&call->deadline);
	if (call->ticket != 0) {
		HASH_DEL(desk.open, call);
	}
	if (call->client != NULL) {
		TAILQ_REMOVE(&call->client->calls->list, call, link);
		call->client->calls->n--;
	}
	msg_unref(&call->request);
	msg_unref(&call->reply);
	call->magic = 0;
	free(call);
}

/* Send the replies whose turn has come. */
static void
send_replies(struct client *client)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&client->calls->list)) != NULL &&
	    call->answered) {
		aqb_ticket ticket = call->ticket;

		if (call->reply != NULL) {
			bus_send(client, call->reply);
		} else {
			bus_close(client, 1011, "out of memory");
		}
		call_free(&call);
		join_replied(client, ticket);
	}
}

static void
begin_reply(struct buf *b, const struct call *call, const char *status)
{
	text_begin(b, desk.env.bus, "command_response");
	text_request_id(b, call->request_id);
	buf_puts(b, ",\"command\":");
	buf_json_str(b, call->command);
	buf_printf(b, ",\"status\":\"%s\",\"payload\":{\"status\":\"%s\"",
	    status, status);
	text_request_id(b, call->request_id);
}

/* Let telemetry and the log know how a call ended. */
static void
tell(const struct call *call, enum aqb_code code)
{
	const char *command = call->known ? call->command : "unknown";
	const struct client *client = call->client;
	char metadata[AQB_NAME_MAX + 64];
	struct telemetry_fields about = { .client_id = client->id,
		.metadata = metadata };

	metric_add_command(command, code == AQB_CODE_OK);
	if (code == AQB_CODE_OK) {
		snprintf(metadata, sizeof metadata, "{\"command\":\"%s\"}",
		    command);
		telemetry_emit("command_executed", AQB_INFO, &about);
		LOG(AQB_DEBUG, "command executed", F("client", client->id),
		    F("command", call->command));
		return;
	}
	snprintf(metadata, sizeof metadata,
	    "{\"command\":\"%s\",\"code\":\"%s\"}", command, code_name(code));
	telemetry_emit("command_failed", AQB_WARNING, &about);
	if (code == AQB_CODE_FORBIDDEN) {
		telemetry_emit("auth_denied", AQB_WARNING, &about);
	}
	LOG(code == AQB_CODE_FORBIDDEN ? AQB_WARNING : AQB_INFO,
	    "command failed", F("client", client->id),
	    F("address", client->address), F("command", call->command),
	    F("code", code_name(code)));
}

/* The call is decided. */
static void
conclude(struct call *call, struct buf *b, enum aqb_code code)
{
	struct client *client = call->client;

	if (!b->failed) {
		call->reply = msg_text(b->data, b->len);
	}
	buf_fini(b);
	call->answered = true;
	timer_stop(&call->deadline);
	tell(call, code);
	send_replies(client);
}

static void
fail(struct call *call, enum aqb_code code, const struct aqb_why *why)
{
	struct buf b = { 0 };

	begin_reply(&b, call, "error");
	buf_puts(&b, ",\"error\":");
	text_error_body(&b, code, why);
	buf_puts(&b, "}}");
	if (call->known) {
		metric_add_code(METRIC_REJECTED_TOTAL, code);
	}
	conclude(call, &b, code);
}

static struct call *
open_call(aqb_ticket ticket)
{
	struct call *call = find(ticket);

	if (call == NULL || call->answered) {
		metric_add(METRIC_STRAY_ANSWERS_TOTAL, 1);
		LOG(AQB_WARNING, "a late or double reply was ignored");
		return NULL;
	}
	if (call->client == NULL) {
		call_free(&call);
		return NULL;
	}
	return call;
}

void
calls_fail(aqb_ticket ticket, enum aqb_code code, const struct aqb_why *why)
{
	struct call *call = open_call(ticket);

	if (call != NULL) {
		fail(call, code, why);
	}
}

void
calls_reply(aqb_ticket ticket, const char *result, size_t len)
{
	struct call *call = open_call(ticket);
	struct buf b = { 0 };
	struct aqb_why why;

	if (call == NULL) {
		return;
	}
	if (len > REPLY_MAX) {
		LOG(AQB_ERROR, "a reply is over the limit",
		    F("command", call->command), FN("bytes", len));
		reject(&why, AQB_CODE_INTERNAL, NULL,
		    "the reply of %zu bytes is over the limit of %u", len,
		    REPLY_MAX);
		fail(call, AQB_CODE_INTERNAL, &why);
		return;
	}
	begin_reply(&b, call, "success");
	buf_puts(&b, ",\"result\":");
	buf_add(&b, result == NULL ? "{}" : result, result == NULL ? 2 : len);
	buf_puts(&b, "}}");
	conclude(call, &b, AQB_CODE_OK);
}

static void
on_deadline(void *arg)
{
	struct call *call;
	struct aqb_why why;

	OBJ_CAST(call, arg, CALL_MAGIC);
	if (call->client == NULL) {
		call_free(&call);
		return;
	}
	reject(&why, AQB_CODE_TIMEOUT, NULL,
	    "%s: no answer after %llu ms; it may still happen", call->command,
	    (unsigned long long)desk.env.timeout);
	fail(call, AQB_CODE_TIMEOUT, &why);
}

static struct calls *
calls_of(struct client *client)
{
	if (client->calls == NULL) {
		client->calls = xnew(sizeof *client->calls);
		TAILQ_INIT(&client->calls->list);
	}
	return client->calls;
}

/* Takes the message. */
static struct call *
call_new(struct client *client, const struct envelope *env, struct aqb_msg *msg)
{
	struct calls *calls = calls_of(client);
	struct call *call = xnew(sizeof *call);

	call->magic = CALL_MAGIC;
	call->client = client;
	call->request = msg;
	call->request_id = env->id;
	memcpy(call->command, env->command, sizeof call->command);
	timer_init(&call->deadline, on_deadline, call);
	TAILQ_INSERT_TAIL(&calls->list, call, link);
	calls->n++;
	call->ticket = CALL_BIT | ++desk.last;
	HASH_ADD(hh, desk.open, ticket, sizeof call->ticket, call);
	if (!HASH_WAS_ADDED(call)) {
		call->ticket = 0;
	}
	return call;
}

static void
run(struct call *call, const struct aqb_command *command, void *self,
    struct args *args)
{
	struct aqb_call what = {
		.size = sizeof what,
		.command = command->name,
		.client_id = call->client->id,
		.args = args->json,
	};

	if (args->address.room[0] != '\0') {
		what.room = args->address.room;
	}
	if (args->address.channel[0] != '\0') {
		what.channel = args->address.channel;
	}
	timer_set(desk.env.loop, &call->deadline, desk.env.timeout);
	command->exec(self, call->ticket, &what);
}

static void
begin(struct call *call, const struct envelope *env)
{
	const struct aqb_command *command;
	struct args args = { .json = NULL };
	struct aqb_why why = { 0 };
	enum aqb_code code = AQB_CODE_OK;
	void *self = NULL;

	command = plugins_command(desk.env.plugins, call->command, &self);
	if (call->ticket == 0) {
		code = reject(&why, AQB_CODE_INTERNAL, NULL, "out of memory");
	} else if (command == NULL) {
		code = reject(&why, AQB_CODE_UNKNOWN_COMMAND, "command",
		    "command: there is no %.64s; help lists them",
		    call->command);
	} else if ((command->flags & AQB_CMD_ADMIN) && !call->client->admin) {
		code = reject(&why, AQB_CODE_FORBIDDEN, "command",
		    "command: %s needs the admin capability", call->command);
	} else if (call->client->calls->n > PENDING_MAX) {
		code = reject(&why, AQB_CODE_BUSY, NULL,
		    "commands: %d wait for their answers already", PENDING_MAX);
	} else {
		code = args_read(&args, call->client, env, command, &why);
	}
	call->known = command != NULL;
	if (code != AQB_CODE_OK) {
		struct client *client = call->client;

		fail(call, code, &why);
		if (code == AQB_CODE_FORBIDDEN) {
			client_violation(client);
		}
	} else {
		run(call, command, self, &args);
	}
	args_fini(&args);
}

static void
on_command(void *arg, struct client *client, const struct envelope *env,
    struct aqb_msg *msg)
{
	(void)arg;
	begin(call_new(client, env, msg), env);
}

static struct client *
on_caller(void *arg, aqb_ticket ticket)
{
	struct call *call = find(ticket);

	(void)arg;
	return call == NULL ? NULL : call->client;
}

/* Its client is gone.  While its answer is to come it is kept, so that the
 * answer is not taken for one too many. */
static void
orphan(struct call *call)
{
	struct calls *calls = call->client->calls;

	if (call->answered || call->ticket == 0) {
		call_free(&call);
		return;
	}
	TAILQ_REMOVE(&calls->list, call, link);
	calls->n--;
	call->client = NULL;
	msg_unref(&call->request);
}

static void
on_client_gone(void *arg, struct client *client)
{
	struct call *call;

	(void)arg;
	if (client->calls == NULL) {
		return;
	}
	while ((call = TAILQ_FIRST(&client->calls->list)) != NULL) {
		orphan(call);
	}
	free(client->calls);
	client->calls = NULL;
}

static bool
on_has_calls(void *arg, const struct client *client)
{
	(void)arg;
	return client->calls != NULL && client->calls->n > 0;
}

void
calls_init(const struct calls_env *env)
{
	const struct bus_hooks hooks = {
		.command = on_command,
		.caller = on_caller,
		.client_gone = on_client_gone,
		.has_calls = on_has_calls,
	};

	desk.env = *env;
	bus_set_hooks(env->bus, &hooks);
}

void
calls_fini(void)
{
	struct call *call, *next;

	HASH_ITER(hh, desk.open, call, next)
	{
		assert(call->client == NULL);
		call_free(&call);
	}
	memset(&desk.env, 0, sizeof desk.env);
}

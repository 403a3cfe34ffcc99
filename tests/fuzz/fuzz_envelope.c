/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "base/why.h"
#include "proto/envelope.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct aqb_slice
slice(const char *text)
{
	return (struct aqb_slice){ text, strlen(text) };
}

/* A name of the greatest length, for what the client left to the bus. */
static struct aqb_slice
or_longest(const char *name, bool may_be_absent)
{
	static const char longest[] = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
				      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

	return slice(*name != '\0' || may_be_absent ? name : longest);
}

/* Whatever is accepted can be kept, and then sent with all that the bus may
 * write before it. */
static void
keep_and_send(struct envelope *env)
{
	struct aqb_position far = { .seq = UINT64_MAX };
	const char *channel = env->address.channel;
	struct aqb_msg *msg = envelope_keep(env);
	struct buf b = { 0 };

	memset(far.epoch, 'e', sizeof far.epoch - 1);
	if (msg == NULL || env->type == ENVELOPE_COMMAND) {
		msg_unref(&msg);
		return;
	}
	msg_seal(msg,
	    &(struct msg_fields){
		.id = env->id.len > 0
		    ? env->id
		    : slice("arq_0123456789abcdef0123456789abcdef"),
		.type = slice(envelope_type_name(env->type)),
		.room = or_longest(env->address.room, *channel == '\0'),
		.channel = slice(channel),
		.from = slice("arq_client_0123456789abcdef0123456789abcdef"),
		.to = { env->to.text, env->to.len },
	    });
	msg_stamp(msg, &far);
	if (msg_is_binary(msg)) {
		msg_put_binary(msg, &b);
	}
	buf_fini(&b);
	msg_unref(&msg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope env;
	struct aqb_why why;

	if (utf8_valid((const char *)data, size) &&
	    envelope_decode((const char *)data, size, &env, &why) ==
		AQB_CODE_OK) {
		keep_and_send(&env);
	}
	if (envelope_decode_binary(data, size, &env, &why) == AQB_CODE_OK) {
		keep_and_send(&env);
	}
	return 0;
}

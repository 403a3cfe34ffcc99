/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/utf8.h"
#include "base/why.h"
#include "proto/envelope.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is accepted can be kept, and then sent. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope env;
	struct aqb_why why;
	struct aqb_msg *msg;

	if (!utf8_valid((const char *)data, size) ||
	    envelope_decode((const char *)data, size, &env, &why) !=
		AQB_CODE_OK) {
		return 0;
	}
	msg = envelope_keep(&env);
	if (msg != NULL && env.type != ENVELOPE_COMMAND) {
		msg_seal(msg,
		    &(struct msg_fields){ .id = env.id,
			.type = { "event", 5 },
			.to = { env.to.text, env.to.len } });
		msg_stamp(msg, NULL);
	}
	msg_unref(&msg);
	return 0;
}

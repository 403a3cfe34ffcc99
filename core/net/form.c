/* SPDX-License-Identifier: Apache-2.0 */
#include "net/form.h"

#include "proto/msg.h"
#include "proto/ws.h"

void
former_fini(struct former *former)
{
	buf_fini(&former->bytes);
	buf_fini(&former->frame);
}

bool
form_is_plain(const struct aqb_msg *msg, unsigned form)
{
	return (form & FORM_BINARY) == 0 || !msg_is_binary(msg);
}

struct aqb_slice
form_frame(struct former *former, const struct aqb_msg *msg, unsigned form)
{
	uint8_t head[WS_HEAD_MAX];
	size_t len;

	if (form_is_plain(msg, form)) {
		return msg_frame(msg);
	}
	buf_reset(&former->bytes);
	buf_reset(&former->frame);
	msg_put_binary(msg, &former->bytes);
	len = ws_head(head, WS_BINARY, former->bytes.len);
	buf_add(&former->frame, head, len);
	buf_add(&former->frame, former->bytes.data, former->bytes.len);
	if (former->bytes.failed || former->frame.failed) {
		return (struct aqb_slice){ NULL, 0 };
	}
	return (struct aqb_slice){ former->frame.data, former->frame.len };
}

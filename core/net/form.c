/* SPDX-License-Identifier: Apache-2.0 */
#include "net/form.h"

#include <string.h>

#include "net/net.h"
#include "proto/deflate.h"
#include "proto/msg.h"
#include "proto/ws.h"

#define DEFLATE_MEM_LEVEL 8 /* zlib's own choice: 256 KiB in all */

void
former_init(struct former *former, const struct net_conf *conf,
    struct net_counters *count)
{
	memset(former, 0, sizeof *former);
	former->count = count;
	former->deflate_min = conf->deflate_min;
	if (conf->deflate) {
		former->deflater =
		    deflater_new((int)conf->deflate_level, DEFLATE_MEM_LEVEL);
	}
}

void
former_fini(struct former *former)
{
	deflater_free(&former->deflater);
	buf_fini(&former->bytes);
	buf_fini(&former->packed);
	buf_fini(&former->frame);
}

static struct aqb_slice
slice_of(const struct buf *b)
{
	return b->failed ? (struct aqb_slice){ NULL, 0 }
			 : (struct aqb_slice){ b->data, b->len };
}

/* A head, which is written already, and what it is the head of. */
static struct aqb_slice
frame(struct former *former, const uint8_t *head, size_t head_len,
    struct aqb_slice body)
{
	buf_reset(&former->frame);
	buf_add(&former->frame, head, head_len);
	buf_add(&former->frame, body.data, body.len);
	return slice_of(&former->frame);
}

static bool
compress(struct former *former, struct aqb_slice body)
{
	if (former->deflater == NULL || body.len < former->deflate_min ||
	    !deflater_run(former->deflater, body.data, body.len,
		&former->packed)) {
		return false;
	}
	count_add(&former->count->deflate_in, body.len);
	count_add(&former->count->deflate_out, former->packed.len);
	return true;
}

struct aqb_slice
form_frame(struct former *former, const struct aqb_msg *msg, unsigned form)
{
	struct aqb_slice body = msg_json(msg);
	enum ws_opcode opcode = WS_TEXT;
	uint8_t head[WS_HEAD_MAX];
	size_t len;

	if ((form & FORM_BINARY) != 0 && msg_is_binary(msg)) {
		buf_reset(&former->bytes);
		msg_put_binary(msg, &former->bytes);
		body = slice_of(&former->bytes);
		opcode = WS_BINARY;
	}
	if ((form & FORM_DEFLATED) != 0 && compress(former, body)) {
		len = ws_head_compressed(head, opcode, former->packed.len);
		return frame(former, head, len, slice_of(&former->packed));
	}
	if (opcode == WS_TEXT || body.len == 0) {
		return opcode == WS_TEXT ? msg_frame(msg) : body;
	}
	len = ws_head(head, opcode, body.len);
	return frame(former, head, len, body);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>

#define CONTROL_MAX 125
#define MASK_LEN 4
#define RSV 0x70
#define RSV_COMPRESSED 0x40

/* The head of a frame, taken apart. */
struct head {
	uint8_t opcode;
	bool fin;
	bool compressed;
	size_t size; /* of the head, mask included */
	uint64_t len;
};

static size_t
fail(struct ws_item *item, uint16_t code, const char *reason)
{
	item->event = WS_FAIL;
	item->code = code;
	item->reason = reason;
	return 0;
}

static size_t
more(struct ws_item *item, size_t need)
{
	item->event = WS_MORE;
	item->need = need;
	return 0;
}

static bool
is_control(uint8_t opcode)
{
	return opcode & 8;
}

/* May a frame with this opcode say that its message is compressed?  Only the
 * first one of a message may (RFC 7692, 6.1). */
static bool
may_be_compressed(const struct ws_reader *r, uint8_t opcode)
{
	return r->deflate && (opcode == WS_TEXT || opcode == WS_BINARY);
}

/* The rules that the first two bytes show (RFC 6455, 5.2 and 5.5); NULL when
 * they are kept. */
static const char *
first_bytes_wrong(const struct ws_reader *r, const uint8_t *data)
{
	uint8_t opcode = data[0] & 0x0f;
	bool fin = data[0] & 0x80;

	if (data[0] & RSV &
	    ~(may_be_compressed(r, opcode) ? RSV_COMPRESSED : 0)) {
		return "a reserved bit is set";
	}
	if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE)) {
		return "reserved opcode";
	}
	if (!(data[1] & 0x80)) {
		return "frame is not masked";
	}
	if (is_control(opcode)) {
		if (!fin) {
			return "control frame is fragmented";
		}
		return (data[1] & 0x7f) > CONTROL_MAX
		    ? "control frame is longer than 125 bytes"
		    : NULL;
	}
	if (opcode == WS_CONTINUATION && r->opcode == 0) {
		return "continuation without a start";
	}
	if (opcode != WS_CONTINUATION && r->opcode != 0) {
		return "new message inside a fragmented one";
	}
	return NULL;
}

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++) {
		x = x << 8 | p[i];
	}
	return x;
}

/* The length, and where the mask begins; lengths must be written in the
 * shortest form. */
static const char *
length_wrong(const uint8_t *data, struct head *h)
{
	switch (data[1] & 0x7f) {
	case 126:
		h->len = big_endian(data + 2, 2);
		return h->len < 126 ? "length is not in its shortest form"
				    : NULL;
	case 127:
		h->len = big_endian(data + 2, 8);
		if (h->len >> 63) {
			return "length has its top bit set";
		}
		return h->len <= UINT16_MAX
		    ? "length is not in its shortest form"
		    : NULL;
	default:
		h->len = data[1] & 0x7f;
		return NULL;
	}
}

static size_t
head_size(const uint8_t *data)
{
	switch (data[1] & 0x7f) {
	case 126:
		return 2 + 2 + MASK_LEN;
	case 127:
		return 2 + 8 + MASK_LEN;
	default:
		return 2 + MASK_LEN;
	}
}

/* How long a message may be as it comes: what a peer's compression adds to one
 * that it cannot make smaller is not the peer's fault. */
static uint64_t
limit_of(const struct ws_reader *r, const struct head *h)
{
	bool compressed =
	    h->opcode == WS_CONTINUATION ? r->compressed : h->compressed;

	return !compressed ? r->max_message
			   : (uint64_t)r->max_message + r->max_message / 8 + 64;
}

/* Too much for one message?  Known from the head alone.  Many fragments have
 * no size to tell of, so these two do not look alike to the caller. */
static bool
too_big(const struct ws_reader *r, const struct head *h, struct ws_item *item)
{
	if (is_control(h->opcode)) {
		return false;
	}
	if (r->fragments == WS_FRAGMENTS_MAX) {
		fail(item, 1009, "message has more than 64 fragments");
		return true;
	}
	if (r->size > limit_of(r, h) || h->len > limit_of(r, h) - r->size) {
		item->need = h->len;
		fail(item, 1009, "message is too big");
		return true;
	}
	return false;
}

void
ws_mask(uint8_t *data, size_t len, const uint8_t *mask)
{
	uint32_t m32;
	uint64_t m64;
	size_t i = 0;

	memcpy(&m32, mask, sizeof m32);
	m64 = (uint64_t)m32 << 32 | m32;
	for (; i + sizeof m64 <= len; i += sizeof m64) {
		uint64_t x;

		memcpy(&x, data + i, sizeof x);
		x ^= m64;
		memcpy(data + i, &x, sizeof x);
	}
	for (; i < len; i++) {
		data[i] ^= mask[i % MASK_LEN];
	}
}

bool
ws_close_code_valid(uint16_t code)
{
	return (code >= 1000 && code <= 1003) ||
	    (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static bool
take_close(struct ws_item *item)
{
	item->code = 1005;
	if (item->len == 0) {
		return true;
	}
	if (item->len == 1) {
		fail(item, 1002, "close with half a code");
		return false;
	}
	item->code = (uint16_t)big_endian(item->data, 2);
	if (!ws_close_code_valid(item->code)) {
		fail(item, 1002, "invalid close code");
		return false;
	}
	if (!utf8_valid((const char *)item->data + 2, item->len - 2)) {
		fail(item, 1007, "close reason is not UTF-8");
		return false;
	}
	return true;
}

static bool
take_data(struct ws_reader *r, const struct head *h, struct ws_item *item)
{
	item->first = h->opcode != WS_CONTINUATION;
	item->last = h->fin;
	if (item->first) {
		r->opcode = h->opcode;
		r->size = 0;
		r->fragments = 0;
		r->utf8 = (struct utf8){ 0 };
		r->compressed = h->compressed;
	}
	item->opcode = r->opcode;
	item->compressed = r->compressed;
	r->size += (uint32_t)h->len;
	r->fragments++;
	if (r->opcode == WS_TEXT && !r->compressed &&
	    (!utf8_feed(&r->utf8, (const char *)item->data, item->len) ||
		(h->fin && !utf8_done(&r->utf8)))) {
		fail(item, 1007, "text is not UTF-8");
		return false;
	}
	if (h->fin) {
		r->opcode = 0;
		r->size = 0;
		r->fragments = 0;
	}
	return true;
}

size_t
ws_read(struct ws_reader *r, uint8_t *data, size_t len, struct ws_item *itemp)
{
	struct head h;
	const char *wrong;

	*itemp = (struct ws_item){ 0 };
	if (len < 2) {
		return more(itemp, 2);
	}
	wrong = first_bytes_wrong(r, data);
	if (wrong != NULL) {
		return fail(itemp, 1002, wrong);
	}
	h.opcode = data[0] & 0x0f;
	h.fin = data[0] & 0x80;
	h.compressed = data[0] & RSV_COMPRESSED;
	h.size = head_size(data);
	if (len < h.size) {
		return more(itemp, h.size);
	}
	wrong = length_wrong(data, &h);
	if (wrong != NULL) {
		return fail(itemp, 1002, wrong);
	}
	if (too_big(r, &h, itemp)) {
		return 0;
	}
	if (len - h.size < h.len) {
		return more(itemp, h.size + h.len);
	}
	itemp->event = is_control(h.opcode) ? WS_CONTROL : WS_DATA;
	itemp->opcode = h.opcode;
	itemp->data = data + h.size;
	itemp->len = h.len;
	ws_mask(itemp->data, h.len, data + h.size - MASK_LEN);
	if (h.opcode == WS_CLOSE
		? !take_close(itemp)
		: !is_control(h.opcode) && !take_data(r, &h, itemp)) {
		return 0;
	}
	return h.size + h.len;
}

size_t
ws_head(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode, uint64_t len)
{
	size_t extra = len <= 125 ? 0 : len <= UINT16_MAX ? 2 : 8;

	out[0] = (uint8_t)(0x80 | opcode);
	out[1] = (uint8_t)(extra == 0 ? len : extra == 2 ? 126 : 127);
	for (size_t i = 0; i < extra; i++) {
		out[2 + i] = (uint8_t)(len >> 8 * (extra - 1 - i));
	}
	return 2 + extra;
}

size_t
ws_head_compressed(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode,
    uint64_t len)
{
	size_t size = ws_head(out, opcode, len);

	out[0] |= RSV_COMPRESSED;
	return size;
}

size_t
ws_frame_len(const uint8_t *data, size_t len)
{
	size_t extra;

	assert(len >= 2);
	extra = data[1] == 126 ? 2 : data[1] == 127 ? 8 : 0;
	assert(len >= 2 + extra);
	return 2 + extra +
	    (extra == 0 ? data[1] : (size_t)big_endian(data + 2, extra));
}

void
ws_accept(const char key[WS_KEY_LEN], char out[WS_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[WS_KEY_LEN + sizeof guid - 1];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;
	int ok;

	memcpy(text, key, WS_KEY_LEN);
	memcpy(text + WS_KEY_LEN, guid, sizeof guid - 1);
	ok = EVP_Digest(text, sizeof text, digest, &n, EVP_sha1(), NULL);
	assert(ok == 1 && n == 20);
	EVP_EncodeBlock((unsigned char *)out, digest, 20);
}

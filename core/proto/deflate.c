/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/deflate.h"

#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/mem.h"
#include "base/obj.h"
#include "proto/http.h"

#define DEFLATER_MAGIC 0x91c5e07du
#define INFLATER_MAGIC 0x2eb8f643u

#define NAME "permessage-deflate"
#define ANSWER NAME "; server_no_context_takeover; client_no_context_takeover"
#define ANSWER_WINDOW ANSWER "; server_max_window_bits=15"
#define WINDOW_BITS 15

/* A flushed message ends with an empty block that is not compressed, of which
 * these bytes are left out on the way (RFC 7692, 7.2.1). */
static const unsigned char tail[] = { 0x00, 0x00, 0xff, 0xff };

struct deflater {
	uint32_t magic;
	z_stream z;
};

struct inflater {
	uint32_t magic;
	z_stream z;
};

/*
 * The value of a parameter, unquoted.  Only numbers of two digits matter: of
 * what is longer just the length is true.
 */
struct value {
	bool is_there;
	char text[2];
	size_t len;
};

/* The parameters that an offer may have (RFC 7692, 7.1). */
enum param {
	SERVER_NO_CONTEXT_TAKEOVER,
	CLIENT_NO_CONTEXT_TAKEOVER,
	SERVER_MAX_WINDOW_BITS,
	CLIENT_MAX_WINDOW_BITS,
	PARAMS,
};

static const char *const names[PARAMS] = {
	[SERVER_NO_CONTEXT_TAKEOVER] = "server_no_context_takeover",
	[CLIENT_NO_CONTEXT_TAKEOVER] = "client_no_context_takeover",
	[SERVER_MAX_WINDOW_BITS] = "server_max_window_bits",
	[CLIENT_MAX_WINDOW_BITS] = "client_max_window_bits",
};

static char
take_char(struct aqb_slice *rest)
{
	rest->len--;
	return *rest->data++;
}

static void
skip_space(struct aqb_slice *rest)
{
	while (rest->len > 0 &&
	    (rest->data[0] == ' ' || rest->data[0] == '\t')) {
		take_char(rest);
	}
}

/* Is this the next thing, but for space?  Then it is taken. */
static bool
take(struct aqb_slice *rest, char c)
{
	skip_space(rest);
	if (rest->len == 0 || rest->data[0] != c) {
		return false;
	}
	take_char(rest);
	return true;
}

/* The next token, empty when something else comes. */
static struct aqb_slice
take_token(struct aqb_slice *rest)
{
	struct aqb_slice token;

	skip_space(rest);
	token = (struct aqb_slice){ rest->data, 0 };
	while (rest->len > 0 && http_is_token_char(rest->data[0])) {
		take_char(rest);
		token.len++;
	}
	return token;
}

static void
add_to_value(struct value *v, char c)
{
	if (v->len < sizeof v->text) {
		v->text[v->len] = c;
	}
	v->len++;
}

/* The rest of a quoted string.  False when it never ends. */
static bool
take_quoted(struct aqb_slice *rest, struct value *v)
{
	while (rest->len > 0) {
		char c = take_char(rest);

		if (c == '"') {
			return true;
		}
		if (c == '\\' && rest->len > 0) {
			c = take_char(rest);
		}
		add_to_value(v, c);
	}
	return false;
}

/* What comes after the equals sign, if one comes. */
static bool
take_value(struct aqb_slice *rest, struct value *v)
{
	struct aqb_slice token;

	*v = (struct value){ .is_there = take(rest, '=') };
	if (!v->is_there) {
		return true;
	}
	if (take(rest, '"')) {
		return take_quoted(rest, v);
	}
	token = take_token(rest);
	for (size_t i = 0; i < token.len; i++) {
		add_to_value(v, token.data[i]);
	}
	return token.len > 0;
}

/*
 * Letter by letter: what differs in case is some other name, and an answer in
 * our spelling would be one that the client did not ask for.
 */
static bool
is(struct aqb_slice text, const char *want)
{
	return text.len == strlen(want) &&
	    memcmp(text.data, want, text.len) == 0;
}

static enum param
find_param(struct aqb_slice name)
{
	enum param p = 0;

	while (p < PARAMS && !is(name, names[p])) {
		p++;
	}
	return p;
}

/* 8 to 15, without leading zeros; 0 is anything else. */
static int
window_bits(const struct value *v)
{
	if (v->len == 1 && (v->text[0] == '8' || v->text[0] == '9')) {
		return v->text[0] - '0';
	}
	if (v->len == 2 && v->text[0] == '1' && v->text[1] >= '0' &&
	    v->text[1] <= '5') {
		return 10 + v->text[1] - '0';
	}
	return 0;
}

/* Can we do what this parameter asks for? */
static bool
can_accept(enum param p, const struct value *v)
{
	switch (p) {
	case SERVER_NO_CONTEXT_TAKEOVER:
	case CLIENT_NO_CONTEXT_TAKEOVER:
		return !v->is_there;
	case SERVER_MAX_WINDOW_BITS:
		return window_bits(v) == WINDOW_BITS;
	case CLIENT_MAX_WINDOW_BITS:
		return !v->is_there || window_bits(v) > 0;
	default:
		return false;
	}
}

/* The answer to the offer at the start of the list.  NULL declines it, and
 * then not all of it need have been taken. */
static const char *
answer_offer(struct aqb_slice *rest)
{
	bool seen[PARAMS] = { false };

	if (!is(take_token(rest), NAME)) {
		return NULL;
	}
	while (take(rest, ';')) {
		enum param p = find_param(take_token(rest));
		struct value v;

		if (!take_value(rest, &v) || !can_accept(p, &v) || seen[p]) {
			return NULL;
		}
		seen[p] = true;
	}
	if (rest->len > 0 && rest->data[0] != ',') {
		return NULL;
	}
	/* A limit that the client sets has to be confirmed; where it sets none
	 * some clients do not expect to be told of one. */
	return seen[SERVER_MAX_WINDOW_BITS] ? ANSWER_WINDOW : ANSWER;
}

/* Past the next comma that is in no quoted string. */
static void
skip_offer(struct aqb_slice *rest)
{
	struct value unused = { .len = 0 };

	while (rest->len > 0) {
		char c = take_char(rest);

		if (c == ',') {
			return;
		}
		if (c == '"') {
			take_quoted(rest, &unused);
		}
	}
}

const char *
deflate_negotiate(struct aqb_slice offers)
{
	while (offers.len > 0) {
		const char *answer = answer_offer(&offers);

		if (answer != NULL) {
			return answer;
		}
		skip_offer(&offers);
	}
	return NULL;
}

/* zlib's memory is of sizes that we choose. */
static void *
zlib_new(void *arg, unsigned n, unsigned size)
{
	(void)arg;
	return xnew((size_t)n * size);
}

static void
zlib_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}

struct deflater *
deflater_new(int level, int mem_level)
{
	struct deflater *d = xnew(sizeof *d);
	int err;

	d->magic = DEFLATER_MAGIC;
	d->z.zalloc = zlib_new;
	d->z.zfree = zlib_free;
	/* Negative: no header and no checksum around the blocks. */
	err = deflateInit2(&d->z, level, Z_DEFLATED, -WINDOW_BITS, mem_level,
	    Z_DEFAULT_STRATEGY);
	assert(err == Z_OK);
	return d;
}

void
deflater_free(struct deflater **dp)
{
	struct deflater *d;

	if (*dp == NULL) {
		return;
	}
	OBJ_TAKE(d, dp, DEFLATER_MAGIC);
	deflateEnd(&d->z);
	d->magic = 0;
	free(d);
}

bool
deflater_run(struct deflater *d, const void *data, size_t len, struct buf *out)
{
	size_t room = len + sizeof tail;
	char *place;
	size_t got;
	int err;

	OBJ_CHECK(d, DEFLATER_MAGIC);
	buf_reset(out);
	if (len > UINT32_MAX - sizeof tail) { /* zlib's numbers end there */
		return false;
	}
	place = buf_reserve(out, room);
	if (place == NULL) {
		return false;
	}
	deflateReset(&d->z);
	d->z.next_in = data;
	d->z.avail_in = (unsigned)len;
	d->z.next_out = (unsigned char *)place;
	d->z.avail_out = (unsigned)room;
	err = deflate(&d->z, Z_SYNC_FLUSH);
	assert(err == Z_OK);
	/* Only when room is left is it all there; and then it is smaller. */
	if (d->z.avail_out == 0) {
		buf_reset(out);
		return false;
	}
	got = room - d->z.avail_out - sizeof tail;
	assert(memcmp(place + got, tail, sizeof tail) == 0);
	buf_advance(out, got);
	return true;
}

struct inflater *
inflater_new(void)
{
	struct inflater *i = xnew(sizeof *i);
	int err;

	i->magic = INFLATER_MAGIC;
	i->z.zalloc = zlib_new;
	i->z.zfree = zlib_free;
	err = inflateInit2(&i->z, -WINDOW_BITS);
	assert(err == Z_OK);
	return i;
}

void
inflater_free(struct inflater **ip)
{
	struct inflater *i;

	if (*ip == NULL) {
		return;
	}
	OBJ_TAKE(i, ip, INFLATER_MAGIC);
	inflateEnd(&i->z);
	i->magic = 0;
	free(i);
}

/* Did inflate() stop just behind a block? */
static bool
at_block_end(const z_stream *z)
{
	return z->data_type & 128;
}

/* How much room the next step gets: as much again as there is, so that few
 * steps make a large message and a small one holds little; up to the limit. */
static size_t
next_room(const struct buf *out, size_t limit)
{
	size_t room = out->len < 1024 ? 1024 : out->len;

	if (room > limit - out->len) {
		room = limit - out->len;
	}
	return room < UINT32_MAX ? room : UINT32_MAX;
}

/* Inflate until a block ends, or the bytes, or the room. */
static enum inflate_result
step(z_stream *z, size_t limit, struct buf *out)
{
	size_t room = next_room(out, limit);
	/* With no room under the limit there is this byte beyond it, so that
	 * one too many is told from what makes none, like the end of a block. */
	char beyond;
	char *place = room > 0 ? buf_reserve(out, room) : &beyond;
	int err;

	if (place == NULL) {
		return INFLATE_NO_MEMORY;
	}
	z->next_out = (unsigned char *)place;
	z->avail_out = room > 0 ? (unsigned)room : 1;
	err = inflate(z, Z_BLOCK);
	if (room > 0) {
		buf_advance(out, room - z->avail_out);
	} else if (z->avail_out == 0) {
		return INFLATE_TOO_BIG;
	}
	if (err == Z_STREAM_END) {
		/* A block that says it is the last one is not: the next follows
		 * at the next byte (RFC 7692, 7.2.3.4), and may refer to what
		 * came before it, which inflateReset() would forget. */
		err = inflateResetKeep(z);
	}
	/* Z_BUF_ERROR only says that all bytes had been used before. */
	return err == Z_OK || err == Z_BUF_ERROR ? INFLATE_OK : INFLATE_BROKEN;
}

static enum inflate_result
feed(z_stream *z, const void *data, size_t len, size_t limit, struct buf *out)
{
	enum inflate_result result;

	z->next_in = data;
	z->avail_in = (unsigned)len;
	do {
		result = step(z, limit, out);
		/* With its room full it may have more to write, although it has
		 * read everything; but not behind a block. */
	} while (result == INFLATE_OK &&
	    (z->avail_in > 0 || (z->avail_out == 0 && !at_block_end(z))));
	return result;
}

enum inflate_result
inflater_run(struct inflater *i, const void *data, size_t len, size_t limit,
    struct buf *out)
{
	enum inflate_result result;

	OBJ_CHECK(i, INFLATER_MAGIC);
	buf_reset(out);
	if (len > UINT32_MAX) { /* zlib's numbers end there */
		return INFLATE_TOO_BIG;
	}
	inflateReset(&i->z);
	result = feed(&i->z, data, len, limit, out);
	if (result == INFLATE_OK) {
		result = feed(&i->z, tail, sizeof tail, limit, out);
	}
	/* Otherwise it was cut short. */
	if (result == INFLATE_OK && !at_block_end(&i->z)) {
		result = INFLATE_BROKEN;
	}
	if (result != INFLATE_OK) {
		buf_reset(out);
	}
	return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proto/http.h"

#define N(table) (sizeof(table) / sizeof(table)[0])
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define SWITCH "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: bus.example:9100\r\n"

static struct buf head;
static struct http_request req;
static const char *reason;

static void
setup(void)
{
	memset(&head, 0, sizeof head);
}

static void
teardown(void)
{
	buf_fini(&head);
}

/* One call, on memory that ends where the bytes do. */
static int
read_exactly(const char *data, size_t len)
{
	char *exact = malloc(len > 0 ? len : 1);
	int n;

	if (len > 0) {
		memcpy(exact, data, len);
	}
	n = http_read(exact, len, &req, &reason);
	free(exact);
	return n;
}

/*
 * H10, W14: read a head as it grows byte by byte: no answer until it is
 * certain, then the same for ever.  Returns the answer, and leaves the request
 * of the whole in req.
 */
static int
read_dripping(const char *data, size_t len)
{
	int all = read_exactly(data, len);
	const char *why = reason;
	int last = 0;

	/* A long head grows in larger steps until shortly before its end. */
	for (size_t n = 0; n <= len; n += len > 1024 && len - n > 64 ? 59 : 1) {
		int got = read_exactly(data, n);

		ck_assert_msg(got == 0 || got == all,
		    "%d after %zu bytes, "
		    "%d after all",
		    got, n, all);
		ck_assert_msg(got == last || last == 0, "undone at %zu", n);
		ck_assert(got >= 0 || reason == why);
		ck_assert(all <= 0 || (got == 0) == (n < (size_t)all));
		last = got;
	}
	return http_read(data, len, &req, &reason);
}

/* What is answered to a head, upgrade included; 0 while it is not whole. */
static int
answer(const char *data, size_t len)
{
	char accept[WS_ACCEPT_SIZE];
	int n = read_dripping(data, len);

	return n < 0 ? -n : n == 0 ? 0 : http_upgrade(&req, accept, &reason);
}

static int
answer_text(const char *text)
{
	return answer(text, strlen(text));
}

/* A slice is what, or both are absent. */
static void
assert_slice(struct aqb_slice got, const char *want)
{
	ck_assert_int_eq(got.data == NULL, want == NULL);
	if (want != NULL) {
		ck_assert_msg(got.len == strlen(want) &&
			memcmp(got.data, want, got.len) == 0,
		    "\"%.*s\" is not \"%s\"", (int)got.len, got.data, want);
	}
}

START_TEST(h1_a_good_handshake_is_taken_as_the_rfc_shows)
{
	char accept[WS_ACCEPT_SIZE];
	const char *text = "GET /chat HTTP/1.1\r\n"
			   "Host: server.example.com\r\n"
			   "Upgrade: websocket\r\n"
			   "Connection: Upgrade\r\n"
			   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			   "Origin: http://example.com\r\n"
			   "Sec-WebSocket-Protocol: chat, superchat\r\n"
			   "Sec-WebSocket-Version: 13\r\n\r\n";

	ck_assert_int_eq(read_dripping(text, strlen(text)), (int)strlen(text));
	ck_assert_int_eq(http_upgrade(&req, accept, &reason), 101);
	ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_slice(req.method, "GET");
	assert_slice(req.path, "/chat");
	assert_slice(req.query, NULL);
	assert_slice(req.host, "server.example.com");
	assert_slice(req.origin, "http://example.com");
	assert_slice(req.key, "dGhlIHNhbXBsZSBub25jZQ==");
	assert_slice(req.ws_version, "13");
	assert_slice(req.protocol, "chat, superchat");
	assert_slice(req.authorization, NULL);
	ck_assert_int_eq(req.minor, 1);
	ck_assert(req.wants_upgrade && !req.has_body && !req.has_length);
}
END_TEST

static const struct handshake {
	int status;
	const char *text; /* without the empty line at its end */
	const char *says;
} handshakes[] = {
	{ 101, GET HOST SWITCH VERSION KEY, "" },
	{ 101,
	    GET "hOST:a\r\nUPGRADE:WebSocket\r\nconnection:UPGRADE\r\n"
		"sec-websocket-version:\t13 \r\nsec-websocket-KEY:  "
		"dGhlIHNhbXBsZSBub25jZQ==\r\n",
	    "" },
	{ 101,
	    GET HOST VERSION KEY "Upgrade: h2c, websocket\r\n"
				 "Connection: keep-alive, , Upgrade\r\n",
	    "" },
	{ 101,
	    GET HOST VERSION KEY
	    "Upgrade: h2c\r\nUpgrade: websocket\r\n"
	    "Connection: keep-alive\r\nConnection: Upgrade\r\n",
	    "" },
	{ 101, GET HOST SWITCH VERSION KEY "X-Empty:\r\nX-A: \xc3\xbc\t.\r\n",
	    "" },
	{ 101,
	    GET HOST VERSION KEY
	    "Upgrade: websocket\r\nUpgrade: h2c\r\n"
	    "Connection: Upgrade\r\nConnection: keep-alive\r\n",
	    "" },
	/* H1 */
	{ 400, GET HOST SWITCH VERSION, "Sec-WebSocket-Key must be" },
	{ 400, GET HOST SWITCH VERSION "Sec-WebSocket-Key:\r\n", "-Key must" },
	{ 400, GET HOST SWITCH VERSION "Sec-WebSocket-Key: c2hvcnQ=\r\n",
	    "-Key must" },
	{ 400,
	    GET HOST SWITCH VERSION "Sec-WebSocket-Key: "
				    "dGhlIHNhbXBsZSBub25jZQ==A\r\n",
	    "-Key must" },
	{ 400,
	    GET HOST SWITCH VERSION "Sec-WebSocket-Key: "
				    "dGhlIHNhbXBsZSBub25jZR==\r\n",
	    "-Key must" },
	{ 400,
	    GET HOST SWITCH VERSION "Sec-WebSocket-Key: "
				    "dGhlIHNhbXBsZSBub25jZQA=\r\n",
	    "-Key must" },
	{ 400,
	    GET HOST SWITCH VERSION "Sec-WebSocket-Key: "
				    "dGhlIHNhbXBsZSBub25jZ===\r\n",
	    "-Key must" },
	{ 400,
	    GET HOST SWITCH VERSION "Sec-WebSocket-Key: "
				    "dGhlIHNhbXBs-SBub25jZQ==\r\n",
	    "-Key must" },
	{ 400,
	    GET HOST SWITCH VERSION "Sec-WebSocket-Key: "
				    "dGhlIHNhbXBsZSBub25jZQ=A\r\n",
	    "-Key must" },
	/* H2 */
	{ 426, GET HOST SWITCH KEY, "Sec-WebSocket-Version must be 13" },
	{ 426, GET HOST SWITCH KEY "Sec-WebSocket-Version: 8\r\n",
	    "Sec-WebSocket-Version must be 13" },
	{ 426, GET HOST SWITCH KEY "Sec-WebSocket-Version: 013\r\n",
	    "Sec-WebSocket-Version must be 13" },
	{ 426, GET HOST SWITCH KEY "Sec-WebSocket-Version: 13, 8\r\n",
	    "Sec-WebSocket-Version must be 13" },
	/* H3 */
	{ 405, "POST / HTTP/1.1\r\n" HOST SWITCH VERSION KEY, "is a GET" },
	{ 405, "HEAD / HTTP/1.1\r\n" HOST SWITCH VERSION KEY, "is a GET" },
	{ 405, "get / HTTP/1.1\r\n" HOST SWITCH VERSION KEY, "is a GET" },
	{ 505, "GET / HTTP/1.0\r\n" HOST SWITCH VERSION KEY, "needs HTTP/1.1" },
	{ 505, "GET / HTTP/1.2\r\n" HOST SWITCH VERSION KEY, "only HTTP/1.1" },
	{ 505, "GET / HTTP/2.0\r\n" HOST SWITCH VERSION KEY, "only HTTP/1.1" },
	{ 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n", "only HTTP/1.1" },
	{ 400, "GET / HTTP/1-1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET / HTTP/x.1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET / HTTP/1.11\r\n" HOST, "not an HTTP request" },
	{ 400, "GET / http/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET / \r\n" HOST, "not an HTTP request" },
	{ 400, "GET /\r\n" HOST, "not an HTTP request" },
	{ 400, "GET\r\n" HOST, "not an HTTP request" },
	{ 400, "GET  HTTP/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET  / HTTP/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET /  HTTP/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET / HTTP/1.1 \r\n" HOST, "not an HTTP request" },
	{ 400, "GET /a b HTTP/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, " GET / HTTP/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, "\r\n" GET HOST, "not an HTTP request" },
	{ 400, "G(T / HTTP/1.1\r\n" HOST, "not an HTTP request" },
	{ 400, "GET /\t HTTP/1.1\r\n" HOST, "control character in the target" },
	{ 400, "GET /\x7f HTTP/1.1\r\n" HOST, "control character in the" },
	/* H4, H5 */
	{ 426, GET HOST VERSION KEY "Connection: Upgrade\r\n",
	    "only WebSocket" },
	{ 426, GET HOST VERSION KEY "Upgrade: websocket\r\n",
	    "only WebSocket" },
	{ 426,
	    GET HOST VERSION KEY "Upgrade: websocket\r\n"
				 "Connection: keep-alive\r\n",
	    "only WebSocket" },
	{ 426,
	    GET HOST VERSION KEY "Upgrade: websocket\r\n"
				 "Connection: upgraded, x-upgrade\r\n",
	    "only WebSocket" },
	{ 426,
	    GET HOST VERSION KEY "Upgrade: websockets\r\n"
				 "Connection: Upgrade\r\n",
	    "only WebSocket" },
	{ 426,
	    GET HOST VERSION KEY "Upgrade: h2c\r\n"
				 "Connection: Upgrade, HTTP2-Settings\r\n",
	    "only WebSocket" },
	/* H6 */
	{ 400, GET HOST HOST SWITCH VERSION KEY, "must come once" },
	{ 400, GET HOST "host:\r\n" SWITCH VERSION KEY, "must come once" },
	{ 400, GET HOST SWITCH VERSION KEY KEY, "must come once" },
	{ 400, GET HOST SWITCH VERSION VERSION KEY, "must come once" },
	{ 400,
	    GET HOST SWITCH VERSION KEY "Origin: http://a\r\n"
					"Origin: http://a\r\n",
	    "must come once" },
	{ 400,
	    GET HOST "Authorization: Bearer a\r\n"
		     "Authorization: Bearer b\r\n",
	    "must come once" },
	{ 400, GET SWITCH VERSION KEY, "no Host header" },
	{ 400, GET "Host: a, b\r\n", "Host is not a host" },
	{ 400, GET "Host: a,b\r\n", "Host is not a host" },
	{ 400, GET "Host: a/b\r\n", "Host is not a host" },
	{ 400, GET "Host: a@b\r\n", "Host is not a host" },
	{ 426, GET "Host: [::1]:9100\r\n", "only WebSocket" },
	{ 426, GET "Host:\r\n", "only WebSocket" },
	/* H11 */
	{ 400, GET HOST "X: a\r\n b\r\n", "folded" },
	{ 400, GET HOST "X: a\r\n\tb: c\r\n", "folded" },
	{ 400, GET " X: a\r\n" HOST, "folded" },
	{ 400, GET HOST "X: a\nY: b\r\n", "bare LF" },
	{ 400, "GET / HTTP/1.1\n" HOST, "bare LF" },
	{ 400, GET HOST "X: a\rY: b\r\n", "bare CR" },
	{ 400, GET HOST "X: a\r\r\n", "bare CR" },
	{ 400, GET HOST "X : a\r\n", "name is not a token" },
	{ 400, GET HOST "X\t: a\r\n", "name is not a token" },
	{ 400, GET HOST ": a\r\n", "name is not a token" },
	{ 400, GET HOST "X Y: a\r\n", "name is not a token" },
	{ 400, GET HOST "\xc3\xbc: a\r\n", "name is not a token" },
	{ 400, GET HOST "X\r\n", "without a colon" },
	{ 400, GET HOST SWITCH VERSION KEY "Content-Length: 5\r\n", "no body" },
	{ 400, GET HOST SWITCH VERSION KEY "Content-Length: 0\r\n", "no body" },
	{ 400, GET HOST SWITCH VERSION KEY "Transfer-Encoding: chunked\r\n",
	    "no body" },
	{ 400, GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n", "twice" },
	{ 400, GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
	    "twice" },
	{ 400, GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
	    "twice" },
	{ 400, GET HOST "Transfer-Encoding: x\r\nTransfer-Encoding: y\r\n",
	    "twice" },
	{ 400, GET HOST "Content-Length:\r\n", "no number" },
	{ 400, GET HOST "Content-Length: -1\r\n", "no number" },
	{ 400, GET HOST "Content-Length: +1\r\n", "no number" },
	{ 400, GET HOST "Content-Length: 0x5\r\n", "no number" },
	{ 400, GET HOST "Content-Length: 5, 5\r\n", "no number" },
	{ 400, GET HOST "Content-Length: 99999999999\r\n", "no number" },
};

START_TEST(h1_to_h6_h11_a_handshake_has_one_answer_however_it_drips)
{
	const struct handshake *h = &handshakes[_i];
	char text[1024];
	int status;

	snprintf(text, sizeof text, "%s\r\n", h->text);
	status = answer_text(text);
	ck_assert_msg(status == h->status, "%d, not %d, to:\n%s", status,
	    h->status, text);
	ck_assert_msg(strstr(reason, h->says) != NULL, "\"%s\" to:\n%s", reason,
	    text);
}
END_TEST

START_TEST(h11_only_a_tab_may_be_among_the_control_characters)
{
	for (int c = 0; c < 256; c++) {
		bool refused = (c < ' ' && c != '\t') || c == 0x7f;
		char text[] = GET HOST SWITCH VERSION KEY "X: a?b\r\n\r\n";

		*strchr(text, '?') = (char)c;
		ck_assert_msg(answer(text, sizeof text - 1) ==
			(refused ? 400 : 101),
		    "%02x", (unsigned)c);
	}
}
END_TEST

START_TEST(h11_a_header_name_is_a_token)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz:";

	for (int c = 0; c < 256; c++) {
		bool fine = c != '\0' && strchr(allowed, c) != NULL;
		char text[] = GET HOST SWITCH VERSION KEY "a?b: x\r\n\r\n";

		*strchr(text, '?') = (char)c;
		ck_assert_msg(answer(text, sizeof text - 1) ==
			(fine ? 101 : 400),
		    "%02x", (unsigned)c);
	}
}
END_TEST

START_TEST(h11_a_nul_is_refused_before_its_line_ends)
{
	ck_assert_int_eq(read_dripping("GET /\0", 6), -400);
	ck_assert_str_eq(reason, "a NUL in the head");
	/* What TLS says to a port that speaks none. */
	ck_assert_int_eq(read_dripping("\x16\x03\x01\x00", 4), -400);
}
END_TEST

static void
fill(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_putc(&head, 'x');
	}
}

/* A head whose last header makes a line of `len` bytes. */
static void
make_line(size_t len)
{
	buf_reset(&head);
	buf_puts(&head, GET HOST SWITCH VERSION KEY "X: ");
	fill(len - 3);
	buf_puts(&head, "\r\n\r\n");
}

START_TEST(h9_a_line_of_4096_bytes_is_read_and_4097_are_not)
{
	make_line(HTTP_LINE_MAX - 1);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	make_line(HTTP_LINE_MAX);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	make_line(HTTP_LINE_MAX + 1);
	ck_assert_int_eq(answer(head.data, head.len), 431);
	ck_assert_str_eq(reason, "a line is longer than 4096 bytes");
}
END_TEST

START_TEST(h9_a_line_is_refused_with_its_first_byte_too_many)
{
	fill(HTTP_LINE_MAX);
	ck_assert_int_eq(answer(head.data, head.len), 0);
	fill(1);
	ck_assert_int_eq(answer(head.data, head.len), 431);

	/* An end may still come where the limit is. */
	buf_reset(&head);
	fill(HTTP_LINE_MAX);
	buf_putc(&head, '\r');
	ck_assert_int_eq(answer(head.data, head.len), 0);
}
END_TEST

static void
make_headers(int n)
{
	buf_reset(&head);
	buf_puts(&head, GET HOST SWITCH VERSION KEY);
	for (int i = 5; i < n; i++) {
		buf_printf(&head, "X-%d: y\r\n", i);
	}
}

START_TEST(h9_64_headers_are_read_and_65_are_not)
{
	for (int n = HTTP_HEADERS_MAX - 1; n <= HTTP_HEADERS_MAX + 1; n++) {
		make_headers(n);
		buf_puts(&head, "\r\n");
		ck_assert_int_eq(answer(head.data, head.len),
		    n <= HTTP_HEADERS_MAX ? 101 : 431);
	}
	ck_assert_str_eq(reason, "more than 64 headers");
}
END_TEST

START_TEST(h9_a_header_too_many_is_refused_with_its_first_byte)
{
	make_headers(HTTP_HEADERS_MAX);
	ck_assert_int_eq(answer(head.data, head.len), 0);
	buf_putc(&head, 'X');
	ck_assert_int_eq(answer(head.data, head.len), 431);
}
END_TEST

/* A head of `len` bytes in lines that are within their limit. */
static void
make_head(size_t len)
{
	buf_reset(&head);
	buf_puts(&head, GET HOST SWITCH VERSION KEY "X: ");
	fill(4000);
	buf_puts(&head, "\r\nY: ");
	fill(len - head.len - 4);
	buf_puts(&head, "\r\n\r\n");
	ck_assert_uint_eq(head.len, len);
}

START_TEST(h9_a_head_of_8192_bytes_is_read_and_8193_are_not)
{
	make_head(HTTP_HEAD_MAX - 1);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	make_head(HTTP_HEAD_MAX);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	make_head(HTTP_HEAD_MAX + 1);
	ck_assert_int_eq(answer(head.data, head.len), 431);
	ck_assert_str_eq(reason, "the head is longer than 8192 bytes");
	/* Its end is not waited for. */
	ck_assert_int_eq(answer(head.data, HTTP_HEAD_MAX), 431);
	ck_assert_int_eq(answer(head.data, HTTP_HEAD_MAX - 1), 0);
}
END_TEST

START_TEST(h15_what_follows_the_head_is_left_alone)
{
	static const char frame[] = "\x81\x83\0\0\0\0\n\r\n";
	size_t len;

	buf_puts(&head, GET HOST SWITCH VERSION KEY "\r\n");
	len = head.len;
	buf_add(&head, frame, sizeof frame - 1);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	fill(HTTP_HEAD_MAX);
	ck_assert_int_eq(http_read(head.data, head.len, &req, &reason),
	    (int)len);
}
END_TEST

static const struct offer {
	const char *headers;
	const char *protocol;
	bool ours;
} offers[] = {
	{ "", NULL, false },
	{ "Sec-WebSocket-Protocol: arqonbus.v1\r\n", "arqonbus.v1", true },
	{ "Sec-WebSocket-Protocol: chat ,arqonbus.v1\r\n", "chat ,arqonbus.v1",
	    true },
	{ "Sec-WebSocket-Protocol: arqonbus.v10, xarqonbus.v1\r\n",
	    "arqonbus.v10, xarqonbus.v1", false },
	{ "Sec-WebSocket-Protocol: ARQONBUS.V1\r\n", "ARQONBUS.V1", false },
	{ "Sec-WebSocket-Protocol: Arqonbus.v1, arqonbus.v1\r\n",
	    "Arqonbus.v1, arqonbus.v1", true },
	{ "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: more\r\n",
	    "chat", false },
	{ "Sec-WebSocket-Protocol: chat\r\n"
	  "Sec-WebSocket-Protocol: arqonbus.v1\r\n",
	    "arqonbus.v1", true },
	{ "Sec-WebSocket-Protocol: arqonbus.v1\r\n"
	  "Sec-WebSocket-Protocol: chat\r\n",
	    "arqonbus.v1", true },
};

START_TEST(h12_our_subprotocol_is_found_and_others_do_not_matter)
{
	const struct offer *o = &offers[_i];

	buf_printf(&head, "%s%s\r\n", GET HOST SWITCH VERSION KEY, o->headers);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	assert_slice(req.protocol, o->protocol);
	ck_assert_int_eq(http_has_subprotocol(req.protocol), o->ours);
}
END_TEST

#define PMD "permessage-deflate"
#define ACCEPTED PMD "; server_no_context_takeover; client_no_context_takeover"

static const struct extension {
	const char *headers;
	const char *deflate;
} extensions[] = {
	{ "", NULL },
	{ "Sec-WebSocket-Extensions:\r\n", NULL },
	{ "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n", NULL },
	{ "Sec-WebSocket-Extensions: " PMD "; client_max_window_bits\r\n",
	    ACCEPTED },
	{ "sec-websocket-extensions:" PMD "\t\r\n", ACCEPTED },
	{ "Sec-WebSocket-Extensions: " PMD "; server_max_window_bits=10\r\n",
	    NULL },
	{ "Sec-WebSocket-Extensions: " PMD "; server_max_window_bits=10\r\n"
	  "Sec-WebSocket-Extensions: foo, " PMD "\r\n",
	    ACCEPTED },
	{ "Sec-WebSocket-Extensions: foo\r\n"
	  "Sec-WebSocket-Extensions: " PMD "\r\n"
	  "Sec-WebSocket-Extensions: bar\r\n",
	    ACCEPTED },
	/* The client would rather have the first. */
	{ "Sec-WebSocket-Extensions: " PMD "; server_max_window_bits=15\r\n"
	  "Sec-WebSocket-Extensions: " PMD "\r\n",
	    ACCEPTED "; server_max_window_bits=15" },
	{ "Sec-WebSocket-Extensions: " PMD "\r\n"
	  "Sec-WebSocket-Extensions: " PMD "; server_max_window_bits=15\r\n",
	    ACCEPTED },
	/* A line that makes no sense is not one with the next. */
	{ "Sec-WebSocket-Extensions: foo; bar=\"\r\n"
	  "Sec-WebSocket-Extensions: " PMD "\r\n",
	    ACCEPTED },
	{ "Sec-WebSocket-Extensions: " PMD ";\r\n"
	  "Sec-WebSocket-Extensions: client_max_window_bits\r\n",
	    NULL },
	{ "Sec-WebSocket-Extension: " PMD "\r\n", NULL },
};

START_TEST(offers_of_compression_are_one_list_over_all_lines)
{
	const struct extension *e = &extensions[_i];

	buf_printf(&head, "%s%s\r\n", GET HOST SWITCH VERSION KEY, e->headers);
	ck_assert_int_eq(answer(head.data, head.len), 101);
	ck_assert_msg((req.deflate == NULL) == (e->deflate == NULL) &&
		(req.deflate == NULL || strcmp(req.deflate, e->deflate) == 0),
	    "\"%s\" to:\n%s", req.deflate == NULL ? "nothing" : req.deflate,
	    e->headers);
}
END_TEST

static const struct plain {
	const char *text;
	bool keeps_alive;
	bool wants_upgrade;
	bool has_body;
} plains[] = {
	{ "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false },
	{ "GET /health HTTP/1.0\r\n\r\n", false, false, false },
	{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false,
	    false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n"
	  "\r\n",
	    false, false, false },
	{ GET HOST "Connection: close\r\n\r\n", false, false, false },
	{ GET HOST "Connection: x, CLOSE\r\n\r\n", false, false, false },
	{ GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n", false,
	    false, false },
	{ GET HOST "Connection: close\r\nConnection: x\r\n\r\n", false, false,
	    false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: x\r\n\r\n",
	    true, false, false },
	{ GET HOST "Connection: closed\r\n\r\n", true, false, false },
	{ GET HOST "Connection: Upgrade\r\n\r\n", true, false, false },
	{ GET HOST "Upgrade:\r\n\r\n", true, true, false },
	{ GET HOST "Sec-WebSocket-Extensions: x\r\n\r\n", true, true, false },
	{ GET HOST "sec-websocket-key: x\r\n\r\n", true, true, false },
	{ GET HOST "Sec-WebSocket: x\r\n\r\n", true, false, false },
	{ GET HOST "Content-Length: 0\r\n\r\n", true, false, false },
	{ GET HOST "Content-Length: 00\r\n\r\n", true, false, false },
	{ GET HOST "Content-Length: 10\r\n\r\n", true, false, true },
	{ GET HOST "Transfer-Encoding: chunked\r\n\r\n", true, false, true },
};

START_TEST(a_request_that_is_no_upgrade_is_read_all_the_same)
{
	const struct plain *p = &plains[_i];

	ck_assert_int_eq(read_dripping(p->text, strlen(p->text)),
	    (int)strlen(p->text));
	ck_assert_int_eq(http_keeps_alive(&req), p->keeps_alive);
	ck_assert_int_eq(req.wants_upgrade, p->wants_upgrade);
	ck_assert_int_eq(req.has_body, p->has_body);
}
END_TEST

START_TEST(one_request_is_read_at_a_time)
{
	const char *first = "GET /a?x HTTP/1.1\r\nHost: a\r\n\r\n";
	const char *second = "HEAD /b HTTP/1.0\r\n\r\n";

	buf_puts(&head, first);
	buf_puts(&head, second);
	ck_assert_int_eq(read_dripping(head.data, head.len),
	    (int)strlen(first));
	assert_slice(req.path, "/a");
	assert_slice(req.query, "x");
	ck_assert_int_eq(read_dripping(head.data + strlen(first),
			     strlen(second)),
	    (int)strlen(second));
	assert_slice(req.method, "HEAD");
	assert_slice(req.host, NULL);
}
END_TEST

static const struct target {
	const char *target, *path, *query;
} targets[] = {
	{ "/", "/", NULL },
	{ "/?", "/", "" },
	{ "/a/b?c=d?e", "/a/b", "c=d?e" },
	{ "?x", "/", "x" },
	{ "*", "*", NULL },
	{ "http://bus/ws?a", "/ws", "a" },
	{ "HTTP://bus:1/ws", "/ws", NULL },
	{ "http://bus", "/", NULL },
	{ "http://bus?a", "/", "a" },
	{ "http://", "http://", NULL },
	{ "/\xc3\xbc", "/\xc3\xbc", NULL },
};

START_TEST(a_target_is_a_path_and_a_query)
{
	const struct target *t = &targets[_i];

	buf_printf(&head, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", t->target);
	ck_assert_int_gt(read_dripping(head.data, head.len), 0);
	assert_slice(req.path, t->path);
	assert_slice(req.query, t->query);
}
END_TEST

/* The value of "token" in a query, NULL when there is none; room for eight
 * bytes. */
static const struct param {
	const char *query, *value;
} params[] = {
	{ "", NULL },
	{ "token", NULL },
	{ "token=", "" },
	{ "token=abc", "abc" },
	{ "a=1&token=abc&b=2", "abc" },
	{ "&&token=abc&", "abc" },
	{ "token=1&token=2", "1" },
	{ "tokens=1&xtoken=2&Token=3&token=4", "4" },
	{ "token=a=b", "a=b" },
	{ "token=a+b%20c", "a b c" },
	{ "token=%41%5a%2b%e2%82%AC", "AZ+\xe2\x82\xac" },
	{ "token=12345678", "12345678" },
	{ "token=1234567%38", "12345678" },
	{ "token=123456789", NULL },
	{ "token=a%00b", NULL },
	{ "token=%", NULL },
	{ "token=%4", NULL },
	{ "token=%4&a=1", NULL },
	{ "token=%zz", NULL },
	{ "token=%4g", NULL },
	{ "token=%+1", NULL },
	{ "token=%:0", NULL },
	{ "token=%@0", NULL },
	{ "token=%GG", NULL },
};

START_TEST(a_parameter_is_decoded_or_refused)
{
	const struct param *p = &params[_i];
	size_t query_len = strlen(p->query);
	char *exact = malloc(query_len > 0 ? query_len : 1);
	size_t len = 99;
	char out[8];
	bool found;

	memcpy(exact, p->query, query_len);
	found = http_param((struct aqb_slice){ exact, query_len }, "token", out,
	    sizeof out, &len);
	free(exact);
	ck_assert_msg(found == (p->value != NULL), "%s", p->query);
	if (found) {
		assert_slice((struct aqb_slice){ out, len }, p->value);
	}
}
END_TEST

START_TEST(every_byte_but_nul_can_be_percent_encoded)
{
	for (unsigned c = 0; c < 256; c++) {
		char query[8], out[1];
		size_t len = 0;

		snprintf(query, sizeof query, "a=%%%02x", c);
		ck_assert_int_eq(http_param((struct aqb_slice){ query, 5 }, "a",
				     out, sizeof out, &len),
		    c != 0);
		ck_assert(c == 0 || (len == 1 && out[0] == (char)c));
	}
}
END_TEST

START_TEST(what_is_absent_holds_nothing)
{
	struct aqb_slice none = { NULL, 0 };
	char out[1];
	size_t len;

	ck_assert(!http_has_token(none, "close"));
	ck_assert(!http_param(none, "a", out, sizeof out, &len));
	ck_assert_int_eq(read_exactly("", 0), 0);
}
END_TEST

static void
add_tests(TCase *t)
{
	tcase_add_test(t, h1_a_good_handshake_is_taken_as_the_rfc_shows);
	tcase_add_loop_test(t,
	    h1_to_h6_h11_a_handshake_has_one_answer_however_it_drips, 0,
	    N(handshakes));
	tcase_add_test(t, h9_a_line_of_4096_bytes_is_read_and_4097_are_not);
	tcase_add_test(t, h9_a_line_is_refused_with_its_first_byte_too_many);
	tcase_add_test(t, h9_64_headers_are_read_and_65_are_not);
	tcase_add_test(t, h9_a_header_too_many_is_refused_with_its_first_byte);
	tcase_add_test(t, h9_a_head_of_8192_bytes_is_read_and_8193_are_not);
	tcase_add_test(t, h11_only_a_tab_may_be_among_the_control_characters);
	tcase_add_test(t, h11_a_header_name_is_a_token);
	tcase_add_test(t, h11_a_nul_is_refused_before_its_line_ends);
	tcase_add_loop_test(t,
	    h12_our_subprotocol_is_found_and_others_do_not_matter, 0,
	    N(offers));
	tcase_add_loop_test(t,
	    offers_of_compression_are_one_list_over_all_lines, 0,
	    N(extensions));
	tcase_add_test(t, h15_what_follows_the_head_is_left_alone);
	tcase_add_loop_test(t,
	    a_request_that_is_no_upgrade_is_read_all_the_same, 0, N(plains));
	tcase_add_test(t, one_request_is_read_at_a_time);
	tcase_add_loop_test(t, a_target_is_a_path_and_a_query, 0, N(targets));
	tcase_add_loop_test(t, a_parameter_is_decoded_or_refused, 0, N(params));
	tcase_add_test(t, every_byte_but_nul_can_be_percent_encoded);
	tcase_add_test(t, what_is_absent_holds_nothing);
}

int
main(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("http");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	add_tests(t);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

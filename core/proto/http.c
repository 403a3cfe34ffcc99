/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http.h"

#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "proto/deflate.h"

static int
refuse_with(int status, const char *reason, const char **reasonp)
{
	*reasonp = reason;
	return -status;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
http_is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct aqb_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!http_is_token_char(text.data[i])) {
			return false;
		}
	}
	return text.len > 0;
}

static struct aqb_slice
trim(struct aqb_slice text)
{
	while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 &&
	    (text.data[text.len - 1] == ' ' ||
		text.data[text.len - 1] == '\t')) {
		text.len--;
	}
	return text;
}

/* The same but for case, as names of headers and tokens in lists are. */
static bool
is(struct aqb_slice text, const char *want)
{
	return text.len == strlen(want) &&
	    strncasecmp(text.data, want, text.len) == 0;
}

/* Methods and versions are what they are. */
static bool
is_exactly(struct aqb_slice text, const char *want)
{
	return text.len == strlen(want) &&
	    memcmp(text.data, want, text.len) == 0;
}

/* One line off the bytes, without its CR LF.  1: there is one; 0: not yet;
 * negative: what to answer. */
static int
next_line(const char *data, size_t len, size_t *atp, struct aqb_slice *linep,
    const char **reasonp)
{
	const char *start = data + *atp;
	const char *end = data + len;

	for (const char *p = start; p < end; p++) {
		if (p - start > HTTP_LINE_MAX) {
			break;
		}
		if (*p == '\0' || *p == '\n') {
			return refuse_with(400,
			    *p == '\0' ? "a NUL in the head"
				       : "a bare LF in the head",
			    reasonp);
		}
		if (*p != '\r') {
			continue;
		}
		if (p + 1 == end) {
			return 0;
		}
		if (p[1] != '\n') {
			return refuse_with(400, "a bare CR in the head",
			    reasonp);
		}
		*linep = (struct aqb_slice){ start, (size_t)(p - start) };
		*atp = (size_t)(p + 2 - data);
		return 1;
	}
	if (end - start > HTTP_LINE_MAX) {
		return refuse_with(431, "a line is longer than 4096 bytes",
		    reasonp);
	}
	return 0;
}

static int
read_version(struct aqb_slice text, struct http_request *req,
    const char **reasonp)
{
	if (text.len != 8 || memcmp(text.data, "HTTP/", 5) != 0 ||
	    !is_digit(text.data[5]) || text.data[6] != '.' ||
	    !is_digit(text.data[7])) {
		return refuse_with(400, "not an HTTP request", reasonp);
	}
	if (!is_exactly(text, "HTTP/1.0") && !is_exactly(text, "HTTP/1.1")) {
		return refuse_with(505, "only HTTP/1.1 is spoken here",
		    reasonp);
	}
	req->minor = text.data[7] - '0';
	return 0;
}

/* A target in absolute form, as proxies send it (RFC 9112, 3.2.2), without
 * what stands before its path. */
static struct aqb_slice
origin_form(struct aqb_slice target)
{
	static const char scheme[] = "http://";
	const char *end = target.data + target.len;
	const char *p = target.data + sizeof scheme - 1;

	if (target.len < sizeof scheme ||
	    strncasecmp(target.data, scheme, sizeof scheme - 1) != 0) {
		return target;
	}
	while (p < end && *p != '/' && *p != '?') {
		p++;
	}
	return (struct aqb_slice){ p, (size_t)(end - p) };
}

static int
read_request_line(struct aqb_slice line, struct http_request *req,
    const char **reasonp)
{
	const char *end = line.data + line.len;
	const char *sp1 = memchr(line.data, ' ', line.len);
	const char *sp2, *mark;
	struct aqb_slice target;

	if (sp1 == NULL ||
	    (sp2 = memchr(sp1 + 1, ' ', (size_t)(end - sp1 - 1))) == NULL) {
		return refuse_with(400, "not an HTTP request", reasonp);
	}
	req->method =
	    (struct aqb_slice){ line.data, (size_t)(sp1 - line.data) };
	target = (struct aqb_slice){ sp1 + 1, (size_t)(sp2 - sp1 - 1) };
	if (!is_token(req->method) || target.len == 0) {
		return refuse_with(400, "not an HTTP request", reasonp);
	}
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.data[i];

		if (c <= ' ' || c == 0x7f) {
			return refuse_with(400,
			    "a control character in the target", reasonp);
		}
	}
	target = origin_form(target);
	mark = memchr(target.data, '?', target.len);
	req->path = target;
	if (mark != NULL) {
		req->path.len = (size_t)(mark - target.data);
		req->query.data = mark + 1;
		req->query.len = target.len - req->path.len - 1;
	}
	if (req->path.len == 0) {
		req->path = (struct aqb_slice){ "/", 1 };
	}
	return read_version((struct aqb_slice){ sp2 + 1,
				(size_t)(end - sp2 - 1) },
	    req, reasonp);
}

/* Where the value of a header goes that must come only once. */
static struct aqb_slice *
place_of(struct http_request *req, struct aqb_slice name)
{
	const struct {
		const char *name;
		struct aqb_slice *place;
	} known[] = {
		{ "host", &req->host },
		{ "origin", &req->origin },
		{ "sec-websocket-key", &req->key },
		{ "sec-websocket-version", &req->ws_version },
		{ "authorization", &req->authorization },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (is(name, known[i].name)) {
			return known[i].place;
		}
	}
	return NULL;
}

/* The lists that may come in several lines. */
static void
read_list(struct aqb_slice name, struct aqb_slice value,
    struct http_request *req)
{
	if (is(name, "connection")) {
		req->to_upgrade |= http_has_token(value, "upgrade");
		req->to_close |= http_has_token(value, "close");
		req->to_keep_alive |= http_has_token(value, "keep-alive");
	} else if (is(name, "upgrade")) {
		req->to_websocket |= http_has_token(value, "websocket");
	} else if (is(name, "sec-websocket-protocol") &&
	    (req->protocol.data == NULL || http_has_subprotocol(value))) {
		req->protocol = value;
	} else if (is(name, "sec-websocket-extensions") &&
	    req->deflate == NULL) {
		req->deflate = deflate_negotiate(value);
	}
}

static int
read_body_header(struct aqb_slice name, struct aqb_slice value,
    struct http_request *req, const char **reasonp)
{
	bool encoding = is(name, "transfer-encoding");

	if (!encoding && !is(name, "content-length")) {
		return 0;
	}
	/* Two ideas of where a body ends are how requests are smuggled. */
	if (req->has_length) {
		return refuse_with(400, "the length of the body is told twice",
		    reasonp);
	}
	req->has_length = true;
	req->has_body = encoding;
	if (encoding) {
		return 0;
	}
	if (value.len == 0 || value.len > 10) {
		return refuse_with(400, "Content-Length is no number", reasonp);
	}
	for (size_t i = 0; i < value.len; i++) {
		if (!is_digit(value.data[i])) {
			return refuse_with(400, "Content-Length is no number",
			    reasonp);
		}
		req->has_body |= value.data[i] != '0';
	}
	return 0;
}

/* A name or an address, and perhaps a port: the characters of RFC 3986, 3.2.2
 * and 3.2.3, but for the comma, which is how proxies join two of them. */
static bool
is_host(struct aqb_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !is_digit(c) &&
		    (c == '\0' || strchr("-._~%!$&'()*+;=:[]", c) == NULL)) {
			return false;
		}
	}
	return true;
}

static int
read_once(struct aqb_slice value, struct aqb_slice *place,
    const struct http_request *req, const char **reasonp)
{
	if (place->data != NULL) {
		return refuse_with(400,
		    "a header that must come once came twice", reasonp);
	}
	if (place == &req->host && !is_host(value)) {
		return refuse_with(400, "Host is not a host", reasonp);
	}
	*place = value;
	return 0;
}

static int
read_header(struct aqb_slice line, struct http_request *req,
    const char **reasonp)
{
	const char *colon = memchr(line.data, ':', line.len);
	struct aqb_slice name, value, *place;

	if (line.data[0] == ' ' || line.data[0] == '\t') {
		return refuse_with(400, "a folded header", reasonp);
	}
	if (colon == NULL) {
		return refuse_with(400, "a header without a colon", reasonp);
	}
	name = (struct aqb_slice){ line.data, (size_t)(colon - line.data) };
	if (!is_token(name)) {
		return refuse_with(400, "a header name is not a token",
		    reasonp);
	}
	value = trim((struct aqb_slice){ colon + 1, line.len - name.len - 1 });
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			return refuse_with(400,
			    "a control character in a header", reasonp);
		}
	}
	if (is(name, "upgrade") ||
	    (name.len > 14 &&
		strncasecmp(name.data, "sec-websocket-", 14) == 0)) {
		req->wants_upgrade = true;
	}
	place = place_of(req, name);
	if (place != NULL) {
		return read_once(value, place, req, reasonp);
	}
	read_list(name, value, req);
	return read_body_header(name, value, req, reasonp);
}

static int
read_headers(const char *data, size_t len, size_t at, struct http_request *req,
    const char **reasonp)
{
	for (int n = 0;; n++) {
		struct aqb_slice line;
		int got;

		/* One more has begun: no need to see its end. */
		if (n == HTTP_HEADERS_MAX && at < len && data[at] != '\r') {
			return refuse_with(431, "more than 64 headers",
			    reasonp);
		}
		got = next_line(data, len, &at, &line, reasonp);
		if (got <= 0) {
			return got;
		}
		if (line.len == 0) {
			break;
		}
		got = read_header(line, req, reasonp);
		if (got < 0) {
			return got;
		}
	}
	if (req->minor == 1 && req->host.data == NULL) {
		return refuse_with(400, "no Host header", reasonp);
	}
	return (int)at;
}

int
http_read(const char *data, size_t len, struct http_request *reqp,
    const char **reasonp)
{
	size_t at = 0;
	struct aqb_slice line;
	int got;

	*reqp = (struct http_request){ 0 };
	*reasonp = "";
	if (len > HTTP_HEAD_MAX) {
		len = HTTP_HEAD_MAX;
	}
	got = next_line(data, len, &at, &line, reasonp);
	if (got > 0) {
		got = read_request_line(line, reqp, reasonp);
		if (got == 0) {
			got = read_headers(data, len, at, reqp, reasonp);
		}
	}
	if (got == 0 && len == HTTP_HEAD_MAX) {
		return refuse_with(431, "the head is longer than 8192 bytes",
		    reasonp);
	}
	return got;
}

/* Take the first of a comma-separated list off it. */
static struct aqb_slice
take_one(struct aqb_slice *list)
{
	const char *comma = memchr(list->data, ',', list->len);
	struct aqb_slice one = *list;

	if (comma == NULL) {
		list->len = 0;
		return trim(one);
	}
	one.len = (size_t)(comma - list->data);
	list->data = comma + 1;
	list->len -= one.len + 1;
	return trim(one);
}

bool
http_has_token(struct aqb_slice list, const char *token)
{
	while (list.len > 0) {
		if (is(take_one(&list), token)) {
			return true;
		}
	}
	return false;
}

bool
http_has_subprotocol(struct aqb_slice list)
{
	while (list.len > 0) {
		struct aqb_slice one = take_one(&list);

		if (one.len == strlen(HTTP_SUBPROTOCOL) &&
		    memcmp(one.data, HTTP_SUBPROTOCOL, one.len) == 0) {
			return true;
		}
	}
	return false;
}

bool
http_keeps_alive(const struct http_request *req)
{
	return !req->to_close && (req->minor == 1 || req->to_keep_alive);
}

/* 16 bytes in base64: 22 characters, of which the last carries 4 bits that
 * must be 0, and two pads. */
static bool
is_key(struct aqb_slice key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	if (key.len != WS_KEY_LEN || key.data[22] != '=' ||
	    key.data[23] != '=') {
		return false;
	}
	for (size_t i = 0; i < 22; i++) {
		if (key.data[i] == '\0' ||
		    strchr(digits, key.data[i]) == NULL) {
			return false;
		}
	}
	return strchr("AQgw", key.data[21]) != NULL;
}

static int
answer(int status, const char *reason, const char **reasonp)
{
	*reasonp = reason;
	return status;
}

int
http_upgrade(const struct http_request *req, char accept[WS_ACCEPT_SIZE],
    const char **reasonp)
{
	if (!is_exactly(req->method, "GET")) {
		return answer(405, "an upgrade is a GET", reasonp);
	}
	if (req->minor != 1) {
		return answer(505, "an upgrade needs HTTP/1.1", reasonp);
	}
	if (req->has_length) {
		return answer(400, "an upgrade has no body", reasonp);
	}
	if (!req->to_websocket || !req->to_upgrade) {
		return answer(426, "only WebSocket is served here", reasonp);
	}
	if (!is_exactly(req->ws_version, "13")) {
		return answer(426, "Sec-WebSocket-Version must be 13", reasonp);
	}
	if (!is_key(req->key)) {
		return answer(400,
		    "Sec-WebSocket-Key must be 16 bytes in base64", reasonp);
	}
	ws_accept(req->key.data, accept);
	return answer(101, "", reasonp);
}

static bool
percent_decode(struct aqb_slice text, char *out, size_t size, size_t *lenp)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		int c = (unsigned char)text.data[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (text.len - i < 3 ||
			    hex_digit(text.data[i + 1]) < 0 ||
			    hex_digit(text.data[i + 2]) < 0) {
				return false;
			}
			c = hex_digit(text.data[i + 1]) << 4 |
			    hex_digit(text.data[i + 2]);
			i += 2;
		}
		if (c == 0 || n == size) {
			return false;
		}
		out[n++] = (char)c;
	}
	*lenp = n;
	return true;
}

bool
http_param(struct aqb_slice query, const char *name, char *out, size_t size,
    size_t *lenp)
{
	size_t name_len = strlen(name);

	while (query.len > 0) {
		const char *stop = memchr(query.data, '&', query.len);
		struct aqb_slice one = query;

		if (stop != NULL) {
			one.len = (size_t)(stop - query.data);
		}
		if (one.len > name_len && one.data[name_len] == '=' &&
		    memcmp(one.data, name, name_len) == 0) {
			one.data += name_len + 1;
			one.len -= name_len + 1;
			return percent_decode(one, out, size, lenp);
		}
		if (stop == NULL) {
			break;
		}
		query.data = stop + 1;
		query.len -= one.len + 1;
	}
	return false;
}

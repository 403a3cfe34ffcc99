/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIS_PORT 6379
#define SENTINEL_PORT 26379
#define DATABASE_MAX 65535

enum scheme { SCHEME_TCP, SCHEME_UNIX, SCHEME_SENTINEL };

static const struct {
	const char *prefix;
	enum scheme scheme;
} schemes[] = {
	{ "redis://", SCHEME_TCP },
	{ "valkey://", SCHEME_TCP },
	{ "unix://", SCHEME_UNIX },
	{ "redis+unix://", SCHEME_UNIX },
	{ "valkey+unix://", SCHEME_UNIX },
	{ "redis+sentinel://", SCHEME_SENTINEL },
	{ "valkey+sentinel://", SCHEME_SENTINEL },
};

static int refuse(struct aqb_why *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
refuse(struct aqb_why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	return AQB_EINVAL;
}

/* Copy, at most size - 1 bytes; false when that is too little. */
static bool
copy(char *out, size_t size, const char *text, size_t len)
{
	if (len >= size) {
		return false;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copy and decode %XX; no NUL may come out. */
static bool
decode(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0)) {
				return false;
			}
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (n + 1 >= size) {
			return false;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

static bool
parse_number(const char *text, size_t len, uint32_t max, uint32_t *np)
{
	uint32_t n = 0;

	if (len == 0 || len > 9) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return false;
		}
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	*np = n;
	return n <= max;
}

/* `user:password@`, `:password@`, or nothing; returns what follows. */
static const char *
parse_user(const char *p, const char *end, struct url *url, struct aqb_why *why)
{
	const char *at = memchr(p, '@', (size_t)(end - p));
	const char *colon;

	if (at == NULL) {
		return p;
	}
	colon = memchr(p, ':', (size_t)(at - p));
	if (colon == NULL) {
		refuse(why,
		    "url: a user needs a password; write "
		    "user:password@ or :password@");
		return NULL;
	}
	if (!decode(url->user, sizeof url->user, p, (size_t)(colon - p)) ||
	    !decode(url->password, sizeof url->password, colon + 1,
		(size_t)(at - colon - 1))) {
		refuse(why,
		    "url: user or password is too long, or has a "
		    "wrong %%XX");
		return NULL;
	}
	return at + 1;
}

/* One `host`, `host:port`, `[address]`, `[address]:port`. */
static int
parse_node(const char *p, size_t len, struct url *url, uint16_t port,
    struct aqb_why *why)
{
	struct url_node *node = &url->node[url->nodes];
	const char *end = p + len;
	const char *host = p, *host_end;
	uint32_t n = port;

	if (url->nodes == URL_NODES_MAX) {
		return refuse(why, "url: more than %d hosts", URL_NODES_MAX);
	}
	if (len > 0 && *p == '[') {
		host++;
		host_end = memchr(host, ']', (size_t)(end - host));
		p = host_end == NULL ? end : host_end + 1;
	} else {
		host_end = memchr(host, ':', len);
		host_end = host_end == NULL ? end : host_end;
		p = host_end;
	}
	if (host_end == NULL || host_end == host ||
	    !copy(node->host, sizeof node->host, host,
		(size_t)(host_end - host))) {
		return refuse(why, "url: a host is missing or too long");
	}
	if (p < end &&
	    (*p != ':' ||
		!parse_number(p + 1, (size_t)(end - p - 1), 65535, &n) ||
		n == 0)) {
		return refuse(why, "url: \"%.*s\" is no port", (int)(end - p),
		    p);
	}
	node->port = (uint16_t)n;
	url->nodes++;
	return AQB_OK;
}

static int
parse_nodes(const char *p, const char *end, struct url *url, uint16_t port,
    struct aqb_why *why)
{
	int err = AQB_OK;

	while (err == AQB_OK) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma == NULL ? end : comma;

		err = parse_node(p, (size_t)(stop - p), url, port, why);
		if (comma == NULL) {
			break;
		}
		p = comma + 1;
	}
	return err;
}

static int
parse_database(const char *p, size_t len, struct url *url, struct aqb_why *why)
{
	if (len > 0 && !parse_number(p, len, DATABASE_MAX, &url->database)) {
		return refuse(why,
		    "url: \"%.*s\" is no database; write a "
		    "number",
		    (int)len, p);
	}
	return AQB_OK;
}

static int
parse_tcp(const char *p, struct url *url, struct aqb_why *why)
{
	const char *slash = p + strcspn(p, "/");
	int err;

	p = parse_user(p, slash, url, why);
	if (p == NULL) {
		return AQB_EINVAL;
	}
	err = parse_nodes(p, slash, url, REDIS_PORT, why);
	if (err == AQB_OK && url->nodes > 1) {
		return refuse(why,
		    "url: one host, not %zu; only "
		    "redis+sentinel:// takes several",
		    url->nodes);
	}
	if (err != AQB_OK || *slash == '\0') {
		return err;
	}
	return parse_database(slash + 1, strlen(slash + 1), url, why);
}

static int
parse_sentinel(const char *p, struct url *url, struct aqb_why *why)
{
	const char *slash = p + strcspn(p, "/");
	const char *name;
	size_t len;
	int err;

	p = parse_user(p, slash, url, why);
	if (p == NULL) {
		return AQB_EINVAL;
	}
	err = parse_nodes(p, slash, url, SENTINEL_PORT, why);
	if (err != AQB_OK) {
		return err;
	}
	name = *slash == '\0' ? slash : slash + 1;
	len = strcspn(name, "/");
	if (len == 0 || !copy(url->master, sizeof url->master, name, len)) {
		return refuse(why,
		    "url: the name of the master is missing or "
		    "too long; write redis+sentinel://"
		    "host:26379/name");
	}
	if (name[len] == '\0') {
		return AQB_OK;
	}
	return parse_database(name + len + 1, strlen(name + len + 1), url, why);
}

static int
parse_unix(const char *p, struct url *url, struct aqb_why *why)
{
	const char *slash = strchr(p, '/');
	size_t len;

	if (slash != NULL) {
		p = parse_user(p, slash, url, why);
	}
	if (p == NULL) {
		return AQB_EINVAL;
	}
	if (p != slash) {
		return refuse(why, "url: a socket's path begins with /");
	}
	len = strcspn(p, "?");
	if (!copy(url->path, sizeof url->path, p, len)) {
		return refuse(why,
		    "url: the socket's path has %zu bytes, the "
		    "limit is %zu",
		    len, sizeof url->path - 1);
	}
	if (p[len] == '\0') {
		return AQB_OK;
	}
	if (strncmp(p + len, "?db=", 4) != 0) {
		return refuse(why,
		    "url: \"%.40s\" is not known; write ?db=", p + len);
	}
	return parse_database(p + len + 4, strlen(p + len + 4), url, why);
}

int
url_parse(const char *text, struct url *url, struct aqb_why *why)
{
	memset(url, 0, sizeof *url);
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t len = strlen(schemes[i].prefix);

		if (strncmp(text, schemes[i].prefix, len) != 0) {
			continue;
		}
		switch (schemes[i].scheme) {
		case SCHEME_TCP:
			return parse_tcp(text + len, url, why);
		case SCHEME_UNIX:
			return parse_unix(text + len, url, why);
		case SCHEME_SENTINEL:
			return parse_sentinel(text + len, url, why);
		}
	}
	if (strncmp(text, "rediss://", 9) == 0) {
		return refuse(why,
		    "url: no TLS to Redis; use a unix socket, "
		    "a private network, or stunnel");
	}
	return refuse(why,
	    "url: begins with none of redis://, valkey://, "
	    "unix://, redis+sentinel://");
}

void
url_describe(const struct url *url, char *text, size_t size)
{
	if (url->path[0] != '\0') {
		snprintf(text, size, "%s", url->path);
	} else if (url->master[0] != '\0') {
		snprintf(text, size, "%s by Sentinel", url->master);
	} else {
		snprintf(text, size, "%s:%u", url->node[0].host,
		    url->node[0].port);
	}
}

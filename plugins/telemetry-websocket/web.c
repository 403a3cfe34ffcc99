/* SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "access.h"

/* The longest head of a response, and one piece of it to write. */
#define HEAD_MAX 1024
#define PIECE (32u * 1024)

/* Room for what the broker says of its health and version. */
#define HEALTH_SIZE 8192

#define JSON "application/json"
#define PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

#define NO_TOKEN "{\"error\":\"show the token of the telemetry port\"}"

enum page {
	PAGE_HEALTH,
	PAGE_LIVE,
	PAGE_VERSION,
	PAGE_METRICS,
	PAGE_NONE,
};

static const struct {
	const char *path;
	enum page page;
} pages[] = {
	{ "/health", PAGE_HEALTH },
	{ "/health/live", PAGE_LIVE },
	{ "/health/ready", PAGE_HEALTH },
	{ "/version", PAGE_VERSION },
	{ "/metrics", PAGE_METRICS },
};

/* What to answer.  `body` is to be freed. */
struct answer {
	unsigned status;
	const char *type;
	char *body;
	size_t len;
	const char *header; /* one more, "name:" and value, or NULL */
	const char *value;
};

static enum page
page_of(const char *path)
{
	size_t i;

	for (i = 0; i < sizeof pages / sizeof pages[0]; i++) {
		if (strcmp(pages[i].path, path) == 0) {
			return pages[i].page;
		}
	}
	return PAGE_NONE;
}

static void
refusal(struct answer *a, unsigned status, const char *body)
{
	a->status = status;
	a->type = JSON;
	a->body = strdup(body);
	a->len = a->body == NULL ? 0 : strlen(body);
}

static void
tell_state(struct answer *a, const struct plane *plane, enum page page)
{
	char text[HEALTH_SIZE] = "{}";

	if (page == PAGE_VERSION) {
		plane->host->version(plane->host, text, sizeof text);
		refusal(a, HTTP_STATUS_OK, text);
		return;
	}
	a->status = (unsigned)plane->host->health(plane->host,
	    page == PAGE_LIVE, text, sizeof text);
	refusal(a, a->status, text);
}

static void
tell_metrics(struct answer *a, const struct plane *plane)
{
	a->body = plane->host->metrics_snapshot(plane->host, &a->len);
	if (a->body == NULL) {
		refusal(a, HTTP_STATUS_SERVICE_UNAVAILABLE,
		    "{\"error\":\"no memory for the metrics\"}");
		return;
	}
	a->status = HTTP_STATUS_OK;
	a->type = PROMETHEUS;
}

static void
decide(struct answer *a, const struct plane *plane, struct lws *wsi,
    const char *path, int method)
{
	enum page page = page_of(path);

	if (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD) {
		refusal(a, HTTP_STATUS_METHOD_NOT_ALLOWED,
		    "{\"error\":\"only GET and HEAD are answered here\"}");
		a->header = "allow:";
		a->value = "GET, HEAD";
	} else if (page != PAGE_HEALTH && page != PAGE_LIVE &&
	    !access_allows(wsi, plane->conf->token)) {
		refusal(a, HTTP_STATUS_UNAUTHORIZED, NO_TOKEN);
		a->header = "www-authenticate:";
		a->value = "Bearer";
	} else if (page == PAGE_NONE) {
		refusal(a, HTTP_STATUS_NOT_FOUND,
		    "{\"error\":\"connect with WebSocket, or GET /health, "
		    "/version or /metrics\"}");
	} else if (page == PAGE_METRICS) {
		tell_metrics(a, plane);
	} else {
		tell_state(a, plane, page);
	}
}

static bool
add_header(struct lws *wsi, const char *name, const char *value,
    unsigned char **p, unsigned char *end)
{
	return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
		   (const unsigned char *)value, (int)strlen(value), p,
		   end) == 0;
}

/* Write the head to *p.  False when it does not fit. */
static bool
write_head(const struct answer *a, bool closes, struct lws *wsi,
    unsigned char **p, unsigned char *end)
{
	return lws_add_http_common_headers(wsi, a->status, a->type, a->len, p,
		   end) == 0 &&
	    add_header(wsi, "cache-control:", "no-store", p, end) &&
	    (!closes || add_header(wsi, "connection:", "close", p, end)) &&
	    (a->header == NULL ||
		add_header(wsi, a->header, a->value, p, end)) &&
	    lws_finalize_http_header(wsi, p, end) == 0;
}

/* Build head and body in one, so that most responses are one system call. */
static bool
build(struct web *web, const struct answer *a, struct lws *wsi, bool has_body)
{
	size_t len = has_body ? a->len : 0;
	unsigned char *p, *end;

	web_drop(web);
	if (a->body == NULL) {
		return false;
	}
	web->text = malloc(LWS_PRE + HEAD_MAX + len);
	if (web->text == NULL) {
		return false;
	}
	p = web->text + LWS_PRE;
	end = p + HEAD_MAX;
	if (!write_head(a, web->closes, wsi, &p, end)) {
		web_drop(web);
		return false;
	}
	memcpy(p, a->body, len);
	web->len = (size_t)(p - web->text) - LWS_PRE + len;
	return true;
}

int
web_request(struct web *web, const struct plane *plane, struct lws *wsi,
    const char *path)
{
	struct answer a = { .status = 0 };
	char *uri;
	int uri_len;
	int method = lws_http_get_uri_and_method(wsi, &uri, &uri_len);
	bool built;

	/* What comes after the head of another method is not waited for. */
	web->closes = method != LWSHUMETH_GET && method != LWSHUMETH_HEAD;
	decide(&a, plane, wsi, path, method);
	built = build(web, &a, wsi, method != LWSHUMETH_HEAD);
	free(a.body);
	return built ? web_write(web, wsi) : -1;
}

int
web_write(struct web *web, struct lws *wsi)
{
	if (web->text == NULL) {
		return 0;
	}
	while (web->sent < web->len) {
		size_t left = web->len - web->sent;
		size_t n = left > PIECE ? PIECE : left;

		if (lws_write(wsi, web->text + LWS_PRE + web->sent, n,
			n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
		    0) {
			return -1;
		}
		web->sent += n;
		if (web->sent < web->len && lws_partial_buffered(wsi)) {
			lws_callback_on_writable(wsi);
			return 0;
		}
	}
	web_drop(web);
	return web->closes || lws_http_transaction_completed(wsi) ? -1 : 0;
}

void
web_drop(struct web *web)
{
	free(web->text);
	web->text = NULL;
	web->len = 0;
	web->sent = 0;
}

/* Is the subprotocol, if one is offered, one that we speak?  Among strangers
 * only, the library would hang up without a word. */
static bool
offers_ours(struct lws *wsi)
{
	char text[256];
	char *next = text;
	const char *name;
	int n = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_PROTOCOL);

	if (n <= 0) {
		return lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) == 0;
	}
	while ((name = strsep(&next, ", \t")) != NULL) {
		if (strcmp(name, TELEMETRY_PROTOCOL) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * Answer at once instead of upgrading, in bytes of our own: at this point the
 * library has not read yet which version of HTTP it speaks, and would say 1.0,
 * which WebSocket clients do not understand.
 */
static int
turn_away(struct lws *wsi, const char *status, const char *header,
    const char *body)
{
	char text[LWS_PRE + HEAD_MAX];
	char *start = text + LWS_PRE;
	int len;

	len = snprintf(start, HEAD_MAX,
	    "HTTP/1.1 %s\r\ncontent-type: " JSON "\r\ncontent-length: %zu\r\n"
	    "cache-control: no-store\r\nconnection: close\r\n%s\r\n%s",
	    status, strlen(body), header, body);
	(void)lws_write(wsi, (unsigned char *)start, (size_t)len,
	    LWS_WRITE_HTTP_FINAL);
	return -1;
}

int
web_upgrade(const struct plane *plane, struct lws *wsi, uint32_t n,
    const char *protocol)
{
	if (strcasecmp(protocol, "websocket") != 0) {
		return turn_away(wsi, "400 Bad Request", "",
		    "{\"error\":\"only WebSocket may be upgraded to\"}");
	}
	if (!access_allows(wsi, plane->conf->token)) {
		return turn_away(wsi, "401 Unauthorized",
		    "www-authenticate: Bearer\r\n", NO_TOKEN);
	}
	if (!offers_ours(wsi)) {
		return turn_away(wsi, "400 Bad Request", "",
		    "{\"error\":\"offer subprotocol " TELEMETRY_PROTOCOL
		    ", or none\"}");
	}
	if (n >= plane->conf->max_viewers) {
		return turn_away(wsi, "503 Service Unavailable",
		    "retry-after: 5\r\n",
		    "{\"error\":\"max_viewers are watching already\"}");
	}
	return 0;
}

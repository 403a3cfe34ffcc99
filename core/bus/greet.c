/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/greet.h"

#include <string.h>

#include "base/buf.h"
#include "base/why.h"
#include "bus/session.h"
#include "bus/text.h"
#include "proto/http.h"

/* Room for the longest value there may be, and one byte to see that it was
 * longer. */
#define VALUE_SIZE 1100

struct query {
	char client_type[64];
	char screen_name[VALUE_SIZE];
	char avatar[VALUE_SIZE];
	char personality[VALUE_SIZE];
	char alias[VALUE_SIZE];
	char session[SESSION_TOKEN_SIZE + 64];
	char token[VALUE_SIZE];
	char binary[8];
};

/* The value of a parameter, or NULL when it is not there. */
static const char *
param(const char *query, const char *name, char *text, size_t size)
{
	struct aqb_slice q = { query, strlen(query) };
	size_t len;

	if (!http_param(q, name, text, size - 1, &len)) {
		return NULL;
	}
	text[len] = '\0';
	return text;
}

#define PARAM(q, name) param(hello->query, #name, (q)->name, sizeof(q)->name)

static bool
is_true(const char *text)
{
	return text != NULL &&
	    (strcmp(text, "1") == 0 || strcmp(text, "true") == 0);
}

static void
welcome(struct client *client)
{
	struct bus *bus = client->bus;
	char token[SESSION_TOKEN_SIZE];
	struct buf b = { 0 };

	session_token(bus->session, client->id, token);
	text_begin(&b, bus, "system");
	buf_printf(&b,
	    ",\"payload\":{\"event\":\"welcome\",\"client_id\":\"%s\","
	    "\"session\":\"%s\",\"resumed\":%s,\"server\":\"ArqonBus/%s\","
	    "\"protocol\":\"1.0\",\"max_message_size\":%u,"
	    "\"ping_interval\":%llu}}",
	    client->id, token, client->resumed ? "true" : "false",
	    bus->conf.version, bus->conf.max_message_size,
	    (unsigned long long)bus->conf.ping_interval);
	bus_send_text(client, &b);
	buf_fini(&b);
}

/* One thing said wrongly must not undo the rest: each is tried alone, and
 * the refusals follow the welcome. */
static void
identify_each(struct client *client, const struct aqb_identity *all,
    bool after_welcome)
{
	struct aqb_identity one[] = {
		{ .binary = -1, .session = all->session },
		{ .binary = -1, .client_type = all->client_type },
		{ .binary = -1, .screen_name = all->screen_name },
		{ .binary = -1, .avatar = all->avatar },
		{ .binary = -1, .personality = all->personality },
		{ .binary = -1, .alias = all->alias },
		{ .binary = -1, .token = all->token },
		{ .binary = all->binary },
	};

	for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
		struct aqb_why why = { 0 };
		enum aqb_code code;

		if ((i > 0) != after_welcome) {
			continue; /* the id is in the welcome */
		}
		code = client_identify(client, &one[i], &why);
		if (code != AQB_CODE_OK && !client->dropped) {
			client_error(client, (struct aqb_slice){ NULL, 0 },
			    code, &why);
		}
	}
}

void
greet(struct client *client, const struct port_hello *hello)
{
	struct query q;
	struct aqb_identity said = {
		.size = sizeof said,
		.client_type = PARAM(&q, client_type),
		.screen_name = PARAM(&q, screen_name),
		.avatar = PARAM(&q, avatar),
		.personality = PARAM(&q, personality),
		.alias = PARAM(&q, alias),
		.session = PARAM(&q, session),
		.token = PARAM(&q, token),
		.binary = is_true(PARAM(&q, binary)) ? 1 : -1,
	};

	if (hello->token != NULL) {
		said.token = hello->token;
	}
	identify_each(client, &said, false);
	welcome(client);
	identify_each(client, &said, true);
}

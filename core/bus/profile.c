/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "base/why.h"
#include "bus/alias.h"
#include "bus/card.h"
#include "proto/name.h"

#define SCREEN_NAME_MAX 128
#define AVATAR_MAX 1024
#define PERSONALITY_MAX 256

static const char *const type_names[CLIENT_TYPES] = {
	[CLIENT_HUMAN] = "human",
	[CLIENT_AI_AGENT] = "ai-agent",
	[CLIENT_DASHBOARD] = "dashboard",
	[CLIENT_SERVICE] = "service",
};

const char *
client_type_name(enum client_type type)
{
	return type_names[type];
}

bool
client_type_parse(const char *name, enum client_type *typep)
{
	for (int i = CLIENT_UNKNOWN + 1; i < CLIENT_TYPES; i++) {
		if (strcmp(name, type_names[i]) == 0) {
			*typep = (enum client_type)i;
			return true;
		}
	}
	return false;
}

void
profile_free(struct profile **profilep)
{
	struct profile *p = *profilep;

	*profilep = NULL;
	if (p == NULL) {
		return;
	}
	free(p->screen_name);
	free(p->avatar);
	free(p->personality);
	free(p->alias);
	free(p);
}

static enum aqb_code
check_text(const char *text, const char *field, size_t max, struct aqb_why *why)
{
	size_t len;

	if (text == NULL) {
		return AQB_CODE_OK;
	}
	len = strlen(text);
	if (len > max) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, field,
		    "%s: %zu bytes is over the limit of %zu", field, len, max);
	}
	if (!utf8_valid(text, len)) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, field,
		    "%s: not valid UTF-8", field);
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			return reject(why, AQB_CODE_INVALID_ARGUMENT, field,
			    "%s: must not hold control characters", field);
		}
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check_alias(const struct client *client, const char *alias, struct aqb_why *why)
{
	const struct client *holder;
	size_t len;

	if (alias == NULL || *alias == '\0') {
		return AQB_CODE_OK;
	}
	len = strlen(alias);
	if (!alias_valid(alias, len)) {
		return reject(why, AQB_CODE_INVALID_NAME, "alias",
		    "alias: must be 1 to %d of A-Z a-z 0-9 _ . - and begin "
		    "with neither . nor arq_",
		    AQB_NAME_MAX);
	}
	holder = alias_find(client->bus, alias, len);
	if ((holder != NULL && holder != client) ||
	    alias_is_elsewhere(client, alias)) {
		return reject(why, AQB_CODE_ALIAS_TAKEN, "alias",
		    "alias: \"%s\" is taken by another client", alias);
	}
	return AQB_CODE_OK;
}

static enum aqb_code
check(const struct client *client, const struct aqb_identity *identity,
    struct aqb_why *why)
{
	enum client_type type;
	enum aqb_code code;

	if (identity->client_type != NULL && *identity->client_type != '\0' &&
	    !client_type_parse(identity->client_type, &type)) {
		return reject(why, AQB_CODE_INVALID_ARGUMENT, "client_type",
		    "client_type: none of human, ai-agent, dashboard, "
		    "service");
	}
	if ((code = check_text(identity->screen_name, "screen_name",
		 SCREEN_NAME_MAX, why)) != AQB_CODE_OK ||
	    (code = check_text(identity->avatar, "avatar", AVATAR_MAX, why)) !=
		AQB_CODE_OK ||
	    (code = check_text(identity->personality, "personality",
		 PERSONALITY_MAX, why)) != AQB_CODE_OK) {
		return code;
	}
	return check_alias(client, identity->alias, why);
}

/* NULL leaves it, "" takes it away. */
static bool
set_text(char **place, const char *text)
{
	char *copy = NULL;

	if (text == NULL) {
		return true;
	}
	if (*text != '\0') {
		copy = try_strndup(text, strlen(text));
		if (copy == NULL) {
			return false;
		}
	}
	free(*place);
	*place = copy;
	return true;
}

static enum aqb_code
set_alias(struct client *client, const char *alias)
{
	struct profile *p = client->profile;
	bool had;

	if (alias == NULL ||
	    (p->alias != NULL && strcmp(p->alias, alias) == 0)) {
		return AQB_CODE_OK;
	}
	if (*alias != '\0') {
		enum aqb_code code = alias_add(client, alias);

		if (code != AQB_CODE_OK) {
			return code;
		}
	}
	had = p->alias != NULL;
	if (had) {
		alias_remove(client->bus, p->alias);
	}
	if (!set_text(&p->alias, alias)) {
		alias_remove(client->bus, alias);
		free(p->alias);
		p->alias = NULL;
		return AQB_CODE_INTERNAL;
	}
	if (had) {
		card_share_now(client); /* before anybody else takes it */
	}
	return AQB_CODE_OK;
}

void
profile_lose_alias(struct client *client)
{
	char *alias = client->profile->alias;
	struct aqb_why why;

	client->profile->alias = NULL;
	alias_remove(client->bus, alias);
	reject(&why, AQB_CODE_ALIAS_TAKEN, "alias",
	    "alias: \"%s\" is taken away: a client of another node took it at "
	    "the same moment, and before",
	    alias);
	free(alias);
	client_error(client, (struct aqb_slice){ NULL, 0 },
	    AQB_CODE_ALIAS_TAKEN, &why);
	client_tell_identity(client);
	cluster_touch(client);
}

/* Its channels count their members by type. */
static void
set_type(struct client *client, const char *name)
{
	enum client_type type = CLIENT_UNKNOWN;

	if (name == NULL) {
		return;
	}
	if (*name != '\0') {
		client_type_parse(name, &type);
	}
	client_retype(client, type);
}

enum aqb_code
profile_set(struct client *client, const struct aqb_identity *identity,
    struct aqb_why *why)
{
	enum aqb_code code = check(client, identity, why);

	if (code != AQB_CODE_OK) {
		return code;
	}
	if (client->profile == NULL &&
	    (identity->screen_name != NULL || identity->avatar != NULL ||
		identity->personality != NULL || identity->alias != NULL)) {
		client->profile = try_new(sizeof *client->profile);
		if (client->profile == NULL) {
			goto no_memory;
		}
	}
	set_type(client, identity->client_type);
	if (client->profile == NULL) {
		return AQB_CODE_OK;
	}
	if (!set_text(&client->profile->screen_name, identity->screen_name) ||
	    !set_text(&client->profile->avatar, identity->avatar) ||
	    !set_text(&client->profile->personality, identity->personality) ||
	    set_alias(client, identity->alias) != AQB_CODE_OK) {
		goto no_memory;
	}
	return AQB_CODE_OK;

no_memory:
	return reject(why, AQB_CODE_INTERNAL, NULL, "out of memory");
}

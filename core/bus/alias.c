/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/alias.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bus/remote.h"

struct alias {
	char name[AQB_NAME_MAX + 1];
	struct client *client;
	UT_hash_handle hh;
};

static struct alias *
find(const struct bus *bus, const char *name, size_t len)
{
	struct alias *a;

	HASH_FIND(hh, bus->aliases, name, len, a);
	return a;
}

struct client *
alias_find(const struct bus *bus, const char *name, size_t len)
{
	struct alias *a = find(bus, name, len);

	return a == NULL ? NULL : a->client;
}

bool
alias_is_elsewhere(const struct client *client, const char *name)
{
	const struct remote *r =
	    remote_find_alias(client->bus, name, strlen(name));

	return r != NULL && strcmp(r->id, client->id) != 0;
}

enum aqb_code
alias_add(struct client *client, const char *name)
{
	struct bus *bus = client->bus;
	size_t len = strlen(name);
	struct alias *a;

	if (find(bus, name, len) != NULL || alias_is_elsewhere(client, name)) {
		return AQB_CODE_ALIAS_TAKEN;
	}
	a = try_new(sizeof *a);
	if (a == NULL) {
		return AQB_CODE_INTERNAL;
	}
	memcpy(a->name, name, len + 1);
	a->client = client;
	HASH_ADD(hh, bus->aliases, name, len, a);
	if (!HASH_WAS_ADDED(a)) {
		free(a);
		return AQB_CODE_INTERNAL;
	}
	return AQB_CODE_OK;
}

void
alias_remove(struct bus *bus, const char *name)
{
	struct alias *a = find(bus, name, strlen(name));

	if (a != NULL) {
		HASH_DEL(bus->aliases, a);
		free(a);
	}
}

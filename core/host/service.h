/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_SERVICE_H
#define HOST_SERVICE_H

/* The host's services: the table that each plugin is given. */

#include <stdatomic.h>

#include <arqonbus/plugin.h>

struct desk;
struct loop;
struct plugins;

/* What higher layers do for plugins, handed down when the broker is put
 * together. */
struct service_hooks {
	const struct aqb_bus *bus;
	void (*reply)(aqb_ticket call, const char *result, size_t len);
	void (*fail)(aqb_ticket call, enum aqb_code code,
	    const struct aqb_why *why);
	char *(*config)(size_t *lenp);
	void (*version)(char *text, size_t size);
};

/* What all plugins' services share. */
struct service_env {
	struct loop *loop;
	struct desk *desk;
	struct plugins *plugins;
	struct service_hooks hooks;
};

/* One plugin's. */
struct service {
	struct aqb_host host; /* first: plugins hold a pointer to it */
	const struct service_env *env;
	char *plugin; /* its name */
	bool gone;
	atomic_uint refs; /* the plugin, and posts that have not run */
};

/* `env` lives longer; of it `plugins` may be filled in later, the hooks may
 * not. */
struct service *service_new(const struct service_env *env, const char *plugin);

/*
 * The plugin is no more.  Its posts that have not run never will; they keep
 * the service till then, and their number is returned: its own threads may be
 * at work, and its code must stay.  `keep` leaves the service there for one
 * that may still use it.  NULL is fine.
 */
unsigned service_drop(struct service **sp, bool keep);

#endif

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
	const char *plugin;
	atomic_uint posts; /* waiting to run */
};

void service_init(struct service *s, const struct service_env *env,
    const char *plugin);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZOO_H
#define ZOO_H

/*
 * The zoo: plugins that are broken, each in one way, and a few that are not
 * and stand beside them.  What happens to one is told in the broker's log, in
 * one word: that is what the tests read.
 */

#include <stdlib.h>

#include <arqonbus/plugin.h>

/* A table with a head that AQB_PLUGIN would not make. */
#define ZOO_PLUGIN(...)                                                       \
	__attribute__((visibility("default"))) extern const struct aqb_plugin \
	    arqonbus_plugin;                                                  \
	const struct aqb_plugin arqonbus_plugin = { __VA_ARGS__ }

/* Never freed: it is one a plugin, and a test looks for it after fini. */
static const struct aqb_host *zoo_host;

static inline void
zoo_says(const char *word)
{
	zoo_host->log(zoo_host, AQB_INFO, "%s", word);
}

static inline int
zoo_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	(void)conf;
	(void)why;
	zoo_host = host;
	*selfp = malloc(1);
	zoo_says("init");
	return *selfp != NULL ? AQB_OK : AQB_ENOMEM;
}

static inline int
zoo_start(void *self, struct aqb_why *why)
{
	(void)self;
	(void)why;
	zoo_says("start");
	return AQB_OK;
}

static inline void
zoo_stop(void *self, aqb_ticket ticket)
{
	(void)self;
	zoo_says("stop");
	zoo_host->answer(zoo_host, ticket, AQB_OK, NULL);
}

static inline void
zoo_fini(void **selfp)
{
	zoo_says("fini");
	free(*selfp);
	*selfp = NULL;
}

#endif

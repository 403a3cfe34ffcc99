/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon: read the configuration, build the broker, run it. */

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/why.h"
#include "conf/conf.h"
#include "main/broker.h"
#include "main/version.h"

#define RESERVED_DESCRIPTORS 128 /* beside connections */
#define HEAP_KEPT (64 << 20)     /* bytes at its end, once they were used */
#define HEAP_LONE (4 << 20)      /* bytes of what is mapped by itself */

extern char **environ;

/* As many descriptors as the connections need, or as many connections as
 * there are descriptors. */
static void
fit_descriptors(struct conf *conf)
{
	rlim_t want = conf->server.max_connections + RESERVED_DESCRIPTORS;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0) {
		return;
	}
	if (rl.rlim_cur < want) {
		rl.rlim_cur = rl.rlim_max < want ? rl.rlim_max : want;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (rl.rlim_cur < want) {
		uint32_t fits = rl.rlim_cur > 2 * RESERVED_DESCRIPTORS
		    ? (uint32_t)rl.rlim_cur - RESERVED_DESCRIPTORS
		    : (uint32_t)rl.rlim_cur / 2;

		LOG(AQB_WARNING,
		    "max_connections is lowered to what the descriptor limit "
		    "allows; raise ulimit -n",
		    FN("wanted", conf->server.max_connections),
		    FN("max_connections", fits),
		    FN("descriptors", rl.rlim_cur));
		conf->server.max_connections = fits;
	}
}

/*
 * What goes through the broker comes and goes by the thousand.  glibc would
 * give the end of the heap back to the kernel each time it is free, to ask for
 * it again, page by page, a moment later.
 */
static void
keep_heap(void)
{
	mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
	mallopt(M_MMAP_THRESHOLD, HEAP_LONE);
}

static int
complain(const struct aqb_why *why)
{
	fprintf(stderr, "arqonbusd: %s\n", why->text);
	return 2;
}

static int
check(const struct conf *conf)
{
	struct broker *broker = broker_new(conf);
	struct aqb_why why = { 0 };
	int err = broker_check(broker, &why);

	broker_free(&broker);
	if (err != AQB_OK) {
		return complain(&why);
	}
	printf("configuration is right\n");
	return 0;
}

static int
serve(struct conf *conf)
{
	struct broker *broker;
	struct aqb_why why = { 0 };
	int status = 0;

	log_set_level((enum aqb_level)conf->log.level);
	if (!log_open(conf->log.file, conf->log.format == CONF_JSON)) {
		fprintf(stderr, "arqonbusd: log.file: %s: ", conf->log.file);
		perror("");
		return 2;
	}
	for (size_t i = 0; i < conf->nwarnings; i++) {
		LOG(AQB_WARNING, conf->warnings[i]);
	}
	fit_descriptors(conf);
	broker = broker_new(conf);
	if (broker_start(broker, &why) == AQB_OK) {
		broker_run(broker);
	} else {
		LOG(AQB_ERROR, "cannot start", F("why", why.text));
		status = 3;
	}
	broker_free(&broker);
	log_close();
	return status;
}

int
main(int argc, char **argv)
{
	struct conf *conf = conf_new();
	enum conf_action action = CONF_RUN;
	struct aqb_why why = { 0 };
	int status = 0;

	hash_init();
	keep_heap();
	signal(SIGPIPE, SIG_IGN);
	if (conf_load(conf, argc, argv, environ, &action, &why) != AQB_OK) {
		conf_free(&conf);
		return complain(&why);
	}
	switch (action) {
	case CONF_RUN:
		status = serve(conf);
		break;
	case CONF_CHECK:
		status = check(conf);
		break;
	case CONF_DUMP:
		conf_print(conf, stdout);
		break;
	case CONF_MDOC:
		conf_print_mdoc(stdout);
		break;
	case CONF_VERSION:
		printf("arqonbusd %s\n", ARQONBUS_VERSION);
		break;
	case CONF_HELP:
		conf_print_usage(stdout);
		break;
	}
	conf_free(&conf);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAIN_PAGES_H
#define MAIN_PAGES_H

/* What the data port answers to GET, and the numbers behind /metrics that no
 * single layer knows. */

#include <stdbool.h>
#include <stddef.h>

#include <arqonbus/abi.h>

struct buf;
struct bus;
struct conf;
struct crew;
struct plugins;
struct store;

struct pages {
	const struct conf *conf;
	struct bus *bus;
	struct store *store;
	const struct crew *crew;
	const struct plugins *plugins;
	int64_t started; /* wall clock, ms */
};

/* A net_conf.page; arg is the struct pages. */
int pages_get(void *arg, struct aqb_slice path, bool loopback,
    const char *address, struct buf *body, const char **typep);

/* Have /metrics show the bus, the storage, the connections and the
 * plugins. */
void pages_add_metrics(struct pages *pages);

/* /version's answer. */
void pages_version(char *text, size_t size);

#endif

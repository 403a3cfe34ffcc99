/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PAGE_H
#define BENCH_PAGE_H

/* A client of HTTP/1.1 that keeps its connection for some requests where the
 * server lets it, and then takes a new one. */

#include <stdbool.h>
#include <stdint.h>

struct bench_page {
	int fd; /* -1: none yet */
	uint16_t port;
	int used; /* requests on this connection */
};

/* Get one page of this machine's port.  True when it came whole, with 200,
 * each step within 5 s. */
bool bench_page_get(struct bench_page *p, const char *path);
void bench_page_close(struct bench_page *p);

#endif

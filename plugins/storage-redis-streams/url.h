/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

/*
 * Where Redis is:
 *
 *     redis://[[user]:password@]host[:port][/database]
 *     unix://[[user]:password@]/path/to/socket[?db=database]
 *     redis+sentinel://[[user]:password@]host[:port],../name[/database]
 *
 * and the same with valkey for redis.  User and password may hold %XX.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/error.h>

#define URL_NODES_MAX 9

struct url_node {
	char host[256]; /* a name, or a numeric address without brackets */
	uint16_t port;
};

struct url {
	char user[128];     /* "" is the default user */
	char password[512]; /* "" is none */
	uint32_t database;
	char path[108]; /* of a socket, or "" */
	struct url_node node[URL_NODES_MAX];
	size_t nodes;
	char master[128]; /* the nodes are Sentinels that know it, or "" */
};

/* AQB_OK; or AQB_EINVAL and a sentence that never holds the password. */
int url_parse(const char *text, struct url *url, struct aqb_why *why);

/* Where this is, for people: "127.0.0.1:6379", "/run/redis.sock". */
void url_describe(const struct url *url, char *text, size_t size);

#endif

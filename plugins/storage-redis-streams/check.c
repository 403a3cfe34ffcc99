/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "keep.h"
#include "redis.h"

#define DEGRADED_MS 1000
#define STRICT_MS 5000
#define AGAIN_MS 100
#define SENTINEL_MS 300

static int refuse(struct aqb_why *why, enum aqb_err err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
refuse(struct aqb_why *why, enum aqb_err err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	return err;
}

/* A command; NULL when there is no answer.  free it. */
static redisReply *
ask(redisContext *c, int argc, const char **argv)
{
	return redisCommandArgv(c, argc, argv, NULL);
}

static redisContext *
set_up(redisContext *c, struct timeval tv)
{
	if (c != NULL && c->err == 0) {
		redisSetTimeout(c, tv);
		reply_bound(c->reader, NULL);
	}
	return c;
}

static redisContext *
connect_to(const char *host, uint16_t port, uint64_t ms)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	return set_up(redisConnectWithTimeout(host, port, tv), tv);
}

/* Ask one Sentinel where the master is. */
static bool
ask_sentinel(const struct url *u, const struct url_node *node,
    struct url_node *master)
{
	const char *words[] = { "SENTINEL", "get-master-addr-by-name",
		u->master };
	redisContext *c = connect_to(node->host, node->port, SENTINEL_MS);
	redisReply *reply = c == NULL || c->err != 0 ? NULL : ask(c, 3, words);
	bool is_found = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
	    reply->elements == 2 &&
	    reply->element[0]->type == REDIS_REPLY_STRING &&
	    reply->element[1]->type == REDIS_REPLY_STRING;

	if (is_found) {
		snprintf(master->host, sizeof master->host, "%s",
		    reply->element[0]->str);
		master->port = (uint16_t)atoi(reply->element[1]->str);
	}
	freeReplyObject(reply);
	redisFree(c);
	return is_found;
}

static redisContext *
open_socket(const struct url *u, uint64_t ms)
{
	const struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };
	struct url_node master;

	if (u->path[0] != '\0') {
		return set_up(redisConnectUnixWithTimeout(u->path, tv), tv);
	}
	if (u->master[0] == '\0') {
		return connect_to(u->node[0].host, u->node[0].port, ms);
	}
	for (size_t i = 0; i < u->nodes; i++) {
		if (ask_sentinel(u, &u->node[i], &master)) {
			return connect_to(master.host, master.port, ms);
		}
	}
	return NULL;
}

/* Log in; AQB_EUNAVAIL: try again; AQB_EPERM: nobody mends that in time. */
static int
log_in(const struct redis *r, redisContext *c, struct aqb_why *why)
{
	const struct url *u = &r->url;
	char database[16];
	const char *auth[] = { "AUTH", u->user, u->password };
	const char *only[] = { "AUTH", u->password };
	const char *select[] = { "SELECT", database };
	const char *ping[] = { "PING" };
	redisReply *reply = NULL;
	enum reply_class class = REPLY_FINE;
	int err = AQB_OK;

	snprintf(database, sizeof database, "%u", u->database);
	if (u->password[0] != '\0') {
		reply = u->user[0] != '\0' ? ask(c, 3, auth) : ask(c, 2, only);
		class = reply_class(reply);
	}
	if (class == REPLY_FINE && u->database != 0) {
		freeReplyObject(reply);
		reply = ask(c, 2, select);
		class = reply_class(reply);
	}
	if (class == REPLY_FINE) {
		freeReplyObject(reply);
		reply = ask(c, 1, ping);
		class = reply_class(reply);
	}
	if (class != REPLY_FINE) {
		err = refuse(why,
		    reply == NULL || class == REPLY_ELSEWHERE ? AQB_EUNAVAIL
							      : AQB_EPERM,
		    "Redis: %.150s",
		    reply == NULL ? c->errstr : reply_text(reply));
	}
	freeReplyObject(reply);
	return err;
}

static int
try_once(const struct redis *r, uint64_t ms, redisContext **cp,
    struct aqb_why *why)
{
	redisContext *c = open_socket(&r->url, ms);
	char place[300];
	int err;

	url_describe(&r->url, place, sizeof place);
	if (c == NULL || c->err != 0) {
		err = refuse(why, AQB_EUNAVAIL, "Redis at %.120s: %.80s", place,
		    c == NULL ? "no Sentinel knows it" : c->errstr);
	} else {
		err = log_in(r, c, why);
	}
	if (err == AQB_OK) {
		*cp = c;
	} else {
		redisFree(c);
	}
	return err;
}

static int
reach(const struct redis *r, redisContext **cp, struct aqb_why *why)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	uint64_t patience = r->mode == MODE_STRICT ? STRICT_MS : DEGRADED_MS;
	uint64_t until = clock_ms() + patience;
	int err;

	for (;;) {
		err = try_once(r, patience, cp, why);
		if (err != AQB_EUNAVAIL || r->mode != MODE_STRICT ||
		    clock_ms() + AGAIN_MS >= until) {
			return err;
		}
		nanosleep(&pause, NULL);
	}
}

/* XADD NOMKSTREAM is of 6.2. */
static int
check_version(redisContext *c, struct aqb_why *why)
{
	const char *words[] = { "INFO", "server" };
	redisReply *reply = ask(c, 2, words);
	char version[32] = "";
	int major = 0, minor = 0;

	if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
		reply_info_word(reply->str, "redis_version", version,
		    sizeof version);
	}
	freeReplyObject(reply);
	if (sscanf(version, "%d.%d", &major, &minor) != 2) {
		return refuse(why, AQB_EPERM, "Redis: INFO tells no version");
	}
	if (major < 6 || (major == 6 && minor < 2)) {
		return refuse(why, AQB_EPERM,
		    "Redis: version %s; it must be 6.2 at least", version);
	}
	return AQB_OK;
}

/* A setting of Redis, if we may see it. */
static bool
get_setting(redisContext *c, const char *name, char *value, size_t size)
{
	const char *words[] = { "CONFIG", "GET", name };
	redisReply *reply = ask(c, 3, words);
	size_t len;
	const char *text = reply_string(reply_get(reply, name), &len);

	if (text != NULL) {
		snprintf(value, size, "%s", text);
	}
	freeReplyObject(reply);
	return text != NULL;
}

static int
check_settings(struct redis *r, redisContext *c, struct aqb_why *why)
{
	char policy[32], aof[8], fsync[16];

	if (get_setting(c, "maxmemory-policy", policy, sizeof policy) &&
	    strcmp(policy, "noeviction") != 0) {
		return refuse(why, AQB_EPERM,
		    "Redis: maxmemory-policy is %s, and would drop streams; "
		    "set noeviction, or check = no",
		    policy);
	}
	if (!get_setting(c, "appendonly", aof, sizeof aof) ||
	    !get_setting(c, "appendfsync", fsync, sizeof fsync)) {
		return AQB_OK;
	}
	if (strcmp(aof, "yes") != 0) {
		r->host->log(r->host, AQB_WARNING,
		    "Redis has no append-only file; a power cut takes "
		    "everything since its last snapshot");
	} else if (strcmp(fsync, "always") == 0) {
		r->stored_class = AQB_STORED_FSYNC;
	}
	return AQB_OK;
}

/* A connection to a Redis without enough replicas is well worth having: it is
 * a warning. */
static int
check_replicas(struct redis *r, redisContext *c, struct aqb_why *why)
{
	const char *info[] = { "INFO", "replication" };
	const char *wait[] = { "WAIT", "0", "1" };
	redisReply *reply = ask(c, 3, wait);
	enum reply_class class = reply_class(reply);
	uint64_t n = 0;
	char least[24];

	freeReplyObject(reply);
	if (class == REPLY_FORBIDDEN) {
		return refuse(why, AQB_EPERM,
		    "Redis: replicas needs a user that may WAIT");
	}
	reply = ask(c, 2, info);
	if (reply != NULL && reply->type == REDIS_REPLY_STRING &&
	    reply_info(reply->str, "connected_slaves", &n) &&
	    n < r->conf->replicas) {
		r->host->log(r->host, AQB_WARNING,
		    "Redis has %llu replicas; messages that are to be "
		    "replicated wait for %u",
		    (unsigned long long)n, r->conf->replicas);
	}
	freeReplyObject(reply);
	if (get_setting(c, "min-replicas-to-write", least, sizeof least) &&
	    strcmp(least, "0") == 0) {
		r->host->log(r->host, AQB_WARNING,
		    "Redis has min-replicas-to-write 0; a master that is cut "
		    "off from its replicas takes messages that a failover "
		    "loses");
	}
	return AQB_OK;
}

/* Is the connection of that broker still there? */
static bool
is_alive(redisContext *c, const char *owner, const char *boot)
{
	const char *words[] = { "CLIENT", "LIST", "ID", owner };
	redisReply *reply = ask(c, 4, words);
	char name[64];
	bool alive;

	snprintf(name, sizeof name, "name=arqonbus-%s", boot);
	alive = reply != NULL && reply->type == REDIS_REPLY_STRING &&
	    strstr(reply->str, name) != NULL;
	freeReplyObject(reply);
	return alive;
}

/* Two words of a hash say who has it: a connection, and a broker's boot. */
static bool
is_owned(redisContext *c, const char *key, const char *owner, const char *boot)
{
	const char *words[] = { "HMGET", key, owner, boot };
	redisReply *reply = ask(c, 4, words);
	bool is = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
	    reply->elements == 2 &&
	    reply->element[0]->type == REDIS_REPLY_STRING &&
	    reply->element[1]->type == REDIS_REPLY_STRING &&
	    is_alive(c, reply->element[0]->str, reply->element[1]->str);

	freeReplyObject(reply);
	return is;
}

static int
check_owner(const struct redis *r, redisContext *c, struct aqb_why *why)
{
	char key[80];

	snprintf(key, sizeof key, "%s:{ctl}:meta", r->conf->prefix);
	if (is_owned(c, key, "owner", "boot")) {
		return refuse(why, AQB_EEXIST,
		    "Redis: another broker uses the streams %s:*; stop it, or "
		    "give one of them another prefix%s",
		    r->conf->prefix,
		    r->conf->cluster ? "; both must have cluster = yes" : "");
	}
	return AQB_OK;
}

/* Have brokers that share the streams had them last? */
static bool
was_shared(const struct redis *r, redisContext *c)
{
	char key[80];
	const char *words[] = { "HGET", key, "boot" };
	redisReply *reply;
	size_t len;
	const char *boot;
	bool was;

	snprintf(key, sizeof key, "%s:{ctl}:meta", r->conf->prefix);
	reply = ask(c, 3, words);
	boot = reply_string(reply, &len);
	was = boot != NULL && strcmp(boot, "cluster") == 0;
	freeReplyObject(reply);
	return was;
}

/* Are they still there?  A lone broker's user may not be allowed to ask, and
 * need not where it never was so. */
static int
check_alone(const struct redis *r, redisContext *c, struct aqb_why *why)
{
	char nodes[80];
	const char *words[] = { "SMEMBERS", nodes };
	redisReply *reply;
	int err = AQB_OK;

	if (!was_shared(r, c)) {
		return AQB_OK;
	}
	snprintf(nodes, sizeof nodes, "%s:{ctl}:nodes", r->conf->prefix);
	reply = ask(c, 2, words);
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		err = refuse(why, AQB_EPERM,
		    "Redis: brokers with cluster = yes had the streams %s:*, "
		    "and whether they are gone cannot be seen: %.80s",
		    r->conf->prefix, reply_text(reply));
	}
	for (size_t i = 0; err == AQB_OK && reply != NULL &&
	     reply->type == REDIS_REPLY_ARRAY && i < reply->elements;
	     i++) {
		char key[300];

		snprintf(key, sizeof key, "%s:{ctl}:node:%.200s",
		    r->conf->prefix, reply->element[i]->str);
		if (is_owned(c, key, ".owner", ".boot")) {
			err = refuse(why, AQB_EEXIST,
			    "Redis: %.64s and perhaps others share the "
			    "streams %s:*; set cluster = yes, or another "
			    "prefix",
			    reply->element[i]->str, r->conf->prefix);
		}
	}
	freeReplyObject(reply);
	return err;
}

int
check_node(struct redis *r, const char *node, struct aqb_why *why)
{
	redisContext *c = NULL;
	int err = reach(r, &c, why);
	char key[300];

	if (err != AQB_OK) {
		return err;
	}
	snprintf(key, sizeof key, "%s:{ctl}:node:%.200s", r->conf->prefix,
	    node);
	if (is_owned(c, key, ".owner", ".boot")) {
		err = refuse(why, AQB_EEXIST,
		    "node: another broker on the streams %s:* is called "
		    "%.64s",
		    r->conf->prefix, node);
	}
	redisFree(c);
	return err;
}

int
check_redis(struct redis *r, struct aqb_why *why)
{
	redisContext *c = NULL;
	int err = reach(r, &c, why);

	if (err == AQB_EUNAVAIL && r->mode == MODE_DEGRADED) {
		r->host->log(r->host, AQB_WARNING, "%s; starting without it",
		    why->text);
		return AQB_OK;
	}
	if (err == AQB_OK) {
		err = check_version(c, why);
	}
	if (err == AQB_OK && r->conf->check) {
		err = check_settings(r, c, why);
	}
	if (err == AQB_OK && r->conf->replicas > 0 && !r->conf->cluster) {
		err = check_replicas(r, c, why);
	}
	if (err == AQB_OK) {
		err = check_owner(r, c, why);
	}
	if (err == AQB_OK && !r->conf->cluster) {
		err = check_alone(r, c, why);
	}
	if (err == AQB_OK) {
		keep_read(r, c);
	}
	redisFree(c);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

/* Entries of a page, or fields of what XINFO tells; and within those. */
#define ARRAY_MAX 65536
#define INNER_ARRAY_MAX 1024

#if HIREDIS_MAJOR == 0
typedef int array_size;
#else
typedef size_t array_size;
#endif

static redisReplyObjectFunctions make; /* as hiredis has them */

/* hiredis aborts the process when a reply comes that nobody asked for. */
static bool
is_due(const redisReadTask *task)
{
	const size_t *due = task->privdata;

	return task->parent != NULL || due == NULL || *due > 0;
}

/* In all of these NULL breaks the connection: "Out of memory". */
static void *
make_array(const redisReadTask *task, array_size n)
{
	array_size most = task->parent == NULL ? ARRAY_MAX : INNER_ARRAY_MAX;

	return n > most || !is_due(task) ? NULL : make.createArray(task, n);
}

static void *
make_string(const redisReadTask *task, char *text, size_t len)
{
	return is_due(task) ? make.createString(task, text, len) : NULL;
}

static void *
make_integer(const redisReadTask *task, long long n)
{
	return is_due(task) ? make.createInteger(task, n) : NULL;
}

static void *
make_nil(const redisReadTask *task)
{
	return is_due(task) ? make.createNil(task) : NULL;
}

void
reply_bound(struct redisReader *reader, size_t *due)
{
	static redisReplyObjectFunctions functions;

	if (make.createArray == NULL) {
		make = functions = *reader->fn;
		functions.createArray = make_array;
		functions.createString = make_string;
		functions.createInteger = make_integer;
		functions.createNil = make_nil;
	}
	reader->fn = &functions;
	reader->privdata = due;
}

/* Errors are known by how they begin.  A script that fails puts its own
 * words behind the error's. */
static const struct {
	const char *begins;
	enum reply_class class;
} errors[] = {
	{ "OOM", REPLY_BUSY },
	{ "MISCONF", REPLY_BUSY },
	{ "NOREPLICAS", REPLY_BUSY },
	{ "BUSY", REPLY_BUSY },
	{ "TRYAGAIN", REPLY_BUSY },
	{ "LOADING", REPLY_ELSEWHERE },
	{ "MASTERDOWN", REPLY_ELSEWHERE },
	{ "CLUSTERDOWN", REPLY_ELSEWHERE },
	{ "READONLY", REPLY_ELSEWHERE },
	{ "UNBLOCKED", REPLY_ELSEWHERE },
	{ "MOVED", REPLY_ELSEWHERE },
	{ "ASK", REPLY_ELSEWHERE },
	{ "WRONGTYPE", REPLY_CONFLICT },
	{ "NOAUTH", REPLY_FORBIDDEN },
	{ "WRONGPASS", REPLY_FORBIDDEN },
	{ "NOPERM", REPLY_FORBIDDEN },
	{ "ERR invalid password", REPLY_FORBIDDEN },
	{ "ERR The user executing the script can't run", REPLY_FORBIDDEN },
	{ "ERR The ID specified in XADD is equal or smaller", REPLY_BEHIND },
};

enum reply_class
reply_class(const redisReply *reply)
{
	if (reply == NULL) {
		return REPLY_UNKNOWN;
	}
	if (reply->type != REDIS_REPLY_ERROR) {
		return REPLY_FINE;
	}
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		if (strncmp(reply->str, errors[i].begins,
			strlen(errors[i].begins)) == 0) {
			return errors[i].class;
		}
	}
	return REPLY_UNKNOWN;
}

const char *
reply_text(const redisReply *reply)
{
	if (reply == NULL) {
		return "no answer";
	}
	return reply->type == REDIS_REPLY_ERROR ? reply->str
						: "an answer of another kind";
}

const char *
reply_string(const redisReply *reply, size_t *lenp)
{
	if (reply == NULL ||
	    (reply->type != REDIS_REPLY_STRING &&
		reply->type != REDIS_REPLY_STATUS)) {
		return NULL;
	}
	*lenp = (size_t)reply->len;
	return reply->str;
}

const redisReply *
reply_get(const redisReply *reply, const char *key)
{
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		return NULL;
	}
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		size_t len;
		const char *text = reply_string(reply->element[i], &len);

		if (text != NULL && len == strlen(key) &&
		    memcmp(text, key, len) == 0) {
			return reply->element[i + 1];
		}
	}
	return NULL;
}

static bool
read_digits(const char **pp, const char *end, uint64_t *np)
{
	const char *p = *pp;
	uint64_t n = 0;

	while (p < end && *p >= '0' && *p <= '9') {
		if (n > (UINT64_MAX - 9) / 10) {
			return false;
		}
		n = n * 10 + (uint64_t)(*p++ - '0');
	}
	if (p == *pp) {
		return false;
	}
	*pp = p;
	*np = n;
	return true;
}

bool
reply_id(const char *text, size_t len, uint64_t *erap, uint64_t *seqp)
{
	const char *end = text + len;

	return read_digits(&text, end, erap) && text < end && *text++ == '-' &&
	    read_digits(&text, end, seqp) && text == end;
}

static const char *
find_info(const char *info, const char *key)
{
	size_t len = strlen(key);
	const char *p = info;

	while (p != NULL) {
		if (strncmp(p, key, len) == 0 && p[len] == ':') {
			return p + len + 1;
		}
		p = strchr(p, '\n');
		p = p == NULL ? NULL : p + 1;
	}
	return NULL;
}

bool
reply_info(const char *info, const char *key, uint64_t *np)
{
	const char *p = find_info(info, key);

	return p != NULL && read_digits(&p, p + strlen(p), np);
}

bool
reply_info_word(const char *info, const char *key, char *word, size_t size)
{
	const char *p = find_info(info, key);
	size_t len = p == NULL ? 0 : strcspn(p, "\r\n");

	if (p == NULL || len >= size) {
		return false;
	}
	memcpy(word, p, len);
	word[len] = '\0';
	return true;
}

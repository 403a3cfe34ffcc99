/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

/* Reading what Redis answers: nothing in it is taken for granted. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

/* Make a connection refuse arrays that Redis would never send us, before it
 * makes room for them; and, unless `due` is NULL, whatever comes while *due,
 * how many replies are to come, is 0. */
void reply_bound(struct redisReader *reader, size_t *due);

/* What an error means for whoever gets it. */
enum reply_class {
	REPLY_FINE,      /* no error */
	REPLY_BUSY,      /* this Redis, later */
	REPLY_ELSEWHERE, /* not this Redis, or not yet: connect again */
	REPLY_BEHIND,    /* the id is not above the last one of the stream */
	REPLY_CONFLICT,  /* the key is somebody else's */
	REPLY_FORBIDDEN, /* wrong password, or not allowed */
	REPLY_UNKNOWN,   /* any other error, or nonsense */
};

enum reply_class reply_class(const redisReply *reply);

/* The text of an error, or what else is wrong. */
const char *reply_text(const redisReply *reply);

/* A text; NULL when it is none. */
const char *reply_string(const redisReply *reply, size_t *lenp);

/* The value under this key of a flat array of keys and values, or NULL. */
const redisReply *reply_get(const redisReply *reply, const char *key);

/* A stream's id, `era-seq`; false when it is none. */
bool reply_id(const char *text, size_t len, uint64_t *erap, uint64_t *seqp);

/* The number behind `key:` in what INFO says, or false. */
bool reply_info(const char *info, const char *key, uint64_t *np);
/* The word. */
bool reply_info_word(const char *info, const char *key, char *word,
    size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/session.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/rand.h"
#include "bus/alias.h"
#include "bus/profile.h"
#include "host/ask.h"
#include "host/store.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define SESSION_MAGIC 0x41f7c8d3u
#define MAC_LEN 16           /* bytes of the MAC that are used */
#define REMEMBERED_MAX 10000 /* clients that left */
#define REMEMBERED_MS (3600 * 1000u)
#define KEY_LEN 32
#define SHARE_AGAIN_MIN_MS 10 /* the storage is hardly there at the start */
#define SHARE_AGAIN_MAX_MS 1000

struct parted {
	char id[CLIENT_ID_SIZE];
	struct profile *profile;
	enum client_type type;
	uint64_t until; /* monotonic ms */
	TAILQ_ENTRY(parted) link;
	UT_hash_handle hh;
};

struct session {
	uint32_t magic;
	struct loop *loop;
	struct store *store;
	struct timer share_timer;
	uint64_t share_again; /* the next wait, ms */
	unsigned char key[KEY_LEN];
	unsigned char first_key[KEY_LEN]; /* before we learnt the shared one */
	struct parted *by_id;
	TAILQ_HEAD(parted_list, parted) by_age;
	size_t count;
};

static void share(void *arg);

static void
on_shared(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct session *s;

	OBJ_CAST(s, arg, SESSION_MAGIC);
	if (err != AQB_OK) {
		timer_set(s->loop, &s->share_timer, s->share_again);
		s->share_again = 2 * s->share_again > SHARE_AGAIN_MAX_MS
		    ? SHARE_AGAIN_MAX_MS
		    : 2 * s->share_again;
	} else if (answer->value.len != KEY_LEN) {
		LOG(AQB_ERROR,
		    "the kept session key is none; sessions end "
		    "with this broker",
		    FN("bytes", answer->value.len), FN("expected", KEY_LEN));
	} else {
		memcpy(s->key, answer->value.data, KEY_LEN);
	}
}

static void
share(void *arg)
{
	struct session *s;

	OBJ_CAST(s, arg, SESSION_MAGIC);
	store_keep(s->store, "session-key",
	    (struct aqb_slice){ (const char *)s->first_key, KEY_LEN },
	    on_shared, s);
}

struct session *
session_new(struct loop *loop, struct store *store)
{
	struct session *s = xnew(sizeof *s);

	s->magic = SESSION_MAGIC;
	s->loop = loop;
	s->store = store;
	timer_init(&s->share_timer, share, s);
	s->share_again = SHARE_AGAIN_MIN_MS;
	rand_bytes(s->key, sizeof s->key);
	memcpy(s->first_key, s->key, sizeof s->key);
	TAILQ_INIT(&s->by_age);
	return s;
}

void
session_share(struct session *s)
{
	OBJ_CHECK(s, SESSION_MAGIC);
	share(s);
}

static void
forget(struct session *s, struct parted *p)
{
	HASH_DEL(s->by_id, p);
	TAILQ_REMOVE(&s->by_age, p, link);
	s->count--;
	profile_free(&p->profile);
	free(p);
}

void
session_free(struct session **sessionp)
{
	struct session *s;

	if (*sessionp == NULL) {
		return;
	}
	OBJ_TAKE(s, sessionp, SESSION_MAGIC);
	timer_stop(&s->share_timer);
	while (!TAILQ_EMPTY(&s->by_age)) {
		forget(s, TAILQ_FIRST(&s->by_age));
	}
	OPENSSL_cleanse(s->key, sizeof s->key);
	OPENSSL_cleanse(s->first_key, sizeof s->first_key);
	s->magic = 0;
	free(s);
}

static void
mac(const unsigned char key[KEY_LEN], const char *id, size_t len,
    char hex[2 * MAC_LEN + 1])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	const unsigned char *done;

	done = HMAC(EVP_sha256(), key, KEY_LEN, (const unsigned char *)id, len,
	    md, &n);
	assert(done != NULL && n >= MAC_LEN);
	*hex_encode(md, MAC_LEN, hex) = '\0';
}

void
session_token(const struct session *s, const char *id,
    char token[SESSION_TOKEN_SIZE])
{
	size_t len = strlen(id);

	OBJ_CHECK(s, SESSION_MAGIC);
	memcpy(token, id, len);
	token[len] = '.';
	mac(s->key, id, len, token + len + 1);
}

static bool
is_mac(const unsigned char key[KEY_LEN], const char *id, size_t len,
    const char *given)
{
	char hex[2 * MAC_LEN + 1];

	mac(key, id, len, hex);
	return CRYPTO_memcmp(hex, given, 2 * MAC_LEN) == 0;
}

bool
session_check(const struct session *s, const char *token, size_t len,
    char id[CLIENT_ID_SIZE])
{
	const char *dot = memchr(token, '.', len);
	size_t id_len;

	OBJ_CHECK(s, SESSION_MAGIC);
	if (dot == NULL) {
		return false;
	}
	id_len = (size_t)(dot - token);
	if (id_len == 0 || id_len >= CLIENT_ID_SIZE ||
	    len - id_len - 1 != 2 * MAC_LEN) {
		return false;
	}
	if (!is_mac(s->key, token, id_len, dot + 1) &&
	    !is_mac(s->first_key, token, id_len, dot + 1)) {
		return false;
	}
	memcpy(id, token, id_len);
	id[id_len] = '\0';
	return true;
}

void
session_keep(struct session *s, const char *id, struct profile **profilep,
    enum client_type type)
{
	struct parted *p;
	struct parted *old;

	OBJ_CHECK(s, SESSION_MAGIC);
	if (*profilep == NULL && type == CLIENT_UNKNOWN) {
		return;
	}
	p = try_new(sizeof *p);
	if (p == NULL) {
		return;
	}
	memcpy(p->id, id, strlen(id) + 1);
	HASH_FIND(hh, s->by_id, p->id, strlen(p->id), old);
	if (old != NULL) {
		forget(s, old);
	}
	HASH_ADD(hh, s->by_id, id, strlen(p->id), p);
	if (!HASH_WAS_ADDED(p)) {
		free(p);
		return;
	}
	p->profile = *profilep;
	p->type = type;
	p->until = loop_now(s->loop) + REMEMBERED_MS;
	*profilep = NULL;
	TAILQ_INSERT_TAIL(&s->by_age, p, link);
	if (++s->count > REMEMBERED_MAX) {
		forget(s, TAILQ_FIRST(&s->by_age));
	}
}

void
session_remember(struct session *s, struct client *client)
{
	session_keep(s, client->id, &client->profile, client->type);
}

/* An alias that somebody took meanwhile does not come back. */
static void
give_alias(struct client *client, struct profile *profile)
{
	if (profile != NULL && profile->alias != NULL &&
	    alias_add(client, profile->alias) != AQB_CODE_OK) {
		free(profile->alias);
		profile->alias = NULL;
	}
}

void
session_recall(struct session *s, struct client *client)
{
	uint64_t now = loop_now(client->bus->loop);
	struct parted *p;

	OBJ_CHECK(s, SESSION_MAGIC);
	while ((p = TAILQ_FIRST(&s->by_age)) != NULL && p->until <= now) {
		forget(s, p);
	}
	HASH_FIND(hh, s->by_id, client->id, strlen(client->id), p);
	if (p == NULL || client->profile != NULL) {
		return;
	}
	give_alias(client, p->profile);
	client->profile = p->profile;
	p->profile = NULL;
	client->type = p->type;
	forget(s, p);
}

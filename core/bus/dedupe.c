/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/dedupe.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "base/rand.h"
#include "loop/loop.h"

#define DEDUPE_MAGIC 0xd6103be9u

/*
 * An entry is found by 128 bits of keyed hash of all that identifies it:
 * nobody can choose two that collide, and by chance it does not happen, so
 * the bytes themselves need not be kept.
 */
struct entry {
	struct sighting sighting; /* first: what callers hold */
	uint64_t key[2];
	uint64_t at; /* monotonic ms */
	TAILQ_ENTRY(entry) link;
	UT_hash_handle hh;
};

struct dedupe {
	uint32_t magic;
	uint32_t size;
	uint64_t window;
	struct loop *loop;
	uint64_t secret[2][2];
	struct entry *by_key;
	TAILQ_HEAD(entry_list, entry) by_age;
	size_t count;
};

struct dedupe *
dedupe_new(struct loop *loop, uint32_t size, uint64_t window)
{
	struct dedupe *d = xnew(sizeof *d);

	d->magic = DEDUPE_MAGIC;
	d->loop = loop;
	d->size = size;
	d->window = window;
	rand_bytes(d->secret, sizeof d->secret);
	TAILQ_INIT(&d->by_age);
	return d;
}

static void
drop(struct dedupe *d, struct entry *e)
{
	HASH_DEL(d->by_key, e);
	TAILQ_REMOVE(&d->by_age, e, link);
	d->count--;
	free(e);
}

void
dedupe_free(struct dedupe **dedupep)
{
	struct dedupe *d;

	if (*dedupep == NULL) {
		return;
	}
	OBJ_TAKE(d, dedupep, DEDUPE_MAGIC);
	while (!TAILQ_EMPTY(&d->by_age)) {
		drop(d, TAILQ_FIRST(&d->by_age));
	}
	d->magic = 0;
	free(d);
}

/* Forget what is too old, and the oldest when there is no room.  What is
 * still undecided stays: somebody holds it. */
static void
expire(struct dedupe *d, uint64_t now)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&d->by_age)) != NULL &&
	    e->sighting.pending == NULL &&
	    (now - e->at >= d->window || d->count >= d->size)) {
		drop(d, e);
	}
}

static void
make_key(const struct dedupe *d, const char *client_id, const char *stream,
    struct aqb_slice id, uint64_t key[2])
{
	char
	    text[AQB_CLIENT_ID_MAX + 2 * AQB_NAME_MAX + 6 * AQB_MSG_ID_MAX + 4];
	size_t client_len = strlen(client_id) + 1;
	size_t stream_len = strlen(stream) + 1;
	size_t len = client_len + stream_len + id.len;

	assert(len <= sizeof text);
	memcpy(text, client_id, client_len);
	memcpy(text + client_len, stream, stream_len);
	memcpy(text + client_len + stream_len, id.data, id.len);
	key[0] = hash_siphash13(d->secret[0], text, len);
	key[1] = hash_siphash13(d->secret[1], text, len);
}

struct sighting *
dedupe_look(struct dedupe *d, const char *client_id, const char *stream,
    struct aqb_slice id, struct sighting **newp)
{
	uint64_t now = loop_now(d->loop);
	uint64_t key[2];
	struct entry *e;

	OBJ_CHECK(d, DEDUPE_MAGIC);
	*newp = NULL;
	if (d->window == 0 || d->size == 0) {
		return NULL;
	}
	expire(d, now);
	make_key(d, client_id, stream, id, key);
	HASH_FIND(hh, d->by_key, key, sizeof key, e);
	if (e != NULL) {
		return &e->sighting;
	}
	e = try_new(sizeof *e);
	if (e == NULL) {
		return NULL;
	}
	memcpy(e->key, key, sizeof key);
	e->at = now;
	HASH_ADD(hh, d->by_key, key, sizeof e->key, e);
	if (!HASH_WAS_ADDED(e)) {
		free(e);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&d->by_age, e, link);
	d->count++;
	*newp = &e->sighting;
	return NULL;
}

void
dedupe_drop(struct dedupe *d, struct sighting **seenp)
{
	struct sighting *seen = *seenp;

	OBJ_CHECK(d, DEDUPE_MAGIC);
	*seenp = NULL;
	if (seen != NULL) {
		drop(d, OBJ_OF(seen, struct entry, sighting));
	}
}

size_t
dedupe_count(const struct dedupe *d)
{
	OBJ_CHECK(d, DEDUPE_MAGIC);
	return d->count;
}

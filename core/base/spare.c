/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spare.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define STEP 64                /* bytes from one size to the next */
#define SIZES 32               /* up to 2 KiB */
#define KEPT_MAX (256u * 1024) /* bytes of a size */

/* Sanitizers are to see each block come and go: gcc tells of them in one way,
 * clang in another. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_WATCHED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_WATCHED true
#endif
#endif
#ifndef IS_WATCHED
#define IS_WATCHED false
#endif

struct block {
	struct block *next;
};

static _Thread_local struct kept {
	struct block *first[SIZES];
	size_t bytes[SIZES];
	bool ends; /* with its thread */
} kept;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void
give_back(void *arg)
{
	struct kept *k = arg;

	for (size_t i = 0; i < SIZES; i++) {
		struct block *b;

		while ((b = k->first[i]) != NULL) {
			k->first[i] = b->next;
			free(b);
		}
		k->bytes[i] = 0;
	}
	k->ends = false; /* should there be more to free, it comes again */
}

static void
make_key(void)
{
	has_key = pthread_key_create(&key, give_back) == 0;
}

/* Whatever is kept here goes back when this thread ends. */
static bool
will_end(void)
{
	if (!kept.ends) {
		pthread_once(&once, make_key);
		kept.ends = has_key && pthread_setspecific(key, &kept) == 0;
	}
	return kept.ends;
}

static bool
is_kept(size_t size)
{
	return !IS_WATCHED && size <= (size_t)STEP * SIZES;
}

static size_t
index_of(size_t size)
{
	return size == 0 ? 0 : (size - 1) / STEP;
}

void *
spare_new(size_t size)
{
	size_t i = index_of(size);
	struct block *b;

	if (!is_kept(size)) {
		return malloc(size);
	}
	b = kept.first[i];
	if (b == NULL) {
		return malloc((i + 1) * STEP);
	}
	kept.first[i] = b->next;
	kept.bytes[i] -= (i + 1) * STEP;
	return b;
}

void
spare_free(void *p, size_t size)
{
	size_t i = index_of(size);
	struct block *b = p;

	if (b == NULL) {
		return;
	}
	if (!is_kept(size) || kept.bytes[i] + (i + 1) * STEP > KEPT_MAX ||
	    !will_end()) {
		free(b);
		return;
	}
	b->next = kept.first[i];
	kept.first[i] = b;
	kept.bytes[i] += (i + 1) * STEP;
}

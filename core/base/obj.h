/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_OBJ_H
#define BASE_OBJ_H

/*
 * Objects that know what they are.  The first member of such a struct is
 * `uint32_t magic`; every function that is handed one checks it, in release
 * builds too.
 */

#ifdef NDEBUG
#error "assertions stay on: build without NDEBUG"
#endif

#include <assert.h>
#include <stdint.h>

#define OBJ_CHECK(obj, want)                    \
	do {                                    \
		assert((obj) != NULL);          \
		assert((obj)->magic == (want)); \
	} while (0)

/* Turn a callback's void pointer back into what it was. */
#define OBJ_CAST(to, from, want)     \
	do {                         \
		(to) = (from);       \
		OBJ_CHECK(to, want); \
	} while (0)

/* Move *pp into `to` and leave NULL: the first line of a destructor. */
#define OBJ_TAKE(to, pp, want)        \
	do {                          \
		assert((pp) != NULL); \
		(to) = *(pp);         \
		*(pp) = NULL;         \
		OBJ_CHECK(to, want);  \
	} while (0)

/* The struct that this member is part of. */
#define OBJ_OF(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

/*
 * Hash tables: uthash, with a keyed hash so that a peer cannot choose names
 * that collide, and without its habit of exiting when memory is short.
 * Include this instead of <uthash.h>.
 *
 * An insertion that found no memory leaves the element out and its hh.tbl
 * NULL: ask with HASH_WAS_ADDED.
 */

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 of the bytes under this process's own random key. */
uint64_t hash_bytes(const void *data, size_t len);

/* SipHash-1-3 under a key of the caller's (Aumasson and Bernstein, 2012). */
uint64_t hash_siphash13(const uint64_t key[2], const void *data, size_t len);

/* Draw the key.  Once, before the first table is used. */
void hash_init(void);

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->hh.tbl = NULL)
#define HASH_FUNCTION(keyptr, keylen, hashv) \
	((hashv) = (unsigned)hash_bytes(keyptr, keylen))
#include <uthash.h>

#define HASH_WAS_ADDED(elt) ((elt)->hh.tbl != NULL)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"

#define MAILBOX_MAGIC 0x35c9d06bu
#define BLOCK_ENTRIES 32
#define CACHE_LINE 64
#define SPARE_MAX 8 /* blocks that were taken empty, for the putter */

/*
 * A list of blocks.  Entries are numbered from 0 for ever; entry i is in the
 * (i / BLOCK_ENTRIES)th block.  The putter links a new block behind the last
 * before it posts an entry in it, so a taker that sees the entry sees the
 * link.  Empty blocks go back, and at a steady pace nothing is allocated: the
 * taker pushes them on a stack, and the putter takes all of it at once.
 *
 * What each thread writes has cache lines of its own: they meet only in
 * `posted` and `taken`, once a batch and once an entry.
 */
struct block {
	struct block *next;
	char entry[];
};

struct mailbox {
	uint32_t magic;
	bool is_shared;
	size_t size;
	_Atomic(struct block *) spare;

	char apart1[CACHE_LINE];
	/* The putter's. */
	struct block *last;
	struct block *empty; /* taken from `spare` */
	uint64_t added;
	atomic_uint_fast64_t posted;

	char apart2[CACHE_LINE];
	/* The taker's. */
	struct block *first;
	uint64_t seen; /* of `posted` */
	int spares;    /* pushed since `spare` was last seen empty */
	atomic_uint_fast64_t taken;
};

static struct block *
block_new(struct mailbox *box)
{
	struct block *b;

	if (box->empty == NULL) {
		box->empty = atomic_exchange(&box->spare, NULL);
	}
	b = box->empty;
	if (b == NULL) {
		b = xnew(sizeof *b + BLOCK_ENTRIES * box->size);
	} else {
		box->empty = b->next;
	}
	b->next = NULL;
	return b;
}

/* Keep it for a block_new(). */
static void
block_free(struct mailbox *box, struct block *b)
{
	struct block *top = atomic_load(&box->spare);

	if (top == NULL) {
		box->spares = 0;
	}
	if (box->spares == SPARE_MAX) {
		free(b);
		return;
	}
	do {
		b->next = top;
	} while (!atomic_compare_exchange_weak(&box->spare, &top, b));
	box->spares++;
}

static void
free_list(struct block *b)
{
	while (b != NULL) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

struct mailbox *
mailbox_new(size_t entry_size)
{
	struct mailbox *box = xnew(sizeof *box);

	box->magic = MAILBOX_MAGIC;
	box->size = entry_size;
	box->first = box->last = block_new(box);
	return box;
}

void
mailbox_free(struct mailbox **boxp)
{
	struct mailbox *box;

	if (*boxp == NULL) {
		return;
	}
	OBJ_TAKE(box, boxp, MAILBOX_MAGIC);
	free_list(box->first);
	free_list(box->empty);
	free_list(atomic_load(&box->spare));
	box->magic = 0;
	free(box);
}

void
mailbox_share(struct mailbox *box)
{
	OBJ_CHECK(box, MAILBOX_MAGIC);
	assert(box->added == 0);
	box->is_shared = true;
}

void *
mailbox_add(struct mailbox *box)
{
	size_t at;
	char *p;

	OBJ_CHECK(box, MAILBOX_MAGIC);
	at = box->added % BLOCK_ENTRIES;
	if (at == 0 && box->added > 0) {
		box->last->next = block_new(box);
		box->last = box->last->next;
	}
	box->added++;
	p = box->last->entry + at * box->size;
	memset(p, 0, box->size);
	return p;
}

bool
mailbox_post(struct mailbox *box)
{
	OBJ_CHECK(box, MAILBOX_MAGIC);
	if (atomic_load_explicit(&box->posted, memory_order_relaxed) ==
	    box->added) {
		return false;
	}
	/* In one order for all with a loop's going to sleep; see loop_wake. */
	atomic_store(&box->posted, box->added);
	return true;
}

size_t
mailbox_count(const struct mailbox *box)
{
	OBJ_CHECK(box, MAILBOX_MAGIC);
	return box->added - atomic_load(&box->taken);
}

/* What the taker may see of what was added. */
static uint64_t
visible(const struct mailbox *box)
{
	return box->is_shared ? atomic_load(&box->posted) : box->added;
}

void *
mailbox_take(struct mailbox *box)
{
	uint64_t at;

	OBJ_CHECK(box, MAILBOX_MAGIC);
	at = atomic_load_explicit(&box->taken, memory_order_relaxed);
	if (at == box->seen) {
		box->seen = visible(box);
	}
	if (at == box->seen) {
		return NULL;
	}
	if (at % BLOCK_ENTRIES == 0 && at > 0) {
		struct block *b = box->first;

		box->first = b->next;
		block_free(box, b);
	}
	atomic_store_explicit(&box->taken, at + 1, memory_order_relaxed);
	return box->first->entry + at % BLOCK_ENTRIES * box->size;
}

bool
mailbox_is_empty(const struct mailbox *box)
{
	OBJ_CHECK(box, MAILBOX_MAGIC);
	return visible(box) ==
	    atomic_load_explicit(&box->taken, memory_order_relaxed);
}

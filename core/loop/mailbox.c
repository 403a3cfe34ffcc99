/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/mailbox.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"

#define MAILBOX_MAGIC 0x35c9d06bu
#define FIRST_CAP 64
#define KEEP_CAP 4096 /* entries' room kept when the box falls empty */

/* One array, filled at the end and emptied from the front; it starts over
 * whenever it is empty, which is once a turn. */
struct mailbox {
	uint32_t magic;
	size_t size;
	size_t cap;
	size_t head;
	size_t tail;
	char *entry;
};

struct mailbox *
mailbox_new(size_t entry_size)
{
	struct mailbox *box = xnew(sizeof *box);

	box->magic = MAILBOX_MAGIC;
	box->size = entry_size;
	box->cap = FIRST_CAP;
	box->entry = xnew(box->cap * box->size);
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
	free(box->entry);
	box->magic = 0;
	free(box);
}

static void
grow(struct mailbox *box)
{
	char *old = box->entry;

	box->entry = xnew(box->cap * 2 * box->size);
	memcpy(box->entry, old + box->head * box->size,
	    (box->tail - box->head) * box->size);
	box->tail -= box->head;
	box->head = 0;
	box->cap *= 2;
	free(old);
}

void *
mailbox_add(struct mailbox *box)
{
	void *p;

	OBJ_CHECK(box, MAILBOX_MAGIC);
	if (box->tail == box->cap) {
		grow(box);
	}
	p = box->entry + box->tail++ * box->size;
	memset(p, 0, box->size);
	return p;
}

void *
mailbox_take(struct mailbox *box)
{
	OBJ_CHECK(box, MAILBOX_MAGIC);
	if (box->head == box->tail) {
		box->head = box->tail = 0;
		if (box->cap > KEEP_CAP) {
			free(box->entry);
			box->cap = FIRST_CAP;
			box->entry = xnew(box->cap * box->size);
		}
		return NULL;
	}
	return box->entry + box->head++ * box->size;
}

size_t
mailbox_count(const struct mailbox *box)
{
	OBJ_CHECK(box, MAILBOX_MAGIC);
	return box->tail - box->head;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/group_question.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/obj.h"

#define QUESTION_MAGIC 0x94d1e05bu

struct question *
question_new(struct group *g, struct question **place)
{
	struct question *q = xnew(sizeof *q);

	q->magic = QUESTION_MAGIC;
	q->group = g;
	q->place = place;
	*place = q;
	return q;
}

void
question_forget(struct question **place)
{
	if (*place != NULL) {
		(*place)->group = NULL;
		*place = NULL;
	}
}

struct group *
question_end(void *arg, struct question *was)
{
	struct question *q;

	OBJ_CAST(q, arg, QUESTION_MAGIC);
	*was = *q;
	if (q->group != NULL) {
		OBJ_CHECK(q->group, GROUP_MAGIC);
		*q->place = NULL;
	}
	q->magic = 0;
	free(q);
	return was->group;
}

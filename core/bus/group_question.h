/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_GROUP_QUESTION_H
#define BUS_GROUP_QUESTION_H

#include "bus/group_priv.h"

/* A question of a group to the storage, which may outlive it. */
struct question {
	uint32_t magic;
	struct group *group;         /* NULL once gone */
	struct question **place;     /* where the group has it */
	struct stretch wanted;       /* of the history; or */
	struct aqb_position resumed; /* go on behind this */
};

/* Ask the storage, and have the question in this place of the group's. */
struct question *question_new(struct group *g, struct question **place);
/* It is answered, which ends it; `was` is what it was.  NULL: nobody wants to
 * know any more. */
struct group *question_end(void *arg, struct question *was);
void question_forget(struct question **place);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "net/worker.h"

/*
 * A lane is a vector of connections, and each connection knows where it
 * stands in its lanes: joining and leaving are constant work, and a delivery
 * walks memory in order.
 */

static struct lane_ref *
find(struct conn *conn, uint32_t lane)
{
	for (uint16_t i = 0; i < conn->lane_count; i++) {
		if (conn->lane[i].lane == lane) {
			return &conn->lane[i];
		}
	}
	return NULL;
}

static bool
make_room(struct worker *w, struct conn *conn, uint32_t lane)
{
	size_t cap = conn->lane_cap;
	size_t before = w->lane_cap;
	struct lane *l;
	size_t members;

	if (!try_grow(&w->lane, &w->lane_cap, (size_t)lane + 1, sizeof *l)) {
		return false;
	}
	memset(w->lane + before, 0, (w->lane_cap - before) * sizeof *l);
	l = &w->lane[lane];
	members = l->cap;
	if (conn->lane_count == UINT16_MAX ||
	    !try_grow(&l->conn, &members, (size_t)l->n + 1, sizeof *l->conn)) {
		return false;
	}
	l->cap = (uint32_t)members;
	if (!try_grow(&conn->lane, &cap, (size_t)conn->lane_count + 1,
		sizeof *conn->lane)) {
		return false;
	}
	conn->lane_cap = cap > UINT16_MAX ? UINT16_MAX : (uint16_t)cap;
	return true;
}

void
lane_join(struct worker *w, struct conn *conn, uint32_t lane)
{
	struct lane *l;

	if (conn->state != CONN_OPEN || find(conn, lane) != NULL) {
		return;
	}
	if (!make_room(w, conn, lane)) {
		conn_close(conn, 1011, "out of memory");
		return;
	}
	l = &w->lane[lane];
	conn->lane[conn->lane_count++] = (struct lane_ref){ lane, l->n };
	l->conn[l->n++] = conn;
}

/* The last of the lane takes the place of the one that leaves. */
static void
leave(struct worker *w, struct conn *conn, struct lane_ref *ref)
{
	struct lane *l = &w->lane[ref->lane];
	struct conn *last = l->conn[--l->n];

	if (last != conn) {
		l->conn[ref->index] = last;
		find(last, ref->lane)->index = ref->index;
	}
	if (l->n == 0) {
		free(l->conn);
		l->conn = NULL;
		l->cap = 0;
	}
	*ref = conn->lane[--conn->lane_count];
}

void
lane_leave(struct worker *w, struct conn *conn, uint32_t lane)
{
	struct lane_ref *ref = find(conn, lane);

	if (ref != NULL) {
		leave(w, conn, ref);
	}
}

void
lane_leave_all(struct worker *w, struct conn *conn)
{
	while (conn->lane_count > 0) {
		leave(w, conn, &conn->lane[conn->lane_count - 1]);
	}
	free(conn->lane);
	conn->lane = NULL;
	conn->lane_cap = 0;
}

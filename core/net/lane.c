/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "net/series.h"
#include "net/shed.h"
#include "net/worker.h"

/*
 * A lane is a vector of connections, and each connection knows where it
 * stands in its lanes: joining and leaving are constant work, and a delivery
 * walks memory in order.
 */

static struct lane_ref *
refs(struct conn *conn)
{
	return conn->lanes_many ? conn->lane.many.ref : conn->lane.few;
}

static struct lane_ref *
find(struct conn *conn, uint32_t lane)
{
	struct lane_ref *ref = refs(conn);

	for (uint16_t i = 0; i < conn->lane_count; i++) {
		if (ref[i].lane == lane) {
			return &ref[i];
		}
	}
	return NULL;
}

/* Room for one more lane of a connection. */
static bool
grow_refs(struct conn *conn)
{
	struct lane_ref *ref = NULL;
	size_t cap = 0;

	if (conn->lane_count == UINT16_MAX) {
		return false;
	}
	if (conn->lanes_many) {
		ref = conn->lane.many.ref;
		cap = conn->lane.many.cap;
	} else if (conn->lane_count < CONN_LANES) {
		return true;
	}
	if (!try_grow(&ref, &cap, (size_t)conn->lane_count + 1, sizeof *ref)) {
		return false;
	}
	if (!conn->lanes_many) {
		memcpy(ref, conn->lane.few, sizeof conn->lane.few);
	}
	conn->lanes_many = true;
	conn->lane.many.ref = ref;
	conn->lane.many.cap = (uint32_t)cap;
	return true;
}

/* Room for one more connection of a lane. */
static bool
grow_lane(struct worker *w, uint32_t lane)
{
	size_t before = w->lane_cap;
	struct lane *l;
	size_t cap;
	bool ok;

	if (!try_grow(&w->lane, &w->lane_cap, (size_t)lane + 1, sizeof *l)) {
		return false;
	}
	memset(w->lane + before, 0, (w->lane_cap - before) * sizeof *l);
	l = &w->lane[lane];
	cap = l->cap;
	ok = try_grow(&l->conn, &cap, (size_t)l->n + 1, sizeof *l->conn);
	l->cap = (uint32_t)cap;
	return ok;
}

void
lane_join(struct worker *w, struct conn *conn, uint32_t lane)
{
	struct lane *l;

	if (conn->state != CONN_OPEN || find(conn, lane) != NULL) {
		return;
	}
	if (!grow_lane(w, lane) || !grow_refs(conn)) {
		conn_close(conn, 1011, "out of memory");
		return;
	}
	l = &w->lane[lane];
	refs(conn)[conn->lane_count++] = (struct lane_ref){ lane, l->n };
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
		series_drop(&w->series, ref->lane);
	}
	*ref = refs(conn)[--conn->lane_count];
}

void
lane_leave(struct worker *w, struct conn *conn, uint32_t lane)
{
	struct lane_ref *ref = find(conn, lane);

	if (ref != NULL) {
		leave(w, conn, ref);
		shed_leave(conn, lane);
	}
}

void
lane_leave_all(struct worker *w, struct conn *conn)
{
	while (conn->lane_count > 0) {
		leave(w, conn, &refs(conn)[conn->lane_count - 1]);
	}
	if (conn->lanes_many) {
		free(conn->lane.many.ref);
		conn->lanes_many = false;
	}
}

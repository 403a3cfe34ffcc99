/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/claim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/client.h"

#define CLAIMS_MAGIC 0x95c20e6fu

TAILQ_HEAD(claim_list, claim);

/* An alias, and who claims it, the first first: that one has it. */
struct claimed {
	char alias[AQB_NAME_MAX + 1];
	struct claim_list by;
	UT_hash_handle hh;
};

struct claim {
	char id[CLIENT_ID_SIZE];
	char node[AQB_NAME_MAX + 1];
	int64_t since;
	uint32_t round;
	struct claimed *claimed;
	TAILQ_ENTRY(claim) link;
	UT_hash_handle hh;
};

struct claims {
	uint32_t magic;
	struct claimed *by_alias;
	struct claim *by_id;
};

struct claims *
claims_new(void)
{
	struct claims *c = xnew(sizeof *c);

	c->magic = CLAIMS_MAGIC;
	return c;
}

static struct claimed *
claimed_find(const struct claims *c, const char *alias, size_t len)
{
	struct claimed *a;

	HASH_FIND(hh, c->by_alias, alias, len, a);
	return a;
}

static void
claimed_collect(struct claims *c, struct claimed *a)
{
	if (TAILQ_EMPTY(&a->by)) {
		HASH_DEL(c->by_alias, a);
		free(a);
	}
}

static void
let_go(struct claims *c, struct claim *claim)
{
	struct claimed *a = claim->claimed;

	TAILQ_REMOVE(&a->by, claim, link);
	HASH_DEL(c->by_id, claim);
	free(claim);
	claimed_collect(c, a);
}

static struct claimed *
claimed_get(struct claims *c, const char *alias)
{
	size_t len = strlen(alias);
	struct claimed *a = claimed_find(c, alias, len);

	if (a != NULL) {
		return a;
	}
	a = try_new(sizeof *a);
	if (a == NULL) {
		return NULL;
	}
	memcpy(a->alias, alias, len + 1);
	TAILQ_INIT(&a->by);
	HASH_ADD(hh, c->by_alias, alias, len, a);
	if (!HASH_WAS_ADDED(a)) {
		free(a);
		return NULL;
	}
	return a;
}

static struct claim *
claim_new(struct claims *c, const char *id, const char *alias)
{
	struct claimed *a = claimed_get(c, alias);
	struct claim *claim = a == NULL ? NULL : try_new(sizeof *claim);

	if (claim != NULL) {
		memcpy(claim->id, id, strlen(id) + 1);
		HASH_ADD(hh, c->by_id, id, strlen(id), claim);
		if (!HASH_WAS_ADDED(claim)) {
			free(claim);
			claim = NULL;
		}
	}
	if (claim != NULL) {
		claim->claimed = a;
		TAILQ_INSERT_TAIL(&a->by, claim, link);
	} else if (a != NULL) {
		claimed_collect(c, a);
	}
	return claim;
}

bool
claim_is_newer(int64_t since, const char *node, int64_t known,
    const char *known_node)
{
	return since != known ? since > known : strcmp(node, known_node) > 0;
}

static struct claim *
claim_find(const struct claims *c, const char *id)
{
	struct claim *claim;

	HASH_FIND(hh, c->by_id, id, strlen(id), claim);
	return claim;
}

static bool
is_outdated(const struct claim *claim, const struct claim_said *said)
{
	return strcmp(claim->node, said->node) != 0 &&
	    !claim_is_newer(said->since, said->node, claim->since, claim->node);
}

bool
claims_say(struct claims *c, const struct claim_said *said)
{
	struct claim *claim;

	OBJ_CHECK(c, CLAIMS_MAGIC);
	claim = claim_find(c, said->id);
	if (claim != NULL && is_outdated(claim, said)) {
		return true;
	}
	if (claim != NULL &&
	    (said->alias == NULL ||
		strcmp(claim->claimed->alias, said->alias) != 0)) {
		let_go(c, claim);
		claim = NULL;
	}
	if (said->alias == NULL) {
		return true;
	}
	if (claim == NULL) {
		claim = claim_new(c, said->id, said->alias);
	}
	if (claim == NULL) {
		return false;
	}
	memcpy(claim->node, said->node, strlen(said->node) + 1);
	claim->since = said->since;
	claim->round = said->round;
	return TAILQ_FIRST(&claim->claimed->by) == claim;
}

void
claims_withdraw(struct claims *c, const char *id, const char *node)
{
	struct claim *claim;

	OBJ_CHECK(c, CLAIMS_MAGIC);
	claim = claim_find(c, id);
	if (claim != NULL && strcmp(claim->node, node) == 0) {
		let_go(c, claim);
	}
}

void
claims_withdraw_all(struct claims *c, const char *node)
{
	struct claim *claim, *next;

	OBJ_CHECK(c, CLAIMS_MAGIC);
	HASH_ITER(hh, c->by_id, claim, next)
	{
		if (strcmp(claim->node, node) == 0) {
			let_go(c, claim);
		}
	}
}

const char *
claims_holder(const struct claims *c, const char *alias, size_t len)
{
	struct claimed *a;

	OBJ_CHECK(c, CLAIMS_MAGIC);
	a = claimed_find(c, alias, len);
	return a == NULL ? NULL : TAILQ_FIRST(&a->by)->id;
}

void
claims_sweep(struct claims *c, uint32_t round)
{
	struct claim *claim, *next;

	OBJ_CHECK(c, CLAIMS_MAGIC);
	HASH_ITER(hh, c->by_id, claim, next)
	{
		if (claim->round != round) {
			let_go(c, claim);
		}
	}
}

void
claims_free(struct claims **claimsp)
{
	struct claims *c;
	struct claim *claim, *next;

	if (*claimsp == NULL) {
		return;
	}
	OBJ_TAKE(c, claimsp, CLAIMS_MAGIC);
	HASH_ITER(hh, c->by_id, claim, next)
	{
		let_go(c, claim);
	}
	c->magic = 0;
	free(c);
}

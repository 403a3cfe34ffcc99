/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which node gives out a group's work.
 *
 * The record `g:room:channel:group`, one for all nodes, names it: the first
 * that offers itself, which each node does whose client joins a group that
 * has none.  All nodes hear all records in one order and so agree.  That node
 * keeps what waits; the others know of a group its members only.
 *
 * It says in a record of its own, `gp:room:channel:group`, up to where all is
 * done, and what is open behind that (group_open.h).  When it is gone, or stops,
 * another one offers itself and goes on from there, out of the history: what
 * was done since the record was told is done twice.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/group_question.h"
#include "bus/notice.h"
#include "bus/remote.h"
#include "host/store.h"
#include "loop/loop.h"
#include "proto/json.h"
#include "proto/name.h"

#define OPEN_TOLD 32   /* open messages that are named each time */
#define OPEN_LEFT 1000 /* and when this node stops */
#define LEAD_MAGIC 0x9a27d5c3u
#define KEY_SIZE (3 * (AQB_NAME_MAX + 1))

static const struct aqb_slice nothing = { NULL, 0 };

/* What the nodes say of one group. */
struct leading {
	uint32_t magic;
	uint32_t round;  /* in which the record was told last */
	bool has_record; /* this node has one of how far it came */
	struct cluster *cluster;
	char node[AQB_NAME_MAX + 1]; /* "": none */
	char from[AQB_NAME_MAX + 1]; /* who said what follows */
	struct aqb_position done;    /* epoch "": not known */
	struct opens opens;          /* behind that */
	uint64_t waiting;            /* at the one that gives out */
	struct timer linger;         /* until all of it is forgotten */
	UT_hash_handle hh;
	char key[]; /* room:channel:group */
};

static struct leading *
leading_find(const struct cluster *c, const char *key)
{
	struct leading *l;

	HASH_FIND(hh, c->leads, key, strlen(key), l);
	return l;
}

static void
key_of(const struct group *g, char key[KEY_SIZE])
{
	snprintf(key, KEY_SIZE, "%s:%s", g->channel->stream, g->name);
}

static struct leading *
leading_of(const struct group *g)
{
	char key[KEY_SIZE];

	key_of(g, key);
	return leading_find(g->channel->bus->cluster, key);
}

/* NULL: it has none here. */
static struct group *
group_of(const struct leading *l)
{
	char room[AQB_NAME_MAX + 1], channel[AQB_NAME_MAX + 1];
	const char *colon = strchr(l->key, ':');
	const char *last = strrchr(l->key, ':');
	struct channel *ch;

	snprintf(room, sizeof room, "%.*s", (int)(colon - l->key), l->key);
	snprintf(channel, sizeof channel, "%.*s", (int)(last - colon - 1),
	    colon + 1);
	ch = channel_find(l->cluster->bus, room, channel);
	return ch == NULL ? NULL : group_find(ch, last + 1);
}

static bool
is_own(const struct cluster *c, const char *node)
{
	return strcmp(c->bus->conf.node, node) == 0;
}

/* Until all records were told nobody counts as gone. */
static bool
is_gone(const struct cluster *c, const char *name)
{
	struct node *node;

	HASH_FIND(hh, c->nodes, name, strlen(name), node);
	return node == NULL && c->knows_all && !c->syncing && !is_own(c, name);
}

static int
share(const struct cluster *c, const char *prefix, const char *group,
    struct aqb_slice value, uint32_t flags)
{
	char key[KEY_SIZE + sizeof "gp:"];

	snprintf(key, sizeof key, "%s%s", prefix, group);
	return store_share(c->bus->store, key, value, flags);
}

static void
leading_free(struct leading *l)
{
	OBJ_CHECK(l, LEAD_MAGIC);
	timer_stop(&l->linger);
	HASH_DEL(l->cluster->leads, l);
	open_fini(&l->opens);
	l->magic = 0;
	free(l);
}

static void
remove_own(struct leading *l)
{
	if (l->has_record) {
		share(l->cluster, "gp:", l->key, nothing, 0);
		l->has_record = false;
	}
}

/* Nobody went on with it. */
static void
on_linger(void *arg)
{
	struct leading *l;

	OBJ_CAST(l, arg, LEAD_MAGIC);
	if (group_of(l) != NULL) {
		return; /* there it is seen to */
	}
	if (l->node[0] == '\0') {
		remove_own(l);
		leading_free(l);
	} else if (is_own(l->cluster, l->node) ||
	    is_gone(l->cluster, l->node)) {
		share(l->cluster, "g:", l->key, nothing, AQB_SHARE_COMMON);
	}
}

/* Of three names; NULL if it makes no sense, or without memory. */
static struct leading *
leading_get(struct cluster *c, const char *key)
{
	struct leading *l = leading_find(c, key);
	const char *at = key, *end;
	size_t len = strlen(key);

	if (l != NULL) {
		return l;
	}
	for (int i = 0; i < 3; i++) {
		end = i < 2 ? strchr(at, ':') : key + len;
		if (end == NULL || !name_valid(at, (size_t)(end - at))) {
			return NULL;
		}
		at = end + 1;
	}
	l = try_new(sizeof *l + len + 1);
	if (l == NULL) {
		return NULL;
	}
	l->magic = LEAD_MAGIC;
	l->cluster = c;
	memcpy(l->key, key, len + 1);
	timer_init(&l->linger, on_linger, l);
	HASH_ADD_KEYPTR(hh, c->leads, l->key, len, l);
	if (!HASH_WAS_ADDED(l)) {
		free(l);
		return NULL;
	}
	return l;
}

static void
forget_later(struct leading *l)
{
	const struct bus *bus = l->cluster->bus;

	timer_set(bus->loop, &l->linger, bus->conf.group_linger);
}

bool
lead_keeps(const struct group *g)
{
	return g->lead == LEAD_HERE ||
	    (g->lead == LEAD_OPEN &&
		(g->has_all || g->taker_count > g->far_count));
}

bool
lead_is(const struct group *g, const char *node)
{
	const struct leading *l = leading_of(g);

	return l != NULL && strcmp(l->node, node) == 0;
}

uint64_t
lead_waiting(const struct group *g)
{
	const struct leading *l = leading_of(g);

	return l == NULL ? 0 : l->waiting;
}

void
lead_heard(struct bus *bus, const struct work *w)
{
	struct leading *l;
	char key[KEY_SIZE];

	snprintf(key, sizeof key, "%s:%s:%s", w->room, w->channel, w->group);
	l = leading_find(bus->cluster, key);
	if (l != NULL && strcmp(l->done.epoch, w->pos.epoch) == 0) {
		open_settle(&l->opens, w);
	}
}

/* Is there anything new to be said? */
static bool
is_told(const struct group *g, const struct aqb_position *done,
    uint64_t waiting)
{
	return !g->is_stirred && waiting == g->told_waiting &&
	    done->seq == g->told.seq && strcmp(done->epoch, g->told.epoch) == 0;
}

/* Say up to where all is done, what is open behind that, unless it is more
 * than `most`, and how many wait. */
static void
tell_done(struct group *g, size_t most)
{
	const struct cluster *c = g->channel->bus->cluster;
	uint64_t waiting = queue_waiting(g);
	struct aqb_position done;
	struct buf b = { 0 };
	char key[KEY_SIZE];

	/* Without all that waits it would count as done. */
	if (!g->has_all || !queue_done(g, &done) ||
	    (is_told(g, &done, waiting) && most == OPEN_TOLD)) {
		return;
	}
	key_of(g, key);
	buf_puts(&b, "{\"seq\":");
	buf_u64(&b, done.seq);
	buf_printf(&b, ",\"epoch\":\"%s\",\"waiting\":", done.epoch);
	buf_u64(&b, waiting);
	open_put(g, &done, most, &b);
	buf_putc(&b, '}');
	if (!b.failed &&
	    share(c, "gp:", key, (struct aqb_slice){ b.data, b.len }, 0) ==
		AQB_OK) {
		g->told = done;
		g->told_waiting = waiting;
		g->is_stirred = false;
		g->echoes++;
	}
	buf_fini(&b);
}

/* Whoever is first of those that offer themselves gives out. */
static void
offer(struct group *g)
{
	const struct cluster *c = g->channel->bus->cluster;
	char key[KEY_SIZE];

	if (lead_keeps(g) && !c->is_leaving) {
		key_of(g, key);
		share(c, "g:", key, slice_of(c->bus->conf.node),
		    AQB_SHARE_COMMON);
		lead_touch(g); /* to look whether it came to that */
	}
}

/* The one that is named is gone. */
static void
take_over(struct group *g)
{
	const struct cluster *c = g->channel->bus->cluster;
	char key[KEY_SIZE];

	if (lead_keeps(g) && !c->is_leaving) {
		key_of(g, key);
		share(c, "g:", key, nothing, AQB_SHARE_COMMON);
		offer(g);
	}
}

static void
begin_to_give(struct group *g)
{
	struct taker *t;

	g->holds = false;
	g->has_all = true;
	TAILQ_FOREACH (t, &g->takers, link) {
		give_refresh(t);
	}
	give_run(g);
	tell_done(g, OPEN_TOLD);
	lead_touch(g);
}

/* What is open behind this position, if that is what was said. */
static void
take_opens(struct group *g, const struct aqb_position *after)
{
	struct leading *l = leading_of(g);

	open_fini(&g->opens);
	if (l != NULL && l->done.seq == after->seq &&
	    strcmp(l->done.epoch, after->epoch) == 0 &&
	    strcmp(g->channel->last.epoch, after->epoch) == 0) {
		g->opens = l->opens;
		l->opens = (struct opens){ .from = 0 };
	}
}

static void
on_tail(void *arg, enum aqb_err err, const struct aqb_answer *answer)
{
	struct question was;
	struct group *g = question_end(arg, &was);
	struct channel *ch;

	if (g == NULL || g->channel->bus->cluster->is_leaving) {
		return; /* the next one asks */
	}
	if (err != AQB_OK) {
		lead_touch(g); /* which looks again */
		return;
	}
	ch = g->channel;
	if (ch->last.seq == 0) {
		ch->last = answer->pos; /* others were here before */
	}
	take_opens(g, &was.resumed);
	queue_resume(g, &was.resumed, answer->first);
	begin_to_give(g);
}

/* Go on behind what is done. */
static void
resume(struct group *g, const struct aqb_position *after)
{
	struct aqb_answer tail = { .size = sizeof tail };
	struct channel *ch = g->channel;
	struct question *q = question_new(g, &g->resuming);
	int when;

	q->resumed = *after;
	when = store_tail(ch->bus->store, ch->stream, &tail, on_tail, q);
	if (when != AQB_PENDING) {
		on_tail(q, when < 0 ? (enum aqb_err)when : AQB_OK, &tail);
	}
}

/* It is this node. */
static void
start(struct group *g, const struct leading *l)
{
	g->lead = LEAD_HERE;
	if (!g->holds || g->resuming != NULL ||
	    g->channel->bus->cluster->is_leaving) {
		return;
	}
	if (g->has_all || l->done.epoch[0] == '\0') {
		begin_to_give(g);
	} else {
		resume(g, &l->done);
	}
	if (g->taker_count == 0) {
		timer_set(g->channel->bus->loop, &g->linger,
		    g->channel->bus->conf.group_linger);
	}
}

/* None is, as far as is known: keep what comes.  What this node gave out
 * itself, if it did, it still has. */
static void
open_again(struct group *g)
{
	struct taker *t;

	g->lead = LEAD_OPEN;
	g->holds = true;
	TAILQ_FOREACH (t, &g->takers, link) {
		if (t->member != NULL) {
			/* The next one counts anew. */
			t->given = t->took = (struct tally){ 0, 0 };
		}
	}
}

/* It is another one, which reads what waits. */
static void
yield(struct group *g)
{
	struct taker *t;

	if (g->lead == LEAD_ELSEWHERE) {
		return;
	}
	g->lead = LEAD_ELSEWHERE;
	g->holds = true;
	g->has_all = false;
	g->told = (struct aqb_position){ .seq = 0 };
	question_forget(&g->resuming);
	queue_drop_all(g);
	TAILQ_FOREACH (t, &g->takers, link) {
		if (t->far != NULL) {
			give_forget(t);
		}
		t->given = t->took = (struct tally){ 0, 0 };
	}
	if (g->taker_count == 0) {
		timer_set(g->channel->bus->loop, &g->linger, 0);
	}
}

void
lead_look(struct group *g)
{
	struct cluster *c = g->channel->bus->cluster;
	struct leading *l;

	if (c == NULL) {
		return;
	}
	l = leading_of(g);
	if (g->lead == LEAD_HERE && !g->holds) {
		tell_done(g, OPEN_TOLD);
	} else if (l == NULL || l->node[0] == '\0') {
		offer(g);
	} else if (is_own(c, l->node)) {
		start(g, l);
	} else if (is_gone(c, l->node)) {
		open_again(g);
		take_over(g);
	} else {
		yield(g);
	}
}

void
lead_end(struct group *g, bool is_over)
{
	struct cluster *c = g->channel->bus->cluster;
	struct leading *l = c == NULL ? NULL : leading_of(g);

	question_forget(&g->resuming);
	if (l != NULL && l->node[0] == '\0') {
		forget_later(l); /* nobody else does */
	}
	if (l == NULL || !is_over || g->lead != LEAD_HERE) {
		return;
	}
	remove_own(l);
	l->done.epoch[0] = '\0';
	share(c, "g:", l->key, nothing, AQB_SHARE_COMMON);
}

bool
group_lead_record(struct cluster *c, const char *key, struct aqb_slice value)
{
	struct leading *l;
	struct group *g;

	if (value.len > 0 && !name_valid(value.data, value.len)) {
		return false;
	}
	l = value.len > 0 ? leading_get(c, key) : leading_find(c, key);
	if (l == NULL) {
		return value.len == 0;
	}
	g = group_of(l);
	memcpy(l->node, value.data == NULL ? "" : value.data, value.len);
	l->node[value.len] = '\0';
	l->round = c->round;
	timer_stop(&l->linger);
	if (value.len > 0 && !is_own(c, l->node)) {
		remove_own(l);
	}
	if (g != NULL && value.len == 0) {
		open_again(g);
	}
	if (g != NULL) {
		lead_look(g);
	} else if (value.len == 0) {
		/* Whoever comes soon finds what came meanwhile. */
		forget_later(l);
	} else if (is_own(c, l->node)) {
		share(c, "g:", key, nothing, AQB_SHARE_COMMON);
	}
	return true;
}

/* {"seq":..,"epoch":..,"waiting":..}, and what open_put() says. */
struct said {
	struct aqb_position done;
	struct opens opens;
	uint64_t waiting;
};

static bool
read_done(struct aqb_slice value, struct said *said)
{
	struct aqb_position *pos = &said->done;
	struct json_value seq = { .len = 0 }, epoch = { .len = 0 };
	struct json_value waiting = { .len = 0 }, from = { .len = 0 };
	struct json_value open = { .len = 0 };
	const struct json_place places[] = {
		{ "seq", &seq },
		{ "epoch", &epoch },
		{ "waiting", &waiting },
		{ "from", &from },
		{ "open", &open },
	};
	size_t at, len;

	if (json_take(value.data, value.len, places,
		sizeof places / sizeof places[0], &at) != JSON_OK ||
	    !json_u64(&seq, &pos->seq) ||
	    !json_decode(&epoch, pos->epoch, sizeof pos->epoch - 1, &len) ||
	    len == 0) {
		return false;
	}
	pos->epoch[len] = '\0';
	if (!json_u64(&waiting, &said->waiting)) {
		said->waiting = 0; /* not said */
	}
	return open_read(&from, &open, &said->opens);
}

bool
group_done_record(struct cluster *c, const char *node, const char *key,
    struct aqb_slice value)
{
	struct said said = { .waiting = 0 };
	struct leading *l;
	struct group *g;
	bool counts;

	if (value.len > 0 && !read_done(value, &said)) {
		return false;
	}
	l = value.len > 0 ? leading_get(c, key) : leading_find(c, key);
	if (l == NULL) {
		open_fini(&said.opens);
		return value.len == 0;
	}
	g = group_of(l);
	if (is_own(c, node)) {
		l->has_record = value.len > 0;
		if (g != NULL && value.len > 0 && g->echoes > 0) {
			g->echoes--;
		}
	}
	/* Who has handed over takes back what it said, but the one that goes
	 * on may not have said anything yet. */
	counts = l->node[0] == '\0' || strcmp(l->node, node) == 0;
	if (value.len == 0 && counts && strcmp(l->from, node) == 0) {
		l->done.epoch[0] = '\0';
		l->waiting = 0;
		open_fini(&l->opens);
	} else if (value.len > 0 && counts) {
		l->done = said.done;
		l->waiting = said.waiting;
		open_fini(&l->opens);
		l->opens = said.opens;
		said.opens = (struct opens){ .from = 0 };
		snprintf(l->from, sizeof l->from, "%s", node);
	}
	open_fini(&said.opens);
	if (l->node[0] == '\0' && g == NULL) {
		forget_later(l);
	}
	return true;
}

/* Of the nodes with members, one does it at once; the others look later. */
static bool
is_first(const struct group *g)
{
	const char *own = g->channel->bus->conf.node;
	const struct taker *t;

	TAILQ_FOREACH (t, &g->takers, link) {
		if (t->far != NULL &&
		    strcmp(t->far->remote->node->name, own) < 0) {
			return false;
		}
	}
	return true;
}

static void
orphaned(struct leading *l)
{
	struct group *g = group_of(l);

	if (g == NULL) {
		forget_later(l);
		return;
	}
	open_again(g);
	if (is_first(g)) {
		take_over(g);
	} else {
		lead_touch(g);
	}
}

void
group_node_gone(struct cluster *c, const char *node)
{
	struct leading *l, *next;

	HASH_ITER(hh, c->leads, l, next)
	{
		if (strcmp(l->node, node) == 0) {
			orphaned(l);
		}
	}
}

void
group_sweep(struct cluster *c)
{
	struct leading *l, *next;

	HASH_ITER(hh, c->leads, l, next)
	{
		if (l->node[0] != '\0' && l->round != c->round) {
			group_lead_record(c, l->key, nothing);
		} else if (l->node[0] != '\0' && is_gone(c, l->node)) {
			orphaned(l);
		}
	}
}

void
group_share_all(struct cluster *c)
{
	struct channel *ch;
	struct group *g;

	TAILQ_FOREACH (ch, &c->bus->channels, link) {
		TAILQ_FOREACH (g, &ch->groups, link) {
			if (g->lead == LEAD_HERE) {
				g->told.epoch[0] = '\0';
				offer(g);
				lead_touch(g);
			}
		}
	}
}

/* What is on the way to members that do not ack is done, or comes back, soon;
 * whoever goes on now would not know. */
static bool
is_on_the_way(const struct group *g)
{
	const struct item *item;

	TAILQ_FOREACH (item, &g->out, link) {
		if (!item->taker->manual) {
			return true;
		}
	}
	return false;
}

/* What is open is told, and was still so when all heard it: an ack that came
 * between would be of nothing that the next one knows. */
static bool
is_left(struct group *g)
{
	if (is_on_the_way(g)) {
		return false;
	}
	if (!g->is_left || g->is_stirred) {
		g->is_left = true;
		tell_done(g, OPEN_LEFT);
	}
	return g->echoes == 0;
}

static void
hand_over(struct group *g)
{
	char key[KEY_SIZE];

	key_of(g, key);
	yield(g);
	share(g->channel->bus->cluster, "g:", key, nothing, AQB_SHARE_COMMON);
}

bool
group_hand_over(struct bus *bus, bool at_once)
{
	struct channel *ch;
	struct group *g, *next;
	bool is_done = true;

	if (bus->cluster == NULL) {
		return true;
	}
	bus->cluster->is_leaving = true;
	TAILQ_FOREACH (ch, &bus->channels, link) {
		for (g = TAILQ_FIRST(&ch->groups); g != NULL; g = next) {
			next = TAILQ_NEXT(g, link);
			if (g->lead != LEAD_HERE) {
				continue;
			}
			g->holds = true;
			if (is_left(g) || at_once) {
				hand_over(g);
			} else {
				is_done = false;
			}
		}
	}
	return is_done;
}

void
group_forget_leads(struct cluster *c)
{
	struct leading *l, *next;

	HASH_ITER(hh, c->leads, l, next)
	{
		leading_free(l);
	}
}

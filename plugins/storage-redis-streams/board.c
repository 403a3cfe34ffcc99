/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "script.h"
#include "tail.h"
#include "words.h"

#define NAME_SIZE 128
#define RECORD_KEY_SIZE 256
#define QUEUE_MAX (16u << 20) /* bytes that wait to be told */
#define SCAN_COUNT "200"

/* Something to be told. */
struct out {
	char kind[2];
	char *key;
	char *value;
	size_t len;
	bool is_sent;
	TAILQ_ENTRY(out) link;
};

/* Whose records are still to be read. */
struct unread {
	char node[NAME_SIZE]; /* "": those of all */
	char cursor[24];
	TAILQ_ENTRY(unread) link;
};

struct board {
	TAILQ_HEAD(out_list, out) outs; /* sent and waiting, in order */
	size_t bytes;
	TAILQ_HEAD(unread_list, unread) unreads;
	bool is_reading;
	bool is_ready;
	bool was_read;
	bool is_joining;    /* a join is on its way */
	bool is_in;         /* our records can be written */
	bool was_in;        /* once */
	bool must_tell_all; /* once more, as something went wrong */
	uint64_t beat_at;   /* when to say again that we are here */
	uint64_t said_at;   /* when it was said last, */
	uint64_t
	    in_until; /* and since it was heard we count as here till then */
	aqb_ticket probe; /* 0: none */
	uint64_t probe_number;
	void (*left)(struct redis *r);
};

static redisCallbackFn on_told;
static redisCallbackFn on_page;
static void read_on(struct redis *r);
static void read_all(struct redis *r);
static void join(struct redis *r);

int
board_init(struct redis *r)
{
	struct board *b = calloc(1, sizeof *b);

	if (b == NULL) {
		return AQB_ENOMEM;
	}
	TAILQ_INIT(&b->outs);
	TAILQ_INIT(&b->unreads);
	r->cluster->board = b;
	return AQB_OK;
}

static size_t
cost(const struct out *o)
{
	return sizeof *o + strlen(o->key) + o->len;
}

static bool
is_record(const struct out *o)
{
	return o->kind[0] == 'r' || o->kind[0] == 'c';
}

static void
out_free(struct board *b, struct out **op)
{
	struct out *o = *op;

	*op = NULL;
	TAILQ_REMOVE(&b->outs, o, link);
	b->bytes -= cost(o);
	free(o->key);
	free(o->value);
	free(o);
}

static void
forget_unread(struct board *b)
{
	struct unread *u;

	while ((u = TAILQ_FIRST(&b->unreads)) != NULL) {
		TAILQ_REMOVE(&b->unreads, u, link);
		free(u);
	}
}

void
board_free(struct redis *r)
{
	struct board *b = r->cluster->board;
	struct out *o;

	if (b == NULL) {
		return;
	}
	while ((o = TAILQ_FIRST(&b->outs)) != NULL) {
		out_free(b, &o);
	}
	forget_unread(b);
	free(b);
	r->cluster->board = NULL;
}

bool
board_is_overdue(const struct redis *r)
{
	return clock_ms() >= r->cluster->board->in_until;
}

bool
board_is_ready(const struct redis *r)
{
	return r->cluster->board->is_ready;
}

/* Our records that wait: all will be told anew. */
static void
forget_untold(struct board *b)
{
	struct out *o, *next;

	for (o = TAILQ_FIRST(&b->outs); o != NULL; o = next) {
		next = TAILQ_NEXT(o, link);
		if (o->kind[0] == 'r' && !o->is_sent) {
			out_free(b, &o);
		}
	}
}

static bool
send(struct redis *r, struct out *o)
{
	const struct cluster *c = r->cluster;
	struct words w;

	words_init(&w);
	words_add(&w, "EVAL");
	words_add(&w, script_tell);
	words_add(&w, "3");
	words_add(&w, c->ctl_meta);
	words_add(&w, c->ctl_log);
	words_add(&w, o->kind[0] == 'c' ? c->all_key : c->node_key);
	words_add_number(&w, r->era);
	words_add(&w, c->follower->node);
	words_add(&w, r->boot);
	words_add(&w, o->kind);
	words_add(&w, o->key);
	words_add_bytes(&w, o->value, o->len);
	o->is_sent = link_send(r->write, on_told, o, w.n, w.text, w.len);
	return o->is_sent;
}

static void
pump(struct redis *r)
{
	struct board *b = r->cluster->board;
	struct out *o;

	if (!redis_is_present(r) || !b->is_in) {
		return;
	}
	TAILQ_FOREACH (o, &b->outs, link) {
		if (!o->is_sent && !send(r, o)) {
			return;
		}
	}
}

static int
tell(struct redis *r, char kind, const char *key, struct aqb_slice value)
{
	struct board *b = r->cluster->board;
	struct out *o = r->is_ousted ? NULL : calloc(1, sizeof *o);
	const struct out *before;

	if (r->is_ousted) {
		return AQB_EUNAVAIL;
	}
	if (o == NULL) {
		return AQB_ENOMEM;
	}
	o->kind[0] = kind;
	o->key = strdup(key);
	o->value = malloc(value.len + 1);
	if (o->key == NULL || o->value == NULL) {
		free(o->key);
		free(o->value);
		free(o);
		return AQB_ENOMEM;
	}
	if (value.len > 0) {
		memcpy(o->value, value.data, value.len);
	}
	o->len = value.len;
	b->bytes += cost(o);
	TAILQ_INSERT_TAIL(&b->outs, o, link);
	before = TAILQ_PREV(o, out_list, link);
	if (redis_is_present(r) && b->is_in &&
	    (before == NULL || before->is_sent)) {
		send(r, o);
	}
	return AQB_OK;
}

int
board_share(struct redis *r, const char *key, struct aqb_slice value,
    uint32_t flags)
{
	struct board *b = r->cluster->board;

	if ((flags & AQB_SHARE_COMMON) != 0) {
		return b->bytes > QUEUE_MAX ? AQB_EUNAVAIL
					    : tell(r, 'c', key, value);
	}
	if (b->bytes > QUEUE_MAX) {
		forget_untold(b);
		b->must_tell_all = true;
	}
	if (b->must_tell_all) {
		return AQB_OK; /* with all others, once that can be */
	}
	return tell(r, 'r', key, value);
}

int
board_notify(struct redis *r, struct aqb_slice notice)
{
	const struct board *b = r->cluster->board;

	if (!redis_is_present(r) || !b->is_in || b->bytes > QUEUE_MAX) {
		return AQB_EUNAVAIL;
	}
	return tell(r, 'n', "", notice);
}

void
board_probe(struct redis *r, aqb_ticket ticket)
{
	struct board *b = r->cluster->board;
	char text[24];

	b->probe = ticket;
	snprintf(text, sizeof text, "%" PRIu64, ++b->probe_number);
	if (!redis_is_present(r) || !b->is_in || !b->is_ready ||
	    tell(r, 'p', "", (struct aqb_slice){ text, strlen(text) }) !=
		AQB_OK) {
		b->probe = 0;
		redis_fail(r, ticket, AQB_EUNAVAIL);
	}
}

static void
on_told(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct board *b = r->cluster->board;
	struct out *o = arg;

	if (reply == NULL && is_record(o)) {
		o->is_sent = false; /* once more, in its order */
		return;
	}
	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
		/* What failed among others that did not cannot be told again
		 * in its order: all of it is. */
		redis_add(r, r->cluster->notices_dropped, is_record(o) ? 0 : 1);
		b->must_tell_all = b->must_tell_all || is_record(o);
		b->beat_at = clock_ms();
	} else if (reply->integer < 0) {
		b->beat_at = 0; /* our records are gone: come in again */
		b->is_in = false;
		join(r);
	}
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, "FENCED", 6) == 0) {
		link_drop(r->write, 0, "%.150s", reply->str);
	}
	out_free(b, &o);
}

/* Our name is another broker's. */
static void
oust(struct redis *r)
{
	r->is_ousted = true;
	r->cluster->board->is_in = false;
	forget_untold(r->cluster->board);
	r->host->log(r->host, AQB_ERROR,
	    "another broker is called %s now; this one stores nothing any "
	    "more",
	    r->cluster->follower->node);
}

/* We are in; if our records are not there, everything is told again. */
static void
is_in(struct redis *r, bool is_new, const char *log_end, size_t len)
{
	struct cluster *c = r->cluster;
	struct board *b = c->board;
	const struct aqb_follower *f = c->follower;

	b->is_in = true;
	b->in_until = b->said_at + r->conf->node_ttl;
	if (!b->is_ready) {
		reply_id(log_end, len, &c->ctl_cursor.era, &c->ctl_cursor.seq);
	}
	if (is_new && (b->was_in || b->must_tell_all)) {
		forget_untold(b);
		b->must_tell_all = false;
		f->share_again(f->arg);
	}
	b->was_in = true;
	if (!b->was_read && !b->is_reading) {
		read_all(r);
	}
	pump(r);
}

static void
on_joined(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct board *b = r->cluster->board;
	const char *log_end;
	size_t len;

	(void)arg;
	b->is_joining = false;
	if (reply == NULL) {
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 ||
	    reply->element[0]->type != REDIS_REPLY_INTEGER) {
		link_drop(r->write, 0, "join: %.150s", reply_text(reply));
		return;
	}
	if (reply->element[0]->integer < 0) {
		oust(r);
		return;
	}
	log_end =
	    reply->elements == 3 ? reply_string(reply->element[1], &len) : NULL;
	if (log_end == NULL) {
		return;
	}
	redis_set(r, r->cluster->nodes, (uint64_t)reply->element[2]->integer);
	is_in(r, reply->element[0]->integer == 1, log_end, len);
}

static void
add_join(struct redis *r, struct words *w, const char *script)
{
	const struct cluster *c = r->cluster;

	words_add(w, "EVAL");
	words_add(w, script);
	words_add(w, "4");
	words_add(w, c->ctl_meta);
	words_add(w, c->ctl_log);
	words_add(w, c->nodes_key);
	words_add(w, c->node_key);
	words_add_number(w, r->era);
	words_add(w, c->follower->node);
	words_add(w, r->boot);
}

static void
join(struct redis *r)
{
	const struct cluster *c = r->cluster;
	struct board *b = c->board;
	struct words w;

	words_init(&w);
	if (b->is_joining || r->is_ousted || !redis_is_present(r)) {
		return;
	}
	b->said_at = clock_ms();
	b->beat_at = b->said_at + r->conf->node_ttl / 3;
	add_join(r, &w, script_join);
	words_add(&w, r->owner);
	words_add_number(&w, r->conf->node_ttl);
	words_add(&w, c->node_prefix);
	words_add(&w, b->is_ready ? "0" : "1");
	words_add(&w, b->must_tell_all ? "1" : "0");
	b->is_joining =
	    link_send(r->write, on_joined, NULL, w.n, w.text, w.len);
}

void
board_resume(struct redis *r)
{
	struct board *b = r->cluster->board;

	b->is_in = false;
	b->is_joining = false;
	b->is_reading = false;
	join(r);
}

void
board_era_began(struct redis *r)
{
	struct board *b = r->cluster->board;

	b->must_tell_all = b->was_in;
}

void
board_tick(struct redis *r)
{
	if (clock_ms() >= r->cluster->board->beat_at) {
		join(r);
	}
	pump(r);
}

static void
on_left(redisAsyncContext *ac, void *rep, void *arg)
{
	struct redis *r = arg;
	struct board *b = r->cluster->board;

	link_reply(ac, rep);
	if (b->left != NULL) {
		b->left(r);
		b->left = NULL;
	}
}

void
board_leave(struct redis *r, void (*done)(struct redis *r))
{
	struct board *b = r->cluster->board;
	struct words w;

	words_init(&w);
	if (redis_is_present(r) && b->is_in) {
		add_join(r, &w, script_leave);
		b->left = done;
		b->is_in = false;
		if (link_send(r->write, on_left, r, w.n, w.text, w.len)) {
			return;
		}
		b->left = NULL;
	}
	done(r);
}

/* Reading all records: first whose there are, then page by page. */

static void
add_unread(struct board *b, const char *node, size_t len)
{
	struct unread *u = calloc(1, sizeof *u);

	if (u != NULL && len < sizeof u->node) {
		memcpy(u->node, node, len);
		strcpy(u->cursor, "0");
		TAILQ_INSERT_TAIL(&b->unreads, u, link);
	} else {
		free(u);
	}
}

static void
on_nodes(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct board *b = r->cluster->board;

	(void)arg;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		b->is_reading = false;
		return;
	}
	forget_unread(b);
	for (size_t i = 0; i < reply->elements; i++) {
		size_t len;
		const char *node = reply_string(reply->element[i], &len);

		if (node != NULL) {
			add_unread(b, node, len);
		}
	}
	add_unread(b, "", 0);
	read_on(r);
}

static void
read_all(struct redis *r)
{
	struct cluster *c = r->cluster;
	const char *words[] = { "SMEMBERS", c->nodes_key };

	c->follower->syncing(c->follower->arg);
	c->board->is_reading = link_say(r->write, on_nodes, NULL, 2, words);
}

static void
read_on(struct redis *r)
{
	struct cluster *c = r->cluster;
	struct board *b = c->board;
	const struct unread *u = TAILQ_FIRST(&b->unreads);
	char key[KEY_SIZE + NAME_SIZE];
	const char *words[] = { "HSCAN", key, NULL, "COUNT", SCAN_COUNT };

	if (u == NULL) {
		b->is_reading = false;
		b->was_read = b->is_ready = true;
		c->follower->synced(c->follower->arg);
		tail_start(r);
		return;
	}
	if (u->node[0] == '\0') {
		snprintf(key, sizeof key, "%s", c->all_key);
	} else {
		snprintf(key, sizeof key, "%s%s", c->node_prefix, u->node);
	}
	words[2] = u->cursor;
	b->is_reading = link_say(r->write, on_page, NULL, 5, words);
}

static void
hand_record(const struct redis *r, const char *node, struct aqb_slice key,
    struct aqb_slice value)
{
	const struct aqb_follower *f = r->cluster->follower;
	char text[RECORD_KEY_SIZE];

	if (key.len == 0 || key.len >= sizeof text || key.data[0] == '.') {
		return;
	}
	memcpy(text, key.data, key.len);
	text[key.len] = '\0';
	f->record(f->arg, node, text, value);
}

/* [cursor, [key, value ..]] */
static void
on_page(redisAsyncContext *ac, void *rep, void *arg)
{
	const redisReply *reply = link_reply(ac, rep);
	struct redis *r = link_owner(ac->data);
	struct board *b = r->cluster->board;
	struct unread *u = TAILQ_FIRST(&b->unreads);
	const redisReply *all;
	const char *cursor;
	size_t len;

	(void)arg;
	if (reply == NULL || u == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 2 ||
	    (cursor = reply_string(reply->element[0], &len)) == NULL ||
	    len >= sizeof u->cursor ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY) {
		b->is_reading = false; /* from the start, at the next beat */
		return;
	}
	all = reply->element[1];
	for (size_t i = 0; i + 1 < all->elements; i += 2) {
		struct aqb_slice key = { 0 }, value = { 0 };

		key.data = reply_string(all->element[i], &key.len);
		value.data = reply_string(all->element[i + 1], &value.len);
		if (key.data != NULL && value.data != NULL) {
			hand_record(r, u->node, key, value);
		}
	}
	memcpy(u->cursor, cursor, len + 1);
	if (strcmp(cursor, "0") == 0) {
		TAILQ_REMOVE(&b->unreads, u, link);
		free(u);
	}
	read_on(r);
}

static void
take_probe(struct redis *r, bool is_own, struct aqb_slice value)
{
	struct board *b = r->cluster->board;
	char want[24];

	snprintf(want, sizeof want, "%" PRIu64, b->probe_number);
	if (is_own && b->probe != 0 && strlen(want) == value.len &&
	    memcmp(want, value.data, value.len) == 0) {
		redis_fail(r, b->probe, AQB_OK);
		b->probe = 0;
	}
}

static void
take_entry(struct redis *r, const char *node, char kind, struct aqb_slice key,
    struct aqb_slice value)
{
	const struct aqb_follower *f = r->cluster->follower;
	bool is_own = strcmp(node, f->node) == 0;

	switch (kind) {
	case 'n':
		f->notice(f->arg, node, value);
		break;
	case 'r':
		hand_record(r, node, key, value);
		break;
	case 'c':
		hand_record(r, "", key, value);
		break;
	case 'p':
		take_probe(r, is_own, value);
		break;
	case 'g':
		if (!is_own) {
			f->node_gone(f->arg, node);
		}
		break;
	default:
		redis_add(r, r->metrics.foreign, 1);
	}
}

void
board_take(struct redis *r, const redisReply *reply)
{
	struct cluster *c = r->cluster;
	struct aqb_slice node, kind;
	const redisReply *fields;
	char name[NAME_SIZE];
	struct place at;

	if (!entry_place(reply, &at.era, &at.seq)) {
		return;
	}
	if (at.era == c->ctl_cursor.era ? at.seq != c->ctl_cursor.seq + 1
					: at.seq > c->ctl_cursor.seq + 1) {
		r->host->log(r->host, AQB_WARNING,
		    "%s was cut off before it was read; all records are read",
		    c->ctl_log);
		c->board->was_read = false; /* at the next beat */
		c->board->beat_at = 0;
	}
	c->ctl_cursor = at;
	fields = reply->element[1];
	node = entry_field(fields, "n");
	kind = entry_field(fields, "k");
	if (node.len == 0 || node.len >= sizeof name || kind.len != 1) {
		redis_add(r, r->metrics.foreign, 1);
		return;
	}
	memcpy(name, node.data, node.len);
	name[node.len] = '\0';
	take_entry(r, name, kind.data[0], entry_field(fields, "f"),
	    entry_field(fields, "v"));
}

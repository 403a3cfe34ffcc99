/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_STORE_H
#define HOST_STORE_H

/*
 * The storage backend as the bus sees it.  What a backend answers is checked
 * here before anybody believes it.
 */

#include <stdint.h>

#include <arqonbus/storage.h>

#include "host/ask.h"
#include "proto/address.h"

struct store;

/* How long answers may take, in milliseconds. */
struct store_times {
	uint64_t read;   /* and all else that is not named here */
	uint64_t append; /* longer than the backend waits for what is away */
	uint64_t probe;
};
struct store *store_new(struct desk *desk, const struct store_times *times);
void store_free(struct store **storep);

/* The one backend; the name lives as long as it.  Unbinding it, its open
 * questions end at their deadline. */
void store_bind(struct store *s, const struct aqb_storage_ops *ops, void *self,
    const char *name);
void store_unbind(struct store *s);

/*
 * As the table in <arqonbus/storage.h>: an enum aqb_when, or a negative enum
 * aqb_err at once.  done is called for AQB_EARLY and AQB_PENDING only; the
 * deadline holds for AQB_PENDING, for what was delivered early may be stored
 * as late as the backend can.  What makes no sense is AQB_EUNCERTAIN.
 */
int store_append(struct store *s, const char *stream,
    const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp, ask_done_f *done, void *arg);

/* done NULL: an answer that does not come at once is not wanted. */
int store_tail(struct store *s, const char *stream, struct aqb_answer *answerp,
    ask_done_f *done, void *arg);

/* done is always called, later. */
void store_history(struct store *s, const char *stream,
    const struct aqb_range *range, ask_done_f *done, void *arg);

/* done may be NULL. */
void store_forget(struct store *s, const char *stream, ask_done_f *done,
    void *arg);

/* May a channel ask this?  AQB_OK, or a refusal with a sentence. */
int store_accept(struct store *s, const struct aqb_limits *limits,
    struct aqb_why *why);

/* Where a position of another epoch is in today's; done is always called,
 * later: with AQB_ENOENT when it is nowhere. */
void store_resolve(struct store *s, const char *stream,
    const struct aqb_position *since, ask_done_f *done, void *arg);

/* Keep a value unless there is one, and learn which there is; false: the
 * backend keeps none. */
bool store_keep(struct store *s, const char *key, struct aqb_slice value,
    ask_done_f *done, void *arg);

/*
 * Who is told of the other brokers on this storage, as the follower in
 * <arqonbus/storage.h>; what comes here is right: names, positions, messages
 * that are stamped or may be, text that is UTF-8.  Strings live for ever.
 */
struct store_follower {
	const char *node;
	void *arg;
	void (*message)(void *arg, const struct address *where,
	    struct aqb_msg *msg, const struct aqb_position *pos,
	    uint32_t flags);
	void (*forgotten)(void *arg, const struct address *where);
	void (*notice)(void *arg, const char *node, struct aqb_slice notice);
	void (*record)(void *arg, const char *node, const char *key,
	    struct aqb_slice value);
	void (*node_gone)(void *arg, const char *node);
	void (*syncing)(void *arg);
	void (*synced)(void *arg);
	void (*share_again)(void *arg);
};

/* How long notices and records, and their keys, may be. */
#define STORE_NOTICE_MAX (4u * 1024u * 1024u)
#define STORE_RECORD_MAX (1024u * 1024u)
#define STORE_KEY_MAX 255

/* Be one bus with the others: once, before anything is stored.  AQB_OK, or a
 * refusal with a sentence. */
int store_follow(struct store *s, const struct store_follower *follower,
    struct aqb_why *why);

/* Say something to all brokers; AQB_EUNAVAIL while that cannot be. */
int store_notify(struct store *s, struct aqb_slice notice);

/* Set a record, or remove it with an empty value; `flags`: AQB_SHARE_*. */
int store_share(struct store *s, const char *key, struct aqb_slice value,
    uint32_t flags);

/* Ask the backend how it is, if it can tell.  For a timer. */
void store_probe(struct store *s);

void store_usage(const struct store *s, uint64_t *messagesp, uint64_t *bytesp);

/* How far what waits to be stored fills its limit, in hundredths. */
uint32_t store_backlog(const struct store *s);

/* What AQB_DONE of an append reached for a channel of these limits. */
enum aqb_stored store_class(const struct store *s,
    const struct aqb_limits *limits);

/* Of the backend: AQB_STORE_*; its plugin's name, or "none"; and "ok",
 * "degraded" (it cannot be reached, or answers nonsense) or "failed" (there is
 * none). */
uint32_t store_caps(const struct store *s);
const char *store_name(const struct store *s);
const char *store_state(const struct store *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_SESSION_H
#define BUS_SESSION_H

/*
 * Sessions: who comes back with the token it was given keeps its client id.
 * The token is the id and a MAC under a key, so nothing need be remembered to
 * check it.  The key is this process's own, or the one that the storage keeps
 * for all brokers.  What a client said about itself is remembered
 * for a while after it left, so that its alias comes back with it unless
 * somebody else took it.
 */

#include "bus/client.h"

struct loop;
struct session;
struct store;

/* An id, a dot, 32 hex digits, and the NUL. */
#define SESSION_TOKEN_SIZE (CLIENT_ID_SIZE + 33)

struct session *session_new(struct loop *loop, struct store *store);
void session_free(struct session **sessionp);

/* Share the key, if the storage keeps one: once it runs.  Tokens that were
 * given before it answered stay good. */
void session_share(struct session *s);

void session_token(const struct session *s, const char *id,
    char token[SESSION_TOKEN_SIZE]);

/* The id in a token that we gave; false for any other text. */
bool session_check(const struct session *s, const char *token, size_t len,
    char id[CLIENT_ID_SIZE]);

/* Keep the profile of a client that leaves: moved out of it. */
void session_remember(struct session *s, struct client *client);

/* The same of anybody's: *profilep is moved out. */
void session_keep(struct session *s, const char *id, struct profile **profilep,
    enum client_type type);

/* Give it back to a client of the same id. */
void session_recall(struct session *s, struct client *client);

#endif

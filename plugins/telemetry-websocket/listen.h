/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_LISTEN_H
#define TELEMETRY_LISTEN_H

/*
 * The listening socket of the telemetry port, ours and not the library's: so
 * a refusal to bind is told with its reason, connections are counted, and
 * running out of descriptors does not spin.
 */

#include <libwebsockets.h>

#include "plane.h"

struct listener {
	const struct plane *plane;
	struct lws_vhost *vhost;
	struct lws *wsi; /* the library's name for the socket, or NULL */
	int spare;       /* given up to turn somebody away without others */
	uint32_t peers;  /* connections that stand */
	uint32_t most;
	bool is_starved; /* said already that there are no descriptors */
};

/* A listening socket for this host and port, with the port taken in *portp;
 * negative enum aqb_err with the sentence in *why. */
int listen_open(const struct telemetry_conf *conf, uint16_t *portp,
    struct aqb_why *why);

/* Serve connections from this socket, which the library closes in the end,
 * also when this fails. */
bool listener_start(struct listener *listener, const struct plane *plane,
    struct lws_vhost *vhost, int fd, uint32_t most);

/* No new connections from now on. */
void listener_stop(struct listener *listener);

/* After the library is gone. */
void listener_fini(struct listener *listener);

/* Somebody knocks: take in as many as there are. */
void listener_accept(struct listener *listener, int fd);

/* Some connection is gone; is it one of ours, uncount it. */
void listener_forget(struct listener *listener, struct lws *wsi);

#endif

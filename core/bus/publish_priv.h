/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_PUBLISH_PRIV_H
#define BUS_PUBLISH_PRIV_H

#include "bus/publish.h"

struct publish {
	uint32_t magic;
	bool id_is_ours; /* the client sent none */
	bool may_go;     /* its position is known before it is stored */
	bool is_early;   /* delivered before it was stored */
	bool is_repeat;  /* stored and delivered before */
	bool decided;
	bool is_copy; /* of a message that a group gave up */
	enum aqb_err err;
	enum aqb_stored stored;
	struct bus *bus;
	struct client *client;   /* NULL once gone, unless it came back */
	struct channel *channel; /* NULL once gone */
	struct aqb_msg *msg;
	struct aqb_slice id;   /* in the message */
	struct sighting *seen; /* or NULL */
	struct aqb_position pos;
	uint64_t received_us;
	/* How often the client said it, repeats and all, and with "ack". */
	uint32_t said;
	uint32_t acks;
	LIST_ENTRY(publish) bus_link;
	LIST_ENTRY(publish) client_link;
	TAILQ_ENTRY(publish) link;
};

#endif

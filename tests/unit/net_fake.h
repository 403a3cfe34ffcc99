/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_NET_FAKE_H
#define UNIT_NET_FAKE_H

/*
 * A worker with real sockets, and a bus that writes down what comes up.  Every
 * write of the worker is one packet at the test's end, so that writes can be
 * counted.  Turns and time pass when the test says so.
 */

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/worker.h"

extern struct net_conf settings;
extern struct worker *worker;
extern bool bus_is_behind; /* and takes nothing from the box */

void net_setup(void);
/* Also sees that nothing is left behind. */
void net_teardown(void);

void turn(void); /* one */
void settle(void);
void time_passes(uint64_t ms);

/* The test's end of a connection. */
struct end {
	int fd;
	struct port_conn *conn; /* once the bus knows it */
	size_t packets;         /* read so far */
	uint8_t *got;           /* and not taken yet */
	size_t len;
	char requests[64][64]; /* payloads that came up, in turn */
	size_t request_count;
	size_t rejects;
	size_t readies;
	struct port_loss losses[64]; /* as they came up */
	size_t loss_count;
	size_t news; /* PORT_SLOW that were */
	uint64_t dropped[SLOW_POLICIES];
	bool is_closed; /* PORT_CLOSED has come */
	uint16_t close_code;
	const char *close_reason;
};

/* A connection that has said nothing; one that has shaken hands. */
struct end *dial(void);
struct end *meet(void);
/* The same whose writes block at about that many bytes. */
struct end *meet_narrow(int bytes);

void say_bytes(struct end *e, const void *data, size_t len);
/* One masked frame. */
void say_frame(struct end *e, int opcode, bool fin, const void *data,
    size_t len);
/* An event with this payload. */
void say_event(struct end *e, int payload);
void hang_up(struct end *e);

/* What has come is read; the next frame, or its absence. */
void hears_frame(struct end *e, int opcode, const void *data, size_t len);
void hears_text(struct end *e, const char *text);
void hears_close(struct end *e, uint16_t code, const char *reason);
void hears_nothing(struct end *e);
bool is_next(struct end *e, int opcode);
/* The worker hung up. */
void hears_the_end(struct end *e);

/* What the bus posts. */
struct port_down *bus_posts(struct end *e, enum port_down_kind kind);
void bus_sends(struct end *e, const char *text);
void bus_closes(struct end *e, uint16_t code, const char *reason);
/* To all of a lane but one (or NULL). */
void bus_delivers(uint32_t lane, const char *text, struct end *but,
    uint64_t mark);
/* The same of a message of a channel, with a payload of so many bytes. */
void bus_publishes(uint32_t lane, enum slow_policy policy, uint64_t seq,
    size_t size, struct end *but);

/* All that has come is read; the seq of the next message, 0 if it has none. */
uint64_t hears_seq(struct end *e);
/* Only so much is read. */
void sips(struct end *e, size_t most);

#endif

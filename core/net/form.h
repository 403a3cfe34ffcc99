/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_FORM_H
#define NET_FORM_H

/*
 * The forms in which one message goes over the wire.  Which one a connection
 * gets was settled when it came or said so; each form is made once for a
 * message, when the first of its receivers is met, so that compressing costs
 * a message and not a delivery.
 */

#include <stdbool.h>

#include <arqonbus/abi.h>

#include "base/buf.h"

struct aqb_msg;
struct deflater;
struct net_conf;
struct net_counters;

/* Flags of a form; 0 is the frame as the message holds it. */
#define FORM_BINARY 0x01u   /* what came as binary goes as binary */
#define FORM_DEFLATED 0x02u /* permessage-deflate, where it makes smaller */
#define FORMS 4

/* What making them needs; one worker's. */
struct former {
	struct deflater *deflater; /* NULL: nobody is offered it */
	size_t deflate_min;        /* shorter messages are not worth it */
	struct net_counters *count;
	struct buf bytes; /* of a binary message */
	struct buf packed;
	struct buf frame;
};

void former_init(struct former *former, const struct net_conf *conf,
    struct net_counters *count);
void former_fini(struct former *former);

/* The frame of a message in a form: the message's own, or one that is good
 * until the next is made.  Empty when there is no memory. */
struct aqb_slice form_frame(struct former *former, const struct aqb_msg *msg,
    unsigned form);

#endif

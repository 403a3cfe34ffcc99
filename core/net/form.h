/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_FORM_H
#define NET_FORM_H

/*
 * The forms in which one message goes over the wire.  Which one a connection
 * gets was settled when it came or said so; each form is made once for a
 * message, when the first of its receivers is met.
 */

#include <arqonbus/abi.h>

#include "base/buf.h"

struct aqb_msg;

/* Flags of a form; 0 is the frame as the message holds it. */
#define FORM_BINARY 0x01u /* what came as binary goes as binary */
#define FORMS 2

/* What making them needs.  Zeroed is the start; one worker's. */
struct former {
	struct buf bytes; /* a message's payload */
	struct buf frame;
};

void former_fini(struct former *former);

/* Is the frame in this form the one that the message holds? */
bool form_is_plain(const struct aqb_msg *msg, unsigned form);

/* The frame of a message in a form: good until the next one is made.  Empty
 * when there is no memory. */
struct aqb_slice form_frame(struct former *former, const struct aqb_msg *msg,
    unsigned form);

#endif

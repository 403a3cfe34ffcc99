/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_MESSAGE_H
#define ARQONBUS_MESSAGE_H

/*
 * A message is built once and never changed.  Everyone who keeps one holds a
 * reference: host->msg_ref() and host->msg_unref().  The count is atomic, so
 * a reference may be given back on any thread.
 */

#include <arqonbus/abi.h>

struct aqb_msg;

/* Room for an epoch: opaque text, NUL included. */
#define AQB_EPOCH_SIZE 40

/*
 * Where a message stands in its channel: 1, 2, 3 .. within one epoch.  A new
 * epoch says that what came before cannot be compared.
 */
struct aqb_position {
	uint64_t seq;
	char epoch[AQB_EPOCH_SIZE];
};

#define AQB_MSG_BINARY 0x01u   /* it came as bytes; the payload is base64 */
#define AQB_MSG_GIVEN_ID 0x02u /* its sender chose the id, to repeat it by */

/*
 * What is in a message.  The slices belong to the message and live as long as
 * the reference that was used to look.  Room and channel are empty where they
 * do not apply; payload and metadata are JSON text, metadata may be empty.
 */
struct aqb_msg_view {
	uint32_t size;
	uint32_t bytes;      /* what the message costs in memory */
	int64_t timestamp;   /* milliseconds since 1970, UTC */
	uint64_t seq;        /* 0 until the storage has given a position */
	struct aqb_slice id; /* as JSON text between the quotes */
	struct aqb_slice type;
	struct aqb_slice room;
	struct aqb_slice channel;
	struct aqb_slice from;
	struct aqb_slice payload;
	struct aqb_slice metadata;
	struct aqb_slice epoch; /* empty until then, too */
	uint32_t flags;         /* AQB_MSG_* */
	/* ABI 1.0 ends here.  Add below this line only. */
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

/*
 * One envelope from a client, taken apart: arqonbus-protocol(7), "ENVELOPE".
 * Everything a client may say is checked here, once, on the thread that read
 * it; who may say it, and what becomes of it, the bus decides.
 */

#include <arqonbus/abi.h>
#include <arqonbus/error.h>

#include <arqonbus/message.h>

#include "proto/address.h"
#include "proto/json.h"

struct aqb_msg;

enum envelope_type {
	ENVELOPE_EVENT,
	ENVELOPE_MESSAGE,
	ENVELOPE_PRIVATE,
	ENVELOPE_COMMAND,
	ENVELOPE_SYSTEM,
	ENVELOPE_TELEMETRY,
	ENVELOPE_PING,
	ENVELOPE_ACK, /* of a member of a group */
};

struct envelope {
	enum envelope_type type;
	bool ack;
	bool everybody;         /* system with room "*" */
	bool is_binary;         /* its payload is bytes, not JSON */
	bool ok;                /* of acks: false gives the message back */
	struct address address; /* of all but commands, which check their own */
	union {
		char command[AQB_NAME_MAX + 1]; /* of commands */
		struct aqb_position position;   /* of acks */
	};

	/* Slices of the text (of the message, after envelope_keep). */
	struct aqb_slice text;    /* all of it: of commands only */
	struct aqb_slice id;      /* between its quotes; empty: not given */
	struct aqb_slice args;    /* of commands: a JSON object, or empty */
	struct aqb_slice payload; /* a JSON value or bytes, or empty */
	struct aqb_slice metadata;
	struct json_value to; /* a string or an array of strings; len 0: none */
};

/* The name of a type on the wire. */
const char *envelope_type_name(enum envelope_type type);

/*
 * Check and take apart a text.  On a refusal *envp holds the id if that could
 * be read.  The slices borrow the text.
 */
enum aqb_code envelope_decode(const char *text, size_t len,
    struct envelope *envp, struct aqb_why *why);

/*
 * The same for a binary message: the length of its header in two bytes, big
 * endian; the header, an envelope without a payload; and the payload's bytes.
 */
enum aqb_code envelope_decode_binary(const uint8_t *data, size_t len,
    struct envelope *envp, struct aqb_why *why);

/* A header's limit: stamped, its length must still fit two bytes. */
#define ENVELOPE_HEADER_MAX (60u * 1024u)

/*
 * Move what the slices point at into a message that can outlive the text:
 * payload and metadata to where they will be sent from.  NULL when there is
 * no memory.
 */
struct aqb_msg *envelope_keep(struct envelope *env);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_ERROR_H
#define ARQONBUS_ERROR_H

/*
 * Two closed lists of what can go wrong: aqb_err between the broker and its
 * plugins, aqb_code between the broker and its clients.  Numbers and names
 * are never reused, only added.
 */

#include <arqonbus/abi.h>

enum aqb_err {
	AQB_OK = 0,
	AQB_EINVAL = -1,   /* the request makes no sense */
	AQB_ENOENT = -2,   /* there is no such thing */
	AQB_EEXIST = -3,   /* it is there already */
	AQB_EABI = -4,     /* built for another plugin ABI */
	AQB_ENOMEM = -5,   /* no memory for what a peer asked */
	AQB_EFULL = -6,    /* a bounded queue is full; try again later */
	AQB_EUNAVAIL = -7, /* not reachable; certainly not done */
	AQB_EUNCERTAIN =
	    -8,             /* not reachable; cannot know whether it was done */
	AQB_ETIMEDOUT = -9, /* no answer in time; it may still happen */
	AQB_EPERM = -10,    /* not allowed */
	AQB_ESYS = -11,     /* the operating system refused; see the text */
};

/* What a client is told.  arqonbus-protocol(7) describes each. */
enum aqb_code {
	AQB_CODE_OK = 0,
	AQB_CODE_INVALID_JSON = 1,
	AQB_CODE_INVALID_ENVELOPE = 2,
	AQB_CODE_UNSUPPORTED_VERSION = 3,
	AQB_CODE_UNKNOWN_TYPE = 4,
	AQB_CODE_UNKNOWN_COMMAND = 5,
	AQB_CODE_INVALID_ARGUMENT = 6,
	AQB_CODE_INVALID_NAME = 7,
	AQB_CODE_TARGET_REQUIRED = 8,
	AQB_CODE_TARGET_NOT_FOUND = 9,
	AQB_CODE_ROOM_NOT_FOUND = 10,
	AQB_CODE_CHANNEL_NOT_FOUND = 11,
	AQB_CODE_CHANNEL_EXISTS = 12,
	AQB_CODE_CHANNEL_PROTECTED = 13,
	AQB_CODE_CHANNEL_NOT_EMPTY = 14,
	AQB_CODE_ALIAS_TAKEN = 15,
	AQB_CODE_NOT_A_MEMBER = 16,
	AQB_CODE_LIMIT_REACHED = 17,
	AQB_CODE_MESSAGE_TOO_LARGE = 18,
	AQB_CODE_RATE_LIMITED = 19,
	AQB_CODE_BUSY = 20,
	AQB_CODE_OVERLOADED = 21,
	AQB_CODE_UNAUTHENTICATED = 22,
	AQB_CODE_FORBIDDEN = 23,
	AQB_CODE_STORAGE_UNAVAILABLE = 24,
	AQB_CODE_DRAINING = 25,
	AQB_CODE_TIMEOUT = 26,
	AQB_CODE_INTERNAL = 27,
};

/*
 * One sentence about what went wrong, written by whoever detected it: what,
 * colon, fact, semicolon, cure.  `field` names the field at fault, a string
 * that lives for ever, or is NULL.  `retry_after_ms` says when the same may
 * be tried again, as RATE_LIMITED and OVERLOADED do; 0 says nothing.
 */
struct aqb_why {
	const char *field;
	uint32_t retry_after_ms;
	char text[244];
};

#endif

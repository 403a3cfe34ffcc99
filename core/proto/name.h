/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_NAME_H
#define PROTO_NAME_H

/* Names of rooms, channels and clients: arqonbus-protocol(7), "ADDRESSING". */

#include <stdbool.h>
#include <stddef.h>

#include <arqonbus/abi.h>
#include <arqonbus/error.h>

/* 1 to 64 bytes of A-Z a-z 0-9 _ . - that do not begin with a dot. */
bool name_valid(const char *text, size_t len);

/* Likewise, and not beginning with "arq_": those are client ids. */
bool alias_valid(const char *text, size_t len);

/* INVALID_NAME, with what is wrong, when it is not valid.  The field is what
 * the client calls it, a string that lives for ever. */
enum aqb_code name_check(const char *text, size_t len, const char *field,
    struct aqb_why *why);

/* Split at the one colon.  False when there is none, or more than one. */
bool address_split(const char *text, size_t len, struct aqb_slice *roomp,
    struct aqb_slice *channelp);

#endif

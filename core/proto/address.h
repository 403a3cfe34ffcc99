/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

/*
 * Where a message goes, as a client spells it: room and channel, or
 * "room:channel" in either of the two.
 */

#include <arqonbus/abi.h>
#include <arqonbus/error.h>

struct address {
	char room[AQB_NAME_MAX + 1];    /* "" when not given */
	char channel[AQB_NAME_MAX + 1]; /* "" when not given */
};

/*
 * Read both fields, each possibly empty.  Names that break the rules are
 * INVALID_NAME; two fields that contradict each other are `clash`.
 */
enum aqb_code address_read(struct aqb_slice room, struct aqb_slice channel,
    enum aqb_code clash, struct address *addressp, struct aqb_why *why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/address.h"

#include <string.h>

#include "base/why.h"
#include "proto/name.h"

/* Set a name, or see that it was set to the same before. */
static enum aqb_code
set(char *place, struct aqb_slice text, const char *field, enum aqb_code clash,
    struct aqb_why *why)
{
	enum aqb_code code = name_check(text.data, text.len, field, why);

	if (code != AQB_CODE_OK) {
		return code;
	}
	if (place[0] != '\0' &&
	    (strlen(place) != text.len ||
		memcmp(place, text.data, text.len) != 0)) {
		return reject(why, clash, field,
		    "%s: room and channel contradict each other: \"%s\" and "
		    "\"%.*s\"",
		    field, place, (int)text.len, text.data);
	}
	memcpy(place, text.data, text.len);
	place[text.len] = '\0';
	return AQB_CODE_OK;
}

static enum aqb_code
read_field(struct aqb_slice text, char *place, const char *field,
    enum aqb_code clash, struct address *address, struct aqb_why *why)
{
	struct aqb_slice room, channel;
	enum aqb_code code;

	if (!address_split(text.data, text.len, &room, &channel)) {
		return set(place, text, field, clash, why);
	}
	code = set(address->room, room, field, clash, why);
	if (code != AQB_CODE_OK) {
		return code;
	}
	return set(address->channel, channel, field, clash, why);
}

enum aqb_code
address_read(struct aqb_slice room, struct aqb_slice channel,
    enum aqb_code clash, struct address *addressp, struct aqb_why *why)
{
	enum aqb_code code = AQB_CODE_OK;

	addressp->room[0] = '\0';
	addressp->channel[0] = '\0';
	if (room.data != NULL) {
		code = read_field(room, addressp->room, "room", clash, addressp,
		    why);
	}
	if (code == AQB_CODE_OK && channel.data != NULL) {
		code = read_field(channel, addressp->channel, "channel", clash,
		    addressp, why);
	}
	return code;
}

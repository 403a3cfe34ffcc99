/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_LIST_H
#define BUS_LIST_H

/*
 * Lists in pages.  A cursor names the last thing shown, and costs nothing to
 * go on from: whatever is there all the time is shown exactly once, and a
 * call looks at a bounded number of things, so that a list of a hundred
 * thousand costs no other client its turn.
 */

#include "bus/channel.h"

enum aqb_code list_channels(struct bus *bus, const char *room,
    const char *client_type, const struct aqb_page *page,
    aqb_channel_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
    struct aqb_why *why);

enum aqb_code list_members(struct channel *ch, const struct aqb_page *page,
    aqb_client_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE],
    struct aqb_why *why);

enum aqb_code list_clients(struct bus *bus, const char *client_type,
    const struct aqb_page *page, aqb_client_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why);

#endif

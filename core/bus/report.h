/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_REPORT_H
#define BUS_REPORT_H

/* A client's own event, for those who watch. */

#include "bus/client.h"

enum aqb_code report(struct client *client, const struct envelope *env,
    struct aqb_why *why);

#endif

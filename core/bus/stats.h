/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_STATS_H
#define BUS_STATS_H

/* Numbers about the bus. */

#include "bus/bus_priv.h"

void stats_fill(const struct bus *bus, struct aqb_stats *statsp);

#endif

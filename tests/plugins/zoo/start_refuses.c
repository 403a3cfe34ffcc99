/* SPDX-License-Identifier: Apache-2.0 */
/* Is built, and then does not start. */
#include <stdio.h>

#include "zoo.h"

static aqb_plugin_start_f refuse_to_start;

static int
refuse_to_start(void *self, struct aqb_why *why)
{
	(void)self;
	snprintf(why->text, sizeof why->text, "no port is free");
	return AQB_ESYS;
}

AQB_PLUGIN(.name = "start-refuses", .version = "1.0", .summary = "refuses",
    .init = zoo_init, .start = refuse_to_start, .stop = zoo_stop,
    .fini = zoo_fini, );

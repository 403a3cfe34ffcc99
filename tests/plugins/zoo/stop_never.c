/* SPDX-License-Identifier: Apache-2.0 */
/* Begins to stop, and is not heard of again. */
#include "zoo.h"

static aqb_plugin_stop_f never_stop;

static void
never_stop(void *self, aqb_ticket ticket)
{
	(void)self;
	(void)ticket;
	zoo_says("stop");
}

AQB_PLUGIN(.name = "stop-never", .version = "1.0", .summary = "never stops",
    .init = zoo_init, .start = zoo_start, .stop = never_stop,
    .fini = zoo_fini, );

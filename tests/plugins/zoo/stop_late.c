/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in fini, when nobody waits any more. */
#include "zoo.h"

static aqb_ticket asked;

static aqb_plugin_stop_f stop_late;
static aqb_plugin_fini_f fini_late;

static void
stop_late(void *self, aqb_ticket ticket)
{
	(void)self;
	zoo_says("stop");
	asked = ticket;
}

static void
fini_late(void **selfp)
{
	zoo_host->answer(zoo_host, asked, AQB_OK, NULL);
	zoo_fini(selfp);
}

AQB_PLUGIN(.name = "stop-late", .version = "1.0", .summary = "stops late",
    .init = zoo_init, .start = zoo_start, .stop = stop_late,
    .fini = fini_late, );

/* SPDX-License-Identifier: Apache-2.0 */
/* Says twice that it has stopped. */
#include "zoo.h"

static aqb_plugin_stop_f stop_twice;

static void
stop_twice(void *self, aqb_ticket ticket)
{
	zoo_stop(self, ticket);
	zoo_host->answer(zoo_host, ticket, AQB_ESYS, NULL);
}

AQB_PLUGIN(.name = "stop-twice", .version = "1.0", .summary = "stops twice",
    .init = zoo_init, .start = zoo_start, .stop = stop_twice,
    .fini = zoo_fini, );

/* SPDX-License-Identifier: Apache-2.0 */
/* Does not want to, says nothing, and with a number that is no error. */
#include "zoo.h"

static aqb_plugin_init_f refuse_to_init;

static int
refuse_to_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	(void)conf;
	(void)selfp;
	(void)why;
	zoo_host = host;
	return 77;
}

AQB_PLUGIN(.name = "init-silent", .version = "1.0", .summary = "refuses",
    .init = refuse_to_init, .start = zoo_start, .stop = zoo_stop,
    .fini = zoo_fini, );

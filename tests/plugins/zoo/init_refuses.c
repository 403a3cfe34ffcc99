/* SPDX-License-Identifier: Apache-2.0 */
/* Does not want to, and says why. */
#include <stdio.h>

#include "zoo.h"

static aqb_plugin_init_f refuse_to_init;

static int
refuse_to_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	(void)conf;
	(void)selfp;
	zoo_host = host;
	snprintf(why->text, sizeof why->text, "the moon is not full");
	return AQB_EINVAL;
}

AQB_PLUGIN(.name = "init-refuses", .version = "1.0", .summary = "refuses",
    .init = refuse_to_init, .start = zoo_start, .stop = zoo_stop,
    .fini = zoo_fini, );

/* SPDX-License-Identifier: Apache-2.0 */
/* A storage that does not start. */
#include <stdio.h>

#include "storage.h"

static aqb_plugin_start_f refuse_to_start;

static int
refuse_to_start(void *self, struct aqb_why *why)
{
	(void)self;
	snprintf(why->text, sizeof why->text, "no disk");
	return AQB_ESYS;
}

AQB_PLUGIN(.name = "storage-refuses", .version = "1.0",
    .summary = "does not start", .init = zoo_init, .start = refuse_to_start,
    .fini = zoo_fini, .storage = &zoo_storage, );

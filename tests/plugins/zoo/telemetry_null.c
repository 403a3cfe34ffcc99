/* SPDX-License-Identifier: Apache-2.0 */
/* A sink that hears nothing. */
#include "zoo.h"

static const struct aqb_telemetry_ops ops = {
	.size = sizeof ops,
};

AQB_PLUGIN(.name = "telemetry-null", .version = "1.0",
    .summary = "emit is missing", .init = zoo_init, .fini = zoo_fini,
    .telemetry = &ops, );

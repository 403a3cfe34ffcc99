/* SPDX-License-Identifier: Apache-2.0 */
/* Cannot be built. */
#include "zoo.h"

AQB_PLUGIN(.name = "null-init", .version = "1.0", .summary = "init is missing",
    .start = zoo_start, .stop = zoo_stop, .fini = zoo_fini, );

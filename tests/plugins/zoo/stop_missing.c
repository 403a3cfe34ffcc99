/* SPDX-License-Identifier: Apache-2.0 */
/* Has nothing to stop, and a start that is not there either: both may be. */
#include "zoo.h"

AQB_PLUGIN(.name = "stop-missing", .version = "1.0",
    .summary = "nothing to stop", .init = zoo_init, .fini = zoo_fini, );

/* SPDX-License-Identifier: Apache-2.0 */
/* Its name would not do as a section, nor in a log line. */
#include "zoo.h"

AQB_PLUGIN(.name = "Bad Name", .version = "1.0", .summary = "a bad name",
    .init = zoo_init, .start = zoo_start, .stop = zoo_stop, .fini = zoo_fini, );

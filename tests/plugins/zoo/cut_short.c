/* SPDX-License-Identifier: Apache-2.0 */
/* Its table ends before anything is said. */
#include "zoo.h"

ZOO_PLUGIN(.magic = AQB_PLUGIN_MAGIC, .abi_major = AQB_ABI_MAJOR,
    .abi_minor = AQB_ABI_MINOR, .size = 16, .name = "cut-short",
    .version = "1.0", .summary = "cut short", .init = zoo_init,
    .fini = zoo_fini, );

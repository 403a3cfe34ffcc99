/* SPDX-License-Identifier: Apache-2.0 */
/* Needs what this broker does not have yet. */
#include "zoo.h"

ZOO_PLUGIN(.magic = AQB_PLUGIN_MAGIC, .abi_major = AQB_ABI_MAJOR,
    .abi_minor = AQB_ABI_MINOR + 8, .size = sizeof(struct aqb_plugin),
    .name = "future-minor", .version = "1.0", .summary = "of tomorrow",
    .init = zoo_init, .fini = zoo_fini, );

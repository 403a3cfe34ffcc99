/* SPDX-License-Identifier: Apache-2.0 */
/* Built for an ABI that is not ours. */
#include "zoo.h"

ZOO_PLUGIN(.magic = AQB_PLUGIN_MAGIC, .abi_major = AQB_ABI_MAJOR + 2,
    .abi_minor = 4, .size = sizeof(struct aqb_plugin), .name = "wrong-major",
    .version = "1.0", .summary = "of another age", .init = zoo_init,
    .fini = zoo_fini, );

/* SPDX-License-Identifier: Apache-2.0 */
/* Something else that happens to have our symbol. */
#include "zoo.h"

ZOO_PLUGIN(.magic = 0x7f454c46u, .abi_major = AQB_ABI_MAJOR,
    .abi_minor = AQB_ABI_MINOR, .size = sizeof(struct aqb_plugin),
    .name = "wrong-magic", .version = "1.0", .summary = "a stranger",
    .init = zoo_init, .fini = zoo_fini, );

/* SPDX-License-Identifier: Apache-2.0 */
/* Right in itself, but there is one already. */
#include "storage.h"

AQB_PLUGIN(.name = "storage-twice", .version = "1.0",
    .summary = "another storage", .init = zoo_init, .fini = zoo_fini,
    .storage = &zoo_storage, );

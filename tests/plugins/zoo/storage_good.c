/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is wrong with this one: the others need a storage beside them. */
#include "storage.h"

AQB_PLUGIN(.name = "storage-good", .version = "1.0", .summary = "a storage",
    .init = zoo_init, .start = zoo_start, .stop = zoo_stop, .fini = zoo_fini,
    .storage = &zoo_storage, );

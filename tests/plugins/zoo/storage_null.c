/* SPDX-License-Identifier: Apache-2.0 */
/* A storage that cannot read. */
#include "storage.h"

static const struct aqb_storage_ops ops = {
	.size = sizeof ops,
	.append = zoo_append,
	.tail = zoo_tail,
	.forget = zoo_forget,
	.usage = zoo_usage,
};

AQB_PLUGIN(.name = "storage-null", .version = "1.0",
    .summary = "history is missing", .init = zoo_init, .fini = zoo_fini,
    .storage = &ops, );

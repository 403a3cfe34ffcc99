/* SPDX-License-Identifier: Apache-2.0 */
/* An option that would be written behind its struct. */
#include "zoo.h"

struct astray_conf {
	uint32_t one;
	uint32_t two;
};

static const struct aqb_option astray_options[] = {
	AQB_U32("one", struct astray_conf, one, 0, 9, "1", "inside"),
	AQB_U32("two", struct astray_conf, two, 0, 9, "2", "outside"),
	AQB_OPTIONS_END,
};

AQB_PLUGIN(.conf_size = sizeof(uint32_t), .name = "options-astray",
    .version = "1.0", .summary = "options outside the struct",
    .options = astray_options, .init = zoo_init, .start = zoo_start,
    .stop = zoo_stop, .fini = zoo_fini, );

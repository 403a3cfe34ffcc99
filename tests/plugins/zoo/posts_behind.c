/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves a post behind that would find its self gone. */
#include "zoo.h"

static aqb_plugin_fini_f fini_and_post;
static aqb_post_f run_late;

static void
run_late(void *arg)
{
	(void)arg;
	zoo_says("late");
}

static void
fini_and_post(void **selfp)
{
	zoo_host->post(zoo_host, run_late, NULL);
	zoo_fini(selfp);
}

AQB_PLUGIN(.name = "posts-behind", .version = "1.0",
    .summary = "leaves posts behind", .init = zoo_init, .start = zoo_start,
    .stop = zoo_stop, .fini = fini_and_post, );

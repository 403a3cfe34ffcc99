/* SPDX-License-Identifier: Apache-2.0 */
/* Has a metric, and is gone before anybody reads it. */
#include "zoo.h"

static aqb_plugin_init_f init_metric;

static int
init_metric(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	char name[] = "arqonbus_zoo_gone_total";
	uint32_t metric;

	(void)conf;
	(void)selfp;
	(void)why;
	zoo_host = host;
	metric = host->metrics->counter(host, name, "Something gone.");
	host->metrics->add(host, metric, 3);
	name[0] = '\0';
	return AQB_EUNAVAIL;
}

AQB_PLUGIN(.name = "metric-gone", .version = "1.0",
    .summary = "leaves a metric behind", .init = init_metric,
    .fini = zoo_fini, );

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections that come at an even pace within some time, whatever the server
 * does, as after a failure they all come back.  Each is established when the
 * 101 and the welcome came, and its latency counts from when it was due.
 */

#include <stdio.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_crowd.h"
#include "bench_hist.h"
#include "bench_loop.h"

static struct {
	int connections;
	double over;
} conf = { .connections = 5000, .over = 5 };

static const struct bench_opt options[] = {
	{ "connections", BENCH_NUMBER, &conf.connections, 1, 1000000,
	    "how many come" },
	{ "over", BENCH_SECONDS, &conf.over, 0, 86400,
	    "the time that they are spread over" },
	{ "plain", BENCH_FLAG, &bench_target.plain, 0, 0,
	    "await no welcome: the server is the floor" },
	{ 0 },
};

static void
print(const struct bench_crowd *c, const struct bench_usage *u)
{
	printf("%d connections within %g s: %llu established, %llu refused, "
	       "%llu failed\n",
	    conf.connections, conf.over, (unsigned long long)c->established,
	    (unsigned long long)c->refused, (unsigned long long)c->failed);
	for (int i = 0; i < BENCH_STATUS_MAX; i++) {
		if (c->statuses[i] > 0) {
			printf("FAILED: %llu refused with status %d\n",
			    (unsigned long long)c->statuses[i], i);
		}
	}
	if (c->failed > 0) {
		printf("FAILED: the first: %s\n", c->why);
	}
	printf("%.0f connections/s; the server's CPU is %.0f ns each\n",
	    bench_each((double)c->established * BENCH_SECOND, c->took),
	    bench_each((double)u->server, c->established));
	bench_hist_title("latency");
	bench_hist_print(&c->latency, "established");
}

static void
save(const struct bench_crowd *c, const struct bench_usage *u)
{
	struct buf out = { 0 };
	const char *comma = "";

	buf_printf(&out,
	    "{\"test\":\"storm\",\"connections\":%d,\"over\":%g,"
	    "\"seconds\":%.3f,\"established\":%llu,\"refused\":%llu,"
	    "\"failed\":%llu,\"statuses\":{",
	    conf.connections, conf.over, (double)c->took / BENCH_SECOND,
	    (unsigned long long)c->established, (unsigned long long)c->refused,
	    (unsigned long long)c->failed);
	for (int i = 0; i < BENCH_STATUS_MAX; i++) {
		if (c->statuses[i] > 0) {
			buf_printf(&out, "%s\"%d\":%llu", comma, i,
			    (unsigned long long)c->statuses[i]);
			comma = ",";
		}
	}
	buf_printf(&out, "},\"connections_per_second\":%.0f,",
	    bench_each((double)c->established * BENCH_SECOND, c->took));
	bench_cost_json(u, c->established, &out);
	bench_finish(&out, &c->latency, NULL);
}

int
storm_main(int argc, char **argv)
{
	static struct bench_loop loop;
	static struct bench_crowd crowd = { .lenient = true };
	struct bench_usage usage;

	bench_begin(options, argc, argv);
	crowd.count = (uint64_t)conf.connections;
	crowd.over = (uint64_t)(conf.over * BENCH_SECOND);
	crowd.clients = xnew(crowd.count * sizeof *crowd.clients);
	bench_crowd_fits(crowd.count);
	bench_loop_init(&loop);
	usage = bench_usage(bench_target.pid);
	bench_crowd_open(&crowd, &loop);
	usage = bench_usage_since(bench_target.pid, &usage);
	print(&crowd, &usage);
	save(&crowd, &usage);
	return crowd.established == crowd.count ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"
#include "net/worker.h"

#define CREW_MAGIC 0x9be2374du

static struct worker *
worker_with_loop(struct loop **loopp, struct loop *core,
    const struct net_conf *conf)
{
	struct worker *w;

	*loopp = loop_new();
	w = worker_new(*loopp, conf);
	worker_share(w, core);
	return w;
}

struct crew *
crew_new(struct loop *core, const struct net_conf *conf, uint32_t threads)
{
	struct crew *crew = xnew(sizeof *crew);
	struct net_conf share = *conf;

	assert(threads <= CREW_MAX);
	crew->magic = CREW_MAGIC;
	crew->core = core;
	crew->has_threads = threads > 0;
	crew->size = threads > 0 ? threads : 1;
	share.max_half_open =
	    (conf->max_half_open + crew->size - 1) / crew->size;
	for (uint32_t i = 0; i < threads; i++) {
		crew->worker[i] =
		    worker_with_loop(&crew->loop[i], core, &share);
	}
	if (threads == 0) {
		crew->worker[0] = worker_new(core, conf);
		loop_at_turn_end(core, worker_turn_end, crew->worker[0]);
	}
	return crew;
}

static void *
run(void *arg)
{
	loop_run(arg);
	return NULL;
}

/* Signals are the core's: the threads are born with all of them blocked. */
void
crew_start(struct crew *crew)
{
	sigset_t all, before;

	OBJ_CHECK(crew, CREW_MAGIC);
	if (!crew->has_threads) {
		return;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (uint32_t i = 0; i < crew->size; i++) {
		char name[16];
		int err =
		    pthread_create(&crew->thread[i], NULL, run, crew->loop[i]);

		assert(err == 0);
		snprintf(name, sizeof name, "io-%u", i);
		(void)pthread_setname_np(crew->thread[i], name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	crew->is_running = true;
}

static void
stop_loop(void *arg)
{
	loop_stop(arg);
}

void
crew_stop(struct crew *crew)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	if (!crew->is_running) {
		return;
	}
	for (uint32_t i = 0; i < crew->size; i++) {
		loop_post(crew->loop[i], stop_loop, crew->loop[i]);
	}
	for (uint32_t i = 0; i < crew->size; i++) {
		pthread_join(crew->thread[i], NULL);
	}
	crew->is_running = false;
}

void
crew_free(struct crew **crewp)
{
	struct crew *crew;

	if (*crewp == NULL) {
		return;
	}
	OBJ_TAKE(crew, crewp, CREW_MAGIC);
	assert(!crew->is_running);
	for (uint32_t i = 0; i < crew->size; i++) {
		worker_free(&crew->worker[i]);
		loop_free(&crew->loop[i]);
	}
	crew->magic = 0;
	free(crew);
}

struct worker *
crew_choose(const struct crew *crew)
{
	struct worker *best = crew->worker[0];

	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 1; i < crew->size; i++) {
		if (crew_connections_of(crew, i) <
		    count_get(&best->connections)) {
			best = crew->worker[i];
		}
	}
	return best;
}

static void
close_door(void *worker)
{
	struct worker *w;

	OBJ_CAST(w, worker, WORKER_MAGIC);
	w->is_closed = true;
}

void
crew_close_doors(struct crew *crew)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i < crew->size; i++) {
		struct worker *w = crew->worker[i];

		if (crew->is_running) {
			loop_post(w->loop, close_door, w);
		} else {
			close_door(w);
		}
	}
}

void
crew_set_refusal(struct crew *crew, const char *reason)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i < crew->size; i++) {
		atomic_store(&crew->worker[i]->refusal, reason);
	}
}

static struct loop *
loop_of(const struct crew *crew, uint32_t i)
{
	return i < CREW_MAX ? crew->loop[i] : crew->core;
}

void
crew_set_lag_limit(struct crew *crew, uint64_t limit)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i <= CREW_MAX; i++) {
		if (loop_of(crew, i) != NULL) {
			loop_set_lag_limit(loop_of(crew, i), limit);
		}
	}
}

uint64_t
crew_lagged(struct crew *crew)
{
	uint64_t most = 0;

	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i <= CREW_MAX; i++) {
		struct loop *loop = loop_of(crew, i);
		uint64_t before = crew->lagged[i];

		if (loop == NULL) {
			continue;
		}
		crew->lagged[i] = loop_lagged(loop);
		if (crew->lagged[i] - before > most) {
			most = crew->lagged[i] - before;
		}
	}
	return most;
}

uint64_t
crew_connections(const struct crew *crew)
{
	uint64_t n = 0;

	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i < crew->size; i++) {
		n += crew_connections_of(crew, i);
	}
	return n;
}

uint64_t
crew_connections_of(const struct crew *crew, uint32_t worker)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	assert(worker < crew->size);
	return count_get(&crew->worker[worker]->connections);
}

uint64_t
crew_half_open(const struct crew *crew)
{
	uint64_t n = 0;

	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i < crew->size; i++) {
		n += count_get(&crew->worker[i]->half_open);
	}
	return n;
}

uint64_t
crew_outbox_bytes(const struct crew *crew)
{
	uint64_t n = 0;

	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i < crew->size; i++) {
		n += count_get(&crew->worker[i]->port.outbox_bytes);
	}
	return n;
}

/* Every member is a counter: see net.h. */
static void
add_counters(struct net_counters *sum, const struct net_counters *more)
{
	atomic_uint_fast64_t *to = (atomic_uint_fast64_t *)sum;
	const atomic_uint_fast64_t *from = (const atomic_uint_fast64_t *)more;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) {
		count_add(&to[i], count_get(&from[i]));
	}
}

void
crew_counters(const struct crew *crew, struct net_counters *sum)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	add_counters(sum, &crew->count);
	for (uint32_t i = 0; i < crew->size; i++) {
		add_counters(sum, &crew->worker[i]->count);
	}
}

void
crew_routing(const struct crew *crew, struct hist *sum)
{
	OBJ_CHECK(crew, CREW_MAGIC);
	for (uint32_t i = 0; i < crew->size; i++) {
		hist_merge(sum, &crew->worker[i]->routing);
	}
}

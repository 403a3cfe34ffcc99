/* SPDX-License-Identifier: Apache-2.0 */
#include "host/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/why.h"
#include "host/ask.h"
#include "host/health.h"
#include "host/metric.h"
#include "host/plugins.h"
#include "loop/loop.h"
#include "proto/msg.h"

static struct service *
service_of(const struct aqb_host *host)
{
	return (struct service *)host; /* its first member */
}

static void
do_log(const struct aqb_host *host, enum aqb_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if ((int)level < AQB_DEBUG || (int)level > AQB_ERROR) {
		level = AQB_ERROR;
	}
	/* The sentence is ours, for what is held back is counted by it. */
	LOG(level, "plugin says", F("plugin", service_of(host)->plugin),
	    F("text", text));
}

static void
do_answer(const struct aqb_host *host, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	const struct service *s = service_of(host);

	switch (desk_answer(s->env->desk, ticket, err, answer)) {
	case DESK_TAKEN:
		break;
	case DESK_STRAY:
		LOG(AQB_WARNING, "a late or double answer was ignored",
		    F("plugin", s->plugin));
		break;
	case DESK_GARBAGE:
		LOG(AQB_ERROR, "an answer makes no sense",
		    F("plugin", s->plugin), FN("error", err));
		break;
	}
}

/* Its plugin's, and one of each post's that has not run. */
static void
service_unref(struct service *s)
{
	if (atomic_fetch_sub(&s->refs, 1) == 1) {
		free(s->plugin);
		free(s);
	}
}

/* A post on its way, so that a plugin is not unloaded under it. */
struct post {
	struct service *service;
	aqb_post_f *fn;
	void *arg;
};

static void
run_post(void *arg)
{
	struct post post = *(struct post *)arg;

	free(arg);
	if (!post.service->gone) {
		post.fn(post.arg);
	}
	service_unref(post.service);
}

static bool
do_post(const struct aqb_host *host, aqb_post_f *fn, void *arg)
{
	struct service *s = service_of(host);
	struct post *post = try_new(sizeof *post);

	if (post == NULL) {
		return false;
	}
	*post = (struct post){ s, fn, arg };
	atomic_fetch_add(&s->refs, 1);
	if (!loop_post(s->env->loop, run_post, post)) {
		service_unref(s);
		free(post);
		return false;
	}
	return true;
}

static struct event_base *
do_loop_base(const struct aqb_host *host)
{
	return loop_base(service_of(host)->env->loop);
}

static void
do_reply(const struct aqb_host *host, aqb_ticket call, const char *result,
    size_t len)
{
	service_of(host)->env->hooks.reply(call, result, len);
}

static void
do_fail(const struct aqb_host *host, aqb_ticket call, enum aqb_code code,
    const struct aqb_why *why)
{
	service_of(host)->env->hooks.fail(call, code, why);
}

static int
do_health(const struct aqb_host *host, bool live, char *text, size_t size)
{
	(void)host;
	return health_text(live, text, size);
}

static void
do_version(const struct aqb_host *host, char *text, size_t size)
{
	service_of(host)->env->hooks.version(text, size);
}

static char *
do_metrics_snapshot(const struct aqb_host *host, size_t *lenp)
{
	(void)host;
	return metric_snapshot(lenp);
}

static char *
do_config(const struct aqb_host *host, size_t *lenp)
{
	return service_of(host)->env->hooks.config(lenp);
}

static const char *
do_log_level(const struct aqb_host *host, const char *set, struct aqb_why *why)
{
	enum aqb_level level;

	(void)host;
	if (set != NULL) {
		if (log_level_parse(set, &level)) {
			log_set_level(level);
		} else {
			reject(why, AQB_CODE_INVALID_ARGUMENT, "level",
			    "level: none of debug, info, warning, error");
			return NULL;
		}
	}
	return log_level_name(log_level());
}

static void
do_plugins(const struct aqb_host *host, aqb_plugin_visit_f *visit, void *arg)
{
	plugins_visit(service_of(host)->env->plugins, visit, arg);
}

static void
do_commands(const struct aqb_host *host, aqb_command_visit_f *visit, void *arg)
{
	plugins_visit_commands(service_of(host)->env->plugins, visit, arg);
}

static uint32_t
do_counter(const struct aqb_host *host, const char *name, const char *help)
{
	(void)host;
	return metric_register(name, help, false);
}

static uint32_t
do_gauge(const struct aqb_host *host, const char *name, const char *help)
{
	(void)host;
	return metric_register(name, help, true);
}

static void
do_metric_add(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	(void)host;
	metric_plugin_add(metric, n);
}

static void
do_metric_set(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	(void)host;
	metric_plugin_set(metric, n);
}

static const struct aqb_metrics metrics = {
	.size = sizeof metrics,
	.counter = do_counter,
	.gauge = do_gauge,
	.add = do_metric_add,
	.set = do_metric_set,
};

struct service *
service_new(const struct service_env *env, const char *plugin)
{
	struct service *s = xnew(sizeof *s);

	*s = (struct service){
		.host = {
			.size = sizeof s->host,
			.log = do_log,
			.msg_ref = msg_ref,
			.msg_unref = msg_unref,
			.msg_view = msg_view,
			.answer = do_answer,
			.post = do_post,
			.loop_base = do_loop_base,
			.msg_json = msg_json,
			.hash = hash_bytes,
			.reply = do_reply,
			.fail = do_fail,
			.code_name = code_name,
			.health = do_health,
			.version = do_version,
			.metrics_snapshot = do_metrics_snapshot,
			.config = do_config,
			.log_level = do_log_level,
			.plugins = do_plugins,
			.commands = do_commands,
			.bus = env->hooks.bus,
			.metrics = &metrics,
			.msg_make = msg_make,
		},
		.env = env,
		.plugin = xstrdup(plugin),
		.refs = 1,
	};
	return s;
}

unsigned
service_drop(struct service **sp, bool keep)
{
	struct service *s = *sp;
	unsigned posts;

	*sp = NULL;
	if (s == NULL) {
		return 0;
	}
	posts = atomic_load(&s->refs) - 1;
	s->gone = true;
	if (!keep) {
		service_unref(s);
	}
	return posts;
}

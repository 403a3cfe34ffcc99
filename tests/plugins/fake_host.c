/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_host.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/why.h"
#include "conf/option.h"
#include "host/params.h"

#define PATIENCE_MS 5000
#define TICKETS_MAX 4096

struct fake_post {
	struct fake_post *next;
	aqb_post_f *fn;
	void *arg;
};

/* Tickets are places in these, counted from 1; an answered ticket keeps its
 * place, so that a second answer is seen. */
static struct fake_answer *asked[TICKETS_MAX];
static size_t asked_count;
static struct fake_reply *called[TICKETS_MAX];
static size_t called_count;

static struct fake_host *
fake_of(const struct aqb_host *host)
{
	return (struct fake_host *)host; /* its first member */
}

/* Tickets. */

aqb_ticket
fake_ticket(struct fake_answer *gotp)
{
	ck_assert_uint_lt(asked_count, TICKETS_MAX);
	*gotp = (struct fake_answer){ .times = 0 };
	asked[asked_count++] = gotp;
	return asked_count;
}

static void
do_answer(const struct aqb_host *host, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	struct fake_answer *got;
	struct aqb_msg **msgs = NULL;

	(void)host;
	ck_assert_msg(ticket > 0 && ticket <= asked_count, "no such ticket");
	got = asked[ticket - 1];
	if (got == NULL || got->times++ > 0) {
		return;
	}
	got->err = err;
	got->done = true;
	if (answer == NULL) {
		return;
	}
	got->answer = *answer;
	if (answer->n > 0) {
		msgs = xnew(answer->n * sizeof(struct aqb_msg *));
	}
	for (size_t i = 0; i < answer->n; i++) {
		msgs[i] = fake_msg_ref(answer->msgs[i]);
	}
	got->answer.msgs = msgs;
}

void
fake_answer_fini(struct fake_answer *got)
{
	for (size_t i = 0; i < got->answer.n; i++) {
		struct aqb_msg *msg = got->answer.msgs[i];

		fake_msg_unref(&msg);
	}
	free((void *)got->answer.msgs);
	got->answer = (struct aqb_answer){ .n = 0 };
}

/* Log, posts, loop, metrics. */

static void
do_log(const struct aqb_host *host, enum aqb_level level, const char *fmt, ...)
{
	struct fake_host *fake = fake_of(host);
	char text[512];
	char *all;
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&fake->lock);
	all = xasprintf("%s%s\n", fake->log, text);
	free(fake->log);
	fake->log = all;
	pthread_mutex_unlock(&fake->lock);
}

bool
fake_logged(struct fake_host *fake, const char *text)
{
	bool found;

	pthread_mutex_lock(&fake->lock);
	found = strstr(fake->log, text) != NULL;
	pthread_mutex_unlock(&fake->lock);
	return found;
}

static bool
do_post(const struct aqb_host *host, aqb_post_f *fn, void *arg)
{
	struct fake_host *fake = fake_of(host);
	struct fake_post *post = xnew(sizeof *post);
	struct fake_post **end = &fake->posts;

	post->fn = fn;
	post->arg = arg;
	pthread_mutex_lock(&fake->lock);
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = post;
	pthread_mutex_unlock(&fake->lock);
	return true;
}

size_t
fake_run_posts(struct fake_host *fake)
{
	struct fake_post *list, *post;
	size_t n = 0;

	pthread_mutex_lock(&fake->lock);
	list = fake->posts;
	fake->posts = NULL;
	pthread_mutex_unlock(&fake->lock);
	while ((post = list) != NULL) {
		list = post->next;
		post->fn(post->arg);
		free(post);
		n++;
	}
	return n;
}

static struct event_base *
do_loop_base(const struct aqb_host *host)
{
	return fake_of(host)->base;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void
fake_wait(struct fake_host *fake, fake_is_so_f *is_so, void *arg)
{
	const struct timeval tick = { .tv_usec = 5000 };
	struct event *timer = event_new(fake->base, -1, EV_PERSIST, on_tick, 0);
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	ck_assert_ptr_nonnull(timer);
	event_add(timer, &tick);
	while (!is_so(arg)) {
		ck_assert_msg(clock_mono_ms() < end, "it never happened; %s",
		    fake->log);
		event_base_loop(fake->base, EVLOOP_ONCE);
		fake_run_posts(fake);
	}
	event_free(timer);
}

static bool
is_set(void *arg)
{
	return *(const bool *)arg;
}

void
fake_turn_until(struct fake_host *fake, const bool *flag)
{
	fake_wait(fake, is_set, (void *)flag);
}

static uint32_t
do_metric(const struct aqb_host *host, const char *name, const char *help)
{
	struct fake_host *fake = fake_of(host);

	ck_assert_ptr_nonnull(help);
	ck_assert_uint_lt(fake->metric_count, FAKE_METRICS);
	fake->metric[fake->metric_count++].name = name;
	return (uint32_t)fake->metric_count;
}

static void
do_add(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	struct fake_host *fake = fake_of(host);

	ck_assert(metric > 0 && metric <= fake->metric_count);
	pthread_mutex_lock(&fake->lock);
	fake->metric[metric - 1].value += n;
	pthread_mutex_unlock(&fake->lock);
}

static void
do_set(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	struct fake_host *fake = fake_of(host);

	ck_assert(metric > 0 && metric <= fake->metric_count);
	pthread_mutex_lock(&fake->lock);
	fake->metric[metric - 1].value = n;
	pthread_mutex_unlock(&fake->lock);
}

uint64_t
fake_metric(struct fake_host *fake, const char *name)
{
	uint64_t value = 0;
	bool found = false;

	pthread_mutex_lock(&fake->lock);
	for (size_t i = 0; i < fake->metric_count; i++) {
		if (strcmp(fake->metric[i].name, name) == 0) {
			value = fake->metric[i].value;
			found = true;
		}
	}
	pthread_mutex_unlock(&fake->lock);
	ck_assert_msg(found, "no metric %s", name);
	return value;
}

/* What the broker knows of itself. */

static int
do_health(const struct aqb_host *host, bool live, char *text, size_t size)
{
	(void)host;
	snprintf(text, size, "{\"status\":\"ok\",\"live\":%s}",
	    live ? "true" : "false");
	return 200;
}

static void
do_version(const struct aqb_host *host, char *text, size_t size)
{
	(void)host;
	snprintf(text, size, "{\"name\":\"ArqonBus\"}");
}

static char *
do_metrics_snapshot(const struct aqb_host *host, size_t *lenp)
{
	(void)host;
	*lenp = 0;
	return xstrdup("");
}

static char *
do_config(const struct aqb_host *host, size_t *lenp)
{
	struct fake_host *fake = fake_of(host);

	if (fake->config == NULL) {
		return NULL;
	}
	*lenp = strlen(fake->config);
	return xstrdup(fake->config);
}

static const char *
do_log_level(const struct aqb_host *host, const char *set, struct aqb_why *why)
{
	static const char *const known[] = { "debug", "info", "warning",
		"error" };
	struct fake_host *fake = fake_of(host);

	if (set == NULL) {
		return fake->level;
	}
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(set, known[i]) == 0) {
			fake->level = known[i];
			return fake->level;
		}
	}
	reject(why, AQB_CODE_INVALID_ARGUMENT, "level", "level: unknown");
	return NULL;
}

static void
do_plugins(const struct aqb_host *host, aqb_plugin_visit_f *visit, void *arg)
{
	struct fake_host *fake = fake_of(host);

	for (size_t i = 0; i < fake->plugin_count; i++) {
		if (!visit(arg, &fake->plugins[i])) {
			return;
		}
	}
}

static void
do_commands(const struct aqb_host *host, aqb_command_visit_f *visit, void *arg)
{
	const struct aqb_command *const *c = fake_of(host)->plugin->commands;

	while (*c != NULL && visit(arg, *c)) {
		c++;
	}
}

/* Calls. */

static struct fake_reply *
open_reply(aqb_ticket call)
{
	struct fake_reply *reply;

	ck_assert_msg(call > 0 && call <= called_count, "no such call");
	reply = called[call - 1];
	return reply == NULL || reply->times++ > 0 ? NULL : reply;
}

static void
do_reply(const struct aqb_host *host, aqb_ticket call, const char *result,
    size_t len)
{
	struct fake_reply *reply = open_reply(call);

	(void)host;
	if (reply == NULL) {
		return;
	}
	reply->code = AQB_CODE_OK;
	reply->result =
	    result == NULL ? xstrdup("{}") : try_strndup(result, len);
	reply->len = result == NULL ? 2 : len;
}

static void
do_fail(const struct aqb_host *host, aqb_ticket call, enum aqb_code code,
    const struct aqb_why *why)
{
	struct fake_reply *reply = open_reply(call);

	(void)host;
	ck_assert_int_ne(code, AQB_CODE_OK);
	if (reply == NULL) {
		return;
	}
	reply->code = code;
	if (why != NULL) {
		reply->why = xstrdup(why->text);
		reply->field = why->field == NULL ? NULL : xstrdup(why->field);
	}
}

static void
add_default(struct json_object *args, const struct param *p)
{
	struct json_object *v;

	if (p->dflt == NULL || json_object_object_get_ex(args, p->name, NULL)) {
		return;
	}
	switch (p->type) {
	case 'u':
		v = json_object_new_uint64(strtoull(p->dflt, NULL, 10));
		break;
	case 'b':
		v = json_object_new_boolean(*p->dflt == 't');
		break;
	default:
		v = json_object_new_string_len(p->dflt, (int)p->dflt_len);
	}
	json_object_object_add(args, p->name, v);
}

/* As the broker does: timestamps go to plugins as milliseconds. */
static void
read_timestamp(struct json_object *args, const struct param *p)
{
	struct json_object *v = NULL;
	int64_t ms;

	if (p->type != 't' || !json_object_object_get_ex(args, p->name, &v)) {
		return;
	}
	ck_assert(clock_parse(json_object_get_string(v),
	    (size_t)json_object_get_string_len(v), &ms));
	json_object_object_add(args, p->name, json_object_new_int64(ms));
}

static const struct aqb_command *
command_of(const struct fake_host *fake, const char *name)
{
	const struct aqb_command *const *c = fake->plugin->commands;

	while (*c != NULL && strcmp((*c)->name, name) != 0) {
		c++;
	}
	ck_assert_msg(*c != NULL, "no command %s", name);
	return *c;
}

aqb_ticket
fake_call(struct fake_host *fake, const char *command, const char *room,
    const char *channel, const char *args, struct fake_reply *replyp)
{
	const struct aqb_command *cmd = command_of(fake, command);
	struct aqb_call call = {
		.size = sizeof call,
		.command = cmd->name,
		.client_id = FAKE_CALLER,
		.room = room,
		.channel = channel,
		.args = json_tokener_parse(args == NULL ? "{}" : args),
	};
	const char *params = cmd->params;
	aqb_ticket ticket;
	struct param p;

	ck_assert_msg(json_object_is_type(call.args, json_type_object),
	    "not an object: %.100s", args);
	while (param_next(&params, &p)) {
		add_default(call.args, &p);
		read_timestamp(call.args, &p);
	}
	ck_assert_uint_lt(called_count, TICKETS_MAX);
	*replyp = (struct fake_reply){ .times = 0 };
	called[called_count++] = replyp;
	ticket = called_count;
	cmd->exec(fake->self, ticket, &call);
	json_object_put(call.args);
	return ticket;
}

void
fake_reply_fini(struct fake_reply *reply)
{
	free(reply->result);
	free(reply->field);
	free(reply->why);
	reply->result = reply->field = reply->why = NULL;
}

void
fake_forget_tickets(void)
{
	memset(asked, 0, sizeof asked);
	memset(called, 0, sizeof called);
	asked_count = called_count = 0;
}

/* Life. */

static void
fill_in(struct fake_host *fake)
{
	fake->metrics = (struct aqb_metrics){
		.size = sizeof fake->metrics,
		.counter = do_metric,
		.gauge = do_metric,
		.add = do_add,
		.set = do_set,
	};
	fake->bus.size = sizeof fake->bus;
	fake->host = (struct aqb_host){
		.size = sizeof fake->host,
		.log = do_log,
		.msg_ref = fake_msg_ref,
		.msg_unref = fake_msg_unref,
		.msg_view = fake_msg_view,
		.msg_json = fake_msg_json,
		.answer = do_answer,
		.post = do_post,
		.loop_base = do_loop_base,
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
		.bus = &fake->bus,
		.metrics = &fake->metrics,
	};
}

static void
load(struct fake_host *fake, const char *name)
{
	const char *dir = getenv("PLUGIN_DIR");
	char *file =
	    xasprintf("%s/%s.so", dir == NULL ? "plugins/.libs" : dir, name);

	fake->so = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(fake->so != NULL, "%s", dlerror());
	fake->plugin = dlsym(fake->so, AQB_PLUGIN_SYMBOL);
	ck_assert_msg(fake->plugin != NULL, "%s: no plugin", file);
	ck_assert_uint_eq(fake->plugin->magic, AQB_PLUGIN_MAGIC);
	ck_assert_uint_eq(fake->plugin->abi_major, AQB_ABI_MAJOR);
	ck_assert_uint_eq(fake->plugin->size, sizeof(struct aqb_plugin));
	ck_assert_str_eq(fake->plugin->name, name);
	free(file);
}

/* "name=value" */
static void
set_option(struct fake_host *fake, const char *text)
{
	const char *equals = strchr(text, '=');
	struct aqb_why why = { 0 };
	char *name;

	ck_assert_msg(equals != NULL, "%s: not name=value", text);
	name = try_strndup(text, (size_t)(equals - text));
	ck_assert_msg(option_set(fake->plugin->options, name, equals + 1, NULL,
			  fake->conf, &why) == AQB_OK,
	    "%s", why.text);
	free(name);
}

static struct fake_host *
new_with(const char *name, va_list options)
{
	struct fake_host *fake = xnew(sizeof *fake);
	struct aqb_why why = { 0 };
	const char *text;

	hash_init();
	pthread_mutex_init(&fake->lock, NULL);
	fake->base = event_base_new();
	fake->log = xstrdup("");
	fake->level = "info";
	fake->config = "{}";
	fill_in(fake);
	load(fake, name);
	fake->conf = xnew(fake->plugin->conf_size + 1);
	if (fake->plugin->options != NULL) {
		ck_assert_msg(option_defaults(fake->plugin->options, fake->conf,
				  &why) == AQB_OK,
		    "%s", why.text);
	}
	while ((text = va_arg(options, const char *)) != NULL) {
		set_option(fake, text);
	}
	return fake;
}

struct fake_host *
fake_host_load(const char *name, ...)
{
	struct fake_host *fake;
	va_list ap;

	va_start(ap, name);
	fake = new_with(name, ap);
	va_end(ap);
	return fake;
}

int
fake_host_start(struct fake_host *fake, struct aqb_why *why)
{
	const struct aqb_plugin *plugin = fake->plugin;
	int err = plugin->init(&fake->host, fake->conf, &fake->self, why);

	if (err < 0) {
		fake->self = NULL;
		return err;
	}
	if (plugin->start != NULL) {
		err = plugin->start(fake->self, why);
	}
	if (err < 0) {
		plugin->fini(&fake->self);
		fake->self = NULL;
	}
	return err;
}

struct fake_host *
fake_host_open(const char *name, ...)
{
	struct aqb_why why = { 0 };
	struct fake_host *fake;
	va_list ap;

	va_start(ap, name);
	fake = new_with(name, ap);
	va_end(ap);
	ck_assert_msg(fake_host_start(fake, &why) >= 0, "%s", why.text);
	return fake;
}

void
fake_host_close(struct fake_host **fakep)
{
	struct fake_host *fake = *fakep;
	struct fake_answer stopped;

	*fakep = NULL;
	if (fake->self != NULL && fake->plugin->stop != NULL) {
		fake->plugin->stop(fake->self, fake_ticket(&stopped));
		fake_turn_until(fake, &stopped.done);
		asked[asked_count - 1] = NULL;
	}
	if (fake->self != NULL) {
		fake->plugin->fini(&fake->self);
	}
	fake_run_posts(fake);
	if (fake->plugin->options != NULL) {
		option_fini(fake->plugin->options, fake->conf);
	}
	event_base_free(fake->base);
	pthread_mutex_destroy(&fake->lock);
	free(fake->conf);
	free(fake->log);
	free(fake);
}

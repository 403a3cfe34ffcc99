/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A broker of which telemetry-websocket notices nothing missing, told what to
 * do through lines on standard input:
 *
 *     telemetry_driver PLUGIN.so [key=value ..]
 *
 * Each command is answered by one line; log lines begin with "log".
 */

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arqonbus/plugin.h>

#define METRICS_MAX 8
#define POSTS_MAX 64

static struct {
	const char *name;
	_Atomic uint64_t value;
} metrics[METRICS_MAX];

static struct post {
	aqb_post_f *fn;
	void *arg;
} posts[POSTS_MAX];
static size_t nposts;
static unsigned refused_posts; /* how many more are to be refused */
static pthread_mutex_t post_lock = PTHREAD_MUTEX_INITIALIZER;
static int wake[2];

static const struct aqb_plugin *plugin;
static void *self;
static unsigned char conf[512];
static uint64_t seq;
static atomic_size_t metrics_size = 100;
static atomic_bool is_stalled;
static aqb_ticket answered;
static struct timespec stopped_at;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	flockfile(stdout);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	funlockfile(stdout);
	va_end(ap);
}

static uint64_t
since_us(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)(now.tv_sec - then->tv_sec) * 1000000 +
	    (uint64_t)(now.tv_nsec / 1000) - (uint64_t)(then->tv_nsec / 1000);
}

/* The host's services, as far as this plugin uses them. */

static void
host_log(const struct aqb_host *host, enum aqb_level level, const char *fmt,
    ...)
{
	static const char *const names[] = { "debug", "info", "warning",
		"error" };
	char text[512];
	va_list ap;

	(void)host;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	say("log %s %s", names[level], text);
}

static bool
host_post(const struct aqb_host *host, aqb_post_f *fn, void *arg)
{
	bool taken = false;

	(void)host;
	pthread_mutex_lock(&post_lock);
	if (refused_posts > 0) {
		refused_posts--;
	} else if (nposts < POSTS_MAX) {
		posts[nposts++] = (struct post){ .fn = fn, .arg = arg };
		taken = true;
	}
	pthread_mutex_unlock(&post_lock);
	if (taken && write(wake[1], "", 1) != 1) {
		abort();
	}
	return taken;
}

static void
host_answer(const struct aqb_host *host, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer)
{
	(void)host;
	(void)answer;
	if (err != AQB_OK) {
		abort();
	}
	answered = ticket;
}

static const char *
host_code_name(enum aqb_code code)
{
	switch (code) {
	case AQB_CODE_INVALID_JSON:
		return "INVALID_JSON";
	case AQB_CODE_INVALID_ENVELOPE:
		return "INVALID_ENVELOPE";
	case AQB_CODE_UNKNOWN_TYPE:
		return "UNKNOWN_TYPE";
	case AQB_CODE_INVALID_ARGUMENT:
		return "INVALID_ARGUMENT";
	case AQB_CODE_LIMIT_REACHED:
		return "LIMIT_REACHED";
	case AQB_CODE_MESSAGE_TOO_LARGE:
		return "MESSAGE_TOO_LARGE";
	default:
		return "INTERNAL";
	}
}

static int
host_health(const struct aqb_host *host, bool live, char *text, size_t size)
{
	bool stalled = atomic_load(&is_stalled);

	(void)host;
	snprintf(text, size, "{\"status\":\"%s\",\"live\":%s}",
	    stalled ? "stalled" : "ok", live ? "true" : "false");
	return stalled ? 503 : 200;
}

static void
host_version(const struct aqb_host *host, char *text, size_t size)
{
	(void)host;
	snprintf(text, size, "{\"name\":\"ArqonBus\",\"version\":\"0\"}");
}

static char *
host_metrics_snapshot(const struct aqb_host *host, size_t *lenp)
{
	size_t size = atomic_load(&metrics_size);
	char *text = malloc(size + 1);
	size_t i;

	(void)host;
	for (i = 0; i < size; i++) {
		text[i] = i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26);
	}
	text[size] = '\0';
	*lenp = size;
	return text;
}

static uint32_t
host_metric(const struct aqb_host *host, const char *name, const char *help)
{
	uint32_t i;

	(void)host;
	(void)help;
	for (i = 1; i < METRICS_MAX; i++) {
		if (metrics[i].name == NULL) {
			metrics[i].name = strdup(name);
			return i;
		}
		if (strcmp(metrics[i].name, name) == 0) {
			return i;
		}
	}
	abort();
}

static void
host_add(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	(void)host;
	atomic_fetch_add(&metrics[metric].value, n);
}

static void
host_set(const struct aqb_host *host, uint32_t metric, uint64_t n)
{
	(void)host;
	atomic_store(&metrics[metric].value, n);
}

static void
bus_stats(const struct aqb_host *host, struct aqb_stats *stats)
{
	(void)host;
	stats->node = "north \"1\"";
}

static const struct aqb_metrics host_metrics = {
	.size = sizeof host_metrics,
	.counter = host_metric,
	.gauge = host_metric,
	.add = host_add,
	.set = host_set,
};

static const struct aqb_bus host_bus = {
	.size = sizeof host_bus,
	.stats = bus_stats,
};

static const struct aqb_host host = {
	.size = sizeof host,
	.log = host_log,
	.answer = host_answer,
	.post = host_post,
	.code_name = host_code_name,
	.health = host_health,
	.version = host_version,
	.metrics_snapshot = host_metrics_snapshot,
	.bus = &host_bus,
	.metrics = &host_metrics,
};

/* Options: enough of a parser for this plugin. */

static void
set_option(const struct aqb_option *o, const char *value)
{
	void *at = conf + o->offset;

	switch (o->type) {
	case AQB_OPT_U32:
		*(uint32_t *)at = (uint32_t)strtoul(value, NULL, 10);
		break;
	case AQB_OPT_BOOL:
		*(bool *)at = strcmp(value, "true") == 0;
		break;
	case AQB_OPT_SIZE:
		*(uint64_t *)at = strtoull(value, NULL, 10)
		    << (strstr(value, "MiB") != NULL          ? 20
			       : strstr(value, "KiB") != NULL ? 10
							      : 0);
		break;
	default:
		*(const char **)at = value;
	}
}

static void
set_options(int argc, char *argv[])
{
	const struct aqb_option *o;
	int i;

	for (o = plugin->options; o->type != AQB_OPT_END; o++) {
		size_t len = strlen(o->name);

		set_option(o, o->dflt);
		for (i = 0; i < argc; i++) {
			if (strncmp(argv[i], o->name, len) == 0 &&
			    argv[i][len] == '=') {
				set_option(o, argv[i] + len + 1);
			}
		}
	}
}

/* The core's turn. */

static void
run_posts(void)
{
	struct post mine[POSTS_MAX];
	char drain[POSTS_MAX];
	size_t i, n;

	if (read(wake[0], drain, sizeof drain) < 1) {
		abort();
	}
	pthread_mutex_lock(&post_lock);
	n = nposts;
	memcpy(mine, posts, n * sizeof mine[0]);
	nposts = 0;
	pthread_mutex_unlock(&post_lock);
	for (i = 0; i < n; i++) {
		mine[i].fn(mine[i].arg);
	}
	if (answered != 0) {
		say("stopped %llu", (unsigned long long)since_us(&stopped_at));
		answered = 0;
	}
}

/* Say so once the stop has been answered. */
static void
tell_stopped(void)
{
	if (answered != 0) {
		answered = 0;
		say("stopped %llu", (unsigned long long)since_us(&stopped_at));
	}
}

/* One event in memory of its own, so that a late look at it is seen. */
static void
emit_one(const char *type, size_t bytes)
{
	struct aqb_event event = { .size = sizeof event, .seq = ++seq };
	size_t size = bytes + 256;
	char *json = malloc(size);
	char *name = strdup(type);
	int n;

	n = snprintf(json, size,
	    "{\"seq\":%llu,\"event_type\":\"%s\",\"pad\":\"",
	    (unsigned long long)seq, type);
	memset(json + n, 'x', bytes);
	memcpy(json + n + bytes, "\"}", 2);
	event.type = name;
	event.json = (struct aqb_slice){ json, (size_t)n + bytes + 2 };
	plugin->telemetry->emit(self, &event);
	free(json);
	free(name);
}

/* "emit TYPE COUNT BYTES": the answer is the last number and how long the
 * slowest call took. */
static void
emit(const char *args)
{
	char type[80] = "";
	unsigned count = 1, bytes = 0;
	uint64_t slowest = 0;

	sscanf(args, "%79s %u %u", type, &count, &bytes);
	while (count-- > 0) {
		struct timespec start;
		uint64_t us;

		clock_gettime(CLOCK_MONOTONIC, &start);
		emit_one(type, bytes);
		us = since_us(&start);
		slowest = us > slowest ? us : slowest;
	}
	say("emitted %llu %llu", (unsigned long long)seq,
	    (unsigned long long)slowest);
}

static void
stall(void)
{
	char *line = NULL;
	size_t size = 0;

	atomic_store(&is_stalled, true);
	say("stalled");
	if (getline(&line, &size, stdin) < 0) {
		exit(1);
	}
	free(line);
	atomic_store(&is_stalled, false);
	say("turning");
}

static void
start(void)
{
	struct aqb_why why = { .field = NULL };
	int err = plugin->init(&host, conf, &self, &why);

	if (err == AQB_OK) {
		err = plugin->start(self, &why);
		if (err != AQB_OK) {
			plugin->fini(&self);
		}
	}
	say("started %d %s", err, why.text);
}

static void
fini(void)
{
	plugin->fini(&self);
	say("gone");
}

static void
tell_metrics(void)
{
	char text[512] = "";
	uint32_t i;

	for (i = 1; i < METRICS_MAX && metrics[i].name != NULL; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof text - n, " %s=%llu", metrics[i].name,
		    (unsigned long long)atomic_load(&metrics[i].value));
	}
	say("metrics%s", text);
}

static void
obey(const char *line)
{
	struct sigaction pipe_now;

	if (strncmp(line, "emit ", 5) == 0) {
		emit(line + 5);
	} else if (strcmp(line, "start") == 0) {
		start();
	} else if (strcmp(line, "stop") == 0) {
		clock_gettime(CLOCK_MONOTONIC, &stopped_at);
		plugin->stop(self, 77);
		tell_stopped();
	} else if (strcmp(line, "fini") == 0) {
		fini();
	} else if (strcmp(line, "stall") == 0) {
		stall();
	} else if (strcmp(line, "metrics") == 0) {
		tell_metrics();
	} else if (strncmp(line, "skip ", 5) == 0) {
		seq += strtoull(line + 5, NULL, 10);
		say("skipped");
	} else if (strncmp(line, "metrics_size ", 13) == 0) {
		atomic_store(&metrics_size, strtoull(line + 13, NULL, 10));
		say("sized");
	} else if (strncmp(line, "refuse_posts ", 13) == 0) {
		refused_posts = (unsigned)atoi(line + 13);
		say("refusing");
	} else if (strcmp(line, "sigpipe") == 0) {
		sigaction(SIGPIPE, NULL, &pipe_now);
		say("sigpipe %s",
		    pipe_now.sa_handler == SIG_DFL ? "default" : "changed");
	} else {
		say("what? %s", line);
	}
}

int
main(int argc, char *argv[])
{
	char *line = NULL;
	size_t size = 0;
	void *handle;

	if (argc < 2 || pipe(wake) != 0) {
		return 2;
	}
	handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	plugin = dlsym(handle, AQB_PLUGIN_SYMBOL);
	set_options(argc - 2, argv + 2);

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = wake[0], .events = POLLIN },
		};
		ssize_t n;

		if (poll(fds, 2, -1) < 0) {
			continue;
		}
		if (fds[1].revents != 0) {
			run_posts();
			tell_stopped();
		}
		if (fds[0].revents == 0) {
			continue;
		}
		n = getline(&line, &size, stdin);
		if (n <= 0 || strcmp(line, "quit\n") == 0) {
			break;
		}
		line[n - 1] = '\0';
		obey(line);
	}
	free(line);
	if (self != NULL) {
		plugin->fini(&self);
	}
	return 0;
}

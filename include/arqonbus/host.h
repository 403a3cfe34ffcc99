/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_HOST_H
#define ARQONBUS_HOST_H

/*
 * What the broker does for a plugin.  Every plugin is given a table of its
 * own in init, and passes it back as the first argument, so that log lines,
 * posts and metrics bear its name.  A plugin links to nothing of the broker.
 *
 * Everything here belongs to the core thread, where a plugin's code runs.
 * Callable from any thread are only log, post, health, version,
 * metrics_snapshot and metrics->add and ->set.
 */

#include <arqonbus/bus.h>
#include <arqonbus/error.h>
#include <arqonbus/message.h>
#include <arqonbus/storage.h>

struct event_base; /* libevent, soname libevent_core-2.1.so.7 */
struct aqb_host;

enum aqb_level {
	AQB_DEBUG = 0,
	AQB_INFO = 1,
	AQB_WARNING = 2,
	AQB_ERROR = 3,
};

typedef void aqb_post_f(void *arg);

/* Numbers for /metrics.  Names and help live for ever; a name is
 * `arqonbus_` and what follows, counters end in `_total`. */
struct aqb_metrics {
	uint32_t size;

	/* Register one; returns its handle, 0 when the name is taken. */
	uint32_t (*counter)(const struct aqb_host *host, const char *name,
	    const char *help);
	uint32_t (*gauge)(const struct aqb_host *host, const char *name,
	    const char *help);

	/* From any thread. */
	void (*add)(const struct aqb_host *host, uint32_t metric, uint64_t n);
	void (*set)(const struct aqb_host *host, uint32_t metric, uint64_t n);
	/* ABI 1.0 ends here.  Add below this line only. */
};

/* A loaded plugin, for those who list them. */
struct aqb_plugin_info {
	uint32_t size;
	const char *name;
	const char *version;
	const char *summary;
	const char *file;
	const char *state; /* "running", "failed", "disabled" */
	const char *kinds; /* "storage", "commands,telemetry" .. */
	bool required;
	/* ABI 1.0 ends here.  Add below this line only. */
};

typedef bool aqb_plugin_visit_f(void *arg, const struct aqb_plugin_info *info);
typedef bool aqb_command_visit_f(void *arg, const struct aqb_command *cmd);

struct aqb_host {
	uint32_t size;
	uint32_t flags;

	/* One line for the log.  From any thread. */
	void (*log)(const struct aqb_host *host, enum aqb_level level,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

	/* Messages. */
	struct aqb_msg *(*msg_ref)(struct aqb_msg *msg);
	void (*msg_unref)(struct aqb_msg **msgp); /* NULL is fine */
	void (*msg_view)(const struct aqb_msg *msg, struct aqb_msg_view *view);

	/* End a ticket.  Late and double answers are counted, nothing else. */
	void (*answer)(const struct aqb_host *host, aqb_ticket ticket,
	    enum aqb_err err, const struct aqb_answer *answer);

	/* Run fn on the core thread, later: never from within this call or
	 * what called you, and before the loop waits again.  From any thread;
	 * false when there is no memory. */
	bool (*post)(const struct aqb_host *host, aqb_post_f *fn, void *arg);

	/* The core's event loop, for libraries that need one. */
	struct event_base *(*loop_base)(const struct aqb_host *host);

	/* The whole stamped envelope of a message as it is sent to clients. */
	struct aqb_slice (*msg_json)(const struct aqb_msg *msg);

	/* A keyed hash, for tables whose keys peers choose. */
	uint64_t (*hash)(const void *data, size_t len);

	/* Answer a command with its result, one JSON object as text
	 * (borrowed); NULL is `{}`. */
	void (*reply)(const struct aqb_host *host, aqb_ticket call,
	    const char *result, size_t len);
	/* Answer it with an error; why may be NULL. */
	void (*fail)(const struct aqb_host *host, aqb_ticket call,
	    enum aqb_code code, const struct aqb_why *why);

	/* The name of a code on the wire. */
	const char *(*code_name)(enum aqb_code code);

	/*
	 * What /health and /version answer, written into text (at most size
	 * bytes, NUL included); health returns the HTTP status, 200 or 503.
	 * `live` asks only whether the core turns.  From any thread.
	 */
	int (*health)(const struct aqb_host *host, bool live, char *text,
	    size_t size);
	void (*version)(const struct aqb_host *host, char *text, size_t size);

	/* What /metrics answers, not older than a second while the core turns:
	 * a new string for free().  From any thread; NULL without memory. */
	char *(*metrics_snapshot)(const struct aqb_host *host, size_t *lenp);

	/* The effective configuration, secrets masked: JSON text, free(). */
	char *(*config)(const struct aqb_host *host, size_t *lenp);

	/* The log level now; a valid `set` changes it, NULL only asks. */
	const char *(*log_level)(const struct aqb_host *host, const char *set,
	    struct aqb_why *why);

	/* Visit until the visitor says false. */
	void (*plugins)(const struct aqb_host *host, aqb_plugin_visit_f *visit,
	    void *arg);
	void (*commands)(const struct aqb_host *host,
	    aqb_command_visit_f *visit, void *arg);

	const struct aqb_bus *bus;
	const struct aqb_metrics *metrics;

	/*
	 * A message again from what a storage kept of it: every slice of the
	 * view but metadata is needed, its size, bytes and seq are not read.
	 * One reference, the caller's; NULL when what was kept is no message,
	 * or there is no memory.
	 */
	struct aqb_msg *(*msg_make)(const struct aqb_msg_view *view,
	    const struct aqb_position *pos);
	/* ABI 1.0 ends here.  Add below this line only. */
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGINS_FAKE_HOST_H
#define PLUGINS_FAKE_HOST_H

/*
 * A host for one plugin, so that a built .so is tested with no broker behind
 * it.  What the plugin says is kept, what it waits for is given by hand, and
 * nothing happens by itself.  The plugin is found in the folder that the
 * environment variable PLUGIN_DIR names, plugins/.libs when unset.
 */

#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/plugin.h>

#define FAKE_METRICS 32
#define FAKE_CALLER "arq_client_me"

struct event_base;
struct fake_post;
struct json_object;

struct fake_metric {
	const char *name;
	uint64_t value;
};

struct fake_host {
	struct aqb_host host; /* first: what the plugin was given */
	struct aqb_bus bus;   /* of NULLs, until a test fills it in */
	struct aqb_metrics metrics;

	const struct aqb_plugin *plugin;
	void *so;
	void *conf;
	void *self; /* NULL before init, and after fini */

	struct event_base *base;
	pthread_mutex_t lock; /* of all below */
	struct fake_post *posts;
	char *log; /* every line, each ended by a newline */
	struct fake_metric metric[FAKE_METRICS];
	size_t metric_count;

	/* What host->config, host->log_level and host->plugins know. */
	const char *config; /* NULL: there is no memory */
	const char *level;
	const struct aqb_plugin_info *plugins;
	size_t plugin_count;
};

/*
 * Load the plugin of this name and read its options: strings "name=value",
 * ended by NULL, after the defaults of its table.  The test fails when it is
 * not a plugin, or an option is not one of its own.
 */
struct fake_host *fake_host_load(const char *name, ...)
    __attribute__((sentinel));

/* Run init and start.  What the plugin returned; negative is a refusal. */
int fake_host_start(struct fake_host *fake, struct aqb_why *why);

/* Both at once, and the test fails when the plugin refuses. */
struct fake_host *fake_host_open(const char *name, ...)
    __attribute__((sentinel));

/* Stop and fini what was started, then free everything.  The plugin stays
 * mapped, so that the leak checker can name its functions. */
void fake_host_close(struct fake_host **fakep);

/* Run what was posted until now; says how many there were. */
size_t fake_run_posts(struct fake_host *fake);

/* Turn the loop until the flag is set; the test fails when it never is. */
void fake_turn_until(struct fake_host *fake, const bool *flag);

/* The same with a question, for what another thread or the plugin itself
 * brings about. */
typedef bool fake_is_so_f(void *arg);
void fake_wait(struct fake_host *fake, fake_is_so_f *is_so, void *arg);

bool fake_logged(struct fake_host *fake, const char *text);

/* The value of a metric; the test fails when nobody registered it. */
uint64_t fake_metric(struct fake_host *fake, const char *name);

/* What a message says; NULL is an empty slice, a payload of NULL is `{}`. */
struct fake_text {
	const char *id, *type, *room, *channel, *from, *payload, *metadata;
	int64_t timestamp;
	uint64_t seq;
};

/* A message with one reference, the caller's.  Its envelope is text like what
 * the broker makes. */
struct aqb_msg *fake_msg(const struct fake_text *text);
struct aqb_msg *fake_msg_ref(struct aqb_msg *msg);
void fake_msg_unref(struct aqb_msg **msgp);
void fake_msg_view(const struct aqb_msg *msg, struct aqb_msg_view *view);
struct aqb_slice fake_msg_json(const struct aqb_msg *msg);

/* Messages that somebody still holds.  0 at the end of every test. */
size_t fake_msgs_alive(void);

/* What a ticket was answered.  `answer` holds references of its own. */
struct fake_answer {
	unsigned times; /* more than 1 is a bug of the plugin */
	enum aqb_err err;
	struct aqb_answer answer;
	bool done;
};

/* A new ticket whose answer goes to *gotp, which must outlive it. */
aqb_ticket fake_ticket(struct fake_answer *gotp);
void fake_answer_fini(struct fake_answer *got);

/* What a command was answered. */
struct fake_reply {
	unsigned times; /* more than 1 is a bug of the plugin */
	enum aqb_code code;
	char *result; /* the text, NULL on failure */
	size_t len;
	char *field; /* of a failure, or NULL */
	char *why;   /* the sentence, or NULL */
};

/*
 * Call one of the plugin's commands as the broker does: args is an object as
 * JSON text or NULL, and gets the defaults that the command declares.  The
 * broker's checks are not made.  Clears *replyp, which must outlive the call;
 * answered calls are recognised by `times`.
 */
aqb_ticket fake_call(struct fake_host *fake, const char *command,
    const char *room, const char *channel, const char *args,
    struct fake_reply *replyp);
void fake_reply_fini(struct fake_reply *reply);

/* Nobody waits any more for tickets and calls that were not answered: for a
 * teardown. */
void fake_forget_tickets(void);

#endif

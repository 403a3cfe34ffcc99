/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_HOST_FAKE_H
#define UNIT_HOST_FAKE_H

/* A loop that is turned by hand, a desk, and the log as the test reads it. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "host/ask.h"
#include "host/health.h"
#include "host/metric.h"
#include "loop/loop.h"
#include "proto/msg.h"

#define PATIENCE_MS 5000

static struct loop *loop;
static struct desk *desk;
static struct buf logged;

static void
keep_line(enum aqb_level level, const char *line)
{
	(void)level;
	buf_puts(&logged, line);
}

static inline void
host_setup(void)
{
	hash_init();
	loop = loop_new();
	desk = desk_new(loop);
	log_tap(keep_line);
}

static inline void
host_teardown(void)
{
	log_tap(NULL);
	desk_free(&desk);
	loop_free(&loop);
	buf_fini(&logged);
	metric_reset();
	health_reset();
	ck_assert_uint_eq(msg_alive(), 0);
}

static inline bool
was_logged(const char *text)
{
	return strstr(buf_text(&logged), text) != NULL;
}

/* How often a text is in another. */
static inline unsigned
times(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Turn the loop until the flag is set. */
static inline void
turn_until(const bool *flag)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	while (!*flag) {
		ck_assert_msg(clock_mono_ms() < end, "it did not happen; %s",
		    buf_text(&logged));
		loop_turn(loop, true);
	}
}

static void
set_flag(void *arg)
{
	*(bool *)arg = true;
}

/* Turn until all that was posted till now has run. */
static inline void
turn_once(void)
{
	bool ran = false;

	ck_assert(loop_post(loop, set_flag, &ran));
	turn_until(&ran);
}

static inline struct aqb_msg *
make_msg(const char *text)
{
	struct aqb_msg *msg = msg_text(text, strlen(text));

	ck_assert_ptr_nonnull(msg);
	return msg;
}

/* The value of a metric on the page; the test fails without it. */
static inline uint64_t
metric_value(const char *name)
{
	char *line = NULL;
	uint64_t value = 0;
	char *page, *at;
	size_t len;

	metric_snapshot_make();
	page = metric_snapshot(&len);
	ck_assert_ptr_nonnull(page);
	for (at = page; at != NULL; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, name, strlen(name)) == 0 &&
		    at[strlen(name)] == ' ') {
			line = at;
			break;
		}
	}
	ck_assert_msg(line != NULL, "no %s", name);
	value = strtoull(line + strlen(name), NULL, 10);
	free(page);
	return value;
}

#endif

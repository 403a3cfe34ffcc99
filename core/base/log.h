/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * Structured log lines: a sentence that never varies, and fields.
 *
 *     LOG(AQB_INFO, "client connected", F("client", id), FN("port", 9100));
 *
 * A line goes into a bounded ring and is written by a thread of its own, so
 * that a full disk or a stuck pipe blocks nobody; what finds no room is
 * counted and told in the next line that does.  The same sentence is written
 * at most 100 times a second.  From any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/host.h>

struct log_field {
	const char *key;
	const char *text; /* NULL: the number counts */
	int64_t number;
};

#define F(k, t)                                             \
	{                                                   \
		.key = (k), .text = (t) == NULL ? "" : (t), \
	}
#define FN(k, n)                                    \
	{                                           \
		.key = (k), .number = (int64_t)(n), \
	}

#define LOG(level, message, ...)                                          \
	do {                                                              \
		const struct log_field log_fields_[] = { { .key = NULL }, \
			##__VA_ARGS__ };                                  \
		log_line(level, message, log_fields_ + 1,                 \
		    sizeof log_fields_ / sizeof log_fields_[0] - 1);      \
	} while (0)

void log_line(enum aqb_level level, const char *message,
    const struct log_field *field, size_t n);

/* Where and how; file NULL or "" is standard error.  Starts the writer.
 * False when the file cannot be opened (errno says why). */
bool log_open(const char *file, bool json);
/* Write what waits, as far as that takes a second, then stop.  Lines after it
 * go to standard error. */
void log_close(void);
/* Open the file anew, for logrotate. */
void log_reopen(void);

void log_set_level(enum aqb_level level);
enum aqb_level log_level(void);
const char *log_level_name(enum aqb_level level);
/* False when it is no level's name. */
bool log_level_parse(const char *name, enum aqb_level *levelp);

/* Lines lost because the ring was full or the file took nothing. */
uint64_t log_lost(void);

/* Watch lines instead of writing them, for tests; NULL ends it. */
typedef void log_tap_f(enum aqb_level level, const char *line);
void log_tap(log_tap_f *tap);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define RING_LINES 4096
#define PER_SECOND 100
#define CLASSES 1024 /* far more than there are sentences */
#define PROBES 16
#define CLOSE_SECONDS 1 /* to write what is left at the end */

/* How often a sentence came in this second. */
struct allowance {
	const char *message;
	int64_t second;
	uint32_t seen;
	uint32_t held_back;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_t writer;
	bool running;
	bool stopping;
	bool reopen;
	bool json;
	int fd;
	char *file;
	char *line[RING_LINES];
	size_t head;
	size_t used;
	struct allowance class[CLASSES];
	log_tap_f *tap;
} logger = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.filled = PTHREAD_COND_INITIALIZER,
	.fd = STDERR_FILENO,
};

static atomic_int threshold = AQB_INFO;
static atomic_uint_fast64_t lost;

static const char *const level_names[] = { "debug", "info", "warning",
	"error" };

const char *
log_level_name(enum aqb_level level)
{
	return level_names[level];
}

bool
log_level_parse(const char *name, enum aqb_level *levelp)
{
	for (int i = AQB_DEBUG; i <= AQB_ERROR; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*levelp = (enum aqb_level)i;
			return true;
		}
	}
	return false;
}

void
log_set_level(enum aqb_level level)
{
	atomic_store(&threshold, (int)level);
}

enum aqb_level
log_level(void)
{
	return (enum aqb_level)atomic_load(&threshold);
}

uint64_t
log_lost(void)
{
	return atomic_load(&lost);
}

void
log_tap(log_tap_f *tap)
{
	pthread_mutex_lock(&logger.lock);
	logger.tap = tap;
	pthread_mutex_unlock(&logger.lock);
}

/* A logfmt value is bare where that reads unambiguously. */
static bool
is_bare(const char *text)
{
	if (*text == '\0') {
		return false;
	}
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' ||
		    c == '\\') {
			return false;
		}
	}
	return true;
}

static void
put_field(struct buf *b, bool json, const struct log_field *f)
{
	if (json) {
		buf_putc(b, ',');
		buf_json_str(b, f->key);
		buf_putc(b, ':');
	} else {
		buf_printf(b, " %s=", f->key);
	}
	if (f->text == NULL) {
		buf_printf(b, "%lld", (long long)f->number);
	} else if (!json && is_bare(f->text)) {
		buf_puts(b, f->text);
	} else {
		buf_json_str(b, f->text);
	}
}

static char *
render(bool json, enum aqb_level level, const char *message,
    const struct log_field *field, size_t n)
{
	char when[CLOCK_TEXT_SIZE];
	struct buf b = { 0 };
	size_t len;

	clock_format(clock_wall_ms(), when);
	if (json) {
		buf_printf(&b,
		    "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":", when,
		    level_names[level]);
	} else {
		buf_printf(&b, "time=%s level=%s msg=", when,
		    level_names[level]);
	}
	buf_json_str(&b, message);
	for (size_t i = 0; i < n; i++) {
		put_field(&b, json, &field[i]);
	}
	buf_puts(&b, json ? "}\n" : "\n");
	return buf_take(&b, &len);
}

/* Put a line into the ring, or lose it.  The lock is held. */
static void
enqueue(char *line)
{
	if (line == NULL || logger.used == RING_LINES) {
		atomic_fetch_add(&lost, 1);
		free(line);
		return;
	}
	logger.line[(logger.head + logger.used) % RING_LINES] = line;
	logger.used++;
	pthread_cond_signal(&logger.filled);
}

/* A sentence's slot, found by where it lies in memory.  Were there too many
 * sentences, two would share an allowance.  The lock is held. */
static struct allowance *
class_of(const char *message)
{
	size_t first = ((uintptr_t)message >> 3) % CLASSES;

	for (size_t i = 0; i < PROBES; i++) {
		struct allowance *a = &logger.class[(first + i) % CLASSES];

		if (a->message == message || a->message == NULL) {
			return a;
		}
	}
	return &logger.class[first];
}

/*
 * May this sentence be written now?  When a new second begins for one that
 * was held back, say how often.  The lock is held.
 */
static bool
allowed(enum aqb_level level, const char *message)
{
	struct allowance *a = class_of(message);
	int64_t second = clock_wall_ms() / 1000;
	uint32_t held_back = a->held_back;

	if (a->second != second) {
		const char *before = a->message;

		a->message = message;
		a->second = second;
		a->seen = 0;
		a->held_back = 0;
		if (held_back > 0) {
			struct log_field f[] = { F("of", before),
				FN("lines", held_back) };

			enqueue(render(logger.json, level, "suppressed", f, 2));
		}
	}
	if (++a->seen > PER_SECOND) {
		a->held_back++;
		return false;
	}
	return true;
}

void
log_line(enum aqb_level level, const char *message,
    const struct log_field *field, size_t n)
{
	char *line;

	if ((int)level <
	    atomic_load_explicit(&threshold, memory_order_relaxed)) {
		return;
	}
	pthread_mutex_lock(&logger.lock);
	if (logger.tap != NULL) {
		line = render(false, level, message, field, n);
		logger.tap(level, line);
		free(line);
	} else if (allowed(level, message)) {
		line = render(logger.json, level, message, field, n);
		if (logger.running) {
			enqueue(line);
		} else {
			fputs(line == NULL ? message : line, stderr);
			free(line);
		}
	}
	pthread_mutex_unlock(&logger.lock);
}

static int
open_file(const char *file)
{
	if (file == NULL || *file == '\0') {
		return STDERR_FILENO;
	}
	return open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

/* False when the file did not take all of it: a full disk, a closed pipe. */
static bool
write_all(int fd, const char *text, size_t len, size_t *tookp)
{
	*tookp = 0;
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return false;
		}
		text += n;
		len -= (size_t)n;
		*tookp += (size_t)n;
	}
	return true;
}

/* What the file has not taken. */
struct damage {
	bool is_torn;  /* its last line has no end */
	uint64_t told; /* of the lost lines */
};

/* The first line after a loss ends what is torn and says how much is lost. */
static bool
mend(int fd, struct damage *d)
{
	uint64_t gone = atomic_load(&lost);
	struct log_field f[] = { FN("lines", gone - d->told) };
	size_t took;
	bool good;
	char *line;

	if (d->is_torn && !write_all(fd, "\n", 1, &took)) {
		return false;
	}
	d->is_torn = false;
	if (gone == d->told) {
		return true;
	}
	line = render(logger.json, AQB_WARNING, "log lines were lost", f, 1);
	if (line == NULL) {
		return true;
	}
	good = write_all(fd, line, strlen(line), &took);
	d->is_torn = !good && took > 0;
	d->told = good ? gone : d->told;
	free(line);
	return good;
}

static void
write_line(int fd, const char *line, struct damage *d)
{
	size_t took;

	if (!mend(fd, d)) {
		atomic_fetch_add(&lost, 1);
		return;
	}
	if (!write_all(fd, line, strlen(line), &took)) {
		d->is_torn = took > 0;
		atomic_fetch_add(&lost, 1);
	}
}

static void
swap_file(void)
{
	int fd = open_file(logger.file);

	logger.reopen = false;
	if (fd < 0) {
		/* Better the old file than none. */
		struct log_field f[] = { F("file", logger.file),
			F("error", strerror(errno)) };

		enqueue(render(logger.json, AQB_ERROR,
		    "log file cannot be opened anew", f, 2));
		return;
	}
	if (logger.fd != STDERR_FILENO) {
		close(logger.fd);
	}
	logger.fd = fd;
}

static void *
writer_main(void *arg)
{
	struct damage damage = { .told = atomic_load(&lost) };

	(void)arg;
	pthread_mutex_lock(&logger.lock);
	for (;;) {
		char *line;
		int fd;

		while (logger.used == 0 && !logger.stopping && !logger.reopen) {
			pthread_cond_wait(&logger.filled, &logger.lock);
		}
		if (logger.reopen) {
			swap_file();
			continue;
		}
		if (logger.used == 0) {
			break;
		}
		line = logger.line[logger.head];
		logger.head = (logger.head + 1) % RING_LINES;
		logger.used--;
		fd = logger.fd;
		pthread_mutex_unlock(&logger.lock);
		write_line(fd, line, &damage);
		free(line);
		pthread_mutex_lock(&logger.lock);
	}
	pthread_mutex_unlock(&logger.lock);
	return NULL;
}

bool
log_open(const char *file, bool json)
{
	int fd = open_file(file);

	if (fd < 0) {
		return false;
	}
	logger.fd = fd;
	logger.json = json;
	logger.file = file == NULL ? NULL : xstrdup(file);
	logger.stopping = false;
	logger.running = true;
	if (pthread_create(&logger.writer, NULL, writer_main, NULL) != 0) {
		logger.running = false;
		return false;
	}
	return true;
}

/* A pipe that nobody reads holds the writer for ever; the end must come all
 * the same.  False: it was left behind with what it holds. */
static bool
join_writer(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_SECONDS;
	return pthread_timedjoin_np(logger.writer, NULL, &until) == 0;
}

void
log_close(void)
{
	pthread_mutex_lock(&logger.lock);
	if (!logger.running) {
		pthread_mutex_unlock(&logger.lock);
		return;
	}
	logger.stopping = true;
	pthread_cond_signal(&logger.filled);
	pthread_mutex_unlock(&logger.lock);
	if (!join_writer()) {
		return;
	}
	logger.running = false;
	if (logger.fd != STDERR_FILENO) {
		close(logger.fd);
	}
	logger.fd = STDERR_FILENO;
	free(logger.file);
	logger.file = NULL;
}

void
log_reopen(void)
{
	pthread_mutex_lock(&logger.lock);
	logger.reopen = logger.running;
	pthread_cond_signal(&logger.filled);
	pthread_mutex_unlock(&logger.lock);
}

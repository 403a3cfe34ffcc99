/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The audit trail, arqonbus-telemetry-log(7): every telemetry event as a line
 * of JSON in a file.
 *
 * The core only copies an event into a bounded ring; a thread writes it, so
 * that a full disk holds nobody up.  What finds no room in the ring, or is
 * refused by the file, is counted, and named in the file by a gap event as
 * soon as something can be written again.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <arqonbus/plugin.h>

#define RETRY_S 1      /* is it the same file, can it be written */
#define SAY_AGAIN_S 60 /* between two lines in the broker's log */
#define BYTES_MAX (16u * 1024 * 1024) /* of events that wait */

static aqb_plugin_init_f log_init;
static aqb_plugin_start_f log_start;
static aqb_plugin_stop_f log_stop;
static aqb_plugin_fini_f log_fini;
static aqb_telemetry_emit_f log_emit;

struct log_conf {
	const char *file;
	const char *events;
	uint32_t buffer;
};

/* One event that waits to be written; without text it is a gap, and without
 * a seq nothing. */
struct line {
	uint64_t seq;
	uint64_t to; /* of a gap */
	size_t len;
	char *text;
};

struct log {
	const struct aqb_host *host;
	const struct log_conf *conf;
	pthread_t thread;
	bool running; /* the core's: there is a thread to join */
	uint32_t metric_written, metric_dropped;

	/* The writer's, after start. */
	int fd;
	struct stat opened; /* the file that fd is of */
	time_t checked;     /* when it was last looked for */
	bool torn;          /* the last line is a part of one */
	uint64_t gap_from;  /* the first event that is missing; 0: none */
	uint64_t gap_to;
	bool said; /* that the file refuses */
	bool ever_said;
	time_t said_at;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t filled;
	bool stopping;
	aqb_ticket stop;    /* to answer when all is written, or 0 */
	uint64_t lost_from; /* the first event that found no room; 0: none */
	uint64_t lost_to;
	struct line *ring;
	size_t head;
	size_t used;
	size_t bytes;
};

static const struct aqb_option log_options[] = {
	AQB_STRING("file", struct log_conf, file, 4096,
	    "/var/log/arqonbus/telemetry.log", "where the events go"),
	AQB_STRING("events", struct log_conf, events, 4096, "",
	    "types to write, separated by commas; empty is all"),
	AQB_U32("buffer", struct log_conf, buffer, 16, 1000000, "10000",
	    "events that may wait for the disk"),
	AQB_OPTIONS_END,
};

static const struct aqb_telemetry_ops log_telemetry = {
	.size = sizeof log_telemetry,
	.emit = log_emit,
};

AQB_PLUGIN(.conf_size = sizeof(struct log_conf), .name = "telemetry-log",
    .version = "0.1", .summary = "telemetry events in a file",
    .options = log_options, .init = log_init, .start = log_start,
    .stop = log_stop, .fini = log_fini, .telemetry = &log_telemetry, );

static void
locks_init(struct log *log)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->filled, &attr);
	pthread_condattr_destroy(&attr);
}

static int
log_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	const struct log_conf *c = conf;
	struct log *log;

	if (c->file[0] == '\0') {
		snprintf(why->text, sizeof why->text,
		    "file: is empty; name the file for the events");
		return AQB_EINVAL;
	}
	log = calloc(1, sizeof *log);
	if (log == NULL) {
		return AQB_ENOMEM;
	}
	log->ring = calloc(c->buffer, sizeof *log->ring);
	if (log->ring == NULL) {
		free(log);
		return AQB_ENOMEM;
	}
	log->host = host;
	log->conf = c;
	log->fd = -1;
	locks_init(log);
	log->metric_written =
	    host->metrics->counter(host, "arqonbus_telemetry_log_written_total",
		"Telemetry events written to the file.");
	log->metric_dropped =
	    host->metrics->counter(host, "arqonbus_telemetry_log_dropped_total",
		"Telemetry events that found no room, or no disk.");
	*selfp = log;
	return AQB_OK;
}

static void
count_dropped(struct log *log)
{
	log->host->metrics->add(log->host, log->metric_dropped, 1);
}

/* The file. */

static time_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Say that the file refuses, but not over and over. */
static void
say_refused(struct log *log, int err)
{
	time_t now = now_s();
	char text[128];

	if (log->said || (log->ever_said && now - log->said_at < SAY_AGAIN_S)) {
		return;
	}
	log->said = log->ever_said = true;
	log->said_at = now;
	log->host->log(log->host, AQB_WARNING,
	    "file: %.200s: %s; events are dropped until it can be written",
	    log->conf->file, strerror_r(err, text, sizeof text));
}

static void
say_accepted(struct log *log)
{
	if (log->said) {
		log->said = false;
		log->host->log(log->host, AQB_INFO,
		    "file: %.200s: can be written again", log->conf->file);
	}
}

/* Without waiting, for it may be a pipe that nobody reads.  0 or errno. */
static int
open_file(struct log *log)
{
	int fd = open(log->conf->file,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    0640);
	int err;

	if (fd < 0) {
		return errno;
	}
	if (fstat(fd, &log->opened) != 0) {
		err = errno;
		close(fd);
		return err;
	}
	log->fd = fd;
	log->torn = false;
	return 0;
}

/* Was the file renamed or removed, as logrotate does?  Then open another. */
static void
follow_file(struct log *log)
{
	struct stat now;
	int err;

	log->checked = now_s();
	if (log->fd >= 0 && stat(log->conf->file, &now) == 0 &&
	    now.st_ino == log->opened.st_ino &&
	    now.st_dev == log->opened.st_dev) {
		return;
	}
	if (log->fd >= 0) {
		close(log->fd);
		log->fd = -1;
	}
	err = open_file(log);
	if (err != 0) {
		say_refused(log, err);
	}
}

/* Every line is whole: take back the part that was written of one, or, where
 * that cannot be, end it before the next. */
static void
take_back(struct log *log, size_t part)
{
	struct stat now;

	if (part == 0) {
		return;
	}
	log->torn = fstat(log->fd, &now) != 0 || !S_ISREG(now.st_mode) ||
	    now.st_size < (off_t)part ||
	    ftruncate(log->fd, now.st_size - (off_t)part) != 0;
}

static bool
write_text(struct log *log, const char *text, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(log->fd, text + done, len - done);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			say_refused(log, n < 0 ? errno : EIO);
			take_back(log, done);
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static bool
write_line(struct log *log, const char *text, size_t len)
{
	if (log->fd < 0) {
		return false;
	}
	if (log->torn) {
		if (!write_text(log, "\n", 1)) {
			return false;
		}
		log->torn = false;
	}
	if (!write_text(log, text, len)) {
		return false;
	}
	say_accepted(log);
	return true;
}

/* Name what is missing before what comes next. */
static bool
write_gap(struct log *log)
{
	char text[128];
	int n;

	if (log->gap_from == 0) {
		return true;
	}
	n = snprintf(text, sizeof text,
	    "{\"event_type\":\"gap\",\"from\":%llu,\"to\":%llu}\n",
	    (unsigned long long)log->gap_from, (unsigned long long)log->gap_to);
	if (!write_line(log, text, (size_t)n)) {
		return false;
	}
	log->gap_from = 0;
	return true;
}

static void
note_gap(struct log *log, uint64_t from, uint64_t to)
{
	if (log->gap_from == 0) {
		log->gap_from = from;
	}
	log->gap_to = to;
}

static void
write_event(struct log *log, const struct line *line)
{
	if (!write_gap(log) || !write_line(log, line->text, line->len)) {
		note_gap(log, line->seq, line->seq);
		count_dropped(log);
		return;
	}
	log->host->metrics->add(log->host, log->metric_written, 1);
}

/* The writer. */

static bool
is_idle(const struct log *log)
{
	return log->used == 0 && log->lost_from == 0;
}

/* Wait for something to do: for ever, or, with a gap still to be named, until
 * that should be tried again. */
static void
wait_for_work(struct log *log)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_S;
	while (is_idle(log) && !log->stopping) {
		if (log->gap_from == 0) {
			pthread_cond_wait(&log->filled, &log->lock);
		} else if (pthread_cond_timedwait(&log->filled, &log->lock,
			       &until) == ETIMEDOUT) {
			return;
		}
	}
}

/*
 * What is next.  Once an event found no room none is let in until the ring is
 * empty and the loss was taken, so that the gap stands where it belongs.
 */
static struct line
take_line(struct log *log)
{
	struct line line = { .seq = log->lost_from, .to = log->lost_to };

	if (log->used == 0) {
		log->lost_from = 0;
		return line;
	}
	line = log->ring[log->head];
	log->head = (log->head + 1) % log->conf->buffer;
	log->used--;
	log->bytes -= line.len;
	return line;
}

/* The file is looked for after every pause, and once a second. */
static void
write_next(struct log *log, struct line *line, bool paused)
{
	if (paused || now_s() - log->checked >= RETRY_S) {
		follow_file(log);
	}
	if (line->text != NULL) {
		write_event(log, line);
		free(line->text);
		return;
	}
	if (line->seq != 0) {
		note_gap(log, line->seq, line->to);
	}
	write_gap(log);
}

static void
on_written(void *arg)
{
	struct log *log = arg;

	pthread_join(log->thread, NULL);
	log->running = false;
	log->host->answer(log->host, log->stop, AQB_OK, NULL);
}

static void *
writer_main(void *arg)
{
	struct log *log = arg;
	bool ending = false;
	aqb_ticket stop;

	while (!ending) {
		bool paused;
		struct line line;

		pthread_mutex_lock(&log->lock);
		paused = is_idle(log);
		wait_for_work(log);
		ending = is_idle(log) && log->stopping;
		line = take_line(log);
		pthread_mutex_unlock(&log->lock);
		write_next(log, &line, paused);
	}
	if (log->fd >= 0) {
		(void)fdatasync(log->fd);
	}
	pthread_mutex_lock(&log->lock);
	stop = log->stop;
	pthread_mutex_unlock(&log->lock);
	if (stop != 0) {
		(void)log->host->post(log->host, on_written, log);
	}
	return NULL;
}

/* Signals are for the core; a pipe that closed is an error like others. */
static bool
start_writer(struct log *log)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	log->running =
	    pthread_create(&log->thread, NULL, writer_main, log) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return log->running;
}

static int
log_start(void *self, struct aqb_why *why)
{
	struct log *log = self;
	int err = open_file(log);

	if (err != 0) {
		snprintf(why->text, sizeof why->text,
		    "file: %.150s: %s; the broker's user must be able to "
		    "write it",
		    log->conf->file, strerror(err));
		return AQB_ESYS;
	}
	log->checked = now_s();
	if (!start_writer(log)) {
		snprintf(why->text, sizeof why->text,
		    "no thread for writing events");
		return AQB_ESYS;
	}
	return AQB_OK;
}

/* The thread ends when everything that waits was written, or refused. */
static void
tell_writer_to_end(struct log *log, aqb_ticket ticket)
{
	pthread_mutex_lock(&log->lock);
	log->stopping = true;
	log->stop = ticket;
	pthread_cond_signal(&log->filled);
	pthread_mutex_unlock(&log->lock);
}

static void
log_stop(void *self, aqb_ticket ticket)
{
	tell_writer_to_end(self, ticket);
}

static void
log_fini(void **selfp)
{
	struct log *log = *selfp;

	*selfp = NULL;
	if (log->running) {
		tell_writer_to_end(log, 0);
		pthread_join(log->thread, NULL);
	}
	if (log->fd >= 0) {
		close(log->fd);
	}
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->filled);
	free(log->ring);
	free(log);
}

/* The core's side. */

/* Is this type one of those that are wanted? */
static bool
is_wanted(const char *events, const char *type)
{
	size_t want = strlen(type);

	if (*events == '\0') {
		return true;
	}
	while (*events != '\0') {
		size_t len;

		events += strspn(events, ", ");
		len = strcspn(events, ", ");
		if (len > 0 && len == want && memcmp(events, type, len) == 0) {
			return true;
		}
		events += len;
	}
	return false;
}

/* Put it at the end; false when there is no room. */
static bool
push_line(struct log *log, const struct line *line)
{
	if (line->text == NULL || log->lost_from != 0 ||
	    log->used == log->conf->buffer ||
	    log->bytes + line->len > BYTES_MAX) {
		return false;
	}
	log->ring[(log->head + log->used) % log->conf->buffer] = *line;
	log->used++;
	log->bytes += line->len;
	return true;
}

static void
log_emit(void *self, const struct aqb_event *event)
{
	struct log *log = self;
	struct line line = { .seq = event->seq, .len = event->json.len + 1 };
	bool was_idle, pushed;

	if (!is_wanted(log->conf->events, event->type)) {
		return;
	}
	line.text = malloc(line.len);
	if (line.text != NULL) {
		memcpy(line.text, event->json.data, event->json.len);
		line.text[event->json.len] = '\n';
	}
	pthread_mutex_lock(&log->lock);
	was_idle = is_idle(log);
	pushed = push_line(log, &line);
	if (!pushed) {
		log->lost_from =
		    log->lost_from == 0 ? event->seq : log->lost_from;
		log->lost_to = event->seq;
	}
	if (was_idle) {
		pthread_cond_signal(&log->filled);
	}
	pthread_mutex_unlock(&log->lock);
	if (!pushed) {
		free(line.text);
		count_dropped(log);
	}
}

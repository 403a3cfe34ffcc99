/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The audit trail: every telemetry event as a line of JSON in a file.
 *
 * The core only copies an event into a bounded ring; a thread writes it, so
 * that a full disk holds nobody up.  What finds no room in the ring, or is
 * refused by the file, is counted, and named in the file by a gap event as
 * soon as something can be written again.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arqonbus/plugin.h>

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

/* One event that waits to be written. */
struct line {
	uint64_t seq;
	size_t len;
	char *text;
};

struct log {
	const struct aqb_host *host;
	const struct log_conf *conf;
	pthread_t thread;
	bool running;
	int fd;
	struct stat opened; /* the file that fd is of */
	uint64_t gap_from;  /* the first event that the file refused; 0: none */
	uint64_t gap_to;
	uint32_t metric_written, metric_dropped;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t filled;
	bool stopping;
	uint64_t lost_from; /* the first event that found no room; 0: none */
	uint64_t lost_to;
	struct line *ring;
	size_t head;
	size_t used;
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

static int
log_init(const struct aqb_host *host, const void *conf, void **selfp,
    struct aqb_why *why)
{
	const struct log_conf *c = conf;
	struct log *log = calloc(1, sizeof *log);

	(void)why;
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
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->filled, NULL);
	log->metric_written =
	    host->metrics->counter(host, "arqonbus_telemetry_log_written_total",
		"Telemetry events written to the file.");
	log->metric_dropped =
	    host->metrics->counter(host, "arqonbus_telemetry_log_dropped_total",
		"Telemetry events that found no room, or no disk.");
	*selfp = log;
	return AQB_OK;
}

static bool
open_file(struct log *log)
{
	log->fd = open(log->conf->file,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	return log->fd >= 0 && fstat(log->fd, &log->opened) == 0;
}

/* Was the file renamed or removed, as logrotate does? */
static void
follow_file(struct log *log)
{
	struct stat now;

	if (log->fd >= 0 && stat(log->conf->file, &now) == 0 &&
	    now.st_ino == log->opened.st_ino &&
	    now.st_dev == log->opened.st_dev) {
		return;
	}
	if (log->fd >= 0) {
		close(log->fd);
	}
	open_file(log);
}

static bool
write_line(struct log *log, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(log->fd, text, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return false;
		}
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* Name what is missing before what comes next. */
static bool
write_gap(struct log *log)
{
	char text[160];
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
	log->host->metrics->add(log->host, log->metric_dropped, to - from + 1);
}

static void
write_event(struct log *log, struct line *line)
{
	follow_file(log);
	if (log->fd < 0 || !write_gap(log) ||
	    !write_line(log, line->text, line->len)) {
		note_gap(log, line->seq, line->seq);
		return;
	}
	log->host->metrics->add(log->host, log->metric_written, 1);
}

static void *
writer_main(void *arg)
{
	struct log *log = arg;

	pthread_mutex_lock(&log->lock);
	for (;;) {
		struct line line;
		uint64_t from, to;

		while (log->used == 0 && !log->stopping) {
			pthread_cond_wait(&log->filled, &log->lock);
		}
		if (log->used == 0) {
			break;
		}
		line = log->ring[log->head];
		log->head = (log->head + 1) % log->conf->buffer;
		log->used--;
		/* What was lost was lost behind all that waits now: it is
		 * named when that is written. */
		from = log->used == 0 ? log->lost_from : 0;
		to = log->lost_to;
		if (from != 0) {
			log->lost_from = 0;
		}
		pthread_mutex_unlock(&log->lock);
		write_event(log, &line);
		free(line.text);
		if (from != 0) {
			note_gap(log, from, to);
			write_gap(log);
		}
		pthread_mutex_lock(&log->lock);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

static int
log_start(void *self, struct aqb_why *why)
{
	struct log *log = self;

	if (!open_file(log)) {
		snprintf(why->text, sizeof why->text, "file: %.150s: %s",
		    log->conf->file, strerror(errno));
		return AQB_ESYS;
	}
	if (pthread_create(&log->thread, NULL, writer_main, log) != 0) {
		snprintf(why->text, sizeof why->text, "no thread");
		return AQB_ESYS;
	}
	log->running = true;
	return AQB_OK;
}

/* Everything that waits is written before the thread ends. */
static void
join_writer(struct log *log)
{
	if (!log->running) {
		return;
	}
	pthread_mutex_lock(&log->lock);
	log->stopping = true;
	pthread_cond_signal(&log->filled);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	log->running = false;
}

static void
log_stop(void *self, aqb_ticket ticket)
{
	struct log *log = self;

	join_writer(log);
	log->host->answer(log->host, ticket, AQB_OK, NULL);
}

static void
log_fini(void **selfp)
{
	struct log *log = *selfp;

	*selfp = NULL;
	join_writer(log);
	if (log->fd >= 0) {
		close(log->fd);
	}
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->filled);
	free(log->ring);
	free(log);
}

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
		if (len == want && memcmp(events, type, len) == 0) {
			return true;
		}
		events += len;
	}
	return false;
}

static void
log_emit(void *self, const struct aqb_event *event)
{
	struct log *log = self;
	struct line line = { .seq = event->seq, .len = event->json.len + 1 };

	if (!is_wanted(log->conf->events, event->type)) {
		return;
	}
	line.text = malloc(line.len);
	pthread_mutex_lock(&log->lock);
	/* Once one is lost the next are, too, until the ring is empty: then the
	 * gap stands where it belongs. */
	if (line.text == NULL || log->used == log->conf->buffer ||
	    (log->lost_from != 0 && log->used > 0)) {
		log->lost_from =
		    log->lost_from == 0 ? event->seq : log->lost_from;
		log->lost_to = event->seq;
		pthread_mutex_unlock(&log->lock);
		free(line.text);
		return;
	}
	memcpy(line.text, event->json.data, event->json.len);
	line.text[event->json.len] = '\n';
	log->ring[(log->head + log->used) % log->conf->buffer] = line;
	if (log->used++ == 0) {
		pthread_cond_signal(&log->filled);
	}
	pthread_mutex_unlock(&log->lock);
}

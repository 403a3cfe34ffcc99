/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libwebsockets.h>

#include "frame.h"
#include "listen.h"
#include "lwslog.h"
#include "viewer.h"
#include "web.h"

/* Connections that may stand beside those of the viewers. */
#define WEB_PEERS 256

/* Descriptors of the library's own, and the listener. */
#define OWN_FDS 16

/* Seconds for a request to arrive and for its answer to be taken, and for an
 * idle connection to be kept. */
#define REQUEST_SECONDS 10
#define IDLE_SECONDS 15

/* Seconds of silence after which a viewer is pinged, and given up. */
#define PING_SECONDS 25
#define HANGUP_SECONDS 33

/* How long viewers may take for what is left when we stop. */
#define STOP_US (1000 * LWS_US_PER_MS)

/* Room for the head of a request, its query among it. */
#define REQUEST_HEAD_MAX 8192

/*
 * The core and the telemetry thread share `lock`, `is_stopping`, `has_news`
 * and `is_watched`; all else belongs to the telemetry thread once that runs.
 */
struct server {
	const struct plane *plane;
	server_ended_f *ended;
	void *arg;
	struct lws_context *context;
	struct listener listener;
	struct audience audience;
	pthread_t thread;
	bool has_thread;

	/* The context stays until the core has told us to stop: it may be
	 * about to wake us. */
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool is_stopping;

	atomic_bool has_news;
	atomic_bool is_watched;

	lws_sorted_usec_list_t deadline;
	bool is_done;
};

/* What a connection is: HTTP, and after the upgrade a viewer. */
struct session {
	struct web web;
	struct viewer viewer;
};

static bool
is_stopping(struct server *s)
{
	bool yes;

	pthread_mutex_lock(&s->lock);
	yes = s->is_stopping;
	pthread_mutex_unlock(&s->lock);
	return yes;
}

/* The library calls us from its timers too, and then goes on to sleep in the
 * same turn: wake it. */
static void
end(struct server *s)
{
	s->is_done = true;
	lws_cancel_service(s->context);
}

static void
on_deadline(lws_sorted_usec_list_t *sul)
{
	end(lws_container_of(sul, struct server, deadline));
}

static void
begin_to_end(struct server *s)
{
	s->audience.is_closing = true;
	listener_stop(&s->listener);
	if (LIST_EMPTY(&s->audience.viewers)) {
		end(s);
		return;
	}
	lws_sul_schedule(s->context, 0, &s->deadline, on_deadline, STOP_US);
}

/* Somebody called lws_cancel_service. */
static void
on_woken(struct server *s)
{
	/* First the flag, then the ring: what is pushed after this look wakes
	 * us again. */
	atomic_store(&s->has_news, false);
	if (!s->audience.is_closing && is_stopping(s)) {
		begin_to_end(s);
	}
	audience_wake(&s->audience);
}

static int
on_established(struct server *s, struct viewer *v, struct lws *wsi)
{
	/* First say that somebody watches, then look where the ring stands:
	 * an event that the look does not see finds the flag set. */
	atomic_store(&s->is_watched, true);
	return viewer_open(v, &s->audience, wsi);
}

static void
on_closed(struct server *s, struct viewer *v)
{
	viewer_close(v);
	if (LIST_EMPTY(&s->audience.viewers)) {
		atomic_store(&s->is_watched, false);
		if (s->audience.is_closing && !s->is_done) {
			end(s);
		}
	}
}

static int
on_viewer(struct server *s, struct lws *wsi, enum lws_callback_reasons reason,
    struct session *session, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		return on_established(s, &session->viewer, wsi);
	case LWS_CALLBACK_RECEIVE:
		return viewer_receive(&session->viewer, in, len);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return viewer_write(&session->viewer);
	case LWS_CALLBACK_CLOSED:
		on_closed(s, &session->viewer);
		return 0;
	default:
		return 0;
	}
}

static int
on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user,
    void *in, size_t len)
{
	struct server *s = lws_context_user(lws_get_context(wsi));
	struct session *session = user;

	switch (reason) {
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		on_woken(s);
		return 0;
	case LWS_CALLBACK_RAW_RX_FILE:
		listener_accept(&s->listener, lws_get_socket_fd(wsi));
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		listener_forget(&s->listener, wsi);
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return web_upgrade(s->plane, wsi, s->audience.n, in);
	case LWS_CALLBACK_HTTP:
		return web_request(&session->web, s->plane, wsi, in);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return web_write(&session->web, wsi);
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_CLOSED_HTTP:
		if (session != NULL) {
			web_drop(&session->web);
		}
		return 0;
	default:
		return on_viewer(s, wsi, reason, session, in, len);
	}
}

static const struct lws_protocols protocols[] = {
	{
	    .name = TELEMETRY_PROTOCOL,
	    .callback = on_event,
	    .per_session_data_size = sizeof(struct session),
	    .rx_buffer_size = FRAME_MAX,
	},
	{ .name = NULL },
};

static const lws_retry_bo_t idle_policy = {
	.secs_since_valid_ping = PING_SECONDS,
	.secs_since_valid_hangup = HANGUP_SECONDS,
};

static struct lws_context *
context_new(struct server *s, uint32_t peers)
{
	struct lws_context_creation_info info;
	struct sigaction before;
	struct lws_context *context;

	memset(&info, 0, sizeof info);
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = protocols;
	info.user = s;
	info.server_string = "ArqonBus";
	info.options =
	    LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8;
	info.fd_limit_per_thread = peers + OWN_FDS;
	info.max_http_header_data2 = REQUEST_HEAD_MAX;
	info.timeout_secs = REQUEST_SECONDS;
	info.timeout_secs_ah_idle = REQUEST_SECONDS;
	info.keepalive_timeout = IDLE_SECONDS;
	info.retry_and_idle_policy = &idle_policy;

	/* Whatever it does about signals is not its business here. */
	sigaction(SIGPIPE, NULL, &before);
	context = lws_create_context(&info);
	sigaction(SIGPIPE, &before, NULL);
	if (context == NULL) {
		return NULL;
	}
	s->listener.vhost = lws_create_vhost(context, &info);
	if (s->listener.vhost == NULL) {
		lws_context_destroy(context);
		return NULL;
	}
	return context;
}

static void *
run(void *arg)
{
	struct server *s = arg;

	while (!s->is_done && lws_service(s->context, 0) >= 0) {
	}
	if (!s->is_done) {
		s->plane->host->log(s->plane->host, AQB_ERROR,
		    "telemetry thread: libwebsockets gave up");
	}
	pthread_mutex_lock(&s->lock);
	while (!s->is_stopping) {
		pthread_cond_wait(&s->told, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	lws_context_destroy(s->context);
	s->context = NULL;
	s->ended(s->arg);
	return NULL;
}

/* The thread takes no signals: they are for the core. */
static bool
thread_start(struct server *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	s->has_thread = pthread_create(&s->thread, NULL, run, s) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return s->has_thread;
}

static struct server *
server_new(const struct plane *plane, server_ended_f *ended, void *arg)
{
	struct server *s = calloc(1, sizeof *s);

	if (s == NULL) {
		return NULL;
	}
	s->plane = plane;
	s->ended = ended;
	s->arg = arg;
	s->listener.spare = -1;
	s->audience.plane = plane;
	LIST_INIT(&s->audience.viewers);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->told, NULL);
	lwslog_start(plane->host);
	return s;
}

static int
fail(struct server **sp, struct aqb_why *why, const char *text)
{
	snprintf(why->text, sizeof why->text, "%s", text);
	server_free(sp);
	return AQB_ESYS;
}

int
server_start(const struct plane *plane, server_ended_f *ended, void *arg,
    struct server **sp, uint16_t *portp, struct aqb_why *why)
{
	uint32_t peers = plane->conf->max_viewers + WEB_PEERS;
	struct server *s;
	int fd;

	fd = listen_open(plane->conf, portp, why);
	if (fd < 0) {
		return fd;
	}
	s = server_new(plane, ended, arg);
	if (s == NULL) {
		close(fd);
		snprintf(why->text, sizeof why->text, "no memory");
		return AQB_ENOMEM;
	}
	s->context = context_new(s, peers);
	if (s->context == NULL) {
		close(fd);
		return fail(&s, why, "libwebsockets: no context");
	}
	if (!listener_start(&s->listener, plane, s->listener.vhost, fd,
		peers)) {
		return fail(&s, why, "libwebsockets: socket not adopted");
	}
	if (!thread_start(s)) {
		return fail(&s, why, "no thread for telemetry");
	}
	*sp = s;
	return AQB_OK;
}

void
server_wake(struct server *s)
{
	if (atomic_load(&s->is_watched) &&
	    !atomic_exchange(&s->has_news, true)) {
		lws_cancel_service(s->context);
	}
}

void
server_stop(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->is_stopping) {
		s->is_stopping = true;
		lws_cancel_service(s->context);
		pthread_cond_signal(&s->told);
	}
	pthread_mutex_unlock(&s->lock);
}

void
server_free(struct server **sp)
{
	struct server *s = *sp;

	*sp = NULL;
	if (s == NULL) {
		return;
	}
	if (s->has_thread) {
		server_stop(s);
		pthread_join(s->thread, NULL);
	} else if (s->context != NULL) {
		lws_context_destroy(s->context);
	}
	listener_fini(&s->listener);
	lwslog_stop();
	pthread_cond_destroy(&s->told);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The promise from the start, tried: members in rooms, publishes at an even
 * pace whatever the server does, and meanwhile every command, and requests
 * for pages.  Fails when a message is lost, doubled or out of order, when a
 * command fails, or when more than one request in a thousand is not answered.
 * A delivery's latency counts from when its publish was due, so that a server
 * that stalls cannot hide it.
 */

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define SAMPLES_MAX 4000000
#define CALLS_MAX 200000

static struct {
	uint16_t port;
	int pid;
	int rooms;
	int members;  /* of each room */
	int rate;     /* publishes a second */
	int channels; /* made beforehand, used by nobody */
	int requests;
	double seconds;
} opt = { .rooms = 100,
	.members = 50,
	.rate = 400,
	.requests = 10000,
	.seconds = 30 };

struct member {
	struct load_conn conn;
	uint64_t next; /* of its room's messages */
};

static struct member *member;
static struct load_conn publisher;
static uint64_t *published; /* of each room */
static uint64_t received, wrong;
static uint32_t *sample; /* us */
static size_t samples;
static atomic_bool over;
static atomic_int answered, refused;

static const char *const commands[] = { "status", "ping", "list_channels",
	"channel_info", "history", "identify", "help", "join_channel",
	"leave_channel", "create_channel", "delete_channel" };
#define COMMANDS (sizeof commands / sizeof commands[0])

static struct {
	uint32_t us[CALLS_MAX / COMMANDS];
	size_t n;
} calls[COMMANDS];

static int
by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* In milliseconds; the array is sorted. */
static double
percentile(const uint32_t *us, size_t n, double share)
{
	size_t i = (size_t)(share * (double)n);

	return n == 0 ? 0 : us[i < n ? i : n - 1] / 1000.0;
}

/* The number behind a key in a message; false when it is not there. */
static bool
number_after(const char *text, size_t len, const char *key, uint64_t *np)
{
	const char *p = memmem(text, len, key, strlen(key));

	if (p == NULL) {
		return false;
	}
	*np = strtoull(p + strlen(key), NULL, 10);
	return true;
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct member *m = arg;
	uint64_t n, due;

	if (!number_after(text, len, "\"n\":", &n) ||
	    !number_after(text, len, "\"due\":", &due)) {
		return;
	}
	received++;
	if (n != m->next) {
		wrong++;
	}
	m->next = n + 1;
	if (samples < SAMPLES_MAX) {
		sample[samples++] = (uint32_t)((load_now_ns() - due) / 1000);
	}
}

static void
join(struct load_conn *c, int room)
{
	char text[160];
	int n = snprintf(text, sizeof text,
	    "{\"type\":\"command\",\"command\":\"join_channel\","
	    "\"room\":\"smoke%d\",\"channel\":\"all\"}",
	    room);

	load_send(c, text, (size_t)n);
	load_await(c, "\"success\"");
}

static void
set_up(int epoll_fd)
{
	int all = opt.rooms * opt.members;

	member = calloc((size_t)all, sizeof *member);
	published = calloc((size_t)opt.rooms, sizeof *published);
	sample = calloc(SAMPLES_MAX, sizeof *sample);
	for (int i = 0; i < all; i++) {
		struct epoll_event ev = { .events = EPOLLIN,
			.data.ptr = &member[i] };

		load_open(&member[i].conn, opt.port);
		join(&member[i].conn, i % opt.rooms);
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, member[i].conn.fd, &ev);
	}
	load_open(&publisher, opt.port);
	for (int i = 0; i < opt.channels; i++) {
		bool last = i % 100 == 99 || i == opt.channels - 1;
		char text[160];
		int n = snprintf(text, sizeof text,
		    "{\"type\":\"event\",\"room\":\"crowd%d\","
		    "\"channel\":\"c%d\",\"ack\":%s}",
		    i % 100, i, last ? "true" : "false");

		load_send(&publisher, text, (size_t)n);
		if (last) {
			load_await(&publisher, "\"ack\"");
		}
	}
}

static void
publish(uint64_t i, uint64_t due)
{
	int room = (int)(i % (uint64_t)opt.rooms);
	char text[400];
	int n = snprintf(text, sizeof text,
	    "{\"type\":\"event\",\"room\":\"smoke%d\",\"channel\":\"all\","
	    "\"payload\":{\"n\":%llu,\"due\":%llu,\"x\":\"%0150d\"}}",
	    room, (unsigned long long)published[room]++,
	    (unsigned long long)due, 0);

	load_send(&publisher, text, (size_t)n);
}

static void
poll_members(int epoll_fd, int timeout)
{
	struct epoll_event got[512];
	int n = epoll_wait(epoll_fd, got, 512, timeout);

	for (int i = 0; i < n; i++) {
		struct member *m = got[i].data.ptr;

		if (!load_read(&m->conn, on_text, m)) {
			fprintf(stderr, "bench: a member was dropped\n");
			exit(1);
		}
	}
}

/* Publish at an even pace; then give what is on its way time to come. */
static void
run(int epoll_fd)
{
	uint64_t begin = load_now_ns();
	uint64_t all = (uint64_t)(opt.seconds * opt.rate);
	uint64_t i = 0;

	while (i < all) {
		uint64_t due = begin + i * 1000000000u / (uint64_t)opt.rate;

		if (due <= load_now_ns()) {
			publish(i++, due);
		}
		poll_members(epoll_fd, due > load_now_ns() ? 1 : 0);
	}
	for (int idle = 0; idle < 100 && received < all * (uint64_t)opt.members;
	     idle++) {
		uint64_t before = received;

		poll_members(epoll_fd, 50);
		idle = received > before ? 0 : idle;
	}
}

static void
call(struct load_conn *c, size_t which)
{
	const char *name = commands[which];
	char text[240];
	uint64_t begin = load_now_ns();
	bool shared =
	    strcmp(name, "history") == 0 || strcmp(name, "channel_info") == 0;
	int n = snprintf(text, sizeof text,
	    "{\"type\":\"command\",\"id\":\"c\",\"command\":\"%s\","
	    "\"args\":{\"room\":\"%s\",\"channel\":\"%s\"}}",
	    name,
	    strcmp(name, "list_channels") == 0 || shared ? "smoke0" : "side",
	    shared                                                 ? "all"
		: strstr(name, "create") || strstr(name, "delete") ? "made"
								   : "joined");

	load_send(c, text, (size_t)n);
	load_await(c, "\"success\"");
	if (calls[which].n < CALLS_MAX / COMMANDS) {
		calls[which].us[calls[which].n++] =
		    (uint32_t)((load_now_ns() - begin) / 1000);
	}
}

/* Every command in turn, as fast as a person with a script would. */
static void *
call_commands(void *arg)
{
	struct load_conn c;

	(void)arg;
	load_open(&c, opt.port);
	load_await(&c, "welcome");
	while (!atomic_load(&over)) {
		for (size_t i = 0; i < COMMANDS; i++) {
			call(&c, i);
			usleep(2000);
		}
	}
	load_close(&c);
	return NULL;
}

static bool
get(const char *path)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 5 };
	char text[256];
	char answer[65536];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int n = snprintf(text, sizeof text,
	    "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n",
	    path);
	bool good;

	sin.sin_port = htons(opt.port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	good = connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
	    send(fd, text, (size_t)n, MSG_NOSIGNAL) == n &&
	    recv(fd, answer, sizeof answer, 0) > 12 &&
	    memcmp(answer, "HTTP/1.1 200", 12) == 0;
	while (good && recv(fd, answer, sizeof answer, 0) > 0) {
	}
	close(fd);
	return good;
}

static void *
get_pages(void *arg)
{
	static const char *const pages[] = { "/health", "/version",
		"/metrics" };
	uint64_t begin = load_now_ns();

	(void)arg;
	for (int i = 0; i < opt.requests; i++) {
		uint64_t due =
		    begin + (uint64_t)(opt.seconds * 1e9 * i / opt.requests);

		while (load_now_ns() < due) {
			usleep(500);
		}
		if (get(pages[i % 3])) {
			atomic_fetch_add(&answered, 1);
		} else {
			atomic_fetch_add(&refused, 1);
		}
	}
	return NULL;
}

static int
report(void)
{
	uint64_t want =
	    (uint64_t)(opt.seconds * opt.rate) * (uint64_t)opt.members;
	int bad = received != want || wrong > 0 ||
	    atomic_load(&refused) * 1000 > opt.requests;

	qsort(sample, samples, sizeof *sample, by_size);
	printf("%d members in %d rooms, %d publishes/s, %.0f s, %d more "
	       "channels\n",
	    opt.rooms * opt.members, opt.rooms, opt.rate, opt.seconds,
	    opt.channels);
	printf("deliveries      %llu of %llu, %llu out of order or doubled\n",
	    (unsigned long long)received, (unsigned long long)want,
	    (unsigned long long)wrong);
	printf("latency ms      p50 %.2f  p99 %.2f  p99.9 %.2f  max %.2f\n",
	    percentile(sample, samples, 0.5), percentile(sample, samples, 0.99),
	    percentile(sample, samples, 0.999), percentile(sample, samples, 1));
	printf("memory          %.1f MiB resident\n",
	    (double)load_rss(opt.pid) / 1048576);
	printf("pages           %d answered, %d not\n", atomic_load(&answered),
	    atomic_load(&refused));
	for (size_t i = 0; i < COMMANDS; i++) {
		qsort(calls[i].us, calls[i].n, sizeof calls[i].us[0], by_size);
		printf("%-15s %zu calls, p50 %.2f ms, p99 %.2f ms\n",
		    commands[i], calls[i].n,
		    percentile(calls[i].us, calls[i].n, 0.5),
		    percentile(calls[i].us, calls[i].n, 0.99));
		bad |= calls[i].n == 0;
	}
	printf("%s\n", bad ? "FAILED" : "nothing lost, doubled or reordered");
	return bad;
}

static void
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "pid", required_argument, NULL, 'P' },
		{ "rooms", required_argument, NULL, 'r' },
		{ "members", required_argument, NULL, 'm' },
		{ "rate", required_argument, NULL, 'R' },
		{ "channels", required_argument, NULL, 'c' },
		{ "requests", required_argument, NULL, 'q' },
		{ "seconds", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int *const place[] = { ['r'] = &opt.rooms,
		['m'] = &opt.members,
		['R'] = &opt.rate,
		['c'] = &opt.channels,
		['q'] = &opt.requests,
		['P'] = &opt.pid };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?') {
			exit(2);
		}
		if (c == 't') {
			opt.seconds = atof(optarg);
		} else if (c == 'p') {
			opt.port = (uint16_t)atoi(optarg);
		} else {
			*place[c] = atoi(optarg);
		}
	}
}

int
main(int argc, char **argv)
{
	int epoll_fd = epoll_create1(0);
	pthread_t caller, getter;

	read_options(argc, argv);
	set_up(epoll_fd);
	pthread_create(&caller, NULL, call_commands, NULL);
	pthread_create(&getter, NULL, get_pages, NULL);
	run(epoll_fd);
	atomic_store(&over, true);
	pthread_join(caller, NULL);
	pthread_join(getter, NULL);
	return report();
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One publisher, N receivers, a closed loop: message i goes out when every
 * receiver has had message i - window.  Prints deliveries a second and the
 * server's CPU for each; fails when a receiver misses, doubles or reorders.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"

#define COUNTER_DIGITS 10
#define TEXT_MAX 60000

struct receiver {
	struct load_conn conn;
	uint64_t next; /* the message it must get now */
};

static struct {
	uint16_t port;
	int pid;
	int receivers;
	int window;
	size_t size; /* of the payload, bytes */
	double seconds;
	bool plain; /* the floor: nothing to join */
} opt = { .receivers = 100, .window = 32, .size = 200, .seconds = 2 };

static struct receiver *receiver;
static struct load_conn publisher;
static uint32_t *had; /* how many have had message i, at i % window */
static uint64_t sent, done, wrong, delivered;
static size_t wire; /* length of what a receiver gets */
static char text[TEXT_MAX];
static size_t text_len;
static char *counter; /* in the text */
static size_t from_end;

/* {"n":"0000000001","x":"..."} of exactly opt.size bytes */
static void
make_text(void)
{
	char head[160];
	int n = snprintf(head, sizeof head,
	    "{\"type\":\"event\",\"room\":\"bench\",\"channel\":\"fan\","
	    "\"payload\":");
	size_t fill;

	if (opt.size < 40 || opt.size + 200 > TEXT_MAX) {
		fprintf(stderr, "bench: --size must be 40 to %d\n",
		    TEXT_MAX - 200);
		exit(2);
	}
	fill = opt.size - strlen("{\"n\":\"\",\"x\":\"\"}") - COUNTER_DIGITS;
	text_len = (size_t)n;
	memcpy(text, head, text_len);
	text_len += (size_t)sprintf(text + text_len, "{\"n\":\"");
	counter = text + text_len;
	text_len += COUNTER_DIGITS;
	text_len += (size_t)sprintf(text + text_len, "\",\"x\":\"");
	memset(text + text_len, 'x', fill);
	text_len += fill;
	text_len += (size_t)sprintf(text + text_len, "\"}}");
	from_end = (size_t)(text + text_len - counter);
}

static void
publish(void)
{
	static uint8_t batch[64 * 65536];
	size_t len = 0;
	uint64_t most = done + (uint64_t)opt.window;

	while (sent < most && len + TEXT_MAX < sizeof batch) {
		uint64_t n = sent++;

		for (int i = COUNTER_DIGITS - 1; i >= 0; i--) {
			counter[i] = (char)('0' + n % 10);
			n /= 10;
		}
		len += load_frame(batch + len, text, text_len);
	}
	if (len > 0) {
		load_send_all(&publisher, batch, len);
	}
}

static void
on_text(void *arg, const char *data, size_t len)
{
	struct receiver *r = arg;
	uint64_t n = 0;

	if (len < from_end) {
		return;
	}
	for (int i = 0; i < COUNTER_DIGITS; i++) {
		unsigned digit = (unsigned)(data[len - from_end + i] - '0');

		if (digit > 9) {
			return; /* a welcome or a reply */
		}
		n = n * 10 + digit;
	}
	wire = len;
	delivered++;
	if (n != r->next) {
		wrong++;
	}
	r->next = n + 1;
	if (++had[n % (uint64_t)opt.window] == (uint32_t)opt.receivers) {
		had[n % (uint64_t)opt.window] = 0;
		done = n + 1;
	}
}

static void
set_up(int epoll_fd)
{
	static const char join[] =
	    "{\"type\":\"command\",\"command\":\"join_channel\","
	    "\"room\":\"bench\",\"channel\":\"fan\"}";

	receiver = calloc((size_t)opt.receivers, sizeof *receiver);
	had = calloc((size_t)opt.window, sizeof *had);
	for (int i = 0; i < opt.receivers; i++) {
		struct epoll_event ev = { .events = EPOLLIN,
			.data.ptr = &receiver[i] };

		load_open(&receiver[i].conn, opt.port);
		if (!opt.plain) {
			load_send(&receiver[i].conn, join, sizeof join - 1);
			load_await(&receiver[i].conn, "\"success\"");
		}
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, receiver[i].conn.fd, &ev);
	}
	load_open(&publisher, opt.port);
	make_text();
}

static void
run(int epoll_fd, uint64_t until)
{
	while (load_now_ns() < until) {
		struct epoll_event got[256];
		int n;

		publish();
		n = epoll_wait(epoll_fd, got, 256, 1000);
		for (int i = 0; i < n; i++) {
			struct receiver *r = got[i].data.ptr;

			if (!load_read(&r->conn, on_text, r)) {
				fprintf(stderr,
				    "bench: a receiver was "
				    "dropped\n");
				exit(1);
			}
		}
	}
}

static void
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "pid", required_argument, NULL, 'P' },
		{ "receivers", required_argument, NULL, 'n' },
		{ "window", required_argument, NULL, 'w' },
		{ "size", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "plain", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.port = (uint16_t)atoi(optarg);
			break;
		case 'P':
			opt.pid = atoi(optarg);
			break;
		case 'n':
			opt.receivers = atoi(optarg);
			break;
		case 'w':
			opt.window = atoi(optarg);
			break;
		case 's':
			opt.size = (size_t)atoi(optarg);
			break;
		case 't':
			opt.seconds = atof(optarg);
			break;
		case 'f':
			opt.plain = true;
			break;
		default:
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	int epoll_fd = epoll_create1(0);
	uint64_t begin, cpu, before;
	double took;

	read_options(argc, argv);
	set_up(epoll_fd);
	run(epoll_fd, load_now_ns() + 300000000); /* warm */
	begin = load_now_ns();
	cpu = load_cpu_ns(opt.pid);
	before = delivered;
	run(epoll_fd, begin + (uint64_t)(opt.seconds * 1e9));
	took = (double)(load_now_ns() - begin) / 1e9;
	cpu = load_cpu_ns(opt.pid) - cpu;
	delivered -= before;
	printf("{\"receivers\":%d,\"size\":%zu,\"window\":%d,\"wire\":%zu,"
	       "\"deliveries_per_second\":%.0f,\"cpu_ns_per_delivery\":%.1f,"
	       "\"rss_bytes\":%llu,\"wrong\":%llu}\n",
	    opt.receivers, opt.size, opt.window, wire, (double)delivered / took,
	    (double)cpu / (double)delivered,
	    (unsigned long long)load_rss(opt.pid), (unsigned long long)wrong);
	return wrong == 0 && delivered > 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How long a server takes from being run to its first connection.  The command
 * behind -- is run again and again, told nothing, and killed; the port is
 * knocked at until it opens.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define KNOCK_EVERY 200000 /* ns */

extern char **environ;

static struct {
	int port;
	int rounds;
} conf = { .rounds = 10 };

static const struct bench_opt options[] = {
	{ "port", BENCH_NUMBER, &conf.port, 1, 65535,
	    "the port that the command listens on" },
	{ "rounds", BENCH_NUMBER, &conf.rounds, 1, 1000, "how often" },
	{ "json", BENCH_TEXT, &bench_target.json, 0, 0,
	    "write the result there; - is standard output" },
	{ 0 },
};

static bool
knock(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool open;

	sin.sin_port = htons((uint16_t)conf.port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0) {
		bench_die("socket: %s", strerror(errno));
	}
	open = connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0;
	close(fd);
	return open;
}

/* Run it once; returns the nanoseconds until the port was open. */
static uint64_t
start(char **command)
{
	const struct timespec pause = { .tv_nsec = KNOCK_EVERY };
	uint64_t begin = bench_now(), took;
	pid_t pid;
	int err = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);

	if (err != 0) {
		bench_die("%s: %s", command[0], strerror(err));
	}
	while (!knock()) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			bench_die("%s ended before port %d was open",
			    command[0], conf.port);
		}
		if (bench_now() - begin > bench_patience) {
			kill(pid, SIGKILL);
			bench_die("port %d is not open after %g s", conf.port,
			    (double)bench_patience / 1e9);
		}
		nanosleep(&pause, NULL);
	}
	took = bench_now() - begin;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return took;
}

int
start_main(int argc, char **argv)
{
	static struct bench_hist hist;
	struct buf out = { 0 };
	int flags = 1;

	while (flags < argc && strcmp(argv[flags], "--") != 0) {
		flags++;
	}
	bench_options(options, NULL, flags, argv);
	if (conf.port == 0 || flags + 1 >= argc) {
		bench_die("--port says where to knock, and -- COMMAND what to "
			  "run");
	}
	if (knock()) {
		bench_die("port %d is open already", conf.port);
	}
	for (int i = 0; i < conf.rounds; i++) {
		bench_hist_add(&hist, start(argv + flags + 1));
	}
	bench_hist_title("latency");
	bench_hist_print(&hist, "started");
	buf_puts(&out, "{\"test\":\"start\",\"latency_us\":");
	bench_hist_json(&hist, &out);
	buf_putc(&out, '}');
	bench_save(&out);
	return 0;
}

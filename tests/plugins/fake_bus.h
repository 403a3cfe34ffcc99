/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGINS_FAKE_BUS_H
#define PLUGINS_FAKE_BUS_H

/*
 * A bus for commands: it writes down what it is asked, one line a question,
 * and answers with what the test has put into it.
 */

#include "fake_host.h"

struct json_object;

struct fake_bus {
	/* What it was asked so far. */
	char *asked;

	/* Not 0: the next question that can be refused is, with this. */
	enum aqb_code refuse;
	const char *refuse_field;

	/* Channels "c000", "c001" .. of room "r", clients "arq_client_000" ..;
	 * every other client has said who it is. */
	size_t channels;
	size_t clients;
	const char *description; /* of every channel */
	const char *metadata;    /* likewise, JSON */
	const char *about;       /* the personality of who said one */

	/* What join and read answer; later, when a test says so. */
	struct aqb_joined joined;
	struct aqb_answer answer;
	bool later;
};

extern struct fake_bus fake_bus;

/* Put it behind a host, and forget all that was before. */
void fake_bus_setup(struct fake_host *fake);
void fake_bus_teardown(void);

/* Answer what was asked `later`. */
void fake_bus_answer(void);

/* The last question was this one. */
void assert_asked(const char *line);
/* Nothing was asked. */
void assert_not_asked(void);

#endif

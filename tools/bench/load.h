/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/* Client connections for a load generator that must cost less than the
 * server it measures: blocking while they are set up, then polled. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_conn {
	int fd;
	uint8_t *held; /* the beginning of a frame */
	size_t held_len;
	size_t held_cap;
};

/* Connect and shake hands; ends the process when that fails. */
void load_open(struct load_conn *c, uint16_t port);
void load_close(struct load_conn *c);

/* Send a text as one masked frame, all of it. */
void load_send(struct load_conn *c, const char *text, size_t len);

/* Send bytes that are frames already. */
void load_send_all(struct load_conn *c, const uint8_t *data, size_t len);

/* Put a masked frame into a buffer; returns its length (len + at most 14). */
size_t load_frame(uint8_t *out, const char *text, size_t len);

/* Read what there is and tell each text.  False when the peer is gone. */
typedef void load_text_f(void *arg, const char *text, size_t len);
bool load_read(struct load_conn *c, load_text_f *each, void *arg);

/* Wait for the next text that contains `want`; ends the process after 10 s. */
void load_await(struct load_conn *c, const char *want);

/* Nanoseconds of CPU that a process has used, and of time. */
uint64_t load_cpu_ns(int pid);
uint64_t load_now_ns(void);
/* Resident bytes of a process. */
uint64_t load_rss(int pid);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Time that never jumps, for everything that waits or measures. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

/* For how long the calling thread has had a processor. */
uint64_t clock_cpu_ms(void);

/* Time of day, for what people read: milliseconds since 1970, UTC. */
int64_t clock_wall_ms(void);

/* The last millisecond that a timestamp can tell, of the year 9999. */
#define CLOCK_WALL_MAX INT64_C(253402300799999)

/* "2026-11-23T15:58:56.123Z": 24 characters and the NUL. */
#define CLOCK_TEXT_SIZE 25
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/* Read an RFC 3339 timestamp, offset and fraction included.  False when it
 * is not one. */
bool clock_parse(const char *text, size_t len, int64_t *wall_msp);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_UNIT_H
#define CONF_UNIT_H

/*
 * Numbers with units, as people write them and as we print them: sizes in
 * bytes (64KiB), durations in milliseconds (25s), and plain counts.
 */

#include <stdint.h>

/* Room for any of them, NUL included. */
#define UNIT_SIZE 32

/*
 * Read one.  NULL when it went well, else the rest of a sentence that begins
 * with the text: `is not a size; write ..`.  Such a string lives for ever.
 */
const char *unit_parse_count(const char *text, uint64_t *np);
const char *unit_parse_size(const char *text, uint64_t *bytesp);
const char *unit_parse_duration(const char *text, uint64_t *msp);

/* Write one with the largest unit that says it exactly; 0 has none. */
const char *unit_size_text(uint64_t bytes, char text[UNIT_SIZE]);
const char *unit_duration_text(uint64_t ms, char text[UNIT_SIZE]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_WHY_H
#define BASE_WHY_H

/* Whoever detects what is wrong writes the sentence; whoever decides logs
 * it, once. */

#include <arqonbus/error.h>

/* Write the sentence and return `err`, so that a refusal is one statement.
 * `why` may be NULL. */
int refuse(struct aqb_why *why, enum aqb_err err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same towards a client: `field` is the field at fault, or NULL. */
enum aqb_code reject(struct aqb_why *why, enum aqb_code code, const char *field,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same for what may be tried again after so many milliseconds. */
enum aqb_code reject_until(struct aqb_why *why, enum aqb_code code,
    uint64_t wait_ms, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

const char *aqb_strerror(enum aqb_err err);

/* The name of a code on the wire: "INVALID_JSON". */
const char *code_name(enum aqb_code code);

#endif

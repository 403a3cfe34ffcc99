/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_CHECK_H
#define CONF_CONF_CHECK_H

/* What one option cannot know about another. */

#include <arqonbus/error.h>

struct conf;

/* Give every burst that was left at 0 the number of its rate. */
void conf_fill_bursts(struct conf *c);

/* Names, addresses, and options that exclude each other.  Refuses with
 * AQB_EINVAL, naming where the value came from. */
int conf_check(const struct conf *c, struct aqb_why *why);

/*
 * Who can reach what, known once plugins.d was read.  Refuses a telemetry
 * port beyond this machine without a token; warns of a data port that
 * everybody can use, and of secrets among the flags.
 */
int conf_check_exposure(struct conf *c, struct aqb_why *why);

#endif

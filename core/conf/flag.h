/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_FLAG_H
#define CONF_FLAG_H

/* The command line of arqonbusd(8). */

#include <stdio.h>

#include "conf/conf.h"

/*
 * Read the flags: values go into the sets, `*configp` is the file that
 * --config named or NULL.  Refuses with AQB_EINVAL what is no flag, and a
 * section or key that does not exist.  Uses getopt, hence one thread at a
 * time.
 */
int flags_read(int argc, char **argv, struct conf_sets *sets,
    enum conf_action *actionp, const char **configp, struct aqb_why *why);

#endif

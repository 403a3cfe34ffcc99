/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAIN_BROKER_H
#define MAIN_BROKER_H

/* The whole broker, put together from its layers. */

#include <stdint.h>

#include <arqonbus/error.h>

#include "conf/conf.h"

struct broker;

/* Build everything; nothing runs yet.  `conf` is borrowed for its life. */
struct broker *broker_new(const struct conf *conf);
void broker_free(struct broker **brokerp);

/* Judge the plugins and their settings without starting any. */
int broker_check(struct broker *b, struct aqb_why *why);

/* Start the plugins, make the bootstrap channels, listen. */
int broker_start(struct broker *b, struct aqb_why *why);

/* Serve until a signal ends it. */
void broker_run(struct broker *b);

#endif

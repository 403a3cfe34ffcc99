/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_TEXT_H
#define BUS_TEXT_H

/* Envelopes of the broker's own: from "arqonbus", never stored. */

#include "base/buf.h"
#include "bus/bus_priv.h"

/* `{"version":..,"id":..,"type":..,"from":"arqonbus","timestamp":..`, to be
 * continued and closed by the caller. */
void text_begin(struct buf *b, struct bus *bus, const char *type);

/* `,"request_id":..`: the id as JSON text without quotes; null when empty. */
void text_request_id(struct buf *b, struct aqb_slice id);

/* `,"payload":{"code":..,"message":..,"field":..}` */
void text_error(struct buf *b, enum aqb_code code, const struct aqb_why *why);

/* The object itself. */
void text_error_body(struct buf *b, enum aqb_code code,
    const struct aqb_why *why);

/* `,"room":..,"channel":..` of a channel. */
struct channel;
void text_address(struct buf *b, const struct channel *ch);

/*
 * The news that [from, to] of a channel will not come; a `from` of 0 is
 * "unknown".  NULL when there is no memory: whoever cannot be told of a loss
 * must not go on as if nothing were missing.
 */
struct aqb_msg *text_gap(struct bus *bus, const char *room, const char *channel,
    const char *epoch, uint64_t from, uint64_t to, const char *reason);
struct aqb_msg *text_gap_of(const struct channel *ch, const char *epoch,
    uint64_t from, uint64_t to, const char *reason);

#endif

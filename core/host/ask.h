/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_ASK_H
#define HOST_ASK_H

/*
 * The desk where plugins' answers come in.  A question is a ticket: a number,
 * not a pointer, so that answers that come late or twice find nothing to
 * harm.  Each question ends exactly once: with its answer, at its deadline,
 * or because whoever asked ended it; done is always called by the loop, never
 * from within what asked or answered.  An answer with AQB_ANSWER_EARLY
 * lifts the deadline and ends nothing: done is called again with the answer
 * that does, and only with that when it follows at once.
 */

#include <arqonbus/storage.h>

struct desk;
struct loop;

/* Questions that may be open at once; then desk_ask returns 0. */
#define DESK_QUESTIONS_MAX (1u << 20)

/* Messages that one answer may hold. */
#define DESK_MESSAGES_MAX (1u << 16)

/* How long a value in an answer may be, in bytes. */
#define DESK_VALUE_MAX (64u * 1024u)

/* err AQB_OK: *answer is borrowed for the call.  Otherwise answer is NULL;
 * AQB_ETIMEDOUT: there was none in time. */
typedef void ask_done_f(void *arg, enum aqb_err err,
    const struct aqb_answer *answer);

/* Look at an answer before done does and say what is to be believed: err, or
 * an error instead.  The answer is NULL unless err is AQB_OK. */
typedef enum aqb_err ask_check_f(void *arg, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer);

struct desk *desk_new(struct loop *loop);

/* Open questions end unanswered. */
void desk_free(struct desk **deskp);

/* A ticket, whose top bit is never set; 0 when too many are out.  A timeout
 * (ms) of 0 waits for ever. */
aqb_ticket desk_ask(struct desk *d, uint64_t timeout, ask_done_f *done,
    void *arg);

/* The same, with a check of the answer by whoever knows the plugin. */
aqb_ticket desk_ask_checked(struct desk *d, uint64_t timeout,
    ask_check_f *check, void *check_arg, ask_done_f *done, void *arg);

/* Begin to count the time (ms) now. */
void desk_set_deadline(struct desk *d, aqb_ticket ticket, uint64_t timeout);

/* The question was answered in the call that asked: done is not called, also
 * when the ticket has been answered too. */
void desk_end(struct desk *d, aqb_ticket ticket);

/* Whoever asked is gone: done is not called.  An answer that still comes is
 * no stray, and the deadline still holds. */
void desk_forget(struct desk *d, aqb_ticket ticket);

enum desk_take {
	DESK_TAKEN,
	DESK_STRAY,   /* late, double, or never asked; counted */
	DESK_GARBAGE, /* makes no sense, taken as AQB_EUNCERTAIN; counted */
};

/* An answer comes in; copied, with references to its messages. */
enum desk_take desk_answer(struct desk *d, aqb_ticket ticket, enum aqb_err err,
    const struct aqb_answer *answer);

/* Questions that wait. */
size_t desk_open(const struct desk *d);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_STORAGE_H
#define ARQONBUS_STORAGE_H

/*
 * A storage backend keeps one ordered stream of messages per channel and
 * gives every message its position in it.
 *
 * Every operation is given a ticket and answers it once with host->answer(),
 * now or later, in any order.  The broker tells whoever asked from the event
 * loop, never from inside the call, and owns the deadline.  Only append and
 * tail, which hot paths pay for, may answer in the call itself and leave the
 * ticket unused.
 *
 * Messages are borrowed for the length of the call; a backend that keeps one
 * takes a reference with host->msg_ref().  All members but cancel are
 * required.  Everything runs on the core thread and must not block.
 */

#include <arqonbus/error.h>
#include <arqonbus/message.h>

/* What append and tail return; a negative enum aqb_err refuses at once. */
enum aqb_when {
	AQB_DONE = 1,    /* *posp (or *answerp) is final, the ticket is free */
	AQB_EARLY = 2,   /* append: *posp is final and the message may be
			  * delivered now; the ticket will say when it is
			  * stored */
	AQB_PENDING = 3, /* nothing is known until the ticket is answered */
};

/* What was reached when an append was answered, weakest first. */
enum aqb_stored {
	AQB_STORED_NONE = 0,
	AQB_STORED_MEMORY = 1,
	AQB_STORED_REDIS = 2,
	AQB_STORED_FSYNC = 3,
	AQB_STORED_REPLICATED = 4,
};

/* What a channel wants an acknowledged message to survive. */
enum aqb_durability {
	AQB_DURABLE_DEFAULT = 0,    /* what the backend does by itself */
	AQB_DURABLE_EPHEMERAL = 1,  /* nothing: it is not kept */
	AQB_DURABLE_STORED = 2,     /* the broker's end */
	AQB_DURABLE_FSYNC = 3,      /* a power cut */
	AQB_DURABLE_REPLICATED = 4, /* the loss of a machine */
};

/* What a channel asks of its stream. */
struct aqb_limits {
	uint32_t size;
	uint32_t history_size;  /* messages kept; 0 keeps none */
	uint64_t history_ttl;   /* milliseconds; 0 is for ever */
	uint32_t durability;    /* enum aqb_durability */
	uint64_t dedupe_window; /* for how long the ids that senders chose are
				 * to be known, ms */
	/* ABI 1.0 ends here.  Add below this line only. */
};

/* Give the newest `limit` messages of the range instead of the oldest. */
#define AQB_RANGE_LAST 0x01u

struct aqb_range {
	uint32_t size;
	uint32_t flags;   /* AQB_RANGE_* */
	uint32_t limit;   /* at most this many messages; 0 asks for the
			    * stream's ends only */
	uint32_t bytes;   /* and at most this many bytes; 0 is no limit */
	uint64_t after;   /* only seq > after */
	uint64_t before;  /* only seq < before; 0 is no limit */
	int64_t since;    /* only timestamp >= since; 0 is no limit */
	int64_t until;    /* only timestamp <= until; 0 is no limit */
	const char *from; /* only messages of this client, or NULL */
			  /* ABI 1.0 ends here.  Add below this line only. */
};

/*
 * append: the position is final and the message may be delivered now.  The
 * question stays open, without a deadline, until it is answered once more,
 * when the message is stored.
 */
#define AQB_ANSWER_EARLY 0x01u
/* append: a message of this sender and id is there already, at this position;
 * it is not to be delivered again. */
#define AQB_ANSWER_REPEATED 0x02u

/*
 * An answer.  All of it is borrowed for the call of host->answer().  Append
 * fills pos and stored; history and tail fill the ends of the stream (first
 * is last + 1 when nothing is kept), history the messages, oldest first;
 * resolve fills pos; keep fills value.
 */
struct aqb_answer {
	uint32_t size;
	uint32_t stored;         /* enum aqb_stored */
	struct aqb_position pos; /* append: of this message; else of the last */
	uint64_t first;          /* seq of the oldest message kept */
	struct aqb_msg *const *msgs;
	size_t n;
	bool more;      /* the range holds more than limit and bytes allowed */
	uint32_t flags; /* AQB_ANSWER_* */
	struct aqb_slice value;
	/* ABI 1.0 ends here.  Add below this line only. */
};

typedef int aqb_store_append_f(void *self, aqb_ticket ticket,
    const char *stream, const struct aqb_limits *limits, struct aqb_msg *msg,
    struct aqb_position *posp);
typedef int aqb_store_tail_f(void *self, aqb_ticket ticket, const char *stream,
    struct aqb_answer *answerp);
typedef void aqb_store_history_f(void *self, aqb_ticket ticket,
    const char *stream, const struct aqb_range *range);
typedef void aqb_store_forget_f(void *self, aqb_ticket ticket,
    const char *stream);
typedef void aqb_store_usage_f(void *self, uint64_t *messagesp,
    uint64_t *bytesp);
typedef uint32_t aqb_store_backlog_f(void *self);
typedef void aqb_store_cancel_f(void *self, aqb_ticket ticket);
typedef int aqb_store_accept_f(void *self, const struct aqb_limits *limits,
    struct aqb_why *why);
typedef void aqb_store_resolve_f(void *self, aqb_ticket ticket,
    const char *stream, const struct aqb_position *since);
typedef void aqb_store_probe_f(void *self, aqb_ticket ticket);
typedef void aqb_store_keep_f(void *self, aqb_ticket ticket, const char *key,
    struct aqb_slice value);

/* follow: this message was given to this broker before, at another position;
 * it is not to be delivered again. */
#define AQB_FOLLOW_REPEATED 0x01u
/* follow: the messages between the last one and this one are lost, even if
 * another epoch has begun. */
#define AQB_FOLLOW_LOST 0x02u

/*
 * What a broker is told of the others that share its storage, itself included.
 * Everything comes on the core thread, never from within a call of the
 * broker's, and what is about one stream or one record comes in the same
 * order to every broker.  All but what says otherwise is borrowed for the
 * call.
 */
struct aqb_follower {
	uint32_t size;
	const char *node; /* how this broker is called: one name, one broker */
	void *arg;

	/* The next message of a stream, whoever appended it.  One that has no
	 * position yet is to be stamped with this one.  A position that jumps
	 * within an epoch says that the messages between are lost. */
	void (*message)(void *arg, const char *stream, struct aqb_msg *msg,
	    const struct aqb_position *pos, uint32_t flags);

	/* Somebody dropped the stream. */
	void (*forgotten)(void *arg, const char *stream);

	/* A broker has something to say to all. */
	void (*notice)(void *arg, const char *node, struct aqb_slice notice);

	/* A record of a broker's (node "": of them all) is this now; an empty
	 * value: there is none any more. */
	void (*record)(void *arg, const char *node, const char *key,
	    struct aqb_slice value);

	/* A broker is gone, and all its records with it. */
	void (*node_gone)(void *arg, const char *node);

	/* All records are told between these two, at the beginning and after
	 * something was missed: what is not told then is gone. */
	void (*syncing)(void *arg);
	void (*synced)(void *arg);

	/* This broker's own records are lost: share them all again. */
	void (*share_again)(void *arg);
	/* ABI 1.0 ends here.  Add below this line only. */
};

/* share: a record of all brokers rather than of this one.  It outlives them,
 * and one that exists stays as it is until it is removed. */
#define AQB_SHARE_COMMON 0x01u

typedef int aqb_store_follow_f(void *self, const struct aqb_follower *follower,
    struct aqb_why *why);
typedef int aqb_store_notify_f(void *self, struct aqb_slice notice);
typedef int aqb_store_share_f(void *self, const char *key,
    struct aqb_slice value, uint32_t flags);

/* The backend's messages outlive the broker. */
#define AQB_STORE_DURABLE 0x01u
/* Several brokers may use the same streams: follow, notify and share. */
#define AQB_STORE_SHARED 0x02u

struct aqb_storage_ops {
	uint32_t size;
	uint32_t caps;   /* AQB_STORE_* */
	uint32_t stored; /* what AQB_DONE means: enum aqb_stored */

	/* Put a message at the end of its stream and say where that is.  The
	 * answers of one stream come in the order of its appends.  One that
	 * is PENDING is answered within a minute. */
	aqb_store_append_f *append;

	/* Where does the stream end?  Begins the stream if there is none, so
	 * that the epoch told to the first member is the epoch of the first
	 * message.  Answers without messages. */
	aqb_store_tail_f *tail;

	/* Read a range.  Nothing is given that append has not answered, so
	 * that who reads and then listens gets no message twice. */
	aqb_store_history_f *history;

	/* Drop the stream; the next append begins another epoch. */
	aqb_store_forget_f *forget;

	/* What is kept in this process's memory, now. */
	aqb_store_usage_f *usage;

	/* Nobody waits for this ticket any more.  It must still be answered,
	 * or may be forgotten.  Optional. */
	aqb_store_cancel_f *cancel;

	/* May a channel ask this?  Refuses with a sentence.  Optional: all but
	 * AQB_DURABLE_FSYNC and AQB_DURABLE_REPLICATED. */
	aqb_store_accept_f *accept;

	/* A client knows a position of another epoch than today's.  Answers
	 * with the place in today's that has the same messages before it, or
	 * AQB_ENOENT when there is none.  Optional: there never is. */
	aqb_store_resolve_f *resolve;

	/* Write something and read it back, all the way.  Asked every so
	 * often; what it answers is what /health says.  Optional: the answers
	 * to other questions tell. */
	aqb_store_probe_f *probe;

	/* Keep a small value under this key unless there is one, and answer
	 * with the one that is kept then.  Optional. */
	aqb_store_keep_f *keep;

	/*
	 * Several brokers on these streams are one bus from now on: called
	 * once, after start and before anything else.  The follower lives
	 * until fini.  May refuse with a sentence, and may wait for as long as
	 * a start may take.  Then messages are delivered when the follower is
	 * told of them, also those of this broker: append answers no more than
	 * that and where they are stored, and history gives nothing that the
	 * follower was not told.  Optional: with AQB_STORE_SHARED.
	 */
	aqb_store_follow_f *follow;

	/* Say something to all brokers, at most once.  Refused with
	 * AQB_EUNAVAIL while that cannot be now. */
	aqb_store_notify_f *notify;

	/* Set a record that all brokers know, or remove it with an empty
	 * value.  What cannot be said now is said later. */
	aqb_store_share_f *share;
	/* ABI 1.0 ends here.  Add below this line only. */

	/* How far what waits to be stored fills its limit, in hundredths: at
	 * 100 append refuses.  From 50 on who publishes to a channel that is
	 * stored is read from no more, until it is below 25.  What is
	 * delivered before it is stored keeps nobody waiting: then it is 0.
	 * Called several times a turn.  Optional: 0.  Since 1.1. */
	aqb_store_backlog_f *backlog;
	/* ABI 1.1 ends here.  Add below this line only. */
};

#endif

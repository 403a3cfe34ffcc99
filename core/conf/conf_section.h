/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_SECTION_H
#define CONF_CONF_SECTION_H

/*
 * The sections of arqonbus.conf(5), which describes every member; conf_table.c
 * is where that page, the parser and the flags have it from.
 *
 * Sizes are in bytes, durations in milliseconds.  Strings belong to struct
 * conf and are never NULL after conf_new.
 */

#include <stdbool.h>
#include <stdint.h>

struct conf_server {
	const char *host;
	uint32_t port; /* 0 takes a free one */
	uint32_t io_threads;
	uint32_t max_connections;
	uint64_t max_message_size; /* bytes */
	bool binary;
	bool deflate;
	uint32_t deflate_level;     /* of zlib */
	uint64_t deflate_min_size;  /* bytes */
	uint64_t ping_interval;     /* ms, 0 = off */
	uint64_t ping_timeout;      /* ms */
	uint64_t handshake_timeout; /* ms, from accept */
	uint64_t close_timeout;     /* ms */
	uint64_t drain_time;        /* ms */
	uint32_t drain_rate;        /* clients a second */
	uint64_t drain_wait;        /* ms */
	uint64_t message_timeout;   /* ms, of an unfinished message */
	uint32_t max_half_open;
	uint64_t outbox_limit;  /* bytes */
	uint64_t write_timeout; /* ms without a byte taken */
	uint32_t slow_policy;   /* enum slow_policy */
	uint64_t memory_limit;  /* bytes, outboxes and history */
	uint64_t lag_limit;     /* ms of a turn, 0 = any */
	const char *default_room;
	const char *bootstrap; /* "room:channel,.." */
	bool auto_create;
	bool require_membership;
	uint64_t dedupe_window;     /* ms, 0 = off */
	uint32_t dedupe_size;       /* entries, 0 = off */
	uint64_t presence_grace;    /* ms */
	uint64_t presence_interval; /* ms */
	uint64_t channel_idle;      /* ms */
	uint64_t group_ack_wait;    /* ms */
	uint32_t group_max_deliveries;
	uint32_t group_max_pending; /* messages */
	uint32_t group_backlog;     /* messages */
	uint64_t group_linger;      /* ms */
	uint32_t max_channels;
	uint32_t max_channels_per_client;
	const char *metrics_allow; /* addresses, "1.2.3.4,.." */
	uint64_t command_timeout;  /* ms */
	const char *node;          /* "" = the host's name */
};

enum conf_backend { CONF_STORAGE_MEMORY, CONF_STORAGE_REDIS_STREAMS };
enum conf_mode { CONF_DEGRADED, CONF_STRICT };

struct conf_storage {
	uint32_t backend;      /* enum conf_backend */
	uint32_t mode;         /* enum conf_mode */
	uint32_t history_size; /* messages of a channel, 0 = none */
	uint64_t history_ttl;  /* ms, 0 = for ever */
	uint64_t memory_limit; /* bytes */
	bool cluster;          /* several brokers are one bus */
	uint64_t probe_interval;
	uint64_t probe_timeout;
};

struct conf_telemetry {
	const char *host;
	uint32_t port;
	bool enabled;
	const char *token;
	uint32_t sample;         /* one message_published in so many */
	uint32_t buffer;         /* events */
	uint64_t viewer_buffer;  /* bytes */
	uint64_t stats_interval; /* ms */
	uint64_t idle_after;     /* ms */
};

enum conf_log_format { CONF_LOGFMT, CONF_JSON };

struct conf_log {
	uint32_t level;   /* enum aqb_level */
	uint32_t format;  /* enum conf_log_format */
	const char *file; /* "" = standard error */
};

/* A rate of 0 is off; a burst of 0 has become the rate after conf_load. */
struct conf_limits {
	uint32_t messages_per_second;
	uint32_t messages_burst;
	uint64_t bytes_per_second;
	uint64_t bytes_burst;
	uint32_t commands_per_second;
	uint32_t commands_burst;
	uint32_t channels_per_second;
	uint32_t channels_burst;
	uint32_t connections_per_address;
	uint32_t accepts_per_second;
	uint32_t accepts_burst;
	uint32_t max_violations; /* in a minute, 0 = off */
};

struct conf_auth {
	const char *admin_token; /* "" = nobody is admin */
};

struct conf_plugins {
	const char *dir;  /* plugins.d */
	const char *path; /* folders with .so files, "a:b" */
};

#endif

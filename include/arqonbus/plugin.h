/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARQONBUS_PLUGIN_H
#define ARQONBUS_PLUGIN_H

/*
 * What a plugin is: one shared object that exports one constant,
 * `arqonbus_plugin`, made with AQB_PLUGIN().  The broker judges it before it
 * runs any of its code.  arqonbus-plugin(7) is the guide.
 */

#include <arqonbus/abi.h>
#include <arqonbus/command.h>
#include <arqonbus/error.h>
#include <arqonbus/host.h>
#include <arqonbus/storage.h>
#include <arqonbus/telemetry.h>

#define AQB_PLUGIN_MAGIC 0x8f41b6d3u

/*
 * One option of a plugin's section in plugins.d.  The broker parses, checks
 * the range and fills in the plugin's own struct before init.  An array of
 * these ends with AQB_OPTIONS_END.
 */
enum aqb_option_type {
	AQB_OPT_END = 0,
	AQB_OPT_U32 = 1,      /* uint32_t */
	AQB_OPT_BOOL = 2,     /* bool: true, false, yes, no, on, off */
	AQB_OPT_SIZE = 3,     /* uint64_t bytes: 65536, 64KiB, 1MiB */
	AQB_OPT_DURATION = 4, /* uint64_t milliseconds: 250ms, 25s, 2m, 1h */
	AQB_OPT_STRING = 5,   /* const char *; owned by the broker */
	AQB_OPT_SECRET = 6,   /* the same, never shown */
	AQB_OPT_ENUM = 7,     /* uint32_t: index into names */
};

struct aqb_option {
	const char *name;
	uint32_t type;   /* enum aqb_option_type */
	uint32_t offset; /* into the plugin's struct */
	uint64_t min;
	uint64_t max; /* of a string: its length in bytes */
	const char *dflt;
	const char *names; /* of an enum: "one|two|three" */
	const char *help;
};

#define AQB_OPTION(n, t, conf, member, lo, hi, dfl, vals, text)             \
	{                                                                   \
		.name = (n), .type = (t), .offset = offsetof(conf, member), \
		.min = (lo), .max = (hi), .dflt = (dfl), .names = (vals),   \
		.help = (text),                                             \
	}
#define AQB_U32(n, conf, member, lo, hi, dfl, text) \
	AQB_OPTION(n, AQB_OPT_U32, conf, member, lo, hi, dfl, NULL, text)
#define AQB_BOOL(n, conf, member, dfl, text) \
	AQB_OPTION(n, AQB_OPT_BOOL, conf, member, 0, 1, dfl, NULL, text)
#define AQB_SIZE(n, conf, member, lo, hi, dfl, text) \
	AQB_OPTION(n, AQB_OPT_SIZE, conf, member, lo, hi, dfl, NULL, text)
#define AQB_DURATION(n, conf, member, lo, hi, dfl, text) \
	AQB_OPTION(n, AQB_OPT_DURATION, conf, member, lo, hi, dfl, NULL, text)
#define AQB_STRING(n, conf, member, most, dfl, text) \
	AQB_OPTION(n, AQB_OPT_STRING, conf, member, 0, most, dfl, NULL, text)
#define AQB_SECRET(n, conf, member, most, text) \
	AQB_OPTION(n, AQB_OPT_SECRET, conf, member, 0, most, "", NULL, text)
#define AQB_ENUM(n, conf, member, vals, dfl, text) \
	AQB_OPTION(n, AQB_OPT_ENUM, conf, member, 0, 0, dfl, vals, text)
#define AQB_OPTIONS_END              \
	{                            \
		.type = AQB_OPT_END, \
	}

/*
 * Build the plugin from its parsed options.  No I/O, no threads; may refuse
 * with a negative enum aqb_err and a sentence in *why.  `conf` and `host`
 * live until fini returns.
 */
typedef int aqb_plugin_init_f(const struct aqb_host *host, const void *conf,
    void **selfp, struct aqb_why *why);

/* The loop is up: open connections, start threads.  May refuse likewise. */
typedef int aqb_plugin_start_f(void *self, struct aqb_why *why);

/*
 * Begin to stop; answer the ticket with host->answer(ticket, AQB_OK, NULL)
 * when nothing is in flight any more.  The deadline is 5 s.
 */
typedef void aqb_plugin_stop_f(void *self, aqb_ticket ticket);

/* Free everything that init made.  Called once after each init that
 * succeeded. */
typedef void aqb_plugin_fini_f(void **selfp);

struct aqb_plugin {
	/* These four are the first 12 bytes in every major, for ever: by them
	 * any broker can tell a stranger exactly why it is refused. */
	uint32_t magic;
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t size;

	uint32_t conf_size; /* of the struct that the options fill in */
	const char *name;
	const char *version;
	const char *summary;
	const struct aqb_option *options; /* or NULL */

	aqb_plugin_init_f *init;
	aqb_plugin_start_f *start; /* optional */
	aqb_plugin_stop_f *stop;   /* optional */
	aqb_plugin_fini_f *fini;

	const struct aqb_storage_ops *storage;     /* optional */
	const struct aqb_command *const *commands; /* optional, ends in NULL */
	const struct aqb_telemetry_ops *telemetry; /* optional */
	/* ABI 1.0 ends here.  Add below this line only. */
};

#define AQB_PLUGIN_SYMBOL "arqonbus_plugin"

/* Declare the one exported symbol: AQB_PLUGIN(.name = "..", ..); */
#define AQB_PLUGIN(...)                                                        \
	__attribute__((visibility("default"))) extern const struct aqb_plugin  \
	    arqonbus_plugin;                                                   \
	const struct aqb_plugin arqonbus_plugin = { .magic = AQB_PLUGIN_MAGIC, \
		.abi_major = AQB_ABI_MAJOR,                                    \
		.abi_minor = AQB_ABI_MINOR,                                    \
		.size = sizeof(struct aqb_plugin),                             \
		__VA_ARGS__ }

#endif

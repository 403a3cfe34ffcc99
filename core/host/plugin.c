/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/why.h"
#include "host/elf.h"
#include "host/params.h"
#include "host/trust.h"

/* More of either is a table without its end. */
#define OPTIONS_MAX 256
#define COMMANDS_MAX 1024

#define CONF_SIZE_MAX (1u << 20)

static bool
name_is_right(const char *name)
{
	size_t len;

	if (name == NULL) {
		return false;
	}
	len = strlen(name);
	return len >= 1 && len <= AQB_NAME_MAX &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static int
check_head(const struct aqb_plugin *desc, struct aqb_why *why)
{
	if (desc->magic != AQB_PLUGIN_MAGIC) {
		return refuse(why, AQB_EABI,
		    "is not an ArqonBus plugin descriptor");
	}
	if (desc->abi_major != AQB_ABI_MAJOR) {
		return refuse(why, AQB_EABI,
		    "built for plugin ABI %u.%u, this broker speaks %u.%u; "
		    "rebuild it against this broker's headers",
		    desc->abi_major, desc->abi_minor, AQB_ABI_MAJOR,
		    AQB_ABI_MINOR);
	}
	if (desc->abi_minor > AQB_ABI_MINOR) {
		return refuse(why, AQB_EABI,
		    "needs plugin ABI %u.%u, this broker speaks %u.%u; "
		    "upgrade the broker",
		    desc->abi_major, desc->abi_minor, AQB_ABI_MAJOR,
		    AQB_ABI_MINOR);
	}
	if (desc->size < sizeof *desc) {
		return refuse(why, AQB_EABI,
		    "descriptor is cut short: %u bytes, need %zu; rebuild it "
		    "against this broker's headers",
		    desc->size, sizeof *desc);
	}
	return AQB_OK;
}

/* How many bytes of the plugin's struct a value takes; 0: no known type. */
static size_t
option_width(uint32_t type)
{
	switch (type) {
	case AQB_OPT_U32:
	case AQB_OPT_ENUM:
		return sizeof(uint32_t);
	case AQB_OPT_BOOL:
		return sizeof(bool);
	case AQB_OPT_SIZE:
	case AQB_OPT_DURATION:
		return sizeof(uint64_t);
	case AQB_OPT_STRING:
	case AQB_OPT_SECRET:
		return sizeof(const char *);
	default:
		return 0;
	}
}

static int
check_option(const struct aqb_option *o, size_t conf_size, struct aqb_why *why)
{
	size_t width = option_width(o->type);

	if (!name_is_right(o->name)) {
		return refuse(why, AQB_EABI, "an option has no proper name");
	}
	if (width == 0) {
		return refuse(why, AQB_EABI, "option %s: type %u is unknown",
		    o->name, o->type);
	}
	if (o->offset % width != 0 || o->offset > conf_size ||
	    width > conf_size - o->offset) {
		return refuse(why, AQB_EABI,
		    "option %s: %zu bytes at offset %u of a struct of %zu",
		    o->name, width, o->offset, conf_size);
	}
	if (o->help == NULL || o->dflt == NULL || o->min > o->max ||
	    (o->type == AQB_OPT_ENUM && o->names == NULL)) {
		return refuse(why, AQB_EABI,
		    "option %s: its default, range, names or help is missing",
		    o->name);
	}
	return AQB_OK;
}

static int
check_options(const struct aqb_plugin *desc, struct aqb_why *why)
{
	const struct aqb_option *o = desc->options;

	if (desc->conf_size > CONF_SIZE_MAX) {
		return refuse(why, AQB_EABI, "conf_size: %u is over %u",
		    desc->conf_size, CONF_SIZE_MAX);
	}
	for (size_t i = 0; o != NULL && o[i].type != AQB_OPT_END; i++) {
		int err = i == OPTIONS_MAX
		    ? refuse(why, AQB_EABI,
			  "options: no AQB_OPTIONS_END after %d of them",
			  OPTIONS_MAX)
		    : check_option(&o[i], desc->conf_size, why);

		if (err != AQB_OK) {
			return err;
		}
	}
	return AQB_OK;
}

static int
check_storage(const struct aqb_storage_ops *ops, struct aqb_why *why)
{
	if (!AQB_HAS(ops, append) || !AQB_HAS(ops, tail) ||
	    !AQB_HAS(ops, history) || !AQB_HAS(ops, forget) ||
	    !AQB_HAS(ops, usage)) {
		return refuse(why, AQB_EABI,
		    "storage: one of append, tail, history, forget, usage is "
		    "missing");
	}
	if (ops->stored > AQB_STORED_REPLICATED) {
		return refuse(why, AQB_EABI, "storage: stored: %u is unknown",
		    ops->stored);
	}
	return AQB_OK;
}

static int
check_commands(const struct aqb_command *const *commands, struct aqb_why *why)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		const struct aqb_command *c = commands[i];
		const char *wrong;

		if (i == COMMANDS_MAX) {
			return refuse(why, AQB_EABI,
			    "commands: no NULL after %d of them", COMMANDS_MAX);
		}
		if (!AQB_HAS(c, exec) || !AQB_HAS(c, params) ||
		    !AQB_HAS(c, summary) || !name_is_right(c->name)) {
			return refuse(why, AQB_EABI,
			    "command %zu: name, params, summary or exec is "
			    "missing or not right",
			    i);
		}
		wrong = params_wrong(c->params);
		if (wrong != NULL) {
			return refuse(why, AQB_EABI,
			    "command %s: params: not right at \"%.64s\"",
			    c->name, wrong);
		}
	}
	return AQB_OK;
}

int
plugin_check(const struct aqb_plugin *desc, struct aqb_why *why)
{
	int err = check_head(desc, why);

	if (err != AQB_OK) {
		return err;
	}
	if (!name_is_right(desc->name)) {
		return refuse(why, AQB_EABI,
		    "its name must be 1 to %d of a-z 0-9 _ -", AQB_NAME_MAX);
	}
	if (desc->version == NULL || desc->summary == NULL ||
	    desc->init == NULL || desc->fini == NULL) {
		return refuse(why, AQB_EABI,
		    "one of version, summary, init, fini is missing");
	}
	err = check_options(desc, why);
	if (err != AQB_OK) {
		return err;
	}
	if (desc->storage != NULL &&
	    (err = check_storage(desc->storage, why)) != AQB_OK) {
		return err;
	}
	if (desc->telemetry != NULL && !AQB_HAS(desc->telemetry, emit)) {
		return refuse(why, AQB_EABI, "telemetry: emit is missing");
	}
	if (desc->commands != NULL) {
		return check_commands(desc->commands, why);
	}
	return AQB_OK;
}

void
plugin_kinds(const struct aqb_plugin *desc, char text[40])
{
	snprintf(text, 40, "%s%s%s%s%s", desc->storage != NULL ? "storage" : "",
	    desc->storage != NULL && desc->commands != NULL ? "," : "",
	    desc->commands != NULL ? "commands" : "",
	    desc->telemetry != NULL &&
		    (desc->storage != NULL || desc->commands != NULL)
		? ","
		: "",
	    desc->telemetry != NULL ? "telemetry" : "");
}

/* The first folder of the list that has the file. */
static char *
find_file(const char *name, const char *folders)
{
	const char *p = folders;

	while (*p != '\0') {
		size_t len = strcspn(p, ":");
		char *path = xasprintf("%.*s/%s", (int)len, p, name);
		struct stat st;

		if (len > 0 && lstat(path, &st) == 0) {
			return path;
		}
		free(path);
		p += len;
		p += *p == ':';
	}
	return NULL;
}

int
plugin_open(struct plugin_file *filep, const char *name, const char *folders,
    struct aqb_why *why)
{
	struct aqb_why inner = { 0 };
	int err;

	*filep = (struct plugin_file){ 0 };
	if (strchr(name, '/') != NULL || *name == '\0' || *name == '.') {
		return refuse(why, AQB_EINVAL,
		    "%s: must be the bare name of a file", name);
	}
	filep->path = find_file(name, folders);
	if (filep->path == NULL) {
		return refuse(why, AQB_ENOENT, "%s: not found in %s", name,
		    folders);
	}
	err = trust_check(filep->path, why);
	if (err == AQB_OK) {
		err = elf_check(filep->path, why);
	}
	if (err != AQB_OK) {
		goto fail;
	}
	filep->handle = dlopen(filep->path, RTLD_NOW | RTLD_LOCAL);
	if (filep->handle == NULL) {
		err = refuse(why, AQB_EABI, "%s", dlerror());
		goto fail;
	}
	filep->desc = dlsym(filep->handle, AQB_PLUGIN_SYMBOL);
	if (filep->desc == NULL) {
		err = refuse(why, AQB_EABI, "%s: no symbol %s", filep->path,
		    AQB_PLUGIN_SYMBOL);
		goto fail;
	}
	err = plugin_check(filep->desc, &inner);
	if (err != AQB_OK) {
		refuse(why, (enum aqb_err)err, "%s: %s", filep->path,
		    inner.text);
		goto fail;
	}
	return AQB_OK;

fail:
	plugin_close(filep);
	return err;
}

void
plugin_close(struct plugin_file *file)
{
	/* Sanitizers and valgrind name leaks by symbol: keep the code mapped
	 * for them. */
	if (file->handle != NULL && getenv("ARQONBUS_KEEP_PLUGINS") == NULL) {
		dlclose(file->handle);
	}
	free(file->path);
	*file = (struct plugin_file){ 0 };
}

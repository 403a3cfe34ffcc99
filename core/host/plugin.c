/* SPDX-License-Identifier: Apache-2.0 */
#include "host/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/why.h"

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

		if (!AQB_HAS(c, exec) || !AQB_HAS(c, params) ||
		    !AQB_HAS(c, summary) || !name_is_right(c->name)) {
			return refuse(why, AQB_EABI,
			    "command %zu: name, params, summary or exec is "
			    "missing or not right",
			    i);
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
	if (desc->options != NULL && desc->conf_size == 0) {
		return refuse(why, AQB_EABI, "options without conf_size");
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

/* May only root or we have written this? */
static int
check_writers(const char *path, bool is_folder, struct aqb_why *why)
{
	const char *what = is_folder ? "its folder" : "the file";
	struct stat st;

	if (lstat(path, &st) != 0) {
		return refuse(why, errno == ENOENT ? AQB_ENOENT : AQB_ESYS,
		    "%s: %s", path, strerror(errno));
	}
	if (is_folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode)) {
		return refuse(why, AQB_EPERM, "%s: not a plain %s", path,
		    is_folder ? "folder" : "file");
	}
	if (is_folder && st.st_uid == 0 && (st.st_mode & S_ISVTX)) {
		return AQB_OK; /* like /tmp: nobody can replace our file */
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		return refuse(why, AQB_EPERM,
		    "%s: %s may be written by others (mode %04o); chmod go-w",
		    path, what, st.st_mode & 07777u);
	}
	if (!is_folder && (st.st_mode & (S_ISUID | S_ISGID))) {
		return refuse(why, AQB_EPERM, "%s: is setuid or setgid", path);
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		return refuse(why, AQB_EPERM,
		    "%s: %s belongs to user %u, neither root nor us", path,
		    what, (unsigned)st.st_uid);
	}
	return AQB_OK;
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

static int
check_path(const char *path, struct aqb_why *why)
{
	char *folder = xstrdup(path);
	int err;

	*strrchr(folder, '/') = '\0';
	/* A folder may be reached through links; what counts is where it
	 * is. */
	if (*folder != '\0') {
		char *real = realpath(folder, NULL);

		free(folder);
		folder = real != NULL ? real : xstrdup("");
	}
	err = check_writers(*folder == '\0' ? "/" : folder, true, why);
	if (err == AQB_OK) {
		err = check_writers(path, false, why);
	}
	free(folder);
	return err;
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
	err = check_path(filep->path, why);
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

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGINS_FAKE_MEMORY_H
#define PLUGINS_FAKE_MEMORY_H

/*
 * Memory that runs out where a test says so.  A program that includes this has
 * the malloc and calloc of all its libraries; only those of one plugin fail,
 * for the test's own must not.
 */

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

/* Allocations until one fails; negative: none does. */
static long allocations_left = -1;

/* Something of that plugin. */
static const void *starved;

static __attribute__((noinline)) bool
is_the_plugin(const void *caller)
{
	Dl_info who, plugin;

	return dladdr(caller, &who) != 0 && dladdr(starved, &plugin) != 0 &&
	    who.dli_fbase == plugin.dli_fbase;
}

/* All this is called before the sanitizers are ready. */
#define EARLY __attribute__((no_sanitize("thread", "address", "undefined")))

static inline EARLY bool
memory_is_out(const void *caller)
{
	return allocations_left >= 0 && is_the_plugin(caller) &&
	    allocations_left-- == 0;
}

EARLY void *
malloc(size_t size)
{
	typedef void *malloc_f(size_t size);
	static malloc_f *real;

	if (real == NULL) {
		real = (malloc_f *)dlsym(RTLD_NEXT, "malloc");
	}
	return memory_is_out(__builtin_return_address(0)) ? NULL : real(size);
}

EARLY void *
calloc(size_t n, size_t size)
{
	typedef void *calloc_f(size_t n, size_t size);
	static calloc_f *real;

	if (real == NULL) {
		real = (calloc_f *)dlsym(RTLD_NEXT, "calloc");
	}
	return memory_is_out(__builtin_return_address(0)) ? NULL
							  : real(n, size);
}

/* The nth allocation of the plugin from now on fails, counted from 0. */
static inline void
starve(const void *plugin, long nth)
{
	starved = plugin;
	allocations_left = nth;
}

static inline void
feed(void)
{
	allocations_left = -1;
}

#endif

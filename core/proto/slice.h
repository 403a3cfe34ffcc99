/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SLICE_H
#define PROTO_SLICE_H

/* Slices beside text that ends with a NUL. */

#include <stdbool.h>
#include <string.h>

#include <arqonbus/abi.h>

static inline struct aqb_slice
slice_of(const char *text)
{
	return (struct aqb_slice){ text, strlen(text) };
}

static inline bool
slice_is(struct aqb_slice slice, const char *text)
{
	return strlen(text) == slice.len &&
	    memcmp(text, slice.data, slice.len) == 0;
}

#endif

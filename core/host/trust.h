/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_TRUST_H
#define HOST_TRUST_H

/*
 * May this file be loaded into the broker?  Only if nobody but root and the
 * broker's own user can have written it, or put it where it is: what others
 * can replace would run as us.
 */

#include <arqonbus/error.h>

/*
 * Judge a file that is not setuid or setgid, and every folder above it: owned
 * by root or us, written by nobody else.  A folder that is root's and sticky,
 * as /tmp is, will do, for in it nobody replaces what is another's.  The file
 * may be a link, but not out of its folder.  Else AQB_EPERM, AQB_ENOENT, or
 * AQB_ESYS when it cannot be looked at.
 */
int trust_check(const char *path, struct aqb_why *why);

#endif

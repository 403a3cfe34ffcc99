/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_ELF_H
#define HOST_ELF_H

/*
 * A shared object is looked at before it is loaded.  The dynamic linker maps
 * whatever the headers say: of a file that was cut short by a full disk or a
 * broken copy it touches pages that are not there, and the process dies of
 * SIGBUS.  And of one for another machine it only says "no such file".
 */

#include <arqonbus/error.h>

/* AQB_OK: a shared object for this machine, with all its bytes.  Else
 * AQB_EABI, or AQB_ESYS when it cannot be read. */
int elf_check(const char *path, struct aqb_why *why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAIN_VERSION_H
#define MAIN_VERSION_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef PACKAGE_VERSION
#define ARQONBUS_VERSION PACKAGE_VERSION
#else
#define ARQONBUS_VERSION "0.0.0"
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_CONF_PATH_H
#define CONF_CONF_PATH_H

/* Where things lie, as far as configure decided it. */

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
#ifndef PKGLIBDIR
#define PKGLIBDIR "/usr/lib/arqonbus"
#endif

#define DEFAULT_CONFIG SYSCONFDIR "/arqonbus/arqonbus.conf"
#define DEFAULT_PLUGINS_DIR SYSCONFDIR "/arqonbus/plugins.d"
/* Whatever the prefix, the documented drop-in folder works. */
#define DEFAULT_PLUGIN_PATH PKGLIBDIR ":/usr/lib/arqonbus"

#endif

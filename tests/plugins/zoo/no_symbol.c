/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object like any other. */
__attribute__((visibility("default"))) extern const int no_plugin;
const int no_plugin = 1;

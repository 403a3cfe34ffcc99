/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOOP_SIG_H
#define LOOP_SIG_H

/* Signals as events of a loop. */

struct loop;
struct sig;

typedef void sig_f(void *arg, int signo);

struct sig *sig_new(struct loop *loop, int signo, sig_f *fn, void *arg);
void sig_free(struct sig **sigp);

#endif

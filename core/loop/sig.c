/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/sig.h"

#include <stdlib.h>

#include <event2/event.h>

#include "base/mem.h"
#include "base/obj.h"
#include "loop/loop.h"

#define SIG_MAGIC 0x90b3e25fu

struct sig {
	uint32_t magic;
	struct event *event;
	sig_f *fn;
	void *arg;
};

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct sig *sig;

	(void)what;
	OBJ_CAST(sig, arg, SIG_MAGIC);
	sig->fn(sig->arg, (int)signo);
}

struct sig *
sig_new(struct loop *loop, int signo, sig_f *fn, void *arg)
{
	struct sig *sig = xnew(sizeof *sig);

	sig->magic = SIG_MAGIC;
	sig->fn = fn;
	sig->arg = arg;
	sig->event = evsignal_new(loop_base(loop), signo, on_signal, sig);
	assert(sig->event != NULL && evsignal_add(sig->event, NULL) == 0);
	return sig;
}

void
sig_free(struct sig **sigp)
{
	struct sig *sig;

	if (*sigp == NULL) {
		return;
	}
	OBJ_TAKE(sig, sigp, SIG_MAGIC);
	event_free(sig->event);
	sig->magic = 0;
	free(sig);
}

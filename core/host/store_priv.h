/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_STORE_PRIV_H
#define HOST_STORE_PRIV_H

#include "host/health.h"
#include "host/store.h"

#define STORE_MAGIC 0x5a71c8e4u

struct store {
	uint32_t magic;
	struct desk *desk;
	struct store_times times;
	bool probing;
	const struct aqb_storage_ops *ops; /* NULL: no backend */
	void *self;
	const char *name;
	enum health_state state;
	struct aqb_follower told;       /* what the backend holds */
	struct store_follower follower; /* and whom that tells */
};

#endif

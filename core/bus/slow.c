/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/slow.h"

#include <stdio.h>

#include "base/log.h"
#include "bus/text.h"
#include "host/telemetry.h"
#include "proto/msg.h"

/* One range that it will not get.  Whoever cannot be told must not go on. */
static void
tell_gap(struct client *client, const struct port_loss *loss)
{
	struct aqb_msg *msg = text_gap(client->bus, loss->room, loss->channel,
	    loss->epoch, loss->from, loss->to, "slow_consumer");

	if (msg == NULL) {
		bus_close(client, 1011, "out of memory");
		return;
	}
	bus_send(client, msg);
	msg_unref(&msg);
}

static void
tell_news(const struct client *client, enum slow_policy policy,
    const struct port_slow *slow)
{
	unsigned long long dropped = slow->dropped[policy];
	unsigned long long bytes = slow->bytes[policy];
	char metadata[192];

	LOG(AQB_WARNING, "slow consumer", F("client", client->id),
	    F("policy", slow_policy_name(policy)), FN("dropped", dropped),
	    FN("bytes", bytes), FN("limit", slow->limit),
	    FN("stuck_ms", slow->stuck));
	snprintf(metadata, sizeof metadata,
	    "{\"policy\":\"%s\",\"dropped\":%llu,\"bytes\":%llu,"
	    "\"limit\":%llu,\"stuck_ms\":%llu}",
	    slow_policy_name(policy), dropped, bytes,
	    (unsigned long long)slow->limit, (unsigned long long)slow->stuck);
	telemetry_emit("slow_consumer", AQB_WARNING,
	    &(struct telemetry_fields){
		.client_id = client->id,
		.metadata = metadata,
	    });
}

void
slow_tell(struct client *client, const struct port_slow *slow)
{
	for (size_t i = 0; i < slow->n; i++) {
		tell_gap(client, &slow->loss[i]);
	}
	if (!slow->is_news) {
		return;
	}
	for (int policy = 0; policy < SLOW_POLICIES; policy++) {
		if (slow->dropped[policy] > 0 ||
		    (policy == SLOW_DISCONNECT && slow->is_end)) {
			tell_news(client, (enum slow_policy)policy, slow);
		}
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/slow.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bus/channel.h"
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

static const struct again *
find_again(const struct client *client, const struct port_loss *loss)
{
	const struct channel *ch =
	    channel_find(client->bus, loss->room, loss->channel);
	const struct member *m = ch == NULL ? NULL : member_find(client, ch);
	const struct again *again = m == NULL ? NULL : m->again;

	return again != NULL && strcmp(again->epoch, loss->epoch) == 0 ? again
								       : NULL;
}

/* What it lost of what waited for it, but for what it gets again. */
static void
tell_loss(struct client *client, const struct port_loss *loss)
{
	const struct again *again = find_again(client, loss);
	struct port_loss before = *loss, behind = *loss;

	if (again == NULL) {
		tell_gap(client, loss);
		return;
	}
	if (before.to > again->after) {
		before.to = again->after;
	}
	if (before.from <= before.to) {
		tell_gap(client, &before);
	}
	if (behind.to > again->to) {
		if (behind.from <= again->to) {
			behind.from = again->to + 1;
		}
		tell_gap(client, &behind);
	}
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
		tell_loss(client, &slow->loss[i]);
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

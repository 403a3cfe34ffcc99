# SPDX-License-Identifier: Apache-2.0
"""Brokers on a Redis, impatient ones so that tests are quick, and what is often done with them."""

import asyncio
import json

from broker import PATIENCE

QUICK = ["--set", "storage-redis-streams.timeout=400ms", "--set", "storage-redis-streams.retry_max=100ms",
         "--set", "storage-redis-streams.away_after=100ms", "--set", "storage.probe_interval=100ms",
         "--set", "storage.probe_timeout=400ms", "--set", "storage-redis-streams.stop_wait=200ms",
         "--set", "server.drain_wait=200ms"]


async def state(broker, want):
    """Wait until /health says that the storage is in this state."""
    for _ in range(int(PATIENCE * 50)):
        _, _, body = await asyncio.to_thread(broker.http, "/health")
        if json.loads(body)["storage"] == want:
            return json.loads(body)
        await asyncio.sleep(0.02)
    raise AssertionError(f"the storage is not {want}: {body}")


async def is_away(broker):
    await asyncio.to_thread(broker.wait_log, "Redis is away")


async def publish(client, address, first, last, **fields):
    """Publish numbers, each with an ack; the acks."""
    for n in range(first, last + 1):
        await client.send(type="event", channel=address, payload={"n": n}, ack=True, **fields)
    return [await client.expect(type="ack") for _ in range(first, last + 1)]


async def numbers(client, first, last):
    """The next messages have these numbers."""
    messages = [await client.receive() for _ in range(first, last + 1)]
    assert [m.get("payload", {}).get("n") for m in messages] == list(range(first, last + 1)), messages
    return messages


async def say_m2(client):
    """The message m2, perhaps once more; the answer."""
    await client.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
    answer = await client.receive()
    assert answer["request_id"] == "m2"
    return answer


async def m2_is_unknown(client):
    """It stays so, however often it is said."""
    for _ in range(2):
        error = await say_m2(client)
        assert (error["type"], error["payload"]["code"]) == ("error", "STORAGE_UNAVAILABLE")
        assert error["payload"]["stored"] == "unknown"


async def m2_is_acked(client):
    """It is said until it is, and unknown till then; what the ack says."""
    while (answer := await say_m2(client))["type"] != "ack":
        assert answer["payload"]["stored"] == "unknown"
    return answer["payload"]

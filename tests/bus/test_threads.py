# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost, doubled or out of order, however many threads serve the connections."""

import asyncio
import random

import pytest

THREADS = ["0", "1", "2", "8"]
PUBLISHERS, MESSAGES = 6, 150


@pytest.fixture(params=THREADS)
def threaded(request, start):
    return start("--io-threads", request.param, "--set", "storage.history_size=2000")


async def hear(client, count):
    """The next messages of channels, whatever else comes between them."""
    got = []
    while len(got) < count:
        message = await client.receive()
        if message["type"] == "event":
            got.append(message)
    return got


async def publish_all(client, address):
    for n in range(MESSAGES):
        await client.publish(address, {"from": client.id, "n": n}, ack=n % 50 == 49)
        if n % 50 == 49:
            await client.expect(type="ack")


def positions(messages):
    return [m["seq"] for m in messages]


def is_each_in_order(messages):
    """Each publisher's own messages come in the order in which it sent them."""
    last = {}
    for m in messages:
        payload = m["payload"]
        if payload["n"] != last.get(payload["from"], -1) + 1:
            return False
        last[payload["from"]] = payload["n"]
    return set(last.values()) == {MESSAGES - 1}


async def test_every_receiver_hears_all_in_the_same_order(threaded):
    receivers = [await threaded.client() for _ in range(12)]
    publishers = [await threaded.client() for _ in range(PUBLISHERS)]
    for r in receivers:
        await r.join("order:all")
    heard = [asyncio.create_task(hear(r, PUBLISHERS * MESSAGES)) for r in receivers]
    await asyncio.gather(*(publish_all(p, "order:all") for p in publishers))
    for messages in await asyncio.gather(*heard):
        assert positions(messages) == list(range(1, PUBLISHERS * MESSAGES + 1))
        assert is_each_in_order(messages)
    for c in receivers + publishers:
        await c.expect_nothing()
        await c.close()


async def test_who_comes_and_goes_meanwhile_misses_nothing_it_was_there_for(threaded):
    ada = await threaded.client()
    stop = asyncio.Event()

    async def chatter():
        while not stop.is_set():
            await ada.publish("race:all", 1, ack=True)
            await ada.expect(type="ack")

    async def visitor(seed):
        chance = random.Random(seed)
        where = None
        for _ in range(15):
            bob = await threaded.client()
            joined = await bob.join("race:all", **({"since": where} if where else {}))
            first = (where or joined)["seq"]
            messages = await hear(bob, chance.randint(1, 8))
            assert positions(messages) == list(range(first + 1, first + 1 + len(messages)))
            where = {"seq": messages[-1]["seq"], "epoch": messages[-1]["epoch"]}
            await bob.close()

    task = asyncio.create_task(chatter())
    await asyncio.gather(*(visitor(seed) for seed in range(6)))
    stop.set()
    await task
    await ada.close()


async def test_a_room_wide_message_comes_once_to_members_on_any_thread(threaded):
    members = [await threaded.client() for _ in range(16)]
    for i, m in enumerate(members):
        await m.join(f"wide:c{i % 3}")
        await m.join(f"wide:c{(i + 1) % 3}")
    sender = await threaded.client()
    await sender.send(type="event", room="wide", payload="once")
    for m in members:
        assert (await m.expect(type="event", payload="once"))["room"] == "wide"
        await m.expect_nothing()
    for c in [*members, sender]:
        await c.close()


async def test_private_messages_and_replies_cross_threads(threaded):
    clients = [await threaded.client(f"?alias=c{i}") for i in range(9)]
    for i, c in enumerate(clients):
        await c.send(type="private", to=f"c{(i + 1) % 9}", payload=i, ack=True, id=f"p{i}")
    for i, c in enumerate(clients):
        kinds = {}
        for _ in range(2):
            message = await c.receive()
            kinds[message["type"]] = message
        assert kinds["ack"]["payload"]["delivered"] == 1
        assert kinds["private"]["payload"] == (i - 1) % 9
    for c in clients:
        await c.close()


async def test_every_thread_has_its_share_of_the_connections_and_gives_it_back(threaded):
    clients = [await threaded.client() for _ in range(40)]
    await threaded.wait_metric("arqonbus_clients", lambda n: n == 40)
    shares = [n for name, n in threaded.metrics().items() if name.startswith("arqonbus_worker_connections{")]
    assert sum(shares) >= 40 and max(shares) - min(shares) <= 2, shares
    for c in clients:
        await c.close()
    await threaded.wait_metric("arqonbus_clients", lambda n: n == 0)
    await threaded.wait_metric("arqonbus_connections", lambda n: n <= 1)  # that which asks

# SPDX-License-Identifier: Apache-2.0
"""For every receiver: what it received and what a gap named is what was published."""

import asyncio
import random

import websockets

CHANNELS = ["coming:a", "coming:b", "going:a"]
LEAVE_AFTER = 25  # messages heard, joins answered and so on, of one connection


class Wanderer:
    """Joins, leaves, loses its connection, comes back from where it was; and keeps the books."""

    def __init__(self, broker, seed):
        self.broker, self.random = broker, random.Random(seed)
        self.position = {}  # channel: (epoch, last seq heard or named by a gap)
        self.gaps = self.heard = self.recovered = 0

    async def live(self, rounds):
        for _ in range(rounds):
            client = await self.broker.client(max_queue=None)
            self.joined, self.asked = set(), {}
            try:
                await self.wander(client)
            except websockets.ConnectionClosed:
                pass  # it was slower than its outbox allows; it comes back
            if self.random.random() < 0.5:
                client.ws.transport.abort()
            await client.close()

    async def wander(self, client):
        for _ in range(self.random.randrange(LEAVE_AFTER)):
            channel = self.random.choice(CHANNELS)
            if channel not in self.asked.values():
                await self.ask(client, channel)
            for _ in range(self.random.randrange(20)):
                if self.joined or self.asked:  # else nothing will come
                    self.take(await client.receive())

    async def ask(self, client, channel):
        if channel in self.joined:
            command, since = "leave_channel", {}
        else:
            command, since = "join_channel", {}
            if channel in self.position:
                epoch, seq = self.position[channel]
                since = {"since": {"epoch": epoch, "seq": seq}}
        client.count += 1
        self.asked[str(client.count)] = channel
        await client.send(type="command", id=str(client.count), command=command, channel=channel, **since)

    def take(self, message):
        if message["type"] == "command_response":
            self.take_reply(message)
            return
        channel = f"{message['room']}:{message['channel']}"
        epoch, last = self.position[channel]
        if message["type"] == "gap":
            gap = message["payload"]
            assert (gap["epoch"], gap["from_seq"]) == (epoch, last + 1) and gap["to_seq"] > last, (last, message)
            self.position[channel] = epoch, gap["to_seq"]
            self.gaps += 1
        else:
            assert (message["epoch"], message["seq"]) == (epoch, last + 1), (last, message)
            self.position[channel] = epoch, last + 1
            self.heard += 1

    def take_reply(self, reply):
        channel = self.asked.pop(reply["request_id"])
        assert reply["status"] == "success", reply
        result = reply["payload"]["result"]
        if reply["command"] == "leave_channel":
            self.joined.remove(channel)
            return
        self.joined.add(channel)
        if "recovered" in result:
            self.recovered += result["recovered"]
        else:
            self.position[channel] = result["epoch"], result["seq"]


async def chatter(broker, stop, seed):
    """Say something in every channel until it is enough, and at least always something."""
    client, rand = await broker.client(), random.Random(seed)
    while not stop.is_set():
        for channel in CHANNELS:
            for _ in range(rand.randrange(4)):
                await client.publish(channel, "x" * rand.choice([10, 500, 3000]))
        await client.expect_nothing()  # it is not faster than the broker
    await client.close()


async def test_nothing_is_lost_doubled_or_out_of_order_however_often_one_goes_and_comes(start):
    broker = start("--set", "storage.history_size=100000")
    first = await broker.client()
    await first.call("create_channel", channel=CHANNELS[0], history={"size": 50})
    long = await first.join(CHANNELS[1])
    for i in range(400):  # so much that it comes in pages, and live messages have to wait
        await first.publish(CHANNELS[1], "x" * 5000)
    await first.close()
    stop = asyncio.Event()
    talkers = [asyncio.create_task(chatter(broker, stop, i)) for i in range(2)]
    wanderers = [Wanderer(broker, i) for i in range(8)]
    for w in wanderers:
        w.position[CHANNELS[1]] = long["epoch"], 0
    try:
        await asyncio.gather(*[w.live(15) for w in wanderers])
    finally:
        stop.set()
        await asyncio.gather(*talkers)
    assert sum(w.heard for w in wanderers) > 1000
    assert sum(w.gaps for w in wanderers) > 0 and sum(w.recovered for w in wanderers) > 10

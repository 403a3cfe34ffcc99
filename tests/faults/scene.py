# SPDX-License-Identifier: Apache-2.0
"""One broker on one Redis, with a crowd that talks and listens while things go wrong."""

import asyncio
import contextlib
import random
import time

from broker import Broker
from client import Publisher, Receiver
from history import Entry, History
from summary import SEED
from verdict import judge

PATIENCE = 30.0
CHANNELS = [f"faults:c{i}" for i in range(8)]
HISTORY = 1000000  # so that the storage keeps everything that was said
QUICK = ["--set", "storage-redis-streams.timeout=500ms", "--set", "storage-redis-streams.connect_timeout=500ms",
         "--set", "storage-redis-streams.retry_max=100ms", "--set", "storage.probe_interval=200ms",
         "--set", "storage.probe_timeout=500ms"]


async def until(what, test, patience=PATIENCE):
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + patience
    while not test():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        await asyncio.sleep(0.005)


class Scene:
    def __init__(self, redis, *flags, url=None, promise="redis", publishers=4):
        self.redis, self.url = redis, url or redis.url
        self.flags = ["--storage", "redis-streams", "--redis-url", self.url, "--set",
                      f"storage.history_size={HISTORY}", *QUICK, *flags]
        self.random = random.Random(SEED)
        self.history = History(promise)
        self.broker = Broker(*self.flags, telemetry=False)
        self.publishers, self.receivers = [], []
        self.publisher_count = publishers
        self.faults = 0
        self.repaired = 0
        self.torn = 0  # times that kill -9 of Redis left half a transaction

    def the_broker(self):
        return self.broker

    async def begin(self, **how):
        """Let one receiver stay, two come and go, and then publishers talk."""
        self.receivers = [Receiver(name, self.the_broker, self.history, CHANNELS, rand) for name, rand in
                          (("stayer", None), ("wanderer", self.random), ("rover", self.random))]
        await until("receivers have joined", lambda: all(r.is_listening() for r in self.receivers))
        self.publishers = [Publisher(f"p{i}", self.the_broker, self.history, CHANNELS, **how)
                           for i in range(self.publisher_count)]

    @property
    def acked(self):
        return len(self.history.acks)

    async def progress(self, n):
        """Let about so many more messages be acked."""
        goal = self.acked + self.random.randrange(n // 2, n * 3 // 2)
        await until(f"{goal} messages are acked, {self.acked} are", lambda: self.acked >= goal)

    def tail(self, lines=15):
        """How the log of the broker ends, for who wonders why it does not go on."""
        return "\n".join(self.broker.log().splitlines()[-lines:])

    async def kill_broker(self):
        await asyncio.to_thread(self.broker.kill)
        self.broker = await asyncio.to_thread(lambda: Broker(*self.flags, telemetry=False))

    async def count_repaired(self):
        """What Redis had lost and got again, of this life of the broker."""
        await self.broker.settle()
        metrics = await asyncio.to_thread(self.broker.metrics)
        self.repaired += int(metrics["arqonbus_storage_redis_repaired_total"])

    async def finish(self):
        """Let everything be acked and heard, end it all, and judge."""
        await self.end_publishers(self.publishers)
        last = Publisher("last", self.the_broker, self.history, CHANNELS, most=len(CHANNELS))
        await self.end_publishers([last])
        with contextlib.suppress(AssertionError):  # the verdict tells who did not hear what
            await until("everything is heard", self.is_heard)
        await self.count_repaired()
        for receiver in self.receivers:
            await receiver.end()
        await asyncio.to_thread(self.broker.stop)
        self.history.stored = await asyncio.to_thread(read_stored, self.redis)
        return judge(self.history)

    async def end_publishers(self, publishers):
        for publisher in publishers:
            if publisher.most is None:
                publisher.stop()
            publisher.flush()
        await until("everything is acked", lambda: all(p.is_done() for p in publishers))
        for publisher in publishers:
            await publisher.end()

    def is_heard(self):
        acks = [(self.history.said[f"last-{n}"], self.history.acks[f"last-{n}"][-1])
                for n in range(1, len(CHANNELS) + 1)]
        return all(r.is_at(channel, a.epoch, a.seq) for r in self.receivers for channel, a in acks)

    async def close(self):
        for visitor in self.publishers + self.receivers:
            visitor.task.cancel()
        self.broker.kill()


@contextlib.asynccontextmanager
async def scene(redis, *flags, **kw):
    s = await asyncio.to_thread(lambda: Scene(redis, *flags, **kw))
    try:
        yield s
    except AssertionError as e:
        raise AssertionError(f"{e}; {s.history.surprises[:3]}; the broker says\n{s.tail()}") from e
    finally:
        await s.close()


def read_stored(redis):
    """{channel: every Entry of its stream}"""
    stored = {}
    for key in redis.ask("KEYS", "*:c:*"):
        prefix, _, channel = key.partition(":c:")
        epoch = redis.ask("HGET", f"{prefix}:m:{channel}", "e")
        stored[channel] = [make_entry(epoch, *entry) for entry in read_stream(redis, key)]
    return stored


def read_stream(redis, key, page=5000):
    start = "-"
    while entries := redis.ask("XRANGE", key, start, "+", "COUNT", page):
        yield from entries
        start = "(" + entries[-1][0]


def make_entry(epoch, id, words):
    era, _, seq = id.partition("-")
    fields = dict(zip(words[::2], words[1::2]))
    return Entry(f"{epoch}.{era}", int(seq), fields["id"], fields["from"])

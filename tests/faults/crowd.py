# SPDX-License-Identifier: Apache-2.0
"""Programmes without Redis: many lose their connection at once and come back while, or after, messages flow."""

import asyncio
import contextlib

from broker import Broker
from client import Publisher, Receiver
from history import Entry, Gap, Heard, History, Joined
from scene import until
from summary import Summary, times
from verdict import judge

CHANNEL = "crowd:all"
SIZE, MESSAGES, BEFORE = 500, 2000, 100
AWAY = 3  # seconds
LONG, SHORT = 5000, 500  # messages of history


class Crowd:
    def __init__(self, broker):
        self.broker = broker
        self.history = History("memory")
        self.fans = []
        self.talks = 0

    async def open(self, history):
        """A channel with so much history, and everybody in it."""
        self.history.keeps = history
        host = await self.broker.client()
        await host.call("create_channel", channel=CHANNEL, history={"size": history})
        await host.close()
        self.fans = [Receiver(f"fan{i}", self.the_broker, self.history, [CHANNEL]) for i in range(times(SIZE))]
        await until("all have joined", lambda: all(fan.is_listening() for fan in self.fans))

    def the_broker(self):
        return self.broker

    async def said(self, n, **how):
        """Somebody says so many messages."""
        publisher = Publisher(f"p{self.talks}", self.the_broker, self.history, [CHANNEL], most=n, **how)
        self.talks += 1
        await until("everything is acked", publisher.is_done)
        await publisher.end()

    @property
    def last(self):
        """The position of what was said last."""
        return max(acks[-1] for acks in self.history.acks.values())[:2]

    async def heard(self):
        """Everybody has what was said last."""
        await until("all have heard the last message",
                    lambda: all(fan.is_at(CHANNEL, *self.last) for fan in self.fans))

    def leave(self):
        for fan in self.fans:
            fan.leave()

    def come(self):
        for fan in self.fans:
            fan.come()

    def events(self, kind):
        """Everybody's events of a kind."""
        return [[e for e in self.history.log(fan.name, CHANNEL) if isinstance(e, kind)] for fan in self.fans]

    def summary(self):
        sender = {name: id for id, name in self.history.senders.items()}
        self.history.stored = {CHANNEL: sorted(Entry(acks[0].epoch, acks[0].seq, id, sender[id.partition("-")[0]])
                                               for id, acks in self.history.acks.items())}
        return Summary(len(self.history.acks), len(self.fans), self.history.repeats, self.history.resumes, 0,
                       judge(self.history))

    async def close(self):
        for fan in self.fans:
            await fan.end()
        await asyncio.to_thread(self.broker.stop)

    def kill(self):
        for fan in self.fans:
            fan.task.cancel()
        self.broker.kill()


def start():
    return Broker("--storage", "memory", telemetry=False)


@contextlib.asynccontextmanager
async def a_crowd(history):
    """It has joined a channel with so much history, and heard a little."""
    crowd = Crowd(await asyncio.to_thread(start))
    try:
        await crowd.open(times(history))
        await crowd.said(times(BEFORE))
        await crowd.heard()
        yield crowd
        await crowd.close()
    finally:
        crowd.kill()


async def comes_back():
    """While messages go on flowing: everybody ends with exactly 1..N, in order."""
    n, more = times(MESSAGES), times(MESSAGES // 10)
    async with a_crowd(LONG) as crowd:
        crowd.leave()
        await crowd.said(n, rate=n / AWAY)
        flow = asyncio.ensure_future(crowd.said(more, rate=n / AWAY))
        crowd.come()
        await flow
        await crowd.heard()
        everything = list(range(1, times(BEFORE) + n + more + 1))
        for heard in crowd.events(Heard):
            assert [m.seq for m in heard] == everything
        for joins in crowd.events(Joined):
            assert [j.recovered for j in joins] == [None, True]
        return crowd.summary()


async def comes_back_late():
    """When more was said than is kept: everybody is told exactly what it will not get."""
    n, before, kept = times(MESSAGES), times(BEFORE), times(SHORT)
    async with a_crowd(SHORT) as crowd:
        crowd.leave()
        await crowd.said(n, rate=n / AWAY)
        crowd.come()
        await crowd.heard()
        last = before + n
        for gaps, heard, joins in zip(crowd.events(Gap), crowd.events(Heard), crowd.events(Joined)):
            assert [(g.first, g.last, g.reason) for g in gaps] == [(before + 1, last - kept, "trimmed")]
            assert [m.seq for m in heard] == [*range(1, before + 1), *range(last - kept + 1, last + 1)]
            assert [j.recovered for j in joins] == [None, False]
        return crowd.summary()


async def comes_back_to_another():
    """The broker was started anew, and keeps history in memory: nobody is told that it has missed nothing."""
    async with a_crowd(LONG) as crowd:
        summary = crowd.summary()
        crowd.leave()
        await asyncio.to_thread(crowd.broker.stop)
        crowd.broker = await asyncio.to_thread(start)
        crowd.come()
        await until("all have joined again", lambda: all(len(joins) == 2 for joins in crowd.events(Joined)))
        for joins in crowd.events(Joined):
            assert [j.recovered for j in joins] == [None, False]
        await until("all are told of a gap", lambda: all(crowd.events(Gap)))
        assert all(gap.reason == "epoch" for gaps in crowd.events(Gap) for gap in gaps)
        return summary._replace(resumed=crowd.history.resumes)

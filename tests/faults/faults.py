# SPDX-License-Identifier: Apache-2.0
"""The programmes: what goes wrong while messages flow, how often, and what must be so nevertheless."""

import asyncio
import contextlib
import os
from typing import NamedTuple

from powercut import PowerCutRedis
from proxy import TO_BROKER, TO_REDIS, Proxy
from redis_server import Redis
from scene import scene
from verdict import Verdict

SCALE = float(os.environ.get("ARQONBUS_FAULTS_SCALE", "0.1"))  # 1: the full run
BETWEEN = 1200  # messages, about, from one fault to the next


def times(n):
    """A count of the full run, at this scale."""
    return max(1, round(n * SCALE))


class Summary(NamedTuple):
    acked: int
    faults: int
    repeated: int  # said again by publishers
    resumed: int
    repaired: int  # stored again because Redis had lost it
    verdict: Verdict


async def summarize(s):
    verdict = await s.finish()
    return Summary(s.acked, s.faults, s.history.repeats, s.history.resumes, s.repaired, verdict)


@contextlib.contextmanager
def a_redis(kind=Redis, **kw):
    redis = kind(**kw)
    try:
        yield redis
    finally:
        redis.close()


@contextlib.asynccontextmanager
async def a_proxy(redis, kind=Proxy):
    proxy = await kind(redis.port).open()
    try:
        yield proxy
    finally:
        await proxy.close()


def mode(name):
    return ["--set", f"storage.mode={name}"]


async def outage(s, longest=0.8):
    """What a fault lasts: sometimes so short that nobody notices."""
    await asyncio.sleep(s.random.choice([0, s.random.uniform(0, longest)]))


async def repeat(s, n, fault, between=BETWEEN):
    """Let a fault happen so often while messages flow."""
    await s.begin()
    for _ in range(n):
        await s.progress(between)
        await fault(s)
        s.faults += 1
    await s.progress(between)
    return await summarize(s)


async def redis_killed(how, n=10):
    """kill -9 of Redis, which syncs always: nothing that it acked may be lost."""
    async def kill(s):
        s.redis.kill()
        await outage(s)
        await asyncio.to_thread(s.redis.start)

    with a_redis(appendfsync="always") as redis:
        async with scene(redis, *mode(how), promise="fsync") as s:
            return await repeat(s, times(n), kill)


async def broker_killed(n=10, *flags):
    """kill -9 of the broker: what it had acked is in Redis, what it had not comes again under the same id."""
    with a_redis(appendfsync="always") as redis:
        async with scene(redis, *flags, promise="fsync") as s:
            return await repeat(s, times(n), type(s).kill_broker)


async def power_cut(n=10, *flags):
    """The power of Redis fails, which syncs once a second: the broker's hold brings back what that costs."""
    lost = 0

    async def cut(s):
        nonlocal lost
        lost += s.redis.cut_power()
        await outage(s)
        await asyncio.to_thread(s.redis.start)

    with a_redis(PowerCutRedis) as redis:
        async with scene(redis, *flags) as s:
            summary = await repeat(s, times(n), cut)
    assert lost > 0, "no power cut cost Redis anything"
    return summary


async def redis_frozen(how, n=5):
    """SIGSTOP of Redis; when it goes on it still does what an earlier connection asked for."""
    async def freeze(s):
        s.redis.freeze()
        await outage(s, 2)
        s.redis.thaw()

    with a_redis() as redis:
        async with scene(redis, *mode(how)) as s:
            return await repeat(s, times(n), freeze)


async def connections_cut(n=20):
    """Connections between broker and Redis break, also in the middle of a command."""
    async def cut(s):
        s.proxy.cut()

    with a_redis() as redis:
        async with a_proxy(redis) as proxy, scene(redis, url=proxy.url) as s:
            s.proxy = proxy
            return await repeat(s, times(n), cut)


async def blackholed(how, n=10):
    """What one sends to the other does not arrive: then it does, late, or the connection breaks."""
    async def blackhole(s):
        s.proxy.blackhole(*s.random.choice([(), (TO_REDIS,), (TO_BROKER,)]))
        await outage(s, 1.5)
        if s.random.random() < 0.5:
            s.proxy.cut()
        s.proxy.heal()

    with a_redis() as redis:
        async with a_proxy(redis) as proxy, scene(redis, *mode(how), url=proxy.url) as s:
            s.proxy = proxy
            return await repeat(s, times(n), blackhole)


PROGRAMMES = {
    "kill -9 of Redis, degraded": lambda: redis_killed("degraded"),
    "kill -9 of Redis, strict": lambda: redis_killed("strict"),
    "kill -9 of the broker": broker_killed,
    "power cut of Redis": power_cut,
    "SIGSTOP of Redis, degraded": lambda: redis_frozen("degraded"),
    "SIGSTOP of Redis, strict": lambda: redis_frozen("strict"),
    "connections cut": connections_cut,
    "connections blackholed, degraded": lambda: blackholed("degraded"),
    "connections blackholed, strict": lambda: blackholed("strict"),
}

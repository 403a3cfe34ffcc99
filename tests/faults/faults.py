# SPDX-License-Identifier: Apache-2.0
"""The programmes: what goes wrong while messages flow, how often, and what must be so nevertheless."""

import asyncio
import contextlib
import json
import re
import time

import aof
import crowd
from powercut import PowerCutRedis
from proxy import TO_BROKER, TO_REDIS, Proxy
from redis_server import Redis
from scene import scene
from summary import SCALE, Summary, times

BETWEEN = 1200  # messages, about, from one fault to the next
DEGRADED_WITHIN = 5  # seconds until /health tells
SPOOL_SIZE = 64 << 20  # bytes of messages
PER_MESSAGE = 1 << 10  # bytes that the broker may take besides


async def summarize(s, notes=""):
    verdict = await s.finish()
    if s.torn:
        notes += f"{s.torn} times the append-only file ended in the middle of a transaction"
    return Summary(s.acked, s.faults, s.history.repeats, s.history.resumes, s.repaired, verdict, notes)


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


async def revive(s):
    """Start a Redis that was killed, as its service would."""
    def start():
        s.torn += aof.mend(s.redis) > 0
        s.redis.start()

    await asyncio.to_thread(start)


async def repeat(s, n, fault, between=BETWEEN, **how):
    """Let a fault happen so often while messages flow."""
    await s.begin(**how)
    for i in range(n):
        await s.progress(between)
        await fault(s)
        s.faults += 1
        print(f"  fault {i + 1} of {n}, {s.acked} acked", flush=True)
    await s.progress(between)
    return await summarize(s)


async def redis_killed(how, n=10):
    """kill -9 of Redis, which syncs always: nothing that it acked may be lost."""
    async def kill(s):
        s.redis.kill()
        await outage(s)
        await revive(s)

    with a_redis(appendfsync="always") as redis:
        async with scene(redis, *mode(how), promise="fsync") as s:
            return await repeat(s, times(n), kill)


async def broker_killed(*flags, n=10, proxy=None):
    """kill -9 of the broker: what it had acked is in Redis, what it had not comes again under the same id."""
    async with contextlib.AsyncExitStack() as stack:
        redis = stack.enter_context(a_redis(appendfsync="always"))
        between = await stack.enter_async_context(a_proxy(redis, proxy)) if proxy else redis
        s = await stack.enter_async_context(scene(redis, *flags, url=between.url, promise="fsync"))
        return await repeat(s, times(n), type(s).kill_broker)


async def both_killed(n=10):
    """kill -9 of Redis and of the broker at once; one that is strict promises the same as before."""
    async def kill(s):
        s.redis.kill()
        await asyncio.gather(revive(s), s.kill_broker())

    with a_redis(appendfsync="always") as redis:
        async with scene(redis, *mode("strict"), promise="fsync") as s:
            return await repeat(s, times(n), kill)


async def power_cut(*flags, n=10):
    """The power of Redis fails, which syncs once a second: the broker's hold brings back what that costs."""
    lost = 0

    async def cut(s):
        nonlocal lost
        lost += s.redis.cut_power()
        await outage(s)
        await revive(s)

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


async def refused(n=10):
    """Nobody waits long: what is refused for good is nowhere, what is left open and said again is there once."""
    async def go_away(s):
        lasts = s.random.uniform(0.5, 1)
        if s.faults % 2 == 1:  # what is on its way then is not refused: first the other
            s.redis.freeze()
            await asyncio.sleep(lasts)
            s.redis.thaw()
        else:
            s.redis.kill()
            await asyncio.sleep(lasts)
            await revive(s)

    with a_redis(appendfsync="always") as redis:
        async with scene(redis, *mode("strict"), "--set", "storage-redis-streams.spool_wait=100ms",
                         promise="fsync") as s:
            # A full window of what is left open would say nothing that can be refused for good.
            summary = await repeat(s, times(n), go_away, gives_up=True, rate=250)
            notes = f"{len(s.history.nacked)} messages were refused, {len(s.history.given_up)} of them for good"
            assert s.history.given_up, "nothing was refused"
            return summary._replace(notes=notes)


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


async def redis_away(seconds=60, rate=1000):
    """Redis is stopped for long: messages are delivered, kept in the spool, and stored in the end."""
    seconds *= SCALE
    with a_redis() as redis:
        async with scene(redis, *mode("degraded"), "--set", "storage.probe_interval=2s", "--set",
                         "storage.probe_timeout=2s") as s:
            await s.begin(rate=rate / s.publisher_count)
            await s.progress(rate)
            before = memory(s.broker)
            await asyncio.to_thread(redis.stop)
            s.faults += 1
            began = time.monotonic()
            await is_degraded(s)
            noticed = time.monotonic() - began
            peak = await stay_away(s, began + seconds, rate)
            await asyncio.to_thread(redis.start)
            notes = f"degraded after {noticed:.1f} s, {before >> 20} MiB before and {peak >> 20} MiB at most"
            assert peak - before < SPOOL_SIZE + len(s.history.said) * PER_MESSAGE, notes
            return await summarize(s, notes)


def memory(broker):
    """What a broker takes, in bytes."""
    with open(f"/proc/{broker.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s*(\d+) kB", f.read())[1]) << 10


async def is_degraded(s):
    deadline = time.monotonic() + DEGRADED_WITHIN
    while json.loads((await asyncio.to_thread(s.broker.http, "/health"))[2])["status"] != "degraded":
        assert time.monotonic() < deadline, f"/health is not degraded within {DEGRADED_WITHIN} s"
        await asyncio.sleep(0.05)


async def stay_away(s, end, rate):
    """Until then nobody who listens may be a second behind; the most memory that the broker took."""
    stayer, peak = s.receivers[0], 0
    while time.monotonic() < end:
        behind = len(s.history.said) - sum(len(log) for log in stayer.logs.values())
        assert behind < rate, f"{behind} messages behind while Redis is away"
        peak = max(peak, memory(s.broker))
        await asyncio.sleep(0.1)
    return peak


PROGRAMMES = {
    "kill -9 of Redis, degraded": lambda: redis_killed("degraded"),
    "kill -9 of Redis, strict": lambda: redis_killed("strict"),
    "kill -9 of the broker": broker_killed,
    "kill -9 of both, strict": both_killed,
    "power cut of Redis": power_cut,
    "SIGSTOP of Redis, degraded": lambda: redis_frozen("degraded"),
    "SIGSTOP of Redis, strict": lambda: redis_frozen("strict"),
    "Redis away, strict and impatient": refused,
    "connections cut": connections_cut,
    "connections blackholed, degraded": lambda: blackholed("degraded"),
    "connections blackholed, strict": lambda: blackholed("strict"),
    "Redis away for long": redis_away,
    "a crowd drops and comes back": crowd.comes_back,
    "a crowd drops, and history is short": crowd.comes_back_late,
    "a crowd drops, and the broker forgets": crowd.comes_back_to_another,
}

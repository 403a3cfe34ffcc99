# SPDX-License-Identifier: Apache-2.0
"""A Redis that is slow, refuses, lies, or dies in the worst moment.  R cases bear their numbers."""

import asyncio
import json
import os
import random
import re
import shutil
import socket
import threading
import time

import pytest
from broker import PATIENCE
from redis_bus import QUICK, numbers, publish, state
from redis_proxy import Gone, Proxy, is_write, read
from redis_server import Redis


@pytest.fixture
def proxy(redis):
    p = Proxy(redis)
    try:
        yield p
    finally:
        p.close()


@pytest.fixture
def redis_url(proxy):
    return proxy.url


def stored(redis, channel="r:c"):
    """The numbers in its stream, as they stand there."""
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:" + channel))
    return [json.loads(dict(zip(e[1][::2], e[1][1::2]))["payload"])["n"] for e in redis.ask("XRANGE", stream, "-", "+")]


async def send(client, first, last, **fields):
    for n in range(first, last + 1):
        await client.publish("r:c", {"n": n, **fields}, ack=True, id=f"m{n}")


async def acked(client, first, last):
    for n in range(first, last + 1):
        ack = await client.expect(type="ack", request_id=f"m{n}")
        assert ack["payload"]["seq"] == n


async def test_r4_while_redis_is_slow_publishers_are_paused_and_memory_is_bounded(go, redis, proxy):
    broker = go("--set", "server.memory_limit=4MiB", "--set", "storage-redis-streams.hold=0",
                "--set", "storage-redis-streams.timeout=10s", "--set", "storage.probe_timeout=10s",
                "--set", "storage.history_size=10000")
    ada, bob = await broker.client(), await broker.client()
    await publish(ada, "r:c", 1, 1)
    proxy.delay = 0.1
    sending = asyncio.create_task(send(ada, 2, 1000, x="x" * 20000))  # 20 MB
    await asyncio.to_thread(broker.wait_log, "memory: short; publishers are paused")
    used = 0
    while used < 2 << 20:  # the data port serves nobody new now
        _, _, text = await asyncio.to_thread(broker.http, "/metrics", broker.telemetry_port)
        used = int(re.search(r"^arqonbus_storage_redis_spool_bytes (\d+)", text, re.M)[1])
    assert used < 6 << 20
    await bob.expect_nothing()  # who does not publish is served
    proxy.delay = 0
    await asyncio.wait_for(sending, PATIENCE * 2)
    acks = [1]
    for _ in range(2, 1001):
        answer = await ada.receive()
        if answer["type"] == "ack":
            acks.append(int(answer["request_id"][1:]))
        else:  # what had been read before it was paused
            assert answer["payload"]["code"] == "OVERLOADED", answer
    assert len(acks) > 100 and stored(redis) == sorted(acks)


async def test_r4_what_waits_for_a_slow_redis_pauses_publishers_before_any_is_refused(go, redis, proxy):
    broker = go("--set", "storage-redis-streams.spool_messages=10000", "--set", "storage-redis-streams.timeout=10s",
                "--set", "storage.probe_timeout=10s", "--set", "storage.history_size=20000")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    proxy.delay = 0.1
    sending = asyncio.create_task(send(ada, 2, 12000))
    await asyncio.to_thread(broker.wait_log, "storage: behind; publishers to stored channels are paused")
    await bob.send(type="ping", id="p")  # who publishes nothing is served
    early = 0
    while (message := await bob.receive())["type"] != "pong":
        early += 1
        assert message["payload"]["n"] == early
    assert early < 12000
    proxy.delay = 0
    await asyncio.gather(sending, acked(ada, 2, 12000))
    await asyncio.to_thread(broker.wait_log, "storage: behind no more")
    await numbers(bob, early + 1, 12000)
    assert stored(redis) == list(range(1, 12001))
    assert "publishers_paused_total 0" not in broker.http("/metrics", broker.telemetry_port)[2]


async def test_r4_who_is_paused_goes_on_when_what_waits_was_given_up(go, redis):
    broker = go("--set", "storage.mode=strict", "--set", "storage-redis-streams.spool_messages=100",
                "--set", "storage-redis-streams.spool_wait=300ms")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    redis.freeze()
    await send(ada, 2, 81)
    await asyncio.to_thread(broker.wait_log, "storage: behind; publishers to stored channels are paused")
    told = [(await ada.expect_error("STORAGE_UNAVAILABLE", request_id=f"m{n}"))["stored"] for n in range(2, 82)]
    sent = told.count("unknown")  # of these nobody knows; the rest was read later, when Redis was away
    assert sent >= 49 and told == ["unknown"] * sent + [False] * (80 - sent), told
    await asyncio.to_thread(broker.wait_log, "storage: behind no more")
    redis.thaw()
    await state(broker, "ok")
    (ack,) = await publish(ada, "r:c", 82, 82)
    assert ack["payload"]["seq"] == sent + 2
    assert stored(redis) == [*range(1, sent + 2), 82]


@pytest.mark.parametrize("mode,is_applied,with_id", [
    ("degraded", True, True), ("degraded", False, False), ("strict", True, False), ("strict", False, True)])
async def test_r6_redis_dies_between_a_write_and_its_answer(go, redis, proxy, mode, is_applied, with_id):
    broker = go("--set", f"storage.mode={mode}")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    died = asyncio.Event()
    loop = asyncio.get_running_loop()

    def die(words, ask):
        if is_write(words) and b'"n": 3' in b"".join(words):
            proxy.tamper = None
            if is_applied:
                assert not ask().startswith(b"-")
            redis.kill()
            loop.call_soon_threadsafe(died.set)
            raise Gone()

    proxy.tamper = die
    for n in range(2, 6):
        await ada.publish("r:c", {"n": n}, ack=True, **({"id": f"m{n}"} if with_id else {}))
    await asyncio.wait_for(died.wait(), PATIENCE)
    redis.start()
    for n in range(2, 6):
        assert (await ada.expect(type="ack"))["payload"]["seq"] == n
    await numbers(bob, 1, 5)
    await bob.expect_nothing()
    assert stored(redis) == [1, 2, 3, 4, 5]


class Sentinel:
    """Knows where the master is, because a test says so."""

    def __init__(self, master):
        self.master = master
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis+sentinel://127.0.0.1:{self.server.getsockname()[1]}/bus"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
                with connection:
                    read(connection.makefile("rb"))
                    port = str(self.master.port).encode()
                    connection.sendall(b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port))
            except OSError:
                if self.server.fileno() < 0:
                    return


async def test_r8_a_master_that_is_demoted_is_left_for_the_new_one(start, redis):
    redis.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    other = Redis("--replicaof", "127.0.0.1", str(redis.port))
    sentinel = Sentinel(redis)
    try:
        while "master_link_status:up" not in other.ask("INFO", "replication"):
            await asyncio.sleep(0.02)
        broker = start("--storage", "redis-streams", "--redis-url", sentinel.url, *QUICK,
                       "--set", "storage-redis-streams.hold=60s")
        ada, bob = await broker.client(), await broker.client()
        await bob.join("r:c")
        await send(ada, 1, 10)
        await acked(ada, 1, 10)
        sentinel.master = other
        other.ask("REPLICAOF", "NO", "ONE")
        await send(ada, 11, 15)  # to the old one, which still takes them
        await acked(ada, 11, 15)
        redis.ask("REPLICAOF", "127.0.0.1", str(other.port))
        await send(ada, 16, 20)
        await acked(ada, 16, 20)
        messages = await numbers(bob, 1, 20)
        assert [m["seq"] for m in messages] == list(range(1, 21))
        await bob.expect_nothing()  # clients were told nothing of it
        assert stored(other) == list(range(1, 21))
    finally:
        sentinel.server.close()
        other.close()


REFUSALS = [b"OOM command not allowed when used memory > 'maxmemory'.", b"NOREPLICAS Not enough good replicas to write.",
            b"MISCONF Errors writing to the AOF file: No space left on device", b"BUSY Redis is busy running a script.",
            b"TRYAGAIN Multiple keys request during rehashing of slot", b"LOADING Redis is loading the dataset in memory",
            b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            b"CLUSTERDOWN The cluster is down", b"READONLY You can't write against a read only replica.",
            b"ERR something that nobody has seen before"]


@pytest.mark.parametrize("mode,refusals", [("degraded", REFUSALS[::2]), ("strict", REFUSALS[1::2])])
async def test_r9_r10_who_refuses_for_a_while_is_asked_again(go, redis, proxy, mode, refusals):
    """Each class: told by /health, and stored once when it is over."""
    broker = go("--set", f"storage.mode={mode}", "--set", "storage-redis-streams.spool_wait=60s")
    broker.errors_expected = True
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    for n, refusal in enumerate(refusals, 2):
        tries = 0

        def refuse(words, ask):
            nonlocal tries
            if is_write(words):
                tries += 1
                return b"-" + refusal + b"\r\n"

        proxy.tamper = refuse
        await send(ada, n, n)
        await state(broker, "degraded")
        assert 1 <= tries < 20, refusal  # not without a pause
        proxy.tamper = None
        await acked(ada, n, n)
        await state(broker, "ok")
    await numbers(bob, 1, len(refusals) + 1)
    assert stored(redis) == list(range(1, len(refusals) + 2))


async def test_r10_one_that_is_refused_alone_is_sent_again_alone(go, redis, proxy):
    """What was stored behind it keeps its place; it has lost its own."""
    broker = go("--set", "storage.mode=strict")
    broker.errors_expected = True
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    writes = 0

    def refuse_the_first(words, ask):
        nonlocal writes
        if is_write(words):
            writes += 1
            if writes == 1:
                time.sleep(0.3)  # so that the others are behind it
                return b"-" + REFUSALS[0] + b"\r\n"

    proxy.tamper = refuse_the_first
    for n in range(2, 6):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE"))["stored"] is False
    assert [(await ada.expect(type="ack"))["payload"]["seq"] for n in range(3, 6)] == [3, 4, 5]
    await publish(ada, "r:c", 6, 6)
    await numbers(bob, 1, 1)
    await bob.expect(type="gap")
    await numbers(bob, 3, 6)
    assert writes == 6 and stored(redis) == [1, 3, 4, 5, 6]


async def test_r10_strict_refuses_what_redis_refuses_for_long(go, redis, proxy):
    broker = go("--set", "storage.mode=strict", "--set", "storage-redis-streams.spool_wait=300ms")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    proxy.tamper = lambda words, ask: b"-" + REFUSALS[0] + b"\r\n" if is_write(words) else None
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] is False
    proxy.tamper = None
    await send(ada, 2, 2)
    assert (await ada.expect(type="ack", request_id="m2"))["payload"]["seq"] == 3
    await numbers(bob, 1, 1)
    gap = await bob.expect(type="gap")  # the place that it had is empty
    assert (gap["payload"]["from_seq"], gap["payload"]["to_seq"]) == (2, 2)
    await numbers(bob, 2, 2)
    assert stored(redis) == [1, 2]


async def test_r10_one_that_is_refused_among_others_costs_only_itself(go, redis, proxy):
    broker = go("--set", "storage.mode=strict", "--set", "server.dedupe_window=0")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    refused = []

    def refuse_one(words, ask):
        if is_write(words) and not refused:
            refused.append(words)
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"

    proxy.tamper, proxy.delay = refuse_one, 0.02  # all are on their way by then
    await send(ada, 2, 6)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] is False
    await acked(ada, 3, 6)
    await publish(ada, "r:c", 7, 9)
    await numbers(bob, 1, 1)
    gap = await bob.expect(type="gap")
    assert (gap["payload"]["from_seq"], gap["payload"]["to_seq"]) == (2, 2)
    await numbers(bob, 3, 9)
    assert stored(redis) == [1, 3, 4, 5, 6, 7, 8, 9]


async def test_r12_what_is_forbidden_later_is_tried_now_and_then_and_no_secret_is_logged(start, redis):
    """The rights of the user go, and then the user itself."""
    def allow(*rules):
        redis.ask("ACL", "SETUSER", "bus", "reset", "on", ">s3cr3t", "~*", "+@all", *rules)

    allow()
    broker = start("--storage", "redis-streams", "--redis-url", f"redis://bus:s3cr3t@127.0.0.1:{redis.port}", *QUICK)
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    allow("-xadd")
    await send(ada, 2, 2)
    await asyncio.to_thread(broker.wait_log, "NOPERM|user executing the script")
    await state(broker, "degraded")
    redis.ask("ACL", "DELUSER", "bus")  # which ends its connections, too
    await asyncio.to_thread(broker.wait_log, "connection lost")
    await numbers(bob, 1, 2)
    allow()
    await acked(ada, 2, 2)
    await state(broker, "ok")
    assert stored(redis) == [1, 2]
    assert (await asyncio.to_thread(broker.metrics))["arqonbus_storage_redis_connections_total"] < 8
    assert "s3cr3t" not in broker.log()


async def test_r15_scripts_that_redis_forgets_are_there_again(go, redis):
    broker = go()
    ada = await broker.client()
    await send(ada, 1, 3)
    await acked(ada, 1, 3)
    redis.ask("SCRIPT", "FLUSH", "SYNC")
    await send(ada, 4, 50)
    redis.ask("SCRIPT", "FLUSH", "ASYNC")
    await acked(ada, 4, 50)
    redis.kill()
    redis.start()
    await send(ada, 51, 60)
    await acked(ada, 51, 60)
    assert stored(redis) == list(range(1, 61))


def garbage(rand):
    """Something that is no answer, or none to this."""
    return rand.choice([
        lambda: rand.randbytes(rand.randrange(1, 200)),
        lambda: b"$536870912\r\n" + b"x" * 1000,  # half a gigabyte, it says
        lambda: b"*1\r\n" * rand.randrange(1, 100),  # nested
        lambda: b"*2147483647\r\n", lambda: b"*-5\r\n", lambda: b"$-5\r\n",
        lambda: b"*2\r\n$3\r\n1-1\r\n",  # cut short
        lambda: b":%d\r\n" % rand.randrange(-2 ** 63, 2 ** 63), lambda: b":99999999999999999999999\r\n",
        lambda: b"+" + b"y" * rand.randrange(100) + b"\r\n", lambda: b"$0\r\n\r\n", lambda: b"$-1\r\n", lambda: b"*0\r\n",
        lambda: b"-" + rand.randbytes(20).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
        lambda: b"*3\r\n" + b"*2\r\n$5\r\n99-99\r\n*1\r\n:1\r\n" * 3,
        lambda: b"*2\r\n:1\r\n*2\r\n+a\r\n:2\r\n",
    ])()


@pytest.mark.parametrize("seed", range(2))
async def test_r16_answers_that_are_none_harm_nobody(go, redis, proxy, seed):
    """Who lies is believed only what could be true; when it ends, all is as before."""
    rand = random.Random(seed)
    broker = go("--set", "storage-redis-streams.retry_min=1ms", "--set", "storage-redis-streams.retry_max=10ms",
                "--set", "storage-redis-streams.timeout=100ms", "--set", "storage-redis-streams.connect_timeout=100ms")
    broker.errors_expected = True
    ada, bob = await broker.client(), await broker.client()
    await publish(ada, "r:c", 1, 1)
    lies = 0

    def lie(words, ask):
        nonlocal lies
        if rand.random() > 0.3:
            return None
        lies += 1
        kind = rand.randrange(3)
        if kind == 0:
            raise Gone()
        return garbage(rand) if kind == 1 else ask() + garbage(rand)

    proxy.tamper = lie
    n = 0
    while lies < 30:
        n += 1
        await ada.publish(f"r:c{n % 7}", {"n": n}, ack=True, **({"id": str(n)} if n % 2 else {}))
        await bob.send(type="command", command="history", channel=f"r:c{n % 7}")
        await bob.send(type="command", command="join_channel", channel=f"r:c{n % 7}")
        await asyncio.sleep(0.01)  # a pace at which the broker comes back in between
    proxy.tamper = None
    await state(broker, "ok")
    carl = await broker.client()
    await publish(carl, "r:afterwards", 1, 3)
    assert stored(redis, "r:afterwards") == [1, 2, 3]


def gone(words, ask):
    raise Gone()


def refuse(words, ask):
    return b"-" + REFUSALS[0] + b"\r\n" if is_write(words) else None


def gone_from_a_write_on(proxy):
    """What is written next is not done, and nobody knows; then nothing is answered at all."""
    def tamper(words, ask):
        if is_write(words):
            proxy.tamper = gone
            raise Gone()
    proxy.tamper = tamper


@pytest.fixture
def strict(go):
    def run(*flags, wait="300ms", **kw):
        broker = go("--set", "storage.mode=strict", "--set", f"storage-redis-streams.spool_wait={wait}", *flags, **kw)
        broker.errors_expected = True
        return broker
    return run


async def test_a_refusal_tells_nothing_of_an_earlier_try(strict, redis, proxy):
    """What was stored, and not answered, and refused when it was sent again: nobody may say that it is nowhere."""
    ada = await strict().client()
    await publish(ada, "r:c", 1, 1)

    def store_and_break(words, ask):
        if is_write(words):
            ask()
            proxy.tamper = refuse
            raise Gone()

    proxy.tamper = store_and_break
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
    proxy.tamper = None
    await send(ada, 2, 2)
    await acked(ada, 2, 2)
    assert stored(redis) == [1, 2]


async def test_one_that_was_refused_once_may_have_been_stored_before(strict, redis, proxy):
    ada = await strict(wait="30s").client()
    await publish(ada, "r:c", 1, 1)
    tries = 0

    def store_break_refuse(words, ask):
        nonlocal tries
        if not is_write(words):
            return None
        tries += 1
        if tries == 1:
            ask()
            raise Gone()
        return b"-" + REFUSALS[0] + b"\r\n" if tries == 2 else None

    proxy.tamper = store_break_refuse
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
    await send(ada, 2, 2)
    await acked(ada, 2, 2)
    assert tries == 3 and stored(redis) == [1, 2]


async def test_a_repeat_is_looked_for_after_what_it_repeats(strict, redis, proxy):
    """It was not there when it was looked for, but what it repeats was on its way again."""
    broker = strict()
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    gone_from_a_write_on(proxy)
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
    writes = 0

    def refuse_one(words, ask):
        nonlocal writes
        if is_write(words):
            writes += 1
            if writes == 1:
                time.sleep(0.1)  # so that the repeat is looked for behind it
                return b"-" + REFUSALS[0] + b"\r\n"

    await send(ada, 2, 2)
    await ada.expect_nothing()
    proxy.tamper = refuse_one
    while (answer := await ada.receive())["type"] != "ack":
        assert answer["payload"]["stored"] == "unknown", answer
        await send(ada, 2, 2)
    await publish(ada, "r:c", 3, 3)
    assert writes > 1 and stored(redis) == [1, 2, 3]


async def come_back(broker, go, ada):
    """The broker of another life, and the same client."""
    await asyncio.to_thread(broker.stop)
    broker = go()
    ada = await broker.client("?session=" + ada.session)
    assert ada.welcome["payload"]["resumed"]
    return broker, ada


async def test_a_redis_that_is_too_busy_to_look_is_asked_again(go, redis, proxy):
    def patient():
        return go("--set", "storage-redis-streams.away_after=5s")

    broker = patient()
    ada = await broker.client()
    await send(ada, 1, 1)
    await acked(ada, 1, 1)
    broker, ada = await come_back(broker, patient, ada)
    broker.errors_expected = True
    looks = 0

    def be_busy(words, ask):
        nonlocal looks
        if words[0] == b"MGET":
            looks += 1
            return b"-" + REFUSALS[3] + b"\r\n" if looks == 1 else None

    proxy.tamper = be_busy
    await send(ada, 1, 2)
    await acked(ada, 1, 2)
    assert looks > 1 and stored(redis) == [1, 2]


async def test_a_repeat_of_an_earlier_life_may_be_stored(strict, redis, proxy):
    """Before it could be looked for, nobody may say that it is nowhere."""
    broker = strict(wait="400ms")
    ada = await broker.client()
    await send(ada, 1, 1)
    await acked(ada, 1, 1)
    broker, ada = await come_back(broker, lambda: strict(wait="400ms"), ada)
    proxy.tamper = gone
    await asyncio.to_thread(redis.ask, "CLIENT", "KILL", "TYPE", "normal")
    await send(ada, 1, 1)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m1"))["stored"] == "unknown"
    await ada.publish("r:c", {"n": 2}, ack=True)  # nobody can have said this before
    assert (await ada.expect_error("STORAGE_UNAVAILABLE"))["stored"] is False
    proxy.tamper = None
    await state(broker, "ok")
    await send(ada, 1, 1)
    await acked(ada, 1, 1)
    assert stored(redis) == [1]


async def test_what_is_refused_is_known_to_be_new_beside_what_is_not_known(strict, redis, proxy):
    """One is left open; others, which were never sent, are not."""
    ada = await strict().client()
    await publish(ada, "r:c", 1, 1)
    gone_from_a_write_on(proxy)
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
    await send(ada, 2, 4)
    answers = {}
    for _ in range(3):
        answer = await ada.expect(type="error")
        answers[answer["request_id"]] = answer["payload"]["stored"]
    assert answers == {"m2": "unknown", "m3": False, "m4": False}


async def test_a_rollback_is_seen_though_the_answer_that_told_of_it_was_lost(go, redis, proxy):
    """The fence was done: Redis knows itself when it is asked again."""
    broker = go("--set", "storage-redis-streams.hold=60s")
    ada = await broker.client()
    await send(ada, 1, 5)
    await acked(ada, 1, 5)
    lost = []

    def lose_the_answer(words, ask):
        if words[0] == b"EVAL" and words[3].endswith(b"{ctl}:meta"):
            ask()
            lost.append(words)
            proxy.tamper = None
            raise Gone()

    proxy.tamper = lose_the_answer
    redis.kill()
    shutil.rmtree(os.path.join(redis.dir, "appendonlydir"))
    redis.start()
    await state(broker, "degraded")
    await state(broker, "ok")
    await send(ada, 6, 6)
    await acked(ada, 6, 6)
    assert lost and stored(redis) == [1, 2, 3, 4, 5, 6]


async def test_what_a_master_lost_while_it_was_none_is_stored_again(go, redis, proxy):
    """It is the same process, and says that it knows itself."""
    redis.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    other = Redis("--replicaof", "127.0.0.1", str(redis.port), "--repl-diskless-sync-delay", "0")
    try:
        while "master_link_status:up" not in other.ask("INFO", "replication"):
            await asyncio.sleep(0.02)
        broker = go("--set", "storage-redis-streams.hold=60s")
        ada = await broker.client()
        await send(ada, 1, 1)
        await acked(ada, 1, 1)
        while not [k for k in other.ask("KEYS", "*") if k.endswith(":c:r:c")]:
            await asyncio.sleep(0.02)
        other.ask("REPLICAOF", "NO", "ONE")
        await send(ada, 2, 5)
        await acked(ada, 2, 5)
        redis.ask("REPLICAOF", "127.0.0.1", str(other.port))
        while "master_link_status:up" not in redis.ask("INFO", "replication"):
            await asyncio.sleep(0.02)
        assert stored(redis) == [1]
        redis.ask("REPLICAOF", "NO", "ONE")
        redis.ask("CLIENT", "KILL", "TYPE", "normal")
        await send(ada, 6, 6)
        await acked(ada, 6, 6)
        assert stored(redis) == [1, 2, 3, 4, 5, 6]
    finally:
        other.close()


async def test_one_refusal_does_not_make_redis_away(strict, redis, proxy):
    """What is sent again goes well before it counts as away, and then nobody says anything for a while."""
    broker = strict("--set", "storage-redis-streams.away_after=500ms", wait="30s")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)

    def refuse_once(words, ask):
        if is_write(words):
            proxy.tamper = None
            return b"-" + REFUSALS[0] + b"\r\n"

    proxy.tamper = refuse_once
    await send(ada, 2, 2)
    await acked(ada, 2, 2)
    for n in range(35):
        await ada.join(f"r:quiet{n}")
        await asyncio.sleep(0.02)
    assert "Redis is away" not in broker.log()


async def test_when_redis_takes_messages_again_nobody_need_say_one(strict, redis, proxy):
    """What was refused is given up, /health says degraded, and so nobody comes: until the probe goes well."""
    broker = strict()
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] is False
    await state(broker, "degraded")
    await ada.refused("STORAGE_UNAVAILABLE", "join_channel", channel="r:another")
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    await state(broker, "ok")
    await ada.join("r:another")


@pytest.mark.parametrize("ids", [["9999999999999-0"], ["9999999999999-0", "9999999999999-1"]])
async def test_an_entry_of_somebody_else_does_not_hold_up_the_history(go, redis, ids):
    broker = go("--set", "storage-redis-streams.hold=0")
    ada = await broker.client()
    acks = await publish(ada, "r:c", 1, 5)
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    for id in ids:
        redis.ask("XADD", stream, id, "who", "knows")
    newest = await ada.call("history", channel="r:c", limit=5)
    assert [m["payload"]["n"] for m in newest["messages"]] == [1, 2, 3, 4, 5]
    since = {"seq": 1, "epoch": acks[0]["payload"]["epoch"]}
    bob = await broker.client()
    assert (await bob.join("r:c", since=since))["recovered"]
    await numbers(bob, 2, 5)


async def test_many_who_read_while_there_is_no_connection_for_it_are_answered(go, redis, proxy):
    """All of them at once when it comes, from what is not stored yet."""
    broker = go("--set", "storage-redis-streams.hold=0", "--set", "storage-redis-streams.timeout=5s")
    ada, readers = await broker.client(), [await broker.client() for _ in range(4)]
    await publish(ada, "r:c", 1, 5)
    proxy.tamper = gone
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    await asyncio.to_thread(broker.wait_log, "Redis is away")
    await send(ada, 6, 45)
    await ada.expect_nothing()
    door = threading.Event()

    def hold(words, ask):
        if words[0] == b"CLIENT" and words[-1].endswith(b"-read"):
            door.wait(PATIENCE)
        if is_write(words):
            time.sleep(1)

    proxy.tamper = hold
    await asyncio.to_thread(broker.wait_log, "Redis is back")
    for n, reader in enumerate(readers):
        await reader.send(type="command", id="h", command="history", channel="r:c", limit=5 + n)
        await reader.send(type="ping", id="asked")
    answers = [[await reader.receive()] for reader in readers]
    assert sum(a[0]["type"] == "pong" for a in answers) > 0  # a slow broker may have its connection already
    door.set()
    for n, reader in enumerate(readers):
        answers[n].append(await reader.receive())
        answers[n].sort(key=lambda m: m["type"])
        assert [m["request_id"] for m in answers[n]] == ["h", "asked"]
        result = answers[n][0]["payload"]["result"]
        assert [m["payload"]["n"] for m in result["messages"]] == list(range(41 - n, 46))
    proxy.tamper = None
    await acked(ada, 6, 45)


async def test_a_channel_that_was_dropped_stays_dropped(strict, redis, proxy):
    """Redis did not hear of it, and came back when those who wait are told that nobody knows."""
    broker = strict()
    admin = await broker.admin()
    await publish(admin, "r:c", 1, 3)
    proxy.tamper = lambda words, ask: gone(words, ask) if words[0] == b"DEL" else None
    await admin.send(type="command", id="d", command="delete_channel", channel="r:c", force=True)
    await asyncio.to_thread(broker.wait_log, "connection lost")
    proxy.tamper = gone
    for _ in range(2):
        await admin.send(type="event", channel="r:other", payload={"n": 1}, ack=True)
        while (await admin.receive())["type"] != "error":
            pass
    proxy.tamper = None
    await state(broker, "ok")
    (ack,) = await publish(admin, "r:c", 4, 4)
    assert ack["payload"]["seq"] == 1
    assert stored(redis) == [4]


async def test_who_is_ousted_does_not_say_that_what_it_sent_is_nowhere(strict, redis, proxy):
    broker = strict(wait="30s")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)

    def store_and_oust(words, ask):
        if is_write(words):
            ask()
            proxy.tamper = None
            redis.ask("HSET", next(k for k in redis.ask("KEYS", "*") if k.endswith("{ctl}:meta")), "boot", "another")
            raise Gone()

    proxy.tamper = store_and_oust
    await send(ada, 2, 2)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
    await send(ada, 3, 3)
    assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m3"))["stored"] is False
    assert stored(redis) == [1, 2]


async def test_a_sentinel_behind_many_that_say_nothing_is_reached(start, redis):
    sentinel = Sentinel(redis)
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    try:
        hosts = ",".join(f"127.0.0.1:{s.getsockname()[1]}" for s in [*silent, sentinel.server])
        broker = start("--storage", "redis-streams", "--redis-url", f"redis+sentinel://{hosts}/bus", *QUICK)
        await state(broker, "ok")
        await publish(await broker.client(), "r:c", 1, 1)
    finally:
        for server in [*silent, sentinel.server]:
            server.close()


async def test_what_is_stored_again_takes_no_room_of_what_is_new(strict, redis, proxy):
    """The hold has its own limit: after a restart of Redis nobody is refused because of it."""
    broker = strict("--set", "storage-redis-streams.hold=60s", "--set", "storage-redis-streams.spool_messages=20",
                    wait="30s")
    ada = await broker.client()
    for n in range(1, 51, 10):
        await publish(ada, "r:c", n, n + 9)

    def be_slow(words, ask):
        if is_write(words):
            time.sleep(0.02)

    proxy.tamper = be_slow
    redis.kill()
    redis.start()
    while redis.ask("INFO", "commandstats").find("cmdstat_xadd:") < 0:
        await asyncio.sleep(0.01)
    await publish(ada, "r:c", 51, 60)
    proxy.tamper = None
    assert stored(redis) == list(range(1, 61))


async def test_channels_that_are_not_used_are_forgotten_and_go_on_where_they_were(go, redis):
    """Redis knows where they end."""
    broker = go("--set", "storage-redis-streams.streams=10", "--set", "storage-redis-streams.hold=0")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    acks = await publish(ada, "r:c", 1, 5)
    redis.ask("CONFIG", "RESETSTAT")
    for round in range(2):
        for n in range(30):
            (ack,) = await publish(ada, f"r:other{n}", round, round)
            assert ack["payload"]["seq"] == round + 1
        await asyncio.sleep(0.2)  # two ticks
    (ack,) = await publish(ada, "r:c", 6, 6)
    assert (ack["payload"]["seq"], ack["payload"]["epoch"]) == (6, acks[0]["payload"]["epoch"])
    await numbers(bob, 1, 6)
    carl = await broker.client()
    since = {"seq": 2, "epoch": acks[0]["payload"]["epoch"]}
    assert (await carl.join("r:c", since=since))["recovered"]
    await numbers(carl, 3, 6)
    asked = int(re.search(r"cmdstat_xinfo\|stream:calls=(\d+)", redis.ask("INFO", "commandstats"))[1])
    assert asked > 50  # each of them twice


async def test_what_is_too_old_is_not_there_again_after_a_restart(go):
    """Before anybody says something new to the channel."""
    flags = ["--set", "storage.history_ttl=1s", "--set", "storage.history_size=5"]
    broker = go(*flags)
    ada = await broker.client()
    await publish(ada, "r:old", 1, 1)
    await publish(ada, "r:many", 1, 20)
    await asyncio.to_thread(broker.stop)
    bob = await go(*flags).client()
    deadline = time.monotonic() + PATIENCE
    while messages := (await bob.call("history", channel="r:old"))["messages"]:
        assert [m["payload"]["n"] for m in messages] == [1] and time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await publish(bob, "r:other", 1, 1)
    assert not (await bob.call("history", channel="r:many"))["messages"]

# SPDX-License-Identifier: Apache-2.0
"""A broker that stops, or is stopped: O3 and O4."""

import asyncio
import json
import signal
import time

import pytest
import websockets
from broker import PATIENCE
from redis_bus import is_away, publish, state

WAIT = 300  # ms, of drain_wait
BIG = ["--set", "storage.history_size=1000000"]


def terminate(broker):
    broker.process.send_signal(signal.SIGTERM)


async def ended(broker):
    assert await asyncio.to_thread(broker.process.wait, PATIENCE) == 0


async def expect_draining(client):
    payload = (await client.expect(type="system", **{"from": "arqonbus"}))["payload"]
    assert payload["event"] == "draining"
    return payload["reconnect_after_ms"]


async def leaves(client):
    """It is told to go, and how long to stay away, and closed; with the time of that."""
    away = await expect_draining(client)
    await client.closed(1012, "the broker stops")
    return away, time.monotonic()


async def test_o3_clients_are_sent_away_one_after_the_other(start):
    broker = start("--set", "server.drain_rate=100")
    clients = [await broker.client() for _ in range(50)]
    terminate(broker)
    goodbyes = await asyncio.gather(*map(leaves, clients))
    aways, times = zip(*goodbyes)
    assert all(500 <= away < 1000 for away in aways) and len(set(aways)) > 25, aways
    assert 0.35 < times[-1] - times[0], times  # in the order in which they came, over half a second
    assert sorted(times[::10]) == list(times[::10])
    await ended(broker)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
async def test_o3_one_client_is_no_reason_to_wait(start, signo):
    broker = start("--set", "server.drain_time=1h", "--set", "server.drain_wait=1h")
    ada = await broker.client()
    broker.process.send_signal(signo)
    away, _ = await leaves(ada)
    assert 100 <= away < 200
    await ended(broker)


async def test_o3_no_stop_takes_longer_than_drain_time(start):
    broker = start("--set", "server.drain_rate=1", "--set", "server.drain_time=200ms")
    clients = [await broker.client() for _ in range(50)]
    terminate(broker)
    aways, _ = zip(*await asyncio.gather(*map(leaves, clients)))
    assert all(200 <= away < 400 for away in aways)
    await ended(broker)


async def test_o3_who_has_not_been_told_is_served_and_nobody_comes_in(start):
    broker = start("--set", "server.drain_rate=1")
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await carl.join("r:c")
    terminate(broker)
    await leaves(ada)
    for path in ("/health", "/health/ready"):
        for port in (broker.port, broker.telemetry_port):
            status, _, body = await asyncio.to_thread(broker.http, path, port)
            assert status == 503 and json.loads(body)["status"] == "draining"
    assert (await asyncio.to_thread(broker.http, "/health/live"))[0] == 200
    with pytest.raises(websockets.InvalidStatusCode, match="503"):
        await broker.client()
    await bob.publish("r:c", {"n": 1}, ack=True)
    await bob.expect(type="ack")
    await carl.expect(type="event", payload={"n": 1})
    terminate(broker)  # that was enough
    await ended(broker)


async def test_o3_acks_in_flight_come_before_the_close(go, redis):
    broker = go("--set", "server.drain_wait=60s")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    redis.freeze()
    for n in range(2, 12):
        await ada.publish("r:c", {"n": n}, ack=True, id=f"m{n}")
    await ada.expect_nothing()
    terminate(broker)
    await expect_draining(ada)
    await ada.publish("r:c", {"n": 12}, id="m12")
    await ada.expect_error("DRAINING", request_id="m12")
    await ada.send(type="command", command="status", id="c1")
    await ada.expect_error("DRAINING", request_id="c1")
    await ada.expect_nothing()  # but pings are answered
    redis.thaw()
    for n in range(2, 12):
        assert (await ada.expect(type="ack", request_id=f"m{n}"))["payload"]["stored"] == "redis"
    await ada.closed(1012)
    await ended(broker)


async def test_o3_a_worker_acks_what_it_has_and_gets_nothing_more(start):
    broker = start("--set", "server.drain_wait=60s")
    worker, ada = await broker.client(), await broker.client()
    await worker.call("join_channel", channel="r:c", args={"group": "g", "group_ack": "manual"})
    for n in range(1, 4):
        await ada.publish("r:c", {"n": n})
    work = [await worker.expect(type="event", payload={"n": n}) for n in range(1, 4)]
    terminate(broker)
    await expect_draining(worker)
    for m in work:
        await worker.expect_nothing()  # it is not closed
        await worker.send(type="ack", ok=m is not work[0], **{k: m[k] for k in ("room", "channel", "seq", "epoch")})
    await worker.closed(1012)
    await ended(broker)


@pytest.mark.parametrize("mode", ["degraded", "strict"])
async def test_o3_what_cannot_be_stored_in_time_is_unknown(go, redis, mode):
    broker = go("--set", f"server.drain_wait={WAIT}ms", "--set", f"storage.mode={mode}",
                "--set", "storage-redis-streams.spool_wait=60s")
    broker.errors_expected = True  # it says what it lost
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    redis.kill()
    await is_away(broker)
    for n in range(2, 5):
        await ada.publish("r:c", {"n": n}, ack=True, id=f"m{n}")
    await ada.expect_nothing()
    terminate(broker)
    await expect_draining(ada)
    nacks = [await ada.expect(type="error") for _ in range(2, 5)]
    assert {e["request_id"] for e in nacks} == {"m2", "m3", "m4"}
    assert all(e["payload"]["code"] == "STORAGE_UNAVAILABLE" and e["payload"]["stored"] == "unknown" for e in nacks)
    await ada.closed(1012)
    await ended(broker)


async def test_o3_what_waits_for_redis_is_stored_before_the_end(go, redis):
    """Nobody waits for these any more: it is the storage that takes its time."""
    broker = go("--set", "storage-redis-streams.stop_wait=4500ms", telemetry=False)
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    redis.kill()
    await is_away(broker)
    for n in range(2, 12):
        await ada.publish("r:c", {"n": n})
    await ada.expect_nothing()
    await ada.close()
    await broker.wait_metric("arqonbus_clients", lambda n: n == 0)
    terminate(broker)
    await asyncio.to_thread(broker.wait_log, "clients sent away")
    status, _, body = await asyncio.to_thread(broker.http, "/health")
    assert status == 503 and json.loads(body)["status"] == "draining"
    redis.start()
    await ended(broker)
    assert await stored(redis) == list(range(1, 12))


async def stored(redis):
    """The numbers in the stream r:c, as they stand there."""
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    return [json.loads(dict(zip(e[1][::2], e[1][1::2]))["payload"])["n"] for e in redis.ask("XRANGE", stream, "-", "+")]


GONE = (ConnectionError, websockets.InvalidHandshake, websockets.ConnectionClosed)


class Publisher:
    """Publishes numbers of its own, each until it is acked, whatever becomes of the broker."""

    def __init__(self, number, brokers):
        self.brokers = brokers  # the last of them is there
        self.next = number * 100000
        self.unacked, self.acked, self.session = {}, {}, ""

    async def live(self, enough):
        while self.unacked or not enough.is_set():
            try:
                client = await self.brokers[-1].client("?session=" + self.session)
            except GONE:
                await asyncio.sleep(0.02)  # as long as it is told to stay away, in life
                continue
            self.session = client.session
            try:
                await self.talk(client, enough)
            except websockets.ConnectionClosed:
                pass
            await client.close()

    async def talk(self, client, enough):
        for n in list(self.unacked):
            await self.say(client, n)
        while self.unacked or not enough.is_set():
            while len(self.unacked) < 16 and not enough.is_set():
                self.next += 1
                self.unacked[self.next] = True
                await self.say(client, self.next)
            message = await client.receive()
            if message["type"] == "ack":
                n = int(message["request_id"])
                del self.unacked[n]
                self.acked[n] = message["payload"]

    async def say(self, client, n):
        await client.publish("r:c", {"n": n}, ack=True, id=str(n))


class Listener:
    """Hears everything, and comes back from where it was."""

    def __init__(self, brokers):
        self.brokers = brokers
        self.heard, self.since, self.gaps = [], None, 0

    async def live(self):
        while -1 not in self.heard:
            try:
                client = await self.brokers[-1].client()
                since = {"since": self.since} if self.since else {}
                await client.send(type="command", command="join_channel", channel="r:c", **since)
                while -1 not in self.heard:
                    self.take(await client.receive())
                await client.close()
            except GONE:
                await asyncio.sleep(0.02)

    def take(self, message):
        self.gaps += message["type"] == "gap"
        if message["type"] == "command_response":
            assert message["status"] == "success", message
            self.since = self.since or {k: message["payload"]["result"][k] for k in ("seq", "epoch")}
        if message["type"] == "event":
            self.heard.append(message["payload"]["n"])
            self.since = {k: message[k] for k in ("seq", "epoch")}


async def survive(go, redis, end):
    """Three brokers one after the other under load: what is acked is there once, and whoever listens hears it."""
    brokers = [go(*BIG)]
    while not redis.ask("KEYS", "*:keep"):  # sessions outlive the broker from now on
        await asyncio.sleep(0.01)
    publishers = [Publisher(i, brokers) for i in range(4)]
    listener = Listener(brokers)
    enough = asyncio.Event()
    tasks = [asyncio.create_task(p.live(enough)) for p in publishers]
    listening = asyncio.create_task(listener.live())

    async def more(n):
        before = sum(len(p.acked) for p in publishers)
        while sum(len(p.acked) for p in publishers) < before + n:
            assert not any(t.done() for t in tasks), tasks
            await asyncio.sleep(0.01)

    for _ in range(2):
        await more(300)
        assert not listening.done()
        await end(brokers[-1])
        brokers.append(await asyncio.to_thread(go, *BIG))
    await more(100)
    enough.set()
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    in_redis = await stored(redis)
    assert len(in_redis) == len(set(in_redis)), "stored twice"
    assert set(in_redis) == {n for p in publishers for n in p.acked}
    await publish(await brokers[-1].client(), "r:c", -1, -1)
    await asyncio.wait_for(listening, PATIENCE)
    return [*in_redis, -1], listener


async def test_o3_a_stop_under_load_loses_nothing(go, redis):
    async def end(broker):
        terminate(broker)
        await ended(broker)

    in_redis, listener = await survive(go, redis, end)
    assert listener.heard == in_redis[in_redis.index(listener.heard[0]):] and listener.gaps == 0


async def test_o4_kill_9_under_load_loses_nothing_that_was_acked(go, redis):
    async def end(broker):
        broker.process.kill()
        broker.process.wait()
        broker.process.returncode = 0  # as expected

    in_redis, listener = await survive(go, redis, end)
    heard = list(dict.fromkeys(listener.heard))  # what was not stored yet is delivered once more
    assert heard == in_redis[in_redis.index(heard[0]):] and listener.gaps == 0


async def test_o4_the_next_one_is_ready_at_once(go, redis):
    broker = go()
    ada = await broker.client()
    await publish(ada, "r:c", 1, 200)
    broker.process.kill()
    broker.process.wait()
    broker.process.returncode = 0
    began = time.monotonic()
    await state(go(), "ok")
    assert time.monotonic() - began < 5  # a second or two; machines differ

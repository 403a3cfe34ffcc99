# SPDX-License-Identifier: Apache-2.0
"""Durability `replicated`: an ack when replicas have the message, and not before."""

import asyncio
import contextlib
import json
import queue
import re
import socket
import threading
import time

import pytest
from redis_bus import QUICK, m2_is_acked, m2_is_unknown, numbers, publish, state
from redis_proxy import Gone, Proxy
from redis_server import Redis
from test_redis_faults import Sentinel, stored

REPLICATING = "arqonbus_storage_redis_replicating_messages"


def replica_of(master, way=None):
    """One more Redis, that has all of it and has said so."""
    replica = Redis("--replicaof", "127.0.0.1", str((way or master).port), "--repl-diskless-sync-delay", "0")
    deadline = time.monotonic() + 10
    while not re.search(rf"port={replica.port},state=online,offset=[1-9]", master.ask("INFO", "replication")):
        assert time.monotonic() < deadline
        master.ask("SET", "for:replicas", replica.port)
        time.sleep(0.02)
    return replica


@pytest.fixture
def redis():
    r = Redis("--repl-diskless-sync-delay", "0")
    try:
        yield r
    finally:
        r.close()


@pytest.fixture
def replica(redis):
    r = replica_of(redis)
    try:
        yield r
    finally:
        r.close()


@pytest.fixture
def go(go):
    def run(*flags, replicas=1, **kw):
        return go("--set", f"storage-redis-streams.replicas={replicas}", *flags, **kw)
    return run


async def two_clients(broker):
    """A publisher, and one who listens to a replicated channel."""
    ada, bob = await broker.client(), await broker.client()
    info = await ada.call("create_channel", channel="r:c", durability="replicated")
    assert info["durability"] == "replicated"
    await bob.join("r:c")
    return ada, bob


async def waiting(broker, n):
    """So many messages wait for replicas."""
    await broker.wait_metric(REPLICATING, lambda value: value == n)


async def test_an_ack_says_replicated_when_the_replica_has_the_message(go, redis, replica):
    broker = go()
    ada, bob = await two_clients(broker)
    for n in range(1, 21):
        await ada.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)
        ack = await ada.expect(type="ack", request_id=f"m{n}")
        assert ack["payload"]["stored"] == "replicated" and ack["payload"]["seq"] == n
        assert stored(replica) == list(range(1, n + 1))
    await numbers(bob, 1, 20)
    acks = await publish(ada, "r:c", 21, 220)  # many in a round
    assert {a["payload"]["stored"] for a in acks} == {"replicated"}
    assert [a["payload"]["seq"] for a in acks] == list(range(21, 221))
    (ack,) = await publish(ada, "r:other", 1, 1)
    assert ack["payload"]["stored"] == "redis"


async def test_without_replicas_the_class_is_refused(go):
    ada = await go(replicas=0).client()
    error = await ada.refused("INVALID_ARGUMENT", "create_channel", "durability", channel="r:c",
                              durability="replicated")
    assert "durability: replicated needs replicas = 1 or more in [plugin storage-redis-streams]" in json.dumps(error)


async def test_several_brokers_do_not_offer_it(go):
    ada = await go("--set", "storage.cluster=yes", "--set", "server.node=n1").client()
    await ada.refused("INVALID_ARGUMENT", "create_channel", "durability", channel="r:c", durability="replicated")


async def test_a_frozen_replica_holds_up_what_is_to_be_replicated_and_nothing_else(go, redis, replica):
    broker = go()
    ada, bob = await two_clients(broker)
    await publish(ada, "r:c", 1, 1)
    (message,) = await numbers(bob, 1, 1)
    replica.freeze()
    for n in range(2, 12):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
    await waiting(broker, 10)
    assert stored(redis) == list(range(1, 12))
    began = time.monotonic()
    other = await broker.client()
    await publish(other, "r:other", 1, 200)
    await other.call("history", channel="r:other")
    assert time.monotonic() - began < 1
    # Nobody is told of what is not acked.
    carl = await broker.client()
    joined = await carl.join("r:c", since={"seq": 1, "epoch": message["epoch"]})
    assert joined["recovered"] and joined["seq"] == 1
    assert len((await carl.call("history", channel="r:c"))["messages"]) == 1
    await ada.expect_nothing()
    await bob.expect_nothing()
    await state(broker, "ok")
    replica.thaw()
    acks = [await ada.expect(type="ack") for _ in range(10)]
    assert {a["payload"]["stored"] for a in acks} == {"replicated"}
    await numbers(bob, 2, 11)
    await numbers(carl, 2, 11)
    await waiting(broker, 0)


async def test_after_a_while_nobody_knows_and_a_repeat_is_stored_once(go, redis, replica):
    broker = go("--set", "storage-redis-streams.replica_wait=300ms")
    ada, bob = await two_clients(broker)
    await publish(ada, "r:c", 1, 1)
    replica.freeze()
    await m2_is_unknown(ada)
    replica.thaw()
    ack = await m2_is_acked(ada)
    assert ack["stored"] == "replicated" and ack["seq"] == 2
    assert stored(redis) == [1, 2] and stored(replica) == [1, 2]
    (message,) = await numbers(bob, 1, 1)
    carl = await broker.client()
    assert (await carl.join("r:c", since={"seq": 1, "epoch": message["epoch"]}))["recovered"]
    await numbers(carl, 2, 2)
    await publish(ada, "r:c", 3, 4)
    await numbers(carl, 3, 4)  # to whom it is no gap
    gap = await bob.expect(type="gap")
    assert (gap["payload"]["from_seq"], gap["payload"]["to_seq"]) == (2, 2)
    await numbers(bob, 3, 4)
    assert (await asyncio.to_thread(broker.metrics))["arqonbus_storage_redis_away"] == 0
    broker.wait_log("there are 1 replicas or more again")


class Far:
    """The way from a replica to its master takes a while, for each byte."""

    def __init__(self, master, delay):
        self.master, self.delay = master, delay
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here, _ = self.server.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.master.port))
            for a, b in ((here, there), (there, here)):
                way = queue.Queue()
                threading.Thread(target=self.take, args=(a, way), daemon=True).start()
                threading.Thread(target=self.give, args=(b, way), daemon=True).start()

    @staticmethod
    def take(s, way):
        with contextlib.suppress(OSError):
            while data := s.recv(65536):
                way.put((time.monotonic(), data))

    def give(self, s, way):
        with contextlib.suppress(OSError):
            while True:
                since, data = way.get()
                time.sleep(max(0, since + self.delay - time.monotonic()))
                s.sendall(data)


async def test_a_replica_that_is_always_a_little_behind_is_waited_for(go, redis):
    """Longer than one WAIT takes, and while there is always something newer."""
    far = Far(redis, 0.3)
    replica = replica_of(redis, far)
    try:
        broker = go("--set", "storage-redis-streams.replica_wait=5s")
        ada, _ = await two_clients(broker)
        for n in range(1, 31):
            await ada.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)
            await asyncio.sleep(0.05)
        for n in range(1, 31):
            ack = await ada.expect(type="ack", request_id=f"m{n}")
            assert ack["payload"]["stored"] == "replicated"
        assert stored(replica) == list(range(1, 31))
    finally:
        far.server.close()
        replica.close()


async def test_two_replicas_are_needed_where_two_are_asked_for(go, redis, replica):
    broker = go(replicas=2)
    broker.wait_log("Redis has 1 replicas; messages that are to be replicated wait for 2")
    broker.wait_log("min-replicas-to-write 0")
    ada, _ = await two_clients(broker)
    await ada.send(type="event", channel="r:c", payload={"n": 1}, ack=True)
    await waiting(broker, 1)
    await ada.expect_nothing()
    second = replica_of(redis)
    try:
        assert (await ada.expect(type="ack"))["payload"]["stored"] == "replicated"
        assert stored(second) == [1]
    finally:
        second.close()


async def test_what_waits_survives_a_restart_of_redis(go, redis, replica):
    broker = go()
    ada, bob = await two_clients(broker)
    await publish(ada, "r:c", 1, 1)
    replica.freeze()
    for n in range(2, 6):
        await ada.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)
    await waiting(broker, 4)
    redis.kill()
    redis.start()
    await state(broker, "ok")
    await ada.expect_nothing()
    replica.thaw()
    for n in range(2, 6):
        assert (await ada.expect(type="ack", request_id=f"m{n}"))["payload"]["stored"] == "replicated"
    await numbers(bob, 1, 5)
    await publish(ada, "r:c", 6, 6)
    assert stored(redis) == stored(replica) == list(range(1, 7))


async def test_what_a_failover_lost_is_stored_again_before_it_is_acked(start, redis, replica):
    """The replica becomes the master without what was waiting for it."""
    sentinel = Sentinel(redis)
    third = None
    try:
        broker = start("--storage", "redis-streams", "--redis-url", sentinel.url, *QUICK,
                       "--set", "storage-redis-streams.replicas=1", "--set", "storage.mode=strict")
        ada, bob = await two_clients(broker)
        await publish(ada, "r:c", 1, 5)
        redis.ask("CLIENT", "KILL", "TYPE", "replica")
        replica.ask("REPLICAOF", "NO", "ONE")
        for n in range(6, 11):
            await ada.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)
        await waiting(broker, 5)
        await ada.expect_nothing()
        assert stored(replica) == list(range(1, 6))
        sentinel.master = replica
        redis.kill()
        await waiting(broker, 5)
        third = replica_of(replica)
        for n in range(6, 11):
            assert (await ada.expect(type="ack", request_id=f"m{n}"))["payload"]["stored"] == "replicated"
        assert stored(replica) == stored(third) == list(range(1, 11))
        await numbers(bob, 1, 10)
    finally:
        sentinel.server.close()
        if third:
            third.close()


async def test_a_master_that_was_none_for_a_while_makes_no_ack_before_replicas_have_it(go, redis, replica):
    """It may have lost what it had, and nothing but the name of its history tells."""
    broker = go()
    broker.errors_expected = True
    ada, _ = await two_clients(broker)
    await publish(ada, "r:c", 1, 1)
    replica.freeze()
    await ada.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
    await waiting(broker, 1)
    redis.ask("REPLICAOF", "127.0.0.1", str(replica.port))
    redis.ask("REPLICAOF", "NO", "ONE")
    replica.thaw()
    replica.ask("REPLICAOF", "127.0.0.1", str(redis.port))
    assert (await ada.expect(type="ack", request_id="m2"))["payload"]["stored"] == "replicated"
    assert stored(replica) == [1, 2]
    (ack,) = await publish(ada, "r:c", 3, 3)
    assert ack["payload"]["stored"] == "replicated"
    assert 3 in stored(replica)


async def test_a_deleted_channel_does_not_wait_for_replicas(go, redis, replica):
    broker = go()
    ada, _ = await two_clients(broker)
    replica.freeze()
    await ada.send(type="event", id="m1", channel="r:c", payload={"n": 1}, ack=True)
    await waiting(broker, 1)
    bob = await broker.admin()
    await bob.call("delete_channel", channel="r:c", force=True)
    (ack,) = await publish(bob, "r:c", 2, 2)
    assert ack["payload"]["stored"] == "redis" and ack["payload"]["seq"] == 1
    assert stored(redis) == [2]
    await waiting(broker, 0)


async def test_degraded_goes_early_and_is_acked_when_it_is_replicated(go, redis, replica):
    broker = go()
    ada, bob = await two_clients(broker)
    await publish(ada, "r:c", 1, 1)
    replica.freeze()
    await ada.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
    await waiting(broker, 1)
    redis.freeze()
    await ada.send(type="event", id="m3", channel="r:c", payload={"n": 3}, ack=True)
    await numbers(bob, 1, 3)
    await ada.expect_nothing()
    redis.thaw()
    await state(broker, "ok")
    await ada.expect_nothing()
    replica.thaw()
    for n in (2, 3):
        ack = await ada.expect(type="ack", request_id=f"m{n}")
        assert ack["payload"]["stored"] == "replicated" and ack["payload"]["seq"] == n
    await bob.expect_nothing()


@pytest.mark.parametrize("lie", [b"-ERR WAIT cannot be used with replica instances\r\n", b":0\r\n", b"-NOPERM no\r\n",
                                 b"+OK\r\n", b"$-1\r\n", b":-1\r\n", None])
async def test_no_answer_of_wait_but_the_right_one_makes_an_ack(go, redis, replica, lie):
    state_of = {"lying": False}

    def tamper(words, ask):
        if state_of["lying"] and words[0] == b"WAIT":
            if lie is None:
                raise Gone()
            return lie

    proxy = Proxy(redis, tamper)
    try:
        broker = go("--set", "storage-redis-streams.replica_wait=300ms", url=proxy.url)
        ada, _ = await two_clients(broker)
        await publish(ada, "r:c", 1, 1)
        state_of["lying"] = True
        replica.freeze()
        await ada.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
        assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
        (ack,) = await publish(ada, "r:other", 1, 1)
        assert ack["payload"]["stored"] == "redis"
    finally:
        proxy.close()


async def test_a_round_that_was_not_written_makes_no_ack(go, redis, replica):
    """WAIT is content then, with what its connection wrote before."""
    state_of = {"lying": False}

    def tamper(words, ask):
        if state_of["lying"] and words[0] == b"SET" and words[1].endswith(b":wait"):
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"

    proxy = Proxy(redis, tamper)
    try:
        broker = go("--set", "storage-redis-streams.replica_wait=300ms", url=proxy.url)
        ada, _ = await two_clients(broker)
        await publish(ada, "r:c", 1, 1)
        state_of["lying"] = True
        await ada.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
        assert (await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2"))["stored"] == "unknown"
        state_of["lying"] = False
        (ack,) = await publish(ada, "r:c", 3, 3)
        assert ack["payload"]["stored"] == "replicated"
    finally:
        proxy.close()


async def test_a_user_must_be_allowed_to_wait(go, redis, replica):
    rights = ["~arq:*", "-@all", "+@connection", "+@stream", "+@hash", "+@string", "+pexpire", "+del", "+eval", "+info",
              "+role", "+config|get"]
    redis.ask("ACL", "SETUSER", "bus", "on", ">secret", *rights, "-wait")
    with pytest.raises(AssertionError, match="replicas needs a user that may WAIT"):
        go(url=f"redis://bus:secret@127.0.0.1:{redis.port}")
    redis.ask("ACL", "SETUSER", "bus", "+wait")
    ada, _ = await two_clients(go(url=f"redis://bus:secret@127.0.0.1:{redis.port}"))
    (ack,) = await publish(ada, "r:c", 1, 1)
    assert ack["payload"]["stored"] == "replicated"


async def test_a_stop_tells_what_was_not_replicated(go, redis, replica):
    broker = go()
    ada, _ = await two_clients(broker)
    replica.freeze()
    await ada.send(type="event", id="m1", channel="r:c", payload={"n": 1}, ack=True)
    await waiting(broker, 1)
    await asyncio.to_thread(broker.stop)
    assert "1 messages are in Redis, and not known to be on its replicas" in broker.log()

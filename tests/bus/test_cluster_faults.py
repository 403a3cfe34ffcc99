# SPDX-License-Identifier: Apache-2.0
"""Several brokers on one Redis, and what may happen to each: arqonbus-storage-redis(7), "Several brokers"."""

import asyncio
import os
import signal

import pytest
from broker import PATIENCE, SOURCE
from redis_server import Redis

TTL = ["--set", "storage-redis-streams.node_ttl=1s"]


@pytest.fixture
def redis():
    r = Redis("--appendfsync", "always")
    yield r
    r.close()


@pytest.fixture
def node(start, redis):
    def run(name, *flags, url=None, cluster="yes"):
        return start("--set", f"storage.cluster={cluster}", "--set", f"server.node={name}", *TTL, *flags,
                     env={"ARQONBUS_STORAGE_BACKEND": "redis-streams", "ARQONBUS_REDIS_URL": url or redis.url,
                          "ARQONBUS_STORAGE_REDIS_STREAMS_PREFIX": "arq"})
    return run


async def publish(client, first, last):
    """With ids, so that whatever is lost of them can be said again; in order."""
    for n in range(first, last + 1):
        await client.send(type="event", channel="r:c", id=f"m{n}", payload=n, ack=True)
    for n in range(first, last + 1):
        await client.expect(type="ack", request_id=f"m{n}")


async def numbers(client, first, last):
    for n in range(first, last + 1):
        assert (await client.receive(timeout=30))["payload"] == n


def shard(room):
    """As redis.io counts hash slots."""
    crc = 0
    for byte in room.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc % 16


async def watched(node):
    """Somebody who publishes and somebody who hears, here and there."""
    a, b = node("a"), node("b")
    ada, bob = await a.client(), await b.client()
    await ada.join("r:c")
    await bob.join("r:c")
    return a, b, ada, bob


def refusal(node, name, *flags, **kw):
    with pytest.raises(AssertionError) as error:
        node(name, *flags, **kw)
    return str(error.value)


def test_r17_two_brokers_of_one_name_do_not_both_start(node):
    node("a")
    assert "another broker on the streams arq:* is called a" in refusal(node, "a")
    node("b")


def test_a_broker_by_itself_and_a_cluster_do_not_share_streams(node):
    alone = node("a", cluster="no")
    assert "another broker uses the streams arq:*" in refusal(node, "b")
    alone.stop()
    node("b")
    assert "b and perhaps others share the streams arq:*" in refusal(node, "a", cluster="no")


async def test_what_a_broker_by_itself_has_stored_goes_on_in_a_cluster_and_back(node):
    alone = node("a", cluster="no")
    ada = await alone.client()
    await publish(ada, 1, 3)
    await ada.close()
    alone.stop()
    a, _b, ada, bob = await watched(node)
    await publish(ada, 4, 6)
    await numbers(bob, 4, 6)
    history = await bob.call("history", channel="r:c")
    assert [(m["seq"], m["payload"]) for m in history["messages"]] == [(n, n) for n in range(1, 7)]
    for client in (ada, bob):
        await client.close()
    for n in (a, _b):
        n.stop()
    alone = node("a", cluster="no")
    ada = await alone.client()
    assert (await ada.join("r:c"))["seq"] == 6
    await publish(ada, 7, 7)


async def test_a_killed_node_is_back_under_its_name_at_once(node):
    a, _, ada, bob = await watched(node)
    a.process.kill()
    a.process.wait()
    a.process.returncode = 0
    again = node("a")
    eve = await again.client()
    await eve.join("r:c")
    await publish(eve, 1, 3)
    await numbers(bob, 1, 3)

    async def alone():
        return (await bob.call("channel_info", channel="r:c"))["member_count"] == 2
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not await alone():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def test_r18_what_was_cut_from_the_log_before_it_was_read_is_read_from_the_stream(redis, node):
    _, b, ada, bob = await watched(node)
    await publish(ada, 1, 5)
    await numbers(bob, 1, 5)
    b.process.send_signal(signal.SIGSTOP)
    await publish(ada, 6, 60)
    assert redis.ask("XTRIM", f"arq:{{{shard('r')}}}:log", "MAXLEN", "0") > 0
    await publish(ada, 61, 70)
    b.process.send_signal(signal.SIGCONT)
    await numbers(bob, 6, 70)
    assert await b.wait_metric("arqonbus_storage_redis_holes_total", lambda n: n >= 1)
    assert await b.wait_metric("arqonbus_storage_redis_mended_total", lambda n: n >= 55)


async def test_and_what_the_stream_has_not_any_more_is_a_gap(redis, node):
    _, b, ada, bob = await watched(node)
    await ada.call("create_channel", channel="r:small", history={"size": 10})
    await bob.join("r:small")
    b.process.send_signal(signal.SIGSTOP)
    for n in range(1, 301):
        await ada.send(type="event", channel="r:small", payload=n, ack=True)
    for n in range(1, 301):
        await ada.expect(type="ack")
    redis.ask("XTRIM", "arq:{%d}:c:r:small" % shard("r"), "MAXLEN", "10")
    redis.ask("XTRIM", f"arq:{{{shard('r')}}}:log", "MAXLEN", "0")
    await ada.send(type="event", channel="r:small", payload=301, ack=True)
    b.process.send_signal(signal.SIGCONT)
    n = 0
    while (message := await bob.receive())["type"] == "event":  # what Redis had sent before the pause
        n += 1
        assert message["payload"] == n
    assert message["type"] == "gap" and message["payload"]["from_seq"] == n + 1
    assert message["payload"]["reason"] == "storage"
    await numbers(bob, message["payload"]["to_seq"] + 1, 301)


async def test_a_node_that_stood_still_for_longer_than_its_lease_is_there_again(node):
    _, b, ada, bob = await watched(node)

    async def members(n):
        while (await ada.call("channel_info", channel="r:c"))["member_count"] != n:
            await asyncio.sleep(0.02)
    await asyncio.wait_for(members(2), PATIENCE)
    b.process.send_signal(signal.SIGSTOP)
    await asyncio.wait_for(members(1), PATIENCE)
    await publish(ada, 1, 3)
    b.process.send_signal(signal.SIGCONT)
    await numbers(bob, 1, 3)
    await asyncio.wait_for(members(2), PATIENCE)


@pytest.mark.parametrize("fault", ["cut", "script", "kill"])
async def test_order_is_the_same_everywhere_and_nothing_lost_or_doubled(redis, node, fault):
    nodes = [node(name) for name in "abc"]
    for n in nodes:
        n.errors_expected = True
    clients = [await n.client() for n in nodes]
    for c in clients:
        await c.join("r:c", echo=True)

    async def say(client):
        for n in range(300):
            await client.send(type="event", channel="r:c", id=f"m{n}", payload=n, ack=True)
            await asyncio.sleep(0.002)

    async def harm():
        for _ in range(3):
            await asyncio.sleep(0.2)
            if fault == "kill":
                redis.kill()
                await asyncio.to_thread(redis.start)
            else:
                await asyncio.to_thread(redis.ask, *{"cut": ["CLIENT", "KILL", "TYPE", "normal"],
                                                     "script": ["SCRIPT", "FLUSH"]}[fault])

    async def hear(client):
        events, acks = [], 0
        while len(events) < 900 or acks < 300:
            message = await client.receive(timeout=30)
            assert message["type"] in ("event", "ack"), message
            if message["type"] == "ack":
                acks += 1
            else:
                events.append((message["from"], message["id"]))
        return events
    heard = await asyncio.gather(*map(hear, clients), *map(say, clients), harm())
    assert heard[0] == heard[1] == heard[2]
    assert len(set(heard[0])) == 900
    for c in clients:
        assert [m for who, m in heard[0] if who == c.id] == [f"m{n}" for n in range(300)]


async def test_streams_that_are_flushed_begin_again(redis, node):
    a, b, ada, bob = await watched(node)
    await publish(ada, 1, 3)
    await numbers(bob, 1, 3)
    redis.ask("FLUSHALL")
    await publish(ada, 4, 6)
    messages = [await bob.receive(timeout=30) for _ in range(6)]  # what is held is stored again
    assert [(m["seq"], m["payload"], m["id"]) for m in messages] == [(n, n, f"m{n}") for n in range(1, 7)]
    assert await b.wait_metric("arqonbus_storage_redis_redelivered_total", lambda n: n == 3)
    assert await a.wait_metric("arqonbus_storage_redis_repaired_total", lambda n: n == 3)
    await ada.send(type="private", to=bob.id, payload="still there")
    while (message := await bob.receive(timeout=30))["type"] != "private":
        pass
    assert message["payload"] == "still there"


async def test_no_era_comes_twice_though_who_comes_first_knows_less(redis, node):
    a, b, ada, bob = await watched(node)
    for n in (1, 2):  # the second era, the third
        await publish(ada, n, n)
        redis.kill()
        redis.start()
    await publish(ada, 3, 5)
    await numbers(bob, 1, 5)
    for n in (a, b):
        n.process.send_signal(signal.SIGSTOP)
    redis.ask("FLUSHALL")
    eve = await node("c").client()
    await eve.join("r:c")
    await eve.send(type="event", channel="r:c", id="e1", payload="eve", ack=True)
    await eve.expect(type="ack")
    for n in (a, b):
        n.process.send_signal(signal.SIGCONT)
    await publish(ada, 6, 8)

    async def hears_all(client):
        left = {"eve", 6, 7, 8} if client is bob else {6, 7, 8}
        while left:
            left.discard((await client.receive(timeout=30)).get("payload"))
    await asyncio.gather(hears_all(bob), hears_all(eve))


async def test_a_user_with_the_acl_of_the_manual_is_enough(redis, node):
    with open(os.path.join(SOURCE, "man", "arqonbus-storage-redis.7")) as f:
        manual = f.read().split("several brokers need", 1)[1].split(".Ed", 1)[0]
    more = [word for word in manual.split() if word.startswith("+")]
    assert more
    redis.ask("ACL", "SETUSER", "bus", "on", ">p", "~arq:*", "-@all", "+@connection", "+@stream", "+@hash",
              "+@string", "+pexpire", "+del", "+eval", "+info", "+role", "+config|get", *more)
    url = f"redis://bus:p@127.0.0.1:{redis.port}"
    a, b = node("a", url=url), node("b", url=url)
    ada, bob = await a.client(), await b.client()
    await bob.join("r:c")
    await publish(ada, 1, 3)
    await numbers(bob, 1, 3)
    await ada.call("delete_channel", channel="r:c", force=True)
    assert a.http("/health")[0] == 200

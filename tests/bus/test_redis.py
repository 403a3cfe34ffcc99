# SPDX-License-Identifier: Apache-2.0
"""History in Redis Streams: arqonbus-storage-redis(7).  R cases bear their numbers."""

import asyncio
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from broker import Broker
from day import HOUR, Day
from redis_bus import QUICK, is_away, m2_is_acked, m2_is_unknown, numbers, publish, state
from redis_server import Redis, free_port


async def test_messages_are_stored_in_redis_as_the_manual_says(go, redis):
    broker = go()
    ada = await broker.client()
    await ada.send(type="event", id="m1", channel="r:c", payload={"a": 1}, metadata={"k": 2}, ack=True)
    ack = await ada.expect(type="ack", request_id="m1")
    assert ack["payload"]["stored"] == "redis" and ack["payload"]["seq"] == 1
    keys = redis.ask("KEYS", "arq:*")
    stream = next(k for k in keys if k.endswith(":c:r:c"))
    (entry,) = redis.ask("XRANGE", stream, "-", "+")
    assert entry[0] == "1-1"
    fields = dict(zip(entry[1][::2], entry[1][1::2]))
    assert fields.pop("time").isdigit()
    assert fields == {"id": "m1", "type": "event", "from": ada.id, "payload": '{"a": 1}', "metadata": '{"k": 2}',
                      "given": "1"}
    meta = stream.replace(":c:r:c", ":m:r:c")
    assert redis.ask("HGET", meta, "e") == ack["payload"]["epoch"].split(".")[0]
    assert redis.ask("PTTL", stream) > 6 * 24 * 3600 * 1000


async def test_history_outlives_the_broker_and_so_does_a_position(go):
    broker = go()
    ada = await broker.client()
    acks = await publish(ada, "r:c", 1, 20)
    broker.stop()
    broker = go()
    bob = await broker.client()
    history = await bob.call("history", channel="r:c")
    assert [m["payload"]["n"] for m in history["messages"]] == list(range(1, 21))
    since = {k: acks[11]["payload"][k] for k in ("seq", "epoch")}
    joined = await bob.join("r:c", since=since)
    assert joined["recovered"] and joined["was_recovering"] and joined["seq"] == 20
    assert joined["epoch"] != since["epoch"]  # another era, that counts on
    await numbers(bob, 13, 20)
    await publish(await broker.client(), "r:c", 21, 21)
    (message,) = await numbers(bob, 21, 21)
    assert message["seq"] == 21


async def test_a_binary_message_is_one_after_a_restart(go):
    broker = go()
    ada = await broker.client()
    header = json.dumps({"type": "event", "channel": "r:c", "ack": True}).encode()
    await ada.ws.send(len(header).to_bytes(2, "big") + header + b"\x00\x01\xff")
    await ada.expect(type="ack")
    broker.stop()
    bob = await go().client()
    (message,) = (await bob.call("history", channel="r:c"))["messages"]
    assert message["payload"] == "AAH/" and message["encoding"] == "base64"


async def test_only_as_many_are_kept_as_the_channel_asks(go):
    broker = go()
    ada = await broker.client()
    await ada.call("create_channel", channel="r:c", history={"size": 10})
    await publish(ada, "r:c", 1, 300)
    history = await ada.call("history", channel="r:c", limit=1000)
    assert [m["payload"]["n"] for m in history["messages"]] == list(range(291, 301))
    assert (history["first_seq"], history["last_seq"]) == (291, 300)


async def test_a_channel_without_history_has_positions_and_no_stream(go, redis):
    broker = go()
    ada, bob = await broker.client(), await broker.client()
    await ada.call("create_channel", channel="r:c", history={"size": 0})
    await bob.join("r:c")
    acks = await publish(ada, "r:c", 1, 3)
    assert [a["payload"]["seq"] for a in acks] == [1, 2, 3] and acks[0]["payload"]["stored"] == "none"
    await numbers(bob, 1, 3)
    assert not [k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c")]


async def test_many_who_come_back_at_once_read_redis_little(go):
    broker = go("--set", "storage.history_size=5000", "--set", "storage-redis-streams.hold=0")
    ada = await broker.client()
    first = (await publish(ada, "r:c", 1, 1500))[0]["payload"]
    before = (await asyncio.to_thread(broker.metrics))["arqonbus_storage_redis_reads_total"]
    clients = [await broker.client() for _ in range(40)]

    async def resume(client):
        joined = await client.join("r:c", since={"seq": 1, "epoch": first["epoch"]})
        assert joined["recovered"]
        await numbers(client, 2, 1500)

    await asyncio.gather(*map(resume, clients))
    await broker.settle()
    reads = (await asyncio.to_thread(broker.metrics))["arqonbus_storage_redis_reads_total"] - before
    assert reads < 40  # not 3 pages for each of them


async def test_what_is_said_during_a_recovery_is_no_gap(go):
    broker = go("--set", "storage.history_size=10000", "--set", "storage-redis-streams.hold=0")
    ada, bob = await broker.client(), await broker.client()
    acks = await publish(ada, "r:c", 1, 1200)
    since = {k: acks[0]["payload"][k] for k in ("seq", "epoch")}
    last = 1200
    for _ in range(20):
        await bob.send(type="command", id="join", command="join_channel", channel="r:c", since=since)
        for n in range(last + 1, last + 21):
            await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
        last += 20
        joined = (await bob.expect(type="command_response"))["payload"]["result"]
        assert joined["recovered"], joined
        await numbers(bob, 2, last)
        for _ in range(20):
            await ada.expect(type="ack")
        await bob.call("leave_channel", channel="r:c")


async def test_a_deleted_channel_begins_again(go, redis):
    broker = go()
    ada = await broker.client()
    (ack,) = await publish(ada, "r:c", 1, 1)
    await ada.call("delete_channel", channel="r:c")
    (again,) = await publish(ada, "r:c", 2, 2)
    assert again["payload"]["seq"] == 1 and again["payload"]["epoch"] != ack["payload"]["epoch"]
    history = await ada.call("history", channel="r:c")
    assert [m["payload"]["n"] for m in history["messages"]] == [2]


# --- Redis goes away ---


async def test_r1_degraded_starts_without_redis_and_catches_up(go, redis):
    redis.stop()
    broker = go()
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    for n in range(1, 11):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
    await numbers(bob, 1, 10)  # delivered
    await ada.expect_nothing()  # and not acked
    await state(broker, "degraded")
    redis.start()
    acks = [await ada.expect(type="ack") for _ in range(10)]
    assert [a["payload"]["seq"] for a in acks] == list(range(1, 11))
    await state(broker, "ok")
    await publish(ada, "r:c", 11, 11)
    await numbers(bob, 11, 11)
    history = await bob.call("history", channel="r:c")
    assert [m["payload"]["n"] for m in history["messages"]] == list(range(1, 12))


def test_r1_strict_refuses_to_start_without_redis():
    with pytest.raises(AssertionError, match="Redis at 127.0.0.1:.*refused"):
        Broker("--storage", "redis-streams", "--redis-url", f"redis://127.0.0.1:{free_port()}",
               "--set", "storage.mode=strict")


async def test_r2_messages_go_on_while_redis_is_down_and_are_stored_afterwards(go, redis):
    broker = go()
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 5)
    await numbers(bob, 1, 5)
    redis.kill()
    await is_away(broker)
    for n in range(6, 106):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
    live = await numbers(bob, 6, 105)
    assert [m["seq"] for m in live] == list(range(6, 106))
    await ada.expect_nothing()
    health = await state(broker, "degraded")
    assert health["status"] == "degraded"
    # What is in the spool can be read, and recovered from.
    carl = await broker.client()
    joined = await carl.join("r:c", since={"seq": 50, "epoch": live[0]["epoch"]})
    assert joined["recovered"] and joined["seq"] == 105
    await numbers(carl, 51, 105)
    redis.start()
    acks = [await ada.expect(type="ack") for _ in range(100)]
    assert [a["payload"]["seq"] for a in acks] == list(range(6, 106))
    await state(broker, "ok")
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    stored = [int(e[0].split("-")[1]) for e in redis.ask("XRANGE", stream, "-", "+")]
    assert stored == list(range(1, 106))
    await publish(ada, "r:c", 106, 107)
    await numbers(bob, 106, 107)
    await numbers(carl, 106, 107)


async def test_r2_over_the_spool_a_message_is_refused_and_not_delivered(go, redis):
    broker = go("--set", "storage-redis-streams.spool_messages=10")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    redis.kill()
    await is_away(broker)
    for n in range(1, 13):
        await ada.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)
    await numbers(bob, 1, 10)
    for n in (11, 12):
        error = await ada.expect_error("STORAGE_UNAVAILABLE", request_id=f"m{n}")
        assert error["stored"] is False
    await bob.expect_nothing()
    redis.start()
    for n in range(1, 11):
        await ada.expect(type="ack", request_id=f"m{n}")
    # The same id again: it was refused, so now it is taken.
    await ada.send(type="event", id="m11", channel="r:c", payload={"n": 11}, ack=True)
    await ada.expect(type="ack", request_id="m11")
    await numbers(bob, 11, 11)


async def test_strict_delivers_nothing_before_it_is_stored(go, redis):
    broker = go("--set", "storage.mode=strict", "--set", "storage-redis-streams.spool_wait=60s")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 2)
    await numbers(bob, 1, 2)
    redis.kill()
    await is_away(broker)
    for n in range(3, 6):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
    await ada.expect_nothing()
    await bob.expect_nothing()
    redis.start()
    for _ in range(3, 6):
        await ada.expect(type="ack")
    messages = await numbers(bob, 3, 5)
    assert [m["seq"] for m in messages] == [3, 4, 5]


async def test_strict_gives_up_after_a_while(go, redis):
    broker = go("--set", "storage.mode=strict", "--set", "storage-redis-streams.spool_wait=200ms")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    await numbers(bob, 1, 1)
    redis.kill()
    await is_away(broker)
    await ada.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
    error = await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2")
    assert error["stored"] is False
    redis.start()
    await state(broker, "ok")
    (ack,) = await publish(ada, "r:c", 3, 3)
    assert ack["payload"]["seq"] == 2  # what was refused took no place
    await numbers(bob, 3, 3)


async def test_strict_what_may_be_stored_stays_unknown_and_is_stored_once(go, redis):
    window = 0.5
    broker = go("--set", "storage.mode=strict", "--set", "storage-redis-streams.spool_wait=200ms",
                "--set", f"server.dedupe_window={window * 1000:.0f}ms")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    await asyncio.sleep(window)  # no id of an earlier life is looked for any more
    redis.freeze()
    await m2_is_unknown(ada)
    redis.thaw()
    await m2_is_acked(ada)
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    assert len(redis.ask("XRANGE", stream, "-", "+")) == 2


@pytest.mark.parametrize("mode", ["degraded", "strict"])
async def test_r3_a_silent_redis_is_noticed_and_nothing_is_stored_twice(go, redis, mode):
    broker = go("--set", f"storage.mode={mode}")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 5)
    await numbers(bob, 1, 5)
    redis.freeze()
    for n in range(6, 26):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
    await is_away(broker)
    await state(broker, "degraded")
    if mode == "degraded":
        await numbers(bob, 6, 25)
    redis.thaw()
    acks = [await ada.expect(type="ack") for _ in range(20)]
    assert [a["payload"]["seq"] for a in acks] == list(range(6, 26))
    if mode == "strict":
        await numbers(bob, 6, 25)
    await state(broker, "ok")
    await bob.expect_nothing()
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    stored = [dict(zip(e[1][::2], e[1][1::2]))["payload"] for e in redis.ask("XRANGE", stream, "-", "+")]
    assert [json.loads(p)["n"] for p in stored] == list(range(1, 26))


async def test_r5_a_restart_begins_an_era_that_counts_on(go, redis):
    broker = go()
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    (before,) = await publish(ada, "r:c", 1, 1)
    redis.kill()
    redis.start()
    await broker.wait_metric("arqonbus_storage_redis_connections_total", lambda n: n >= 4)  # it is back, for both
    (after,) = await publish(ada, "r:c", 2, 2)
    assert after["payload"]["seq"] == 2 and after["payload"]["epoch"] != before["payload"]["epoch"]
    await numbers(bob, 1, 2)
    await bob.expect_nothing()


async def test_r5_who_comes_back_while_connections_are_lost_is_recovered(go, redis):
    broker = go("--set", "storage-redis-streams.away_after=5s")
    ada, bob = await broker.client(), await broker.client()
    acks = await publish(ada, "r:c", 1, 20)
    redis.kill()
    redis.start()
    await publish(ada, "r:c", 21, 21)
    since = {k: acks[4]["payload"][k] for k in ("seq", "epoch")}  # of the era before
    for _ in range(5):
        redis.ask("CLIENT", "KILL", "TYPE", "normal")
        assert (await bob.join("r:c", since=since))["recovered"]
        await numbers(bob, 6, 21)
        await bob.call("leave_channel", channel="r:c")


async def test_r5_who_comes_back_while_redis_is_away_is_recovered_from_what_is_held(go, redis):
    broker = go("--set", "storage-redis-streams.hold=60s")
    ada, bob = await broker.client(), await broker.client()
    acks = await publish(ada, "r:c", 1, 20)
    redis.kill()
    redis.start()
    await state(broker, "ok")
    await publish(ada, "r:c", 21, 21)
    redis.kill()
    await is_away(broker)
    since = {k: acks[4]["payload"][k] for k in ("seq", "epoch")}  # of the era before
    assert (await bob.join("r:c", since=since))["recovered"]
    await numbers(bob, 6, 21)
    redis.start()
    await state(broker, "ok")


async def test_r7_what_redis_lost_is_stored_again_from_the_hold(go, redis):
    broker = go("--set", "storage-redis-streams.hold=30s")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    acks = await publish(ada, "r:c", 1, 50)
    await numbers(bob, 1, 50)
    redis.kill()
    cut_file(redis, keep=0.5)  # as a power cut does
    redis.start()
    await publish(ada, "r:c", 51, 51)
    await numbers(bob, 51, 51)
    await bob.expect_nothing()  # nothing twice
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    stored = [int(e[0].split("-")[1]) for e in redis.ask("XRANGE", stream, "-", "+")]
    assert stored == list(range(1, 52))
    await broker.settle()
    assert (await asyncio.to_thread(broker.metrics))["arqonbus_storage_redis_repaired_total"] > 0
    carl = await broker.client()
    assert (await carl.join("r:c", since={"seq": 10, "epoch": acks[0]["payload"]["epoch"]}))["recovered"]
    await numbers(carl, 11, 51)


def cut_file(redis, keep):
    """Cut the append-only file to a part of its length."""
    folder = os.path.join(redis.dir, "appendonlydir")
    (name,) = [n for n in os.listdir(folder) if n.endswith(".incr.aof")]
    path = os.path.join(folder, name)
    os.truncate(path, int(os.path.getsize(path) * keep))


async def test_r7_a_position_that_redis_lost_is_of_another_epoch(go, redis):
    broker = go("--set", "storage-redis-streams.hold=0")
    ada = await broker.client()
    acks = await publish(ada, "r:c", 1, 50)
    broker.stop()
    redis.kill()
    cut_file(redis, keep=0.5)
    redis.start()
    broker = go()
    bob = await broker.client()
    joined = await bob.join("r:c", since={k: acks[-1]["payload"][k] for k in ("seq", "epoch")})
    assert not joined["recovered"] and joined["was_recovering"] and 1 < joined["seq"] < 50
    gap = await bob.expect(type="gap")
    assert gap["payload"]["from_seq"] is None and gap["payload"]["reason"] == "epoch"
    await numbers(bob, 1, joined["seq"])


async def test_r8_r9_r10_who_refuses_is_asked_again(go, redis):
    broker = go()
    broker.errors_expected = True
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, "r:c", 1, 1)
    for refuse, accept in ((("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
                           (("CONFIG", "SET", "min-replicas-to-write", "1"),
                            ("CONFIG", "SET", "min-replicas-to-write", "0")),
                           (("REPLICAOF", "127.0.0.1", str(free_port())), ("REPLICAOF", "NO", "ONE"))):
        redis.ask(*refuse)
        await ada.send(type="event", channel="r:c", payload={"n": 2}, ack=True)
        await state(broker, "degraded")
        redis.ask(*accept)
        await ada.expect(type="ack")
        await state(broker, "ok")
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    assert [int(e[0].split("-")[1]) for e in redis.ask("XRANGE", stream, "-", "+")] == [1, 2, 3, 4]
    assert [(await bob.receive())["seq"] for _ in range(4)] == [1, 2, 3, 4]


async def test_r11_a_key_of_somebody_else_costs_only_its_channel(go, redis):
    broker = go()
    broker.errors_expected = True
    ada = await broker.client()
    await publish(ada, "r:c", 1, 1)
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    redis.ask("DEL", stream)
    redis.ask("SET", stream, "mine")
    await ada.send(type="event", id="m2", channel="r:c", ack=True)
    error = await ada.expect_error("STORAGE_UNAVAILABLE", request_id="m2")
    assert error["stored"] is False
    await publish(ada, "r:other", 1, 3)


async def test_r12_a_wrong_password_is_said_at_the_start_and_never_logged(redis, go):
    redis.ask("CONFIG", "SET", "requirepass", "right")
    with pytest.raises(AssertionError, match="WRONGPASS|invalid") as refused:
        go(url=f"redis://:wr0ngsecret@127.0.0.1:{redis.port}")
    assert "wr0ngsecret" not in str(refused.value)
    with pytest.raises(AssertionError, match="NOAUTH"):
        go(url=f"redis://127.0.0.1:{redis.port}")
    broker = go(url=f"redis://:right@127.0.0.1:{redis.port}/3")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 2)
    assert '":right@' not in broker.log()


async def test_a_user_with_the_acl_of_the_manual_is_enough(redis, go):
    redis.ask("ACL", "SETUSER", "bus", "on", ">p%w", "~arq:*", "-@all", "+@connection", "+@stream", "+@hash",
              "+@string", "+pexpire", "+del", "+eval", "+info", "+role", "+config|get")
    broker = go(url=f"redis://bus:p%25w@127.0.0.1:{redis.port}")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 2)
    await ada.send(type="event", id="mine", channel="r:c", ack=True)
    await ada.expect(type="ack", request_id="mine")
    assert len((await ada.call("history", channel="r:c"))["messages"]) == 3
    await ada.call("delete_channel", channel="r:c")
    await state(broker, "ok")


async def test_a_unix_socket_will_do(redis, go):
    broker = go(url=f"unix://{redis.dir}/socket?db=2")
    ada = await broker.client()
    await publish(ada, "r:c", 1, 2)


async def test_r13_a_stream_that_somebody_deletes_begins_again(go, redis):
    broker = go()
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    (before,) = await publish(ada, "r:c", 1, 1)
    redis.ask("FLUSHALL")
    acks = await publish(ada, "r:c", 2, 10)
    assert len({a["payload"]["epoch"] for a in acks}) == 1
    assert acks[0]["payload"]["epoch"] != before["payload"]["epoch"]
    await numbers(bob, 1, 10)
    carl = await broker.client()
    joined = await carl.join("r:c", since={k: before["payload"][k] for k in ("seq", "epoch")})
    assert not joined["recovered"]
    assert (await carl.expect(type="gap"))["payload"]["reason"] == "epoch"
    await numbers(carl, 2, 10)


def test_r14_a_redis_that_would_drop_streams_is_refused(redis, go):
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(AssertionError, match="maxmemory-policy is allkeys-lru"):
        go()
    go("--set", "storage-redis-streams.check=no")


@pytest.mark.parametrize("garbage", [b"hello\r\n", b"$536870912\r\nx", b"*-7\r\n", b"*2147483647\r\n" * 3,
                                     b"*1\r\n" * 20, b"+PONG\r\n" * 50, b"", b":99999999999999999999\r\n",
                                     b"-ERR\r\n-ERR\r\n-ERR\r\n"])
async def test_r16_garbage_from_redis_harms_nobody(start, garbage):
    port, stop = fake_redis(garbage)
    try:
        broker = start("--storage", "redis-streams", "--redis-url", f"redis://127.0.0.1:{port}", *QUICK,
                       "--set", "storage-redis-streams.check=no", "--set", "storage-redis-streams.connect_timeout=200ms",
                       env={"ARQONBUS_TEST": "1"})
    except AssertionError as refused:
        stop()
        assert "Redis" in str(refused)  # at the start it may be refused
        return
    try:
        await is_delivered(broker)
        broker.errors_expected = True  # it is lost at the end
        broker.stop()
    finally:
        stop()


async def is_delivered(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await ada.send(type="event", channel="r:c", payload={"n": 1})
    await numbers(bob, 1, 1)
    await ada.close()
    await bob.close()


def fake_redis(answer):
    """Something that answers everything with the same bytes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection):
        with connection:
            try:
                while connection.recv(65536) and answer:
                    connection.sendall(answer)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], server.close


async def test_r17_two_brokers_do_not_share_streams(go, redis):
    broker = go()
    await state(broker, "ok")
    with pytest.raises(AssertionError, match="another broker uses the streams arq"):
        go()
    other = go("--set", "storage-redis-streams.prefix=other")
    ada = await other.client()
    await publish(ada, "r:c", 1, 1)


async def test_o4_after_kill_9_the_next_one_starts_at_once(go):
    broker = go()
    ada = await broker.client()
    await publish(ada, "r:c", 1, 5)
    broker.process.kill()
    broker.process.wait()
    broker.process.returncode = 0  # as expected
    bob = await go().client()
    history = await bob.call("history", channel="r:c")
    assert [m["payload"]["n"] for m in history["messages"]] == [1, 2, 3, 4, 5]


async def test_o4_a_session_of_the_first_moment_outlives_the_broker(go, redis):
    broker, began = go(), time.monotonic()
    ada = await broker.client()
    while not [k for k in redis.ask("KEYS", "*") if k.endswith("{ctl}:keep")]:
        await asyncio.sleep(0.005)
    assert time.monotonic() - began < 0.7  # a second would be late
    broker.process.kill()
    broker.process.wait()
    broker.process.returncode = 0  # as expected
    again = await go().client("?session=" + ada.session)
    assert again.welcome["payload"]["resumed"] and again.id == ada.id


async def test_o4_a_message_repeated_after_a_restart_is_stored_once(go):
    broker = go()
    ada = await broker.client()
    await ada.send(type="event", id="m1", channel="r:c", payload={"n": 1}, ack=True)
    first = await ada.expect(type="ack", request_id="m1")
    session = ada.session
    broker.stop()
    broker = go()
    ada = await broker.client("?session=" + session)
    assert ada.welcome["payload"]["resumed"]
    bob = await broker.client()
    await bob.join("r:c")
    await ada.send(type="event", id="m1", channel="r:c", payload={"n": 1}, ack=True)
    again = await ada.expect(type="ack", request_id="m1")
    assert again["payload"] == first["payload"]
    await bob.expect_nothing()
    assert len((await bob.call("history", channel="r:c"))["messages"]) == 1
    await ada.send(type="event", id="m2", channel="r:c", payload={"n": 2}, ack=True)
    assert (await ada.expect(type="ack", request_id="m2"))["payload"]["seq"] == 2
    await numbers(bob, 2, 2)


async def test_o4_many_messages_after_a_restart_are_looked_for_together(go, redis):
    broker = go()
    ada = await broker.client()
    await publish_ids(ada, range(1, 201))
    firsts = [await ada.expect(type="ack", request_id=f"m{n}") for n in range(1, 201)]
    session = ada.session
    broker.stop()
    redis.ask("CONFIG", "RESETSTAT")
    broker = go("--set", "storage-redis-streams.timeout=10s", "--set", "storage.probe_timeout=10s")
    ada = await broker.client("?session=" + session)
    redis.freeze()
    await publish_ids(ada, range(1, 401))
    await ada.expect_nothing()  # they are all there
    redis.thaw()
    acks = [await ada.expect(type="ack", request_id=f"m{n}") for n in range(1, 401)]
    assert [a["payload"] for a in acks[:200]] == [a["payload"] for a in firsts]
    assert [a["payload"]["seq"] for a in acks[200:]] == list(range(201, 401))
    stats = redis.ask("INFO", "commandstats")
    asked = sum(int(n) for n in re.findall(r"cmdstat_m?get:calls=(\d+)", stats))
    assert asked < 40, stats  # not once for each of them


async def publish_ids(client, numbers):
    for n in numbers:
        await client.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)


async def test_r19_the_time_of_day_decides_nothing(go, redis):
    """Ids are the broker's own: a clock that goes back changes none of them."""
    broker = go()
    ada = await broker.client()
    await publish(ada, "r:c", 1, 3)
    stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
    assert [e[0] for e in redis.ask("XRANGE", stream, "-", "+")] == ["1-1", "1-2", "1-3"]


async def test_r19_clocks_that_jump_disturb_neither_order_nor_connections(start):
    """First the clock of Redis, then the broker's, then both: an hour ahead and back."""
    of_broker, of_redis = Day(), Day()
    redis = Redis(env=of_redis.env())
    try:
        broker = start("--storage", "redis-streams", "--redis-url", redis.url, *QUICK, env=of_broker.env())
        ada, bob = await broker.client(), await broker.client()
        await bob.join("r:c")
        await publish(ada, "r:c", 1, 1)
        for n, (there, here) in enumerate([(1, 0), (-1, 0), (1, -1), (-1, 1)], 2):
            of_redis.jump(there * HOUR)
            of_broker.jump(here * HOUR)
            assert abs(int(redis.ask("TIME")[0]) - time.time() - there * HOUR) < 60
            await ada.send(type="event", id=f"m{n}", channel="r:c", payload={"n": n}, ack=True)
            assert (await ada.expect(type="ack", request_id=f"m{n}"))["payload"]["seq"] == n
            await broker.settle()  # with probes and ticks
            await state(broker, "ok")
        await numbers(bob, 1, 5)
        history = await bob.call("history", channel="r:c")
        assert [m["seq"] for m in history["messages"]] == list(range(1, 6))
        stream = next(k for k in redis.ask("KEYS", "*") if k.endswith(":c:r:c"))
        assert [e[0] for e in redis.ask("XRANGE", stream, "-", "+")] == [f"1-{n}" for n in range(1, 6)]
        assert (await asyncio.to_thread(broker.metrics))["arqonbus_storage_redis_connections_total"] == 2
        broker.stop()
    finally:
        redis.close()
        of_broker.close()
        of_redis.close()


async def test_r20_a_name_that_takes_long_holds_up_nobody(start):
    broker = start("--storage", "redis-streams", "--redis-url", "redis://no-such-host.invalid:6379", *QUICK)
    await is_delivered(broker)
    await state(broker, "degraded")
    broker.errors_expected = True


def test_a_storage_of_several_brokers_is_refused_to_one_that_is_alone(go):
    with pytest.raises(AssertionError, match="cluster: yes for the storage alone; set cluster = yes in .storage."):
        go("--set", "storage-redis-streams.cluster=yes")
    go("--set", "storage-redis-streams.cluster=no")


@pytest.mark.parametrize("url,why", [
    ("http://x", "begins with none of redis://"), ("rediss://x", "no TLS to Redis"), ("redis://", "host is missing"),
    ("redis://h:0", "is no port"), ("redis://h:99999", "is no port"), ("redis://h/x", "is no database"),
    ("redis://user@h", "a user needs a password"), ("unix://x", "begins with /"),
    ("redis+sentinel://h:1", "the name of the master is missing"), ("redis://a,b", "one host, not 2"),
    ("redis://:%4@h", "wrong %XX")])
def test_a_wrong_url_is_refused_with_a_reason(start, url, why):
    with pytest.raises(AssertionError) as refused:
        start("--storage", "redis-streams", "--redis-url", url)
    assert why in str(refused.value)


async def test_r7_sentinel_tells_where_the_master_is_and_where_it_went(start, redis):
    replica = Redis("--replicaof", "127.0.0.1", str(redis.port))
    folder = redis.dir
    conf = os.path.join(folder, "sentinel.conf")
    port = free_port()
    with open(conf, "w") as f:
        f.write(f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor bus 127.0.0.1 {redis.port} 1\n"
                "sentinel down-after-milliseconds bus 300\nsentinel failover-timeout bus 2000\n")
    sentinel = subprocess.Popen(["redis-server", conf, "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        while True:  # it must know the replica, and the replica the data
            try:
                with socket.create_connection(("127.0.0.1", port)) as s:
                    s.sendall(b"SENTINEL replicas bus\r\n")
                    if str(replica.port).encode() in s.recv(65536):
                        break
            except OSError:
                pass
            await asyncio.sleep(0.05)
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/bus"
        broker = start("--storage", "redis-streams", "--redis-url", url, *QUICK)
        ada, bob = await broker.client(), await broker.client()
        await bob.join("r:c")
        await publish(ada, "r:c", 1, 10)
        redis.kill()
        acks = await publish(ada, "r:c", 11, 20)
        assert [a["payload"]["seq"] for a in acks] == list(range(11, 21))
        messages = await numbers(bob, 1, 20)
        assert [m["seq"] for m in messages] == list(range(1, 21))
        stream = next(k for k in replica.ask("KEYS", "*") if k.endswith(":c:r:c"))
        assert len(replica.ask("XRANGE", stream, "-", "+")) == 20
    finally:
        sentinel.terminate()
        sentinel.wait()
        replica.close()


@pytest.mark.parametrize("appendfsync,good,bad", [
    ("everysec", {"stored": "redis"}, ["fsync", "replicated"]),
    ("always", {"stored": "fsync", "fsync": "fsync"}, ["replicated"])])
async def test_r14_a_channel_gets_the_durability_that_redis_has(start, appendfsync, good, bad):
    redis = Redis(appendfsync=appendfsync)
    try:
        broker = start("--storage", "redis-streams", "--redis-url", redis.url, *QUICK)
        ada = await broker.client()
        for name, stored in good.items():
            info = await ada.call("create_channel", room="r", channel=name, durability=name)
            assert info["durability"] == name
            await ada.send(type="event", id=name, room="r", channel=name, ack=True)
            assert (await ada.expect(type="ack", request_id=name))["payload"]["stored"] == stored
        for name in bad:
            await ada.refused("INVALID_ARGUMENT", "create_channel", "durability", room="r", channel="x",
                              durability=name)
        await ada.close()
        broker.stop()
    finally:
        redis.close()

# SPDX-License-Identifier: Apache-2.0
"""Clients that do not read as fast as they are sent, and too much for all of them together."""

import asyncio
import json
import random
import re
import socket
import threading
import zlib

import pytest
from raw import Raw
from test_telemetry import Viewer

LIMIT = 256 << 10
LIMITS = ("--set", f"server.outbox_limit={LIMIT}", "--set", "storage.history_size=10",
          "--set", "server.write_timeout=60s")
TEXT = "x" * 8000  # so that some hundred are more than the kernel takes
def memory(broker):
    """What it has in memory; 0 where a sanitizer has more than the broker."""
    with open(f"/proc/{broker.process.pid}/maps") as f:
        return 0 if re.search("lib[at]san", f.read()) else broker.memory()


class Stuck(Raw):
    """Somebody who reads only when told to, with little room in the kernel."""

    def __init__(self, port, add=()):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""
        self.deflated = 0
        self.send(self.head(add=add))
        assert self.answer()[0] == 101
        assert json.loads(self.next())["payload"]["event"] == "welcome"

    def frame(self):
        opcode, payload = super().frame()
        if not self.compressed:
            return opcode, payload
        self.deflated += 1
        return opcode, zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")

    def next(self):
        return self.frame()[1]

    def say(self, **fields):
        self.send(self.make(1, json.dumps(fields).encode()))

    def join(self, channel, **fields):
        self.say(type="command", command="join_channel", channel=channel, **fields)
        reply = json.loads(self.next())
        assert reply["status"] == "success", reply
        return reply["payload"]["result"]

    def hear(self):
        """All messages up to the answer to a ping."""
        self.say(type="ping", id="last")
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                raise AssertionError(f"closed: {payload}")
            message = json.loads(payload)
            if message["type"] == "pong":
                return
            yield message


class Books:
    """What one client got of its channels and what gaps told it that it would not."""

    def __init__(self):
        self.got, self.lost, self.others = {}, {}, []

    def keep(self, message):
        place = message.get("channel")
        if message["type"] == "gap":
            gap = message["payload"]
            assert gap["reason"] == "slow_consumer", message
            lost = self.lost.setdefault(place, [])
            lost.extend(range(gap["from_seq"], gap["to_seq"] + 1))
        elif "seq" in message:
            got = self.got.setdefault(place, [])
            assert not got or message["seq"] > got[-1]
            got.append(message["seq"])
        else:
            self.others.append(message)

    def all_of(self, place, n, own=()):
        """Of 1 to n each was got once or is in one gap; gaps may reach over its own messages."""
        got, lost = self.got[place], [seq for seq in self.lost.get(place, []) if seq not in own]
        assert sorted(got + lost) == [seq for seq in range(1, n + 1) if seq not in own]
        assert got[-1] == max(seq for seq in range(n + 1) if seq not in own), "the newest"


async def flood(talker, channel, n, text=TEXT):
    """All of it is delivered, whenever the storage tells its position: the last one's ack comes after that."""
    for i in range(n):
        await talker.publish(channel, text, ack=i == n - 1)
    await talker.expect(type="ack")
    await talker.expect_nothing()


async def channel(client, name, policy):
    info = await client.call("create_channel", channel=name, slow_policy=policy)
    assert info["slow_policy"] == policy
    assert (await client.call("channel_info", channel=name))["slow_policy"] == policy


async def read(stuck, books):
    """Until gaps follow that were sent because it began to read: they come after an answer or two."""
    for _ in range(3):
        for message in await asyncio.to_thread(lambda: list(stuck.hear())):
            books.keep(message)


async def test_s1_the_oldest_messages_of_a_channel_that_allows_it_are_dropped_and_told(start):
    broker = start(*LIMITS)
    ada, bob = await broker.client(), await broker.client()
    await channel(ada, "slow:one", "drop_oldest")
    await bob.join("slow:one")
    stuck, books = Stuck(broker.port), Books()
    stuck.join("slow:one")
    for _ in range(5):
        await flood(ada, "slow:one", 100)
        for _ in range(100):
            await bob.expect(type="event")
    await read(stuck, books)
    books.all_of("one", 500)
    assert len(books.lost["one"]) > 100
    await bob.expect_nothing()
    await broker.settle()
    metrics = await asyncio.to_thread(broker.metrics)
    assert metrics['arqonbus_dropped_messages_total{policy="drop_oldest"}'] == len(books.lost["one"])
    assert metrics["arqonbus_slow_consumers_total"] == 0
    broker.wait_log(r'msg="slow consumer" .*policy=drop_oldest')
    stuck.close()


async def test_s1_of_a_conflated_channel_the_newest_is_what_counts(start):
    broker = start(*LIMITS)
    ada = await broker.client()
    stuck, books = Stuck(broker.port), Books()
    for i in range(3):
        await channel(ada, f"price:c{i}", "conflate")
        stuck.join(f"price:c{i}")
    for _ in range(100):
        for i in range(3):
            await flood(ada, f"price:c{i}", 3)
    await read(stuck, books)
    for i in range(3):
        books.all_of(f"c{i}", 300)
    assert sum(map(len, books.lost.values())) > 200
    stuck.close()


async def test_s1_nothing_but_what_the_channel_allows_is_dropped(start):
    """Its own messages, private ones, those to the room and to everybody, and those of ordinary channels."""
    broker = start(*LIMITS)
    ada, admin = await broker.client(), await broker.admin()
    await channel(ada, "mixed:lossy", "drop_oldest")
    stuck, books = Stuck(broker.port), Books()
    stuck.join("mixed:lossy")
    stuck.join("mixed:plain")
    who = (await ada.call("channel_info", channel="mixed:plain"))["members"][0]["client_id"]
    own, n = set(), 0
    for i in range(20):
        await flood(ada, "mixed:lossy", 25)
        n += 25
        stuck.say(type="event", channel="mixed:lossy", payload="mine", ack=True, id=f"own{i}")
        n += 1
        own.add(n)
        while (await ada.call("channel_info", channel="mixed:lossy"))["message_count"] < n:
            pass
        await flood(ada, "mixed:plain", 1, i)
        await ada.send(type="event", room="mixed", payload=i)
        await ada.send(type="private", to=who, payload=i)
        await admin.send(type="system", room="*", payload=i)
        await admin.expect_nothing()
        await ada.expect(type="system")
        await ada.expect_nothing()
    await read(stuck, books)
    books.all_of("lossy", n, own)
    assert len(books.lost["lossy"]) > 100 and books.got["plain"] == list(range(1, 21))
    kinds = [m["type"] for m in books.others]
    assert [kinds.count(k) for k in ("ack", "private", "event", "system")] == [20, 20, 20, 20], kinds
    stuck.close()


async def test_s1_a_slow_one_is_still_closed_for_ordinary_channels(start):
    broker = start(*LIMITS, "--set", "server.close_timeout=10s")
    ada = await broker.client()
    await channel(ada, "both:lossy", "drop_oldest")
    stuck = Stuck(broker.port)
    stuck.join("both:lossy")
    stuck.join("both:plain")
    for _ in range(20):
        await flood(ada, "both:lossy", 20)
        await flood(ada, "both:plain", 20)
    await broker.wait_metric("arqonbus_slow_consumers_total", lambda n: n == 1)
    stuck.send(stuck.make(8, b"\x0f\xa8"))
    reason = await asyncio.to_thread(stuck.closed, 4008)
    assert f"limit {LIMIT}" in reason, reason
    stuck.close()


async def test_s1_who_takes_nothing_is_closed_in_time_whatever_the_policy(start):
    broker = start(*LIMITS, "--set", "server.write_timeout=300ms")
    ada = await broker.client()
    await channel(ada, "late:one", "conflate")
    stuck = Stuck(broker.port)
    stuck.join("late:one")
    await flood(ada, "late:one", 500)
    await broker.wait_metric("arqonbus_slow_consumers_total", lambda n: n == 1)
    broker.wait_log(r'msg="slow consumer" .*policy=disconnect dropped=\d+ bytes=\d+ limit=\d+ stuck_ms=300')
    stuck.close()


async def test_s1_leaving_and_coming_back_keeps_the_books_exact(start):
    """What was sent in between comes from the history, and no gap may say that it does not."""
    broker = start(*LIMITS, "--set", "storage.history_size=1000")
    ada = await broker.client()
    await channel(ada, "back:one", "drop_oldest")
    stuck, books = Stuck(broker.port), Books()
    where = stuck.join("back:one")
    await flood(ada, "back:one", 500)
    stuck.say(type="command", command="leave_channel", channel="back:one")
    while (await ada.call("channel_info", channel="back:one"))["member_count"] == 1:
        pass
    await flood(ada, "back:one", 5)
    stuck.say(type="command", command="join_channel", channel="back:one", since={"seq": 500, "epoch": where["epoch"]})
    while (await ada.call("channel_info", channel="back:one"))["member_count"] == 0:
        pass
    await flood(ada, "back:one", 300)
    await read(stuck, books)
    books.all_of("one", 805)
    assert set(range(501, 506)) <= set(books.got["one"])
    assert any(seq < 501 for seq in books.lost["one"]) and any(seq > 505 for seq in books.lost["one"])
    stuck.close()


async def test_s1_compressed_and_binary_messages_are_dropped_alike(start):
    broker = start(*LIMITS, "--set", "server.deflate=yes")
    ada = await broker.client(compression=None)
    await channel(ada, "form:one", "drop_oldest")
    stuck = Stuck(broker.port, add=["Sec-WebSocket-Extensions: permessage-deflate"])
    plain = Stuck(broker.port)
    for peer in (stuck, plain):
        peer.join("form:one")
    rand = random.Random(7)
    for i in range(60):
        await flood(ada, "form:one", 10, "".join(rand.choices("0123456789abcdef", k=20000)))
    for peer in (stuck, plain):
        books = Books()
        await read(peer, books)
        books.all_of("one", 600)
        assert len(books.lost["one"]) > 100
        peer.close()
    assert stuck.deflated > 10 and plain.deflated == 0


async def test_s1_the_policy_of_channels_that_have_none_is_configured(start):
    broker = start(*LIMITS, "--set", "server.slow_policy=drop_oldest")
    ada = await broker.client()
    stuck, books = Stuck(broker.port), Books()
    stuck.join("any:one")
    assert (await ada.call("channel_info", channel="any:one"))["slow_policy"] == "drop_oldest"
    await flood(ada, "any:one", 400)
    await read(stuck, books)
    books.all_of("one", 400)
    stuck.close()


async def test_s1_who_watches_hears_of_it_at_most_once_a_second(start):
    broker = start(*LIMITS)
    viewer = await Viewer.connect(broker)
    await viewer.send(type="subscribe", events=["slow_consumer"])
    ada = await broker.client()
    await channel(ada, "watch:lossy", "drop_oldest")
    await channel(ada, "watch:plain", "disconnect")
    stuck = Stuck(broker.port)
    stuck.join("watch:lossy")
    stuck.join("watch:plain")
    who = (await ada.call("channel_info", channel="watch:plain"))["members"][0]["client_id"]
    await flood(ada, "watch:lossy", 600)
    event = await viewer.until("slow_consumer")
    assert event["client_id"] == who and event["severity"] == "warning"
    told = event["metadata"]
    assert told["policy"] == "drop_oldest" and told["limit"] == LIMIT and told["stuck_ms"] == 0
    assert 0 < told["dropped"] < 600 and told["bytes"] > 8000 * told["dropped"]
    await flood(ada, "watch:plain", 60)  # over by what may not be dropped
    while told["policy"] == "drop_oldest":  # which may have been news again
        told = (await viewer.until("slow_consumer"))["metadata"]
    assert told["policy"] == "disconnect" and told["bytes"] > LIMIT and told["dropped"] > 20
    stuck.close()
    await viewer.close()


async def test_s2_many_slow_readers_are_cut_before_memory_runs_out(start):
    """Each asks for half an outbox of history of its own and reads none of it."""
    broker = start("--set", "server.memory_limit=24MiB", "--set", "server.write_timeout=60s",
                   "--set", "server.outbox_limit=4MiB")
    ada = await broker.client()
    for i in range(9):
        await ada.publish("past:one", "x" * 60000)
    await ada.expect_nothing()
    before = memory(broker)
    readers = [Stuck(broker.port) for _ in range(40)]
    for i in range(2000):
        readers[i % 40].say(type="command", command="history", room="past", channel="one")
        await ada.expect_nothing()
        if i % 40 == 0 and "memory: full" in broker.log():
            break
    await asyncio.to_thread(broker.wait_log, "memory: full; the slowest consumers are cut")
    await broker.wait_metric("arqonbus_slow_consumers_total", lambda n: n > 0)
    await broker.wait_metric("arqonbus_outbox_bytes", lambda n: n < 24 << 20)
    assert memory(broker) - before < 64 << 20
    assert re.search(r'msg="slow consumer" .*policy=disconnect', broker.log())
    assert (await asyncio.to_thread(broker.metrics))["arqonbus_clients"] > 2, "not all of them"
    for reader in readers:
        reader.close()
    await broker.wait_metric("arqonbus_memory_short", lambda n: n == 0)
    await ada.join("past:two", echo=True)
    await ada.publish("past:two", "again")
    await ada.expect(type="event", payload="again")


async def test_s3_a_message_is_in_memory_once_for_all_that_wait_for_it(start):
    broker = start("--set", "server.write_timeout=60s", "--set", "server.outbox_limit=16MiB")
    ada = await broker.client()
    readers = [Stuck(broker.port) for _ in range(100)]
    for reader in readers:
        reader.join("shared:one")
    before = memory(broker)
    for _ in range(100):
        await ada.publish("shared:one", "x" * 60000)
    await ada.expect_nothing()
    await broker.settle()
    metrics = await asyncio.to_thread(broker.metrics)
    assert metrics["arqonbus_outbox_bytes"] < 8 << 20 and metrics["arqonbus_slow_consumers_total"] == 0
    assert memory(broker) - before < 64 << 20, "of 600 MB that wait"
    for reader in readers:
        reader.close()


async def test_s8_short_of_memory_publishes_and_connections_are_refused_until_there_is_room(start):
    broker = start("--set", "server.memory_limit=8MiB", "--set", "storage-memory.memory_limit=16MiB",
                   "--set", "storage.history_size=100000", "--set", "storage.history_ttl=2s",
                   "--set", "storage-redis-streams.hold=2s")
    clients = [await broker.client() for _ in range(40)]
    bob = await broker.client()
    refused = None
    for i in range(1000):
        ada = clients[i % len(clients)]
        await ada.publish("full:one", "x" * 60000)
        if i % 20 == 0:  # and not more than it can keep up with
            await asyncio.to_thread(broker.http, "/health")
            if "publishes and connections are refused" in broker.log():
                break
        if i % len(clients) == 0 and "publishers are paused" not in broker.log():
            await ada.expect_nothing()
    for ada in reversed(clients):
        try:
            message = await asyncio.wait_for(ada.ws.recv(), 0.05)
        except asyncio.TimeoutError:
            continue
        refused = json.loads(message)
        break
    assert refused and refused["payload"]["code"] == "OVERLOADED" and refused["payload"]["retry_after_ms"] > 0
    status = 101
    while status != 503:
        peer = Raw(broker.port)
        peer.send(peer.head())
        status, headers = peer.answer()
        peer.close()
    assert 1 <= int(headers["retry-after"]) <= 5
    assert broker.http("/health")[0] == 200, "who asks how it is gets an answer"
    assert (await asyncio.to_thread(broker.metrics))["arqonbus_memory_short"] == 1
    await asyncio.to_thread(broker.wait_log, "memory: there is room again")
    while status != 101:
        peer = Raw(broker.port)
        peer.send(peer.head())
        status, _ = peer.answer()
        peer.close()
    told = "error"
    while told == "error":  # those who were paused have more to say, and may fill it again
        await broker.wait_metric("arqonbus_memory_short", lambda n: n == 0)
        await bob.publish("full:two", 1, ack=True)
        told = (await bob.receive())["type"]
    assert told == "ack"


class Firehose(threading.Thread):
    """Publishes as fast as it is read from, until it is told to stop."""

    def __init__(self, port, channel):
        super().__init__(daemon=True)
        self.peer, self.stop = Raw(port).open(), False
        text = json.dumps({"type": "event", "channel": channel, "payload": "x"}).encode()
        self.many = self.peer.make(1, text) * 1000

    def run(self):
        try:
            while not self.stop:
                self.peer.send(self.many)
        except OSError:
            pass


async def test_s9_a_busy_broker_refuses_connections_and_pauses_the_busiest(start):
    broker = start("--set", "server.lag_limit=1ms", "--set", "storage.history_size=10",
                   "--set", "storage-redis-streams.hold=1s")  # to let much of that go is a millisecond's work, too
    ada, bob = await broker.client(), await broker.client()
    await bob.join("busy:quiet")
    await channel(ada, "busy:one", "conflate")
    readers = [Stuck(broker.port) for _ in range(100)]
    for reader in readers:
        reader.join("busy:one")
    hoses = [Firehose(broker.port, "busy:one") for _ in range(24)]
    for hose in hoses:
        hose.start()
    await asyncio.to_thread(broker.wait_log, "busy: turns are long; connections are refused")
    status = 101
    while status != 503:
        peer = Raw(broker.port)
        peer.send(peer.head())
        status, _ = await asyncio.to_thread(peer.answer)
        peer.close()
    assert (await asyncio.to_thread(broker.http, "/health"))[0] == 200
    assert (await asyncio.to_thread(broker.http, "/health", broker.telemetry_port))[0] == 200
    await asyncio.to_thread(broker.wait_log, "busy: the busiest publishers are paused")
    for hose in hoses:
        hose.stop = True
    await asyncio.to_thread(broker.wait_log, "busy: no more")
    for hose in hoses:
        hose.peer.close()
    await broker.wait_metric("arqonbus_busy", lambda n: n == 0)
    await broker.wait_metric("arqonbus_publishers_paused_total", lambda n: n > 0)
    await ada.publish("busy:quiet", "still here")
    await bob.expect(type="event", payload="still here")
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("policy", ["wait", "", "DROP_OLDEST"])
async def test_s1_a_policy_that_is_none_is_refused_and_the_three_are_named(broker, policy):
    ada = await broker.client()
    error = await ada.refused("INVALID_ARGUMENT", "create_channel", "slow_policy", channel="none:one",
                              slow_policy=policy)
    if policy:
        assert all(p in error["message"] for p in ("disconnect", "drop_oldest", "conflate")), error

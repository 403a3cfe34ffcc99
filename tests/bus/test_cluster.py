# SPDX-License-Identifier: Apache-2.0
"""Several brokers on one Redis that are one bus: arqonbus-protocol(7), "SEVERAL BROKERS"."""

import asyncio
import collections
import json
import random
import signal
import time
import uuid

import pytest
import websockets
from broker import PATIENCE, shared_redis

LEASE = 20  # seconds in which a node that was killed is gone for all
GRACE = ["--set", "server.presence_grace=1s"]


@pytest.fixture
def go(start):
    """Start that many nodes of one cluster of the test's own."""
    prefix = uuid.uuid4().hex[:8]

    def run(n, *flags):
        env = {"ARQONBUS_STORAGE_BACKEND": "redis-streams", "ARQONBUS_REDIS_URL": shared_redis().url,
               "ARQONBUS_STORAGE_REDIS_STREAMS_PREFIX": prefix}
        return [start("--set", "storage.cluster=yes", *flags, env=dict(env)) for _ in range(n)]
    return run


async def until(test, patience=PATIENCE):
    """Ask again until it is so: nodes learn of each other a little later."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = await test()
        if value:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError("it does not become so")


async def members(client, address, want, patience=PATIENCE):
    """Wait until a channel has so many members, as this client's node knows it."""
    async def test():
        reply = await client.ask("channel_info", channel=address)
        return reply["status"] == "success" and reply["payload"]["result"]["member_count"] == want
    await until(test, patience)


async def reaches(client, to, patience=PATIENCE):
    """Wait until a private message reaches somebody by this name."""
    async def test():
        await client.send(type="private", id=uuid.uuid4().hex, to=to, payload={"probe": True}, ack=True)
        return (await client.receive())["type"] == "ack"
    await until(test, patience)


async def heard(client, **fields):
    """The next message that is no probe has these fields."""
    while (message := await client.receive()).get("payload", {}) == {"probe": True}:
        pass
    for key, value in fields.items():
        assert message.get(key) == value, f"{key} is not {value!r} in {message}"
    return message


async def test_all_nodes_deliver_in_one_order(go):
    nodes = go(3)
    clients = [await n.client() for n in nodes]
    for c in clients:
        await c.join("r:c", echo=True)
    for i in range(50):
        for c in clients:
            await c.send(type="event", channel="r:c", payload={"n": i})
    got = [[await c.expect(type="event") for _ in range(150)] for c in clients]
    order = [[(m["seq"], m["epoch"], m["id"]) for m in one] for one in got]
    assert order[0] == order[1] == order[2]
    assert [m["seq"] for m in got[0]] == list(range(1, 151))
    for sender in clients:
        ns = [m["payload"]["n"] for m in got[0] if m["from"] == sender.id]
        assert ns == list(range(50))


async def test_a_publish_is_acked_and_its_sender_does_not_hear_it(go):
    a, b = go(2)
    ada, bob = await a.client(), await b.client()
    await ada.join("r:c")
    await bob.join("r:c")
    await ada.send(type="event", channel="r:c", id="m1", payload={"a": 1}, metadata={"k": 2}, ack=True)
    ack = await ada.expect(type="ack", request_id="m1")
    assert ack["payload"]["stored"] == "redis" and ack["payload"]["seq"] == 1
    message = await bob.expect(type="event", id="m1", seq=1, metadata={"k": 2})
    assert message["from"] == ada.id
    await ada.expect_nothing()


async def test_a_repeated_id_is_stored_once_whatever_node_it_is_sent_to(go):
    a, b = go(2)
    bob = await b.client()
    await bob.join("r:c")
    ada = await a.client()
    await ada.send(type="event", channel="r:c", id="once", payload={}, ack=True)
    first = await ada.expect(type="ack")
    await ada.close()
    ada = await b.client("?session=" + ada.session)
    await ada.send(type="event", channel="r:c", id="once", payload={}, ack=True)
    again = await ada.expect(type="ack")
    assert again["payload"]["seq"] == first["payload"]["seq"] == 1
    await bob.expect(type="event", seq=1)
    await bob.expect_nothing()


async def test_since_recovers_on_another_node(go):
    a, b = go(2)
    ada, bob = await a.client(), await a.client()
    joined = await bob.join("r:c")
    await bob.close()
    for n in range(5):
        await ada.send(type="event", channel="r:c", payload={"n": n}, ack=True)
        await ada.expect(type="ack")
    bob = await b.client("?session=" + bob.session)
    again = await bob.join("r:c", since={"seq": joined["seq"], "epoch": joined["epoch"]})
    assert again["recovered"]
    for n in range(5):
        assert (await bob.expect(type="event"))["payload"] == {"n": n}
    await ada.send(type="event", channel="r:c", payload={"n": 5})
    assert (await bob.expect(type="event", seq=6))["payload"] == {"n": 5}


async def test_private_messages_find_ids_and_aliases_on_other_nodes(go):
    a, b = go(2)
    ada, bob = await a.client(), await b.client("?alias=bobby")
    await reaches(ada, "bobby")
    await ada.send(type="private", id="p1", to=["bobby", bob.id, "none"], payload={"a": 1}, metadata={"m": 2}, ack=True)
    ack = await ada.expect(type="ack", request_id="p1")
    assert ack["payload"]["delivered"] == 1 and ack["payload"]["missing"] == ["none"]
    message = await heard(bob, type="private", id="p1", payload={"a": 1}, metadata={"m": 2})
    assert message["from"] == ada.id and message["to"] == ["bobby", bob.id, "none"]
    await bob.send(type="private", to=ada.id, payload="back")
    await ada.expect(type="private", payload="back")
    await ada.send(type="private", to="none", payload={})
    await ada.expect_error("TARGET_NOT_FOUND")


async def test_rooms_and_system_messages_reach_all_nodes(go):
    nodes = go(3)
    ada, bob, eve = [await n.client() for n in nodes]
    await ada.join("r:c")
    await bob.join("r:c")
    await bob.join("r:d")
    await members(ada, "r:d", 1)
    await ada.send(type="event", room="r", id="all", payload={}, ack=True)
    await ada.expect(type="ack", request_id="all")
    await bob.expect(type="event", id="all", room="r")
    await bob.expect_nothing()
    await ada.send(type="event", room="nowhere", payload={})
    await ada.expect_error("ROOM_NOT_FOUND")
    root = await nodes[2].admin()
    await root.send(type="system", room="*", payload={"news": 1})
    for c in (ada, bob, eve):
        await c.expect(type="system", room="*", payload={"news": 1})
    await root.expect_nothing()


async def test_members_are_counted_and_listed_over_all_nodes(go):
    nodes = go(3)
    clients = [await n.client("?screen_name=x") for n in nodes]
    for c in clients:
        await c.join("r:c")
    for c in clients:
        await members(c, "r:c", 3)
        info = await c.call("channel_info", channel="r:c")
        assert {m["client_id"] for m in info["members"]} == {c.id for c in clients}
        assert {m["screen_name"] for m in info["members"]} == {"x"}
        assert (await c.call("status"))["clients"] == 3
    late = await nodes[0].client()
    assert (await late.join("r:c"))["member_count"] == 4


async def test_presence_is_of_all_nodes(go):
    a, b = go(2, *GRACE)
    ada, bob = await a.client(), await b.client("?alias=bobby")
    await ada.join("r:c", presence=True)
    await bob.join("r:c")
    message = await ada.expect(type="system", channel="c")
    (joined,) = message["payload"]["joined"]
    assert joined["client_id"] == bob.id and joined["alias"] == "bobby"
    assert message["payload"]["member_count"] == 2
    await bob.call("leave_channel", channel="r:c")
    message = await ada.expect(type="system", channel="c")
    assert message["payload"]["left"] == [bob.id]
    await bob.join("r:c")
    await ada.expect(type="system", channel="c")
    bob.ws.transport.abort()
    message = await ada.expect(type="system", channel="c")
    assert message["payload"]["left"] == [bob.id]


async def test_an_alias_is_one_clients_on_all_nodes(go):
    a, b = go(2)
    ada, bob = await a.client("?alias=pal"), await b.client()
    await reaches(bob, "pal")
    await ada.expect(type="private")  # the probe that was acked, wherever it is
    await bob.refused("ALIAS_TAKEN", "identify", alias="pal")
    await ada.call("identify", alias="")

    async def taken():
        return (await bob.ask("identify", alias="pal"))["status"] == "success"
    await until(taken)


async def test_of_two_with_one_alias_at_once_one_is_told_that_it_lost(go):
    a, b = go(2)
    ada, bob = await a.client(), await b.client()
    await asyncio.gather(*(c.send(type="command", id="i", command="identify", alias="pal") for c in (ada, bob)))
    lost = []

    async def outcome(client):
        message = await client.expect(type="command_response")
        if message["status"] == "error":
            assert message["payload"]["error"]["code"] == "ALIAS_TAKEN"
            lost.append(client)
            return
        try:
            message = await asyncio.wait_for(client.ws.recv(), 1)
        except asyncio.TimeoutError:
            return
        assert "ALIAS_TAKEN" in message
        lost.append(client)
    await asyncio.gather(outcome(ada), outcome(bob))
    assert len(lost) == 1


async def test_a_session_resumes_on_another_node(go):
    a, b = go(2, *GRACE)
    watcher = await a.client()
    await watcher.join("r:c", presence=True)
    bob = await a.client("?alias=bobby&screen_name=Bob")
    await bob.join("r:c")
    await watcher.expect(type="system", channel="c")
    await reaches(await b.client(), "bobby")
    again = await b.client("?session=" + bob.session)
    assert again.id == bob.id and again.welcome["payload"]["resumed"]
    await bob.closed(4010, "replaced")
    record = await again.call("identify")
    assert record["alias"] == "bobby" and record["screen_name"] == "Bob"
    await again.join("r:c")
    await members(watcher, "r:c", 2)
    await asyncio.sleep(1.5)
    await watcher.expect_nothing()  # it never left
    await watcher.send(type="private", to="bobby", payload=1)
    await heard(again, type="private", payload=1)


async def test_channels_are_created_and_deleted_for_all_nodes(go):
    a, b = go(2)
    ada, bob = await a.client(), await b.client()
    await ada.call("create_channel", channel="r:c", description="ours", metadata={"k": 1}, history={"size": 3})

    async def known():
        return (await bob.ask("channel_info", channel="r:c"))["status"] == "success"
    await until(known)
    info = await bob.call("channel_info", channel="r:c")
    assert info["description"] == "ours" and info["metadata"] == {"k": 1} and info["history"]["size"] == 3
    await bob.refused("CHANNEL_EXISTS", "create_channel", channel="r:c")
    await bob.join("r:c")
    await members(ada, "r:c", 1)
    await ada.refused("CHANNEL_NOT_EMPTY", "delete_channel", channel="r:c")
    (late,) = go(1)
    eve = await late.client()
    assert (await eve.call("channel_info", channel="r:c"))["description"] == "ours"
    await ada.call("delete_channel", channel="r:c", force=True)
    message = await bob.expect(type="system", channel="c")
    assert message["payload"]["event"] == "channel_deleted" and message["payload"]["by"] == ada.id

    async def gone():
        replies = [await c.ask("channel_info", channel="r:c") for c in (bob, eve)]
        return all(r["status"] == "error" for r in replies)
    await until(gone)
    await bob.call("create_channel", channel="r:c", description="theirs")


async def test_a_node_that_is_killed_loses_its_clients(go):
    a, b = go(2, *GRACE, "--set", "storage-redis-streams.node_ttl=2s")
    ada, bob = await a.client(), await b.client("?alias=bobby")
    await ada.join("r:c", presence=True)
    await bob.join("r:c")
    await ada.expect(type="system", channel="c")
    b.errors_expected = True
    b.process.kill()
    message = await asyncio.wait_for(ada.ws.recv(), LEASE)
    assert bob.id in message and '"left"' in message
    await members(ada, "r:c", 1)
    await ada.send(type="private", to="bobby", payload={})
    await ada.expect_error("TARGET_NOT_FOUND")
    b.process.wait()
    b.process.returncode = 0  # as expected


async def test_an_admin_kicks_and_looks_up_clients_of_other_nodes(go):
    a, b = go(2)
    root, bob = await a.admin(), await b.client("?alias=bobby")
    await reaches(root, "bobby")
    info = await root.call("client_info", client_id="bobby")
    assert info["client_id"] == bob.id and info["node"] != (await root.call("status"))["server"]["node"]
    await root.call("kick", client_id="bobby", reason="enough")
    await bob.closed(1008, "enough")


async def test_a_broker_refuses_a_storage_that_cannot_be_shared(start):
    with pytest.raises(AssertionError, match="several brokers cannot share"):
        start("--set", "storage.cluster=yes", "--storage", "memory")


async def worker(node, group_ack):
    w = await node.client()
    await w.call("join_channel", channel="r:c", args={"group": "workers", "group_ack": group_ack})
    return w


async def group_has(client, want):
    """Wait until the group has so many members, as this client's node knows it."""
    async def test():
        info = await client.call("channel_info", channel="r:c")
        return info["groups"] and info["groups"][0]["members"] == want
    await until(test)


async def publish(client, first, last):
    for n in range(first, last + 1):
        await client.send(type="event", id=f"{client.id}-{n}", channel="r:c", payload={"n": n}, ack=n == last)
    await client.expect(type="ack", request_id=f"{client.id}-{last}")


class Work:
    """Workers that do what they are given, for as long as they are there."""

    def __init__(self):
        self.done = collections.Counter()
        self.by = collections.Counter()
        self.tasks = []

    def begin(self, client, manual):
        async def run():
            try:
                async for text in client.ws:
                    m = json.loads(text)
                    if m["type"] != "event":
                        continue
                    self.done[m["payload"]["n"]] += 1
                    self.by[client.id] += 1
                    if manual:
                        await client.send(type="ack", **{k: m[k] for k in ("room", "channel", "seq", "epoch")})
            except websockets.ConnectionClosed:
                pass
        self.tasks.append(asyncio.create_task(run()))

    async def until_done(self, n, patience=PATIENCE):
        async def all_are():
            return len(self.done) == n
        await until(all_are, patience)

    async def stop(self):
        for t in self.tasks:
            t.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def at_work(nodes, group_ack):
    """A worker on each of three nodes, of which the first gives out; and somebody on the second."""
    work = Work()
    for n in nodes:
        work.begin(await worker(n, group_ack), group_ack == "manual")
        await asyncio.sleep(0.1)
    ada = await nodes[1].client()
    await group_has(ada, 3)
    return work, ada


@pytest.mark.parametrize("group_ack", ["auto", "manual"])
async def test_each_message_of_a_group_goes_to_one_member_on_any_node(go, group_ack):
    nodes = go(3)
    ada, bob = await nodes[0].client(), await nodes[2].client()
    workers = [await worker(n, group_ack) for n in nodes]
    for n in nodes:
        watcher = await n.client()
        await group_has(watcher, 3)
    work = Work()
    for w in workers:
        work.begin(w, group_ack == "manual")
    await asyncio.gather(publish(ada, 1, 300), publish(bob, 301, 600))
    await work.until_done(600)
    await asyncio.sleep(0.3)
    assert set(work.done.values()) == {1}
    assert len(work.by) == 3 and min(work.by.values()) > 20
    for n in nodes:
        assert (await asyncio.to_thread(n.metrics))["arqonbus_cluster_dropped_total"] == 0
    await work.stop()


async def test_a_group_goes_on_when_the_node_that_gave_out_its_work_is_killed(go):
    nodes = go(3, "--set", "server.group_ack_wait=2s", "--set", "server.group_max_deliveries=100")
    work, ada = await at_work(nodes, "manual")
    await publish(ada, 1, 200)
    nodes[0].errors_expected = True
    nodes[0].process.kill()
    await publish(ada, 201, 400)
    await work.until_done(400, LEASE + 10)
    await publish(ada, 401, 500)
    await work.until_done(500)
    await group_has(ada, 2)

    async def idle():
        groups = [(await c.call("channel_info", channel="r:c"))["groups"][0] for c in (ada, bob)]
        return all(g["waiting"] == g["unacked"] == 0 for g in groups)
    bob = await nodes[2].client()
    await until(idle)
    await work.stop()
    nodes[0].process.wait()
    nodes[0].process.returncode = 0  # as expected


@pytest.mark.parametrize("group_ack", ["auto", "manual"])
async def test_a_group_goes_on_where_the_node_that_stops_leaves_it(go, group_ack):
    nodes = go(3, "--set", "storage.history_size=5000", "--set", "server.drain_wait=5s")
    work, ada = await at_work(nodes, group_ack)
    publishing = asyncio.create_task(publish(ada, 1, 2000))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(nodes[0].stop)
    await publishing
    await publish(ada, 2001, 2100)
    await work.until_done(2100)
    assert set(work.done.values()) == {1}
    await work.stop()


async def test_a_node_that_was_stopped_does_not_do_the_work_of_the_one_that_replaced_it(go):
    nodes = go(3, "--set", "storage-redis-streams.node_ttl=2s", "--set", "storage.history_size=5000")
    work, ada = await at_work(nodes, "auto")
    await publish(ada, 1, 100)
    await work.until_done(100)
    await asyncio.sleep(1.5)  # that is known to all
    nodes[0].process.send_signal(signal.SIGSTOP)
    try:
        await publish(ada, 101, 400)
        await work.until_done(400, LEASE)
    finally:
        nodes[0].process.send_signal(signal.SIGCONT)
    await group_has(ada, 3)
    await publish(ada, 401, 600)
    await work.until_done(600)
    await asyncio.sleep(0.3)
    assert set(work.done.values()) == {1}
    await work.stop()


class Crowd:
    """Clients that do what comes to their mind, on whatever node."""

    ALIASES = [f"al{i}" for i in range(6)]
    CHANNELS = [f"r{i % 3}:c{i}" for i in range(12)]

    def __init__(self, nodes, seed):
        self.nodes = nodes
        self.random = random.Random(seed)
        self.clients = []
        self.readers = []

    async def come(self, query=""):
        async def read(ws):
            async for _ in ws:
                pass
        client = await self.random.choice(self.nodes).client(query)
        self.clients.append(client)
        self.readers.append(asyncio.create_task(read(client.ws)))

    async def act(self):
        client, channel = self.random.choice(self.clients), self.random.choice(self.CHANNELS)
        alias = self.random.choice(self.ALIASES)
        says = [
            {"command": "join_channel", "channel": channel, "presence": True},
            {"command": "join_channel", "channel": channel},
            {"command": "join_channel", "channel": channel}, {"command": "leave_channel", "channel": channel},
            {"command": "identify", "alias": alias, "client_type": "ai-agent"}, {"command": "identify", "alias": ""},
            {"command": "create_channel", "channel": channel, "description": alias},
            {"command": "delete_channel", "channel": channel, "force": True},
            {"type": "event", "channel": channel}, {"type": "event", "room": channel[:2]}, {"type": "private", "to": alias},
        ]
        what = self.random.randrange(len(says) + 3)
        if what < len(says):
            try:
                await client.send(**{"type": "command", **says[what]})
            except websockets.ConnectionClosed:
                self.clients.remove(client)  # somebody has its session
        elif what == len(says):
            client.ws.transport.abort()
            self.clients.remove(client)
        elif what == len(says) + 1:
            await self.come("?session=" + client.session)
        if len(self.clients) < 10:
            await self.come("?alias=" + alias)

    async def stop(self):
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)


async def view(admin):
    """What a node knows of the whole bus."""
    channels = {}
    for c in (await admin.call("list_channels", limit=1000))["channels"]:
        address = f"{c['room']}:{c['channel']}"
        info = (await admin.ask("channel_info", channel=address))["payload"].get("result")
        if info and (info["members"] or info["description"]):
            assert info["member_count"] == len(info["members"])
            channels[address] = info["description"], sorted((m["client_id"], m["alias"] or "") for m in info["members"])
    aliases = [(await admin.ask("client_info", client_id=alias))["payload"].get("result", {}).get("client_id")
               for alias in Crowd.ALIASES]
    return channels, aliases, (await admin.call("status"))["clients"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_all_nodes_agree_after_much_coming_and_going(go, seed):
    nodes = go(3, "--set", "server.presence_grace=300ms")
    admins = [await n.admin() for n in nodes]
    crowd = Crowd(nodes, seed)
    await crowd.come()
    for i in range(800):
        await crowd.act()
        if i % 10 == 0:
            await asyncio.sleep(0.005)

    async def agree():
        first, *others = [await view(a) for a in admins]
        return all(other == first for other in others)
    await until(agree)
    connected = 0
    for n in nodes:
        await n.settle()
        metrics = await asyncio.to_thread(n.metrics)
        assert metrics["arqonbus_cluster_dropped_total"] == metrics["arqonbus_garbage_answers_total"] == 0
        connected += metrics["arqonbus_clients"]
    assert (await view(admins[0]))[2] == connected
    await crowd.stop()

# SPDX-License-Identifier: Apache-2.0
"""Queue groups: each message to one member, and to another when that one fails."""

import asyncio
import collections

import pytest

POSITION = ("room", "channel", "seq", "epoch")


@pytest.fixture
def broker(start):
    return start("--set", "server.group_ack_wait=300ms", "--set", "server.group_max_deliveries=3",
                 "--set", "server.group_linger=500ms")


async def worker(broker, ack="manual", **args):
    w = await broker.client()
    await w.call("join_channel", room="r", channel="c", args={"group": "workers", "group_ack": ack, **args})
    return w


async def publish(client, first, last):
    for n in range(first, last + 1):
        await client.send(type="event", id=f"m{n}", room="r", channel="c", payload={"n": n}, ack=n == last)
    await client.expect(type="ack", request_id=f"m{last}")


async def done(client, message, **more):
    await client.send(type="ack", **{k: message[k] for k in POSITION}, **more)


async def group_of(client):
    info = await client.call("channel_info", room="r", channel="c")
    return info["groups"][0] if info["groups"] else None


async def until(client, **want):
    """Wait until the group is so."""
    async def look():
        while True:
            group = await group_of(client)
            if group is not None and want.items() <= group.items():
                return
            await asyncio.sleep(0.01)
    await asyncio.wait_for(look(), 10)


@pytest.mark.parametrize("ack", ["auto", "manual"])
async def test_each_message_goes_to_one_worker_and_to_every_ordinary_member(broker, ack):
    workers = [await worker(broker, ack) for _ in range(3)]
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    await publish(ada, 1, 30)
    for n in range(1, 31):
        assert (await bob.expect(type="event"))["payload"]["n"] == n
    seen = collections.Counter()
    for w in workers:
        mine = [await w.expect(type="event") for _ in range(10)]
        assert [m["seq"] for m in mine] == sorted(m["seq"] for m in mine)
        seen.update(m["payload"]["n"] for m in mine)
        for m in mine:
            assert "delivery_count" not in m
            if ack == "manual":
                await done(w, m)
        await w.expect_nothing()
    assert seen == collections.Counter(range(1, 31))
    await until(ada, name="workers", members=3, waiting=0, unacked=0)


async def test_what_a_worker_had_goes_to_another_when_it_dies(broker):
    dying, living = await worker(broker), await worker(broker)
    ada = await broker.client()
    await publish(ada, 1, 10)
    first = [(await dying.expect(type="event"))["payload"]["n"] for _ in range(5)]
    mine = [await living.expect(type="event") for _ in range(5)]
    dying.ws.transport.abort()
    again = [await living.expect(type="event") for _ in range(5)]
    assert [m["payload"]["n"] for m in again] == first
    assert {m["delivery_count"] for m in again} == {2}
    for m in mine + again:
        await done(living, m)
    await until(ada, waiting=0, unacked=0)
    await living.expect_nothing()


async def test_what_is_not_acked_in_time_or_given_back_goes_on_and_ends_with_the_dead(broker):
    slow = await worker(broker)
    ada, undertaker = await broker.client(), await broker.client()
    await undertaker.join("r:c.dead")
    await publish(ada, 1, 1)
    first = await slow.expect(type="event")  # and says nothing
    second = await slow.expect(type="event")
    assert second["delivery_count"] == 2 and second["seq"] == first["seq"]
    await done(slow, second, ok=False)
    third = await slow.expect(type="event")
    assert third["delivery_count"] == 3
    await done(slow, third, ok=False)
    dead = await undertaker.expect(type="event")
    assert (dead["id"], dead["payload"], dead["from"]) == ("m1", {"n": 1}, ada.id)
    await done(slow, third)  # too late
    await slow.expect_error("INVALID_ARGUMENT", field="seq")
    await broker.wait_metric("arqonbus_group_dead_total", lambda n: n == 1)


async def test_a_worker_that_comes_back_in_time_finds_its_work(broker):
    w = await worker(broker)
    ada = await broker.client()
    await w.close()
    await until(ada, members=0)
    await publish(ada, 1, 5)
    w = await worker(broker)
    for n in range(1, 6):
        m = await w.expect(type="event")
        assert m["payload"]["n"] == n
        await done(w, m)
    await until(ada, members=1, waiting=0, unacked=0)


async def test_a_backlog_beyond_memory_is_read_from_the_history(start):
    broker = start("--set", "server.group_backlog=10", "--set", "server.group_max_pending=4")
    ada = await broker.client()
    w = await worker(broker)
    await publish(ada, 1, 400)
    for n in range(1, 401):
        m = await w.expect(type="event")
        assert m["payload"]["n"] == n
        await done(w, m)
    await w.expect_nothing()
    assert (await asyncio.to_thread(broker.metrics))["arqonbus_group_lost_total"] == 0


async def test_workers_come_and_go_and_every_message_is_done(start):
    """At least once: all are done, however often a worker dies in the middle."""
    broker = start("--set", "server.group_ack_wait=200ms", "--set", "server.group_max_deliveries=1000")
    ada, lazy = await broker.client(), await worker(broker)  # this one never acks
    finished = collections.Counter()
    publishing = asyncio.create_task(publish(ada, 1, 300))
    while len(finished) < 300:
        w = await worker(broker)
        for _ in range(min(40, 300 - len(finished))):
            m = await w.expect(type="event")
            finished[m["payload"]["n"]] += 1
            await done(w, m)
        await w.expect_nothing_but("event")  # its acks have arrived
        w.ws.transport.abort()
    await publishing
    assert set(finished.values()) == {1}  # what is acked in time is done once
    await until(ada, waiting=0, unacked=0)
    await lazy.close()


@pytest.mark.parametrize("args,field", [
    ({"group": "no name"}, "group"), ({"group": 7}, "group"), ({"group_ack": "manual"}, "group_ack"),
    ({"group": "w", "group_ack": "soon"}, "group_ack"),
    ({"group": "w", "since": {"seq": 1, "epoch": "e"}}, "since")])
async def test_n1_what_makes_no_sense_is_refused_and_named(broker, args, field):
    ada = await broker.client()
    answer = await ada.ask("join_channel", room="r", channel="c", args=args)
    error = answer["payload"]["error"]
    assert error["code"] in ("INVALID_ARGUMENT", "INVALID_NAME") and error["field"] == field

# SPDX-License-Identifier: Apache-2.0
"""Presence, sessions, recovery: who is there, who comes back."""

import asyncio
import json
import re

import pytest
from broker import ADMIN


def presence(message):
    assert message["type"] == "system" and message["payload"]["event"] == "presence", message
    p = message["payload"]
    return [r["client_id"] for r in p["joined"]], p["left"], p["member_count"]


async def test_the_welcome_has_these_fields(start):
    broker = start("--set", "server.max_message_size=32KiB", "--set", "server.ping_interval=20s")
    ada = await broker.client()
    w = ada.welcome
    assert set(w) == {"version", "id", "type", "from", "timestamp", "payload"}
    assert (w["version"], w["from"]) == ("1.0", "arqonbus")
    assert set(w["payload"]) == {"event", "client_id", "session", "resumed", "server", "protocol", "max_message_size",
                                 "ping_interval"}
    assert re.fullmatch("arq_client_[0-9a-f]{32}", ada.id) and ada.session.startswith(ada.id + ".")
    assert re.fullmatch(r"ArqonBus/\d+\.\d+\.\d+", w["payload"]["server"]) and w["payload"]["protocol"] == "1.0"
    assert (w["payload"]["max_message_size"], w["payload"]["ping_interval"]) == (32768, 20000)
    assert w["payload"]["resumed"] is False
    await ada.close()


@pytest.mark.parametrize("path", ["", "?", "any/path/at/all", "ws/?x=1&y", "%2e%2e", "?client_type=&alias="])
async def test_any_path_and_query_will_do(broker, path):
    ada = await broker.client(path)
    await ada.expect_nothing()
    await ada.close()


async def test_the_admin_token_may_be_given_in_three_ways(broker):
    ada = await broker.client(extra_headers={"Authorization": "Bearer " + ADMIN})
    bob = await broker.client("?token=" + ADMIN.replace(" ", "+"))
    carl = await broker.client()
    assert (await carl.call("identify", token=ADMIN))["admin"] is True
    for client in (ada, bob, carl):
        await client.call("config")
        await client.close()


async def test_a_wrong_token_takes_nothing_away_and_gives_nothing(broker):
    ada = await broker.admin()
    await ada.refused("INVALID_ARGUMENT", "identify", "token", token=ADMIN + "x", screen_name="Eve")
    me = await ada.call("identify")
    assert me["admin"] is True and me["screen_name"] is None
    await ada.close()


async def test_who_takes_up_a_session_is_no_admin_by_that(broker):
    ada = await broker.admin()
    again = await broker.client(f"?session={ada.session}")
    assert again.id == ada.id
    await again.refused("FORBIDDEN", "config", "command")
    await again.close()
    await ada.close()


async def test_presence_is_told_to_those_who_asked_and_never_about_themselves(start):
    broker = start("--set", "server.presence_interval=30ms", "--set", "server.presence_grace=0")
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await ada.join("people:one", presence=True)
    await ada.expect_nothing()
    await bob.join("people:one")
    joined, left, n = presence(await ada.receive())
    assert (joined, left, n) == ([bob.id], [], 2)
    await carl.call("identify", screen_name="Carl")
    await carl.join("people:one", presence=True)
    message = await ada.receive()
    assert presence(message) == ([carl.id], [], 3)
    assert message["room"] == "people" and message["channel"] == "one" and "seq" not in message
    assert message["payload"]["joined"][0]["screen_name"] == "Carl"
    await bob.call("leave_channel", channel="people:one")
    for c in (ada, carl):
        assert presence(await c.receive()) == ([], [bob.id], 2)
    await carl.close()
    assert presence(await ada.receive()) == ([], [carl.id], 1)
    await ada.close()
    await bob.close()


async def test_who_is_back_within_its_grace_was_never_away(start):
    broker = start("--set", "server.presence_interval=20ms", "--set", "server.presence_grace=400ms")
    ada, bob = await broker.client(), await broker.client()
    await ada.join("grace:one", presence=True)
    await bob.join("grace:one")
    assert presence(await ada.receive()) == ([bob.id], [], 2)
    bob.ws.transport.abort()
    again = await broker.client(f"?session={bob.session}")
    assert again.id == bob.id and again.welcome["payload"]["resumed"] is True
    await again.join("grace:one")
    again.ws.transport.abort()  # and now for good
    assert presence(await ada.receive()) == ([], [bob.id], 1)
    await ada.close()


async def test_a_session_keeps_id_and_alias_and_replaces_what_still_stands(broker):
    ada = await broker.client("?alias=ada.session")
    again = await broker.client(f"?session={ada.session}")
    await ada.closed(4010, "replaced")
    assert again.id == ada.id and again.session == ada.session
    me = await again.call("identify")
    assert me["alias"] == "ada.session" and me["resumed"] is True
    await again.close()
    third = await broker.client()
    me = await third.call("identify", session=ada.session)
    assert me["client_id"] == ada.id and me["alias"] == "ada.session"
    await third.close()


async def test_an_unknown_session_is_a_new_client(broker):
    ada = await broker.client()
    forged = ada.session[:-1] + ("0" if ada.session[-1] != "0" else "1")
    for session in (forged, "nonsense", ada.id + "."):
        bob = await broker.client(f"?session={session}")
        assert bob.id != ada.id and bob.welcome["payload"]["resumed"] is False
        await bob.close()
    await ada.expect_nothing()
    await ada.close()


async def test_a_session_comes_before_the_first_join(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("late:one")
    await bob.refused("INVALID_ARGUMENT", "identify", "session", session=ada.session)
    await ada.close()
    await bob.close()


async def test_what_was_missed_comes_after_the_reply_and_before_live_messages(broker):
    ada, bob = await broker.client(), await broker.client()
    where = await bob.join("back:one")
    for i in range(1, 6):
        await ada.publish("back:one", i)
        where["seq"] = (await bob.expect(payload=i))["seq"]
    await bob.call("leave_channel", channel="back:one")
    for i in range(6, 9):
        await ada.publish("back:one", i, ack=True)
        await ada.expect(type="ack")
    since = {"seq": where["seq"], "epoch": where["epoch"]}
    await bob.send(type="command", id="j", command="join_channel", channel="back:one", since=since)
    await ada.publish("back:one", 9)
    reply = await bob.expect(type="command_response", request_id="j", status="success")
    result = reply["payload"]["result"]
    assert result["recovered"] is True and result["was_recovering"] is True
    assert [(await bob.expect(type="event"))["payload"] for _ in range(4)] == [6, 7, 8, 9]
    await bob.expect_nothing()
    await ada.close()
    await bob.close()


async def test_a_gap_says_exactly_what_is_lost(broker):
    ada, bob = await broker.client(), await broker.client()
    await ada.call("create_channel", channel="gap:one", history={"size": 3})
    where = await bob.join("gap:one")
    await bob.call("leave_channel", channel="gap:one")
    for i in range(1, 11):
        await ada.publish("gap:one", i, ack=True)
        await ada.expect(type="ack")
    result = await bob.join("gap:one", since={"seq": 0, "epoch": where["epoch"]})
    assert result["recovered"] is False and result["seq"] == 10
    gap = await bob.expect(type="gap", room="gap", channel="one")
    assert gap["payload"] == {"from_seq": 1, "to_seq": 7, "epoch": where["epoch"], "reason": "trimmed"}
    assert [(await bob.expect(type="event"))["seq"] for _ in range(3)] == [8, 9, 10]
    await bob.expect_nothing()
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("since", [{"seq": 2, "epoch": "another"}, {"seq": 99, "epoch": None}])
async def test_a_position_of_another_past_gets_all_that_is_kept(broker, since):
    ada, bob = await broker.client(), await broker.client()
    channel = f"epoch:{since['seq']}"
    where = await bob.join(channel)
    await bob.call("leave_channel", channel=channel)
    for i in range(3):
        await ada.publish(channel, i, ack=True)
        await ada.expect(type="ack")
    since = {"seq": since["seq"], "epoch": since["epoch"] or where["epoch"]}
    result = await bob.join(channel, since=since)
    assert result["recovered"] is False
    gap = await bob.expect(type="gap")
    assert gap["payload"] == {"from_seq": None, "to_seq": 0, "epoch": where["epoch"], "reason": "epoch"}
    assert [(await bob.expect(type="event"))["payload"] for _ in range(3)] == [0, 1, 2]
    await ada.close()
    await bob.close()


async def test_much_that_was_missed_comes_in_pages_and_does_not_drop_the_client(start):
    broker = start("--set", "server.outbox_limit=256KiB", "--set", "storage.history_size=2000")
    ada, bob = await broker.client(), await broker.client()
    where = await bob.join("pages:one")
    await bob.call("leave_channel", channel="pages:one")
    for i in range(1, 1201):
        await ada.publish("pages:one", [i, "x" * 2000], ack=i == 1200)
    await ada.expect(type="ack")
    result = await bob.join("pages:one", since={"seq": 0, "epoch": where["epoch"]})
    assert result["recovered"] is True
    for i in range(1201, 1301):
        await ada.publish("pages:one", [i, "live"])
    assert [(await bob.expect(type="event"))["payload"][0] for _ in range(1300)] == list(range(1, 1301))
    await ada.close()
    await bob.close()


async def test_history_that_is_too_old_is_gone(start):
    broker = start("--set", "storage.history_ttl=150ms")
    ada = await broker.client()
    await ada.publish("old:one", 1, ack=True)
    await ada.expect(type="ack")
    assert len((await ada.call("history", channel="old:one"))["messages"]) == 1
    while (await ada.call("history", channel="old:one"))["messages"]:
        await asyncio.sleep(0.02)
    assert (await ada.call("channel_info", channel="old:one"))["history"]["last_seq"] == 1
    await ada.close()


async def test_an_unused_channel_is_collected_and_its_history_is_not(start):
    broker = start("--set", "server.channel_idle=100ms")
    ada = await broker.client()
    await ada.publish("idle:kept", 1)
    await ada.join("idle:empty")
    await ada.call("leave_channel", channel="idle:empty")
    await ada.call("create_channel", channel="idle:made")
    while len((await ada.call("list_channels"))["channels"]) > 9:
        await asyncio.sleep(0.02)
    left = [(c["room"], c["channel"]) for c in (await ada.call("list_channels"))["channels"]]
    assert ("idle", "made") in left
    assert [m["payload"] for m in (await ada.call("history", channel="idle:kept"))["messages"]] == [1]
    await ada.refused("CHANNEL_NOT_FOUND", "history", channel="idle:empty")
    await ada.close()


async def test_replies_precede_the_first_message_of_the_channel(broker):
    ada, bob = await broker.client(), await broker.client()
    stop = asyncio.Event()

    async def chatter():
        while not stop.is_set():
            for ack in (False, False, False, True):  # no faster than bob can read
                await ada.publish("race:one", 1, ack=ack)
                await asyncio.sleep(0)
            await ada.expect(type="ack")

    task = asyncio.create_task(chatter())
    for i in range(50):
        await bob.send(type="command", id=f"j{i}", command="join_channel", channel="race:one")
        reply = await bob.expect(type="command_response", request_id=f"j{i}")
        last = reply["payload"]["result"]["seq"]
        got = await bob.expect(type="event")
        assert got["seq"] == last + 1
        await bob.send(type="command", id=f"l{i}", command="leave_channel", channel="race:one")
        while True:
            got = json.loads(await bob.ws.recv())
            if got["type"] == "command_response":
                break
    stop.set()
    await task
    await ada.close()
    await bob.close()

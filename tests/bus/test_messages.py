# SPDX-License-Identifier: Apache-2.0
"""Events, messages, private, system and telemetry; addressing; order; acks."""

import asyncio
import json

import pytest
from broker import BACKEND


async def test_the_sample_of_the_readme_works(broker):
    ada, bob = await broker.client(), await broker.client()
    for client in (ada, bob):
        await client.send(type="command", command="join_channel", room="science", channel="explore")
        reply = await client.expect(type="command_response", command="join_channel", status="success")
        assert reply["request_id"] is None
    await ada.send('{"type":"event","room":"science","channel":"explore","payload":{"message":"hi"}}')
    got = await bob.expect(type="event", room="science", channel="explore", **{"from": ada.id})
    assert got["payload"] == {"message": "hi"}
    assert got["version"] == "1.0" and got["id"] and got["seq"] >= 1 and got["epoch"]
    await ada.expect_nothing()
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("fields", [
    {"room": "forms", "channel": "one"},
    {"room": "forms:one"},
    {"channel": "forms:one"},
    {"room": "forms:one", "channel": "one"},
    {"channel": "one"},
])
async def test_every_spelling_of_an_address_means_the_same(broker, fields):
    ada, bob = await broker.client(), await broker.client()
    await ada.join("forms:one")
    await bob.join("forms:one")
    await ada.send(type="message", payload=1, **fields)
    await bob.expect(type="message", room="forms", channel="one", payload=1)
    await ada.close()
    await bob.close()


async def test_a_channel_alone_is_in_the_room_joined_last_else_in_the_default_room(broker):
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await ada.join("r1:twin")
    await ada.join("r2:twin")
    await bob.join("r2:twin")
    await carl.join("general:lonely")
    await ada.send(type="event", channel="twin", payload=1)
    await bob.expect(room="r2", channel="twin")
    await ada.send(type="event", channel="lonely", payload=2)
    await carl.expect(room="general", channel="lonely")
    for c in (ada, bob, carl):
        await c.close()


async def test_a_room_is_heard_once_by_who_is_in_several_of_its_channels(broker):
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await bob.join("house:kitchen")
    await bob.join("house:hall")
    await carl.join("house:hall")
    await ada.send(type="event", room="house", payload="fire", ack=True, id="f1")
    ack = await ada.expect(type="ack", request_id="f1")
    assert ack["payload"]["stored"] == "none" and ack["payload"]["seq"] is None
    for client in (bob, carl):
        got = await client.expect(type="event", room="house", payload="fire")
        assert "channel" not in got and "seq" not in got
        await client.expect_nothing()
    for c in (ada, bob, carl):
        await c.close()


async def test_what_is_sent_wrongly_is_answered_with_its_code(broker):
    ada = await broker.client()
    await ada.send(type="event", id="a", room="nowhere", payload={})
    await ada.expect_error("ROOM_NOT_FOUND", "room", "a")
    await ada.send(type="event", id="b", payload={})
    await ada.expect_error("TARGET_REQUIRED", "channel", "b")
    await ada.send(type="event", id="c", room="a/b", channel="c")
    await ada.expect_error("INVALID_NAME", "room", "c")
    await ada.send(type="private", id="d", payload={})
    await ada.expect_error("TARGET_REQUIRED", "to", "d")
    await ada.send(type="private", id="e", to="nobody", payload={})
    await ada.expect_error("TARGET_NOT_FOUND", "to", "e")
    await ada.send(type="system", id="f", room="*", payload={})
    await ada.expect_error("FORBIDDEN", None, "f")
    await ada.close()


@pytest.mark.parametrize("text, code, field, request_id", [
    ("{", "INVALID_JSON", None, None),
    ("[]", "INVALID_ENVELOPE", None, None),
    ('"x"', "INVALID_ENVELOPE", None, None),
    ("", "INVALID_JSON", None, None),
    ("\ufeff{}", "INVALID_JSON", None, None),
    ("{}", "INVALID_ENVELOPE", "type", None),
    ('{"id":"i","type":7}', "INVALID_ENVELOPE", "type", "i"),
    ('{"id":"i","type":"shout"}', "UNKNOWN_TYPE", "type", "i"),
    ('{"id":"i","type":"event","version":"2.0"}', "UNSUPPORTED_VERSION", "version", "i"),
    ('{"id":"i","type":"event","room":7}', "INVALID_ENVELOPE", "room", "i"),
    ('{"id":"i","type":"event","room":"a:b","channel":"c"}', "INVALID_ENVELOPE", "channel", "i"),
    ('{"id":"i","type":"event","room":"a:b:c"}', "INVALID_NAME", "room", "i"),
    ('{"id":"i","type":"event","room":"r","channel":"c","timestamp":"yesterday"}', "INVALID_ENVELOPE",
     "timestamp", "i"),
    ('{"id":"i","type":"event","room":"r","channel":"c","ack":1}', "INVALID_ENVELOPE", "ack", "i"),
    ('{"id":"i","type":"event","room":"r","channel":"c","metadata":[]}', "INVALID_ENVELOPE", "metadata", "i"),
    ('{"id":"i","type":"event","room":"r","channel":"c","retain":true}', "INVALID_ARGUMENT", "retain", "i"),
    ('{"id":"i","type":"event","room":"r","channel":"c","room":"r"}', "INVALID_ENVELOPE", None, "i"),
    ('{"id":"i","type":"event","r\\u006fom":"r","channel":"c","room":"r"}', "INVALID_ENVELOPE", None, "i"),
    ('{"id":"' + "x" * 129 + '","type":"event"}', "INVALID_ENVELOPE", "id", None),
    ('{"id":"","type":"event"}', "INVALID_ENVELOPE", "id", None),
    ('{"id":"a\\nb","type":"event"}', "INVALID_ENVELOPE", "id", None),
    ('{"id":"i","type":"private","to":[]}', "INVALID_ENVELOPE", "to", "i"),
    ('{"id":"i","type":"private","to":' + json.dumps(["x"] * 65) + "}", "INVALID_ENVELOPE", "to", "i"),
    ('{"type":"event","room":"r","channel":"c","payload":' + "[" * 32 + "]" * 32 + "}", "INVALID_JSON", None, None),
    ('{"type":"event","room":"r","channel":"c","payload":[' + "1," * 4095 + "1]}", "INVALID_JSON", None, None),
    ("{'type':'event'}", "INVALID_JSON", None, None),
    ('{"type":"event",}', "INVALID_JSON", None, None),
    ('{"type":"event","payload":NaN}', "INVALID_JSON", None, None),
    ('{"type":"event","payload":01}', "INVALID_JSON", None, None),
    ('{"id":"\\ud800","type":"event"}', "INVALID_ENVELOPE", "id", None),
])
async def test_j_a_bad_envelope_is_named(broker, text, code, field, request_id):
    """J1 to J9: nothing bad gets through, and the answer says what is wrong."""
    ada = await broker.client()
    await ada.send(text)
    await ada.expect_error(code, field, request_id)
    await ada.expect_nothing()
    await ada.close()


async def test_j10_what_only_the_broker_may_say_is_not_believed(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("spoof:one")
    await ada.send(type="event", room="spoof", channel="one", **{"from": "arqonbus", "seq": 99, "epoch": "x",
                   "timestamp": "2001-01-01T00:00:00Z"}, system=True)
    got = await bob.expect(type="event", **{"from": ada.id, "seq": 1})
    assert not got["timestamp"].startswith("2001") and "system" not in got
    await ada.close()
    await bob.close()


async def test_payload_and_metadata_pass_byte_for_byte(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("bytes:one")
    payload = '{ "a" : 1.0e+2,"a":12345678901234567890123, "\\u0000":"\\ud800" , "\u00e4":[ ] }'
    metadata = '{"z":  null}'
    await ada.send('{"metadata":%s,"type":"event","room":"bytes","channel":"one","payload":%s}' % (metadata, payload))
    text = await asyncio.wait_for(bob.ws.recv(), 5)
    assert '"payload":' + payload in text and '"metadata":' + metadata in text
    await ada.close()
    await bob.close()


async def test_j11_a_message_of_exactly_the_limit_passes_and_one_byte_more_closes(broker):
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await bob.join("limit:one")
    head = '{"type":"event","room":"limit","channel":"one","payload":"'
    await ada.send(head + "x" * (65536 - len(head) - 2) + '"}')
    got = await bob.expect(type="event")
    assert len(got["payload"]) == 65536 - len(head) - 2
    await ada.send(head + "x" * (65536 - len(head) - 1) + '"}')
    await ada.closed(1009, "65537 bytes, the limit is 65536")
    await bob.expect_nothing()
    await bob.close()
    await carl.close()


async def test_an_ack_tells_position_and_class(broker):
    ada = await broker.client()
    await ada.publish("acks:one", 1, ack=True, id="m1")
    ack = await ada.expect(type="ack", request_id="m1")
    assert ack["payload"]["id"] == "m1" and ack["payload"]["seq"] == 1
    assert ack["payload"]["stored"] == ("redis" if BACKEND == "redis-streams" else "memory") and ack["payload"]["epoch"]
    await ada.publish("acks:one", 2, ack=True)
    ack = await ada.expect(type="ack", request_id=None)
    assert ack["payload"]["seq"] == 2 and ack["payload"]["id"]
    await ada.close()


async def test_a_repeated_id_is_acked_alike_and_delivered_once(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("dup:one")
    for _ in range(3):
        await ada.publish("dup:one", "x", ack=True, id="same")
        ack = await ada.expect(type="ack", request_id="same")
        assert ack["payload"]["seq"] == 1
    await bob.expect(type="event", id="same")
    await bob.expect_nothing()
    # Another client, or another channel, is another scope.
    await bob.publish("dup:one", "y", ack=True, id="same")
    assert (await bob.expect(type="ack"))["payload"]["seq"] == 2
    await ada.publish("dup:two", "z", ack=True, id="same")
    assert (await ada.expect(type="ack"))["payload"]["seq"] == 1
    await ada.close()
    await bob.close()


async def test_a_repeated_private_or_room_wide_message_is_delivered_once(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("again:one")
    for _ in range(2):
        await ada.send(type="private", id="again-p", to=[bob.id, "ghost"], ack=True)
        ack = await ada.expect(type="ack", request_id="again-p")
        assert ack["payload"]["delivered"] == 1
        await ada.send(type="event", id="again-r", room="again", ack=True)
        ack = await ada.expect(type="ack", request_id="again-r")
        assert ack["payload"]["stored"] == "none"
    await bob.expect(type="private", id="again-p")
    await bob.expect(type="event", id="again-r")
    await bob.expect_nothing()
    await ada.close()
    await bob.close()


async def test_a_refused_message_may_be_sent_again_under_its_id(broker):
    ada = await broker.client()
    await ada.send(type="private", id="later", to="bob.later", ack=True)
    await ada.expect_error("TARGET_NOT_FOUND", "to", "later")
    bob = await broker.client("?alias=bob.later")
    await ada.send(type="private", id="later", to="bob.later", ack=True)
    await ada.expect(type="ack", request_id="later")
    await bob.expect(type="private", id="later")
    await ada.close()
    await bob.close()


async def test_an_id_is_forgotten_when_its_window_is_over(start):
    broker = start("--set", "server.dedupe_window=50ms")
    ada = await broker.client()
    seqs = [0]
    while seqs[-1] < 3:
        await ada.publish("window:one", 1, id="same", ack=True)
        seqs.append((await ada.expect(type="ack", request_id="same"))["payload"]["seq"])
    assert seqs.count(1) > 1 and seqs == sorted(seqs)
    await ada.close()


async def test_the_same_id_with_a_resumed_session_is_the_same_message(broker):
    ada = await broker.client()
    await ada.publish("resumed:one", 1, id="once", ack=True)
    first = await ada.expect(type="ack")
    ada.ws.transport.abort()
    again = await broker.client(f"?session={ada.session}")
    await again.publish("resumed:one", 1, id="once", ack=True)
    assert (await again.expect(type="ack"))["payload"] == first["payload"]
    await again.close()


async def test_a_private_message_reaches_ids_and_aliases_once(broker):
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await bob.call("identify", alias="bob.private")
    await ada.send(type="private", id="p1", to=[bob.id, "bob.private", carl.id, "ghost"], payload="psst", ack=True)
    for client in (bob, carl):
        got = await client.expect(type="private", payload="psst", **{"from": ada.id})
        assert got["to"] == [bob.id, "bob.private", carl.id, "ghost"] and "seq" not in got
        await client.expect_nothing()
    ack = await ada.expect(type="ack", request_id="p1")
    assert ack["payload"] == {"id": "p1", "delivered": 2, "missing": ["ghost"], "stored": "none"}
    await ada.send(type="private", payload={"target": carl.id, "text": "old form"})
    await carl.expect(type="private")
    for c in (ada, bob, carl):
        await c.close()


async def test_order_holds_for_every_receiver(broker):
    senders = [await broker.client() for _ in range(3)]
    receivers = [await broker.client() for _ in range(3)]
    for r in receivers:
        await r.join("order:one")
    for i in range(200):
        await senders[i % 3].publish("order:one", i)
    for r in receivers:
        assert [(await r.expect(type="event"))["seq"] for _ in range(200)] == list(range(1, 201))
    for c in senders + receivers:
        await c.close()


async def test_echo_is_for_those_who_ask(broker):
    ada = await broker.client()
    await ada.join("echo:one", echo=True)
    await ada.publish("echo:one", 1)
    await ada.expect(type="event", payload=1)
    await ada.join("echo:one")
    await ada.publish("echo:one", 2)
    await ada.expect_nothing()
    await ada.close()


async def test_an_admin_speaks_to_everybody(broker):
    ada, bob = await broker.admin(), await broker.client()
    await ada.send(type="system", room="*", payload={"text": "lunch"})
    got = await bob.expect(type="system", payload={"text": "lunch"})
    assert "channel" not in got
    await ada.expect_nothing()
    await bob.join("sys:one")
    await ada.send(type="system", room="sys", channel="one", payload=1)
    await bob.expect(type="system", seq=1, channel="one")
    await ada.close()
    await bob.close()


async def test_ten_bad_messages_in_a_minute_end_the_connection(broker):
    """J12."""
    ada, bob = await broker.client(), await broker.client()
    for _ in range(10):
        await ada.send("nonsense")
    await ada.closed(4009, "10 violations")
    await bob.expect_nothing()
    await bob.close()


async def test_membership_may_be_required_and_creation_refused(start):
    broker = start("--set", "server.require_membership=yes", "--set", "server.auto_create=no")
    ada = await broker.client()
    await ada.send(type="event", id="a", room="science", channel="explore")
    await ada.expect_error("NOT_A_MEMBER", "channel", "a")
    await ada.refused("CHANNEL_NOT_FOUND", "join_channel", channel="new:one")
    await ada.join("science:explore")
    await ada.send(type="event", id="b", room="science", channel="explore", ack=True)
    await ada.expect(type="ack", request_id="b")
    await ada.close()


async def test_where_channels_are_not_made_by_use_a_message_to_none_is_refused(start):
    broker = start("--set", "server.auto_create=no")
    ada = await broker.client()
    await ada.publish("new:one", 1, id="a")
    await ada.expect_error("CHANNEL_NOT_FOUND", "channel", "a")
    await ada.call("create_channel", channel="new:one")
    await ada.publish("new:one", 1, ack=True)
    await ada.expect(type="ack")
    await ada.close()


async def test_the_default_room_may_be_another(start):
    broker = start("--set", "server.default_room=lobby", "--set", "server.bootstrap=lobby:all")
    ada = await broker.client()
    assert (await ada.join("desk"))["room"] == "lobby"
    assert [c["channel"] for c in (await ada.call("list_channels"))["channels"]] == ["all", "desk"]
    await ada.close()


async def test_a_client_that_says_ping_may_do_so_without_an_id(broker):
    ada = await broker.client()
    await ada.send(type="ping")
    await ada.expect(type="pong", request_id=None)
    await ada.close()

# SPDX-License-Identifier: Apache-2.0
"""Every field of what goes in and comes out, at its limits and beyond."""

import json
import re

import pytest

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
OF_ANY = {"version", "id", "type", "from", "timestamp"}


def has_exactly(message, *fields):
    """The message has these fields beside those of any, and no other."""
    assert set(message) == OF_ANY | set(fields), message
    assert message["version"] == "1.0" and STAMP.fullmatch(message["timestamp"]), message
    assert 1 <= len(message["id"]) <= 128
    return message


async def test_a_message_has_the_fields_of_the_manual_and_no_other(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("fields:one")
    await ada.send(type="event", room="fields", channel="one", colour="red", request_id="x")
    got = has_exactly(await bob.receive(), "room", "channel", "seq", "epoch", "payload")
    assert got["payload"] == {} and got["from"] == ada.id and (got["room"], got["channel"]) == ("fields", "one")
    await ada.send(type="message", room="fields", metadata={"k": 1}, payload=None)
    got = has_exactly(await bob.receive(), "room", "payload", "metadata")
    assert got["payload"] is None and got["metadata"] == {"k": 1}
    await ada.send(type="private", to=bob.id)
    got = has_exactly(await bob.receive(), "to", "payload")
    assert got["to"] == bob.id and got["payload"] == {}
    await ada.close()
    await bob.close()


async def test_answers_have_the_fields_of_the_manual_and_no_other(broker):
    ada = await broker.client()
    await ada.send(type="ping", id="p")
    assert has_exactly(await ada.receive(), "request_id", "payload")["type"] == "pong"
    await ada.send(type="event", id="a", channel="answers:one", ack=True)
    ack = has_exactly(await ada.receive(), "request_id", "payload")
    assert ack["type"] == "ack" and set(ack["payload"]) == {"id", "seq", "epoch", "stored"}
    await ada.send(type="event", id="r", room="nowhere", ack=True)
    error = has_exactly(await ada.receive(), "request_id", "payload")
    assert error["type"] == "error" and set(error["payload"]) == {"code", "message", "field"}
    await ada.send(type="command", id="c", command="ping")
    reply = has_exactly(await ada.receive(), "request_id", "command", "status", "payload")
    assert reply["type"] == "command_response" and set(reply["payload"]) == {"request_id", "status", "result"}
    await ada.send(type="command", id="c", command="dance")
    reply = has_exactly(await ada.receive(), "request_id", "command", "status", "payload")
    assert set(reply["payload"]) == {"request_id", "status", "error"}
    for answer in (ack, error, reply):
        assert answer["from"] == "arqonbus"
    await ada.close()


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.99"])
async def test_any_minor_version_is_taken_and_answered_as_1_0(broker, version):
    ada = await broker.client()
    await ada.send(type="ping", id="v", version=version)
    await ada.expect(type="pong", version="1.0", request_id="v")
    await ada.close()


@pytest.mark.parametrize("version", ["1", "1.", "2.0", "0.9", "1.x", "1.0.0", "v1.0", "", "1.0 "])
async def test_any_other_version_is_refused(broker, version):
    ada = await broker.client()
    await ada.send(type="ping", id="v", version=version)
    await ada.expect_error("UNSUPPORTED_VERSION", "version", "v")
    await ada.close()


@pytest.mark.parametrize("id", ["x", "x" * 128, "\u20ac" * 42, 'a "quoted" \\ id', "\U0001f600"])
async def test_an_id_comes_back_as_it_was_sent(broker, id):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("ids:one")
    await ada.publish("ids:one", 1, id=id, ack=True)
    ack = await ada.expect(type="ack", request_id=id)
    assert ack["payload"]["id"] == id
    await bob.expect(type="event", id=id)
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("stamp", ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456789+23:59", "2024-02-29t00:00:00z"])
async def test_a_timestamp_may_be_any_of_rfc_3339_and_the_brokers_counts(broker, stamp):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("stamps:one")
    await ada.publish("stamps:one", 1, timestamp=stamp)
    got = await bob.expect(type="event")
    assert STAMP.fullmatch(got["timestamp"]) and got["timestamp"][:16] != stamp[:16]
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("stamp", ["", "2026-02-30T00:00:00Z", "2026-01-31", "2026-01-31T25:00:00Z", 1700000000,
                                   "2026-01-31T12:00:00"])
async def test_a_malformed_timestamp_is_refused(broker, stamp):
    ada = await broker.client()
    await ada.publish("stamps:one", 1, timestamp=stamp, id="s")
    await ada.expect_error("INVALID_ENVELOPE", "timestamp", "s")
    await ada.close()


@pytest.mark.parametrize("fields, field", [
    ({"retain": True}, "retain"), ({"ttl": 1000}, "ttl"), ({"expect_reply_ms": 5}, "expect_reply_ms"),
])
async def test_what_comes_in_a_later_version_is_refused_not_ignored(broker, fields, field):
    ada = await broker.client()
    for target in ({"type": "event", "channel": "later:one"}, {"type": "private", "to": ada.id}):
        await ada.send(id="l", **target, **fields)
        await ada.expect_error("INVALID_ARGUMENT", field, "l")
    await ada.expect_nothing()
    await ada.close()


@pytest.mark.parametrize("fields,field,code", [
    ({"seq": 1, "epoch": "e"}, "seq", "INVALID_ARGUMENT"),
    *[({"seq": 1, "epoch": "e", **wrong}, list(wrong)[0], "INVALID_ENVELOPE") for wrong in (
        {"seq": None}, {"seq": 0}, {"seq": "1"}, {"epoch": None}, {"epoch": 7}, {"epoch": "e" * 100}, {"ok": "no"})]])
async def test_an_ack_of_what_one_does_not_have_is_refused(broker, fields, field, code):
    ada = await broker.client()
    await ada.send(type="ack", id="g", room="r", channel="c", **fields)
    await ada.expect_error(code, field, "g")
    await ada.close()


@pytest.mark.parametrize("type", ["command_response", "error", "pong", "gap", "Event", "", "x" * 1000])
async def test_what_only_the_broker_says_is_no_type_of_a_client(broker, type):
    ada = await broker.client()
    await ada.send(type=type, id="t", channel="types:one")
    await ada.expect_error("UNKNOWN_TYPE", "type", "t")
    await ada.close()


@pytest.mark.parametrize("payload", [None, True, 0, -1.5e300, "", "text", [], {}, [[[]]], {"": ""}])
async def test_a_payload_may_be_any_value(broker, payload):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("values:one")
    await ada.publish("values:one", payload)
    await bob.expect(type="event", payload=payload)
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("name", ["a", "A", "0", "_", "-", "a.b", "x" * 64, "-.-", "a..b"])
async def test_a_name_of_the_alphabet_is_good(broker, name):
    ada = await broker.client()
    joined = await ada.call("join_channel", room=name, channel=name)
    assert (joined["room"], joined["channel"]) == (name, name)
    await ada.close()


@pytest.mark.parametrize("name", ["", ".", ".a", "x" * 65, "a b", "a/b", "a\n", "\u00e4", "a*", "*", "a\u0000", "%41", "x" * 1000])
async def test_any_other_name_is_refused_of_room_and_channel(broker, name):
    ada = await broker.client()
    await ada.send(type="event", id="c", room="names", channel=name)
    await ada.expect_error("INVALID_NAME", "channel", "c")
    await ada.send(type="event", id="r", room=name, channel="names")
    await ada.expect_error("INVALID_NAME", "room", "r")
    await ada.close()


async def test_names_that_differ_in_case_are_different_channels(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("case:one")
    await ada.publish("case:One", 1)
    await ada.publish("Case:one", 2)
    await ada.publish("case:one", 3)
    await bob.expect(type="event", payload=3, seq=1)
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("fields, code, field", [
    ({"room": "a", "channel": "a:b:c"}, "INVALID_NAME", "channel"),
    ({"room": "x", "channel": "a:b"}, "INVALID_ENVELOPE", "channel"),
    ({"room": "a:b", "channel": "c"}, "INVALID_ENVELOPE", "channel"),
    ({"channel": ":b"}, "INVALID_NAME", "channel"),
    ({"channel": "a:"}, "INVALID_NAME", "channel"),
    ({"room": ":"}, "INVALID_NAME", "room"),
    ({"room": "a:" + "x" * 65}, "INVALID_NAME", "room"),
    ({"room": None, "channel": None}, "TARGET_REQUIRED", "channel"),
    ({"room": "*"}, "INVALID_NAME", "room"),
    ({"room": "*", "channel": "a"}, "INVALID_NAME", "room"),
    ({"channel": "*"}, "INVALID_NAME", "channel"),
    ({"room": ["a"], "channel": "b"}, "INVALID_ENVELOPE", "room"),
])
async def test_a_bad_address_is_named(broker, fields, code, field):
    ada = await broker.client()
    await ada.send(type="event", id="a", **fields)
    error = await ada.receive()
    assert error["payload"]["code"] == code and error["request_id"] == "a", error
    assert error["payload"].get("field") == field, error
    await ada.close()


@pytest.mark.parametrize("to", ["", 5, {}, [5], [""], ["x"] * 65, None, "x" * 65, [["x"]]])
async def test_a_bad_receiver_is_named(broker, to):
    ada = await broker.client()
    await ada.send(type="private", id="p", to=to)
    error = (await ada.expect(type="error", request_id="p"))["payload"]
    code = {None: "TARGET_REQUIRED", "x" * 65: "TARGET_NOT_FOUND"}.get(to if not isinstance(to, (list, dict)) else 0,
                                                                       "INVALID_ENVELOPE")
    assert error["field"] == "to" and error["code"] in (code, "INVALID_ENVELOPE"), error
    await ada.close()


async def test_64_receivers_are_as_many_as_there_may_be(broker):
    ada, bob = await broker.client(), await broker.client()
    ghosts = [f"ghost{i}" for i in range(63)]
    await ada.send(type="private", id="p", to=ghosts + [bob.id], ack=True)
    ack = await ada.expect(type="ack", request_id="p")
    assert ack["payload"]["missing"] == ghosts and ack["payload"]["delivered"] == 1
    await bob.expect(type="private")
    await ada.close()
    await bob.close()


async def test_one_may_write_to_oneself(broker):
    ada = await broker.client("?alias=ada.self")
    await ada.send(type="private", to=["ada.self", ada.id], payload="note")
    await ada.expect(type="private", payload="note")
    await ada.expect_nothing()
    await ada.close()


async def test_a_frame_of_whitespace_and_odd_escapes_is_as_good(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("odd:one")
    await ada.send(' \t\r\n{ "t\\u0079pe" : "\\u0065vent" ,"room":"o\\u0064d","channel":"one", "payload" : 1 }\n ')
    await bob.expect(type="event", payload=1)
    await ada.close()
    await bob.close()


async def test_depth_and_values_are_counted_over_the_whole_message(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("deep:one")
    head = '{"type":"event","room":"deep","channel":"one","payload":'
    await ada.send(head + "[" * 31 + "]" * 31 + "}")
    assert (await bob.expect(type="event"))["payload"] == json.loads("[" * 31 + "]" * 31)
    most = 4096 - 5  # the object, type, room, channel and the array are values, too
    await ada.send(head + "[" + ",".join("1" * 1 for _ in range(most)) + "]}")
    assert len((await bob.expect(type="event"))["payload"]) == most
    await ada.send(head + "[" + ",".join("1" for _ in range(most + 1)) + "]}")
    await ada.expect_error("INVALID_JSON")
    await ada.close()
    await bob.close()

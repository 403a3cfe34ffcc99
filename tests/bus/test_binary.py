# SPDX-License-Identifier: Apache-2.0
"""Binary messages: arqonbus-protocol(7), BINARY MESSAGES."""

import base64
import json

import pytest

BYTES = bytes(range(256))


def pack(header, data=BYTES):
    text = json.dumps(header).encode()
    return len(text).to_bytes(2, "big") + text + data


def unpack(frame):
    assert isinstance(frame, bytes), frame
    n = int.from_bytes(frame[:2], "big")
    return json.loads(frame[2:2 + n]), frame[2 + n:]


def event(address, **fields):
    return {"type": "event", "channel": address, **fields}


async def test_bytes_go_as_bytes_to_who_takes_them_and_as_base64_to_others(broker):
    ada, bob, eve = await broker.client(), await broker.client("?binary=1"), await broker.client()
    for c in ada, bob, eve:
        await c.join("bin:one")
    await ada.ws.send(pack(event("bin:one", id="m1", metadata={"k": "v"})))
    header, data = unpack(await bob.ws.recv())
    assert data == BYTES
    assert header["id"] == "m1" and header["from"] == ada.id and header["seq"] == 1 and header["metadata"] == {"k": "v"}
    assert "payload" not in header and "encoding" not in header
    got = await eve.expect(id="m1", type="event", encoding="base64", metadata={"k": "v"}, seq=1)
    assert base64.b64decode(got["payload"], validate=True) == BYTES
    await ada.publish("bin:one", {"text": 1})
    assert json.loads(await bob.ws.recv())["payload"] == {"text": 1}  # text stays text
    for c in ada, bob, eve:
        await c.close()


async def test_history_has_them_as_base64_even_for_who_takes_bytes(broker):
    ada = await broker.client("?binary=1")
    await ada.join("bin:two")
    await ada.ws.send(pack(event("bin:two", ack=True, id="m2")))
    await ada.expect(type="ack", request_id="m2")
    page = await ada.call("history", channel="bin:two")
    (kept,) = page["messages"]
    assert kept["encoding"] == "base64" and base64.b64decode(kept["payload"]) == BYTES
    await ada.close()


async def test_what_was_missed_comes_as_bytes(broker):
    ada = await broker.client("?binary=1")
    where = await ada.join("bin:missed")
    await ada.call("leave_channel", channel="bin:missed")
    bob = await broker.client()
    await bob.ws.send(pack(event("bin:missed", ack=True)))
    await bob.expect(type="ack")
    await ada.join("bin:missed", since={"seq": where["seq"], "epoch": where["epoch"]})
    assert unpack(await ada.ws.recv())[1] == BYTES
    await ada.close()
    await bob.close()


async def test_identify_turns_it_on_and_off(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("bin:three")
    assert (await bob.call("identify", binary=True))["binary"] is True
    await ada.ws.send(pack(event("bin:three"), b""))
    assert unpack(await bob.ws.recv())[1] == b""
    assert (await bob.call("identify", binary=False))["binary"] is False
    await ada.ws.send(pack(event("bin:three"), b""))
    await bob.expect(payload="", encoding="base64")
    await ada.close()
    await bob.close()


async def test_private_and_room_wide_messages_may_be_bytes(broker):
    ada, bob = await broker.client(), await broker.client("?binary=1")
    await bob.join("binroom:x")
    await ada.ws.send(pack({"type": "private", "to": bob.id}, b"secret"))
    header, data = unpack(await bob.ws.recv())
    assert header["type"] == "private" and data == b"secret"
    await ada.ws.send(pack({"type": "message", "room": "binroom"}, b"all"))
    header, data = unpack(await bob.ws.recv())
    assert "channel" not in header and data == b"all"
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 16000, 16384, 20000, 60000])
async def test_every_size_comes_whole_in_both_forms(broker, size):
    ada, bob, eve = await broker.client(), await broker.client("?binary=1"), await broker.client()
    data = (BYTES * 256)[:size]
    for c in bob, eve:
        await c.join("bin:size")
    for _ in range(3):  # several in one turn
        await ada.ws.send(pack(event("bin:size"), data))
    for _ in range(3):
        assert unpack(await bob.ws.recv())[1] == data
        assert base64.b64decode((await eve.receive())["payload"]) == data
    for c in ada, bob, eve:
        await c.close()


@pytest.mark.parametrize("frame, code, says", [
    (b"", "INVALID_ENVELOPE", "length is 0"),
    (b"\0\x09{}", "INVALID_ENVELOPE", "length is 9, but 2 bytes follow"),
    (pack({"type": "command", "command": "ping"}), "INVALID_ENVELOPE", "not a command"),
    (pack(event("a:b", payload=1)), "INVALID_ENVELOPE", "payload"),
    (b"\0\x02[]", "INVALID_ENVELOPE", "object"),
    (b"\0\x02\xff\xff", "INVALID_JSON", "UTF-8"),
])
async def test_a_bad_header_is_told_and_the_connection_stays(broker, frame, code, says):
    ada = await broker.client()
    await ada.ws.send(frame)
    error = await ada.expect_error(code)
    assert says in error["message"]
    await ada.expect_nothing()
    await ada.close()


async def test_where_binary_is_off_it_closes(start):
    broker = start("--set", "server.binary=no")
    ada = await broker.client()
    await ada.ws.send(pack(event("a:b")))
    await ada.closed(1003, "not allowed")


async def test_a_message_over_the_limit_closes_whatever_it_is(broker):
    ada = await broker.client()
    await ada.ws.send(pack(event("a:b"), b"x" * 65536))
    await ada.closed(1009)

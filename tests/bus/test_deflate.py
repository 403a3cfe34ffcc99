# SPDX-License-Identifier: Apache-2.0
"""permessage-deflate (RFC 7692), where it is on."""

import json
import os
import zlib

import pytest
from broker import IO_THREADS
from raw import Raw
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

EXTENSIONS = "Sec-WebSocket-Extensions"
ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
M = Raw.make
TEXT = "the same words again and again, " * 40


def pack(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


def unpack(data):
    return zlib.decompress(data + b"\0\0\xff\xff\x01\0\0\xff\xff", -15)


@pytest.fixture
def deflating(start):
    return start("--set", "server.deflate=yes")


def compressing(**kw):
    return {"compression": None, "extensions": [ClientPerMessageDeflateFactory(**kw)]}


async def test_it_is_off_unless_turned_on(broker):
    ada = await broker.client(**compressing())
    assert ada.ws.extensions == []
    await ada.expect_nothing()
    await ada.close()


async def test_compressed_and_plain_clients_understand_each_other(deflating):
    ada = await deflating.client(**compressing())
    bob = await deflating.client(compression=None)
    assert ada.ws.extensions and not bob.ws.extensions
    for c in ada, bob:
        await c.join("zip:one", echo=True)
    for sender in ada, bob:
        await sender.publish("zip:one", TEXT)
        for c in ada, bob:
            assert (await c.expect(type="event", **{"from": sender.id}))["payload"] == TEXT
    await deflating.settle()
    m = deflating.metrics()
    assert 0 < m["arqonbus_deflate_output_bytes_total"] < m["arqonbus_deflate_input_bytes_total"] / 3
    assert 0 < m["arqonbus_inflate_input_bytes_total"] < m["arqonbus_inflate_output_bytes_total"] / 3
    await ada.close()
    await bob.close()


async def test_a_message_is_compressed_once_for_all_its_receivers(deflating):
    crowd = [await deflating.client(**compressing()) for _ in range(20)]
    for c in crowd:
        await c.join("zip:crowd")
    await deflating.settle()
    before = deflating.metrics()["arqonbus_deflate_input_bytes_total"]
    ada = await deflating.client(compression=None)
    await ada.publish("zip:crowd", TEXT)
    for c in crowd:
        got = await c.expect(type="event", payload=TEXT)
    await deflating.settle()
    after = deflating.metrics()["arqonbus_deflate_input_bytes_total"]
    workers = max(1, int(IO_THREADS))
    assert after - before <= workers * len(json.dumps(got)) + 100
    for c in [*crowd, ada]:
        await c.close()


async def test_binary_messages_are_compressed_too(deflating):
    ada = await deflating.client("?binary=1", **compressing())
    await ada.join("zip:bin", echo=True)
    header = json.dumps({"type": "event", "channel": "zip:bin"}).encode()
    await ada.ws.send(len(header).to_bytes(2, "big") + header + b"\0" * 5000)
    frame = await ada.ws.recv()
    assert frame.endswith(b"\0" * 5000)
    await deflating.settle()
    m = deflating.metrics()
    assert m["arqonbus_deflate_input_bytes_total"] > 5000
    assert 0 < m["arqonbus_deflate_output_bytes_total"] < 1000
    await ada.close()


async def test_what_does_not_compress_may_be_as_long_as_plain(deflating):
    """This library compresses all it sends, and so makes it longer."""
    ada = await deflating.client("?binary=1", **compressing())
    limit = ada.welcome["payload"]["max_message_size"]
    header = json.dumps({"type": "event", "channel": "zip:noise"}).encode()
    await ada.join("zip:noise", echo=True)
    noise = os.urandom(limit - 2 - len(header))
    assert len(pack(noise)) > len(noise)
    await ada.ws.send(len(header).to_bytes(2, "big") + header + noise)
    assert (await ada.ws.recv()).endswith(noise)
    await ada.ws.send(len(header).to_bytes(2, "big") + header + noise + b"x")
    await ada.closed(1009, f"inflate to more than the limit of {limit}")


@pytest.fixture
def raw(deflating):
    made = []

    def dial(offer="permessage-deflate"):
        r = Raw(deflating.port)
        made.append(r)
        r.send(r.head(add=[f"{EXTENSIONS}: {offer}"]))
        status, r.headers = r.answer()
        assert status == 101
        r.frame()  # the welcome
        return r

    yield dial
    for r in made:
        r.close()


@pytest.mark.parametrize("offer, accepted", [
    ("permessage-deflate", True),
    ("permessage-deflate; client_max_window_bits", True),
    ("permessage-deflate; server_max_window_bits=15", True),
    ("permessage-deflate; server_max_window_bits=10", False),
    ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
    ("permessage-deflate; unknown", False),
    ("x-other, permessage-deflate; server_no_context_takeover", True),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False),
    ("x-webkit-deflate-frame", False),
])
def test_offers_are_judged_as_the_rfc_says(raw, offer, accepted):
    answer = ANSWER + ("; server_max_window_bits=15" if "bits=15" in offer else "")
    assert raw(offer).headers.get(EXTENSIONS.lower()) == (answer if accepted else None)


def compressed(opcode, data, fin=True):
    return M(opcode, data, fin=fin, rsv=4)


def test_a_message_may_be_compressed_in_pieces(raw):
    r = raw()
    data = pack(b'{"type":"ping","id":"' + b"x" * 100 + b'"}')
    r.send(compressed(1, data[:5], fin=False) + M(0, data[5:9], fin=False) + M(0, data[9:]))
    opcode, payload = r.frame()
    assert opcode == 1 and r.compressed and b'"pong"' in unpack(payload)


def test_short_messages_are_not_compressed(raw):
    r = raw()
    r.send(M(1, b'{"type":"ping"}'))
    opcode, payload = r.frame()
    assert opcode == 1 and not r.compressed and b'"pong"' in payload


@pytest.mark.parametrize("frames, code, says", [
    (compressed(1, pack(b" " * 10_000_000)), 1009, "limit of 65536"),
    (compressed(1, b"\xff\xff\xff"), 1002, "broken"),
    (compressed(1, pack(b"\xff\xfe")), 1007, "UTF-8"),
    (M(1, b"{", fin=False) + compressed(0, pack(b"}")), 1002, "reserved bit"),
    (compressed(9, b""), 1002, "reserved bit"),
])
def test_what_does_not_inflate_well_closes(raw, frames, code, says):
    r = raw()
    r.send(frames)
    assert says in r.closed(code)


def test_without_agreement_a_compressed_frame_is_an_error(raw):
    r = raw("x-nothing")
    r.send(compressed(1, pack(b"{}")))
    assert "reserved bit" in r.closed(1002)

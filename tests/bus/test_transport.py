# SPDX-License-Identifier: Apache-2.0
"""The handshake (H) and the frames (W), from a peer that breaks the rules."""

import asyncio
import socket
import struct
import time

import pytest
import websockets
from raw import Raw

PING = b'{"type":"ping","id":"%d"}'


@pytest.fixture
def raw(broker):
    peers = []

    def connect():
        peers.append(Raw(broker.port))
        return peers[-1]

    yield connect
    for p in peers:
        p.close()


def test_a_good_handshake_is_answered_as_the_rfc_says(raw):
    peer = raw()
    peer.send(peer.head(**{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}))
    status, headers = peer.answer()
    assert status == 101 and headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "sec-websocket-protocol" not in headers and "sec-websocket-extensions" not in headers


def test_h12_our_subprotocol_is_named_and_others_are_not(raw):
    for offer, named in (("chat, arqonbus.v1", "arqonbus.v1"), ("chat", None), ("ARQONBUS.V1", None)):
        peer = raw()
        peer.send(peer.head(add=[f"Sec-WebSocket-Protocol: {offer}"]))
        status, headers = peer.answer()
        assert status == 101 and headers.get("sec-websocket-protocol") == named


def test_h13_extensions_are_ignored(raw):
    peer = raw()
    peer.send(peer.head(add=["Sec-WebSocket-Extensions: permessage-deflate"]))
    status, headers = peer.answer()
    assert status == 101 and "sec-websocket-extensions" not in headers


BAD_HANDSHAKES = {
    "h1_no_key": (400, lambda r: r.head("Sec-WebSocket-Key")),
    "h1_short_key": (400, lambda r: r.head(**{"Sec-WebSocket-Key": "c2hvcnQ="})),
    "h1_no_base64": (400, lambda r: r.head(**{"Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!=="})),
    "h2_other_version": (426, lambda r: r.head(**{"Sec-WebSocket-Version": "8"})),
    "h2_no_version": (426, lambda r: r.head("Sec-WebSocket-Version")),
    "h3_post": (405, lambda r: r.head(request="POST / HTTP/1.1")),
    "h3_http_1_0": (505, lambda r: r.head(request="GET / HTTP/1.0")),
    "h3_http_2_preface": (505, lambda r: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "h4_no_upgrade": (426, lambda r: r.head("Upgrade")),
    "h4_no_connection": (426, lambda r: r.head("Connection")),
    "h4_connection_without_the_token": (426, lambda r: r.head(Connection="keep-alive")),
    "h5_h2c": (426, lambda r: r.head(Upgrade="h2c")),
    "h6_two_hosts": (400, lambda r: r.head(add=["Host: other"])),
    "h6_two_origins": (400, lambda r: r.head(add=["Origin: http://a", "Origin: http://b"])),
    "h6_two_keys": (400, lambda r: r.head(add=["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])),
    "h6_two_versions": (400, lambda r: r.head(add=["Sec-WebSocket-Version: 13"])),
    "h9_long_head": (431, lambda r: r.head(add=[f"X-{i}: " + "y" * 1000 for i in range(9)])),
    "h9_many_headers": (431, lambda r: r.head(add=[f"X-{i}: y" for i in range(64)])),
    "h9_long_line": (431, lambda r: r.head(add=["X: " + "y" * 4096])),
    "h11_folded": (400, lambda r: r.head(add=["X: a", " b"])),
    "h11_nul": (400, lambda r: r.head(add=["X: a\0b"])),
    "h11_bare_lf": (400, lambda r: r.head(add=["X: a\nY: b"])),
    "h11_bare_cr": (400, lambda r: r.head(add=["X: a\rY: b"])),
    "h11_space_before_colon": (400, lambda r: r.head(add=["X : a"])),
    "h11_content_length": (400, lambda r: r.head(add=["Content-Length: 5"])),
    "h11_transfer_encoding": (400, lambda r: r.head(add=["Transfer-Encoding: chunked"])),
    "no_host": (400, lambda r: r.head("Host")),
    "garbage": (400, lambda r: b"\x16\x03\x01\x02\x00\r\n\r\n"),
}


@pytest.mark.parametrize("name", BAD_HANDSHAKES)
def test_h_a_bad_handshake_is_a_real_http_answer(raw, name):
    status, make = BAD_HANDSHAKES[name]
    peer = raw()
    peer.send(make(peer))
    got, headers = peer.answer()
    assert got == status
    if status == 426:
        assert headers["sec-websocket-version"] == "13"
    assert int(headers["content-length"]) > 0
    peer.ended()


def test_h10_a_head_that_drips_is_cut_off_at_its_deadline(start):
    broker = start("--set", "server.handshake_timeout=300ms")
    peer = Raw(broker.port)
    begin = time.monotonic()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for byte in peer.head() * 100:
            peer.send(bytes([byte]))
            peer.socket.settimeout(0.01)
            try:
                if peer.socket.recv(1) == b"":
                    raise ConnectionResetError
            except TimeoutError:
                pass
    assert time.monotonic() - begin >= 0.25
    peer.close()


def test_w14_a_handshake_and_frames_byte_by_byte_are_the_same(raw):
    peer = raw()
    for byte in peer.head():
        peer.send(bytes([byte]))
    assert peer.answer()[0] == 101
    peer.frame()
    for byte in peer.make(1, PING % 1):
        peer.send(bytes([byte]))
    assert '"request_id":"1"' in peer.text()


def test_w14_a_thousand_frames_in_one_segment_are_all_answered_in_order(raw):
    peer = raw().open()
    peer.send(b"".join(peer.make(1, PING % i) for i in range(1000)))
    for i in range(1000):
        assert f'"request_id":"{i}"' in peer.text()


def test_h15_frames_behind_the_handshake_are_heard(raw):
    peer = raw()
    peer.send(peer.head() + peer.make(1, PING % 7))
    assert peer.answer()[0] == 101
    peer.frame()
    assert '"request_id":"7"' in peer.text()


M = Raw.make
BAD_FRAMES = {
    "w1_unmasked": (1002, M(1, b"{}", mask=None)),
    "w2_reserved_bit": (1002, M(1, b"{}", rsv=4)),
    "w3_reserved_opcode_3": (1002, M(3, b"{}")),
    "w3_reserved_opcode_11": (1002, M(11, b"")),
    "w4_long_ping": (1002, M(9, b"x" * 126)),
    "w4_fragmented_ping": (1002, M(9, b"x", fin=False)),
    "w5_top_bit": (1002, M(1, b"", length=1 << 63, form=64)),
    "w5_long_form_16": (1002, M(1, b"{}", form=16)),
    "w5_long_form_64": (1002, M(1, b"x" * 200, form=64)),
    "w6_too_big_by_its_head": (1009, M(1, b"", length=65537, form=64)),
    "w7_fragments_too_big_together": (1009, M(1, b"x" * 65000, fin=False) + M(0, b"", length=537)),
    "w7_too_many_fragments": (1009, M(1, b"", fin=False) + M(0, b"", fin=False) * 64),
    "w8_continuation_without_start": (1002, M(0, b"x")),
    "w8_new_message_inside_another": (1002, M(1, b"x", fin=False) + M(1, b"y")),
    "w9_bad_utf8": (1007, M(1, b"\xff")),
    "w9_overlong": (1007, M(1, b"\xc0\xaf")),
    "w9_surrogate": (1007, M(1, b"\xed\xa0\x80")),
    "w9_split_and_bad": (1007, M(1, b"\xe2\x82", fin=False) + M(0, b"\x28")),
    "w9_cut_short": (1007, M(1, b"\xe2\x82")),
    "w9_bad_close_reason": (1007, M(8, b"\x03\xe8\xff")),
    "w11_half_a_code": (1002, M(8, b"\x03")),
    "w11_code_0": (1002, M(8, struct.pack(">H", 0))),
    "w11_code_999": (1002, M(8, struct.pack(">H", 999))),
    "w11_code_1004": (1002, M(8, struct.pack(">H", 1004))),
    "w11_code_1005": (1002, M(8, struct.pack(">H", 1005))),
    "w11_code_1006": (1002, M(8, struct.pack(">H", 1006))),
    "w11_code_1015": (1002, M(8, struct.pack(">H", 1015))),
    "w11_code_2999": (1002, M(8, struct.pack(">H", 2999))),
    "w11_code_5000": (1002, M(8, struct.pack(">H", 5000))),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_w_a_bad_frame_closes_with_its_code(raw, name):
    code, data = BAD_FRAMES[name]
    peer = raw().open()
    peer.send(data)
    assert peer.closed(code)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1012, 1013, 1014, 3000, 4999])
def test_w11_valid_close_codes_are_echoed(raw, code):
    peer = raw().open()
    peer.send(M(8, struct.pack(">H", code) + b"bye"))
    peer.closed(code)


def test_w9_a_character_may_be_split_between_fragments(raw):
    peer = raw().open()
    text = '{"type":"ping","id":"\u20ac"}'.encode()
    for i in range(len(text)):
        peer.send(M(1 if i == 0 else 0, text[i:i + 1], fin=i == len(text) - 1))
    assert '"request_id":"\u20ac"' in peer.text()


def test_w7_a_control_frame_may_come_between_fragments(raw):
    peer = raw().open()
    peer.send(M(1, b'{"type":', fin=False) + M(9, b"now") + M(0, b'"ping","id":"x"}'))
    got = [peer.frame(), peer.frame()]
    assert (10, b"now") in got and any(o == 1 and b'"pong"' in p for o, p in got)


def test_w7_each_message_in_pieces_has_a_time_of_its_own(start):
    """The end of one and the beginning of the next come together, for longer than one may take."""
    broker = start("--set", "server.message_timeout=300ms", telemetry=False)
    peer = Raw(broker.port).open()
    first, last = M(1, b'{"type":', fin=False), M(0, b'"ping"}')
    peer.send(first)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        peer.send(last + first)
        assert '"pong"' in peer.text()
    peer.close()


@pytest.mark.parametrize("threads", ["0", "2"])
async def test_the_welcome_is_the_first_frame_whatever_else_is_said(start, threads):
    broker = start("--io-threads", threads, telemetry=False)
    admin = await broker.admin()
    for n in range(100):
        for _ in range(20):
            await admin.send(type="system", room="*", payload={"n": n})
        peer = await asyncio.to_thread(Raw, broker.port)
        await asyncio.to_thread(peer.open)  # which insists on it
        peer.close()
    await admin.close()


def test_w12_what_comes_after_a_close_is_ignored(raw):
    peer = raw().open()
    peer.send(M(8, struct.pack(">H", 1000)) + M(1, PING % 1))
    opcode, payload = peer.frame()
    assert opcode == 8 and payload[:2] == b"\x03\xe8"
    peer.ended()


def test_w13_only_the_latest_ping_is_answered_and_a_flood_ends(raw):
    peer = raw().open()
    peer.send(b"".join(M(9, b"%d" % i) for i in range(10)))
    assert peer.frame() == (10, b"9")
    peer.send(M(9, b"x") * 200)
    assert "20 control frames" in peer.closed(4009)


def test_w7_a_message_that_is_never_finished_is_given_up(start):
    broker = start("--set", "server.message_timeout=200ms")
    for data in (M(1, b'{"type', fin=False), M(1, b"x" * 100)[:50]):
        peer = Raw(broker.port).open()
        peer.send(data)
        assert "200 ms" in peer.closed(1008)
        peer.close()


async def test_w15_a_peer_that_says_nothing_is_pinged_and_given_up(start):
    broker = start("--set", "server.ping_interval=100ms", "--set", "server.ping_timeout=100ms")
    silent = Raw(broker.port).open()
    assert silent.frame()[0] == 9
    assert "nothing heard" in silent.closed(1001)
    lively = await broker.client()  # the library answers pings
    await broker.wait_metric("arqonbus_pings_sent_total", lambda n: n > 5)
    await lively.expect_nothing()
    await lively.close()
    silent.close()


async def test_w16_w17_peers_that_vanish_leave_nothing_behind(broker):
    watcher = await broker.client()
    before = await broker.wait_metric("arqonbus_connections", lambda n: n >= 1)
    for i in range(30):
        peer = Raw(broker.port)
        if i % 3 > 0:
            peer.open()
        peer.send(b"\x81\xfe\x00" if i % 3 == 2 else b"GET / HT")
        if i % 2:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            peer.socket.shutdown(socket.SHUT_WR)
        peer.close()
    await broker.settle()
    await broker.wait_metric("arqonbus_connections", lambda n: n <= before)
    await broker.wait_metric("arqonbus_clients", lambda n: n <= before)
    await watcher.expect_nothing()
    await watcher.close()


async def test_s5_connections_over_the_limit_are_answered_503(start):
    broker = start("--set", "server.max_connections=3", telemetry=False)
    clients = [await broker.client() for _ in range(3)]
    extra = Raw(broker.port)
    extra.send(extra.head())
    status, headers = extra.answer()
    assert status == 503 and 1 <= int(headers["retry-after"]) <= 5
    extra.close()
    for c in clients:
        await c.expect_nothing()
    await clients[0].close()
    for c in clients[1:]:
        await c.close()


async def test_s4_running_out_of_descriptors_does_not_spin_and_heals(start):
    broker = start(telemetry=False, fds=60)
    broker.errors_expected = True
    first = await broker.client()
    peers = [Raw(broker.port) for _ in range(80)]
    broker.wait_log("accepting is paused")
    with open(f"/proc/{broker.process.pid}/stat") as f:
        before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    await first.expect_nothing()
    for p in peers:
        p.close()
    again = None
    deadline = time.monotonic() + 10
    while again is None and time.monotonic() < deadline:
        try:
            again = await broker.client()
        except (OSError, websockets.InvalidStatusCode, websockets.InvalidMessage):
            pass  # still full
    await again.expect_nothing()
    with open(f"/proc/{broker.process.pid}/stat") as f:
        after = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    assert after - before < 200, "two seconds of CPU in ticks: it spun"
    await first.close()
    await again.close()

# SPDX-License-Identifier: Apache-2.0
"""What is asked of the data port without WebSocket, and how it says no."""

import json
import os
import re
import socket

import pytest
from raw import Raw


def own_address():
    """An address of this machine that is not its loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = s.getsockname()[0]
        return None if address.startswith("127.") else address


def ask(port, request, host="127.0.0.1"):
    """(status, headers, body) of a request whose answer ends the connection."""
    with socket.create_connection((host, port), timeout=10) as s:
        s.sendall(request)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while more := s.recv(65536):
            answer += more
    head, body = answer.decode().split("\r\n\r\n", 1)
    lines = head.split("\r\n")
    return int(lines[0].split()[1]), dict(x.lower().split(": ", 1) for x in lines[1:]), body


def get(path, version="1.1", *headers):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", "Connection: close", *headers, "", ""]).encode()


def test_health_tells_every_part(broker):
    status, headers, body = ask(broker.port, get("/health"))
    assert status == 200 and headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"
    health = json.loads(body)
    assert set(health) == {"status", "core", "storage", "uptime_seconds", "plugins"} and health["plugins"] == {}


def test_health_names_a_plugin_that_failed(start):
    broker = start("--set", "telemetry-log.enabled=yes", "--set", "telemetry-log.file=/nowhere/audit.log")
    broker.errors_expected = True
    status, _, body = ask(broker.port, get("/health"))
    health = json.loads(body)
    assert status == 200 and health["status"] == "degraded" and health["plugins"] == {"telemetry-log": "failed"}
    assert ask(broker.port, get("/health/live"))[0] == 200


def test_http_1_0_is_answered_too(broker):
    status, headers, body = ask(broker.port, b"GET /version HTTP/1.0\r\n\r\n")
    assert status == 200 and headers["connection"] == "close"
    assert re.fullmatch(r"\d+\.\d+\.\d+", json.loads(body)["version"])


def test_requests_sent_together_are_answered_in_order_and_an_upgrade_may_follow(broker):
    peer = Raw(broker.port)
    page = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    peer.send(page % b"/version" + page % b"/health/live" + peer.head())
    for want in ("protocol", "status"):
        status, headers = peer.answer()
        assert status == 200
        n = int(headers["content-length"])
        peer.need(n)
        body, peer.buffer = peer.buffer[:n], peer.buffer[n:]
        assert want in json.loads(body)
    assert peer.answer()[0] == 101
    assert '"welcome"' in peer.text()
    peer.close()


def test_answers_that_nobody_reads_do_not_pile_up(start):
    # A sanitizer keeps what was freed, 256 MiB unless told otherwise.
    asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    broker = start(telemetry=False, env={"ASAN_OPTIONS": asan})
    peer = Raw(broker.port)
    before = broker.memory()
    peer.socket.settimeout(1)
    with pytest.raises(OSError):  # it is not read any more
        for _ in range(2000):
            peer.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
    assert broker.memory() - before < 32 << 20
    assert broker.http("/health")[0] == 200
    peer.close()


@pytest.mark.parametrize("headers, body, status", [
    (["Content-Length: 4"], b"abcd", 413),
    (["Transfer-Encoding: chunked"], b"4\r\nabcd\r\n0\r\n\r\n", 413),
    (["Content-Length: 0"], b"", 200),
    (["Content-Length: x"], b"", 400),
    (["Content-Length: 4", "Content-Length: 4"], b"abcd", 400),
])
def test_a_request_has_no_body(broker, headers, body, status):
    answer = ask(broker.port, get("/health", "1.1", *headers) + body)
    assert answer[0] == status
    if status != 200:
        error = json.loads(answer[2])["error"]
        assert error["status"] == status and error["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "BREW"])
def test_only_get_and_head_are_answered(broker, method):
    status, headers, _ = ask(broker.port, f"{method} /health HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert status == 405 and headers["allow"] == "get, head"


@pytest.mark.parametrize("path", ["/", "/health/x", "/healthy", "/metrics/", "/%68ealth", "/" + "x" * 3000])
def test_what_is_no_page_is_where_websockets_are(broker, path):
    status, headers, body = ask(broker.port, get(path))
    assert status == 426 and headers["upgrade"] == "websocket" and headers["sec-websocket-version"] == "13"
    assert "WebSocket" in json.loads(body)["error"]["message"]


def test_a_query_does_not_hide_a_page(broker):
    assert ask(broker.port, get("/health?verbose=1"))[0] == 200


def test_metrics_are_for_this_machine_and_for_those_who_are_allowed(start):
    address = own_address()
    if address is None:
        pytest.skip("this machine has only its loopback")
    broker = start(host="0.0.0.0")
    assert ask(broker.port, get("/metrics"))[0] == 200
    status, _, body = ask(broker.port, get("/metrics"), address)
    assert status == 403 and "arqonbus_" not in body
    for path in ("/health", "/version"):
        assert ask(broker.port, get(path), address)[0] == 200
    allowed = start("--set", f"server.metrics_allow=10.0.0.7, {address}", host="0.0.0.0")
    assert ask(allowed.port, get("/metrics"), address)[0] == 200
    wrong = start("--set", f"server.metrics_allow={address}0", host="0.0.0.0")
    assert ask(wrong.port, get("/metrics"), address)[0] == 403


def test_ipv4_peers_of_a_broker_on_every_address_are_who_they_are(start):
    broker = start(host="::")
    assert ask(broker.port, get("/metrics"))[0] == 200
    address = own_address()
    if address is not None:
        assert ask(broker.port, get("/metrics"), address)[0] == 403
        allowed = start("--set", f"server.metrics_allow={address}", host="::")
        assert ask(allowed.port, get("/metrics"), address)[0] == 200


def test_pongs_that_nobody_asked_for_are_a_sign_of_life_and_no_more(broker):
    """As .NET's client sends them."""
    peer = Raw(broker.port).open()
    peer.send(peer.make(10) + peer.make(10, b"still here") + peer.make(1, b'{"type":"ping","id":"p"}'))
    assert '"request_id":"p"' in peer.text()
    peer.close()

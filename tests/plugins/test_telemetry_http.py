# SPDX-License-Identifier: Apache-2.0
"""Who is let in at the telemetry port, and what HTTP answers there."""

import asyncio
import resource

import pytest
import websockets

from telemetry_peers import (
    expect,
    get,
    masked,
    Socket,
    told,
    watching,
)


# Who is let in.


def refused_upgrade(broker, path="/", headers={}):
    async def run():
        with pytest.raises(websockets.InvalidStatusCode) as caught:
            async with watching(broker, path, extra_headers=headers):
                pass
        return caught.value

    return asyncio.run(run())


@told
async def test_viewers_over_the_limit_are_told_503(broker_with):
    broker = broker_with(max_viewers=2)
    async with watching(broker):
        async with watching(broker):
            with pytest.raises(websockets.InvalidStatusCode) as caught:
                async with watching(broker):
                    pass
            assert caught.value.status_code == 503
            assert caught.value.headers["retry-after"] == "5"
            assert get(broker, "/health").status == 200
        broker.expect_metric("viewers", 1)
        async with watching(broker):
            pass


SHOWN = [
    ({}, "", False),
    ({"Authorization": "Bearer s3cret"}, "", True),
    ({"Authorization": "bearer s3cret"}, "", True),
    ({"Authorization": "Bearer s3cre"}, "", False),
    ({"Authorization": "Bearer s3cret1"}, "", False),
    ({"Authorization": "Bearer s3crets3cret"}, "", False),
    ({"Authorization": "Bearer "}, "", False),
    ({"Authorization": "Basic s3cret"}, "", False),
    ({"Authorization": "s3cret"}, "", False),
    ({"Authorization": "Bearer " + "s" * 3000}, "", False),
    ({}, "?token=s3cret", True),
    ({}, "?a=b&token=s3cret", True),
    ({}, "?token=s3%63ret", True),
    ({}, "?token=wrong", False),
    ({}, "?token=", False),
    ({}, "?tokens=s3cret", False),
    ({}, "?token=" + "s" * 3000, False),
]


@pytest.mark.parametrize(
    "headers,query,good", SHOWN, ids=[str(i) for i in range(len(SHOWN))]
)
def test_a_token_is_asked_for(broker_with, headers, query, good):
    broker = broker_with(token="s3cret")
    for path in ("/metrics", "/version"):
        assert get(broker, path + query, headers=headers).status == (
            200 if good else 401
        )
    assert get(broker, "/none" + query, headers=headers).status == (
        404 if good else 401
    )
    for path in ("/health", "/health/live", "/health/ready"):
        assert get(broker, path + query, headers=headers).status == 200
    if good:

        async def watch():
            async with watching(broker, "/" + query, extra_headers=headers):
                pass

        asyncio.run(watch())
    else:
        refusal = refused_upgrade(broker, "/" + query, headers)
        assert refusal.status_code == 401
        assert refusal.headers["www-authenticate"] == "Bearer"
    assert not any("s3cret" in line for line in broker.logs)


@pytest.mark.parametrize(
    "options,says",
    [
        ({"host": "0.0.0.0"}, "host: 0.0.0.0 lets others watch the bus"),
        ({"host": "::"}, "host: :: lets others watch the bus"),
        ({"host": "192.0.2.1"}, "host: 192.0.2.1 lets others watch the bus"),
        ({"host": "example.org"}, 'host: "example.org" is not an address'),
        ({"host": ""}, 'host: "" is not an address'),
        (
            {"host": "192.0.2.1", "token": "x"},
            "cannot listen on 192.0.2.1 port 0: Cannot assign",
        ),
    ],
)
def test_t1_a_host_that_will_not_do_is_refused(idle_broker, options, says):
    assert says in idle_broker(**options).start()


def test_t1_with_a_token_it_listens_for_others(broker_with):
    broker = broker_with(host="0.0.0.0", token="s3cret")
    assert get(broker, "/health").status == 200
    assert get(broker, "/metrics").status == 401


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_loopback_needs_no_token(broker_with, host):
    broker = broker_with(host=host)
    line = f"telemetry listening host={host} port={broker.port}"
    assert broker.logs == ["log info " + line]


def test_a_port_that_is_taken_is_named(broker, idle_broker):
    assert (
        f"cannot listen on 127.0.0.1 port {broker.port}: "
        "Address already in use" in idle_broker(port=broker.port).start()
    )


def test_switched_off_it_listens_nowhere(idle_broker):
    broker = idle_broker(enabled="false")
    assert broker.ask("metrics") == "metrics"
    before = broker.descriptors()
    assert broker.start() == "started 0 "
    assert broker.descriptors() == before
    broker.emit("a", 10)
    assert broker.ask("stop").startswith("stopped")
    assert broker.ask("fini") == "gone"
    assert broker.logs == []


# HTTP.

PAGES = [
    ("/health", "application/json", b'{"status":"ok","live":false}'),
    ("/health/live", "application/json", b'{"status":"ok","live":true}'),
    ("/health/ready", "application/json", b'{"status":"ok","live":false}'),
    ("/version", "application/json", b'{"name":"ArqonBus","version":"0"}'),
    ("/metrics", "text/plain; version=0.0.4; charset=utf-8", None),
]


@pytest.mark.parametrize("path,kind,body", PAGES)
def test_a_page_is_answered(broker, path, kind, body):
    for query in ("", "?a=b"):
        response = get(broker, path + query)
        assert response.status == 200
        assert response.getheader("content-type") == kind
        assert int(response.getheader("content-length")) == len(response.body)
        assert body is None or response.body == body
    head = get(broker, path, "HEAD")
    assert head.status == 200
    assert head.getheader("content-type") == kind
    assert head.getheader("content-length") == response.getheader(
        "content-length"
    )
    assert head.body == b""


@pytest.mark.parametrize(
    "path", ["/", "/none", "/health/", "/healthy", "/health/dead", "/Health"]
)
def test_anything_else_is_not_found(broker, path):
    assert get(broker, path).status == 404
    assert get(broker, path, "HEAD").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_allowed(broker, method):
    for body in (None, b"x" * 10, b"x" * 100000):
        response = get(broker, "/health", method, body=body)
        assert response.status == 405
        assert response.getheader("allow") == "GET, HEAD"
        assert response.getheader("connection") == "close"


def test_one_connection_serves_many_requests(broker):
    with Socket(broker) as peer:
        for path, _, body in PAGES * 100:
            peer.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, got = peer.response()
            assert status == 200
            assert body is None or got == body
        peer.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        for _ in range(50):
            assert peer.response()[0] == 200
        peer.send(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n")
        peer.head()
        peer.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert peer.response()[0] == 200
        assert peer.rest() == b""


def test_http_1_0_is_answered_and_closed(broker):
    with Socket(broker) as peer:
        peer.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert peer.response()[0] == 200
        assert peer.rest() == b""


def test_a_connection_may_ask_first_and_watch_then(broker):
    with Socket(broker) as peer:
        peer.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peer.response()[0] == 200
        assert "101" in peer.upgrade()
        assert peer.event()["event_type"] == "telemetry_connected"
        broker.emit("a")
        assert peer.event()["seq"] == 1


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 64 * 1024, 5000000])
def test_metrics_of_any_size_arrive_whole(broker, size):
    broker.ask(f"metrics_size {size}")
    assert len(get(broker, "/metrics").body) == size
    with Socket(broker, receive_buffer=4096) as peer:
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        peer.send(request * 2)
        for _ in range(2):
            status, body = peer.response()
            assert status == 200
            assert len(body) == size
            assert body.count(b"\n") == size // 64


def test_it_answers_while_the_core_is_stuck(broker):
    with Socket(broker) as viewer:
        viewer.upgrade()
        viewer.event()
        assert broker.ask("stall") == "stalled"
        for _ in range(100):
            assert get(broker, "/health").status == 503
            assert get(broker, "/metrics").status == 200
        assert get(broker, "/health").body == b'{"status":"stalled","live":false}'
        viewer.send(masked('{"type":"ping"}'))
        assert viewer.event()["event_type"] == "pong"
        assert broker.ask("go on") == "turning"
        assert get(broker, "/health").status == 200


def test_more_peers_than_allowed_are_told_503(broker_with):
    broker = broker_with(max_viewers=1)
    peers = [Socket(broker) for _ in range(257)]
    try:
        for peer in peers:
            peer.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert peer.response()[0] == 200
        with Socket(broker) as over:
            assert "503" in over.head()
    finally:
        for peer in peers:
            peer.socket.close()

    def served():
        with Socket(broker) as peer:
            peer.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            return peer.response()[0] == 200

    expect(served)


def test_s4_out_of_descriptors_it_turns_away_and_recovers(broker):
    pid = broker.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with Socket(broker) as viewer:
        viewer.upgrade()
        viewer.event()
        resource.prlimit(
            pid, resource.RLIMIT_NOFILE, (broker.descriptors(), hard)
        )
        for _ in range(5):
            with Socket(broker) as peer:
                assert "503" in peer.head()
        broker.emit("a")
        assert viewer.event()["seq"] == 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert get(broker, "/health").status == 200
    assert sum("out of descriptors" in line for line in broker.logs) == 1

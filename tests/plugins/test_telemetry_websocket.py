# SPDX-License-Identifier: Apache-2.0
"""What viewers of the telemetry port see, from the greeting to the end."""

import asyncio
import socket
import struct
import time

import pytest
import websockets

from telemetry_peers import (
    DEADLINE,
    expect,
    get,
    masked,
    Socket,
    told,
    watching,
)


# What a viewer sees.


@told
async def test_a_viewer_is_greeted_with_the_last_number(broker_with):
    broker = broker_with()
    broker.emit("stats", 7)
    async with watching(broker) as viewer:
        assert viewer.hello["seq"] == 7
        assert viewer.hello["node"] == 'north "1"'
        assert viewer.hello["timestamp"].endswith("Z")
        assert len(viewer.hello["timestamp"]) == len("2026-01-01T00:00:00.000Z")
        broker.expect_metric("viewers", 1)
    broker.expect_metric("viewers", 0)


@told
async def test_events_arrive_as_given_and_in_order(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        broker.emit("stats", 3, 2)
        for seq in (1, 2, 3):
            text = await viewer.websocket.recv()
            assert text == f'{{"seq":{seq},"event_type":"stats","pad":"xx"}}'
        broker.emit("big", 1, 60000)
        assert len((await viewer.get())["pad"]) == 60000
    assert broker.metric("events_total") == 4


@told
async def test_a_viewer_may_come_in_on_any_path(broker_with):
    broker = broker_with()
    for path in ("/", "/telemetry", "/a/b?c=d", "/health"):
        async with watching(broker, path) as viewer:
            broker.emit("stats")
            await viewer.expect(event_type="stats")


@told
async def test_fifty_viewers_see_every_event(broker_with):
    broker = broker_with()

    async def watch(greeted):
        async with watching(broker) as viewer:
            greeted.release()
            await viewer.expect_events(*range(1, 301))

    greeted = asyncio.Semaphore(0)
    viewers = [asyncio.create_task(watch(greeted)) for _ in range(50)]
    for _ in viewers:
        await greeted.acquire()
    broker.emit("stats", 300)
    await asyncio.gather(*viewers)


@told
async def test_our_subprotocol_is_named_when_offered(broker_with):
    broker = broker_with()
    async with watching(broker, subprotocols=["arqonbus.v1"]) as viewer:
        assert viewer.websocket.subprotocol == "arqonbus.v1"
    async with watching(broker) as viewer:
        assert viewer.websocket.subprotocol is None


# Filters.


@told
async def test_the_first_subscribe_narrows_and_the_next_adds(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        broker.emit("a")
        await viewer.expect(seq=1)
        await viewer.subscribe("b")
        await viewer.settle()
        broker.emit("a")
        broker.emit("b")
        await viewer.expect(seq=3, event_type="b")
        await viewer.subscribe("c", "b")
        await viewer.settle()
        broker.emit("a")
        broker.emit("b")
        broker.emit("c")
        await viewer.expect_events(5, 6)


@told
async def test_unsubscribe_takes_away(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        await viewer.send({"type": "unsubscribe", "events": ["a"]})
        await viewer.settle()
        broker.emit("a")
        broker.emit("b")
        await viewer.expect(seq=2)
        await viewer.subscribe("a", "c")
        await viewer.send({"type": "unsubscribe", "events": ["c", "none"]})
        await viewer.settle()
        broker.emit("b")
        broker.emit("c")
        broker.emit("a")
        await viewer.expect(seq=5)


@told
async def test_a_star_stands_for_all_types(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        await viewer.send({"type": "unsubscribe", "events": ["*"]})
        await viewer.settle()
        broker.emit("a")
        await viewer.settle()
        await viewer.subscribe("*")
        await viewer.settle()
        broker.emit("a")
        await viewer.expect(seq=2)


@told
async def test_a_viewer_keeps_sixty_four_names_at_most(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        names = [f"n{i}" for i in range(64)]
        await viewer.subscribe(*names)
        await viewer.subscribe("n63", "n0")
        await viewer.settle()
        await viewer.subscribe("one-more")
        await viewer.expect(
            code="LIMIT_REACHED",
            message="events: 65 names with those before; at most 64",
        )
        broker.emit("one-more")
        broker.emit("n63")
        await viewer.expect(seq=2)


# Coming back.


@told
async def test_since_replays_what_is_kept(broker_with):
    broker = broker_with()
    for kind in "abab":
        broker.emit(kind)
    async with watching(broker) as viewer:
        await viewer.subscribe("*", since=1)
        await viewer.expect_events(2, 3, 4)
    async with watching(broker) as viewer:
        await viewer.subscribe("b", since=0)
        await viewer.expect_events(2, 4)
        broker.emit("b")
        await viewer.expect(seq=5)
        await viewer.subscribe("b", since=5)
        await viewer.settle()


@told
async def test_since_above_the_last_event_names_it(broker_with):
    broker = broker_with()
    broker.emit("a", 7)
    async with watching(broker) as viewer:
        await viewer.subscribe("b", since=8)
        error = await viewer.expect(code="INVALID_ARGUMENT")
        assert error["message"] == "since: above the last event, 7"
        broker.emit("a")
        await viewer.expect(seq=8)


@told
async def test_since_begins_with_a_gap_when_not_all_is_kept(broker_with):
    broker = broker_with(buffer=300)
    broker.emit("a", 1000)
    async with watching(broker) as viewer:
        await viewer.subscribe("a", since=600)
        await viewer.expect(event_type="gap", **{"from": 601, "to": 700})
        await viewer.expect_events(*range(701, 1001))
        await viewer.settle()
    assert broker.metric("dropped_total") == 0


@told
async def test_a_small_buffer_keeps_no_more_than_it_says(broker_with):
    broker = broker_with(buffer=2)
    broker.emit("a", 10)
    async with watching(broker) as viewer:
        await viewer.subscribe("a", since=3)
        await viewer.expect(event_type="gap", **{"from": 4, "to": 8})
        await viewer.expect_events(9, 10)
    broker = broker_with(buffer=0)
    broker.emit("a", 10)
    async with watching(broker) as viewer:
        await viewer.subscribe("a", since=3)
        await viewer.expect(event_type="gap", **{"from": 4, "to": 10})
        # What is on its way is kept all the same.
        broker.emit("a", 100)
        await viewer.expect_events(*range(11, 111))


@told
async def test_the_memory_of_the_buffer_is_bounded_too(broker_with):
    broker = broker_with(buffer_memory="1MiB")
    broker.emit("a", 100, 100000)
    async with watching(broker) as viewer:
        await viewer.subscribe("a", since=0)
        await viewer.expect(event_type="gap", **{"from": 1, "to": 90})
        await viewer.expect_events(*range(91, 101))
        broker.emit("a", 1, 2000000)
        broker.emit("a")
        await viewer.expect(event_type="gap", **{"from": 101, "to": 101})
        await viewer.expect(seq=102)


@told
async def test_a_number_that_never_came_is_a_gap(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        broker.emit("a")
        broker.ask("skip 3")
        broker.emit("a")
        await viewer.expect(seq=1)
        await viewer.expect(event_type="gap", **{"from": 2, "to": 4})
        await viewer.expect(seq=5)
        broker.ask("skip 100000")
        broker.emit("a")
        await viewer.expect(event_type="gap", **{"from": 6, "to": 100005})
        await viewer.expect(seq=100006)
    broker = broker_with(buffer=300)
    broker.emit("a", 1000)
    broker.ask("skip 3")
    broker.emit("a")
    async with watching(broker) as viewer:
        await viewer.subscribe("a", since=999)
        await viewer.expect(seq=1000)
        await viewer.expect(event_type="gap", **{"from": 1001, "to": 1003})
        await viewer.expect(seq=1004)


@told
async def test_a_replay_is_not_cut_by_the_buffer_of_a_viewer(broker_with):
    broker = broker_with(viewer_buffer="16KiB")
    broker.emit("a", 9000, 1000)
    async with watching(broker) as viewer:
        await viewer.subscribe("a", since=0)
        await viewer.expect_events(*range(1, 9001))


# Bad frames.

BAD_FRAMES = [
    ("", "INVALID_JSON", "frame: not JSON"),
    ("{", "INVALID_JSON", "frame: not JSON"),
    ('{"type":"ping"}x', "INVALID_JSON", "frame: not JSON"),
    ('{"type":"ping"}{}', "INVALID_JSON", "frame: not JSON"),
    ("{'type':'ping'}", "INVALID_JSON", "frame: not JSON"),
    ('{"type":"ping","x":NaN}', "INVALID_JSON", "frame: not JSON"),
    ('{"type":"ping",}', "INVALID_JSON", "frame: not JSON"),
    ('{"type":"ping"/**/}', "INVALID_JSON", "frame: not JSON"),
    ('{"type":"pi\nng"}', "INVALID_JSON", "frame: not JSON"),
    ('{"type":"ping","x":"\0"}', "INVALID_JSON", "frame: not JSON"),
    ("[" * 2000, "INVALID_JSON", "frame: not JSON"),
    (b'{"type":"ping"}', "INVALID_JSON", "frame: binary; send text"),
    ("[]", "INVALID_ENVELOPE", "frame: not an object"),
    ("7", "INVALID_ENVELOPE", "frame: not an object"),
    ("null", "INVALID_ENVELOPE", "frame: not an object"),
    ("{}", "INVALID_ENVELOPE", "type: missing"),
    ({"type": 7}, "INVALID_ENVELOPE", "type: not a string"),
    ({"type": "publish"}, "UNKNOWN_TYPE", "type: unknown"),
    ({"type": "ping\0"}, "UNKNOWN_TYPE", "type: unknown"),
    ({"type": "subscribe"}, "INVALID_ARGUMENT", "events: missing"),
    (
        {"type": "subscribe", "events": "stats"},
        "INVALID_ARGUMENT",
        "events: not an array",
    ),
    (
        {"type": "subscribe", "events": ["a", 7]},
        "INVALID_ARGUMENT",
        "events[1]: not a string",
    ),
    (
        {"type": "subscribe", "events": ["a", None]},
        "INVALID_ARGUMENT",
        "events[1]: not a string",
    ),
    (
        {"type": "subscribe", "events": [""]},
        "INVALID_ARGUMENT",
        "events[0]: 0 bytes; a name has 1 to 64",
    ),
    (
        {"type": "unsubscribe", "events": ["x" * 65]},
        "INVALID_ARGUMENT",
        "events[0]: 65 bytes; a name has 1 to 64",
    ),
    (
        {"type": "subscribe", "events": ["a\0b"]},
        "INVALID_ARGUMENT",
        "events[0]: control character at byte 1",
    ),
    (
        {"type": "subscribe", "events": ["a"] * 65},
        "INVALID_ARGUMENT",
        "events: 65 names; at most 64",
    ),
    (
        {"type": "subscribe", "events": ["a"], "since": "1"},
        "INVALID_ARGUMENT",
        "since: not an integer",
    ),
    (
        {"type": "subscribe", "events": ["a"], "since": 0.5},
        "INVALID_ARGUMENT",
        "since: not an integer",
    ),
    (
        {"type": "subscribe", "events": ["a"], "since": None},
        "INVALID_ARGUMENT",
        "since: not an integer",
    ),
    (
        {"type": "subscribe", "events": ["a"], "since": -1},
        "INVALID_ARGUMENT",
        "since: below 0",
    ),
    (
        {"type": "subscribe", "events": ["a"], "since": 1000},
        "INVALID_ARGUMENT",
        "since: above the last event, ",
    ),
    (
        {"type": "subscribe", "events": ["a"], "since": 10**30},
        "INVALID_ARGUMENT",
        "since: above the last event, ",
    ),
    (
        {"type": "unsubscribe", "events": ["a"], "since": 1},
        "INVALID_ARGUMENT",
        "since: belongs to subscribe",
    ),
    (
        '{"type":"ping","pad":"' + "x" * 4073 + '"}',
        "MESSAGE_TOO_LARGE",
        "frame: over 4096 bytes",
    ),
    ("x" * 3000000, "MESSAGE_TOO_LARGE", "frame: over 4096 bytes"),
]


@told
async def test_a_bad_frame_is_answered_and_changes_nothing(broker_with):
    broker = broker_with()
    broker.emit("other")
    async with watching(broker) as viewer:
        for number, (frame, code, message) in enumerate(BAD_FRAMES):
            await viewer.send(frame)
            error = await viewer.expect(event_type="error", code=code)
            assert error["message"].startswith(message), frame
            broker.emit("other")
            await viewer.expect(seq=number + 2)
        await viewer.settle()


@told
async def test_a_frame_of_just_the_limit_is_read(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer:
        frame = '{"type":"ping","pad":"' + "x" * 4072 + '"}'
        assert len(frame) == 4096
        await viewer.send(frame)
        await viewer.expect(event_type="pong")
        await viewer.send([frame[:1000], frame[1000:3000], frame[3000:]])
        await viewer.expect(event_type="pong")
        await viewer.send(' \n{"type":"ping", "events": 7}\r\n\t ')
        await viewer.expect(event_type="pong")


@told
async def test_another_subprotocol_is_refused_with_a_word(broker_with):
    broker = broker_with()
    with pytest.raises(websockets.InvalidStatusCode) as caught:
        async with watching(broker, subprotocols=["chat", "xarqonbus.v1"]):
            pass
    assert caught.value.status_code == 400
    async with watching(broker, subprotocols=["chat", "arqonbus.v1"]) as viewer:
        assert viewer.websocket.subprotocol == "arqonbus.v1"


def test_text_that_is_not_utf_8_closes_with_1007(broker):
    with Socket(broker) as peer:
        assert "101" in peer.upgrade()
        peer.event()
        peer.send(masked(b'{"type":"\xff"}'))
        opcode, reason = peer.frame()
        assert opcode == 8
        assert struct.unpack(">H", reason[:2])[0] == 1007


def test_wild_peers_do_no_harm(broker):
    wild = [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        b"GET " + b"/" * 20000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"FOO /health HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    before = broker.descriptors()
    for data in wild:
        with Socket(broker) as peer:
            try:
                peer.send(data)
                peer.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            peer.rest()
    for data in (b"\x81\x05hello", b"\xff\xff" + b"\xff" * 20, b"\x88\x01x"):
        with Socket(broker) as peer:
            assert "101" in peer.upgrade()
            peer.event()
            peer.send(data)
            peer.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
    expect(lambda: broker.descriptors() == before)
    broker.expect_metric("viewers", 0)
    assert get(broker, "/health").status == 200


# Too slow.


def test_a_slow_viewer_gets_a_gap_and_goes_on(broker_with):
    broker = broker_with(buffer=100000, viewer_buffer="256KiB")
    with Socket(broker, receive_buffer=4096) as slow, Socket(broker) as quick:
        for viewer in (slow, quick):
            viewer.upgrade()
            viewer.event()
        for turn in range(400):
            broker.emit("a", 50, 1000)
            for seq in range(turn * 50 + 1, turn * 50 + 51):
                assert quick.event()["seq"] == seq
        wanted, gaps = 1, []
        while wanted <= 20000:
            event = slow.event()
            if event["event_type"] == "gap":
                assert event["from"] == wanted
                gaps.append(event["to"] - event["from"] + 1)
                wanted = gap_end = event["to"] + 1
            else:
                assert event["seq"] == wanted
                wanted += 1
        # Few large gaps, and after the last no more than half its buffer.
        assert 1 <= len(gaps) <= 5
        assert 1000 < sum(gaps) < 20000
        assert wanted - gap_end <= 128 * 1024 / 1000
        assert broker.metric("dropped_total") == sum(gaps)
        last = broker.emit("a")
        assert slow.event()["seq"] == last


def test_the_first_events_ever_are_not_lost_in_silence(broker_with):
    broker = broker_with(buffer=256)
    for first in (1, 50000):
        with Socket(broker) as viewer:
            viewer.upgrade()
            assert viewer.event()["seq"] == 0
            broker.emit("a", 20000)
            wanted = first
            while wanted < first + 20000:
                event = viewer.event()
                assert event.get("from", event.get("seq")) == wanted
                wanted = event.get("to", wanted) + 1
            assert wanted == first + 20000
        broker.ask("fini")
        broker.ask("skip 29999")
        assert broker.start() == "started 0 "


def test_a_viewer_that_the_buffer_overtakes_gets_a_gap(broker_with):
    broker = broker_with(buffer=256, viewer_buffer="1024MiB")
    with Socket(broker, receive_buffer=4096) as slow:
        slow.upgrade()
        slow.event()
        broker.emit("a", 20000, 1000)
        wanted, missed = 1, 0
        while wanted <= 20000:
            event = slow.event()
            if event["event_type"] == "gap":
                assert event["from"] == wanted
                missed += event["to"] - event["from"] + 1
                wanted = event["to"] + 1
            else:
                assert event["seq"] == wanted
                wanted += 1
        assert missed > 1000
        assert broker.metric("dropped_total") == missed


def test_a_peer_that_does_not_listen_is_not_read_from(broker):
    with Socket(broker, receive_buffer=4096) as deaf:
        deaf.upgrade()
        pings = masked('{"type":"ping"}') * 1000
        deaf.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(socket.timeout):
            while sent < 1 << 28:
                sent += deaf.socket.send(pings)
        assert get(broker, "/health").status == 200
        # It is read from again as soon as it listens.
        deaf.socket.settimeout(DEADLINE)
        deaf.event()
        for _ in range(sent // len(masked('{"type":"ping"}'))):
            assert deaf.event()["event_type"] == "pong"


# The end, and the beginning again.


def is_listening(broker):
    try:
        Socket(broker).socket.close()
    except ConnectionError:
        return False
    return True


@told
async def test_stopping_sends_what_is_left_and_closes_with_1001(broker_with):
    broker = broker_with()
    async with watching(broker) as viewer, watching(broker) as other:
        broker.emit("server_stopping", 2)
        broker.tell("stop")
        await viewer.expect_events(1, 2)
        assert (await viewer.closed()).code == 1001
        assert (await other.closed()).code == 1001
    word, _ = broker.answers.get(timeout=DEADLINE).split()
    assert word == "stopped"
    assert broker.metric("viewers") == 0
    with pytest.raises(ConnectionRefusedError):
        get(broker, "/health")
    broker.emit("late")


def stop_stuck(broker):
    """Stop with a viewer that takes nothing: how long that took in us, and
    for how many of them the port was seen closed."""
    with Socket(broker, receive_buffer=4096) as slow:
        slow.upgrade()
        slow.event()
        broker.emit("a", 9000, 1000)
        broker.tell("stop")
        expect(lambda: not is_listening(broker))
        closed = time.monotonic()
        word, us = broker.answers.get(timeout=DEADLINE).split()
        assert word == "stopped"
        return int(us), (time.monotonic() - closed) * 1000000


def test_stopping_does_not_wait_for_a_viewer_that_is_stuck(broker):
    # The machine may be too busy to see it, but not every time.
    for _ in range(10):
        us, closed_us = stop_stuck(broker)
        if us < 2000000 and closed_us > us / 2:
            return
        broker.ask("fini")
        assert broker.start() == "started 0 "
    pytest.fail("it took more than two seconds, or the port stayed open")


def test_it_starts_again_in_the_same_process(broker):
    broker.ask("stop")
    broker.ask("fini")
    before = None
    for turn in range(5):
        assert broker.start() == "started 0 "
        with Socket(broker) as viewer:
            viewer.upgrade()
            viewer.event()
            seq = broker.emit("a")
            assert viewer.event()["seq"] == seq
            viewer.send(
                masked('{"type":"subscribe","events":["a"],"since":%d}' % (seq - 1))
            )
            assert viewer.event()["seq"] == seq
            assert broker.ask("stop").startswith("stopped")
        assert broker.ask("fini") == "gone"
        before = before or broker.descriptors()
        assert broker.descriptors() == before
    assert broker.ask("sigpipe") == "sigpipe default"
    assert broker.start() == "started 0 "


def test_the_end_comes_without_a_stop(broker):
    with Socket(broker) as viewer:
        viewer.upgrade()
        viewer.event()
        broker.emit("a", 100, 1000)
        assert broker.ask("fini") == "gone"
        assert broker.start() == "started 0 "


def test_a_farewell_that_is_refused_is_said_again(broker):
    broker.ask("refuse_posts 20")
    assert broker.ask("stop").startswith("stopped")


def test_what_the_library_says_is_no_noise(broker):
    get(broker, "/health")
    with Socket(broker) as viewer:
        viewer.upgrade()
        viewer.event()
    assert len(broker.logs) == 1

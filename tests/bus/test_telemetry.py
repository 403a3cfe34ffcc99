# SPDX-License-Identifier: Apache-2.0
"""What those who watch see on the telemetry port."""

import asyncio
import json

import pytest
import websockets
from broker import PATIENCE


class Viewer:
    @classmethod
    async def connect(cls, broker):
        self = cls()
        self.ws = await websockets.connect(f"ws://127.0.0.1:{broker.telemetry_port}/", ping_interval=None)
        self.first = await self.receive()
        assert self.first["event_type"] == "telemetry_connected"
        return self

    async def receive(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), PATIENCE))

    async def send(self, **fields):
        await self.ws.send(json.dumps(fields))

    async def until(self, event_type, **fields):
        """The next event of this type with these fields; others are let pass."""
        while True:
            event = await self.receive()
            if event["event_type"] == event_type and all(event.get(k) == v for k, v in fields.items()):
                return event

    async def close(self):
        await self.ws.close()


async def test_a_viewer_sees_what_happens_numbered_without_holes(start):
    broker = start("--set", "telemetry.sample=1", "--set", "telemetry.stats_interval=50ms")
    viewer = await Viewer.connect(broker)
    ada = await broker.client("?client_type=ai-agent")
    await ada.join("watch:one")
    await ada.publish("watch:one", 1, id="seen")
    await ada.send("garbage")
    await ada.expect_error("INVALID_JSON")
    await ada.refused("UNKNOWN_COMMAND", "dance")
    await ada.call("leave_channel", channel="watch:one")
    await ada.close()
    wanted = {"client_connected", "client_disconnected", "client_joined_channel", "client_left_channel",
              "channel_created", "message_published", "message_rejected", "command_executed", "command_failed",
              "agent_activity", "stats"}
    seqs = []
    while wanted:
        event = await viewer.receive()
        assert {"seq", "event_type", "timestamp", "severity", "node", "metadata"} <= set(event)
        seqs.append(event["seq"])
        wanted.discard(event["event_type"])
        if event["event_type"] == "message_published":
            assert event["client_id"] == ada.id and event["message_id"] == "seen"
            assert (event["room"], event["channel"]) == ("watch", "one")
        if event["event_type"] == "agent_activity":
            assert event["metadata"]["state"] in ("active", "idle")
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    await viewer.close()


async def test_an_agent_that_falls_silent_is_called_idle(start):
    broker = start("--set", "telemetry.idle_after=100ms")
    viewer = await Viewer.connect(broker)
    ada = await broker.client("?client_type=human")
    await ada.call("ping")
    for state in ("active", "idle"):
        event = await viewer.until("agent_activity", client_id=ada.id)
        assert event["metadata"] == {"state": state}
    await ada.close()
    await viewer.close()


async def test_a_client_may_tell_an_event_of_its_own(broker):
    viewer = await Viewer.connect(broker)
    await viewer.send(type="subscribe", events=["mood"])
    ada = await broker.client()
    await ada.send(type="telemetry", payload={"event_type": "mood", "value": "fine"}, ack=True, id="t")
    await ada.expect(type="ack", request_id="t")
    event = await viewer.until("mood")
    assert event["client_id"] == ada.id and event["metadata"]["value"] == "fine"
    await ada.send(type="telemetry", payload={"eventType": "mood"})
    await viewer.until("mood")
    for payload in ({}, {"event_type": 7}, {"event_type": "a b"}, [1]):
        await ada.send(type="telemetry", id="x", payload=payload)
        await ada.expect_error("INVALID_ENVELOPE", "payload.event_type", "x")
    await ada.close()
    await viewer.close()


async def test_a_late_viewer_may_have_what_is_kept(broker):
    ada = await broker.client()
    await ada.close()
    viewer = await Viewer.connect(broker)
    await viewer.send(type="subscribe", events=["client_disconnected"], since=0)
    await viewer.until("client_disconnected", client_id=ada.id)
    await viewer.close()


async def test_a_viewer_that_does_not_read_holds_nobody_up(start):
    broker = start("--set", "telemetry.sample=1", "--set", "telemetry.buffer=100")
    viewer = await Viewer.connect(broker)
    viewer.ws.transport.pause_reading()
    ada = await broker.client()
    for i in range(3000):
        await ada.publish("busy:one", i, ack=i == 2999)
    await ada.expect(type="ack")
    await ada.expect_nothing()
    viewer.ws.transport.abort()
    await ada.close()


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"type":"dance"}', '{"type":"subscribe","events":7}',
                                  '{"type":"subscribe","events":["x"],"since":-1}'])
async def test_bad_frames_of_viewers_are_answered(broker, text):
    viewer = await Viewer.connect(broker)
    await viewer.send(type="subscribe", events=["no_such_event"])
    await viewer.ws.send(text)
    error = await viewer.until("error")
    assert error["message"]
    await viewer.close()


def lines_of(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


async def test_the_audit_trail_has_every_event_in_order(start, tmp_path):
    path = tmp_path / "audit.log"
    broker = start("--set", "telemetry-log.enabled=yes", "--set", f"telemetry-log.file={path}",
                   "--set", "telemetry.sample=1")
    ada = await broker.client()
    for i in range(100):
        await ada.publish("audit:one", i, ack=i == 99)
    await ada.expect(type="ack")
    await ada.close()
    broker.stop()
    events = lines_of(path)
    seqs = [e["seq"] for e in events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert [e["event_type"] for e in events].count("message_published") == 100
    assert events[-1]["event_type"] in ("server_stopping", "client_disconnected")


async def test_the_audit_trail_may_be_narrowed_and_is_opened_anew(start, tmp_path):
    path = tmp_path / "audit.log"
    broker = start("--set", "telemetry-log.enabled=yes", "--set", f"telemetry-log.file={path}",
                   "--set", "telemetry-log.events=client_connected, command_failed")
    ada = await broker.client()
    await ada.refused("UNKNOWN_COMMAND", "dance")
    await broker.wait_metric("arqonbus_telemetry_log_written_total", lambda n: n == 2)
    path.rename(tmp_path / "audit.log.1")
    await ada.refused("UNKNOWN_COMMAND", "dance")
    await broker.wait_metric("arqonbus_telemetry_log_written_total", lambda n: n == 3)
    assert [e["event_type"] for e in lines_of(tmp_path / "audit.log.1")] == ["client_connected", "command_failed"]
    assert [e["event_type"] for e in lines_of(path)] == ["command_failed"]
    await ada.close()


async def test_an_audit_trail_that_cannot_be_opened_is_named_and_the_bus_runs(start):
    broker = start("--set", "telemetry-log.enabled=yes", "--set", "telemetry-log.file=/nowhere/audit.log")
    broker.errors_expected = True
    broker.wait_log("/nowhere/audit.log")
    ada = await broker.client()
    status, _, body = broker.http("/health")
    assert status == 200 and json.loads(body)["status"] in ("ok", "degraded")
    await ada.close()

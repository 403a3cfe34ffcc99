# SPDX-License-Identifier: Apache-2.0
"""Every type of telemetry event, and every frame of a viewer."""

import asyncio
import json
import signal

import pytest
import websockets
from broker import ADMIN, PATIENCE
from test_telemetry import Viewer


async def told(broker, event_type, **since):
    """A viewer that hears only this type, perhaps from an earlier event on."""
    viewer = await Viewer.connect(broker)
    await viewer.send(type="subscribe", events=[event_type], **since)
    return viewer


async def test_the_greeting_tells_where_the_events_are(broker):
    viewer = await Viewer.connect(broker)
    assert set(viewer.first) == {"event_type", "timestamp", "seq", "node"} and viewer.first["seq"] > 0
    await viewer.send(type="ping")
    assert set(await viewer.until("pong")) == {"event_type", "timestamp"}
    await viewer.close()


async def test_the_start_is_told_with_every_plugin_to_who_asks_for_what_is_kept(start):
    broker = start()
    viewer = await told(broker, "server_started", since=0)
    event = await viewer.until("server_started")
    assert event["metadata"] is not None and event["severity"] == "info"
    await viewer.close()


async def test_the_end_is_told_before_it_comes(start):
    broker = start()
    viewer = await told(broker, "server_stopping")
    broker.process.send_signal(signal.SIGTERM)
    await viewer.until("server_stopping")
    with pytest.raises(websockets.ConnectionClosed):
        await viewer.receive()
    assert viewer.ws.close_code == 1001


async def test_comings_and_goings_in_channels_are_told_with_their_place(broker):
    viewer = await Viewer.connect(broker)
    ada = await broker.client()
    await ada.call("create_channel", room="events", channel="one")
    await ada.join("events:one")
    await ada.call("leave_channel", channel="events:one")
    await ada.call("delete_channel", channel="events:one")
    for event_type in ("channel_created", "client_joined_channel", "client_left_channel", "channel_deleted"):
        event = await viewer.until(event_type)
        assert (event["room"], event["channel"]) == ("events", "one")
    await ada.close()
    await viewer.close()


async def test_a_wrong_token_is_told_and_never_shown(start):
    broker = start()
    viewer = await told(broker, "auth_denied")
    for _ in range(2):
        ada = await broker.client("?token=let-me-guess", extra_headers={})
        await ada.expect_error("INVALID_ARGUMENT", "token")
        event = await viewer.until("auth_denied", client_id=ada.id)
        assert event["severity"] == "warning" and "guess" not in json.dumps(event)
        await ada.close()
    bob = await broker.client(extra_headers={"Authorization": "Bearer let-me-guess"})
    await bob.expect_error("INVALID_ARGUMENT", "token")
    await viewer.until("auth_denied", client_id=bob.id)
    await bob.close()
    admin = await broker.admin()
    await admin.close()
    await viewer.close()
    assert "guess" not in broker.log() and ADMIN not in broker.log() and "open%20" not in broker.log()


async def test_commands_are_told_with_their_name_and_unknown_ones_without(broker):
    viewer = await told(broker, "command_executed")
    await viewer.send(type="subscribe", events=["command_failed"])
    ada = await broker.client()
    await ada.call("ping")
    await ada.refused("INVALID_NAME", "join_channel", room="r", channel="*")
    await ada.refused("UNKNOWN_COMMAND", "dance")
    assert (await viewer.until("command_executed", client_id=ada.id))["metadata"]["command"] == "ping"
    assert (await viewer.until("command_failed", client_id=ada.id))["metadata"]["command"] == "join_channel"
    assert (await viewer.until("command_failed", client_id=ada.id))["metadata"]["command"] == "unknown"
    await ada.close()
    await viewer.close()


async def test_refusals_and_rates_are_told_with_their_code(start):
    broker = start("--set", "limits.messages_per_second=1", "--set", "limits.messages_burst=1")
    viewer = await Viewer.connect(broker)
    ada = await broker.client()
    await ada.publish("events:rate", 1)
    await ada.publish("events:rate", 2)
    await ada.expect_error("RATE_LIMITED")
    await viewer.until("rate_limited", client_id=ada.id)
    assert (await viewer.until("message_rejected", client_id=ada.id))["metadata"]["code"] == "RATE_LIMITED"
    await ada.close()
    await viewer.close()


async def test_stats_have_what_the_manual_says(start):
    broker = start("--set", "telemetry.stats_interval=50ms")
    viewer = await told(broker, "stats")
    stats = (await viewer.until("stats"))["metadata"]
    assert {"clients", "rooms", "channels", "messages", "latency_ms", "storage"} <= set(stats)
    assert set(stats["messages"]) == {"received", "delivered", "per_second"}
    await viewer.close()


async def test_one_message_in_so_many_is_told(start):
    broker = start("--set", "telemetry.sample=10")
    viewer = await told(broker, "message_published")
    ada = await broker.client()
    for i in range(30):
        await ada.publish("events:sample", i, id=f"s{i}")
    ids = [(await viewer.until("message_published"))["message_id"] for _ in range(3)]
    assert [int(i[1:]) % 10 for i in ids] == [int(ids[0][1:]) % 10] * 3 and len(set(ids)) == 3
    await ada.close()
    await viewer.close()


async def test_a_type_that_is_unsubscribed_is_heard_no_more(broker):
    viewer = await Viewer.connect(broker)
    await viewer.send(type="subscribe", events=["client_connected", "client_disconnected"])
    ada = await broker.client()
    await viewer.until("client_connected", client_id=ada.id)
    await viewer.send(type="unsubscribe", events=["client_disconnected"])
    await viewer.send(type="ping")
    await viewer.until("pong")
    await ada.close()
    bob = await broker.client()
    while True:
        event = await asyncio.wait_for(viewer.receive(), PATIENCE)
        assert event["event_type"] == "client_connected", event
        if event["client_id"] == bob.id:
            break
    await bob.close()
    await viewer.close()


async def test_a_client_cannot_pass_its_own_event_off_as_the_brokers(broker):
    viewer = await told(broker, "server_stopping")
    ada = await broker.client()
    await ada.send(type="telemetry", id="f", payload={"event_type": "server_stopping"})
    await ada.expect_error("INVALID_ARGUMENT", "payload.event_type", "f")
    await viewer.send(type="ping")
    assert (await viewer.receive())["event_type"] == "pong"
    await ada.close()
    await viewer.close()


async def test_the_telemetry_port_tells_that_the_broker_is_stopping(start):
    broker = start("--set", "server.close_timeout=3s")
    ada = await broker.client()
    ada.ws.transport.pause_reading()  # so that the broker has to wait for it
    broker.process.send_signal(signal.SIGTERM)
    status, body = 200, ""
    for _ in range(1000):
        try:
            status, _, body = await asyncio.to_thread(broker.http, "/health", broker.telemetry_port)
        except OSError:
            break
        if status == 503:
            break
    assert status == 503 and json.loads(body)["status"] == "draining"
    live, _, _ = await asyncio.to_thread(broker.http, "/health/live", broker.telemetry_port)
    assert live == 200
    ada.ws.transport.abort()

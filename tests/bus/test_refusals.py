# SPDX-License-Identifier: Apache-2.0
"""What a refusal says: the code, the field, and when to try again."""

import pytest
from broker import ADMIN
from test_telemetry import Viewer


@pytest.mark.parametrize("cursor", ["-1.x", "+1.x", " 1.x", "1", "1x.y", ".", "x"])
@pytest.mark.parametrize("command", ["list_channels", "list_clients", "channel_info"])
async def test_a_cursor_that_no_list_gave_is_refused(start, command, cursor):
    broker = start("--set", f"auth.admin_token={ADMIN}")
    ada = await broker.admin()
    await ada.refused("INVALID_ARGUMENT", command, "cursor", cursor=cursor, **(
        {"room": "general", "channel": "general"} if command == "channel_info" else {}))
    await ada.close()


async def test_making_channels_too_fast_says_when_to_try_again(start):
    broker = start("--set", "limits.channels_per_second=1", "--set", "limits.channels_burst=2")
    ada = await broker.client()
    await ada.publish("made:one", 1)
    await ada.publish("made:two", 2)
    await ada.publish("made:three", 3, id="third")
    error = await ada.expect_error("RATE_LIMITED", None, "third")
    assert 0 < error["retry_after_ms"] <= 1000
    for command in ("join_channel", "create_channel"):
        reply = await ada.ask(command, room="made", channel="four")
        assert reply["payload"]["error"]["code"] == "RATE_LIMITED"
        assert 0 < reply["payload"]["error"]["retry_after_ms"] <= 1000
    await ada.close()


async def test_a_history_that_is_not_there_names_the_field(broker):
    ada = await broker.client()
    await ada.refused("CHANNEL_NOT_FOUND", "history", "channel", room="general", channel="nowhere")
    await ada.refused("ROOM_NOT_FOUND", "history", "room", room="nowhere")
    await ada.close()


async def test_an_alias_of_any_length_is_judged_as_a_name(broker):
    ada = await broker.client()
    await ada.refused("INVALID_NAME", "identify", "alias", alias="x" * 65)
    await ada.close()


@pytest.mark.parametrize("field", ["correlation_id", "retain", "ttl", "expect_reply_ms"])
async def test_what_a_later_version_does_is_refused_and_not_dropped(broker, field):
    ada = await broker.client()
    await ada.publish("general:general", 1, id="later", **{field: "x" if field == "correlation_id" else 1})
    await ada.expect_error("INVALID_ARGUMENT", field, "later")
    await ada.close()


async def test_a_refused_admin_command_is_told_and_logged_with_its_address(start):
    broker = start("--set", f"auth.admin_token={ADMIN}")
    viewer = await Viewer.connect(broker)
    ada = await broker.client()
    await ada.refused("FORBIDDEN", "list_clients", "command")
    for event_type in ("command_failed", "auth_denied"):
        event = await viewer.until(event_type)
        assert event["client_id"] == ada.id
        assert event["metadata"] == {"command": "list_clients", "code": "FORBIDDEN"}
    line = broker.wait_log("msg=.command failed.*code=FORBIDDEN").group(0)
    assert ada.id in line and "address=127.0.0.1:" in line and "command=list_clients" in line
    await ada.close()
    await viewer.close()

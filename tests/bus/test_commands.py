# SPDX-License-Identifier: Apache-2.0
"""Every built-in and admin command: arguments, results, refusals, pages."""

import pytest
from broker import STORAGE


async def test_status_tells_how_the_broker_is(broker):
    ada = await broker.client()
    result = await ada.call("status")
    assert result["server"]["name"] == "ArqonBus" and result["server"]["version"]
    assert result["server"]["uptime_seconds"] >= 0 and result["server"]["node"]
    assert result["clients"] >= 1 and result["rooms"] >= 2 and result["channels"] >= 8
    assert set(result["messages"]) == {"received", "delivered", "per_second"}
    assert result["storage"] == {"backend": STORAGE, "state": "ok"}
    assert set(result["latency_ms"]) == {"p50", "p90", "p99"}
    await ada.close()


async def test_ping_and_help(broker):
    ada = await broker.client()
    result = await ada.call("ping")
    assert result["pong"] is True and result["server_time"].endswith("Z")
    names = {c["name"] for c in (await ada.call("help"))["commands"]}
    assert {"status", "ping", "create_channel", "delete_channel", "join_channel", "leave_channel",
            "list_channels", "channel_info", "history", "identify", "help"} <= names
    one = (await ada.call("help", args={"command": "history"}))["commands"]
    assert [c["name"] for c in one] == ["history"] and one[0]["description"]
    limit = next(a for a in one[0]["arguments"] if a["name"] == "limit")
    assert limit["type"] == "integer" and limit["required"] is False and str(limit["default"]) == "50"
    await ada.refused("UNKNOWN_COMMAND", "help", "command", args={"command": "dance"})
    await ada.close()


async def test_arguments_may_stand_in_args_beside_it_or_in_the_payload(broker):
    ada = await broker.client()
    await ada.call("join_channel", args={"room": "args", "channel": "a"})
    await ada.call("join_channel", room="args", channel="b")
    await ada.send(type="command", id="p", payload={"command": "join_channel",
                                                     "parameters": {"room": "args", "channel": "c"}})
    await ada.expect(type="command_response", request_id="p", command="join_channel", status="success")
    channels = (await ada.call("list_channels", room="args"))["channels"]
    assert [c["channel"] for c in channels] == ["a", "b", "c"]
    await ada.close()


async def test_a_channel_is_made_shown_and_removed(broker):
    ada, bob = await broker.client(), await broker.client()
    made = await ada.call("create_channel", room="life", channel="one", description="a test",
                          metadata={"k": [1]}, history={"size": 3, "ttl": 60000})
    assert made["room"] == "life" and made["description"] == "a test" and made["metadata"] == {"k": [1]}
    assert made["member_count"] == 0 and made["message_count"] == 0 and made["protected"] is False
    await ada.refused("CHANNEL_EXISTS", "create_channel", "channel", room="life", channel="one")
    await bob.join("life:one")
    for i in range(5):
        await ada.publish("life:one", i)
        await bob.expect(payload=i)
    info = await ada.call("channel_info", room="life", channel="one")
    assert info["message_count"] == 5 and info["member_count"] == 1
    assert info["members"][0]["client_id"] == bob.id
    assert set(info["members"][0]) == {"client_id", "alias", "client_type", "screen_name", "avatar",
                                       "personality", "joined_at", "last_activity"}
    history = info["history"]
    assert (history["size"], history["ttl"], history["first_seq"], history["last_seq"]) == (3, 60000, 3, 5)
    assert history["epoch"]
    await ada.refused("CHANNEL_NOT_EMPTY", "delete_channel", "channel", room="life", channel="one")
    await ada.call("delete_channel", room="life", channel="one", force=True)
    gone = await bob.expect(type="system", room="life", channel="one")
    assert gone["payload"]["event"] == "channel_deleted"
    await ada.refused("CHANNEL_NOT_FOUND", "channel_info", "channel", room="life", channel="one")
    await ada.refused("CHANNEL_PROTECTED", "delete_channel", room="science", channel="explore")
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("fields, field", [
    ({"history": {"size": -1}}, "history.size"),
    ({"history": {"size": 1000001}}, "history.size"),
    ({"history": {"size": "x"}}, "history.size"),
    ({"history": {"ttl": 1.5}}, "history.ttl"),
    ({"metadata": {"x": "y" * 4096}}, "metadata"),
    ({"metadata": 7}, "metadata"),
    ({"description": "x" * 1025}, "description"),
    ({"slow_policy": "wait"}, "slow_policy"),
    ({"durability": "fsync"}, "durability"),
    ({"durability": "for ever"}, "durability"),
    ({"durability": "ephemeral", "history": {"size": 5}}, "history.size"),
])
async def test_bad_settings_of_a_channel_are_named(broker, fields, field):
    ada = await broker.client()
    await ada.refused("INVALID_ARGUMENT", "create_channel", field, room="bad", channel="one", **fields)
    await ada.refused("CHANNEL_NOT_FOUND", "channel_info", room="bad", channel="one")
    await ada.close()


async def test_memory_does_not_promise_to_outlive_the_broker(start):
    ada = await start("--storage", "memory").client()
    error = await ada.refused("INVALID_ARGUMENT", "create_channel", "durability", room="r", channel="c",
                              durability="stored")
    assert "storage-memory" in error["message"]
    await ada.close()


async def test_an_ephemeral_channel_keeps_nothing(broker):
    ada = await broker.client()
    info = await ada.call("create_channel", room="ephemeral", channel="one", durability="ephemeral")
    assert info["durability"] == "ephemeral" and info["history"]["size"] == 0
    await ada.send(type="event", id="m1", channel="ephemeral:one", ack=True)
    assert (await ada.expect(type="ack", request_id="m1"))["payload"]["stored"] == "none"
    assert (await ada.call("history", channel="ephemeral:one"))["messages"] == []
    await ada.close()


@pytest.mark.parametrize("fields, code, field", [
    ({}, "TARGET_REQUIRED", "channel"),
    ({"room": "r"}, "TARGET_REQUIRED", "channel"),
    ({"room": "r", "channel": "x" * 65}, "INVALID_NAME", "channel"),
    ({"room": "r", "channel": ".x"}, "INVALID_NAME", "channel"),
    ({"room": "r", "channel": "*"}, "INVALID_NAME", "channel"),
    ({"room": "r", "channel": "\u00e4"}, "INVALID_NAME", "channel"),
    ({"room": "r", "channel": ""}, "INVALID_NAME", "channel"),
    ({"room": 5, "channel": "c"}, "INVALID_ARGUMENT", "room"),
    ({"room": "a:b", "channel": "c"}, "INVALID_ARGUMENT", "channel"),
    ({"room": "r", "channel": "c", "echo": "yes"}, "INVALID_ARGUMENT", "echo"),
    ({"room": "r", "channel": "c", "since": 5}, "INVALID_ARGUMENT", "since"),
    ({"room": "r", "channel": "c", "since": {"seq": -1, "epoch": "e"}}, "INVALID_ARGUMENT", "since.seq"),
    ({"room": "r", "channel": "c", "since": {"seq": 1}}, "INVALID_ARGUMENT", "since.epoch"),
    ({"room": "r", "channel": "c", "since": {"seq": 1, "epoch": "e" * 40}}, "INVALID_ARGUMENT", "since.epoch"),
])
async def test_n1_a_bad_join_is_named(broker, fields, code, field):
    ada = await broker.client()
    await ada.refused(code, "join_channel", field, **fields)
    await ada.close()


async def test_n1_names_that_javascript_fears_are_plain_names(broker):
    ada = await broker.client()
    await ada.join("constructor:__proto__")
    await ada.close()


async def test_n5_joining_twice_and_leaving_what_one_is_not_in_are_fine(broker):
    ada = await broker.client()
    first = await ada.join("twice:one")
    assert await ada.join("twice:one") == first
    assert first["member_count"] == 1 and first["seq"] == 0
    await ada.call("leave_channel", channel="twice:one")
    await ada.call("leave_channel", channel="twice:one")
    await ada.call("leave_channel", channel="twice:never")
    await ada.close()


async def test_lists_come_in_pages_that_show_everything_once(broker):
    ada = await broker.client()
    for i in range(25):
        await ada.join(f"pages:c{i:02}")
    seen, cursor = [], None
    for _ in range(10):
        more = {"cursor": cursor} if cursor else {}
        page = await ada.call("list_channels", room="pages", limit=10, **more)
        seen += [c["channel"] for c in page["channels"]]
        cursor = page.get("next")
        if not cursor:
            break
    assert seen == [f"c{i:02}" for i in range(25)]
    for bad in (0, 1001, -1, 1.5, "5"):
        await ada.refused("INVALID_ARGUMENT", "list_channels", "limit", limit=bad)
    await ada.refused("INVALID_ARGUMENT", "list_channels", "cursor", cursor="hello")
    await ada.refused("ROOM_NOT_FOUND", "list_channels", "room", room="nowhere")
    await ada.close()


async def test_channels_are_found_by_the_type_of_their_members(broker):
    ada = await broker.client("?client_type=service")
    bob = await broker.client()
    await ada.join("typed:one")
    await bob.join("typed:two")
    page = await bob.call("list_channels", room="typed", client_type="service")
    assert [c["channel"] for c in page["channels"]] == ["one"]
    await ada.call("identify", client_type="human")
    page = await bob.call("list_channels", room="typed", client_type="service")
    assert page["channels"] == []
    await bob.refused("INVALID_ARGUMENT", "list_channels", "client_type", client_type="robot")
    await ada.close()
    await bob.close()


async def test_history_gives_the_last_or_the_first_of_a_range(broker):
    ada, bob = await broker.client(), await broker.client()
    for i in range(1, 11):
        await (ada if i % 2 else bob).publish("hist:one", i, ack=True)
        await (ada if i % 2 else bob).expect(type="ack")

    async def payloads(**kw):
        result = await ada.call("history", channel="hist:one", **kw)
        return [m["payload"] for m in result["messages"]], result

    assert (await payloads())[0] == list(range(1, 11))
    last, result = await payloads(limit=3)
    assert last == [8, 9, 10] and result["truncated"] and result["next"] == 8
    assert (result["first_seq"], result["last_seq"]) == (1, 10) and result["epoch"]
    assert (await payloads(limit=3, before=result["next"]))[0] == [5, 6, 7]
    first, result = await payloads(limit=3, after=2)
    assert first == [3, 4, 5] and result["next"] == 5
    assert (await payloads(after=8))[0] == [9, 10]
    assert (await payloads(after=3, before=6))[0] == [4, 5]
    assert (await payloads(client_id=bob.id, limit=2))[0] == [8, 10]
    assert (await payloads(since="2000-01-01T00:00:00Z", limit=2))[0] == [1, 2]
    assert (await payloads(until="2000-01-01T00:00:00Z"))[0] == []
    assert (await payloads(since="2999-01-01T00:00:00+01:00"))[0] == []
    await ada.close()
    await bob.close()


async def test_history_of_a_room_is_merged_by_time(broker):
    ada = await broker.client()
    for i in range(6):
        await ada.publish(f"merge:c{i % 3}", i, ack=True)
        await ada.expect(type="ack")
    result = await ada.call("history", room="merge", limit=4)
    times = [m["timestamp"] for m in result["messages"]]
    assert len(times) == 4 and times == sorted(times) and result["truncated"]
    result = await ada.call("history", room="merge")
    assert sorted(m["payload"] for m in result["messages"]) == list(range(6)) and not result["truncated"]
    result = await ada.call("history", room="general")
    assert result["messages"] == [] and result["truncated"] is False
    await ada.refused("INVALID_ARGUMENT", "history", "after", room="merge", after=1)
    await ada.refused("ROOM_NOT_FOUND", "history", None, room="nowhere")
    await ada.close()


@pytest.mark.parametrize("fields, field", [
    ({"limit": 0}, "limit"), ({"limit": -1}, "limit"), ({"limit": 1000000000}, "limit"),
    ({"since": "then"}, "since"), ({"after": -3}, "after"), ({"before": 1e30}, "before"),
    ({"after": 9007199254740994}, "after"), ({"after": 18446744073709551616}, "after"),
    ({"after": 5, "before": 5}, "before"),
    ({"since": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"}, "until"),
])
async def test_n9_a_bad_range_is_refused_not_clamped(broker, fields, field):
    ada = await broker.client()
    await ada.refused("INVALID_ARGUMENT", "history", field, channel="science:explore", **fields)
    await ada.close()


async def test_n9_only_one_history_of_a_client_is_under_way(broker):
    ada = await broker.client()
    await ada.publish("busy:one", 1)
    for i in range(20):
        await ada.send(type="command", id=str(i), command="history", channel="busy:one")
    codes = []
    for i in range(20):
        reply = await ada.expect(type="command_response", request_id=str(i))
        codes.append(reply["payload"].get("error", {}).get("code", "success"))
    assert codes[0] == "success" and set(codes) <= {"success", "BUSY"}
    await ada.close()


async def test_history_is_cut_at_the_size_of_a_reply(broker):
    ada = await broker.client()
    for i in range(20):
        await ada.publish("big:one", "x" * 60000, ack=True)
        await ada.expect(type="ack")
    result = await ada.call("history", channel="big:one", limit=20)
    assert 5 <= len(result["messages"]) < 10 and result["truncated"]
    assert result["messages"][-1]["seq"] == 20
    await ada.close()


async def test_identify_tells_and_checks_who_one_is(broker):
    ada, bob = await broker.client(), await broker.client()
    me = await ada.call("identify", client_type="ai-agent", screen_name="Ada", personality="curious",
                        avatar="http://x/y.png", alias="ada.id")
    assert me["client_id"] == ada.id and me["alias"] == "ada.id" and me["session"] == ada.session
    assert me["client_type"] == "ai-agent" and me["admin"] is False
    await bob.refused("ALIAS_TAKEN", "identify", "alias", alias="ada.id")
    await bob.refused("INVALID_NAME", "identify", "alias", alias="arq_me")
    await bob.refused("INVALID_ARGUMENT", "identify", "client_type", client_type="robot")
    await bob.refused("INVALID_ARGUMENT", "identify", "screen_name", screen_name="x" * 129)
    await bob.refused("INVALID_ARGUMENT", "identify", "token", token="guess")
    me = await ada.call("identify", alias="")
    assert me["alias"] is None and me["screen_name"] == "Ada"
    await bob.call("identify", alias="ada.id")
    await ada.close()
    await bob.close()


async def test_metadata_comes_with_the_query_string(broker):
    ada = await broker.client("?client_type=human&screen_name=Ada%20L&personality=kind+soul&alias=ada.q&avatar=x")
    me = await ada.call("identify")
    assert (me["client_type"], me["screen_name"], me["personality"], me["alias"], me["avatar"]) == \
        ("human", "Ada L", "kind soul", "ada.q", "x")
    bob = await broker.client("?client_type=robot&screen_name=Bob")
    await bob.expect_error("INVALID_ARGUMENT", "client_type")
    assert (await bob.call("identify"))["screen_name"] == "Bob"
    await ada.close()
    await bob.close()


async def test_an_unknown_command_is_named(broker):
    ada = await broker.client()
    await ada.refused("UNKNOWN_COMMAND", "dance", "command")
    await ada.send(type="command", id="x")
    await ada.expect_error("INVALID_ENVELOPE", "command", "x")
    await ada.close()


async def test_replies_keep_the_order_of_requests(broker):
    ada = await broker.client()
    await ada.publish("inorder:one", 1)
    await ada.send(type="command", id="1", command="history", channel="inorder:one")
    await ada.send(type="command", id="2", command="ping")
    await ada.send(type="command", id="3", command="channel_info", channel="inorder:one")
    await ada.send(type="command", id="4", command="ping")
    for i in "1234":
        await ada.expect(type="command_response", request_id=i, status="success")
    await ada.close()


async def test_n11_admin_commands_are_for_admins(broker):
    ada, bob = await broker.client(), await broker.admin()
    for command in ("list_clients", "client_info", "kick", "broadcast", "plugins", "config", "log_level"):
        await ada.refused("FORBIDDEN", command, "command")
    clients = (await bob.call("list_clients"))["clients"]
    assert {ada.id, bob.id} <= {c["client_id"] for c in clients}
    info = await bob.call("client_info", client_id=ada.id)
    assert info["client_id"] == ada.id and info["address"].startswith("127.0.0.1:")
    await bob.refused("TARGET_NOT_FOUND", "client_info", "client_id", client_id="nobody")
    assert "storage-memory" in {p["name"] for p in (await bob.call("plugins"))["plugins"]}
    await bob.refused("INVALID_ARGUMENT", "plugins", "action", action="reload")
    config = await bob.call("config")
    assert config["server"]["host"] == "127.0.0.1" and config["auth"]["admin_token"] == "***"
    assert (await bob.call("log_level", level="debug"))["level"] == "debug"
    await bob.refused("INVALID_ARGUMENT", "log_level", "level", level="loud")
    assert (await bob.call("log_level", level="info"))["level"] == "info"
    await ada.join("admin:one")
    assert (await bob.call("broadcast", room="admin", channel="one", message="hi"))["delivered"] == 1
    await ada.expect(type="system", room="admin", channel="one", payload={"message": "hi"}, **{"from": "arqonbus"})
    assert (await bob.call("broadcast", room="admin", message={"a": 1}))["delivered"] == 1
    await ada.expect(type="system", room="admin", payload={"a": 1})
    await bob.call("kick", client_id=ada.id, reason="noisy")
    await ada.closed(1008, "noisy")
    await bob.close()


async def test_the_limit_of_channels_of_a_client_holds(start):
    """N4."""
    broker = start("--set", "server.max_channels_per_client=3", "--set", "server.max_channels=11")
    ada, bob = await broker.client(), await broker.client()
    for i in range(3):
        await ada.join(f"few:c{i}")
    error = await ada.refused("LIMIT_REACHED", "join_channel", channel="few:c3")
    assert "3" in error["message"]
    error = await bob.refused("LIMIT_REACHED", "create_channel", channel="few:c4")
    assert "11" in error["message"]
    await ada.close()
    await bob.close()

# SPDX-License-Identifier: Apache-2.0
"""Every field of every command's result, pages, and what may not be given."""

import re

import pytest

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
RECORD = {"client_id", "alias", "client_type", "screen_name", "avatar", "personality", "joined_at", "last_activity"}
CHANNEL = {"room", "channel", "description", "metadata", "member_count", "message_count", "created_at",
           "last_activity", "protected"}
BOOTSTRAP = [("science", c) for c in ("general", "explore", "hypothesize", "design", "execute", "interpret",
                                      "share")] + [("general", "general")]


async def pages_of(client, command, key, **fields):
    """All that a list shows, page by page."""
    all, cursor = [], {}
    for _ in range(1000):
        page = await client.call(command, **fields, **cursor)
        assert set(page) - {"next"} >= {key}
        all.append(page[key])
        if "next" not in page:
            return all
        cursor = {"cursor": page["next"]}
    raise AssertionError("the list has no end")


async def test_status_has_these_fields_and_counts_right(start):
    broker = start("--set", "server.node=north", telemetry=False)
    ada, bob = await broker.client(), await broker.client()
    await bob.join("count:one")
    for i in range(5):
        await ada.publish("count:one", i)
        await bob.expect(payload=i)
    status = await ada.call("status")
    assert set(status) == {"server", "clients", "rooms", "channels", "messages", "storage", "latency_ms"}
    assert set(status["server"]) == {"name", "version", "uptime_seconds", "node"}
    assert status["server"]["node"] == "north"
    assert (status["clients"], status["rooms"], status["channels"]) == (2, 3, 9)
    assert status["messages"]["received"] == 5 and status["messages"]["delivered"] == 5
    assert status["messages"]["per_second"] >= 0
    assert all(v is None or v >= 0 for v in status["latency_ms"].values())
    await ada.close()
    await bob.close()


async def test_ping_has_these_fields(broker):
    ada = await broker.client()
    result = await ada.call("ping")
    assert set(result) == {"pong", "server_time"} and STAMP.fullmatch(result["server_time"])
    await ada.close()


async def test_help_shows_every_command_with_its_arguments(broker):
    ada = await broker.client()
    commands = {c["name"]: c for c in (await ada.call("help"))["commands"]}
    for command in commands.values():
        assert set(command) == {"name", "arguments", "description", "admin"} and command["description"]
        for argument in command["arguments"]:
            assert set(argument) <= {"name", "type", "required", "default"}, argument
    arguments = {name: [a["name"] for a in c["arguments"]] for name, c in commands.items()}
    assert {"room", "channel", "description", "metadata", "history", "slow_policy",
            "durability"} == set(arguments["create_channel"])
    assert {"room", "channel", "echo", "presence", "since", "group", "group_ack"} == set(arguments["join_channel"])
    assert {"room", "channel", "limit", "since", "until", "after", "before",
            "client_id"} == set(arguments["history"])
    assert {"client_type", "screen_name", "avatar", "personality", "alias", "token", "session",
            "binary"} == set(arguments["identify"])
    assert commands["kick"]["admin"] is True and commands["ping"]["admin"] is False
    await ada.close()


async def test_join_and_leave_have_these_fields(broker):
    ada, bob = await broker.client(), await broker.client()
    joined = await ada.join("results:join")
    assert set(joined) == {"room", "channel", "member_count", "seq", "epoch"} and joined["epoch"]
    assert (await bob.join("results:join"))["member_count"] == 2
    joined = await ada.join("results:join", since={"seq": 0, "epoch": joined["epoch"]})
    assert set(joined) == {"room", "channel", "member_count", "seq", "epoch", "recovered", "was_recovering"}
    left = await ada.call("leave_channel", channel="results:join")
    assert left == {"room": "results", "channel": "join", "left": True}
    assert (await ada.call("leave_channel", channel="results:join"))["left"] is False
    await ada.close()
    await bob.close()


async def test_channels_that_always_exist_are_there_and_protected(broker):
    ada = await broker.client()
    shown = {(c["room"], c["channel"]): c for c in (await ada.call("list_channels", limit=1000))["channels"]}
    for room, channel in BOOTSTRAP:
        assert shown[room, channel]["protected"] is True
        await ada.refused("CHANNEL_PROTECTED", "delete_channel", room=room, channel=channel, force=True)
        await ada.refused("CHANNEL_EXISTS", "create_channel", room=room, channel=channel)
    await ada.close()


async def test_a_listed_channel_has_these_fields(broker):
    ada = await broker.client()
    await ada.call("create_channel", channel="results:list", description="\u20ac \"x\"", metadata={"lang": ["de"]})
    (shown,) = (await ada.call("list_channels", room="results", limit=1000))["channels"][-1:]
    assert set(shown) == CHANNEL
    assert shown["description"] == "\u20ac \"x\"" and shown["metadata"] == {"lang": ["de"]}
    assert STAMP.fullmatch(shown["created_at"]) and STAMP.fullmatch(shown["last_activity"])
    await ada.join("results:plain")
    (shown,) = [c for c in (await ada.call("list_channels", room="results"))["channels"] if c["channel"] == "plain"]
    assert (shown["description"], shown["metadata"], shown["protected"]) == (None, {}, False)
    await ada.close()


async def test_channel_info_has_these_fields_and_pages_of_members(broker):
    clients = [await broker.client(f"?screen_name=m{i}&client_type=human") for i in range(5)]
    for client in clients:
        await client.join("results:members")
    info = await clients[0].call("channel_info", channel="results:members")
    assert set(info) == CHANNEL | {"members", "groups", "durability", "slow_policy", "history"}
    assert set(info["history"]) == {"size", "ttl", "first_seq", "last_seq", "epoch"}
    assert (info["history"]["size"], info["history"]["ttl"]) == (500, 0)
    for member in info["members"]:
        assert set(member) == RECORD and STAMP.fullmatch(member["joined_at"])
        assert STAMP.fullmatch(member["last_activity"]) and member["client_type"] == "human"
    pages = await pages_of(clients[0], "channel_info", "members", channel="results:members", limit=2)
    assert [len(p) for p in pages if p] == [2, 2, 1]
    assert [m["screen_name"] for p in pages for m in p] == [f"m{i}" for i in range(5)]
    for client in clients:
        await client.close()


@pytest.mark.parametrize("command, fields", [
    ("list_channels", {}), ("channel_info", {"channel": "science:explore"}), ("list_clients", {}),
])
async def test_a_bad_page_is_refused(broker, command, fields):
    ada = await broker.admin()
    for limit in (0, -1, 1001, 1.5, "10", True, 1e3, 2 ** 64):
        await ada.refused("INVALID_ARGUMENT", command, "limit", limit=limit, **fields)
    for cursor in ("", "x", "1", "x.1", 5, "9" * 48, "1.\u0000"):
        await ada.refused("INVALID_ARGUMENT", command, "cursor", cursor=cursor, **fields)
    await ada.call(command, limit=None, cursor=None, **fields)
    await ada.close()


async def test_a_page_never_exceeds_a_reply(broker):
    ada = await broker.client()
    for i in range(150):
        await ada.call("create_channel", room="fat", channel=f"c{i:03}", metadata={"x": "y" * 4000})
    pages = await pages_of(ada, "list_channels", "channels", room="fat", limit=1000)
    assert len(pages) == 2 and [c["channel"] for p in pages for c in p] == [f"c{i:03}" for i in range(150)]
    for i in range(150):
        await ada.call("delete_channel", room="fat", channel=f"c{i:03}")
    await ada.close()


async def test_what_is_deleted_between_two_pages_does_not_disturb_them(broker):
    ada = await broker.client()
    for i in range(6):
        await ada.call("create_channel", room="shift", channel=f"c{i}")
    page = await ada.call("list_channels", room="shift", limit=3)
    for i in (1, 2, 3):
        await ada.call("delete_channel", room="shift", channel=f"c{i}")
    page = await ada.call("list_channels", room="shift", limit=3, cursor=page["next"])
    assert [c["channel"] for c in page["channels"]] == ["c4", "c5"]
    await ada.close()


async def test_the_only_member_may_delete_a_channel_without_force(broker):
    ada, bob = await broker.client(), await broker.client()
    await ada.join("results:mine")
    await bob.refused("CHANNEL_NOT_EMPTY", "delete_channel", "channel", channel="results:mine")
    await ada.send(type="command", id="d", command="delete_channel", channel="results:mine")
    got = [await ada.receive(), await ada.receive()]
    told = next(m for m in got if m["type"] == "system")
    reply = next(m for m in got if m["type"] == "command_response")
    assert told["payload"] == {"event": "channel_deleted", "room": "results", "channel": "mine", "by": ada.id}
    assert reply["payload"]["result"] == {"room": "results", "channel": "mine", "deleted": True}
    await ada.close()
    await bob.close()


async def test_a_channel_that_nobody_has_used_yet_has_a_position_too(broker):
    ada = await broker.client()
    made = (await ada.call("create_channel", channel="results:fresh"))["history"]
    assert (made["first_seq"], made["last_seq"]) == (1, 0) and made["epoch"]
    assert (await ada.call("channel_info", channel="results:fresh"))["history"] == made
    result = await ada.call("history", channel="results:fresh")
    assert (result["messages"], result["last_seq"], result["epoch"]) == ([], 0, made["epoch"])
    assert (await ada.join("results:fresh"))["epoch"] == made["epoch"]
    await ada.close()


async def test_who_kicks_itself_hears_of_it_first(broker):
    admin = await broker.admin()
    assert (await admin.call("kick", client_id=admin.id))["kicked"] is True
    await admin.closed(1008, "kicked")


async def test_a_channel_made_anew_is_of_another_past(broker):
    ada = await broker.client()
    first = await ada.join("results:again")
    await ada.publish("results:again", 1, ack=True)
    await ada.expect(type="ack")
    await ada.call("leave_channel", channel="results:again")
    await ada.call("delete_channel", channel="results:again")
    result = await ada.join("results:again", since={"seq": 1, "epoch": first["epoch"]})
    assert result["seq"] == 0 and result["epoch"] != first["epoch"] and result["recovered"] is False
    assert (await ada.expect(type="gap"))["payload"]["reason"] == "epoch"
    await ada.close()


async def test_history_shows_envelopes_as_they_were_sent(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("results:history")
    await ada.publish("results:history", {"b": 1.0, "a": [1, {}]}, metadata={"z": None}, id="h1")
    heard = await bob.receive()
    result = await bob.call("history", channel="results:history")
    assert set(result) == {"messages", "first_seq", "last_seq", "epoch", "truncated"}
    assert result["messages"] == [heard]
    await ada.close()
    await bob.close()


@pytest.mark.parametrize("command, where", [
    ("create_channel", "results:unused-1"), ("channel_info", "science:share"), ("history", "science:execute"),
])
async def test_a_channel_that_nobody_has_used_has_the_epoch_of_its_first_message(broker, command, where):
    ada = await broker.client()
    result = await ada.call(command, channel=where)
    ends = result if command == "history" else result["history"]
    assert ends["epoch"] and (ends["first_seq"], ends["last_seq"]) == (1, 0)
    await ada.publish(where, {}, ack=True, id="e")
    assert (await ada.expect(type="ack"))["payload"]["epoch"] == ends["epoch"]
    await ada.close()


async def test_a_range_of_history_may_be_bounded_in_every_way(broker):
    ada = await broker.client()
    stamps = []
    await ada.join("results:range", echo=True)
    for i in range(1, 8):
        await ada.publish("results:range", i)
        stamps.append((await ada.expect(type="event"))["timestamp"])
        while (await ada.call("ping"))["server_time"] <= stamps[-1]:
            pass  # the next one has a later millisecond

    async def payloads(**fields):
        return [m["payload"] for m in (await ada.call("history", channel="results:range", **fields))["messages"]]

    assert await payloads(since=stamps[2], until=stamps[4]) == [3, 4, 5]
    assert await payloads(until=stamps[4], limit=2) == [4, 5]
    assert await payloads(since=stamps[2], limit=2) == [3, 4]
    assert await payloads(since=stamps[1], after=3, limit=2) == [4, 5]
    assert await payloads(since=stamps[2], before=5) == [3, 4]
    assert await payloads(after=0, limit=1) == [1]
    assert await payloads(before=1) == []
    assert await payloads(after=7) == [] and await payloads(after=1000) == []
    assert await payloads(client_id="nobody") == []
    assert await payloads(limit=1000) == list(range(1, 8))
    assert await payloads(limit=None, since=None, after=None) == list(range(1, 8))
    await ada.close()


@pytest.mark.parametrize("fields, code, field", [
    ({"channel": "nowhere:here"}, "CHANNEL_NOT_FOUND", None),
    ({"room": "nowhere"}, "ROOM_NOT_FOUND", None),
    ({}, "TARGET_REQUIRED", "room"),
    ({"room": "science", "before": 5}, "INVALID_ARGUMENT", "before"),
    ({"channel": "science:explore", "client_id": ""}, "INVALID_ARGUMENT", "client_id"),
    ({"channel": "science:explore", "limit": 1001}, "INVALID_ARGUMENT", "limit"),
    ({"channel": "science:explore", "before": 0}, "INVALID_ARGUMENT", "before"),
    ({"channel": "science:explore", "until": 5}, "INVALID_ARGUMENT", "until"),
])
async def test_a_bad_history_is_named(broker, fields, code, field):
    ada = await broker.client()
    await ada.refused(code, "history", field, **fields)
    await ada.close()


async def test_identify_has_these_fields(broker):
    ada = await broker.client()
    me = await ada.call("identify")
    assert set(me) == RECORD | {"session", "resumed", "admin", "binary", "connected_at", "channels"}
    assert me["joined_at"] is None and me["binary"] is False and STAMP.fullmatch(me["connected_at"])
    assert [me[k] for k in ("alias", "client_type", "screen_name", "avatar", "personality")] == [None] * 5
    await ada.call("identify", binary=False)
    await ada.close()


@pytest.mark.parametrize("fields, code, field", [
    ({"screen_name": "x" * 128, "avatar": "x" * 1024, "personality": "x" * 256, "alias": "x" * 64}, None, None),
    ({"screen_name": "x" * 129}, "INVALID_ARGUMENT", "screen_name"),
    ({"avatar": "x" * 1025}, "INVALID_ARGUMENT", "avatar"),
    ({"personality": "x" * 257}, "INVALID_ARGUMENT", "personality"),
    ({"alias": "a b"}, "INVALID_NAME", "alias"),
    ({"alias": ".a"}, "INVALID_NAME", "alias"),
    ({"screen_name": "a\nb"}, "INVALID_ARGUMENT", "screen_name"),
    ({"screen_name": "a\u0000b"}, "INVALID_ARGUMENT", "screen_name"),
    ({"screen_name": 5}, "INVALID_ARGUMENT", "screen_name"),
    ({"client_type": "Human"}, "INVALID_ARGUMENT", "client_type"),
    ({"token": "x" * 5000}, "INVALID_ARGUMENT", "token"),
])
async def test_what_one_says_of_oneself_has_limits(broker, fields, code, field):
    ada = await broker.client()
    if code is None:
        me = await ada.call("identify", **fields)
        assert {k: me[k] for k in fields} == fields
    else:
        await ada.refused(code, "identify", field, **fields)
        assert (await ada.call("identify"))["screen_name"] is None
    await ada.close()


async def test_clients_are_listed_in_pages_and_by_type(broker):
    admin = await broker.admin()
    clients = [await broker.client(f"?client_type={'service' if i % 2 else 'dashboard'}&alias=listed{i}")
               for i in range(7)]
    pages = await pages_of(admin, "list_clients", "clients", limit=2)
    shown = [c["client_id"] for p in pages for c in p]
    assert len(shown) == len(set(shown)) and {c.id for c in clients} <= set(shown)
    services = [c for p in await pages_of(admin, "list_clients", "clients", client_type="service") for c in p]
    assert {c["alias"] for c in services} >= {"listed1", "listed3", "listed5"}
    assert all(c["client_type"] == "service" for c in services)
    info = await admin.call("client_info", client_id="listed0")
    assert set(info) == RECORD | {"address", "connected_at", "channels", "messages_received", "admin", "resumed"}
    await admin.refused("INVALID_ARGUMENT", "list_clients", "client_type", client_type="robot")
    for c in clients + [admin]:
        await c.close()


async def test_plugins_and_config_have_these_fields(broker):
    admin = await broker.admin()
    plugins = (await admin.call("plugins"))["plugins"]
    for plugin in plugins:
        assert set(plugin) == {"name", "version", "summary", "file", "state", "kinds", "required"}
    states = {p["name"]: p["state"] for p in plugins}
    assert states["commands-builtin"] == "running" and states["telemetry-log"] == "disabled"
    for action in ("load", "unload", "reload", "dance"):
        await admin.refused("INVALID_ARGUMENT", "plugins", "action", action=action)
    config = await admin.call("config")
    assert {"server", "storage", "telemetry", "log", "limits", "auth", "plugins"} <= set(config)
    assert config["server"]["max_message_size"] and "open sesame" not in str(config)
    await admin.close()


async def test_a_kick_by_alias_names_the_client_and_the_reason_is_bounded(broker):
    admin, ada = await broker.admin(), await broker.client("?alias=loud")
    await admin.refused("INVALID_ARGUMENT", "kick", "reason", client_id="loud", reason="x" * 121)
    await admin.refused("TARGET_NOT_FOUND", "kick", "client_id", client_id="quiet")
    assert await admin.call("kick", client_id="loud", reason="\u20ac" * 40) == {"client_id": ada.id, "kicked": True}
    await ada.closed(1008, "\u20ac" * 40)
    bob = await broker.client()
    await admin.call("kick", client_id=bob.id)
    await bob.closed(1008, "kicked")
    assert await admin.call("kick", client_id=admin.id) == {"client_id": admin.id, "kicked": True}
    await admin.closed(1008, "kicked")


@pytest.mark.parametrize("message, payload", [
    ("hi", {"message": "hi"}), ({"a": 1}, {"a": 1}), ([1], {"message": [1]}), (0, {"message": 0}),
    (False, {"message": False}),
])
async def test_a_broadcast_may_be_any_value(broker, message, payload):
    admin, ada = await broker.admin(), await broker.client()
    await ada.join("results:cast")
    assert (await admin.call("broadcast", channel="results:cast", message=message)) == {"delivered": 1}
    got = await ada.expect(type="system", room="results", channel="cast", **{"from": "arqonbus"})
    assert got["payload"] == payload and got["seq"] >= 1
    await admin.close()
    await ada.close()


async def test_a_broadcast_without_an_address_reaches_everybody(start):
    broker = start()
    admin, ada = await broker.admin(), await broker.client()
    await admin.send(type="command", id="b", command="broadcast", message="to all")
    for client in (admin, ada):
        got = await client.expect(type="system", payload={"message": "to all"})
        assert "channel" not in got and "seq" not in got
    reply = await admin.expect(type="command_response", request_id="b")
    assert reply["payload"]["result"] == {"delivered": 2}
    await admin.refused("CHANNEL_NOT_FOUND", "broadcast", "channel", channel="science:nowhere", message="x")
    await admin.refused("ROOM_NOT_FOUND", "broadcast", "room", room="no", message="x")
    await admin.refused("INVALID_ARGUMENT", "broadcast", "message", room="science")
    await admin.close()
    await ada.close()


async def test_without_a_configured_token_nobody_is_an_admin(start):
    broker = start(env={"ARQONBUS_AUTH_ADMIN_TOKEN": ""})
    ada = await broker.client()
    for token in ("", "x"):
        await ada.refused("INVALID_ARGUMENT", "identify", "token", token=token)
    await ada.close()
    ada = await broker.client()
    for command in ("kick", "config", "log_level", "plugins", "list_clients", "client_info", "broadcast"):
        await ada.refused("FORBIDDEN", command, "command")
    await ada.send(type="system", id="s", room="science", channel="explore")
    await ada.expect_error("FORBIDDEN", "type", "s")
    await ada.close()

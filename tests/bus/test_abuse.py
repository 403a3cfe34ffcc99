# SPDX-License-Identifier: Apache-2.0
"""Peers that vanish, stall, flood and loop: the others notice nothing."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys

import websockets
from broker import BUILD, PATIENCE, SOURCE, Broker
from raw import Raw

JOIN = b'{"type":"command","command":"join_channel","channel":"%s"}'

VICTIM = """
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], max_size=None) as ws:
        await ws.recv()
        await ws.send('{"type":"command","command":"join_channel","channel":"victim:one"}')
        await ws.recv()
        print("ready", flush=True)
        async for _ in ws:
            pass
asyncio.run(main())
"""


async def exchange(ada, bob, channel, n=1):
    """What ada says bob hears, in order."""
    for i in range(n):
        await ada.publish(channel, [n, i])
        await bob.expect(type="event", payload=[n, i])


async def test_a_killed_process_is_noticed_by_its_channel_and_nobody_else(start):
    broker = start("--set", "server.presence_grace=0", "--set", "server.presence_interval=10ms")
    ada, bob = await broker.client(), await broker.client()
    await ada.join("victim:one", presence=True)
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, broker.url()], stdout=subprocess.PIPE)
    try:
        assert victim.stdout.readline() == b"ready\n"
        joined = await ada.expect(type="system", channel="one")
        (who,) = joined["payload"]["joined"]
        victim.send_signal(signal.SIGKILL)
        left = await ada.expect(type="system", channel="one")
        assert left["payload"]["left"] == [who["client_id"]] and left["payload"]["member_count"] == 1
    finally:
        victim.kill()
        victim.wait()
    await exchange(bob, ada, "victim:one")
    await ada.close()
    await bob.close()


async def test_a_peer_that_closes_half_is_let_go(broker):
    peer = Raw(broker.port).open()
    peer.socket.shutdown(socket.SHUT_WR)
    await asyncio.to_thread(peer.ended)
    peer.close()


async def test_messages_before_a_half_close_still_count(broker):
    bob = await broker.client()
    await bob.join("last:words")
    peer = Raw(broker.port).open()
    peer.send(peer.make(1, b'{"type":"event","channel":"last:words","payload":1}'))
    peer.socket.shutdown(socket.SHUT_WR)
    await bob.expect(type="event", payload=1)
    peer.close()
    await bob.close()


async def test_a_slow_consumer_is_told_why_before_it_is_closed(start):
    broker = start("--set", "server.outbox_limit=256KiB", "--set", "server.write_timeout=60s",
                   "--set", "server.close_timeout=10s")
    slow, ada, bob = Raw(broker.port), await broker.client(), await broker.client()
    slow.open()
    slow.send(slow.make(1, JOIN % b"slow:one"))
    assert '"success"' in slow.text()
    await bob.join("slow:one")
    while (await asyncio.to_thread(broker.metrics))["arqonbus_slow_consumers_total"] == 0:
        await ada.publish("slow:one", "x" * 60000)
        await bob.expect(type="event")
    slow.send(slow.make(8, struct.pack(">H", 4008)))  # the answer is on its way before the question is read
    reason = await asyncio.to_thread(slow.closed, 4008)
    assert "262144" in reason, reason
    await exchange(ada, bob, "slow:one")
    slow.close()
    await ada.close()
    await bob.close()


async def test_two_clients_that_answer_each_other_for_ever_are_slowed_by_the_limits(start):
    broker = start("--set", "limits.messages_per_second=50", "--set", "limits.messages_burst=50")
    ada, bob, carl = [await broker.client() for _ in range(3)]
    await ada.join("loop:one")
    await bob.join("loop:one")

    async def parrot(client):
        """Repeat all that is heard until it is closed."""
        try:
            async for text in client.ws:
                message = json.loads(text)
                if message["type"] == "event":
                    await client.send(type="event", channel="loop:one", payload=message["payload"])
                    await client.send(type="event", channel="loop:one", payload=message["payload"])
        except websockets.ConnectionClosed:
            pass
        return client.ws.close_code

    parrots = [asyncio.create_task(parrot(c)) for c in (ada, bob)]
    await carl.publish("loop:one", "polly")
    done, _ = await asyncio.wait(parrots, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    assert {t.result() for t in done} == {4009}
    await carl.expect_nothing()
    await carl.close()
    for c in (ada, bob):
        await c.close()
    await asyncio.gather(*parrots)


async def test_metadata_as_large_as_a_message_passes_and_larger_closes(broker):
    ada, bob = await broker.client(), await broker.client()
    await bob.join("huge:one")
    head = '{"type":"event","channel":"huge:one","metadata":{"m":"'
    await ada.send(head + "x" * (65536 - len(head) - 3) + '"}}')
    assert len((await bob.expect(type="event"))["metadata"]["m"]) == 65536 - len(head) - 3
    await ada.send(head + "x" * (65536 - len(head) - 2) + '"}}')
    await ada.closed(1009, "65536")
    await bob.close()


async def test_1024_channels_and_not_one_more_are_for_one_client(broker):
    ada, bob = await broker.client(), await broker.client()
    for i in range(1024):
        await ada.send(type="command", command="join_channel", channel=f"plenty:c{i}")
    for i in range(1024):
        await ada.expect(type="command_response", status="success")
    error = await ada.refused("LIMIT_REACHED", "join_channel", "channel", channel="plenty:c1024")
    assert "1024" in error["message"]
    await bob.publish("plenty:c1023", 1)
    await ada.expect(type="event", channel="c1023")
    await bob.send(type="event", room="plenty", payload="once")
    await ada.expect(type="event", payload="once")
    await ada.expect_nothing()
    await ada.close()
    await bob.close()


def test_handshakes_that_never_end_do_not_keep_others_out(start):
    """H10: over the limit the one that has been silent for longest makes room."""
    broker = start("--set", "server.max_half_open=50", telemetry=False)
    idle = [Raw(broker.port) for _ in range(200)]
    for peer in idle:
        peer.send(b"GET / HTTP/1.1\r\n")
    Raw(broker.port).open().close()
    idle[0].ended()
    for peer in idle:
        peer.close()


async def test_a_stopped_and_continued_broker_goes_on(start):
    """O5: what is overdue when it wakes up is a reason to ping, not to close."""
    broker = start("--set", "server.ping_interval=300ms", "--set", "server.ping_timeout=300ms")
    ada, bob = await broker.client(), await broker.client()
    await bob.join("sleep:one")
    broker.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1.5)  # longer than both together; nothing can be waited for
    broker.process.send_signal(signal.SIGCONT)
    await exchange(ada, bob, "sleep:one")
    await ada.close()
    await bob.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


async def connect(port):
    """A WebSocket to a broker whose log nobody can read, once it is there."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return await websockets.connect(f"ws://127.0.0.1:{port}/", ping_interval=None)
        except OSError:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)


async def test_a_full_disk_under_the_log_holds_nobody_up():
    """S10: neither while the broker runs nor when it ends."""
    port = free_port()
    argv = [os.path.join(BUILD, "arqonbusd"), "--config", "/dev/null", "--port", str(port), "--log-level", "debug",
            "--set", "telemetry.enabled=no", "--set", "log.file=/dev/full", "--plugins-dir", os.path.join(SOURCE, "etc", "plugins.d"),
            "--plugin-path", os.path.join(BUILD, "plugins", ".libs")]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        ws = await connect(port)
        await ws.recv()
        for i in range(100):
            await ws.send('{"type":"command","command":"dance"}')
            assert json.loads(await asyncio.wait_for(ws.recv(), PATIENCE))["type"] == "command_response"
        await ws.close()
        process.terminate()
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


async def test_a_killed_broker_is_back_on_its_port_at_once_and_says_that_the_past_is_gone(start):
    """O4, with history in memory."""
    killed = Broker()
    try:
        ada = await killed.client()
        where = await ada.join("past:one")
        await ada.publish("past:one", 1, ack=True)
        await ada.expect(type="ack")
    finally:
        killed.kill()
    broker = start("--port", str(killed.port))
    assert broker.port == killed.port
    again = await broker.client(f"?session={ada.session}")
    assert again.welcome["payload"]["resumed"] is False and again.id != ada.id
    result = await again.join("past:one", since={"seq": 1, "epoch": where["epoch"]})
    assert result["recovered"] is False and result["epoch"] != where["epoch"]
    gap = await again.expect(type="gap")
    assert gap["payload"] == {"from_seq": None, "to_seq": 0, "epoch": result["epoch"], "reason": "epoch"}
    await again.close()


def test_a_second_signal_ends_what_waits_for_its_clients(start):
    broker = start("--set", "server.close_timeout=1h")
    peer = Raw(broker.port).open()  # which never answers a close
    broker.process.send_signal(signal.SIGTERM)
    assert "draining" in peer.text()
    assert peer.frame() == (8, struct.pack(">H", 1012) + b"the broker stops")
    broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(PATIENCE) == 0
    peer.close()

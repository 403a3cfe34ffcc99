# SPDX-License-Identifier: Apache-2.0
"""Pages, limits, slow consumers, settings, and the end."""

import asyncio
import datetime
import json
import os
import signal
import subprocess
import time

import pytest
import websockets
from broker import ADMIN, BACKEND, BUILD, IO_THREADS, PATIENCE, SOURCE, STORAGE
from day import HOUR, Day
from raw import Raw


@pytest.mark.parametrize("port", ["port", "telemetry_port"])
def test_both_ports_answer_health_version_and_metrics(broker, port):
    port = getattr(broker, port)
    for path in ("/health", "/health/ready", "/health/live"):
        status, headers, body = broker.http(path, port)
        assert status == 200 and json.loads(body)["status"] == "ok"
        assert headers["Content-Type"].startswith("application/json")
    status, _, body = broker.http("/version", port)
    version = json.loads(body)
    assert status == 200 and version["name"] == "ArqonBus" and version["protocol"] == "1.0" and version["version"]
    assert "/" not in json.dumps(version["build"])
    status, headers, body = broker.http("/metrics", port)
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for name in ("arqonbus_clients", "arqonbus_messages_received_total", "arqonbus_routing_seconds_bucket",
                 'arqonbus_rejected_total{code="INVALID_JSON"}', "process_resident_memory_bytes", "process_open_fds",
                 "arqonbus_core_stalled 0", 'arqonbus_plugin_up{plugin="%s"} 1' % STORAGE,
                 "process_start_time_seconds", "arqonbus_outbox_bytes", "arqonbus_storage_up 1"):
        assert name in body, name


def test_what_is_no_page_is_told_so(broker):
    assert broker.http("/nowhere")[0] == 426
    status, headers, _ = broker.http("/health", method="DELETE")
    assert status == 405 and "GET" in headers["Allow"]
    status, headers, body = broker.http("/health", method="HEAD")
    assert status == 200 and body == "" and int(headers["Content-Length"]) > 0
    peer = Raw(broker.port)
    peer.send(b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    status, headers = peer.answer()
    assert status == 426 and int(headers["content-length"]) > 0
    rest = peer.buffer
    while more := peer.socket.recv(4096):
        rest += more
    assert rest == b""
    peer.close()


def test_a_target_may_be_in_absolute_form(broker):
    for target, wanted in (("http://x:1/version", 200), ("HTTP://x/version?a=b", 200), ("http://x", 426), ("http://x?a", 426)):
        peer = Raw(broker.port)
        peer.send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert peer.answer()[0] == wanted, target
        peer.close()


def test_a_connection_may_ask_for_several_pages(broker):
    peer = Raw(broker.port)
    for _ in range(3):
        peer.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers = peer.answer()
        assert status == 200 and headers["connection"] == "keep-alive"
        peer.need(int(headers["content-length"]))
        peer.buffer = peer.buffer[int(headers["content-length"]):]
    peer.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for _ in range(3):
        status, headers = peer.answer()
        peer.need(int(headers["content-length"]))
        peer.buffer = peer.buffer[int(headers["content-length"]):]
    peer.ended()
    peer.close()


async def test_names_of_clients_and_channels_are_no_labels(broker):
    ada = await broker.client("?alias=very.special")
    await ada.join("specialroom:specialchannel")
    await ada.publish("specialroom:specialchannel", 1)
    await broker.wait_metric("arqonbus_messages_received_total", lambda n: n >= 1)
    text = broker.http("/metrics")[2]
    assert "special" not in text and ada.id not in text
    await ada.close()


async def test_rates_are_limited_and_persistent_offenders_closed(start):
    broker = start("--set", "limits.messages_per_second=5", "--set", "limits.messages_burst=10",
                   "--set", "limits.commands_per_second=5", "--set", "limits.commands_burst=5")
    ada, bob = await broker.client(), await broker.client()
    for i in range(11):
        await ada.publish("rate:one", i, id=f"m{i}")
    error = await ada.expect_error("RATE_LIMITED", None, "m10")
    assert 0 < error["retry_after_ms"] <= 200 and "5" in error["message"]
    for i in range(9):
        await ada.publish("rate:one", i)
    await ada.closed(4009, "violations")
    for i in range(6):
        await bob.send(type="command", id=str(i), command="ping")
    for i in range(5):
        await bob.expect(type="command_response", request_id=str(i))
    await bob.expect_error("RATE_LIMITED", None, "5")
    await bob.close()


async def test_bytes_and_new_channels_are_limited_too(start):
    broker = start("--set", "limits.bytes_per_second=1KiB", "--set", "limits.bytes_burst=2KiB",
                   "--set", "limits.channels_per_second=1", "--set", "limits.channels_burst=2")
    ada, bob = await broker.client(), await broker.client()
    await ada.publish("bytes:one", "x" * 1800)
    await ada.publish("bytes:one", "x" * 1800, id="b")
    assert "bytes_per_second" in (await ada.expect_error("RATE_LIMITED", None, "b"))["message"]
    for i in range(2):
        await bob.join(f"many:c{i}")
    await bob.refused("RATE_LIMITED", "join_channel", channel="many:c2")
    await ada.close()
    await bob.close()


async def test_connections_of_one_address_and_their_rate_are_limited(start):
    broker = start("--set", "limits.connections_per_address=3", telemetry=False)
    clients = [await broker.client() for _ in range(3)]
    peer = Raw(broker.port)
    peer.send(peer.head())
    assert peer.answer()[0] == 429
    peer.close()
    await clients.pop().close()
    for _ in range(100):
        try:
            clients.append(await broker.client())
            break
        except websockets.InvalidStatusCode:
            await asyncio.sleep(0.02)
    assert len(clients) == 3
    for c in clients:
        await c.close()


def test_the_rate_of_new_connections_is_limited(start):
    broker = start("--set", "limits.accepts_per_second=1", "--set", "limits.accepts_burst=4", telemetry=False)
    peers = [Raw(broker.port) for _ in range(8)]
    answers = []
    for p in peers:
        p.send(p.head())
        answers.append(p.answer()[0])
        p.close()
    assert answers.count(101) in (4, 5) and set(answers) == {101, 503}


async def test_the_shipped_limits_for_the_public_work(start):
    broker = start("--set", "limits.max_violations=0", conf=f"include = {SOURCE}/etc/limits-public.conf\n")
    ada, admin = await broker.client(), await broker.admin()
    limits = (await admin.call("config"))["limits"]
    assert limits["messages_per_second"] == 100 and limits["connections_per_address"] == 256

    async def join(i):
        """Join, as often as the rate lets us."""
        while True:
            await ada.send(type="command", id=str(i), command="join_channel", channel=f"pub:c{i}")
            reply = await ada.receive()
            error = reply["payload"] if reply["type"] == "error" else reply["payload"].get("error", {})
            if error.get("code") != "RATE_LIMITED":
                return error.get("code", "success")
            await asyncio.sleep(error.get("retry_after_ms", 20) / 1000)

    assert [await join(i) for i in range(129)] == ["success"] * 128 + ["LIMIT_REACHED"]
    await ada.close()
    await admin.close()


async def fill(broker, sender, n, size):
    for i in range(n):
        await sender.publish("slow:one", [i, "x" * size])


async def test_s1_a_slow_consumer_is_dropped_and_the_others_do_not_notice(start):
    broker = start()
    slow, quick, talker = Raw(broker.port).open(), await broker.client(), await broker.client()
    slow.send(slow.make(1, b'{"type":"command","command":"join_channel","channel":"slow:one"}'))
    assert '"success"' in slow.text()
    await quick.join("slow:one")
    for i in range(1500):
        await talker.publish("slow:one", [i, "x" * 20000])
        assert (await quick.expect(type="event"))["payload"][0] == i
    await broker.wait_metric("arqonbus_slow_consumers_total", lambda n: n == 1)
    broker.wait_log('code=4008 reason="slow consumer"')
    await broker.wait_metric("arqonbus_outbox_bytes", lambda n: n < 300000)
    slow.close()
    await quick.expect_nothing()
    await quick.close()
    await talker.close()


async def test_s1_a_socket_that_takes_no_byte_is_given_up_in_time(start):
    broker = start("--set", "server.outbox_limit=64MiB", "--set", "server.write_timeout=300ms")
    stuck, talker = Raw(broker.port).open(), await broker.client()
    stuck.send(stuck.make(1, b'{"type":"command","command":"join_channel","channel":"slow:one"}'))
    assert '"success"' in stuck.text()
    await fill(broker, talker, 500, 20000)
    broker.wait_log("slow consumer")
    await talker.expect_nothing()
    stuck.close()
    await talker.close()


async def test_memory_that_runs_short_pauses_publishers_until_there_is_room(start):
    broker = start("--set", "server.memory_limit=8MiB", "--set", "storage-memory.memory_limit=16MiB",
                   "--set", "storage.history_size=100000", "--set", "storage.history_ttl=1s")
    talker, other = await broker.client(), await broker.client()
    task = asyncio.create_task(fill(broker, talker, 600, 20000))
    await asyncio.to_thread(broker.wait_log, "memory: short")
    await other.expect_nothing()
    await asyncio.to_thread(broker.wait_log, "memory: there is room again")
    await asyncio.wait_for(task, 30)
    await talker.close()
    await other.close()


async def test_everything_returns_to_where_it_was(start):
    """Clients that are killed, half-close, drip, or talk garbage leave no object, byte or descriptor behind."""
    broker = start("--set", "server.dedupe_window=0", "--set", "server.channel_idle=50ms",
                   "--set", "server.presence_grace=0", "--set", "storage.history_ttl=100ms",
                   "--set", "server.handshake_timeout=300ms", "--set", "storage-redis-streams.hold=100ms",
                   telemetry=False)  # which keeps the last 10,000 events, as it should
    watcher = await broker.client()

    async def storm():
        clients = [await broker.client(f"?screen_name=x{i}") for i in range(20)]
        for i, c in enumerate(clients):
            await c.join(f"storm:c{i % 5}", presence=True)
            await c.publish(f"storm:c{i % 5}", "x" * 1000)
            if i % 4 == 0:
                c.ws.transport.abort()
            elif i % 4 == 1:
                await c.send("garbage")
                await c.ws.close()
            elif i % 4 == 2:
                c.ws.transport.get_extra_info("socket")
                c.ws.transport.write(b"\xff" * 100)
        for c in clients:
            await c.ws.close()
        drip = Raw(broker.port)
        drip.send(b"GET")
        await broker.settle()
        await broker.wait_metric("arqonbus_connections", lambda n: n <= 3)
        drip.close()
        await broker.settle()
        await broker.wait_metric("arqonbus_connections", lambda n: n <= 2)
        await broker.wait_metric("arqonbus_channels", lambda n: n == 8)
        await broker.wait_metric("arqonbus_messages_alive", lambda n: n <= 2)
        await broker.settle()
        return broker.metrics()

    for _ in range(3 + int(IO_THREADS)):  # each thread fills its pools
        first = await storm()
    second = await storm()
    for _ in range(3):
        second = await storm()
    assert second["process_open_fds"] <= first["process_open_fds"] + 2
    assert second["arqonbus_clients"] == first["arqonbus_clients"]
    assert second["arqonbus_heap_used_bytes"] <= first["arqonbus_heap_used_bytes"] + 65536
    await watcher.expect_nothing()
    await watcher.close()


async def test_o5_signals_that_mean_nothing_do_nothing(start):
    broker = start()
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    for signo in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGUSR1, signal.SIGURG, signal.SIGWINCH) * 5:
        broker.process.send_signal(signo)
        await ada.publish("r:c", {"n": signo})
        await bob.expect(type="event", payload={"n": signo})
    await ada.close()
    await bob.close()


class Sleeper(asyncio.Protocol):
    """A client that only answers pings, and those only when it is let."""
    PING, PONG = b"\x89\x00", b"\x8a\x80\x00\x00\x00\x00"

    def __init__(self):
        self.pinged, self.may_answer = asyncio.Event(), False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")

    def data_received(self, data):
        if data.endswith(self.PING):
            self.pinged.set()
            if self.may_answer:
                self.answer()

    def answer(self):
        self.may_answer = True
        self.transport.write(self.PONG)


async def test_o5_nobody_of_a_crowd_is_lost_when_a_stopped_broker_goes_on(start):
    """All were pinged, all have answered, and all is overdue when it wakes up."""
    broker = start("--set", "server.ping_interval=300ms", "--set", "server.ping_timeout=1s", telemetry=False)
    loop = asyncio.get_running_loop()
    crowd = [(await loop.create_connection(Sleeper, "127.0.0.1", broker.port))[1] for _ in range(500)]
    await asyncio.wait_for(asyncio.gather(*[s.pinged.wait() for s in crowd]), PATIENCE)
    broker.process.send_signal(signal.SIGSTOP)
    for s in crowd:
        s.answer()
    await asyncio.sleep(2)  # longer than ping_timeout; nothing can be waited for
    broker.process.send_signal(signal.SIGCONT)
    await broker.settle()
    metrics = await asyncio.to_thread(broker.metrics)
    assert metrics["arqonbus_timeouts_total"] == 0 and metrics["arqonbus_clients"] == 500
    for s in crowd:
        s.transport.close()


async def test_o6_a_clock_that_jumps_changes_timestamps_and_nothing_else(start):
    day = Day()
    broker = start("--set", "server.ping_interval=100ms", "--set", "server.ping_timeout=2s",
                   "--set", "server.message_timeout=2s", "--set", "storage.history_ttl=10m",
                   "--set", "server.dedupe_window=10m", env=day.env(), telemetry=False)
    ada, bob = await broker.client(), await broker.client()
    await bob.join("r:c")
    first = await say(ada, bob, 1)
    jumps = [1, -1, 24, 0]
    for n, hours in enumerate(jumps, 2):
        day.jump(hours * HOUR)
        message = await say(ada, bob, n)
        told = datetime.datetime.fromisoformat(message["timestamp"])
        true = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
        assert abs((told - true).total_seconds()) < 60
        assert (message["seq"], message["epoch"]) == (n, first["epoch"])
        await broker.settle()  # half a second, with pings
        kept = (await bob.call("history", channel="r:c"))["messages"]
        if BACKEND == "memory":
            assert len(kept) == n
        else:  # which has only timestamps to tell an age from, after whatever restarts
            assert [int(m["id"][1:]) for m in kept] == [i for i, h in enumerate([0, *jumps][:n], 1) if h >= hours]
        await ada.publish("r:c", {"n": 1}, id="m1", ack=True)
        assert (await ada.expect(type="ack", request_id="m1"))["payload"]["seq"] == 1
        await bob.expect_nothing()
    metrics = await asyncio.to_thread(broker.metrics)
    assert metrics["arqonbus_timeouts_total"] == 0 and metrics["arqonbus_pings_sent_total"] > 0
    await ada.close()
    await bob.close()
    broker.stop()
    day.close()


async def say(ada, bob, n):
    await ada.publish("r:c", {"n": n}, id=f"m{n}", ack=True)
    await ada.expect(type="ack", request_id=f"m{n}")
    return await bob.expect(type="event", id=f"m{n}")


def test_who_cannot_wait_for_the_end_still_gets_a_clean_one(start):
    broker = start()
    deadline = time.monotonic() + PATIENCE
    while broker.process.poll() is None and time.monotonic() < deadline:
        broker.process.send_signal(signal.SIGTERM)
    assert broker.process.returncode == 0


class Logging:
    """A daemon whose log goes where a test says."""

    def __init__(self, *flags, stderr=None):
        argv = [os.path.join(BUILD, "arqonbusd"), "--config", "/dev/null", "--port", "0", "--set", "telemetry.enabled=no",
                "--plugins-dir", os.path.join(SOURCE, "etc", "plugins.d"),
                "--plugin-path", os.path.join(BUILD, "plugins", ".libs")]
        self.process = subprocess.Popen([*argv, *flags], stderr=stderr)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def wait_for_text(path, text):
    wait_for(lambda: os.path.exists(path) and text in open(path).read())


def catches(pid, signo):
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:")).split()[1]
    return int(caught, 16) >> (signo - 1) & 1 == 1


@pytest.mark.parametrize("signo", [signal.SIGHUP, signal.SIGUSR1])
def test_o5_a_signal_opens_the_log_anew(tmp_path, signo):
    path = f"{tmp_path}/bus.log"
    with Logging("--set", f"log.file={path}") as process:
        wait_for_text(path, "listening")
        os.rename(path, path + ".1")
        process.send_signal(signo)
        wait_for(lambda: os.path.exists(path))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "stopped" in open(path).read()


def test_a_log_that_cannot_be_opened_anew_goes_on_and_says_so(tmp_path):
    """S10"""
    os.mkdir(tmp_path / "log")
    with Logging("--set", f"log.file={tmp_path}/log/bus.log") as process:
        wait_for_text(f"{tmp_path}/log/bus.log", "listening")
        os.rename(tmp_path / "log", tmp_path / "moved")
        process.send_signal(signal.SIGHUP)
        wait_for_text(f"{tmp_path}/moved/bus.log", 'level=error msg="log file cannot be opened anew"')
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "stopped" in open(f"{tmp_path}/moved/bus.log").read()


def test_a_log_that_nobody_reads_does_not_hold_up_the_end():
    """S10: the pipe is full before the daemon writes its first line."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with Logging(stderr=writer) as process:
        wait_for(lambda: catches(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    os.close(reader)
    os.close(writer)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(*flags, env=None):
    return subprocess.run([os.path.join(BUILD, "arqonbusd"), *flags], capture_output=True, text=True, timeout=20,
                          env={**{k: v for k, v in os.environ.items() if not k.startswith("ARQONBUS_")}, **(env or {})})


PLUGINS = ("--plugins-dir", os.path.join(SOURCE, "etc", "plugins.d"),
           "--plugin-path", os.path.join(BUILD, "plugins", ".libs"))


def test_the_configuration_can_be_checked_and_shown():
    done = run("-t", "--config", os.path.join(SOURCE, "etc", "arqonbus.conf"), *PLUGINS)
    assert done.returncode == 0 and "right" in done.stdout, done
    done = run("--dump-config", "--config", "/dev/null", "--port", "1234", *PLUGINS, env={"ARQONBUS_SERVER_PORT": "99"})
    assert done.returncode == 0 and "port = 1234" in done.stdout


@pytest.mark.parametrize("flags, says", [
    (("--set", "server.port=70000"), "70000"),
    (("--set", "server.prot=1"), "port"),
    (("--set", "storage-memory.memory_limit=1"), "memory_limit"),
    (("--set", "storage-memory.colour=red"), "colour"),
    (("--set", "telemetry.host=0.0.0.0"), "token"),
    (("--io-threads", "65"), "io_threads"),
    (("--config", "/nowhere/arqonbus.conf"), "/nowhere"),
    (("--log-level", "loud"), "level"),
    (("--set", "server.bootstrap=a:b:c"), "bootstrap"),
])
def test_what_is_set_wrongly_stops_the_start_and_is_named(flags, says):
    config = () if flags[0] == "--config" else ("--config", "/dev/null")
    done = run("--port", "0", "--telemetry-port", "0", *PLUGINS, *config, *flags)
    assert done.returncode in (2, 3) and says in done.stderr, done


def test_o7_a_port_that_is_taken_is_told(broker):
    done = run("--config", "/dev/null", "--port", str(broker.port), "--telemetry-port", "0", *PLUGINS)
    assert done.returncode == 3 and str(broker.port) in done.stderr and "in use" in done.stderr


async def test_as_the_readme_types_it(start):
    broker = start(host="0.0.0.0")
    broker.wait_log("level=warning")
    ada = await broker.client()
    await ada.expect_nothing()
    await ada.close()


def test_log_lines_may_be_json(broker):
    done = run("--config", "/dev/null", "--port", str(broker.port), "--set", "log.format=json",
               "--set", "telemetry.enabled=no", *PLUGINS)
    lines = [json.loads(x) for x in done.stderr.splitlines()]
    assert lines and all({"time", "level", "msg"} <= set(x) for x in lines)


def test_admin_token_of_the_environment_is_masked():
    done = run("--dump-config", "--config", "/dev/null", *PLUGINS, env={"ARQONBUS_AUTH_ADMIN_TOKEN": ADMIN})
    assert done.returncode == 0 and ADMIN not in done.stdout


async def test_a_plugin_that_does_not_run_shows_in_the_metrics(start):
    broker = start("--set", "telemetry-log.enabled=yes", "--set", "telemetry-log.file=/nowhere/x")
    broker.errors_expected = True
    metrics = broker.metrics()
    assert metrics['arqonbus_plugin_up{plugin="telemetry-log"}'] == 0
    assert metrics['arqonbus_plugin_up{plugin="commands-builtin"}'] == 1

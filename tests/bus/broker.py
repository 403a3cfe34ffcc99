# SPDX-License-Identifier: Apache-2.0
"""The nouns of the tests: a broker, and its clients.

A test reads like a script: start a broker, let clients join, send and expect.
Whatever is waited for has a deadline; nothing sleeps.
"""

import asyncio
import atexit
import functools
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import websockets

from redis_server import Redis

BUILD = os.environ.get("ARQONBUS_BUILD", os.getcwd())
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = 10.0  # seconds; what takes longer is broken
ADMIN = "open sesame"
BACKEND = os.environ.get("ARQONBUS_TEST_STORAGE", "memory")  # of every broker that is not told otherwise
STORAGE = "storage-" + BACKEND


@functools.cache
def shared_redis():
    """One for all brokers of a run, each with keys of its own."""
    redis = Redis()
    atexit.register(redis.close)
    return redis
IO_THREADS = os.environ.get("ARQONBUS_IO_THREADS", "0")  # of every broker that is not told otherwise


class Broker:
    """A real arqonbusd on free ports of 127.0.0.1."""

    def __init__(self, *flags, env=None, plugins_dir=None, plugin_path=None, conf="", telemetry=True,
                 host=None, fds=None):
        self.dir = tempfile.mkdtemp(prefix="arqonbus-test-")
        self.log_file = os.path.join(self.dir, "log")
        conf_file = os.path.join(self.dir, "arqonbus.conf")
        with open(conf_file, "w") as f:
            f.write(conf)
        os.chmod(conf_file, 0o600)
        argv = [os.path.join(BUILD, "arqonbusd"), "--config", conf_file, "--port", "0",
                "--telemetry-port", "0",
                "--plugins-dir", plugins_dir or os.path.join(SOURCE, "etc", "plugins.d"),
                "--plugin-path", plugin_path or os.path.join(BUILD, "plugins", ".libs")]
        if not telemetry:
            argv += ["--set", "telemetry.enabled=no"]
        if host:
            argv += ["--host", host]
        full_env = {k: v for k, v in os.environ.items() if not k.startswith("ARQONBUS_")}
        if BACKEND == "redis-streams":
            full_env.update({"ARQONBUS_STORAGE_BACKEND": "redis-streams", "ARQONBUS_REDIS_URL": shared_redis().url,
                             "ARQONBUS_STORAGE_REDIS_STREAMS_PREFIX": os.path.basename(self.dir)[-8:]})
        full_env.update({"ARQONBUS_KEEP_PLUGINS": "1", "ARQONBUS_SERVER_IO_THREADS": IO_THREADS}, **(env or {}))
        limit = None
        if fds:
            def limit():
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (fds, fds))
        self.errors_expected = False
        self.process = subprocess.Popen(argv + list(flags), env=full_env, preexec_fn=limit,
                                        stderr=open(self.log_file, "w"))
        self.port = int(self.wait_log(r'msg="listening" .*port=(\d+)').group(1))
        self.telemetry_port = None
        if telemetry:
            found = re.search(r'telemetry listening[^\n]*port=(\d+)', self.log())
            self.telemetry_port = int(found.group(1)) if found else None

    def log(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log())
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"broker ended with {self.process.returncode}: {self.log()}")
            time.sleep(0.005)
        raise AssertionError(f"no {pattern!r} in the log: {self.log()}")

    def url(self, query=""):
        return f"ws://127.0.0.1:{self.port}/{query}"

    async def client(self, query="", **kw):
        """Connect and swallow the welcome."""
        return await Client.connect(self, query, **kw)

    async def admin(self):
        return await Client.connect(self, "?token=" + ADMIN.replace(" ", "%20"))

    def http(self, path, port=None, method="GET", headers=None, data=None):
        """(status, headers, body as text)"""
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}", method=method,
                                         headers=headers or {}, data=data)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read().decode()

    def metrics(self):
        """Every number of /metrics, as {name and labels: value}."""
        _, _, text = self.http("/metrics")
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if line and not line.startswith("#")}

    async def wait_metric(self, name, test):
        """Wait until a metric is as it should be: /metrics is made twice a second."""
        deadline = time.monotonic() + PATIENCE
        value = None
        while time.monotonic() < deadline:
            value = (await asyncio.to_thread(self.metrics)).get(name)
            if value is not None and test(value):
                return value
            await asyncio.sleep(0.02)
        raise AssertionError(f"{name} stays {value}")

    async def settle(self):
        """Let /metrics be made anew: what it shows now is of after this call."""
        name = "arqonbus_http_requests_total"
        before = (await asyncio.to_thread(self.metrics))[name]
        await self.wait_metric(name, lambda n: n > before)

    def memory(self):
        """What it has in memory, in bytes."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self):
        """End it as an operator would; it must go cleanly."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the broker does not stop: " + self.log())
        log = self.log()
        assert self.process.returncode == 0, f"exit status {self.process.returncode}: {log}"
        if not self.errors_expected:
            assert "level=error" not in log, log

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Client:
    """One WebSocket client that speaks JSON."""

    def __init__(self, ws):
        self.ws = ws
        self.waiting = []
        self.welcome = None
        self.count = 0

    @classmethod
    async def connect(cls, broker, query="", **kw):
        kw.setdefault("ping_interval", None)
        kw.setdefault("close_timeout", 0.5)  # of the library, at the end of a test
        kw.setdefault("max_size", None)
        kw.setdefault("max_queue", None)  # a full queue would hold up close()
        self = cls(await websockets.connect(broker.url(query), **kw))
        self.welcome = await self.expect(type="system")
        assert self.welcome["payload"]["event"] == "welcome"
        self.id = self.welcome["payload"]["client_id"]
        self.session = self.welcome["payload"]["session"]
        return self

    async def send(self, text=None, /, **fields):
        """Send an envelope given as fields, or anything as text."""
        await self.ws.send(json.dumps(fields) if text is None else text)

    async def receive(self, timeout=PATIENCE):
        return json.loads(await asyncio.wait_for(self.ws.recv(), timeout))

    async def expect(self, **fields):
        """The next message, which must have these fields."""
        message = await self.receive()
        for key, value in fields.items():
            assert message.get(key) == value, f"{key} is not {value!r} in {message}"
        return message

    async def expect_error(self, code, field=None, request_id=None):
        message = await self.expect(type="error", request_id=request_id)
        assert message["payload"]["code"] == code, message
        if field is not None:
            assert message["payload"].get("field") == field, message
        return message["payload"]

    async def expect_nothing(self):
        """Nothing is on its way: a ping's answer is the next message."""
        self.count += 1
        token = f"nothing-{self.count}"
        await self.send(type="ping", id=token)
        message = await self.receive()
        assert message["type"] == "pong" and message["request_id"] == token, message

    async def expect_nothing_but(self, kind):
        """The bus has read what was sent: a ping is answered, other messages aside."""
        await self.send(type="ping", id="read")
        while (message := await self.receive())["type"] == kind:
            pass
        assert message["type"] == "pong" and message["request_id"] == "read", message

    async def call(self, command, **fields):
        """A command that succeeds; its result."""
        reply = await self.ask(command, **fields)
        assert reply["status"] == "success", reply
        return reply["payload"]["result"]

    async def ask(self, command, **fields):
        """A command; its reply, messages that come before it being an error."""
        self.count += 1
        request_id = f"call-{self.count}"
        await self.send(type="command", id=request_id, command=command, **fields)
        reply = await self.expect(type="command_response", request_id=request_id, command=command)
        assert reply["payload"]["status"] == reply["status"]
        assert reply["payload"]["request_id"] == request_id
        return reply

    async def refused(self, code, command, field=None, **fields):
        reply = await self.ask(command, **fields)
        assert reply["status"] == "error", reply
        error = reply["payload"]["error"]
        assert error["code"] == code, reply
        assert error["message"]
        if field is not None:
            assert error.get("field") == field, reply
        return error

    async def join(self, address, **fields):
        return await self.call("join_channel", channel=address, **fields)

    async def publish(self, address, payload, **fields):
        room, channel = address.split(":")
        await self.send(type="event", room=room, channel=channel, payload=payload, **fields)

    async def close(self):
        await self.ws.close()

    async def closed(self, code, reason=""):
        """The broker has closed, or closes now, with this code."""
        async def drain():
            while True:
                await self.ws.recv()
        try:
            await asyncio.wait_for(drain(), PATIENCE)
        except websockets.ConnectionClosed:
            pass
        assert self.ws.close_code == code, (self.ws.close_code, self.ws.close_reason)
        assert reason in (self.ws.close_reason or ""), self.ws.close_reason
        return self.ws.close_reason

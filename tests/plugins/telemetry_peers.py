# SPDX-License-Identifier: Apache-2.0
"""What the tests of telemetry-websocket share: the built plugin in a small host
(telemetry_driver), and peers that are python3-websockets or bare sockets.

PLUGIN_DIR and ARQONBUS_BUILD say where make put them.
"""

import asyncio
import http.client
import json
import os
import queue
import socket
import struct
import subprocess
import threading
import time

import pytest
import websockets

BUILD = os.environ.get("ARQONBUS_BUILD") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
PLUGIN_DIR = os.environ.get("PLUGIN_DIR") or BUILD + "/plugins/.libs"
PLUGIN = PLUGIN_DIR + "/telemetry-websocket.so"
DRIVER = BUILD + "/tests/plugins/telemetry_driver"
DEADLINE = 20


class Broker:
    """The driver with the plugin in it."""

    def __init__(self, **options):
        options.setdefault("port", 0)
        self.process = subprocess.Popen(
            [DRIVER, PLUGIN] + [f"{k}={v}" for k, v in options.items()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answers = queue.Queue()
        self.logs = []
        self.port = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith("log "):
                self.logs.append(line)
            else:
                self.answers.put(line)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command):
        self.tell(command)
        return self.answers.get(timeout=DEADLINE)

    def start(self):
        answer = self.ask("start")
        for line in self.logs:
            if "telemetry listening" in line:
                self.port = int(line.rsplit("port=", 1)[1])
        return answer

    def emit(self, kind, count=1, size=0):
        return int(self.ask(f"emit {kind} {count} {size}").split()[1])

    def metric(self, name):
        pairs = (p.split("=") for p in self.ask("metrics").split()[1:])
        return int(dict(pairs)["arqonbus_telemetry_" + name])

    def expect_metric(self, name, wanted):
        expect(lambda: self.metric(name) == wanted)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self):
        try:
            self.tell("quit")
            status = self.process.wait(timeout=DEADLINE)
        finally:
            self.process.kill()
            self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
        assert status == 0
        assert [line for line in self.logs if line.startswith("log error")] == []


def expect(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


# A viewer that speaks through python3-websockets.


class Viewer:
    def __init__(self, websocket):
        self.websocket = websocket

    async def send(self, frame):
        await self.websocket.send(
            json.dumps(frame) if isinstance(frame, dict) else frame
        )

    async def get(self):
        return json.loads(await asyncio.wait_for(self.websocket.recv(), DEADLINE))

    async def expect(self, **wanted):
        frame = await self.get()
        assert {k: frame.get(k) for k in wanted} == wanted
        return frame

    async def expect_events(self, *seqs):
        for seq in seqs:
            await self.expect(seq=seq)

    async def settle(self):
        """Everything sent before this has been understood."""
        await self.send({"type": "ping"})
        await self.expect(event_type="pong")

    async def subscribe(self, *events, **more):
        await self.send({"type": "subscribe", "events": events, **more})

    async def closed(self):
        with pytest.raises(websockets.ConnectionClosed) as caught:
            while True:
                await self.get()
        return caught.value.rcvd


class watching:
    """async with watching(broker) as viewer: greeted already."""

    def __init__(self, broker, path="/", **more):
        self.connecting = websockets.connect(
            f"ws://127.0.0.1:{broker.port}{path}", max_size=None, **more
        )

    async def __aenter__(self):
        viewer = Viewer(await self.connecting.__aenter__())
        viewer.hello = await viewer.expect(event_type="telemetry_connected")
        return viewer

    async def __aexit__(self, *args):
        await self.connecting.__aexit__(*args)


def told(test):
    """Run an async test."""

    def run(broker_with):
        asyncio.run(test(broker_with))

    run.__name__ = test.__name__
    return run


# A viewer that is a socket, for what no decent client does.


class Socket:
    def __init__(self, broker, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer
            )
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", broker.port))
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def upgrade(self, headers=""):
        self.send(
            (
                "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                + headers
                + "\r\n"
            ).encode()
        )
        return self.head()

    def more(self):
        data = self.socket.recv(1 << 16)
        self.bytes += data
        return data != b""

    def take(self, n):
        while len(self.bytes) < n:
            assert self.more(), "closed too early"
        taken, self.bytes = self.bytes[:n], self.bytes[n:]
        return taken

    def head(self):
        while b"\r\n\r\n" not in self.bytes:
            assert self.more(), "closed too early"
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.")
        return head.decode()

    def response(self):
        head = self.head()
        names = dict(
            line.lower().split(": ", 1) for line in head.split("\r\n")[1:]
        )
        return int(head.split()[1]), self.take(int(names["content-length"]))

    def frame(self):
        first, second = self.take(2)
        size = second & 127
        if size == 126:
            size = struct.unpack(">H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.take(8))[0]
        return first & 15, self.take(size)

    def event(self):
        opcode, text = self.frame()
        assert opcode == 1
        return json.loads(text)

    def rest(self):
        """All that still comes until the other end closes."""
        try:
            while self.more():
                pass
        except ConnectionResetError:
            pass
        return self.bytes


def masked(text, opcode=1, final=True):
    text = text.encode() if isinstance(text, str) else text
    size = len(text)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    return head + b"\0\0\0\0" + text


def get(broker, path, method="GET", headers={}, body=None):
    connection = http.client.HTTPConnection(
        "127.0.0.1", broker.port, timeout=DEADLINE
    )
    connection.request(method, path, headers=headers, body=body)
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response

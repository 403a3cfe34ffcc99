# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client for much traffic: no task wakes up for each message, and nothing is decoded that nobody asks for."""

import asyncio
import json
import struct
import urllib.parse

PATIENCE = 10.0
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(payload, opcode=TEXT):
    """A frame as a client sends it.  A mask of zeros is one, and changes nothing."""
    n = len(payload)
    if n < 126:
        head = bytes((0x80 | opcode, 0x80 | n))
    else:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, n)
    return head + b"\0\0\0\0" + payload


class Wire(asyncio.Protocol):
    """Every message is given to take(), and flush() is called when all that came at once has been taken."""

    def __init__(self, take, flush):
        self.take, self.flush = take, flush
        self.rest = b""
        self.opened = False  # the upgrade was answered
        loop = asyncio.get_running_loop()
        self.welcomed = loop.create_future()
        self.closed = loop.create_future()

    @classmethod
    async def connect(cls, port, take, flush=lambda: None, session=None):
        """Become a WebSocket and read the welcome; OSError when that fails."""
        loop = asyncio.get_running_loop()
        _, self = await loop.create_connection(lambda: cls(take, flush), "127.0.0.1", port)
        query = "?session=" + urllib.parse.quote(session) if session else ""
        self.transport.write(f"GET /{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        try:
            async with asyncio.timeout(PATIENCE):
                welcome = json.loads(await self.welcomed)["payload"]
        except TimeoutError:
            self.abort()
            raise OSError("no welcome") from None
        self.client_id, self.session = welcome["client_id"], welcome["session"]
        return self

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, why):
        if not self.welcomed.done():
            self.welcomed.set_exception(why or OSError("closed before the welcome"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data):
        data = self.rest + data if self.rest else data
        self.rest = data if self.opened else self.upgrade(data)
        if self.opened:
            self.frames(self.rest)
            self.flush()

    def upgrade(self, data):
        """What is left after the answer to the upgrade."""
        head, mark, rest = data.partition(b"\r\n\r\n")
        if not mark:
            return data
        if b" 101 " not in head[:16]:
            self.transport.abort()
            return b""
        self.opened = True
        return rest

    def frames(self, data):
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                if start > end:
                    break
                size = int.from_bytes(data[at + 2:start], "big")
            if start + size > end:
                break
            self.frame(data[at] & 15, data[start:start + size])
            at = start + size
        self.rest = data[at:]

    def frame(self, opcode, payload):
        if opcode == TEXT:
            if self.welcomed.done():
                self.take(payload)
            else:
                self.welcomed.set_result(payload)
        elif opcode == PING:
            self.transport.write(frame(payload, PONG))
        elif opcode == CLOSE:
            self.transport.write(frame(payload, CLOSE))

    def send(self, data):
        """Frames; what is sent after the end goes nowhere."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def say(self, **fields):
        self.send(frame(json.dumps(fields).encode()))

    def abort(self):
        """As a lost connection is."""
        self.transport.abort()

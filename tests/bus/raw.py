# SPDX-License-Identifier: Apache-2.0
"""A peer that may break every rule: bytes over a plain socket."""

import base64
import os
import socket
import struct

PATIENCE = 10.0


class Raw:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def head(self, *drop, request="GET / HTTP/1.1", add=(), **change):
        """An upgrade request; headers may be left out, changed, or added."""
        headers = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
                   "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                   "Sec-WebSocket-Version": "13"}
        headers.update({k.replace("_", "-"): v for k, v in change.items()})
        lines = [request] + [f"{k}: {v}" for k, v in headers.items() if k not in drop] + list(add)
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def read_until(self, mark):
        while mark not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise AssertionError(f"closed before {mark!r}: {self.buffer!r}")
            self.buffer += more
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def answer(self):
        """(status, headers) of an HTTP answer."""
        lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v for k, v in (x.split(": ", 1) for x in lines[1:])}

    def open(self):
        """Become a WebSocket; the welcome is swallowed."""
        self.send(self.head())
        status, _ = self.answer()
        assert status == 101
        opcode, payload = self.frame()
        assert opcode == 1 and b'"welcome"' in payload
        return self

    @staticmethod
    def make(opcode, payload=b"", fin=True, mask=b"abcd", rsv=0, length=None, form=None):
        """A frame as a client would send it, or as none should."""
        n = len(payload) if length is None else length
        form = form or (7 if n < 126 else 16 if n < 65536 else 64)
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        bit = 0x80 if mask else 0
        if form == 7:
            head = struct.pack(">BB", first, bit | n)
        elif form == 16:
            head = struct.pack(">BBH", first, bit | 126, n)
        else:
            head = struct.pack(">BBQ", first, bit | 127, n)
        if mask:
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        return head + (mask or b"") + payload

    def frame(self):
        """The next frame of the server: (opcode, payload); `compressed` tells of it."""
        self.need(2)
        self.compressed = bool(self.buffer[0] & 0x40)
        opcode, n = self.buffer[0] & 15, self.buffer[1]
        assert self.buffer[0] & 0x80 and not n & 0x80, "a server's frame is final and not masked"
        at = 2
        if n == 126:
            self.need(4)
            n, at = struct.unpack(">H", self.buffer[2:4])[0], 4
        elif n == 127:
            self.need(10)
            n, at = struct.unpack(">Q", self.buffer[2:10])[0], 10
        self.need(at + n)
        payload, self.buffer = self.buffer[at:at + n], self.buffer[at + n:]
        return opcode, payload

    def need(self, n):
        while len(self.buffer) < n:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more

    def text(self):
        opcode, payload = self.frame()
        assert opcode == 1, (opcode, payload)
        return payload.decode()

    def closed(self, code):
        """A close frame with this code comes, then the end; the reason."""
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                break
        assert struct.unpack(">H", payload[:2])[0] == code, payload
        self.ended()
        return payload[2:].decode()

    def ended(self):
        """The connection is over."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def close(self):
        self.socket.close()

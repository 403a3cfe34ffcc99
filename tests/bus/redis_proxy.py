# SPDX-License-Identifier: Apache-2.0
"""Something between the broker and Redis that delays, refuses, swallows and lies."""

import socket
import threading
import time


class Proxy:
    """Passes one command after the other of each connection.

    tamper(words, ask) answers for Redis, or with None lets it answer; ask() has
    Redis do it and returns what Redis said; Gone breaks the connection.
    """

    def __init__(self, redis, tamper=None):
        self.redis, self.tamper, self.delay = redis, tamper, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.server.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, socket.create_connection(("127.0.0.1", self.redis.port)) as there:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                here, back = connection.makefile("rb"), there.makefile("rb")
                while True:
                    connection.sendall(self.answer(*read(here), there, back))
        except OSError:
            pass  # also Gone

    def answer(self, raw, words, there, back):
        def ask():
            there.sendall(raw)
            return read(back)[0]
        time.sleep(self.delay)
        reply = self.tamper(words, ask) if self.tamper else None
        return ask() if reply is None else reply


class Gone(OSError):
    pass


def read(f):
    """One whole RESP value: its bytes, and, of an array, its words."""
    line = f.readline()
    if not line.endswith(b"\r\n"):
        raise Gone()
    kind, rest = line[:1], line[1:-2]
    if kind == b"$" and rest != b"-1":
        data = f.read(int(rest) + 2)
        if len(data) < int(rest) + 2:
            raise Gone()
        return line + data, data[:-2]
    if kind == b"*":
        items = [read(f) for _ in range(max(int(rest), 0))]
        return line + b"".join(raw for raw, _ in items), [word for _, word in items]
    return line, rest


def is_write(words):
    """Does it store a message?"""
    return words[0] == b"XADD" and b":c:" in words[1] or words[0] == b"EVAL" and b"XADD" in words[1]

# SPDX-License-Identifier: Apache-2.0
"""A real redis-server of a test's own, on a free port of 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PATIENCE = 10.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis:
    """Start it, talk to it, kill it, let it come back with what its disk has."""

    def __init__(self, *settings, appendfsync="everysec", env=None):
        self.dir = tempfile.mkdtemp(prefix="arqonbus-redis-")
        self.port = free_port()
        self.settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--save", "",
                         "--appendonly", "yes", "--appendfsync", appendfsync, "--enable-debug-command", "local",
                         "--unixsocket", os.path.join(self.dir, "socket"), *settings]
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.start()

    def start(self):
        with open(os.path.join(self.dir, "log"), "a") as log:
            self.process = subprocess.Popen(["redis-server", *self.settings], stdout=log, stderr=log, env=self.env)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.ask("PING") == "PONG":
                    return
            except OSError:
                pass
            except RuntimeError as e:
                if "LOADING" not in str(e) and "AUTH" not in str(e):
                    raise
                if "AUTH" in str(e):
                    return
            time.sleep(0.01)
        raise AssertionError("redis-server does not start")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def ask(self, *words):
        """One command over a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
            data = b"*%d\r\n" % len(words)
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                data += b"$%d\r\n%s\r\n" % (len(word), word)
            s.sendall(data)
            return read_reply(s.makefile("rb"))

    def kill(self):
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def read_reply(f):
    line = f.readline()
    if not line:
        raise OSError("Redis has closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise RuntimeError(rest)
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"$":
        if rest == "-1":
            return None
        return f.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    if rest == "-1":
        return None
    return [read_reply(f) for _ in range(int(rest))]

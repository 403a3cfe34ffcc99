# SPDX-License-Identifier: Apache-2.0
"""What lies between a broker and its Redis: a network that fails on command, and one that lies."""

import asyncio

TO_REDIS, TO_BROKER = "to redis", "to broker"


class Proxy:
    """Passes bytes on; cut() breaks all connections, blackhole() swallows the flow until heal()."""

    def __init__(self, port):
        self.upstream = port
        self.gates = {TO_REDIS: asyncio.Event(), TO_BROKER: asyncio.Event()}
        self.heal()
        self.latency = 0.0
        self.tasks = set()
        self.writers = set()

    async def open(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def blackhole(self, *directions):
        for direction in directions or self.gates:
            self.gates[direction].clear()

    def heal(self):
        for gate in self.gates.values():
            gate.set()

    def cut(self):
        """Both sides find their connections reset."""
        for writer in self.writers:
            writer.transport.abort()

    async def close(self):
        self.server.close()
        self.cut()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.writers.add(writer)
        try:
            await self.talk(reader, writer)
        except (OSError, EOFError):
            pass
        except asyncio.CancelledError:
            pass  # at the end
        finally:
            writer.transport.abort()
            self.writers.discard(writer)
            self.tasks.discard(task)

    async def talk(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        self.writers.add(up_writer)
        try:
            await first_to_end(self.pump(reader, up_writer, self.gates[TO_REDIS]),
                               self.pump(up_reader, writer, self.gates[TO_BROKER]))
        finally:
            up_writer.transport.abort()
            self.writers.discard(up_writer)

    async def pump(self, reader, writer, gate):
        while data := await reader.read(65536):
            await gate.wait()
            if self.latency:
                await asyncio.sleep(self.latency)
            writer.write(data)
            await writer.drain()


async def first_to_end(*coroutines):
    """Run until one of them ends; the others are stopped."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Liar(Proxy):
    """Tells the broker at once that a message is stored, and stores it a while later; never, if the broker dies.

    So it makes a broker that acks before Redis has answered of one that does not."""

    LAG = 0.2

    async def talk(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        owed = asyncio.Queue()
        try:
            await first_to_end(self.answer(reader, writer, up_reader, up_writer, owed), self.pay(owed))
        finally:
            up_writer.transport.abort()

    async def answer(self, reader, writer, up_reader, up_writer, owed):
        while True:
            raw, words = await read_value(reader)
            id = append_id(words)
            if id is None:
                up_writer.write(raw)
                raw, _ = await read_value(up_reader)
            else:
                owed.put_nowait((asyncio.get_running_loop().time() + self.LAG, raw))
                raw = b"$%d\r\n%s\r\n" % (len(id), id)
            writer.write(raw)
            await writer.drain()

    async def pay(self, owed):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            while True:
                due, raw = await owed.get()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
                writer.write(raw)
                await read_value(reader)
        finally:
            writer.transport.abort()


def append_id(words):
    """The id of the entry that a command adds to a stream; None when it is another command."""
    if words[0] == b"XADD":
        return words[words.index(b"~") + 2]
    if words[0] == b"EVAL" and b"XADD" in words[1]:
        return words[5]
    return None


async def read_value(reader):
    """One value of the Redis protocol: (its bytes, and what they mean)."""
    line = await reader.readuntil(b"\r\n")
    kind, rest = line[:1], line[1:-2]
    if kind == b"$" and rest != b"-1":
        data = await reader.readexactly(int(rest) + 2)
        return line + data, data[:-2]
    if kind == b"*" and rest != b"-1":
        parts = [await read_value(reader) for _ in range(int(rest))]
        return line + b"".join(raw for raw, _ in parts), [value for _, value in parts]
    return line, rest

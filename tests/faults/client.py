# SPDX-License-Identifier: Apache-2.0
"""Those who talk and those who listen.  Both come back whenever their connection is lost, as clients are told to."""

import asyncio
import json
import re
import time

from history import Ack, Gap, Heard, Joined, Left
from wire import Wire, frame

RETRY = 0.05  # seconds until one tries again

ACK = re.compile(rb'"type":"ack".*"payload":\{"id":"([^"]+)","seq":(\d+),"epoch":"([^"]+)","stored":"(\w+)"')
MESSAGE = re.compile(rb'"seq":(\d+),"epoch":"([^"]+)","id":"([^"]+)","type":"event","room":"([^"]+)",'
                     rb'"channel":"([^"]+)","from":"([^"]+)"')


class Visitor:
    """Somebody who is connected, again and again, until it is done."""

    def __init__(self, name, broker, history):
        self.name, self.broker, self.history = name, broker, history
        self.wire = self.session = None
        self.task = asyncio.ensure_future(self.run())
        self.task.add_done_callback(self.ended)

    def ended(self, task):
        """Nobody waits for it before the end: what went wrong must be told."""
        if not task.cancelled() and task.exception():
            self.history.surprises.append(f"{self.name} has ended: {task.exception()!r}")

    async def run(self):
        while await self.may_come():
            try:
                self.wire = await Wire.connect(self.broker().port, self.take, self.flush, self.session)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            self.session = self.wire.session
            self.connected()
            await self.wire.closed
            self.wire = None
            self.lost()

    async def may_come(self):
        return not self.is_done()

    async def end(self):
        """It must be done."""
        if self.wire:
            self.wire.abort()
        await self.task

    def lost(self):
        pass

    def flush(self):
        pass

    def surprise(self, payload):
        self.history.surprises.append(f"{self.name} got {payload.decode()}")

    def soon(self, call, *args):
        asyncio.get_running_loop().call_later(RETRY, call, *args)


class Publisher(Visitor):
    """Says numbers to channels in turn, at most `window` without an ack, or `rate` a second whatever the acks.

    What is refused or left open by a lost connection it says again, with the same id."""

    def __init__(self, name, broker, history, channels, window=250, rate=None, most=None, gives_up=False):
        self.channels, self.window, self.rate, self.gives_up = channels, window, rate, gives_up
        self.most = most  # numbers that it says; None: until stop()
        self.number = 0  # the latest it said
        self.open = {}  # id: the frame, of what is not acked
        self.began = time.monotonic()
        super().__init__(name, broker, history)
        self.pacer = asyncio.ensure_future(self.keep_pace()) if rate else None

    def is_done(self):
        return self.most is not None and self.number >= self.most and not self.open

    def stop(self):
        """Say nothing new."""
        self.most = self.number

    async def keep_pace(self):
        while self.most is None or self.number < self.most:
            self.flush()
            await asyncio.sleep(0.01)

    async def end(self):
        self.stop()
        await super().end()
        if self.pacer:
            await self.pacer

    def connected(self):
        self.history.senders[self.wire.client_id] = self.name
        self.history.repeats += len(self.open)
        self.wire.send(b"".join(self.open.values()))
        self.flush()

    def limit(self):
        """How far it may count by now."""
        if self.rate:
            limit = int((time.monotonic() - self.began) * self.rate)
        else:
            limit = self.number + self.window - len(self.open)
        return limit if self.most is None else min(limit, self.most)

    def flush(self):
        """Say what may be said, in one write; and go when all is acked."""
        if self.wire is None:
            return
        first, limit = self.number + 1, self.limit()
        if first <= limit:
            self.wire.send(b"".join([self.make(n) for n in range(first, limit + 1)]))
            self.number = limit
        if self.is_done():
            self.wire.abort()

    def make(self, n):
        id, channel = f"{self.name}-{n}", self.channels[n % len(self.channels)]
        text = f'{{"type":"event","id":"{id}","channel":"{channel}","ack":true,"payload":{{"n":{n}}}}}'
        self.history.said[id] = channel
        self.open[id] = data = frame(text.encode())
        return data

    def take(self, payload):
        found = ACK.search(payload)
        if not found:
            self.take_error(payload)
            return
        id = found[1].decode()
        self.open.pop(id, None)
        self.history.acks.setdefault(id, []).append(Ack(found[3].decode(), int(found[2]), found[4].decode()))

    def take_error(self, payload):
        message = json.loads(payload)
        error, id = message["payload"], message.get("request_id")
        if message["type"] != "error" or error["code"] != "STORAGE_UNAVAILABLE" or id not in self.open:
            self.surprise(payload)
            return
        self.history.nacked.add(id)
        if self.gives_up and error["stored"] is False:
            self.history.given_up.add(id)
            del self.open[id]
        else:
            self.soon(self.again, id)

    def again(self, id):
        if self.wire and id in self.open:
            self.history.repeats += 1
            self.wire.send(self.open[id])


class Receiver(Visitor):
    """Listens to channels and comes back to where it was; with `random`, it also leaves when it pleases."""

    MOST, LONGEST = 1000, 0.6  # messages, and seconds, until a random one leaves

    def __init__(self, name, broker, history, channels, random=None):
        self.channels, self.random = channels, random
        self.logs = {channel: history.log(name, channel) for channel in channels}
        self.positions = {}  # channel: (epoch, seq) of the latest
        self.done = False
        self.door = asyncio.Event()  # while it is closed it does not come back
        self.door.set()
        self.patience = None  # messages until it leaves
        self.heard = 0
        super().__init__(name, broker, history)

    def is_done(self):
        return self.done

    def is_at(self, channel, epoch, seq):
        return self.positions.get(channel) == (epoch, seq)

    def is_listening(self):
        return len(self.positions) == len(self.channels)

    async def may_come(self):
        await self.door.wait()
        return not self.done

    def leave(self):
        """Lose the connection, and stay away until come()."""
        self.door.clear()
        if self.wire:
            self.wire.abort()

    def come(self):
        self.door.set()

    async def end(self):
        self.done = True
        self.come()
        await super().end()

    def connected(self):
        if self.random:
            self.patience = self.random.randrange(1, self.MOST)
            asyncio.get_running_loop().call_later(self.random.uniform(0, self.LONGEST), self.wire.abort)
        for channel in self.channels:
            self.join(channel)

    def join(self, channel):
        if self.wire is None:
            return
        position = self.positions.get(channel)
        since = {"since": {"epoch": position[0], "seq": position[1]}} if position else {}
        self.wire.say(type="command", id=channel, command="join_channel", channel=channel, **since)

    def lost(self):
        for log in self.logs.values():
            log.append(Left())

    def take(self, payload):
        found = MESSAGE.search(payload)
        if not found:
            self.take_other(payload)
            return
        channel = f"{found[4].decode()}:{found[5].decode()}"
        epoch, seq = found[2].decode(), int(found[1])
        self.logs[channel].append(Heard(epoch, seq, found[3].decode(), found[6].decode()))
        self.positions[channel] = epoch, seq
        self.heard += 1

    def flush(self):
        if self.wire and self.patience is not None and self.heard >= self.patience:
            self.heard = 0
            self.wire.abort()

    def take_other(self, payload):
        message = json.loads(payload)
        if message["type"] == "gap":
            gap = message["payload"]
            channel = f"{message['room']}:{message['channel']}"
            self.logs[channel].append(Gap(gap["epoch"], gap["from_seq"], gap["to_seq"], gap["reason"]))
            self.positions[channel] = gap["epoch"], gap["to_seq"]
        elif message["type"] == "command_response":
            self.take_reply(message, payload)
        else:
            self.surprise(payload)

    def take_reply(self, message, payload):
        channel = message["request_id"]
        if message["status"] == "success":
            result = message["payload"]["result"]
            since = self.positions.get(channel)
            self.logs[channel].append(Joined(result["epoch"], result["seq"], since, result.get("recovered")))
            self.positions.setdefault(channel, (result["epoch"], result["seq"]))
        elif message["payload"]["error"]["code"] == "STORAGE_UNAVAILABLE":
            self.soon(self.join, channel)
        else:
            self.surprise(payload)

# SPDX-License-Identifier: Apache-2.0
"""What happened: who said what, what was acked, what each receiver heard, and what is stored at the end.

Nothing here judges; that is for verdict.py.  A message is known by its id, which no two of them share: p3-17 is the
17th of publisher p3.
"""

from typing import NamedTuple


class Ack(NamedTuple):
    epoch: str
    seq: int
    stored: str


class Joined(NamedTuple):
    """A join was answered: what comes next follows the position, or follows `since`."""
    epoch: str
    seq: int
    since: tuple | None  # (epoch, seq) as the receiver gave it
    recovered: bool | None


class Heard(NamedTuple):
    epoch: str
    seq: int
    id: str
    sender: str


class Gap(NamedTuple):
    epoch: str
    first: int | None
    last: int
    reason: str


class Left(NamedTuple):
    """The connection ended, by whoever's will."""


class Entry(NamedTuple):
    """One message as the storage has it."""
    epoch: str
    seq: int
    id: str
    sender: str


class History:
    def __init__(self, promise="redis", keeps=1 << 30):
        self.promise = promise  # what acks must call the storage
        self.keeps = keeps  # so many messages of a channel
        self.said = {}  # id: the channel it was said to
        self.senders = {}  # id of a client: the publisher that it is
        self.acks = {}  # id: every Ack it got
        self.nacked = set()  # ids that were refused at least once: they may come after younger ones
        self.given_up = set()  # ids that were refused as certainly not stored, and not repeated
        self.logs = {}  # (receiver, channel): what it was told, in order
        self.stored = {}  # channel: every Entry, in order
        self.surprises = []  # frames that nobody should have got
        self.repeats = 0

    def log(self, receiver, channel):
        return self.logs.setdefault((receiver, channel), [])

    def count(self, kind):
        """How many events of a kind all receivers have seen."""
        return sum(isinstance(e, kind) for log in self.logs.values() for e in log)

    @property
    def resumes(self):
        return sum(isinstance(e, Joined) and e.since is not None for log in self.logs.values() for e in log)


def publisher_of(id):
    return id.partition("-")[0]


def number_of(id):
    return int(id.partition("-")[2])

# SPDX-License-Identifier: Apache-2.0
"""What was wrong with what happened: pure functions from a History to violations, by kind.

The storage at the end is the truth that everything else is held against.

    lost             acked, and not stored at the end
    doubled          stored twice, or told to a receiver twice
    out of order     not as stored; or what one publisher said, not as it said it
    phantom          stored or told, and nobody said it, or it was refused for good
    wrong recovered  recovered:true and something is missing; recovered:false and no gap tells what
    unheard          neither told to a receiver nor named by a gap
    vanished         told to a receiver, and not stored at the end
    wrong gap        a gap of reason trimmed that names what is kept
    wrong ack        an ack that names another place or class than the message has
    surprise         a frame that should never come
"""

from history import Gap, Heard, Joined, Left, number_of, publisher_of

KINDS = ["lost", "doubled", "out of order", "phantom", "wrong recovered", "unheard", "vanished", "wrong gap",
         "wrong ack", "surprise"]


class Verdict:
    def __init__(self):
        self.found = {kind: [] for kind in KINDS}
        self.excused = 0  # named by gaps, and not told
        self.redelivered = 0  # told twice, and rightly so: after a gap of reason epoch

    def add(self, kind, what):
        self.found[kind].append(what)

    def count(self, kind):
        return len(self.found[kind])

    @property
    def is_clean(self):
        return not any(self.found.values())

    def __str__(self):
        lines = [f"{len(found)} {kind}: {'; '.join(found[:3])}" for kind, found in self.found.items() if found]
        return "\n".join(lines) or "nothing wrong"


def judge(history):
    verdict = Verdict()
    for surprise in history.surprises:
        verdict.add("surprise", surprise)
    judge_storage(history, verdict)
    judge_acks(history, verdict)
    for (receiver, channel), log in history.logs.items():
        Listener(history, verdict, receiver, channel).judge(log)
    return verdict


def is_phantom(history, channel, message):
    """Nobody said this here; or it was refused for good."""
    return (history.said.get(message.id) != channel or message.id in history.given_up or
            history.senders.get(message.sender) != publisher_of(message.id))


def judge_storage(history, verdict):
    for channel, entries in history.stored.items():
        seen = set()
        latest = {}  # publisher: its highest number so far
        for entry in entries:
            if is_phantom(history, channel, entry):
                verdict.add("phantom", f"{channel} has {entry}")
                continue
            if entry.id in seen:
                verdict.add("doubled", f"{channel} has {entry} again")
                continue
            seen.add(entry.id)
            judge_turn(history, verdict, channel, entry, latest)


def judge_turn(history, verdict, channel, entry, latest):
    """What a publisher said is stored as it said it, but for what was refused in between."""
    if entry.id in history.nacked:
        return
    publisher, number = publisher_of(entry.id), number_of(entry.id)
    if number < latest.get(publisher, 0):
        verdict.add("out of order", f"{channel} has {entry} after {publisher}-{latest[publisher]}")
    latest[publisher] = number


def judge_acks(history, verdict):
    places = {entry.id: (channel, entry) for channel, entries in history.stored.items() for entry in entries}
    for id, acks in history.acks.items():
        if id not in places:
            verdict.add("lost", f"{id} to {history.said[id]}, acked {acks[0]}")
            continue
        channel, entry = places[id]
        for ack in acks:
            if (ack.epoch, ack.seq, ack.stored) != (entry.epoch, entry.seq, history.promise):
                verdict.add("wrong ack", f"{id}: {ack} is {entry} of {channel}, {history.promise}")


class Listener:
    """Goes through what one receiver was told of one channel."""

    def __init__(self, history, verdict, receiver, channel):
        self.history, self.verdict = history, verdict
        self.name, self.channel = receiver, channel
        self.entries = history.stored.get(channel, [])
        self.index = {(e.epoch, e.seq): i for i, e in enumerate(self.entries)}
        self.index_of_id = {e.id: i for i, e in enumerate(self.entries)}
        self.start = None  # index of the first entry that it is to hear
        self.heard = set()  # ids
        self.places = set()  # (epoch, seq) of what it heard
        self.excused = set()  # indices that a gap has named
        self.again = set()  # ids that may come once more
        self.last = -1  # index of the latest
        self.joined = None  # the join of this connection
        self.doubt = None  # a join that said recovered:false, until a gap tells why
        self.since_join = set()  # indices heard since then

    def add(self, kind, what):
        self.verdict.add(kind, f"{self.name} on {self.channel}: {what}")

    def judge(self, log):
        handlers = {Joined: self.on_joined, Heard: self.on_heard, Gap: self.on_gap, Left: self.on_left}
        for event in log:
            handlers[type(event)](event)
        self.judge_recovery()
        self.judge_missing()

    def after(self, epoch, seq):
        """The index of the first entry after a position; None when there never was such a place."""
        if (epoch, seq) in self.index:
            return self.index[epoch, seq] + 1
        stream = stream_of(epoch)
        same = [i for i, e in enumerate(self.entries) if stream_of(e.epoch) == stream and e.seq <= seq]
        if seq == 0 or same:
            return same[-1] + 1 if same else 0
        return None

    def on_joined(self, event):
        self.joined, self.since_join = event, set()
        if event.since is None and self.start is None:
            self.start = self.after(event.epoch, event.seq) or 0
            self.last = self.start - 1
        self.doubt = event if event.recovered is False and event.since in self.index else None

    def on_left(self, _):
        self.judge_recovery()
        self.joined = None

    def on_gap(self, gap):
        if gap.reason == "epoch":
            self.again |= self.heard
            self.last = -1
        stream = stream_of(gap.epoch)
        first = gap.first if gap.first is not None else 0
        named = {i for i, e in enumerate(self.entries) if stream_of(e.epoch) == stream and first <= e.seq <= gap.last}
        self.excused |= named
        if gap.reason == "trimmed" and any(i >= len(self.entries) - self.history.keeps for i in named):
            self.add("wrong gap", gap)
        joined = self.joined
        if joined and gap.last <= joined.seq and stream == stream_of(joined.epoch) and gap.reason != "epoch":
            self.doubt = None
            if joined.recovered and any(self.entries[i].id not in self.heard for i in named):
                self.add("wrong recovered", f"{joined} is followed by {gap}")

    def on_heard(self, message):
        if self.joined is None:
            self.add("out of order", f"{message} before a join was answered")
        if self.doubt is not None:
            self.add("wrong recovered", f"{self.doubt}, and {self.doubt.since} is stored")
            self.doubt = None
        if is_phantom(self.history, self.channel, message):
            self.add("phantom", message)
            return
        if self.is_double(message):
            return
        i = self.index.get((message.epoch, message.seq))
        if i is None or self.entries[i].id != message.id:
            self.judge_stray(message)
            return
        if i <= self.last:
            self.add("out of order", f"{message} after {self.entries[self.last]}")
        self.last = max(self.last, i)
        self.since_join.add(i)

    def is_double(self, message):
        if message.id in self.again:
            self.again.remove(message.id)
            self.verdict.redelivered += 1
        elif message.id in self.heard:
            self.add("doubled", message)
            return True
        self.heard.add(message.id)
        self.places.add((message.epoch, message.seq))
        return False

    def judge_stray(self, message):
        """It was told under a place where the storage does not have it."""
        if message.id in self.index_of_id:
            self.add("out of order", f"{message} is stored as {self.entries[self.index_of_id[message.id]]}")
        else:
            self.add("vanished", message)

    def judge_recovery(self):
        """Everything between `since` and the end that the join told of has come, if recovered says so."""
        joined = self.joined
        if joined is None or not joined.recovered:
            return
        first, end = self.after(*joined.since), self.after(joined.epoch, joined.seq)
        if first is None or (joined.since in self.places and joined.since not in self.index):
            self.add("wrong recovered", f"true, and {joined.since} is not stored")
            return
        # A connection that ended early may have cut the tail off, but left no hole.
        reached = max(self.since_join, default=-1) + 1
        missing = [i for i in range(first, min(end or 0, reached)) if i not in self.since_join]
        if missing:
            self.add("wrong recovered", f"true after {joined.since}, without {self.entries[missing[0]]} and "
                                        f"{len(missing) - 1} more")

    def judge_missing(self):
        if self.start is None:
            return
        for i in range(self.start, len(self.entries)):
            if self.entries[i].id in self.heard or is_phantom(self.history, self.channel, self.entries[i]):
                continue
            if i in self.excused:
                self.verdict.excused += 1
            else:
                self.add("unheard", self.entries[i])


def stream_of(epoch):
    """The part of an epoch that changes only when a stream is lost."""
    return epoch.partition(".")[0]

# SPDX-License-Identifier: Apache-2.0
"""arqonbus-bench tells the truth: about the broker, and about a bad server."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from broker import BUILD, PATIENCE, SOURCE

BENCH = os.path.join(BUILD, "arqonbus-bench")
FLOOR = os.path.join(BUILD, "tools", "bench", "floor")


def bench(test, server, *flags, patience=2):
    """Run a test; its exit status, its result, and all that it wrote."""
    argv = [BENCH, test, "--port", str(server.port), "--pid", str(server.process.pid), "--json", "-",
            "--patience", str(patience)]
    run = subprocess.run(argv + [str(f) for f in flags], capture_output=True, text=True,
                         timeout=6 * PATIENCE)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    return run.returncode, json.loads(lines[-1]) if lines else None, run.stdout + run.stderr


def good(test, server, *flags):
    status, result, text = bench(test, server, *flags, patience=10)
    assert status == 0, text
    assert result["test"] == test
    return result


class Floor:
    """The bare server that the broker is measured against, with faults if wanted."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([FLOOR, *flags], stderr=subprocess.PIPE, text=True)
        self.port = int(re.search(r"port=(\d+)", self.process.stderr.readline()).group(1))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class Proxy:
    """Stands before a broker.  What it sends of messages the fault chooses: told how
    many came before, on which connection, and the frame, it returns what to send.
    Of what each client sends it takes so many bytes."""

    def __init__(self, broker, mark, fault, takes=1 << 60):
        self.process = broker.process
        self.takes = takes
        self.mark, self.fault = mark, fault
        self.messages = itertools.count()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self.serve, args=[broker.port], daemon=True).start()

    def serve(self, port):
        for i in itertools.count():
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            for s in client, server:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [client, server]
            threading.Thread(target=self.carry, args=[client, server, None], daemon=True).start()
            threading.Thread(target=self.carry, args=[server, client, i], daemon=True).start()

    def carry(self, source, sink, number):
        with contextlib.suppress(OSError, EOFError):
            if number is not None:
                source = source.makefile("rb")
                self.carry_frames(source, sink, number)
            taken = 0
            while data := source.read1() if number is not None else source.recv(65536):
                sink.sendall(data)
                taken += len(data)
                if number is None and taken >= self.takes:
                    return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def carry_frames(self, source, sink, number):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += source.readline() or self.end()
        sink.sendall(head)
        while b" 101 " in head:
            start = source.read(2)
            more = source.read({126: 2, 127: 8}.get(start[1], 0)) if start else self.end()
            frame = start + more + source.read(int.from_bytes(more, "big") if more else start[1])
            if self.mark in frame:
                frame = self.fault(next(self.messages), number, frame)
            sink.sendall(frame)

    def end(self):
        raise EOFError

    def close(self):
        self.listener.close()
        for s in self.sockets:
            s.close()


def lose_some(n, _, frame):
    return b"" if n % 10 == 9 else frame


def double_some(n, _, frame):
    return 2 * frame if n % 10 == 9 else frame


@pytest.fixture
def before(broker):
    """Put a fault before the broker."""
    made = []

    def put(*how):
        made.append(Proxy(broker, *how))
        return made[-1]

    yield put
    for proxy in made:
        proxy.close()


@contextlib.contextmanager
def floor(*flags):
    server = Floor(*flags)
    try:
        yield server
    finally:
        server.stop()


def assert_nothing_lost(result):
    for name in ("skipped", "repeated", "astray", "missing", "silent"):
        assert result[name] == 0, result
    assert result["received"] > 0


def assert_ordered(latency):
    points = [latency[p] for p in ("p50", "p90", "p99", "p99.9", "p99.99", "max")]
    assert points == sorted(points) and points[0] > 0, latency


def test_the_document_has_the_headings_of_the_table():
    with open(os.path.join(SOURCE, "tools", "bench", "table.sh")) as f:
        titles = re.findall(r'title "(.*)"', f.read())
    with open(os.path.join(SOURCE, "doc", "performance.md")) as f:
        headings = re.findall(r"^### (.*)", f.read(), re.M)
    assert headings and set(headings) <= set(titles)


def test_help_lists_every_test():
    text = subprocess.run([BENCH, "--help"], capture_output=True, text=True, check=True).stdout
    for test in ("fanout", "pairs", "storm", "idle", "slow", "acks", "history", "smoke"):
        assert f"  {test} " in text
        flags = subprocess.run([BENCH, test, "--help"], capture_output=True, text=True, check=True)
        assert "--port N" in flags.stdout and "--json TEXT" in flags.stdout


@pytest.mark.parametrize("argv", [
    [], ["nonsense"], ["fanout"], ["fanout", "--port", "1"], ["fanout", "--size", "15"],
    ["storm", "--what"], ["storm", "--over"], ["idle", "--port", "1", "--pid", "1", "--channel", "x"],
    ["slow", "--port", "1", "--pid", "1", "--receivers", "3", "--slow", "3"],
    ["storm", "--port", "1", "--pid", "1", "--connections", "1000000"],
])
def test_what_cannot_be_tried_is_status_2(argv):
    run = subprocess.run([BENCH, *argv], capture_output=True, text=True)
    assert run.returncode == 2, run
    assert run.stderr


@pytest.mark.parametrize("flag, value", [("over", "nan"), ("over", "inf"), ("over", "1s"), ("over", ""),
                                         ("connections", "nan"), ("connections", "2.5"), ("connections", "0")])
def test_what_is_no_number_is_refused(flag, value):
    run = subprocess.run([BENCH, "storm", "--" + flag, value], capture_output=True, text=True)
    assert run.returncode == 2 and f"--{flag}: {value} is not a " in run.stderr, run


def test_fanout_counts_every_delivery(broker):
    result = good("fanout", broker, "--receivers", 5, "--window", 4, "--seconds", 0.2, "--warm", 0.05)
    assert_nothing_lost(result)
    assert result["received"] == 5 * result["published"]
    assert result["cpu_ns"] > 0 and result["rss_bytes"] > 0
    assert_ordered(result["latency_us"])


def test_what_is_compressed_is_told_as_it_came(start):
    flags = ["--receivers", 3, "--size", 2000, "--seconds", 0.1, "--warm", 0]
    server = start("--set", "server.deflate=yes")
    plain = good("fanout", server, *flags)
    packed = good("fanout", server, *flags, "--deflate")
    assert_nothing_lost(packed)
    assert (plain["deflate"], packed["deflate"]) == (False, True)
    assert plain["wire"] > 2000 and packed["wire"] < 500


def test_what_does_not_compress_is_not_measured_as_if(broker):
    status, result, text = bench("fanout", broker, "--receivers", 1, "--seconds", 0.1, "--deflate")
    assert status == 2 and result is None
    assert "does not accept permessage-deflate" in text


def test_the_shortest_payload_has_16_bytes(broker):
    sizes = [good("fanout", broker, "--receivers", 2, "--seconds", 0.05, "--warm", 0,
                  "--size", size)["wire"] for size in (16, 17, 60)]
    assert sizes[1] - sizes[0] in (0, 1, 2)  # the id's length may differ
    assert 40 <= sizes[2] - sizes[0] <= 48


def test_fanout_at_a_rate_publishes_what_is_due(broker):
    result = good("fanout", broker, "--channels", 3, "--receivers", 4, "--rate", 600,
                  "--seconds", 0.25, "--warm", 0.05)
    assert_nothing_lost(result)
    assert result["published"] == 180
    assert result["received"] == 4 * result["published"]
    assert result["latency_us"]["count"] == 4 * (180 - 30)
    assert result["lateness_us"]["count"] == 180


CLOSED = [["fanout", "--receivers", "3"], ["pairs", "--pairs", "2"], ["history", "--messages", "20"]]


@pytest.mark.parametrize("test", CLOSED, ids=lambda test: test[0])
def test_a_stall_counts_in_the_closed_loops_too(broker, test):
    """The server stands still from the first second until after the last."""
    argv = [BENCH, *test, "--port", str(broker.port), "--pid", str(broker.process.pid), "--json", "-",
            "--progress", "--warm", "0.1", "--seconds", "1.4"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert "1 s:" in run.stderr.readline()
        broker.process.send_signal(signal.SIGSTOP)
        time.sleep(1.2)
        broker.process.send_signal(signal.SIGCONT)
        text = run.communicate(timeout=6 * PATIENCE)[0]
    assert run.returncode == 0, text
    result = json.loads(text.splitlines()[-1])
    for latency in result["latency_us"], result["uncorrected_us"]:
        assert latency["max"] > 1_000_000, text
        assert_ordered(latency)
    # Half of the time nothing went out; what would have gone out is reckoned.
    assert result["latency_us"]["p90"] > 200_000 > result["uncorrected_us"]["p90"], text
    assert result["seconds"] < 2.5


@pytest.mark.parametrize("flags", [[], ["--private"]])
def test_pairs_make_round_trips(broker, flags):
    result = good("pairs", broker, "--pairs", 3, "--seconds", 0.2, "--warm", 0.05, *flags)
    assert_nothing_lost(result)
    assert result["latency_us"]["count"] > 0
    assert_ordered(result["latency_us"])


def test_a_storm_is_established(broker):
    result = good("storm", broker, "--connections", 60, "--over", 0.3)
    assert (result["established"], result["refused"], result["failed"]) == (60, 0, 0)
    assert result["latency_us"]["count"] == 60
    assert result["seconds"] >= 0.29
    assert_ordered(result["latency_us"])


def test_a_storm_tells_who_was_refused(start):
    small = start("--set", "server.max_connections=20")
    status, result, _ = bench("storm", small, "--connections", 50, "--over", 0.2)
    assert status == 1
    assert result["established"] == 20
    assert result["statuses"] == {"503": 30} and result["refused"] == 30


def test_a_storm_on_a_closed_port_fails(broker):
    class Nobody:
        port = 1
        process = broker.process

    status, result, text = bench("storm", Nobody, "--connections", 3, "--over", 0)
    assert status == 1
    assert result["failed"] == 3 and "refused" in text


def test_those_that_a_storm_never_dials_have_failed(broker):
    """The server takes all and answers none, so no more than 256 are dialled."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        class Mute:
            port = listener.getsockname()[1]
            process = broker.process

        status, result, text = bench("storm", Mute, "--connections", 300, "--over", 0)
    assert status == 1, text
    assert (result["established"], result["failed"]) == (0, 300)


def test_idle_clients_all_have_the_message(broker):
    result = good("idle", broker, "--connections", 50, "--seconds", 0.1, "--publishes", 3,
                  "--channel", "quiet:corner")
    assert_nothing_lost(result)
    assert result["received"] == 50 * 3
    assert 0 < result["first_us"] <= result["median_us"] <= result["last_us"]
    assert result["rss_after_bytes"] >= result["rss_before_bytes"] > 0
    assert 0 <= result["cpu_share"] < 1


def test_slow_readers_are_told_from_the_others(broker):
    result = good("slow", broker, "--receivers", 5, "--slow", 2, "--rate", 1000, "--size", 4000,
                  "--seconds", 0.6)
    assert_nothing_lost(result)
    assert result["published"] == 1200
    assert result["received"] == 3 * 1200
    assert result["without_us"]["count"] == result["with_us"]["count"] == 3 * 600
    assert result["slow_cut"] == 2 and result["slow_standing"] == 0
    assert 0 <= result["slow_bytes_each"] < 4 << 20 and result["p99_ratio"] > 0


def test_a_slow_reader_gets_nothing_twice_either(before):
    """The first three connections are two fast ones and the publisher."""
    proxy = before(b'"payload":"', lambda n, number, frame: double_some(n, 0, frame) if number > 2 else frame)
    status, result, text = bench("slow", proxy, "--receivers", 3, "--slow", 1, "--rate", 200,
                                 "--seconds", 0.3, "--size", 16)
    assert status == 1, text
    assert result["slow_repeated"] > 0 == result["repeated"], text


def test_slow_readers_that_keep_up_still_stand(broker):
    result = good("slow", broker, "--receivers", 3, "--slow", 1, "--rate", 200, "--size", 16,
                  "--seconds", 0.2)
    assert result["slow_standing"] == 1
    assert result["slow_received"] == 40


@pytest.mark.parametrize("flags", [[], ["--ids"]])
def test_every_message_is_acked_at_the_next_position(broker, flags):
    result = good("acks", broker, "--publishers", 3, "--window", 16, "--seconds", 0.2, "--warm", 0.05, *flags)
    assert (result["refused"], result["wrong"], result["missing"]) == (0, 0, 0)
    assert result["stored"] == "memory" and result["acks"] > 0 and result["cpu_ns"] > 0


def test_acks_notices_an_ack_that_is_lost(before):
    proxy = before(b'"type":"ack"', lose_some)
    status, result, text = bench("acks", proxy, "--publishers", 1, "--window", 4, "--seconds", 0.3, "--warm", 0)
    assert status == 1 and result["wrong"] + result["missing"] > 0, text


def test_acks_notices_what_is_refused(start):
    broker = start("--set", "limits.messages_per_second=10", "--set", "limits.messages_burst=10",
                   "--set", "limits.max_violations=0", telemetry=False)
    status, result, text = bench("acks", broker, "--publishers", 1, "--window", 4, "--seconds", 0.3, "--warm", 0)
    assert status == 1 and result["refused"] > 0, text


@pytest.mark.parametrize("messages, limit", [(120, 50), (10, 50), (600, 200)])
def test_history_replies_are_whole(broker, messages, limit):
    result = good("history", broker, "--messages", messages, "--clients", 3, "--limit", limit,
                  "--seconds", 0.2, "--warm", 0.05)
    assert (result["failed"], result["wrong"], result["missing"]) == (0, 0, 0)
    assert 0 < result["uncorrected_us"]["count"] <= result["replies"]
    assert result["cpu_ns"] > 0


def test_history_notices_a_reply_that_is_cut_short(broker):
    status, result, _ = bench("history", broker, "--messages", 20, "--size", 60000, "--clients", 1,
                              "--limit", 20, "--seconds", 0.05, "--warm", 0)
    assert status == 1
    assert result["wrong"] == result["replies"] > 0


def test_history_notices_a_reply_that_is_lost(before):
    proxy = before(b'"request_id":"h"', lose_some)
    status, result, text = bench("history", proxy, "--messages", 5, "--clients", 2, "--seconds", 0.3, "--warm", 0)
    assert status == 1 and result["missing"] > 0, text


def test_history_does_not_wait_for_ever_until_the_channel_is_full(before):
    proxy = before(b"nothing", None, 100_000)
    status, _, text = bench("history", proxy, "--messages", 1000, "--size", 60000, "--clients", 1)
    assert status == 2 and "takes no messages" in text


def test_history_notices_a_reply_that_comes_twice(before):
    proxy = before(b'"request_id":"h"', double_some)
    status, result, text = bench("history", proxy, "--messages", 5, "--clients", 2, "--seconds", 0.3, "--warm", 0)
    assert status == 1 and result["wrong"] > 0, text


@pytest.mark.parametrize("fault, count", [(lose_some, "skipped"), (double_some, "repeated")])
def test_smoke_notices_a_fault(before, fault, count):
    proxy = before(b'"payload":"', lambda n, _, frame: frame if b"request_id" in frame else fault(n, _, frame))
    status, result, text = bench("smoke", proxy, "--rooms", 2, "--members", 3, "--publishers", 2, "--rate", 100,
                                 "--seconds", 0.5, "--requests", 6)
    assert status == 1 and result[count] > 0, text


def test_a_message_in_pieces_or_bytes_is_no_text_of_ours(before):
    """None is sent by the broker: it would be measured as something else."""
    def in_pieces(n, _, frame):
        return bytes([frame[0] & 0x7f]) + frame[1:] + b"\x80\0" if n == 0 else frame

    for fault in in_pieces, lambda n, _, frame: b"\x82" + frame[1:] if n == 0 else frame:
        proxy = before(b'"payload":"', fault)
        status, result, text = bench("fanout", proxy, "--receivers", 2, "--window", 4, "--rate", 50,
                                     "--seconds", 0.2, "--warm", 0)
        assert status == 1 and result["astray"] > 0, text


def test_a_late_delivery_counts_from_when_it_was_due(before):
    """One client has the first publish when the others have long had the second."""
    def hold(n, number, frame):
        if number == 1 and b'"' + 14 * b"0" in frame:
            time.sleep(5.3)
        return frame

    proxy = before(b'"payload":"', hold)
    result = good("idle", proxy, "--connections", 3, "--seconds", 0, "--publishes", 2)
    assert_nothing_lost(result)
    assert result["latency_us"]["max"] > 5_200_000


def test_smoke_calls_every_command(broker):
    result = good("smoke", broker, "--rooms", 2, "--members", 3, "--publishers", 2, "--rate", 100,
                  "--seconds", 0.5, "--requests", 6, "--channels", 20)
    assert_nothing_lost(result)
    assert result["received"] == 50 * 3
    assert all(command["failed"] == 0 for command in result["commands"].values())
    assert result["pages"]["answered"] == 6


def test_progress_is_told_each_second(broker):
    _, _, text = bench("fanout", broker, "--receivers", 2, "--rate", 100, "--seconds", 1.1, "--warm", 0,
                       "--progress")
    assert re.search(r"1 s: \d+ deliveries/s, p99 [\d.]+ ms", text), text


FANOUT = ["fanout", "--plain", "--channels", 2, "--receivers", 3, "--warm", 0, "--seconds", 0.1]
PACED = FANOUT + ["--rate", 5000]
PAIRS = ["pairs", "--plain", "--pairs", 2, "--warm", 0, "--seconds", 0.1]
IDLE = ["idle", "--plain", "--connections", 20, "--seconds", 0, "--publishes", 50]
SLOW = ["slow", "--plain", "--receivers", 4, "--slow", 1, "--rate", 1000, "--seconds", 0.2]


@pytest.mark.parametrize("test", [FANOUT, PACED, IDLE, SLOW, ["storm", "--plain", "--connections", 30],
                                  ["pairs", "--plain", "--pairs", 3, "--seconds", 0.1]],
                         ids=lambda test: test[0])
def test_the_floor_is_without_fault(test):
    extra = ["--over", 0.1] if test[0] == "storm" else []
    with floor() as server:
        good(test[0], server, *test[1:], *extra)


@pytest.mark.parametrize("test, fault, count", [
    (FANOUT, "drop", "skipped"), (FANOUT, "dup", "repeated"), (FANOUT, "swap", "repeated"),
    (PACED, "drop", "skipped"), (PACED, "dup", "repeated"), (PACED, "swap", "repeated"),
    (SLOW, "drop", "skipped"), (SLOW, "swap", "repeated"), (IDLE, "dup", "repeated"),
    (PAIRS, "drop", "missing"), (PAIRS, "dup", "repeated"), (PAIRS, "swap", "missing"),
    (FANOUT, "again", "repeated"), (PACED, "again", "repeated"), (PAIRS, "again", "repeated"),
    (SLOW, "again", "repeated"), (IDLE, "again", "repeated"),
])
def test_a_fault_of_the_server_is_noticed(test, fault, count):
    with floor(f"--{fault}-every", "30") as server:
        status, result, text = bench(test[0], server, *test[1:])
    assert status == 1, text
    assert result[count] > 0, text


def test_a_server_that_ends_connections_is_noticed():
    with floor("--behind", "1", "--wire-length", "60000") as server:
        status, _, text = bench("fanout", server, "--plain", "--receivers", 1, "--window", 500,
                                "--size", 16, "--seconds", 0.2)
    assert status == 1, text
    assert "ended a connection" in text

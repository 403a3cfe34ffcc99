# SPDX-License-Identifier: Apache-2.0
"""arqonbus-bench tells the truth: about the broker, and about a bad server."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

from broker import BUILD, PATIENCE

BENCH = os.path.join(BUILD, "arqonbus-bench")
FLOOR = os.path.join(BUILD, "tools", "bench", "floor")


def bench(test, server, *flags):
    """Run a test; its exit status, its result, and all that it wrote."""
    argv = [BENCH, test, "--port", str(server.port), "--pid", str(server.process.pid), "--json", "-"]
    run = subprocess.run(argv + [str(f) for f in flags], capture_output=True, text=True,
                         timeout=6 * PATIENCE)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    return run.returncode, json.loads(lines[-1]) if lines else None, run.stdout + run.stderr


def good(test, server, *flags):
    status, result, text = bench(test, server, *flags)
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


@contextlib.contextmanager
def floor(*flags):
    server = Floor(*flags)
    try:
        yield server
    finally:
        server.stop()


def assert_nothing_lost(result):
    for name in ("skipped", "repeated", "astray", "missing"):
        assert result[name] == 0, result
    assert result["received"] > 0


def assert_ordered(latency):
    points = [latency[p] for p in ("p50", "p90", "p99", "p99.9", "p99.99", "max")]
    assert points == sorted(points) and points[0] > 0, latency


def test_help_lists_every_test():
    text = subprocess.run([BENCH, "--help"], capture_output=True, text=True, check=True).stdout
    for test in ("fanout", "pairs", "storm", "idle", "slow", "history", "smoke"):
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


def test_fanout_counts_every_delivery(broker):
    result = good("fanout", broker, "--receivers", 5, "--window", 4, "--seconds", 0.2, "--warm", 0.05)
    assert_nothing_lost(result)
    assert result["received"] == 5 * result["published"]
    assert result["cpu_ns"] > 0 and result["rss_bytes"] > 0
    assert_ordered(result["latency_us"])


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


def test_slow_readers_that_keep_up_still_stand(broker):
    result = good("slow", broker, "--receivers", 3, "--slow", 1, "--rate", 200, "--size", 16,
                  "--seconds", 0.2)
    assert result["slow_standing"] == 1
    assert result["slow_received"] == 40


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

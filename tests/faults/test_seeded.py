# SPDX-License-Identifier: Apache-2.0
"""A checker that cannot fail proves nothing: promises are broken on purpose, and it must notice."""

import asyncio

import faults
from proxy import Liar


def test_without_a_hold_a_power_cut_loses_what_was_acked():
    summary = asyncio.run(faults.power_cut("--set", "storage-redis-streams.hold=0"))
    assert summary.verdict.count("lost") > 0, summary


def test_what_is_acked_before_redis_has_answered_dies_with_the_broker():
    summary = asyncio.run(faults.broker_killed(proxy=Liar))
    assert summary.verdict.count("lost") > 0, summary


def test_without_a_window_what_is_repeated_is_stored_twice():
    summary = asyncio.run(faults.broker_killed("--set", "server.dedupe_window=0"))
    assert summary.verdict.count("doubled") > 0, summary

# SPDX-License-Identifier: Apache-2.0
"""What the programmes are made with does what it says."""

import os

import aof
import pytest
from powercut import PowerCutRedis
from redis_server import Redis

TWO = "redis.call('SET', KEYS[1], 'x') redis.call('SET', KEYS[2], 'x')"


@pytest.fixture
def redis(request):
    r = request.param()
    try:
        yield r
    finally:
        r.close()


@pytest.mark.parametrize("redis", [lambda: PowerCutRedis(appendfsync="no")], indirect=True)
def test_a_power_cut_takes_what_was_not_synced(redis):
    redis.ask("SET", "a", "x")
    assert redis.cut_power() > 0
    redis.start()
    assert redis.ask("GET", "a") is None


@pytest.mark.parametrize("redis", [lambda: PowerCutRedis(appendfsync="always")], indirect=True)
def test_a_power_cut_leaves_what_was_synced(redis):
    redis.ask("SET", "a", "x")
    assert redis.cut_power() == 0
    redis.start()
    assert redis.ask("GET", "a") == "x"


@pytest.mark.parametrize("redis", [Redis], indirect=True)
def test_a_transaction_that_was_torn_is_mended(redis):
    redis.ask("CONFIG", "SET", "appendfsync", "always")  # else Redis may write later than it answers
    redis.ask("EVAL", TWO, "2", "a", "b")
    redis.ask("EVAL", TWO, "2", "c", "d")
    redis.kill()
    (path,) = aof.files(redis)
    with open(path, "rb") as f:
        os.truncate(path, f.read().rindex(b"SET") + 1)
    assert aof.mend(redis) > 0
    redis.start()
    redis.ask("EVAL", TWO, "2", "e", "f")
    redis.kill()
    redis.start()
    assert sorted(redis.ask("KEYS", "*")) == ["a", "b", "e", "f"]


@pytest.mark.parametrize("redis", [Redis], indirect=True)
def test_what_is_whole_needs_no_mending(redis):
    redis.ask("EVAL", TWO, "2", "a", "b")
    redis.kill()
    assert aof.mend(redis) == 0

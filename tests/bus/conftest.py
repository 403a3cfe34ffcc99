# SPDX-License-Identifier: Apache-2.0
import asyncio
import functools
import inspect
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from broker import ADMIN, BACKEND, Broker  # noqa: E402
from redis_bus import QUICK  # noqa: E402
from redis_server import Redis  # noqa: E402


# Of the generator and of an installation, not of a broker: once is enough.
NOT_OF_BROKERS = ["test_bench.py", "test_plugin_author.py"]

collect_ignore = []
if os.environ.get("ARQONBUS_TEST_BROKERS_ONLY"):
    collect_ignore += NOT_OF_BROKERS
if BACKEND != "memory":
    # Their brokers have storages of their own.
    collect_ignore += [*NOT_OF_BROKERS, "test_cluster.py", "test_cluster_faults.py", "test_drain.py",
                       "test_redis.py", "test_redis_faults.py", "test_redis_replica.py"]


def pytest_pyfunc_call(pyfuncitem):
    """Async tests run on a loop of their own."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        names = pyfuncitem._fixtureinfo.argnames
        kw = {n: pyfuncitem.funcargs[n] for n in names}
        asyncio.run(asyncio.wait_for(pyfuncitem.obj(**kw), 120))
        return True
    return None


@pytest.fixture(scope="module")
def broker():
    """One broker for a file's tests; they use rooms of their own."""
    b = Broker(env={"ARQONBUS_AUTH_ADMIN_TOKEN": ADMIN})
    try:
        yield b
        b.stop()
    finally:
        b.kill()


@pytest.fixture
def start():
    """Start brokers with settings of their own: start("--set", "server.x=y")."""
    started = []

    @functools.wraps(Broker)
    def go(*flags, **kw):
        kw.setdefault("env", {}).setdefault("ARQONBUS_AUTH_ADMIN_TOKEN", ADMIN)
        b = Broker(*flags, **kw)
        started.append(b)
        return b

    try:
        yield go
        for b in started:
            b.stop()
    finally:
        for b in started:
            b.kill()


@pytest.fixture
def redis():
    """A Redis of a test's own."""
    r = Redis()
    try:
        yield r
    finally:
        r.close()


@pytest.fixture
def redis_url(redis):
    """How brokers reach it."""
    return redis.url


@pytest.fixture
def go(start, redis_url):
    """Start brokers on it."""
    def run(*flags, url=None, **kw):
        return start("--storage", "redis-streams", "--redis-url", url or redis_url, *QUICK, *flags, **kw)
    return run

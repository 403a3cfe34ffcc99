# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of plugins that are driven through a socket."""

import pytest

from telemetry_peers import Broker


@pytest.fixture
def idle_broker():
    """Makes brokers that have not started the plugin yet."""
    brokers = []

    def make(**options):
        brokers.append(Broker(**options))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.end()


@pytest.fixture
def broker_with(idle_broker):
    """Makes brokers whose plugin runs."""

    def make(**options):
        broker = idle_broker(**options)
        assert broker.start() == "started 0 "
        return broker

    return make


@pytest.fixture
def broker(broker_with):
    return broker_with()

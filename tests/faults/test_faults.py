# SPDX-License-Identifier: Apache-2.0
"""Every programme, at a tenth unless ARQONBUS_FAULTS_SCALE says otherwise; ./dev soak runs them in full."""

import asyncio

import pytest

from faults import PROGRAMMES


@pytest.mark.parametrize("name", PROGRAMMES)
def test_nothing_is_lost_doubled_or_out_of_order(name):
    summary = asyncio.run(PROGRAMMES[name]())
    print(summary)
    assert summary.acked > 0 and summary.faults > 0
    assert summary.verdict.is_clean, summary.verdict

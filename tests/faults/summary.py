# SPDX-License-Identifier: Apache-2.0
"""How much is run, and what a programme has to say in the end."""

import os
from typing import NamedTuple

from verdict import KINDS, Verdict

SCALE = float(os.environ.get("ARQONBUS_FAULTS_SCALE", "0.1"))  # 1: the full run
SEED = int(os.environ.get("ARQONBUS_FAULTS_SEED", "1"))  # of what is left to chance


def times(n):
    """A count of the full run, at this scale."""
    return max(1, round(n * SCALE))


class Summary(NamedTuple):
    acked: int
    faults: int
    repeated: int  # said again by publishers
    resumed: int
    repaired: int  # stored again because Redis had lost it
    verdict: Verdict
    notes: str = ""

    def __str__(self):
        wrong = ", ".join(f"{self.verdict.count(kind)} {kind}" for kind in KINDS)
        text = (f"  {self.faults} faults, {self.acked} acked, {self.repeated} repeated, {self.resumed} resumed, "
                f"{self.repaired} repaired, {self.verdict.redelivered} redelivered, "
                f"{self.verdict.excused} in gaps\n  {wrong}")
        return text + (f"\n  {self.notes}" if self.notes else "")

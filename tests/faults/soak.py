# SPDX-License-Identifier: Apache-2.0
"""Run the programmes one after the other, in full unless ARQONBUS_FAULTS_SCALE says otherwise; ARQONBUS_FAULTS_SEED
chooses what is left to chance.

usage: soak.py [WORD]    only those that have the word in their name
"""

import asyncio
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "bus")]
os.environ.setdefault("ARQONBUS_FAULTS_SCALE", "1")
os.environ.setdefault("ARQONBUS_FAULTS_SEED", str(int(time.time())))

from faults import PROGRAMMES  # noqa: E402
from summary import SCALE, SEED  # noqa: E402


def run(name):
    """Its summary, or None when it could not be brought to its end; and whether all was well."""
    try:
        summary = asyncio.run(PROGRAMMES[name]())
    except Exception:  # whatever it is, the other programmes are to run
        traceback.print_exc()
        return None, False
    print(summary)
    if not summary.verdict.is_clean:
        print(summary.verdict)
    return summary, summary.verdict.is_clean


def main(word=""):
    passed = failed = acked = 0
    print(f"scale {SCALE:g}, seed {SEED}")
    for name in PROGRAMMES:
        if word not in name:
            continue
        print(f"== {name}", flush=True)
        began = time.monotonic()
        summary, is_well = run(name)
        acked += summary.acked if summary else 0
        passed, failed = passed + is_well, failed + (not is_well)
        print(f"  {'passed' if is_well else 'FAILED'} after {time.monotonic() - began:.0f} s", flush=True)
    print(f"{acked} messages acked in all")
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)

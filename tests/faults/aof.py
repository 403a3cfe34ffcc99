# SPDX-License-Identifier: Apache-2.0
"""The append-only file after kill -9, which may end in the middle of a transaction.

Redis 7.0 cuts off the command that is not whole and leaves the MULTI before it; what comes later is appended to that,
and with the next start what was never answered is there, in the middle of what was.  redis-check-aof cuts before MULTI.
"""

import glob
import os
import subprocess


def files(redis):
    return glob.glob(os.path.join(redis.dir, "appendonlydir", "*.incr.aof"))


def mend(redis):
    """As an operator would before the next start; how many bytes were cut off."""
    cut = 0
    for path in files(redis):
        before = os.path.getsize(path)
        subprocess.run(["redis-check-aof", "--fix", path], input=b"y\n", check=True, stdout=subprocess.DEVNULL)
        cut += before - os.path.getsize(path)
    return cut

# SPDX-License-Identifier: Apache-2.0
"""A time of day that jumps, under a process of a test: see day.c."""

import functools
import os
import struct
import subprocess
import tempfile

HOUR = 3600


@functools.cache
def library():
    """Made once in a run."""
    path = os.path.join(tempfile.mkdtemp(prefix="arqonbus-day-"), "day.so")
    source = os.path.join(os.path.dirname(__file__), "day.c")
    subprocess.run(["cc", "-O", "-fPIC", "-shared", "-o", path, source], check=True)
    return path


class Day:
    """Put env() under a process; jump() moves its clock, the monotonic one goes on."""

    def __init__(self):
        handle, self.file = tempfile.mkstemp(prefix="arqonbus-day-")
        os.close(handle)
        self.jump(0)

    def env(self):
        options = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": library(), "DAY_FILE": self.file, "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}

    def jump(self, seconds):
        """From the true time by so much, at once."""
        with open(self.file, "r+b") as f:
            f.write(struct.pack("=q", seconds))

    def close(self):
        os.unlink(self.file)

# SPDX-License-Identifier: Apache-2.0
"""A Redis whose power can be cut: what it had written and not synced is gone."""

import atexit
import functools
import glob
import os
import shutil
import subprocess
import tempfile

from redis_server import Redis

HERE = os.path.dirname(os.path.abspath(__file__))


@functools.cache
def shim():
    """powercut.c, compiled; of this process."""
    folder = tempfile.mkdtemp(prefix="arqonbus-powercut-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = os.path.join(folder, "powercut.so")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", library,
                    os.path.join(HERE, "powercut.c"), "-ldl"], check=True)
    return library


class PowerCutRedis(Redis):
    def start(self):
        self.log = os.path.join(self.dir, "synced")
        self.env.update({"LD_PRELOAD": shim(), "POWERCUT_LOG": self.log})
        super().start()

    def synced(self):
        """{path: how much of it is surely on the disk}"""
        with open(self.log) as f:
            lines = [line.rstrip("\n").split(" ", 1) for line in f]
        return {path: int(size) for size, path in lines}

    def cut_power(self):
        """End it, and cut off what the disk may not have; how many bytes that were."""
        self.kill()
        synced = self.synced()
        lost = 0
        for path in glob.glob(os.path.join(self.dir, "appendonlydir", "*.incr.aof")):
            size = os.path.getsize(path)
            keep = min(size, synced.get(os.path.realpath(path), 0))
            os.truncate(path, keep)
            lost += size - keep
        return lost

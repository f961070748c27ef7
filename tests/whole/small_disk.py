"""A disk of a few hundred kilobytes: a tmpfs in a mount namespace of its own, which nobody else on the machine sees."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from .killed import FILLER


class SmallDisk:
    """A context manager: the disk is gone with it. Whoever is to see it is started by ``inside``."""

    def __init__(self, place: Path, kib: int) -> None:
        self._place = place
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        unprivileged = ["--user", "--map-root-user"] if os.geteuid() else []
        script = 'mount -t tmpfs -o "size=$1k,mode=700" none "$2" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", "--mount", *unprivileged, "sh", "-c", script, "sh", str(kib), str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        self.is_mounted = self._holder.stdout.readline() == "mounted\n"
        entered = ["--user", "--preserve-credentials"] if os.geteuid() else []
        self.inside = ["nsenter", f"--target={self._holder.pid}", "--mount", *entered]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._holder.communicate()

    def resize(self, kib: int) -> None:
        self._run("mount", "-o", f"remount,size={kib}k", str(self._place))

    def make_room(self) -> None:
        """Remove what `killed.fill` has put there."""
        self._run("rm", str(self._place / FILLER))

    def _run(self, *command: str) -> None:
        subprocess.run([*self.inside, *command], check=True, timeout=10)


@lru_cache(maxsize=1)
def why_not() -> str:
    """What keeps a disk of our own from being mounted; empty where nothing does."""
    missing = [name for name in ("unshare", "nsenter", "mount") if shutil.which(name) is None]
    if missing:
        return f"needs {' and '.join(missing)}"
    with SmallDisk(Path("/mnt"), 64) as disk:
        return "" if disk.is_mounted else "may not mount a disk here, as root or in a user namespace"

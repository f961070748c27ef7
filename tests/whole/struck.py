"""Run a real process under strace, which kills it at one exact call of the system, or lets that call fail.

strace counts each kind of call by itself: a place is a kind and a number of that kind. What is struck does not happen:
a process dies before its call, and a failing call has had no effect.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

KILL: Final = "signal=SIGKILL"
_LINE: Final = re.compile(r"\d+ +(\w+)\((?:\d+<([^>]*)>|\"([^\"]*)\")")
"""Process, call, then the file by its descriptor or its name (strace -f -y)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One call of a run: the ``nth`` of its kind, from 1."""

    call: str
    nth: int
    file: str
    """What it is about, for people."""

    def __str__(self) -> str:
        return f"{self.call} {self.nth} of {Path(self.file).name}"


def calls(log: Path) -> list[Place]:
    """What strace has noted, in order."""
    numbers, found = Counter[str](), list[Place]()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if said := _LINE.match(line):
            call, descriptor, name = said.groups()
            numbers[call] += 1
            found.append(Place(call, numbers[call], descriptor or name))
    return found


def observed(kinds: Iterable[str], log: Path) -> list[str]:
    """The start of a command whose calls of these kinds are noted in ``log``."""
    return [*_STRACE, "-o", str(log), "-e", f"trace={','.join(kinds)}"]


def struck(place: Place, effect: str, log: Path) -> list[str]:
    """The start of a command to which ``effect`` (`KILL`, ``error=EIO``) happens at ``place``."""
    return [*observed([place.call], log), "-e", f"inject={place.call}:{effect}:when={place.nth}"]


def was_struck(log: Path) -> bool:
    """Whether the process got as far as the place."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "(INJECTED)" in text or "+++ killed by SIGKILL +++" in text


def sample(places: Sequence[Place], share: int, of: int) -> Place:
    """The ``share``-th of ``of`` places, evenly over all, and one further every day: each place has its day."""
    every = -(-len(places) // of)
    return places[(share * every + offset(every)) % len(places)]


def offset(every: int) -> int:
    """Where to begin among ``every`` places."""
    return offset_now() % every


def offset_now() -> int:
    """POSDECOM_OFFSET, or else the number of the day."""
    return int(os.environ.get("POSDECOM_OFFSET", date.today().toordinal()))


_STRACE: Final = ("strace", "-f", "-y", "-qq")


@lru_cache(maxsize=1)
def why_not() -> str:
    """What keeps strace from it here; empty where nothing does."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt-get install strace"
    tried = subprocess.run(
        [*_STRACE, "-e", "inject=fsync:error=EIO:when=1", "true"], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()[-80:]}"

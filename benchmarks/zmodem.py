"""``sz`` and ``rz`` of lrzsz over ``posdecom-sim line``: a well-known transfer on the same line, to compare with."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Transfer:
    is_intact: bool
    """Everything arrived as it was sent, in time."""
    seconds: float
    cpu_s: float
    grew: list[tuple[float, int]]
    """(s since the start, bytes by which the received file had grown)."""


def transfer(
    folder: Path, size: int, baud: int, quality: Sequence[str], seed: int, limit_s: float
) -> Transfer:
    """Send ``size`` bytes of noise into a new ``folder``; ``quality``: options of ``posdecom-sim line``."""
    received = folder / "received"
    received.mkdir(parents=True)
    data = random.Random(seed).randbytes(size)
    (folder / "noise").write_bytes(data)
    before = _children_cpu_s()
    line = subprocess.Popen(
        _command(folder, baud, quality, seed), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert line.stdout is not None
    line.stdout.readline()
    began, grew = time.monotonic(), list[tuple[float, int]]()
    while line.poll() is None and time.monotonic() - began < limit_s and _sum(grew) < size:
        time.sleep(POLL_S)
        grew.append((time.monotonic() - began, _size(received / "noise") - _sum(grew)))
    seconds = time.monotonic() - began
    time.sleep(POLL_S)
    _end(line)
    is_intact = (received / "noise").exists() and (received / "noise").read_bytes() == data
    return Transfer(is_intact, seconds, _children_cpu_s() - before, grew)


def _command(folder: Path, baud: int, quality: Sequence[str], seed: int) -> list[str]:
    send = f"sz --binary --quiet {folder / 'noise'}"
    receive = f"sh -c 'cd {folder / 'received'} && exec rz --binary --quiet --overwrite'"
    line = ["line", "--baud", str(baud), "--seed", str(seed), *quality]
    ends = ["--left-run", send, "--right-run", receive]
    return [sys.executable, "-u", "-m", "posdecom_simulator", *line, *ends]


def _end(line: subprocess.Popen[bytes]) -> None:
    """With both of its programs, once what they have to say to each other had time to be said."""
    try:
        line.wait(2.0)
    except subprocess.TimeoutExpired:
        line.send_signal(signal.SIGINT)
    line.communicate()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _sum(grew: Sequence[tuple[float, int]]) -> int:
    return sum(count for _, count in grew)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

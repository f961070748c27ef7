"""How true ``posdecom-sim line`` is to its speed. From the repository: ``python benchmarks/line_accuracy.py``

Pours bytes into one end as fast as it takes them, and compares the rate at which they come out of the other with
baud / 10. It is wrong where that differs by more than `TOLERANCE`; the exit code says so.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import serial

TOLERANCE: Final = 0.02
SECONDS: Final = 4.0
SPEEDS: Final = (115_200, 921_600, 3_000_000)


def pour(descriptor: int, count: int) -> None:
    data, sent = os.urandom(4096), 0
    while sent < count:
        select.select([], [descriptor], [])
        sent += os.write(descriptor, data[: count - sent])


def rate_out(descriptor: int, count: int) -> float:
    """Bytes a second between the first piece and the last."""
    got, first_bytes, began, now = 0, 0, 0.0, 0.0
    while got < count and select.select([descriptor], [], [], 5.0)[0]:
        data, now = os.read(descriptor, 65_536), time.monotonic()
        if not got:
            first_bytes, began = len(data), now
        got += len(data)
    return (got - first_bytes) / (now - began)


def measure(baud: int, folder: Path) -> tuple[float, float]:
    """Share of the line rate, and of one core that the line took."""
    left, right = folder / "left", folder / "right"
    command = [sys.executable, "-u", "-m", "posdecom_simulator", "line", "--left", left, "--right", right]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as line:
        assert line.stdout is not None
        next(one for one in line.stdout if one.startswith("right"))
        with serial.Serial(str(left), baud) as source, serial.Serial(str(right), baud) as target:
            count = int(SECONDS * baud / 10)
            threading.Thread(target=pour, args=(source.fileno(), count)).start()
            cpu_s = _cpu_s(line.pid)
            share = rate_out(target.fileno(), count) / (baud / 10)
            cpu_s = _cpu_s(line.pid) - cpu_s
        line.terminate()
    return share, cpu_s / SECONDS


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    worst = 0.0
    for baud in SPEEDS:
        with tempfile.TemporaryDirectory() as name:
            share, cpu = measure(baud, Path(name))
        worst = max(worst, abs(share - 1))
        print(f"{baud:>9} baud: {share:.2%} of baud / 10; the line took {cpu:.0%} of a core", flush=True)
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())

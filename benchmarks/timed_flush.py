"""One ``posdecom`` command as a process, and when what happened in it: the hook of ``flush_matrix.py``.

    python benchmarks/timed_flush.py RESULT.json flush --port ...

Runs the agent's own command line. Looks at four calls, and changes nothing in them: what goes to the port and comes
from it, the first request for items, and each return of `Job.keep_items`, which is when these items are synced to the
journal.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from posdecom_agent import job as agent_job
from posdecom_agent import ports
from posdecom_agent.approach import Approach
from posdecom_agent.cli import main
from posdecom_protocol.messages import Request

STARTED_VARIABLE = "POSDECOM_BENCH_STARTED_S"
"""`time.monotonic` when this process was asked for."""


@dataclass
class Account:
    """Seconds of `time.monotonic`, processor seconds of this process, bytes of stored records."""

    started_s: float
    first_byte_s: float | None = None
    first_request_s: float | None = None
    cpu_at_first_request_s: float = 0.0
    cpu_at_end_s: float = 0.0
    kept_s: list[float] = field(default_factory=list)
    kept_bytes: list[int] = field(default_factory=list)
    kept_items: int = 0
    disk_s: float = 0.0
    """In which it stored, less what that took of the processor."""
    waited_s: float = 0.0
    """In which it had nothing to do but to wait for the line, since the first request."""
    waited_until_kept_s: float = 0.0
    """The same, up to the last sync."""
    came_s: list[float] = field(default_factory=list)
    came_bytes: list[int] = field(default_factory=list)
    """What came over the line since the first request, in pieces of `SLICE_S`."""
    rss_max_kib: int = 0


SLICE_S: Final = 0.02


def cpu_s() -> float:
    return time.process_time()


def rss_max_kib() -> int:
    """Of this program alone: what getrusage(2) says holds the parent's, too, from before the exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def watch_port(account: Account) -> None:
    write = ports._DescriptorPort.write

    def watched(self: Any, data: bytes) -> int:
        taken = write(self, data)
        if account.first_byte_s is None and taken:
            account.first_byte_s = time.monotonic()
        return taken

    ports._DescriptorPort.write = watched  # type: ignore[method-assign]


def watch_arrivals(account: Account) -> None:
    read = ports._DescriptorPort.read

    def watched(self: Any, timeout_s: float) -> bytes:
        began, began_cpu_s = time.monotonic(), cpu_s()
        data = read(self, timeout_s)
        if account.first_request_s is not None:
            now = time.monotonic()
            account.waited_s += now - began - (cpu_s() - began_cpu_s)
            _count(account, now, len(data))
        return data

    ports._DescriptorPort.read = watched  # type: ignore[method-assign]


def _count(account: Account, now: float, count: int) -> None:
    if not account.came_s or now - account.came_s[-1] > SLICE_S:
        account.came_s.append(now)
        account.came_bytes.append(0)
    account.came_bytes[-1] += count


def watch_requests(account: Account) -> None:
    ask = Approach.ask

    def watched(self: Approach, request: Request) -> None:
        if account.first_request_s is None and type(request).__name__.startswith("Read"):
            account.first_request_s = time.monotonic()
            account.cpu_at_first_request_s = cpu_s()
        ask(self, request)

    Approach.ask = watched  # type: ignore[method-assign]


def watch_custody(account: Account) -> None:
    keep = agent_job.Job.keep_items

    def watched(self: agent_job.Job, first: int, items: Sequence[bytes]) -> None:
        began, began_cpu_s = time.monotonic(), cpu_s()
        keep(self, first, items)
        now = time.monotonic()
        account.disk_s += now - began - (cpu_s() - began_cpu_s)
        account.waited_until_kept_s = account.waited_s
        account.kept_s.append(now)
        account.kept_bytes.append(sum(map(len, items)))
        account.kept_items += len(items)
        account.cpu_at_end_s = cpu_s()

    agent_job.Job.keep_items = watched  # type: ignore[method-assign]


def run(result: Path, arguments: Sequence[str]) -> None:
    account = Account(float(os.environ[STARTED_VARIABLE]))
    watch_port(account)
    watch_arrivals(account)
    watch_requests(account)
    watch_custody(account)
    try:
        main(arguments)
    finally:
        account.rss_max_kib = rss_max_kib()
        result.write_text(json.dumps(asdict(account)), encoding="ascii")


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])

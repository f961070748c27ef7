"""How fast a terminal is read out, end to end, on good and bad lines. From the repository:

    python benchmarks/flush_matrix.py [--case NAME ...] [--runs 3] [--out RESULT.json]
    python benchmarks/report.py RESULT.json --out REPORT.html

``posdecom flush`` and ``posdecom-sim terminal`` run as processes over two pseudo-terminals that ``posdecom-sim line``
joins. Efficiency = useful bytes a second, divided by baud / 10. Useful bytes are the stored records, nothing of ours
around them; the time runs from the agent's first request for items until the last item is synced to its journal, TLS,
messages and disk included. A case is sized so that it lasts about 20 s at the line rate.

Cases that end in ``-zmodem`` send as many bytes of noise over the same line with ``sz`` and ``rz`` of lrzsz, from the
start of the two until the file is complete and the same.

``--out`` is brought up to date after each case; what stood there of other cases stays. Each run says how much of the
processor others took meanwhile: a run that was disturbed is made again with ``--case``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from frozen_terminal import ITEM_BYTES, SERIAL, FrozenTerminal, freeze
from processes import busy_s, cpu_s, machine, server, wait_for
from timed_flush import STARTED_VARIABLE
from zmodem import transfer

LINE_S: Final = 20.0
LIMIT_S: Final = 400.0
ZMODEM_LIMIT_S: Final = 60.0
RATE_SLICE_S: Final = 0.5
HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    baud: int
    line: str = ""
    """Options of ``posdecom-sim line``."""
    kind: str = "noise"
    target: float = 0.0
    begin: int = 115_200
    """Where both ends begin; they raise the speed to ``baud``."""
    item_bytes: int = ITEM_BYTES
    line_s: float = LINE_S
    """What all items together take at the line rate: sizes the case."""

    @property
    def is_zmodem(self) -> bool:
        return self.name.endswith("-zmodem")

    @property
    def count(self) -> int:
        """Items, or transactions of a shop, of which two full batches are the most there is."""
        if self.kind == "shop":
            return 1900
        return int(self.line_s * self.baud / 10 / self.item_bytes)


TIMER: Final = "--usb-latency-timer 16"
OUTAGES: Final = "--outage 5:7 --outage 12:14 --outage 19:21"
FLUSHES: Final = (
    Case("115200-clean", 115_200, target=0.985),
    Case("115200-timer", 115_200, TIMER, target=0.98),
    Case("115200-ber-1e-5", 115_200, "--ber 1e-5", target=0.92),
    Case("115200-ber-1e-4", 115_200, "--ber 1e-4", target=0.75),
    Case("115200-drop-1e-3", 115_200, "--drop 1e-3", target=0.70),
    Case("115200-outages", 115_200, OUTAGES),
    Case("115200-shop", 115_200, kind="shop", target=2.0),
    Case("921600-clean", 921_600, target=0.985),
    Case("921600-timer", 921_600, TIMER, target=0.98),
    Case("3000000-clean", 3_000_000, target=0.97),
    Case("3000000-timer", 3_000_000, TIMER, target=0.965),
)
ZMODEMS: Final = tuple(
    replace(case, name=f"{case.name}-zmodem", begin=case.baud, target=0.0)
    for case in FLUSHES
    if case.kind == "noise"
)
LARGE: Final = Case("3000000-50-MiB", 3_000_000, item_bytes=263, line_s=175.0)
"""As many items as a seal can count; for the memory of the agent."""
CASES: Final = (*FLUSHES, *ZMODEMS, LARGE)


@dataclass(frozen=True, slots=True)
class Run:
    efficiency: float
    """0: it did not finish, or what came was not what was sent."""
    seconds: float
    useful_bytes: int
    others_cpu_share: float
    """Of all cores, by whatever else ran on this machine."""
    arrived_over_time: list[float]
    """Bytes that came over the line in each `RATE_SLICE_S`, as a share of what the line carries."""
    start_to_first_byte_s: float = 0.0
    cpu_share: float = 0.0
    """Of one core, by the agent, between first request and last sync."""
    disk_share: float = 0.0
    """Of the time, in which the agent waited for its journal."""
    waiting_share: float = 0.0
    """Of the time, in which the agent waited for the line."""
    wire_share: float = 0.0
    """Of the time, in which the line carried something to the agent, as far as it arrived."""
    line_cpu_share: float = 0.0
    terminal_cpu_share: float = 0.0
    rss_max_mib: float = 0.0
    kept_over_time: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the first request, and the share of all records that was synced then."""


def measure(case: Case, terminal: FrozenTerminal, folder: Path, seed: int) -> Run:
    left, right = folder / "left", folder / "right"
    ends = ["line", "--left", left, "--right", right, "--baud", case.begin, "--seed", seed]
    with ExitStack() as stack:
        line = stack.enter_context(server(*ends, *case.line.split()))
        wait_for(line, "right")
        device = stack.enter_context(
            server("terminal", "--site", terminal.site, "--serial", SERIAL, "--state", terminal.state, "--port",
                   right, "--baud", case.begin, "--baud-max", case.baud)
        )  # fmt: skip
        wait_for(device, "terminal")
        before = busy_s(), time.monotonic(), cpu_s(line.pid), cpu_s(device.pid)
        account = _flush(case, terminal, left, folder)
        line_s, device_s = cpu_s(line.pid) - before[2], cpu_s(device.pid) - before[3]
        others_s = busy_s() - before[0] - line_s - device_s - account["cpu_at_end_s"]
        account |= {"line_cpu_s": line_s, "terminal_cpu_s": device_s}
        account["others_cpu_share"] = others_s / (time.monotonic() - before[1]) / (os.cpu_count() or 1)
    return _run_of(case, terminal, account)


def _flush(case: Case, terminal: FrozenTerminal, port: Path, folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as journal:
        result = folder / "account.json"
        arguments = [
            sys.executable, HERE / "timed_flush.py", result, "flush", "--port", port, "--site",
            terminal.site / "technician", "--order", terminal.order_file, "--journal", Path(journal) / "journal",
            "--confirm-serial", SERIAL, "--baud", f"{case.begin}:{case.baud}",
        ]  # fmt: skip
        started = {STARTED_VARIABLE: str(time.monotonic())}
        done = subprocess.run(
            list(map(str, arguments)),
            env=os.environ | started,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"{case.name}: posdecom flush failed\n{done.stdout.decode()}{done.stderr.decode()}"
            )
        account: dict[str, Any] = json.loads(result.read_text(encoding="ascii"))
    return account


def _run_of(case: Case, terminal: FrozenTerminal, account: dict[str, Any]) -> Run:
    began, kept_s = account["first_request_s"], account["kept_s"]
    seconds = kept_s[-1] - began
    rate = case.baud / 10
    assert account["kept_items"] == terminal.item_count, "the journal does not hold every item"
    came = [(at - began, count) for at, count in zip(account["came_s"], account["came_bytes"], strict=True)]
    return Run(
        efficiency=terminal.useful_bytes / seconds / rate,
        seconds=seconds,
        useful_bytes=terminal.useful_bytes,
        others_cpu_share=account["others_cpu_share"],
        arrived_over_time=in_slices(came, seconds, rate),
        start_to_first_byte_s=account["first_byte_s"] - account["started_s"],
        cpu_share=(account["cpu_at_end_s"] - account["cpu_at_first_request_s"]) / seconds,
        disk_share=account["disk_s"] / seconds,
        waiting_share=account["waited_until_kept_s"] / seconds,
        wire_share=sum(count for at, count in came if at <= seconds) / seconds / rate,
        line_cpu_share=account["line_cpu_s"] / seconds,
        terminal_cpu_share=account["terminal_cpu_s"] / seconds,
        rss_max_mib=account["rss_max_kib"] / 1024,
        kept_over_time=_kept(account, began, terminal.useful_bytes),
    )


def in_slices(pieces: Sequence[tuple[float, int]], seconds: float, rate: float) -> list[float]:
    """``pieces``: (s since the start, bytes), each an interval's; the last slice is left out unless it is whole."""
    slices = [0.0] * int(seconds / RATE_SLICE_S)
    for at, count in pieces:
        if 0 <= (place := int(at / RATE_SLICE_S)) < len(slices):
            slices[place] += count
    return [round(count / RATE_SLICE_S / rate, 4) for count in slices]


def _kept(account: dict[str, Any], began: float, useful_bytes: int) -> list[tuple[float, float]]:
    """At most a point in each `RATE_SLICE_S`, and the last."""
    total, points = 0, [(0.0, 0.0)]
    for at, count in zip(account["kept_s"], account["kept_bytes"], strict=True):
        total += count
        point = round(at - began, 3), round(total / useful_bytes, 4)
        if point[0] - points[-1][0] >= RATE_SLICE_S or total == useful_bytes:
            points.append(point)
    return points


def measure_zmodem(case: Case, folder: Path, seed: int) -> Run:
    useful_bytes, rate = int(case.line_s * case.baud / 10), case.baud / 10
    before, began = busy_s(), time.monotonic()
    done = transfer(folder / str(seed), useful_bytes, case.baud, case.line.split(), seed, ZMODEM_LIMIT_S)
    others_s = busy_s() - before - done.cpu_s
    return Run(
        efficiency=useful_bytes / done.seconds / rate if done.is_intact else 0.0,
        seconds=done.seconds,
        useful_bytes=useful_bytes,
        others_cpu_share=others_s / (time.monotonic() - began) / (os.cpu_count() or 1),
        arrived_over_time=in_slices(done.grew, done.seconds, rate),
    )


def summary(case: Case, terminal: FrozenTerminal | None, runs: Sequence[Run]) -> dict[str, Any]:
    efficiencies = [run.efficiency for run in runs]
    return {
        "case": asdict(case),
        "measured_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine(),
        "items": terminal.item_count if terminal else None,
        "xz_ratio": terminal.xz_ratio if terminal else None,
        "median": statistics.median(efficiencies),
        "least": min(efficiencies),
        "most": max(efficiencies),
        "runs": [asdict(run) for run in runs],
    }


def run_case(case: Case, folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    folder.mkdir()
    terminal = None if case.is_zmodem else freeze(folder, case.kind, case.count, case.item_bytes)
    runs = []
    for seed in seeds:
        run = measure(case, terminal, folder, seed) if terminal else measure_zmodem(case, folder, seed)
        runs.append(run)
        print(_line(case, run), flush=True)
    return summary(case, terminal, runs)


def _line(case: Case, run: Run) -> str:
    if case.is_zmodem:
        return f"{case.name:26} {run.efficiency:6.1%}; {run.seconds:.1f} s; others {run.others_cpu_share:.0%}"
    return (
        f"{case.name:26} {run.efficiency:6.1%} (target {case.target:.1%}); {run.seconds:.1f} s; agent: "
        f"cpu {run.cpu_share:.0%}, disk {run.disk_share:.1%}, waiting {run.waiting_share:.0%}, wire "
        f"{run.wire_share:.1%}, rss {run.rss_max_mib:.0f} MiB, first byte {run.start_to_first_byte_s * 1000:.0f} ms; "
        f"terminal cpu {run.terminal_cpu_share:.0%}, line {run.line_cpu_share:.0%}, others {run.others_cpu_share:.0%}"
    )


def keep(out: Path, result: dict[str, Any]) -> None:
    """Put one case into the file, in the place of what stood there of it."""
    held = json.loads(out.read_text(encoding="utf-8"))["results"] if out.exists() else []
    found = {one["case"]["name"]: one for one in held} | {result["case"]["name"]: result}
    results = [found[case.name] for case in CASES if case.name in found]
    out.write_text(json.dumps({"version": 1, "results": results}, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="of line time a run, instead of 20")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    cases = {case.name: case for case in CASES}
    with tempfile.TemporaryDirectory() as name:
        for one in asked.case or [case.name for case in FLUSHES + ZMODEMS]:
            case = replace(cases[one], line_s=asked.seconds or cases[one].line_s)
            if case.is_zmodem and not shutil.which("sz"):
                continue
            result = run_case(case, Path(name) / case.name, range(1, asked.runs + 1))
            if asked.out:
                keep(asked.out, result)


if __name__ == "__main__":
    main()
